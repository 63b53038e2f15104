"""A reason as data: the rules that were broken, where, and how much of a wrong tensor that explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .region import Region
from .segment import Attempt


@dataclass(frozen=True)
class Sameness:
    """What is known of a rule and the first one that explains a tensor, at their node: `proved` the same for all inputs, or
    `differing` elements of those that were `tried` on random inputs.
    """

    proved: bool
    tried: int
    differing: int

    @property
    def says(self) -> str:
        """In words."""
        if self.proved:
            return "is proved the same for all inputs of this node"
        if not self.differing:
            return f"is the same in all of {self.tried:,} elements of random inputs"
        return f"differs in {self.differing:,} of {self.tried:,} elements of random inputs"

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return {"proved": self.proved, "tried": self.tried, "differing": self.differing}


@dataclass(frozen=True)
class Candidate:
    """An attempt to explain a tensor: the rules broken, and how many elements that reproduces.

    `region`: the rules are broken there alone, and hold elsewhere. `says`: what was found, where it is no rule. `same`, of
    another than the first candidate: what is known of both.
    """

    broken: Attempt
    reproduced: int
    total: int
    wrong_reproduced: int  # of the elements that differ from the reference
    wrong: int
    region: Region | None = None
    says: str = ""
    same: Sameness | None = None

    @property
    def changed(self) -> int:
        """How many right elements it would change."""
        return self.total - self.wrong - (self.reproduced - self.wrong_reproduced)

    @property
    def share(self) -> float:
        """The share of elements reproduced."""
        return self.reproduced / self.total

    @property
    def fits(self) -> bool:
        """Whether every element is reproduced."""
        return self.reproduced == self.total

    @property
    def name(self) -> str:
        """The rules by name."""
        return " and ".join(b.rule.name for b in self.broken)

    def label(self, tensor: str) -> str:
        """The rules by name, each with its node where that is not `tensor`, and their region."""
        rules = " and ".join(b.rule.name + (f" at {b.node}" if b.node != tensor else "") for b in self.broken)
        return f"{rules} in {self.region}" if self.region is not None else rules

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "rule": self.name,
            "nodes": [b.node for b in self.broken],
            "share": self.share,
            "reproduced": self.reproduced,
            "total": self.total,
            "share_of_differing": self.wrong_reproduced / self.wrong,
            "region": str(self.region) if self.region is not None else None,
            "same": self.same.record() if self.same is not None else None,
        }


@dataclass(frozen=True)
class Explanation:
    """Why a tensor is wrong: the candidates that reproduce it exactly, most likely first; where there is none, the closest.

    `tensor` is the dumped tensor, `tried` the number of alternatives that were computed.
    """

    tensor: str
    fits: tuple[Candidate, ...]
    best: tuple[Candidate, ...]
    tried: int
    known: str = ""  # where it is wrong and by how much, for a tensor that nothing explains

    @property
    def culprit(self) -> str:
        """The node whose rule was broken, of several the last; the tensor itself where nothing explains it."""
        return self.fits[0].broken[-1].node if self.fits else self.tensor

    def sentence(self) -> str:
        """The explanation in one line."""
        if self.fits:
            first = self.fits[0]
            if first.says:
                return first.says
            rules = " and ".join(f"{b.rule}" + (f" at {b.node}" if b.node != self.tensor else "") for b in first.broken)
            if first.region is not None:
                return f"the output equals {rules} in {first.region} (every wrong element), and is right elsewhere"
            return f"the output equals {rules} on 100% of {first.total:,} elements"
        if not self.tried:
            return self.known or "not explained: the device's inputs have values outside their formats"
        if not self.best:
            return f"no rule explains it: none of {self.tried:,} reproduces half of the wrong elements; {self.known}"
        near = ", ".join(_nearly(c, self.tensor) for c in self.best)
        return (
            f"no rule explains it; of the {self.best[0].wrong:,} wrong elements these reproduce most: {near}; {self.known}"
        )

    def record(self) -> dict[str, Any]:
        """As plain data."""
        first = self.fits[0] if self.fits else None
        return {
            "name": self.culprit,
            "tensor": self.tensor,
            "rule": first.name if first else None,
            "share": first.share if first else None,
            "reproduced": first.reproduced if first else None,
            "total": first.total if first else None,
            "nodes": [b.node for b in first.broken] if first else [],
            "equivalent": [c.record() for c in self.fits[1:]],
            "best": [c.record() for c in self.best],
            "tried": self.tried,
            "region": str(first.region) if first and first.region is not None else None,
            "known": self.known,
            "sentence": self.sentence(),
        }


def _nearly(candidate: Candidate, tensor: str) -> str:
    """A rule that explains a part, and what speaks against it."""
    share = f"{candidate.wrong_reproduced / candidate.wrong:.1%}"
    against = f", but changes {candidate.changed:,} right ones" if candidate.changed else ""
    return f"{candidate.label(tensor)} ({share}{against})"
