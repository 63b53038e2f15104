"""How intsim compiles: one decorator, one cache, and the list of everything compiled.

Numba renews a cached kernel when the kernel's own file changes, not when a primitive it calls changes elsewhere. A golden
model cannot live with stale arithmetic, so the cache folder bears the hash of every source a kernel may be built from.
"""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core import event

KERNEL_ROOMS, KERNEL_MODULES = ("arith", "kernels", "ops"), ("dialects", "errors")
KERNELS: list[Any] = []  # every compiled function, for the tests that read their machine-independent code


def kernel_sources() -> list[Path]:
    """Every file whose content can end up in compiled code: the rooms that hold kernels, and all that these import."""
    package = Path(__file__).parent.parent
    rooms = (path for room in KERNEL_ROOMS for path in sorted((package / room).glob("*.py")))
    return [*(package / f"{module}.py" for module in KERNEL_MODULES), *rooms]


@cache
def cache_folder() -> Path:
    """Where compiled kernels are kept: below NUMBA_CACHE_DIR, XDG_CACHE_HOME or ~/.cache, by hash of the sources."""
    key = hashlib.sha256(numba.__version__.encode())
    for path in kernel_sources():
        key.update(path.name.encode() + path.read_bytes())
    home = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home) / "intsim" / key.hexdigest()[:16]


class _Once(event.Listener):
    """Calls back when a kernel is compiled for the first time in this process: what is read from the cache is none."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self.tell: Callable[[], None] | None = tell

    def on_start(self, event: event.Event) -> None:
        tell, self.tell = self.tell, None
        if tell is not None:
            tell()

    def on_end(self, event: event.Event) -> None:
        """Nothing to tell."""


def before_compiling(tell: Callable[[], None]) -> None:
    """Have `tell` called once, when the first kernel has to be compiled (from whichever thread does it)."""
    event.register("numba:compile", _Once(tell))


def kernel(function: Callable) -> Any:
    """Compile `function` with Numba: no Python objects, no interpreter lock, integer division as in NumPy, kept on disk.

    Where no folder can be written the kernel is compiled anew in each process. A generator cannot be a kernel: Numba forgets
    how to resume one that comes from the disk.
    """
    if inspect.isgeneratorfunction(function):
        raise TypeError(f"{function.__name__} is a generator, which Numba cannot keep on disk")
    config: Any = numba.config
    before = config.CACHE_DIR
    try:
        # The place is fixed when the decorator runs, so other packages' caches keep theirs.
        config.CACHE_DIR = str(cache_folder())
        compiled = numba.njit(nogil=True, error_model="numpy", cache=_writable(cache_folder()))(function)
    finally:
        config.CACHE_DIR = before
    KERNELS.append(compiled)
    return compiled


@cache
def _writable(folder: Path) -> bool:
    """Whether compiled code can be kept there. Numba's own fallback, beside the sources, would keep stale kernels."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
