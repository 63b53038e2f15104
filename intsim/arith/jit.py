"""Compilation of kernels: whether there is a compiler, one decorator, one cache folder, and the list of compiled functions.

Numba compiles kernels. It is missing on some platforms (WebAssembly, Python versions newer than Numba); only this module
knows. There a kernel stays a Python function that nothing calls: operators compute by their reference, in NumPy (`Op`),
plans fuse nothing (`engine.plan`), and what measures kernels refuses (`require_compiler`).

Numba recompiles a cached kernel when the kernel's own file changes, but not when a primitive that it calls changes in
another file. Stale arithmetic must never run, so the name of the cache folder contains the hash of every source file that
compiled code can depend on.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from ..errors import IntsimError

try:
    from . import numba_
except ImportError as error:
    ABSENT = "is not installed" if error.name in ("numba", "llvmlite") else f"cannot be imported ({error})"
else:
    ABSENT = ""

F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")

KERNEL_ROOMS, KERNEL_MODULES = ("arith", "kernels", "ops", "symbols"), ("dialects", "errors", "memory", "plugins")
KERNELS: list[Any] = []  # every compiled function (a Numba dispatcher), for tests that read the compiled code
HAS_COMPILER = not ABSENT  # whether kernels are compiled; also with NUMBA_DISABLE_JIT=1, which runs them as Python
LOGGER = logging.getLogger("intsim")
_unsaid = [f"Numba {ABSENT}: results are the same, but computing takes tens of times as long"] if ABSENT else []


def remark_absence() -> None:
    """Where there is no compiler, log once per process, as a warning, that computing is slow."""
    try:
        remark = _unsaid.pop()
    except IndexError:
        return
    LOGGER.warning(remark)


def require_compiler(what: str) -> None:
    """Raise IntsimError where there is no compiler; `what` needs one."""
    if ABSENT:
        raise IntsimError(f"{what} needs Numba, which {ABSENT}; install it with: pip install numba")


def kernel_sources() -> list[Path]:
    """Every file whose content can affect compiled code: the folders that define kernels, and all that they import."""
    package = Path(__file__).parent.parent
    rooms = (path for room in KERNEL_ROOMS for path in sorted((package / room).glob("*.py")))
    return [*(package / f"{module}.py" for module in KERNEL_MODULES), *rooms]


@cache
def cache_folder() -> Path:
    """The folder of compiled kernels, named by the hash of the sources: in the first of `_homes` that can be written."""
    key = hashlib.sha256(numba_.VERSION.encode())
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


def before_compiling(tell: Callable[[str], None]) -> None:
    """Call `tell` once, before the first kernel is compiled, in the thread that compiles it, with the name of its module."""
    if HAS_COMPILER:
        numba_.before_compiling(tell)


def kernel(function: F) -> F:
    """Compile `function` with Numba: nopython mode, no interpreter lock, integer division as in NumPy, cached on disk.

    Without a writable cache folder, each process compiles the kernel again. Raises TypeError for a generator function: Numba
    cannot resume a generator that it loaded from the cache. The result is a Numba dispatcher, typed as `function`; without a
    compiler it is `function`.
    """
    if inspect.isgeneratorfunction(function):
        raise TypeError(f"{function.__name__} is a generator function, which Numba cannot cache on disk; return an array")
    if not HAS_COMPILER:
        return function
    compiled: F = numba_.compiled(function, str(cache_folder()), _writable(cache_folder()))
    KERNELS.append(compiled)
    return compiled


def overload(function: Callable[..., Any], inline: str = "never") -> Callable[[F], F]:
    """Decorate a function that makes what kernels call for `function`; see `numba.extending.overload`."""
    decorator: Callable[[F], F] = numba_.overload(function, inline) if HAS_COMPILER else _unchanged
    return decorator


def intrinsic(*, prefer_literal: bool = False) -> Callable[[Callable[Concatenate[Any, P], Any]], Callable[P, Any]]:
    """`numba.extending.intrinsic`, typed as kernels call the result: without the typing context."""
    decorator: Callable[[Callable[Concatenate[Any, P], Any]], Callable[P, Any]] = numba_.intrinsic(prefer_literal)
    return decorator


def compiles() -> bool:
    """Whether kernels are compiled: neither is Numba missing nor is NUMBA_DISABLE_JIT set."""
    return HAS_COMPILER and not numba_.disabled()


def features() -> frozenset[str]:
    """The processor's features, by LLVM's names; none without a compiler, or if it compiles for another processor."""
    return numba_.features() if HAS_COMPILER else frozenset()


def processor() -> str:
    """LLVM's name of the processor: ``znver5``, ``sapphirerapids``, ``neoverse-n1``."""
    require_compiler("naming the processor")
    return numba_.processor()


def _unchanged(function: F) -> F:
    return function


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
