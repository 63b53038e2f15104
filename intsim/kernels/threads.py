"""Rows over threads.

Every kernel computes the rows ``[start, stop)`` of its output and no row depends on another, so the result cannot depend
on the number of threads. The threads are Python's own: kernels release the interpreter lock, any number of callers may
run at once, and nothing has to be compiled twice.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from itertools import cycle, pairwise
from queue import SimpleQueue

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


class _Team:
    """One worker a processor, each at home on its own: left free, two of them may share one for milliseconds."""

    def __init__(self) -> None:
        homes = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [None] * available()
        self.queues: list[SimpleQueue] = [SimpleQueue() for _ in homes]
        for home, queue in zip(homes, self.queues, strict=True):
            threading.Thread(target=_serve, args=(home, queue), name=f"intsim-{home}", daemon=True).start()
        self.by_home: dict[int | None, SimpleQueue] = dict(zip(homes, self.queues, strict=True))

    def helping(self) -> Iterator[SimpleQueue]:
        """The queues of the workers, round and round; where the caller runs its worker comes last, it would wait for it."""
        here = self.by_home.get(_running_on())
        others = [queue for queue in self.queues if queue is not here]
        return cycle([*others, here] if here is not None else others)


def _running_on() -> int | None:
    """The processor the calling thread is on, where the system tells."""
    return _GETCPU() if _GETCPU is not None else None


def _getcpu() -> Callable[[], int] | None:
    try:
        found: Callable[[], int] = ctypes.CDLL(None).sched_getcpu
    except (OSError, AttributeError, TypeError):  # of Linux alone
        return None
    return found


_GETCPU = _getcpu()


def _serve(home: int | None, queue: SimpleQueue) -> None:
    """What a worker does: one call after the other, its result or its exception into the queue that came with it."""
    if home is not None:
        with suppress(OSError):  # where the system forbids it, workers stay free
            os.sched_setaffinity(0, {home})  # 0: the calling thread alone
    while True:
        kernel, start, stop, arguments, results = queue.get()
        try:
            results.put(kernel(start, stop, *arguments))
        except BaseException as error:  # noqa: BLE001 - raised again by the caller
            results.put(error)
        del kernel, arguments, results  # nothing is kept alive while waiting


@cache
def _team() -> _Team:
    """The one team; two callers that are first at once may each make one, of which one then waits for ever for work."""
    return _Team()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_team.cache_clear)  # a forked child has none of its parent's threads


def over_rows(kernel: Callable[..., int], rows: int, *arguments: object) -> int:
    """Call ``kernel(start, stop, *arguments)`` over all rows; the first row it refused, or -1.

    A kernel returns the first row of its range that it could not compute, or -1. The caller takes the first share itself,
    which is half the waiting for threads to wake. Any number of threads may call at once: they share the workers, each has
    its own results.
    """
    parts = min(_threads.get() or available(), rows)
    if parts <= 1:
        return kernel(0, rows, *arguments)
    cuts = [rows * part // parts for part in range(parts + 1)]
    results: SimpleQueue = SimpleQueue()
    for queue, (start, stop) in zip(_team().helping(), pairwise(cuts[1:]), strict=False):
        queue.put((kernel, start, stop, arguments, results))
    try:
        own = kernel(0, cuts[1], *arguments)
    finally:  # nobody writes any more when this returns
        outcomes = [results.get() for _ in range(parts - 1)]
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return min((row for row in (own, *outcomes) if row >= 0), default=-1)
