"""Fitting a GELU to what it sees: the clamp, the slope of its sigmoid and the gain of its result with the least error.

The integer GELU is ``x * sigmoid(1.702 x)``, up to 0.02 from GELU in real numbers, and its slope is rounded to a whole x0:
at a scale of 0.13 to 5 where 4.5 is meant. Both are part of every activation, so that their errors add up over a network.
Where the inputs are known, other values of x0 and of the clamp are closer, and a gain in the requantization behind costs
nothing.
"""

from __future__ import annotations

import numpy as np

from ..arith import I8, AnyArray, Format, Gelu
from ..dialects import GELU_SLOPE, Dialect, exponential_x0, gelu_of_x0
from ..ops import REGISTRY
from ..ops.shiftgelu import UNCLAMPED
from .lower import IntegerGelu
from .recipe import FITTED, OFF, SEARCH, Recipe

SLOPES = 1.4, 2.0  # the ends of the search; in real numbers 1.702 is the best for all inputs alike, 1.596 near 0
MOST_SLOPES = 8  # values of x0 that are tried
COARSE = 8  # distance of the clamps that are tried first with each slope


class GeluInputs:
    """Inputs of one GELU: for every pair (quantized input, row maximum) its count and the sum of the exact outputs, in units
    of the inputs' scale.

    The squared error of any integer GELU follows exactly from these 256 x 256 cells, for any number of pictures:
    ``sum((a * out - g)**2) = a**2 * sum(out**2) - 2 * a * sum(out * g) + sum(g**2)``.
    """

    def __init__(self, scale: float, fmt: Format = I8) -> None:
        self.scale, self.fmt = scale, fmt
        self.count = np.zeros((256, 256))
        self.total = np.zeros((256, 256))

    def add(self, x: AnyArray, gelu: AnyArray) -> None:
        """Record rows of real inputs [..., channels] and their GELU."""
        q = np.clip(np.rint(x / self.scale), self.fmt.lo, self.fmt.hi).astype(np.int64) - I8.lo
        cell = (q.max(axis=-1, keepdims=True) * 256 + q).astype(np.intp).ravel()
        self.count += np.bincount(cell, minlength=65536).reshape(256, 256)
        self.total += np.bincount(cell, weights=(gelu / self.scale).ravel(), minlength=65536).reshape(256, 256)

    def best(self, dialect: Dialect, recipe: Recipe) -> IntegerGelu:
        """The integer GELU with the least squared error over the recorded inputs, of those that the recipe allows.

        On ties the widest clamp, and the slope nearest to the published one.
        """
        if not self.count.any():
            lam = UNCLAMPED if recipe.lam in (SEARCH, OFF) else int(recipe.lam)
            return IntegerGelu(self._parameters(exponential_x0(GELU_SLOPE * self.scale, dialect), lam, dialect))
        published = exponential_x0(GELU_SLOPE * self.scale, dialect)
        fitted = recipe.gelu == FITTED
        errors: dict[tuple[int, int], tuple[float, float]] = {}  # by x0 and clamp: error and gain

        def error(x0: int, lam: int) -> float:
            if (x0, lam) not in errors:
                errors[x0, lam] = self._error(self._parameters(x0, lam, dialect), dialect, fitted)
            return errors[x0, lam][0]

        def best_clamp(x0: int) -> int:
            if dialect.gelu is not Gelu.LAMBDA_SHIFTGELU or recipe.lam == OFF:
                return UNCLAMPED
            if recipe.lam != SEARCH:
                return int(recipe.lam)
            if not fitted:
                return min(range(UNCLAMPED, 0, -1), key=lambda lam: error(x0, lam))
            middle = min(range(UNCLAMPED, 0, -COARSE), key=lambda lam: error(x0, lam))
            near = range(min(UNCLAMPED, middle + COARSE - 1), max(0, middle - COARSE), -1)
            return min(near, key=lambda lam: error(x0, lam))

        slopes = self._slopes(published) if fitted else [published]
        x0, lam = min(((x0, best_clamp(x0)) for x0 in slopes), key=lambda pair: error(*pair))
        return IntegerGelu(self._parameters(x0, lam, dialect), errors[x0, lam][1])

    def _parameters(self, x0: int, lam: int, dialect: Dialect) -> dict[str, int]:
        clamp = {"lam": lam} if dialect.gelu is Gelu.LAMBDA_SHIFTGELU else {}
        return {**gelu_of_x0(x0, dialect), **clamp}

    def _slopes(self, published: int) -> list[int]:
        """The values of x0 to try, nearest to the published one first."""
        steepest, flattest = (-1 / (slope * self.scale) for slope in reversed(SLOPES))
        tried = np.linspace(flattest, steepest, MOST_SLOPES)
        rounded = {published, *(min(int(np.rint(x0)), -1) for x0 in tried)}
        return sorted(rounded, key=lambda x0: (abs(x0 - published), x0))

    def _error(self, params: dict[str, int], dialect: Dialect, fitted: bool) -> tuple[float, float]:
        """The squared error of an integer GELU, less what does not depend on it, and the gain at which it is that small."""
        maxima = np.flatnonzero(self.count.any(axis=1))
        # One row [.., x, .., top] per maximum: every input up to the maximum, which is always present.
        rows = np.minimum(np.arange(I8.lo, I8.hi + 1), maxima[:, None] + I8.lo)
        count, total = self.count[maxima], self.total[maxima]
        out = REGISTRY[str(dialect.gelu)](rows, **params, dialect=dialect) * 2.0 ** -(params["b"] - 1)
        square, product = float((count * out * out).sum()), float((out * total).sum())
        gain = product / square if fitted and square > 0 and product > 0 else 1.0
        return gain * gain * square - 2 * gain * product, gain
