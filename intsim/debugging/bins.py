"""Bins of differences: one for each small difference, larger ones by powers of two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arith import IntArray

SINGLE_BINS = 8  # differences up to this many LSB have a bin each, larger ones are binned by powers of two


@dataclass(frozen=True)
class Bin:
    """How many elements differ by `lo` to `hi` LSB."""

    lo: int
    hi: int
    count: int

    def __str__(self) -> str:
        return f"{self.lo:+d}" if self.lo == self.hi else f"{self.lo:+d}..{self.hi:+d}"


def _edges() -> IntArray:
    """The upper limits of the bins: ..., -17, -9, -8, -7, ..., 8, 16, 32, ..."""
    powers = [SINGLE_BINS << k for k in range(1, 60)]
    return np.array([*(-p - 1 for p in reversed(powers)), *range(-SINGLE_BINS - 1, SINGLE_BINS + 1), *powers], np.int64)


_EDGES = _edges()
BINS = len(_EDGES) + 1


def binned(error: IntArray, lowest: int, highest: int) -> IntArray:
    """How many differences fall into each bin."""
    ends = int(_EDGES[0]) - 1, int(_EDGES[-1]) + 1
    if lowest < ends[0] or highest > ends[1]:
        error = np.clip(error, *ends).astype(np.int64)
        lowest, highest = (min(max(end, ends[0]), ends[1]) for end in (lowest, highest))
    if highest - lowest >= len(error):
        return np.bincount(np.searchsorted(_EDGES, error), minlength=BINS).astype(np.int64)
    counts = np.bincount((error - lowest).astype(np.intp))  # few distinct values: count each of them first
    places = np.searchsorted(_EDGES, np.arange(lowest, highest + 1, dtype=np.int64))
    return np.bincount(places, weights=counts, minlength=BINS).astype(np.int64)


def histogram(counts: IntArray) -> tuple[Bin, ...]:
    """The bins that are not empty, from the counts of all."""
    lows = [int(_EDGES[0]) * 2, *(int(edge) + 1 for edge in _EDGES)]
    highs = [*(int(edge) for edge in _EDGES), int(_EDGES[-1]) * 2]
    return tuple(Bin(lo, hi, int(n)) for lo, hi, n in zip(lows, highs, counts, strict=True) if n)
