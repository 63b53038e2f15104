"""The scale of what goes into a softmax, chosen for what softmax sees of it.

Only the differences to the maximum of a row count, and nothing that is further below it than the floor of the integer
exponential, ``n / 1.4375`` (10.4 for n = 15): there, every share is the same. Logits of 16 bits need no calibration: at the
finest scale at which the floor is within 255 steps of the maximum (1/24 for n = 15) they reach 1365 to both sides. For
logits of 8 bits, range and resolution have to be weighed; the scale is the one whose probabilities have the least squared
error.
"""

from __future__ import annotations

import numpy as np

from ..arith import AnyArray, Format
from ..dialects import Dialect, softmax_parameters
from ..ops import REGISTRY
from ..ops.shiftmax import OP as SHIFTMAX
from ..ops.shiftmax import ends_in_bytes

FINEST = 255  # steps in 1: more are never within 255 of the floor
ROWS = 512  # of a picture that are looked at, evenly from all


def softmax_scale(largest: float, fmt: Format, tokens: int, dialect: Dialect) -> float:
    """The scale of logits up to `largest` in a wide format, for a softmax over `tokens`."""
    return max(1 / steps_in_one(tokens, dialect), largest / fmt.hi)


def steps_in_one(tokens: int, dialect: Dialect) -> int:
    """The most steps in 1 at which the exponential reaches its floor within 255 steps; at least 1."""
    for steps in range(FINEST, 1, -1):
        try:
            params = softmax_parameters(1 / steps, tokens, dialect)
        except ValueError:  # too fine for so many tokens
            continue
        if ends_in_bytes(params["x0"], params["n"]):
            return steps
    return 1


class SoftmaxInputs:
    """Inputs of one softmax in a narrow format: the squared error of its probabilities at every scale that is tried.

    Tried are 1, 1/2, 1/3 and so on, at which x0 represents -1 exactly, and the scale of the `largest` magnitude.
    """

    def __init__(self, largest: float, fmt: Format, tokens: int, dialect: Dialect) -> None:
        self.fmt, self.dialect = fmt, dialect
        whole = {1 / steps for steps in range(1, steps_in_one(tokens, dialect) + 1)}
        self.errors = dict.fromkeys(sorted({*whole, largest / fmt.hi}), 0.0)

    def add(self, x: AnyArray) -> None:
        """Record rows of real logits [..., tokens]."""
        rows = x.reshape(-1, x.shape[-1])
        rows = rows[:: -(-len(rows) // ROWS)]
        assert SHIFTMAX.real is not None
        exact = SHIFTMAX.real(rows)
        for scale in self.errors:
            q = np.clip(np.rint(rows / scale), self.fmt.lo, self.fmt.hi).astype(np.int16)
            params = softmax_parameters(scale, x.shape[-1], self.dialect)
            p = REGISTRY["shiftmax"](q, **params, dialect=self.dialect) * 2.0 ** -(params["b"] - 1)
            self.errors[scale] += float(((p - exact) ** 2).sum())

    def best(self) -> float:
        """The scale with the least error, the finest on ties."""
        return min(self.errors, key=lambda scale: self.errors[scale])
