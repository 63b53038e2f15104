"""Compilation of kernels: one decorator, one cache folder, and the list of all compiled functions.

Numba recompiles a cached kernel when the kernel's own file changes, but not when a primitive that it calls changes in
another file. Stale arithmetic must never run, so the name of the cache folder contains the hash of every source file that
compiled code can depend on.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import numba
import numba.extending
from numba.core import event

from .compile_cache import verify

F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")

KERNEL_ROOMS, KERNEL_MODULES = ("arith", "kernels", "ops", "symbols"), ("dialects", "errors", "plugins")
KERNELS: list[Any] = []  # every compiled function (a Numba dispatcher), for tests that read the compiled code


def kernel_sources() -> list[Path]:
    """Every file whose content can affect compiled code: the folders that define kernels, and all that they import."""
    package = Path(__file__).parent.parent
    rooms = (path for room in KERNEL_ROOMS for path in sorted((package / room).glob("*.py")))
    return [*(package / f"{module}.py" for module in KERNEL_MODULES), *rooms]


@cache
def cache_folder() -> Path:
    """The folder of compiled kernels, named by the hash of the sources: in the first of `_homes` that can be written."""
    key = hashlib.sha256(numba.__version__.encode())
    for path in kernel_sources():
        key.update(path.name.encode() + path.read_bytes())
    folders = [home / key.hexdigest()[:16] for home in _homes()]
    return next((folder for folder in folders if _writable(folder)), folders[0])


def cache_remark() -> str:
    """Where compiled kernels are stored, or not, if the first choice cannot be written; "" otherwise."""
    folder, wanted = cache_folder(), _homes()[0]
    if not _writable(folder):
        return f"{wanted} cannot be written, nor any other cache folder: every process compiles the kernels again"
    return "" if folder.parent == wanted else f"{wanted} cannot be written; compiled kernels are kept in {folder.parent}"


def _homes() -> list[Path]:
    """Where compiled kernels may be kept, the first choice first; the last is a folder of this user's alone."""
    asked = [os.environ.get("NUMBA_CACHE_DIR"), os.environ.get("XDG_CACHE_HOME"), os.path.expanduser("~/.cache")]
    user = os.getuid() if hasattr(os, "getuid") else "user"
    return [*(Path(home) / "intsim" for home in asked if home), Path(tempfile.gettempdir()) / f"intsim-{user}"]


class _Once(event.Listener):
    """Calls `notify` at the first compilation in this process; loading a kernel from the cache does not count."""

    def __init__(self, notify: Callable[[str], None]) -> None:
        self._pending: Callable[[str], None] | None = notify

    def on_start(self, event: event.Event) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            pending(event.data["dispatcher"].py_func.__module__.rpartition(".")[2])

    def on_end(self, event: event.Event) -> None:
        """Ignored."""


def before_compiling(tell: Callable[[str], None]) -> None:
    """Call `tell` once, before the first kernel is compiled, in the thread that compiles it, with the name of its module."""
    events: Any = event  # a module without types
    events.register("numba:compile", _Once(tell))


def kernel(function: F) -> F:
    """Compile `function` with Numba: nopython mode, no interpreter lock, integer division as in NumPy, cached on disk.

    Without a writable cache folder, each process compiles the kernel again. Raises TypeError for a generator function: Numba
    cannot resume a generator that it loaded from the cache. The result is a Numba dispatcher, typed as `function`.
    """
    if inspect.isgeneratorfunction(function):
        raise TypeError(f"{function.__name__} is a generator function, which Numba cannot cache on disk; return an array")
    config: Any = numba.config
    before = config.CACHE_DIR
    try:
        # Numba reads the setting when the decorator runs; restored afterwards, other packages keep their cache folder.
        config.CACHE_DIR = str(cache_folder())
        njit: Any = numba.njit(nogil=True, error_model="numpy", cache=_writable(cache_folder()))
        compiled: F = njit(function)
    finally:
        config.CACHE_DIR = before
    if _writable(cache_folder()):
        verify(compiled)
    KERNELS.append(compiled)
    return compiled


def overload(function: Callable[..., Any]) -> Callable[[F], F]:
    """`numba.extending.overload` without the check of argument names, which would require equal annotations, too."""
    untyped: Any = numba.extending.overload
    decorator: Callable[[F], F] = untyped(function, strict=False)
    return decorator


def intrinsic(*, prefer_literal: bool = False) -> Callable[[Callable[Concatenate[Any, P], Any]], Callable[P, Any]]:
    """`numba.extending.intrinsic`, typed as kernels call the result: without the typing context."""
    untyped: Any = numba.extending.intrinsic
    decorator: Callable[[Callable[Concatenate[Any, P], Any]], Callable[P, Any]] = untyped(prefer_literal=prefer_literal)
    return decorator


@cache
def _writable(folder: Path) -> bool:
    """Whether compiled code can be stored in `folder`. Numba's own fallback, next to the sources, could keep stale code."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.mkdir(exist_ok=True)
        owner = folder.parent.stat().st_uid
    except OSError:
        return False
    private = not hasattr(os, "getuid") or owner == os.getuid() or folder.parent.parent != Path(tempfile.gettempdir())
    return private and os.access(folder, os.W_OK)  # another user's folder could hold code of theirs
