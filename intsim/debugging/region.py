"""Where a tensor is wrong: the places along each axis, in words that name a tile, a head, every fourth lane.

A region is the smallest product of places, one set along every axis, that holds all wrong elements.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..arith import IntArray
from .compare import axis_names

LISTED = 6  # places or ranges of one axis that are listed


@dataclass(frozen=True)
class Region:
    """Part of a tensor of `shape`: for each axis the places along it, ascending, or None where they are all."""

    shape: tuple[int, ...]
    places: tuple[tuple[int, ...] | None, ...]

    @classmethod
    def around(cls, wrong: NDArray[np.bool_]) -> Region:
        """The region of the elements that are set."""
        axes = range(wrong.ndim)
        return cls.of_counts([np.count_nonzero(wrong, axis=tuple(a for a in axes if a != axis)) for axis in axes])

    @classmethod
    def of_counts(cls, counts: Sequence[IntArray]) -> Region:
        """The region of the elements that are counted: for each axis, how many there are at every place along it."""
        found = [np.flatnonzero(along) for along in counts]
        places = (None if len(at) == len(along) else tuple(at.tolist()) for at, along in zip(found, counts, strict=True))
        return cls(tuple(len(along) for along in counts), tuple(places))

    @property
    def whole(self) -> bool:
        """Whether it is the whole tensor."""
        return all(at is None for at in self.places)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(
            np.prod([n if at is None else len(at) for n, at in zip(self.shape, self.places, strict=True)], dtype=object)
        )

    def of(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """The elements of `values` in it, with the same axes."""
        part = values
        for axis, at in enumerate(self.places):
            if at is not None:
                part = part.take(at, axis=axis)
        return part

    def roughly(self) -> Region:
        """The region with places that are nearly a range, or nearly all, taken so: for telling where to look."""
        places = []
        for at, length in zip(self.places, self.shape, strict=True):
            span = range(at[0], at[-1] + 1) if at else range(0)
            dense = at is None or 2 * len(at) < len(span) or len(at) < 3
            places.append(at if dense else None if 10 * len(span) > 9 * length else tuple(span))
        return replace(self, places=tuple(places))

    def widened(self, holds: Callable[[Region], bool]) -> Region:
        """The region with every axis taken whole, or as one range, where that still `holds`: elements that are right by
        chance do not cut it into pieces.
        """
        region = self
        for axis, at in enumerate(self.places):
            if at is None:
                continue
            for wider in (None, tuple(range(at[0], at[-1] + 1))):
                tried = replace(region, places=(*region.places[:axis], wider, *region.places[axis + 1 :]))
                if wider != at and holds(tried):
                    region = tried
                    break
        return region

    def __str__(self) -> str:
        names = axis_names(self.shape)
        if self.size == 1 and len(self.shape) > 1:
            return f"element {[at[0] if at else 0 for at in self.places]}"
        named = [along(name, at, n) for name, at, n in zip(names, self.places, self.shape, strict=True) if at is not None]
        return " of ".join(reversed(named)) if named else "everywhere"


def along(name: str, at: tuple[int, ...], length: int) -> str:
    """The places along one axis: ``row 3``, ``columns 64..511``, ``every 4th column from 3 on``, ``rows but 0``."""
    if len(at) == 1:
        return f"the last {name} ({at[0]})" if at[0] == length - 1 and length > 2 else f"{name} {at[0]}"
    steps = np.diff(at)
    if len(at) > 2 and (steps == steps[0]).all() and steps[0] > 1:
        step, last = int(steps[0]), at[-1] + int(steps[0]) < length
        upto = f" up to {at[-1]}" if last else ""
        return f"every {_ordinal(step)} {name} from {at[0]} on{upto}"
    if len(at) >= length - 2 and length > 4:
        left_out = sorted(set(range(length)) - set(at))
        return f"all {name}s but {' and '.join(map(str, left_out))}"
    ranges = _ranges(at)
    shown = [f"{a}..{b}" if b > a else str(a) for a, b in ranges[:LISTED]]
    more = f", ... ({len(at)} in all)" if len(ranges) > LISTED else ""
    return f"{name}s {', '.join(shown)}{more}"


def _ranges(at: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending places as ranges, both ends included."""
    cuts = [i for i in range(1, len(at)) if at[i] != at[i - 1] + 1]
    return [(at[i], at[k - 1]) for i, k in zip([0, *cuts], [*cuts, len(at)], strict=True)]


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return "2nd" if number == 2 else f"{number}{ending}"
