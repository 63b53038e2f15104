"""Numba, as far as intsim uses it. `jit` imports this module where Numba is installed; nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numba.extending
from llvmlite import binding as llvm
from numba.core import event

from .compile_cache import verify

VERSION: str = numba.__version__
_config: Any = numba.config


def compiled(function: Callable[..., Any], folder: str, cached: bool) -> Any:
    """`function` as a Numba dispatcher, whose code is kept in `folder` if `cached`."""
    before = _config.CACHE_DIR
    try:
        # Numba reads the setting when the decorator runs; restored afterwards, other packages keep their cache folder.
        _config.CACHE_DIR = folder
        njit: Any = numba.njit(nogil=True, error_model="numpy", cache=cached)
        dispatcher = njit(function)
    finally:
        _config.CACHE_DIR = before
    if cached:
        verify(dispatcher)
    return dispatcher


def disabled() -> bool:
    """Whether kernels run as Python functions."""
    return bool(_config.DISABLE_JIT)


def overload(function: Callable[..., Any], inline: str) -> Any:
    """`numba.extending.overload` without the check of argument names, which would require equal annotations, too."""
    untyped: Any = numba.extending.overload
    return untyped(function, strict=False, inline=inline)


def intrinsic(prefer_literal: bool) -> Any:
    """`numba.extending.intrinsic`."""
    untyped: Any = numba.extending.intrinsic
    return untyped(prefer_literal=prefer_literal)


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


def features() -> frozenset[str]:
    """The processor's features, by LLVM's names; none if Numba is configured to compile for another processor."""
    if _config.DISABLE_JIT or _config.CPU_NAME or _config.CPU_FEATURES:
        return frozenset()
    try:
        host = llvm.get_host_cpu_features()
    except RuntimeError:
        return frozenset()
    return frozenset(name for name, supported in host.items() if supported)


def processor() -> str:
    """LLVM's name of the processor: ``znver5``, ``sapphirerapids``, ``neoverse-n1``."""
    return str(_config.CPU_NAME or llvm.get_host_cpu_name())
