"""requant_add(acc i32, m, add, e, b, nonnegative): a requantization with an addend before the shift.

    out = clip(round_shift(acc * m + add, e, R), lo, hi)      R = requant_rounding
    lo, hi = -2**(b-1), 2**(b-1) - 1, or with `nonnegative` 0, 2**b - 1

The addend is a bias, the shift of a batch normalisation, or a zero point times ``2**e``. With ``add = 0`` this is intsim's
`requant` in every dialect; hardware that adds ``2**(e-1)`` and shifts has the rounding of dialect ``rtl``.

Arguments: `acc` is i32 ``[..., channels]``; `m` and `add` (i32) and `e` are one value or one per channel; `b` is the width.
Result: ``b + nonnegative`` bits, signed, in the shape of `acc`. Scale: as `requant`.
Source: Islamoglu et al. 2023, ITA, section III (its requantization); RequantShift in pulp-platform/Deeploy.

>>> from intsim_example_operators import requant_add
>>> requant_add.OP([-300, 3, 90, 900], m=1, add=8, e=2, b=8, nonnegative=1, dialect="rtl")  # 11 / 4 is 2.75
array([  0,   3,  25, 227], dtype=int16)
"""

from __future__ import annotations

import numpy as np

from intsim.arith import I32, Format, IntArray, round_shift, signed
from intsim.dialects import Dialect
from intsim.ops import FLAG, Op, Param


def steps(
    acc: IntArray, m: IntArray, add: IntArray, e: IntArray, b: int, nonnegative: int, dialect: Dialect
) -> dict[str, IntArray]:
    total = acc * m + add
    rounded = round_shift(total, e, dialect.requant_rounding)
    lo = (nonnegative - 1) * (1 << (b - 1))
    hi = (1 << (b - 1 + nonnegative)) - 1
    return {"sum": total, "rounded": rounded, "out": np.minimum(np.maximum(rounded, lo), hi)}


OP = Op(
    name="requant_add",
    steps=steps,
    inputs={"acc": I32},
    params={
        "m": Param(I32, (0, 1)),
        "add": Param(I32, (0, 1)),
        "e": Param(Format("integer", 1, 62), (0, 1)),
        "b": Param.integer(2, 16),
        "nonnegative": FLAG,
    },
    result=lambda params: signed(params["b"] + params["nonnegative"]),
    choices=("requant_rounding",),
    real=lambda x: x,
    approximates="requantize",
)
