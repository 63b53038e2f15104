"""What a worker does, and the choice of an engine."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

from ..errors import IntsimError, printable
from .pipes import writing_to_what_has_ended

ATTEMPTS = 3  # of a task whose worker vanishes
EXTRA = {"dask": "distributed", "slurm": "submitit"}
FORMS = "local, local:N, dask:ADDRESS, slurm, or slurm:local (jobs as processes of this machine)"


@dataclass(frozen=True)
class Work:
    """What every worker can do: `do(state, task)`, where `state` is what `begin(*begun)` returned once in its process.

    Functions are those of modules, which workers import; `begun` and tasks are plain data, such as paths of files that all
    workers see.
    """

    do: Callable[[Any, Any], Any]
    begin: Callable[..., Any]
    begun: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Done:
    """The outcome of the task with number `index`: its `value`, or in `error` the one line that says why there is none."""

    index: int
    value: Any = None
    error: str = ""


class Engine(Protocol):
    """Runs tasks on workers."""

    def run(self, work: Work, tasks: Sequence[Any]) -> Iterator[Done]:
        """The outcomes, in any order, each once."""
        ...


def parallel(work: Work, tasks: Sequence[Any], cluster: str = "local") -> Iterator[Done]:
    """The outcomes of all tasks as they come, in any order.

    `cluster` is ``local`` or ``local:N`` (worker processes on this machine, by default one per processor), ``dask:ADDRESS``
    of a scheduler (extra ``cluster``), ``slurm`` for an array of jobs, or ``slurm:local`` for such jobs as processes. A task
    that raises an IntsimError is done, with that error; one whose worker vanishes is tried again, three times in all.

    Raises IntsimError for a cluster that is none, that is not installed, or that does not answer.
    """
    found = engine(cluster, len(tasks))
    with writing_to_what_has_ended():
        yield from found.run(work, tasks)


def require_cluster(cluster: str) -> None:
    """Raise IntsimError unless `cluster` names one whose package is installed; nothing is started."""
    engine(cluster, 1)


def engine(cluster: str, tasks: int) -> Engine:
    """The engine that a text names."""
    kind, colon, rest = cluster.partition(":")
    if kind in EXTRA and find_spec(EXTRA[kind]) is None:
        raise IntsimError(f"{kind} needs {EXTRA[kind]}: pip install 'intsim[cluster]'")
    if kind == "local" and (not colon or (rest.isdecimal() and int(rest) > 0)):
        from .local import Local

        return Local(min(int(rest) if rest else processors(), max(1, tasks)))
    if kind == "dask" and rest:
        from .dask import Dask

        return Dask(rest)
    if kind == "slurm" and (not colon or rest == "local"):
        from .slurm import Slurm

        return Slurm("local" if rest else "slurm")
    raise IntsimError(f"cluster {cluster!r} is none of {FORMS}")


def processors() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_each(cluster: str) -> int | None:
    """The threads that a task of a cluster should use for itself; None: all that it has. Processes on this machine share its
    processors, a worker of Dask does a task in each of its threads, a job of Slurm one after the other.
    """
    kind, _, rest = cluster.partition(":")
    if kind == "local":
        return max(1, processors() // int(rest)) if rest else 1
    return None if cluster == "slurm" else 1


_STATES: dict[Any, Any] = {}  # of this process, by the work that began it
_BEGINNING = threading.Lock()  # a worker of Dask has several threads


def performed(work: Work, task: Any) -> tuple[Any, str]:
    """In a worker: the value of a task, or the error that it raised. The work begins with the first task."""
    key = (work.begin, work.begun)
    try:
        with _BEGINNING:
            if key not in _STATES:
                _STATES.clear()  # a worker that is used for other work keeps no model in memory
                _STATES[key] = work.begin(*work.begun)
            state = _STATES[key]
        return work.do(state, task), ""
    except IntsimError as error:
        return None, printable(str(error))
    except OSError as error:
        return None, printable(f"{error.filename or task}: {error.strerror or error}")
