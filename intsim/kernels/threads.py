"""Distribution of rows over threads.

Every kernel computes the rows ``[start, stop)`` of its output. No row depends on another, so the result does not depend on
the number of threads. The threads are Python threads: kernels release the interpreter lock, any number of callers may run
at once, and no kernel needs a separate parallel version.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from itertools import cycle, pairwise
from queue import SimpleQueue
from typing import Any, TypeAlias, TypeVarTuple

Arguments = TypeVarTuple("Arguments")
Result: TypeAlias = int | BaseException  # what a kernel returned or raised
Call: TypeAlias = tuple[Callable[..., int], int, int, tuple[object, ...], SimpleQueue[Result]]

_threads: ContextVar[int] = ContextVar("intsim_threads", default=0)


def available() -> int:
    """The number of processors that this process may use; 1 where no thread can be started."""
    if not _startable():
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _startable() -> bool:
    """Whether threads can be started, which Python in WebAssembly refuses."""
    try:
        threading.Thread(target=int).start()
    except RuntimeError:
        return False
    return True


class _Here(Executor):
    """An executor that runs each call when it is submitted, in the thread that submits it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - raised again by `result`
            future.set_exception(error)
        return future


def executor(workers: int, name: str) -> Executor:
    """An executor with a number of threads of this name, or with none where no thread can be started."""
    return ThreadPoolExecutor(workers, name) if _startable() else _Here()


@contextmanager
def limited_to(threads: int | None) -> Iterator[None]:
    """In this context, kernels use `threads` threads (None: one per processor). Other callers are not affected."""
    token = _threads.set(threads or 0)
    try:
        yield
    finally:
        _threads.reset(token)


class _Team:
    """One worker thread per processor, pinned to it: unpinned, two workers may share a processor for milliseconds."""

    def __init__(self) -> None:
        homes = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [None] * available()
        self.queues: list[SimpleQueue[Call]] = [SimpleQueue() for _ in homes]
        for home, queue in zip(homes, self.queues, strict=True):
            threading.Thread(target=_serve, args=(home, queue), name=f"intsim-{home}", daemon=True).start()
        self.by_home: dict[int | None, SimpleQueue[Call]] = dict(zip(homes, self.queues, strict=True))

    def helping(self) -> Iterator[SimpleQueue[Call]]:
        """The queues of the workers, cyclically; last the worker on the caller's processor, as it would wait."""
        here = self.by_home.get(_running_on())
        others = [queue for queue in self.queues if queue is not here]
        return cycle([*others, here] if here is not None else others)


def _running_on() -> int | None:
    """The processor that runs the calling thread; None where the system does not report it."""
    return _GETCPU() if _GETCPU is not None else None


def _getcpu() -> Callable[[], int] | None:
    try:
        getcpu: Callable[[], int] = ctypes.CDLL(None).sched_getcpu
    except (OSError, AttributeError, TypeError):  # not Linux
        return None
    return getcpu


_GETCPU = _getcpu()


def _serve(home: int | None, queue: SimpleQueue[Call]) -> None:
    """The loop of a worker: execute calls one by one and put the result or exception into the queue given with the call."""
    if home is not None:
        with suppress(OSError):  # where the system forbids it, the worker stays unpinned
            os.sched_setaffinity(0, {home})  # 0: the calling thread
    while True:
        kernel, start, stop, arguments, results = queue.get()
        try:
            results.put(kernel(start, stop, *arguments))
        except BaseException as error:  # noqa: BLE001 - raised again by the caller
            results.put(error)
        del kernel, arguments, results  # keep no array alive while waiting


@cache
def _team() -> _Team:
    """The team of this process. Two simultaneous first callers may create two; the one that is not cached stays idle."""
    return _Team()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_team.cache_clear)  # a forked child does not have its parent's threads


class Chain:
    """Calls of `over_rows` that are put off, and then made one after the other by each thread on its own rows.

    For calls in which row i of a result depends on row i of earlier results alone: between them no thread waits for another,
    and its rows stay in its cache. The values of results are undefined until `finish`.
    """

    def __init__(self) -> None:
        self._rows, self._calls = 0, list[tuple[Callable[..., int], tuple[Any, ...]]]()

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """In this context, calls of `over_rows` are put off; they must be of such kind, and compute every row."""
        token = _chain.set(self)
        try:
            yield
        finally:
            _chain.reset(token)

    def add(self, kernel: Callable[..., int], rows: int, arguments: tuple[Any, ...]) -> None:
        """Put off one call; those of another number of rows are made first."""
        if rows != self._rows:
            self.finish()
        self._rows = rows
        self._calls.append((kernel, arguments))

    def finish(self) -> None:
        """Make all calls that were put off."""
        calls, self._calls = self._calls, []
        if calls:
            _distributed(_one_by_one, self._rows, calls)


_chain: ContextVar[Chain | None] = ContextVar("intsim_chain", default=None)


def _one_by_one(start: int, stop: int, calls: list[tuple[Callable[..., int], tuple[Any, ...]]]) -> int:
    for kernel, arguments in calls:
        if kernel(start, stop, *arguments) >= 0:
            raise AssertionError(f"{kernel}: a row of a chain was not computed")
    return -1


def over_rows(kernel: Callable[[int, int, *Arguments], int], rows: int, *arguments: *Arguments) -> int:
    """Call ``kernel(start, stop, *arguments)`` over all rows; the first row that could not be computed, or -1.

    Where a `Chain` is collecting, the call is put off, and -1 returned. A kernel returns the first row of its range that it
    could not compute, or -1. The calling thread computes the first part itself, which halves the time spent waiting for
    threads to wake. Any number of threads may call at once: they share the workers, and each call has its own results.
    """
    chain = _chain.get()
    if chain is not None:
        chain.add(kernel, rows, arguments)
        return -1
    return _distributed(kernel, rows, *arguments)


def _distributed(kernel: Callable[[int, int, *Arguments], int], rows: int, *arguments: *Arguments) -> int:
    """`over_rows` at once."""
    parts = min(_threads.get() or available(), rows)
    if parts <= 1:
        return kernel(0, rows, *arguments)
    cuts = [rows * part // parts for part in range(parts + 1)]
    results: SimpleQueue[Result] = SimpleQueue()
    for queue, (start, stop) in zip(_team().helping(), pairwise(cuts[1:]), strict=False):
        queue.put((kernel, start, stop, arguments, results))
    try:
        own = kernel(0, cuts[1], *arguments)
    finally:  # no worker writes to the arrays after this returns
        outcomes = [results.get() for _ in range(parts - 1)]
    returned = [own]
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
        returned.append(outcome)
    return min((row for row in returned if row >= 0), default=-1)
