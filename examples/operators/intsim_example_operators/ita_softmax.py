"""ita_softmax(x i8, top): ITA's softmax over the last axis: powers of two, one integer inversion per row.

    shift = (max(x) - x + 16) >> 5                 the distance in octaves, ties up: 32 steps halve
    sum   = sum(256 >> shift)
    inv   = (top * 256) // sum                     the only division of a row
    out   = inv >> shift

Arguments: `x` is i8 ``[..., tokens]`` at the scale ``ln 2 / 32``; `top` is what a probability of 1 becomes: 255 in ITA, 127
where products take signed bytes only.
Result: ``0 <= out <= top``, in 9 bits. Scale: ``1 / top``.
Source: Islamoglu et al. 2023, ITA, section IV (softmax), for a row that is one chunk; ITAMax in pulp-platform/Deeploy.

>>> from intsim_example_operators import ita_softmax
>>> ita_softmax.OP([0, 31, 32, 80], top=255)  # 2.5, 1.53, 1.5 and 0 octaves below the maximum: 3, 2, 2 and 0
array([ 19,  39,  39, 156], dtype=int16)
"""

from __future__ import annotations

import numpy as np

from intsim.arith import I8, IntArray, signed
from intsim.dialects import Dialect
from intsim.ops import Op, Param

TOP = Param.integer(1, 255)


def octaves(difference: IntArray) -> IntArray:
    """A difference of logits, none negative, in octaves."""
    return (difference + 16) >> 5


def steps(x: IntArray, top: int, dialect: Dialect | None = None) -> dict[str, IntArray]:
    largest = x.max(axis=-1, keepdims=True)
    shift = octaves(largest - x)
    total = np.maximum((256 >> shift).sum(axis=-1, keepdims=True), 256)  # the row's maximum alone adds 256
    inverse = (top * 256) // total
    return {"max": largest, "shift": shift, "sum": total, "inverse": inverse, "out": inverse >> shift}


def real(x: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, in real numbers."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


OP = Op(
    name="ita_softmax",
    steps=steps,
    inputs={"x": I8},
    params={"top": TOP},
    result=signed(9),
    scale=lambda inputs, node: 1 / node.params["top"],
    real=real,
    approximates="softmax",
)
