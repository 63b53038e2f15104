"""Rows over threads.

Every kernel computes the rows ``[start, stop)`` of its output and no row depends on another, so the result cannot depend
on the number of threads. The threads are Python's own: kernels release the interpreter lock, any number of callers may
run at once, and nothing has to be compiled twice.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from itertools import pairwise
from queue import Empty, SimpleQueue

_threads: ContextVar[int] = ContextVar("intsim_threads", default=0)


def available() -> int:
    """The processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def limited_to(threads: int | None) -> Iterator[None]:
    """Within: kernels called from here use `threads` threads (None: every processor). Other callers are not affected."""
    token = _threads.set(threads or 0)
    try:
        yield
    finally:
        _threads.reset(token)


@cache
def _pool() -> ThreadPoolExecutor:
    """One worker a processor, each at home on its own: left free, two of them may share one for milliseconds."""
    homes: SimpleQueue[int] = SimpleQueue()
    if hasattr(os, "sched_setaffinity"):
        for processor in sorted(os.sched_getaffinity(0)):
            homes.put(processor)

    def settle() -> None:
        with suppress(Empty, OSError):  # where the system has no such call, or forbids it, workers stay free
            os.sched_setaffinity(0, {homes.get_nowait()})  # 0: the calling thread alone

    return ThreadPoolExecutor(max_workers=available(), thread_name_prefix="intsim", initializer=settle)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked child has none of its parent's threads


def over_rows(kernel: Callable[..., int], rows: int, *arguments: object) -> int:
    """Call ``kernel(start, stop, *arguments)`` over all rows; the first row it refused, or -1.

    A kernel returns the first row of its range that it could not compute, or -1.
    """
    parts = min(_threads.get() or available(), rows)
    if parts <= 1:
        return kernel(0, rows, *arguments)
    cuts = [rows * part // parts for part in range(parts + 1)]
    calls = [_pool().submit(kernel, a, b, *arguments) for a, b in pairwise(cuts)]
    refused = [row for call in calls if (row := call.result()) >= 0]
    return min(refused, default=-1)
