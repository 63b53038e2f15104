"""shift_exp(x i16, x0, n): the exponential, computed from shifts and one division.

    t = x + (x >> 1) - (x >> 4)                     x * log2(e), with log2(e) ~ 1.4375
    t = max(t, n * x0)
    q = t // x0                                     floor of the real quotient, or trunc (quotient); q < 0 where x > 0
    r = t - q * x0                                  x0 < r <= 0 (with floor)
    e = max(((r - 2*x0) << (n - q)) >> 1, 0)        half_bit = kept: floor((r/2 - x0) * 2**(n - q)), halved after the shift
    e = max(((r >> 1) - x0) << (n - q), 0)          half_bit = dropped: halved before the shift

Arguments: `x` is ``[...]`` at scale s, in shiftmax and shiftgelu the difference to the row maximum;
``x0 = floor(-1/s) <= -1`` represents -1; `n` is the precision.
Result: the shape of `x`; ``e ~ exp(s*x) * -x0 * 2**n``.
Conditions: a direct call is exact for any `x`: int64, or Python integers (an object array) where 64 bits are not enough.
Under ``overflow = wrap32`` the shifted value wraps to i32.
Source: int_exp_shift in I-ViT's Shiftmax.

>>> import intsim.ops as ops
>>> ops.shift_exp([0, -20, -40], x0=-20, n=15, dialect="ivit")  # 1, 1/e, 1/e**2 in units of 1 / (20 * 2**15)
array([655360, 262144,  94208])
"""

from __future__ import annotations

import numpy as np

from ..arith import I16, I32, I64, HalfBit, IntArray, Overflow, TensorBound, divide, wrap
from ..arith import compiled as c
from ..arith.jit import kernel
from ..dialects import Dialect
from ..kernels.crew import own_rows
from ..kernels.threads import over_rows
from ..symbols.shapes import form
from ._op import Op
from ._param import Param, rows_of

X0 = Param.integer(-(1 << 20), -1)
PRECISION = Param.integer(0, 31)
BEYOND = 1 << 62  # what the compiled exponential returns for a value this large or larger


def steps(x: IntArray, x0: int, n: int, dialect: Dialect) -> dict[str, IntArray]:
    return of_log2(np.maximum(log2(x), n * x0), x0, n, dialect)


def log2(x: IntArray) -> IntArray:
    """The exponent to the base 2: x * log2(e), with log2(e) ~ 1.4375."""
    exponent: IntArray = x + (x >> 1) - (x >> 4)
    return exponent


def of_log2(t: IntArray, x0: int, n: int, dialect: Dialect) -> dict[str, IntArray]:
    """The steps from the exponent to the base 2 on, which is at least ``n * x0``."""
    q = divide(t, x0, dialect.quotient)
    r = t - q * x0
    kept = dialect.half_bit is HalfBit.KEPT
    k = r - 2 * x0 if kept else (r >> 1) - x0
    e = _shifted(k, n - q, wraps=dialect.overflow is Overflow.WRAP32)
    out = np.maximum(e >> 1 if kept else e, 0)
    return {"log2": t, "quotient": q, "remainder": r, "out": out}


def _shifted(k: IntArray, shift: IntArray, wraps: bool) -> IntArray:
    """``k << shift``: wrapped to i32, or exact, in Python integers where 62 bits are not enough."""
    if wraps:
        return np.where(shift < 32, wrap(k << np.minimum(shift, 31), I32), 0)
    if k.size and (int(k.max()).bit_length() + int(shift.max())) > 62:
        k, shift = k.astype(object), shift.astype(object)
    return k << shift


@kernel
def _rows(
    crew: int, start: int, stop: int, x: IntArray, x0: int, n: int, quotient: int, half_bit: int, wraps: bool, out: IntArray
) -> int:
    stop = own_rows(crew, start, stop)
    for row in range(start, stop):
        for j in range(x.shape[1]):
            out[row, j] = c.shift_exp(int(x[row, j]), x0, n, quotient, half_bit, wraps)
    return -1


def fast(x: IntArray, x0: int, n: int, dialect: Dialect, out: IntArray) -> IntArray | None:
    rows, result = rows_of(x), rows_of(out)
    over_rows(_rows, len(rows), rows, x0, n, *codes(dialect), result)
    if (result == BEYOND).any():
        return steps(x.astype(np.int64), x0, n, dialect)["out"]  # needs Python integers
    return None


def codes(dialect: Dialect) -> tuple[int, int, bool]:
    """The choices of the dialect as the compiled exponential takes them."""
    return dialect.quotient.code, dialect.half_bit.code, dialect.overflow is Overflow.WRAP32


def infer(x: TensorBound, x0: int, n: int, dialect: Dialect) -> TensorBound:
    if dialect.overflow is Overflow.WRAP32:
        return TensorBound(x.shape, I64, 0, I32.hi)
    top = steps(np.asarray([max(x.hi, 0)], object), x0, n, dialect)["out"]
    return TensorBound(x.shape, I64, 0, int(top[0]))


OP = Op(
    steps=steps,
    fast=fast,
    infer=infer,
    inputs={"x": I16},
    params={"x0": X0, "n": PRECISION},
    forms=(form(x="count"),),
    choices=("quotient", "half_bit", "overflow"),
    scale=lambda inputs, node: node.scale,
    real=np.exp,
    approximates="exp",
)
