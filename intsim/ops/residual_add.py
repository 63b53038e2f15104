"""residual_add(a i32, c i32, ma, ea, mc, ec, b): the sum of two branches, rescaled from their own scales to a third.

    out = saturate(round_shift(a * ma, ea, R) + round_shift(c * mc, ec, R), b)      R = requant_rounding

Arguments: `a` is ``[..., channels]``; `c` has the shape of `a` or lacks some of its leading axes, as an attention bias does,
and is then added along all of them (an axis of length 1 is not broadcast); `ma`, `ea`, `mc` and `ec` are one value or one
per channel; `b` is the output width in bits, 16 on the residual stream.
Result: a signed integer of `b` bits, in the shape of `a`.
Scale: ``ma * 2**-ea`` and ``mc * 2**-ec`` are the scales of `a` and `c` divided by the scale of the result.
Conditions: each branch is rounded separately before the sum.
Source: I-ViT's QuantAct with an identity branch. *checked*

>>> import intsim.ops as ops
>>> ops.residual_add([3, 1], [5, 5], ma=2**30, ea=31, mc=2**30, ec=30, b=16, dialect="rtl")  # a/2 + c, halves up
array([7, 6], dtype=int16)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..arith import I32, I64, IntArray, TensorBound, round_shift, saturate, signed
from ..arith import compiled as c_
from ..arith.jit import kernel
from ..dialects import Dialect
from ..kernels.crew import own_rows
from ..kernels.scaling import Scaling, scaling, sum_rows
from ..kernels.threads import over_rows
from ..symbols.shapes import form
from ._op import Op
from ._param import per_channel, require, rows_of
from .requant import MULTIPLIER, SHIFT, WIDTH, rescaled


def steps(
    a: IntArray, c: IntArray, ma: IntArray, ea: IntArray, mc: IntArray, ec: IntArray, b: int, dialect: Dialect
) -> dict[str, IntArray]:
    arm_a = round_shift(a * ma, ea, dialect.requant_rounding)
    arm_c = round_shift(c * mc, ec, dialect.requant_rounding)
    return {"arm_a": arm_a, "arm_c": arm_c, "out": saturate(arm_a + arm_c, signed(b))}


@kernel
def _rows(
    crew: int,
    start: int,
    stop: int,
    a: IntArray,
    c: IntArray,
    ma: IntArray,
    ea: IntArray,
    mc: IntArray,
    ec: IntArray,
    mode: int,
    lo: int,
    hi: int,
    out: IntArray,
) -> int:
    stop = own_rows(crew, start, stop)
    for row in range(start, stop):
        for j in range(a.shape[1]):
            arm_a = c_.round_shift(int(a[row, j]) * int(ma[j]), int(ea[j]), mode)
            arm_c = c_.round_shift(int(c[row % len(c), j]) * int(mc[j]), int(ec[j]), mode)
            out[row, j] = c_.saturate(arm_a + arm_c, lo, hi)
    return -1


@kernel
def _narrow_rows(
    crew: int, start: int, stop: int, a: IntArray, c: IntArray, arm_a: Scaling, arm_c: Scaling, out: IntArray
) -> int:
    stop = own_rows(crew, start, stop)
    sum_rows(start, stop, a, c, arm_a, arm_c, out)
    return -1


def fast(
    a: IntArray,
    c: IntArray,
    ma: IntArray,
    ea: IntArray,
    mc: IntArray,
    ec: IntArray,
    b: int,
    dialect: Dialect,
    out: IntArray,
) -> None:
    fmt, mode = signed(b), dialect.requant_rounding
    left, right, result = rows_of(a), rows_of(c), rows_of(out)
    if max(left.itemsize, right.itemsize) <= 4:  # products stay within the 62 bits of `rounding_terms`
        arm_a, arm_c = (scaling(m, e, mode, fmt, left.shape[1]) for m, e in ((ma, ea), (mc, ec)))
        over_rows(_narrow_rows, len(left), left, right, arm_a, arm_c, result)
    else:
        ma, ea, mc, ec = (per_channel(v, left) for v in (ma, ea, mc, ec))
        over_rows(_rows, len(left), left, right, ma, ea, mc, ec, mode.code, fmt.lo, fmt.hi, result)


def infer(
    a: TensorBound, c: TensorBound, ma: IntArray, ea: IntArray, mc: IntArray, ec: IntArray, b: int, dialect: Dialect
) -> TensorBound:
    fits = c.shape == a.shape[len(a.shape) - len(c.shape) :]
    require(fits, f"a is {list(a.shape)} and c is {list(c.shape)}; c must have the shape of a, or its last axes")
    (a_lo, a_hi), (c_lo, c_hi) = rescaled(a, ma, ea, dialect), rescaled(c, mc, ec, dialect)
    require(I64.holds(a_lo + c_lo, a_hi + c_hi), "the sum of the two branches may pass 64 bits")
    fmt = signed(b)
    return TensorBound(a.shape, fmt, min(max(a_lo + c_lo, fmt.lo), fmt.hi), min(max(a_hi + c_hi, fmt.lo), fmt.hi))


ARMS: dict[str, Any] = dict.fromkeys(("ma", "ea", "mc", "ec"), "channels")

OP = Op(
    steps=steps,
    fast=fast,
    infer=infer,
    inputs={"a": I32, "c": I32},
    params={"ma": MULTIPLIER, "ea": SHIFT, "mc": MULTIPLIER, "ec": SHIFT, "b": WIDTH},
    forms=(
        form(a="rows channels", c="rows channels", **ARMS),
        replace(form("_spread", a="outer rows channels", c="rows channels", **ARMS), spread=True),
    ),
    choices=("requant_rounding",),
    scale=lambda inputs, node: node.scale,
    real=lambda a, c: a + c,
    approximates="add",
)
