"""Worker processes on this machine."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from .tasks import ATTEMPTS, Done, Work, performed

AHEAD = 2  # tasks for each worker that are handed out before they are asked for


class Local:
    """So many worker processes; with one, tasks are done in this process."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def run(self, work: Work, tasks: Sequence[Any]) -> Iterator[Done]:
        if self.workers == 1:
            for index, task in enumerate(tasks):
                yield Done(index, *performed(work, task))
            return
        attempts = dict.fromkeys(range(len(tasks)), 0)
        left = list(reversed(range(len(tasks))))
        while left:
            yield from self._with_a_pool(work, tasks, left, attempts)

    def _with_a_pool(self, work: Work, tasks: Sequence[Any], left: list[int], attempts: dict[int, int]) -> Iterator[Done]:
        """Do tasks until none is left or a worker vanishes, which ends the whole pool; then what was begun is left again."""
        context = multiprocessing.get_context("spawn")
        begun: dict[Future[tuple[Any, str]], int] = {}
        pool = ProcessPoolExecutor(self.workers, mp_context=context)
        try:
            while left or begun:
                while left and len(begun) < AHEAD * self.workers:
                    begun[pool.submit(performed, work, tasks[left[-1]])] = left[-1]
                    left.pop()
                for future in wait(begun, return_when=FIRST_COMPLETED).done:
                    value, error = future.result()
                    yield Done(begun.pop(future), value, error)
        except BrokenProcessPool:
            for index in sorted(begun.values(), reverse=True):
                attempts[index] += 1
                if attempts[index] < ATTEMPTS:
                    left.append(index)
                else:
                    yield Done(index, error=f"its worker vanished {ATTEMPTS} times; is there enough memory?")
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
