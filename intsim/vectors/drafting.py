"""Shared by the makers of cases: a draft that answers cases as they are added, and random numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..dialects import Dialect
from .document import Case, answer

I8, I16, I32 = (-128, 127), (-(2**15), 2**15 - 1), (-(2**31), 2**31 - 1)


class Draws:
    """Random integers from a linear congruential generator: reproducible on any machine."""

    def __init__(self, seed: int) -> None:
        self.state = seed % 2**64

    def one(self, low: int, high: int) -> int:
        """An integer in ``[low, high]``."""
        self.state = (6364136223846793005 * self.state + 1442695040888963407) % 2**64
        return low + (self.state >> 31) % (high - low + 1)

    def some(self, count: int, ends: tuple[int, int]) -> list[int]:
        """`count` integers between two ends, both included."""
        return [self.one(*ends) for _ in range(count)]

    def nested(self, shape: Sequence[int], ends: tuple[int, int]) -> Any:
        """Nested lists of random integers of a shape."""
        return nested(self.some(math.prod(shape), ends), shape)


def nested(flat: list[Any], shape: Sequence[int]) -> Any:
    """A flat list as nested lists of a shape."""
    for size in reversed(shape[1:]):
        flat = [flat[i : i + size] for i in range(0, len(flat), size)]
    return flat


class CaseDraft:
    """The cases of one document so far."""

    def __init__(self, op: str, dialect: Dialect, level: int, seed: int, nodes: Mapping[str, Mapping[str, Any]]) -> None:
        self.op, self.dialect, self.level = op, dialect, level
        self.nodes = nodes  # the parameters of a model's nodes of this operator, by name
        self.draws = Draws(seed)
        self.cases: list[Case] = []

    @property
    def long(self) -> bool:
        """Whether the cases may be many and long."""
        return self.level > 1

    def add(self, flags: str, note: str = "", /, **args: Any) -> None:
        """One case; `flags` are separated by spaces."""
        expected = answer(self.op, args, self.dialect)
        self.cases.append(Case(len(self.cases) + 1, tuple(dict.fromkeys(flags.split())), note, args, expected))

    def refuse(self, good: Mapping[str, Any], *wrong: Mapping[str, Any]) -> None:
        """One case per entry of `wrong`, which replaces some of the good arguments."""
        for given in wrong:
            self.add("OutOfRange", " ".join(given), **{**good, **given})
