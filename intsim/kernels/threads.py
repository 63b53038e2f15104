"""Distribution of rows over threads.

Every kernel computes the rows ``[start, stop)`` of its output. No row depends on another, so the result does not depend on
the number of threads. The threads are Python threads: kernels release the interpreter lock, any number of callers may run
at once, and no kernel needs a separate parallel version. Between two calls that follow each other closely, workers wait in
compiled code (`emitted_crew`): waking one that sleeps takes longer than many a kernel.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from itertools import cycle, islice
from queue import Empty, SimpleQueue
from typing import Any, TypeVarTuple

import numpy as np

from ..arith import IntArray
from ..arith.jit import compiles
from . import crew as c

Arguments = TypeVarTuple("Arguments")
AWAKE = 100e-6  # seconds for which a worker waits for the next call before it sleeps

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


class _Worker:
    """A thread that computes what comes into its mailbox, pinned: unpinned, two may share a processor for milliseconds."""

    def __init__(self, home: int | None) -> None:
        self.home = home
        self.memory = np.zeros(2 * c.BLOCK // c.WORD, np.int64)
        self.mailbox = _aligned(self.memory)
        self.asleep = False
        self._calls: SimpleQueue[None] = SimpleQueue()
        threading.Thread(target=self._serve, name=f"intsim-{home}", daemon=True).start()

    def wake(self) -> None:
        """Let it look into its mailbox again."""
        self.asleep = False  # further callers need not wake it, too
        self._calls.put(None)

    def _serve(self) -> None:
        from .emitted_crew import serve

        if self.home is not None:
            with suppress(OSError):  # where the system forbids it, the worker stays unpinned
                os.sched_setaffinity(0, {self.home})  # 0: the calling thread
        turns = _turns(lambda turns: serve(self.mailbox, turns))
        while True:
            serve(self.mailbox, turns)
            self.asleep = True
            with suppress(Empty):
                self._calls.get(timeout=AWAKE)  # a caller may have looked before that, and posted after it
                continue
            if serve(self.mailbox, 1) == 0:
                self._calls.get()  # what is posted before a caller sees it is computed by the caller


def _turns(serve: Callable[[int], int]) -> int:
    """How many turns of waiting take AWAKE; the best of some trials, as others may use the processor meanwhile."""
    trial, seconds = 1000, float("inf")
    serve(1)  # compiles it
    for _ in range(10):
        start = time.perf_counter()
        serve(trial)
        seconds = min(seconds, time.perf_counter() - start)
    return int(trial * AWAKE / seconds) + 1


class _Crew:
    """The memory of one calling thread, as `crew` describes it, and the workers of its parts."""

    def __init__(self, workers: list[_Worker]) -> None:
        from .emitted_crew import gather

        self.gather = gather
        self.workers = workers
        self.memory = np.zeros(((len(workers) + 2) * c.BLOCK + c.LARGEST) // c.WORD, np.int64)
        self.address = _aligned(self.memory)
        room = self.address + (len(workers) + 1) * c.BLOCK
        self._set(self.address, {c.PARTS: len(workers) + 1, c.SLEEP: _SLEEP, c.ROOM: room})
        for part, worker in enumerate(workers, 1):
            self._set(self.address + part * c.BLOCK, {c.MAILBOX: worker.mailbox, c.ARGUMENTS: room})

    def _set(self, address: int, words: dict[int, int]) -> None:
        for at, value in words.items():
            self.memory[(address + at - self.memory.ctypes.data) // c.WORD] = value

    def wake(self) -> None:
        """Wake those who sleep."""
        for worker in self.workers:
            if worker.asleep:
                worker.wake()


def _aligned(memory: IntArray) -> int:
    """The first address in it that begins a cache line."""
    return -(-memory.ctypes.data // c.BLOCK) * c.BLOCK


class _Team(threading.local):
    """The workers of this process, one per processor, and the crews of the calling thread."""

    def __init__(self, workers: list[_Worker]) -> None:
        self._workers, self._by_home = workers, {worker.home: worker for worker in workers}
        self._crews: dict[tuple[int, int | None], _Crew] = {}

    def crew(self, parts: int) -> _Crew:
        """A crew for so many parts; the worker on the caller's processor comes last, as it would wait."""
        here = _GETCPU() if _GETCPU is not None else None
        crew = self._crews.get((parts, here))
        if crew is None:
            own = self._by_home.get(here)
            others = [worker for worker in self._workers if worker is not own]
            workers = list(islice(cycle([*others, own] if own is not None else others), parts - 1))
            crew = self._crews[parts, here] = _Crew(workers)
        return crew


def _function(name: str) -> Any:
    """A function of the C library; None where there is none."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError, TypeError):  # not Linux, not Unix
        return None


_GETCPU: Callable[[], int] | None = _function("sched_getcpu")  # the processor that runs the calling thread
_SLEEP: int = ctypes.cast(_function("usleep"), ctypes.c_void_p).value or 0 if _function("usleep") else 0


@cache
def _team() -> _Team:
    """The team of this process. Two simultaneous first callers may create two; the one that is not cached stays idle."""
    homes = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [None] * available()
    return _Team([_Worker(home) for home in homes])


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_team.cache_clear)  # a forked child does not have its parent's threads


def over_rows(kernel: Callable[[int, int, int, *Arguments], int], rows: int, *arguments: *Arguments) -> int:
    """Call ``kernel(crew, start, stop, *arguments)`` over all rows; the first row that could not be computed, or -1.

    A kernel begins with ``stop = own_rows(crew, start, stop)`` and returns the first row of its range that it could not
    compute, or -1. The calling thread computes the first part itself, and whatever no worker has taken by then. Any number
    of threads may call at once: they share the workers. Raises RuntimeError if a kernel raises an exception elsewhere.
    """
    parts = min(_threads.get() or available(), rows)
    if parts <= 1 or not compiles():
        return kernel(c.ALONE, 0, rows, *arguments)
    crew = _team().crew(parts)
    crew.wake()
    first = -1
    try:
        first = kernel(crew.address, 0, rows, *arguments)
    finally:  # no worker writes to the arrays after this returns
        others = crew.gather(crew.address)
    if others == c.FAILED:
        raise RuntimeError(f"{kernel}: an exception in another thread")
    return first if first >= 0 else others
