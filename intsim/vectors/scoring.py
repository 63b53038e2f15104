"""The mutation score of vectors: how many wrong implementations at least one case tells from the right one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .document import Document
from .mutation import Mutant, Subject, mutants


@dataclass(frozen=True)
class Score:
    """What became of every mutant: `killed` by the ids of the cases that tell it, or `survived`; `equivalent` ones do not
    count. Unless all killers were asked for, only the first is given.
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
        """The killed ones among them, 0 to 1."""
        return len(self.killed) / self.counted if self.counted else 1.0

    def record(self) -> dict[str, Any]:
        """As plain data for ``--json``."""
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


def score(document: Document, every: bool = False, progress: Callable[[], object] = lambda: None) -> Score:
    """The score of a document whose answers are the reference's (`checked`); with `every`, all killers of each mutant.

    An equivalent mutant that a case tells apart is no equivalent one: it counts as killed.
    """
    wanted = mutants(document.op, document.dialect)
    alive = {mutant.name: mutant for mutant in wanted}
    killers: dict[str, list[int]] = {}
    for case in document.cases:
        progress()
        subject = Subject(document.op, document.dialect, case)
        for name in [name for name in alive if subject.tells(name)]:
            killers.setdefault(name, []).append(case.id)
            if not every:
                del alive[name]
    left = [mutant for mutant in wanted if mutant.name not in killers]
    return Score(
        document.op,
        document.dialect.name,
        len(document.cases),
        {mutant.name: tuple(killers[mutant.name]) for mutant in wanted if mutant.name in killers},
        tuple(mutant for mutant in left if not mutant.equivalent),
        tuple(mutant for mutant in left if mutant.equivalent),
    )
