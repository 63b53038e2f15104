"""A differential campaign: random calls of every operator and random graphs, seed by seed, each computed twice.

The fast implementation is held to the reference, or a device to it: a command that reads vectors on its standard input and
writes them with its answers, as `intsim vectors check` takes them. Every failure is shrunk and kept in a file that shows it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..arith import IntArray
from ..cluster import Work, parallel
from ..dialects import DIALECTS, Dialect
from ..engine.graph import Graph
from ..engine.interpreter import run
from ..errors import FileError, GraphError, IntsimError
from ..ops import REGISTRY
from ..storage.files import replacing
from ..storage.model_file import save
from ..testing.arguments import Domain
from ..testing.calls import Call
from ..testing.checking import Tally, searched
from ..testing.failures import Fault, judged
from .device import document_of, judge_device

GRAPHS = "graphs"


@dataclass(frozen=True)
class Task:
    """One seed of one operator in one dialect, or of random graphs."""

    what: str
    dialect: str | None
    seed: int
    examples: int
    device: str = ""


@dataclass(frozen=True)
class Failure:
    """What differs: operator or ``graphs``, dialect, seed, the call in Python or the node, and the file that shows it."""

    what: str
    dialect: str | None
    seed: int
    text: str
    file: str = ""


@dataclass(frozen=True)
class Campaign:
    """The outcome: how many calls and graphs were computed twice, what the device does not support, and failures."""

    calls: int
    graphs: int
    unsupported: int
    failures: tuple[Failure, ...]

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return {**vars(self), "failures": [vars(failure) for failure in self.failures]}


def campaign(
    seeds: Sequence[int],
    folder: str | Path,
    *,
    operators: Sequence[str] = (),
    graphs: bool = True,
    examples: int = 50,
    device: str = "",
    cluster: str = "local",
    progress: Callable[[str], None] = lambda what: None,
) -> Campaign:
    """Compute random calls and graphs twice, for every seed, and keep what differs in `folder`.

    Of each of the `operators` (none: all) `examples` calls a seed and dialect are made, and a tenth as many graphs. With
    `device`, a command, its answers to generated vectors are compared instead, and no graphs. Raises IntsimError for an
    operator that there is none of, or a device that does not answer.
    """
    if unknown := [name for name in operators if name not in REGISTRY]:
        raise IntsimError(f"there is no operator {unknown[0]!r}; there are: {', '.join(sorted(REGISTRY))}")
    if type(examples) is not int or examples < 1:
        raise IntsimError(f"examples={examples!r}: an integer of at least 1 is expected")
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise FileError(f"{folder}: is not a folder; failures are kept in one")
    tasks = [
        Task(name, dialect, seed, examples, device)
        for seed in seeds
        for name in operators or sorted(REGISTRY)
        for dialect in (DIALECTS if REGISTRY[name].choices else (None,))
    ]
    if graphs and not device and not operators:
        tasks += [Task(GRAPHS, None, seed, max(1, examples // 10)) for seed in seeds]
    calls = drawn = unsupported = 0
    failures = []
    for done in parallel(Work(_do, _begin), tasks, cluster):
        task = tasks[done.index]
        if done.error:
            raise IntsimError(f"{task.what}, seed {task.seed}: {done.error}")
        tried, left, found = done.value
        calls, drawn = (calls, drawn + tried) if task.what == GRAPHS else (calls + tried, drawn)
        unsupported += left
        if found is not None:
            failures.append(_kept(folder, task, *found))
        progress(task.what)
    return Campaign(calls, drawn, unsupported, tuple(sorted(failures, key=lambda f: (f.what, f.dialect or "", f.seed))))


def _kept(folder: Path, task: Task, text: str, files: dict[str, bytes]) -> Failure:
    """Write the files of a failure, and say where."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = "-".join(str(part) for part in (task.what, task.dialect, task.seed) if part is not None)
    for suffix, content in files.items():
        with replacing(folder / f"{stem}{suffix}") as temporary:
            temporary.write_bytes(content)
    with replacing(folder / f"{stem}.txt") as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return Failure(task.what, task.dialect, task.seed, text, str(folder / f"{stem}.txt"))


# --- in a worker --------------------------------------------------------------------------------------------------------

Outcome = tuple[int, int, tuple[str, dict[str, bytes]] | None]  # tried, unsupported, and text and files of a failure


def _begin() -> None:
    return None


def _do(state: None, task: Task) -> Outcome:
    if task.what == GRAPHS:
        return _graphs(task)
    dialect = None if task.dialect is None else DIALECTS[task.dialect]
    return judge_device(task.device, task.what, dialect, task.seed) if task.device else _calls(task, dialect)


def _calls(task: Task, dialect: Dialect | None) -> Outcome:
    """Calls of an operator, fast against reference."""
    operator, tally = REGISTRY[task.what], Tally()
    argument = {} if dialect is None else {"dialect": dialect}

    def judge(call: Call) -> Fault | None:
        return judged(call, lambda *x, **p: operator(*x, **p, **argument), 0)

    fault = searched(
        Domain.of(task.what, dialect, None, None, {}), judge, task.examples, tally=tally, number=task.seed + 1000
    )
    if fault is None:
        return tally.tried, 0, None
    text = str(fault.counterexample("the fast implementation"))
    return tally.tried, 0, (text, {".json": document_of([fault.call]).text().encode() + b"\n"})


class _DiffersError(Exception):
    """A graph whose fused run differs."""


def _graphs(task: Task) -> Outcome:
    """Random graphs, fused and fast against node by node and reference; Hypothesis shrinks the one that differs."""
    from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
    from hypothesis import strategies as st

    from ..testing.strategies import graphs as strategy

    last: list[tuple[Graph, IntArray, str]] = []
    tried = [0]

    @seed(task.seed)
    @settings(
        max_examples=task.examples,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
        report_multiple_bugs=False,
    )
    @given(strategy(), st.integers(0, 2**32 - 1))
    def compare(graph: Graph, number: int) -> None:
        tried[0] += 1
        picture = np.random.default_rng(number).integers(0, 256, graph.tensors[graph.input.name].shape, np.uint8)
        if problem := _graph_problem(graph, picture):
            last[:] = [(graph, picture, problem)]
            raise _DiffersError

    try:
        compare()
    except _DiffersError:
        graph, picture, problem = last[0]
        return tried[0], 0, (problem, _files(graph, picture))
    return tried[0], 0, None


def _graph_problem(graph: Graph, picture: IntArray) -> str:
    """How the fused run of a graph differs from its reference; "" where it does not."""
    try:
        due = run(graph, picture, face="ref")
    except GraphError as error:
        try:
            run(graph, picture)
        except GraphError as own:
            return "" if str(own) == str(error) else f"the fused run raises {own}, the reference {error}"
        return f"the reference raises {error}, the fused run does not"
    try:
        found = run(graph, picture)
    except GraphError as error:
        return f"the fused run raises {error}, the reference does not"
    if np.array_equal(found, due):
        return ""
    return f"{graph.output.name}: {int((found != due).sum())} of {due.size} elements differ from the reference"


def _files(graph: Graph, picture: IntArray) -> dict[str, bytes]:
    """A graph and its picture as files."""
    with tempfile.TemporaryDirectory(prefix="intsim-") as folder:
        model, image = Path(folder) / "model.h5", Path(folder) / "picture.npy"
        save(graph, model)
        np.save(image, picture)
        return {".h5": model.read_bytes(), ".npy": image.read_bytes()}
