"""A Dask cluster, by the address of its scheduler. Workers that vanish are Dask's to replace; a scheduler that restarts has
forgotten everything, and is given again what is not done.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any

from distributed import Client, as_completed
from distributed.scheduler import KilledWorker

from ..errors import IntsimError
from .tasks import ATTEMPTS, Done, Work, performed

ANSWERS = 10.0  # seconds that a scheduler has to answer at first
RETURNS = 120.0  # seconds that one which has gone has to come back
AHEAD = 4  # tasks for each thread of the cluster that are handed out before they are asked for


class Dask:
    """A cluster by its scheduler's address."""

    def __init__(self, address: str) -> None:
        self.address = address
        logging.getLogger("distributed").setLevel(logging.CRITICAL)

    def run(self, work: Work, tasks: Sequence[Any]) -> Iterator[Done]:
        left = dict.fromkeys(range(len(tasks)))
        attempts = dict.fromkeys(left, 0)
        client, vain = self._connected(ANSWERS), 0
        try:
            while left:
                try:
                    for done in self._with_a_client(client, work, tasks, list(left), attempts):
                        del left[done.index]
                        vain = 0
                        yield done
                except _GoneError as error:
                    vain += 1
                    if vain == ATTEMPTS:
                        raise IntsimError(f"dask:{self.address}: lost {ATTEMPTS} times without a result: {error}") from None
                    client = self._connected(RETURNS)
        finally:
            client.close()

    def _connected(self, seconds: float) -> Client:
        """A client, with workers; IntsimError where nobody answers in time."""
        host, _, port = self.address.removeprefix("tcp://").rpartition(":")
        if not host or not port.isdecimal():
            raise IntsimError(f"dask:{self.address}: HOST:PORT of a scheduler is expected")
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                with socket.create_connection((host, int(port)), timeout=max(0.1, min(2.0, left))):
                    pass
                client = Client(self.address, timeout=max(1.0, left), set_as_default=False)
                client.wait_for_workers(1, timeout=max(1.0, end - time.monotonic()))
                return client
            except (OSError, TimeoutError):  # nobody yet, or no workers
                time.sleep(0.2)
        raise IntsimError(
            f"dask:{self.address}: no scheduler with workers answers within {seconds:.0f} s; is the cluster running?"
        )

    def _with_a_client(
        self, client: Client, work: Work, tasks: Sequence[Any], left: list[int], attempts: dict[int, int]
    ) -> Iterator[Done]:
        """Do what is left; `_GoneError` where the scheduler vanishes."""
        order = iter(left)
        begun: dict[Any, int] = {}
        most = AHEAD * max(1, sum(client.nthreads().values()))
        waiting = as_completed(loop=client.loop)

        def begin(index: int) -> None:
            future = client.submit(performed, work, tasks[index], pure=False)
            begun[future.key] = index
            waiting.add(future)

        for _, index in zip(range(most), order, strict=False):
            begin(index)
        try:
            for future in waiting:
                index = begun.pop(future.key)
                try:
                    value, error = future.result(timeout=ANSWERS)
                except KilledWorker:
                    attempts[index] += 1
                    if attempts[index] < ATTEMPTS:
                        begin(index)
                        continue
                    value, error = None, f"its worker vanished {ATTEMPTS} times; is there enough memory?"
                yield Done(index, value, error)
                if (following := next(order, None)) is not None:
                    begin(following)
        except IntsimError:
            raise
        except Exception as error:  # what Dask raises when its scheduler goes has no one type
            if client.status == "running" and not _is_lost(error):
                raise
            client.close(timeout=1)
            raise _GoneError(f"{type(error).__name__}: {error}") from None


def _is_lost(error: Exception) -> bool:
    """Whether an error means that the scheduler has forgotten the tasks."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"CancelledError", "FutureCancelledError", "CommClosedError", "TimeoutError", "OSError"})


class _GoneError(Exception):
    """The scheduler has gone."""
