"""The mutation score of vectors: how many wrong implementations at least one case distinguishes from the reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..cluster import Work, parallel
from ..dialects import Dialect
from ..errors import FileError
from .document import Document, checked, parse
from .mutation import Mutant, Subject, mutants


@dataclass(frozen=True)
class Score:
    """The result for every mutant: `killed` with the ids of the cases that distinguish it, `survived`, or `equivalent`.

    Equivalent mutants do not count. Only the first killer is given unless all were asked for.
    """

    op: str
    dialect: str
    cases: int
    killed: dict[str, tuple[int, ...]]
    survived: tuple[Mutant, ...]
    equivalent: tuple[Mutant, ...]

    @property
    def counted(self) -> int:
        """The mutants that count."""
        return len(self.killed) + len(self.survived)

    @property
    def share(self) -> float:
        """The share of counted mutants that are killed, 0 to 1."""
        return len(self.killed) / self.counted if self.counted else 1.0

    def record(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        return {
            "op": self.op,
            "dialect": self.dialect,
            "cases": self.cases,
            "mutants": self.counted,
            "score": self.share,
            "killed": {name: list(cases) for name, cases in self.killed.items()},
            "survived": [mutant.name for mutant in self.survived],
            "equivalent": {mutant.name: mutant.equivalent for mutant in self.equivalent},
        }


def scored(texts: Sequence[tuple[str, str]], every: bool = False, cluster: str = "local:1") -> list[tuple[str, Score]]:
    """The scores of documents, each a text and its name, in their order; `cluster` is that of `intsim.cluster.parallel`."""
    found: dict[int, Score] = {}
    for done in parallel(Work(_do, _begin), [(text, name, every) for text, name in texts], cluster):
        if done.error:
            raise FileError(done.error)
        found[done.index] = _whole(*done.value)
    return [(name, found[i]) for i, (_, name) in enumerate(texts)]


def _begin() -> None:
    return None


def _do(
    state: None, task: tuple[str, str, bool]
) -> tuple[str, Dialect, int, dict[str, tuple[int, ...]], list[str], list[str]]:
    """In a worker: the score of a document, mutants by their names."""
    text, name, every = task
    document = checked(parse(text, name), name)
    one = score(document, every)
    survived, equivalent = [m.name for m in one.survived], [m.name for m in one.equivalent]
    return one.op, document.dialect, one.cases, dict(one.killed), survived, equivalent


def _whole(
    op: str, dialect: Dialect, cases: int, killed: dict[str, tuple[int, ...]], survived: list[str], equivalent: list[str]
) -> Score:
    named = {mutant.name: mutant for mutant in mutants(op, dialect)}
    left = (tuple(named[name] for name in names) for names in (survived, equivalent))
    return Score(op, dialect.name, cases, killed, *left)


def score(document: Document, every: bool = False, progress: Callable[[], object] = lambda: None) -> Score:
    """The score of a document whose answers are the reference's (`checked`); with `every`, all killers of each mutant.

    A mutant listed as equivalent counts as killed if a case distinguishes it after all.
    """
    candidates = mutants(document.op, document.dialect)
    alive = {mutant.name: mutant for mutant in candidates}
    killers: dict[str, list[int]] = {}
    for case in document.cases:
        progress()
        subject = Subject(document.op, document.dialect, case)
        for name in [name for name in alive if subject.kills(name)]:
            killers.setdefault(name, []).append(case.id)
            if not every:
                del alive[name]
    remaining = [mutant for mutant in candidates if mutant.name not in killers]
    return Score(
        document.op,
        document.dialect.name,
        len(document.cases),
        {mutant.name: tuple(killers[mutant.name]) for mutant in candidates if mutant.name in killers},
        tuple(mutant for mutant in remaining if not mutant.equivalent),
        tuple(mutant for mutant in remaining if mutant.equivalent),
    )
