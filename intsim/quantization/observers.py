"""Statistics of a tensor's values in calibration: the largest magnitude, and a histogram of magnitudes.

Bins are defined by floating-point bits: the exponent and the first bits of the mantissa of |x|. One pass is therefore enough
for any range and any number of pictures, and every bin is narrow relative to the values in it.
"""

from __future__ import annotations

import math

import numpy as np

from ..arith import AnyArray
from .recipe import MIN_MAX, MSE, PERCENTILE, Observer

MANTISSA_BITS = 9  # of a bin: its width is 2**-9 of the power of two below it
_SHIFT = 52 - MANTISSA_BITS
SMALLEST_EXPONENT = -64  # of 2; smaller magnitudes count as zero
_FIRST = (1023 + SMALLEST_EXPONENT) << MANTISSA_BITS
CANDIDATES = 200  # clipping points tried in the search for the least squared error
NARROWEST = 0.05  # the smallest candidate, relative to the largest magnitude
CHANNEL_CANDIDATES, NARROWEST_CHANNEL = 41, 0.4  # the same for the weights of one channel


def channel_ranges(weight: AnyArray, observer: Observer, top: int) -> AnyArray:
    """The clipping point that `observer` chooses for every row of weights [out, in] and integers up to `top`, [out]."""
    magnitude = np.abs(weight)
    largest = np.asarray(magnitude.max(axis=1))
    if observer.kind == MIN_MAX:
        return largest
    if observer.kind == PERCENTILE:
        clipped = np.quantile(magnitude, observer.percent / 100, axis=1, method="higher")
        return np.asarray(np.where(clipped > 0, clipped, largest))

    def error(part: float) -> AnyArray:
        step = np.where(largest > 0, largest, 1.0)[:, None] * (part / top)
        return np.asarray(((np.minimum(np.rint(magnitude / step), top) * step - magnitude) ** 2).sum(axis=1))

    parts = np.linspace(1.0, NARROWEST_CHANNEL, CHANNEL_CANDIDATES)
    return np.asarray(largest * parts[np.argmin([error(part) for part in parts], axis=0)])


class Magnitudes:
    """The distribution of |x| over everything that was added."""

    def __init__(self) -> None:
        self.largest = 0.0
        self.counts = np.zeros(1, np.int64)

    def add(self, x: AnyArray, counting: bool) -> bool:
        """Add a float64 tensor; without `counting` only its largest magnitude. Returns False where it is not finite."""
        magnitude = np.abs(x)
        largest = float(magnitude.max())
        if not math.isfinite(largest):
            return False
        self.largest = max(self.largest, largest)
        if counting:
            codes = (magnitude.view(np.int64) >> _SHIFT).ravel() - _FIRST + 1
            counts = np.bincount(np.maximum(codes, 0).astype(np.intp)).astype(np.int64)
            longer, shorter = sorted((counts, self.counts), key=len, reverse=True)
            longer[: len(shorter)] += shorter
            self.counts = longer
        return True

    def edges(self) -> AnyArray:
        """The edges of the bins, one more than there are bins; bin 0 contains what counts as zero."""
        codes = np.arange(len(self.counts), dtype=np.int64) + _FIRST
        return np.concatenate([[0.0], (codes << _SHIFT).view(np.float64)])

    def clip(self, observer: Observer, top: int) -> float:
        """The clipping point that `observer` chooses for integers up to `top`; at most the largest magnitude.

        Where so many values are 0 that the percentile is 0, it is replaced by the largest magnitude.
        """
        if observer.kind == MIN_MAX:
            return self.largest
        if observer.kind == MSE:
            return self._least_error(top)
        share = np.cumsum(self.counts) / self.counts.sum()
        within = int(np.searchsorted(share, observer.percent / 100 - 1e-15))
        return min(float(self.edges()[within + 1]), self.largest) if within else self.largest

    def _least_error(self, top: int) -> float:
        """The clipping point with the least squared error of rounding and clipping together.

        Values are taken as uniformly distributed within a bin, for which the squared error of rounding to multiples of d has
        the antiderivative ``k * d**3 / 12 + (x - k*d)**3 / 3`` where k is the integer nearest to x / d, at most `top`.
        """
        edges, used = self.edges(), np.flatnonzero(self.counts)
        low, high = edges[used], np.minimum(edges[used + 1], self.largest)
        counts = self.counts[used]
        wide = high > low  # false where the largest value is the lower edge of its bin
        density = np.where(wide, counts / np.where(wide, high - low, 1), 0.0)

        def error(clip: float) -> float:
            step = clip / top
            a, b = (self._squared(x, step, top) for x in (low, high))
            return float((density * (b - a)).sum())

        candidates = np.linspace(1.0, NARROWEST, CANDIDATES) * self.largest
        return float(min(candidates, key=error))

    @staticmethod
    def _squared(x: AnyArray, step: float, top: int) -> AnyArray:
        nearest = np.minimum(np.rint(x / step), top)
        return nearest * step**3 / 12 + (x - nearest * step) ** 3 / 3
