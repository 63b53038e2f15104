"""Memory under a limit on the address space (``ulimit -v``): what is left, asked for before a library would abort."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

SHORT = 160 << 20  # bytes: a thread's stack and heap, or a library, may ask for as much at once


def limit() -> int | None:
    """The most bytes of address space that this process may have; None without a limit."""
    with suppress(ImportError):
        import resource

        soft = resource.getrlimit(resource.RLIMIT_AS)[0]
        return None if soft == resource.RLIM_INFINITY else soft
    return None


def require(size: int) -> None:
    """MemoryError where a limit leaves less than `size` bytes. Only Linux says what is taken; elsewhere nothing is asked."""
    most = limit()
    if most is not None and most - _status("VmSize") < size:
        raise MemoryError


def was_short() -> bool:
    """Whether this process has a limit and came near it: then whatever failed may have failed for want of memory."""
    most = limit()
    return most is not None and most - _status("VmPeak") < SHORT


def _status(key: str) -> int:
    """Bytes that Linux says of this process; 0 elsewhere."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return int(next(line for line in lines if line.startswith(f"{key}:")).split()[1]) << 10
    return 0
