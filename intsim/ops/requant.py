"""requant(acc i32, m, e, b): an accumulator rescaled to a narrower format by an integer multiplier and a shift.

    out = saturate(round_shift(acc * m, e, R), b)       R = requant_rounding

Arguments: `acc` is ``[..., channels]``; `m` (i32) and `e` are one value or one per channel; `b` is the output width in bits.
Result: a signed integer of `b` bits, in the shape of `acc`.
Scale: the real factor ``m * 2**-e`` is the scale of `acc` divided by the scale of the result.
Conditions: the product is exact in 64 bits.
Source: Jacob et al. 2018 and I-ViT's QuantAct. *checked*

>>> import intsim.ops as ops
>>> ops.requant([-3, -1, 1, 3, 900], m=2**30, e=31, b=8, dialect="isegmenter")  # a half: ties to even, 450 saturates
array([ -2,   0,   0,   2, 127], dtype=int8)
"""

from __future__ import annotations

import numpy as np

from ..arith import I32, Format, IntArray, TensorBound, round_shift, saturate, signed
from ..arith import compiled as c
from ..arith.jit import kernel
from ..dialects import Dialect
from ..kernels.crew import own_rows
from ..kernels.scaling import Scaling, scaled, scaling
from ..kernels.threads import over_rows
from ..symbols.shapes import form
from ._op import Op
from ._param import Param, per_channel, require, rows_of

MULTIPLIER = Param(I32, (0, 1))
SHIFT = Param(Format("integer", 1, 62), (0, 1))
WIDTH = Param.integer(2, 32)


def steps(acc: IntArray, m: IntArray, e: IntArray, b: int, dialect: Dialect) -> dict[str, IntArray]:
    product = acc * m
    rounded = round_shift(product, e, dialect.requant_rounding)
    return {"product": product, "rounded": rounded, "out": saturate(rounded, signed(b))}


@kernel
def _rows(
    crew: int, start: int, stop: int, acc: IntArray, m: IntArray, e: IntArray, mode: int, lo: int, hi: int, out: IntArray
) -> int:
    stop = own_rows(crew, start, stop)
    for row in range(start, stop):
        for j in range(acc.shape[1]):
            scaled = c.round_shift(int(acc[row, j]) * int(m[j]), int(e[j]), mode)
            out[row, j] = c.saturate(scaled, lo, hi)
    return -1


@kernel
def _narrow_rows(crew: int, start: int, stop: int, acc: IntArray, scaling: Scaling, out: IntArray) -> int:
    stop = own_rows(crew, start, stop)
    for row in range(start, stop):
        for j in range(acc.shape[1]):
            out[row, j] = c.saturate(scaled(int(acc[row, j]), scaling, j), scaling.lo, scaling.hi)
    return -1


def fast(acc: IntArray, m: IntArray, e: IntArray, b: int, dialect: Dialect, out: IntArray) -> None:
    fmt, mode = signed(b), dialect.requant_rounding
    flat, result = rows_of(acc), rows_of(out)
    if flat.itemsize <= 4:  # products stay within the 62 bits of `rounding_terms`
        over_rows(_narrow_rows, len(flat), flat, scaling(m, e, mode, fmt, flat.shape[1]), result)
    else:
        m, e = per_channel(m, flat), per_channel(e, flat)
        over_rows(_rows, len(flat), flat, m, e, mode.code, fmt.lo, fmt.hi, result)


def infer(acc: TensorBound, m: IntArray, e: IntArray, b: int, dialect: Dialect) -> TensorBound:
    lo, hi = rescaled(acc, m, e, dialect)
    fmt = signed(b)
    return TensorBound(acc.shape, fmt, min(max(lo, fmt.lo), fmt.hi), min(max(hi, fmt.lo), fmt.hi))


def rescaled(x: TensorBound, m: IntArray, e: IntArray, dialect: Dialect) -> tuple[int, int]:
    """The interval of ``round_shift(x * m, e)``; multiplying and rounding are monotone, so the ends are enough."""
    for name, value in (("m", m), ("e", e)):
        shape = np.shape(value)
        require(shape in ((), x.shape[-1:]), f"{name} has {shape[0] if shape else 1} values for {x.shape[-1]} channels")
    steepest = int(np.max(np.abs(np.asarray(m, np.int64)))) if np.size(m) else 0
    require(x.magnitude * steepest < 2**63, f"the product {x.magnitude} * {steepest} passes 64 bits")
    ends = np.asarray([x.lo, x.hi], np.int64)[:, None] * np.atleast_1d(np.asarray(m, np.int64))
    rounded = round_shift(ends, np.atleast_1d(np.asarray(e, np.int64)), dialect.requant_rounding)
    return (int(rounded.min()), int(rounded.max())) if rounded.size else (0, 0)


OP = Op(
    steps=steps,
    fast=fast,
    infer=infer,
    inputs={"acc": I32},
    params={"m": MULTIPLIER, "e": SHIFT, "b": WIDTH},
    forms=(form(acc="rows channels", m="channels", e="channels"),),
    choices=("requant_rounding",),
    scale=lambda inputs, node: node.scale,
    real=lambda x: x,
    approximates="requantize",
)
