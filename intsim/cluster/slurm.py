"""Slurm by submitit: an array of jobs, each with a part of the tasks; with its local executor jobs are processes."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import submitit

from ..errors import IntsimError
from .tasks import ATTEMPTS, Done, Work, performed, processors

JOBS = 64  # at most; each starts Python once
POLL = 0.2  # seconds
MINUTES = 24 * 60


class Slurm:
    """An array of jobs; `kind` is submitit's ``slurm`` or ``local``."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def run(self, work: Work, tasks: Sequence[Any]) -> Iterator[Done]:
        logging.getLogger("submitit").setLevel(logging.ERROR)
        folder = Path(mkdtemp(prefix="intsim-jobs-", dir=Path.cwd()))  # where all machines see it
        try:
            executor = submitit.AutoExecutor(folder=folder, cluster=self.kind)
        except (RuntimeError, ValueError) as error:
            folder.rmdir()
            raise IntsimError(f"slurm: {str(error).splitlines()[0]}; use slurm:local to run jobs on this machine") from None
        executor.update_parameters(timeout_min=MINUTES)
        count = min(len(tasks), JOBS if self.kind == "slurm" else processors())
        left = {index: list(range(index, len(tasks), count)) for index in range(count)}
        try:
            for attempt in range(ATTEMPTS):
                parts = [part for part in left.values() if part]
                if not parts:
                    break
                with executor.batch():
                    jobs = [executor.submit(_part, work, part, [tasks[i] for i in part]) for part in parts]
                yield from self._collected(jobs, parts, left, attempt + 1 == ATTEMPTS)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _collected(self, jobs: list[Any], parts: list[list[int]], left: dict[int, list[int]], last: bool) -> Iterator[Done]:
        """The outcomes of jobs; what a job that failed had to do stays left."""
        pending = dict(zip(jobs, parts, strict=True))
        while pending:
            for job in [job for job in pending if job.done()]:
                part = pending.pop(job)
                failed = job.exception()
                if failed is None:
                    for key, own in left.items():
                        if own == part:
                            left[key] = []
                    yield from job.result()
                elif last:
                    reason = str(failed).strip().splitlines()[-1:] or ["it ended"]
                    yield from (Done(index, error=f"its job failed {ATTEMPTS} times: {reason[0]}") for index in part)
            time.sleep(POLL)


def _part(work: Work, indices: Sequence[int], tasks: Sequence[Any]) -> list[Done]:
    """In a job: its part of the tasks."""
    return [Done(index, *performed(work, task)) for index, task in zip(indices, tasks, strict=True)]
