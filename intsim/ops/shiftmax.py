"""shiftmax(x i16, x0, n, b): softmax over the last axis, computed from shifts and one division per row.

    e = shift_exp(x - max(x), x0, n)
    S = min(sum(e), 2**31 - 1)                      or wrapped to i32 (exp_sum); a wrapped sum of 0 is an error
    f = (2**31 - 1) // S
    p = (e * f) >> (31 - b + 1)

Arguments: `x` is i8 or i16 ``[..., tokens]`` at scale s; ``x0 = floor(-1/s)``; `n` is the precision; `b` is the output
width in bits, usually 16.
Result: p, a signed integer of `b` bits, in the shape of `x`: ``0 <= p < 2**(b-1)``.
Scale: ``2**-(b-1)``.
Conditions: the sum of a row is below ``2**(b-1)`` as long as S does not saturate.
Source: I-ViT's Shiftmax. *checked*

>>> import intsim.ops as ops
>>> ops.shiftmax([0, 20, 40], x0=-20, n=15, b=16, dialect="isegmenter")  # 2, 1 and 0 natural units below the maximum
array([ 3050,  8488, 21220], dtype=int16)
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ..arith import (
    I16,
    I32,
    INT32_MAX,
    ExpSum,
    FloatArray,
    IntArray,
    Overflow,
    TensorBound,
    first_index,
    forbid,
    signed,
    wrap,
)
from ..arith import compiled as c
from ..arith.jit import kernel
from ..dialects import Dialect
from ..kernels.crew import own_rows
from ..kernels.exponentials import DIFFERENCES, Softmax
from ..kernels.logits import bytes_of_rows
from ..kernels.lookup import Lookup, lookup, planes
from ..kernels.shiftmax_rows import shiftmax_rows
from ..kernels.threads import over_rows
from ._op import Op
from ._param import Param, require, rows_of
from .shift_exp import PRECISION, X0, codes, log2
from .shift_exp import steps as exponential

BITS = Param.integer(2, 16)


def steps(x: IntArray, x0: int, n: int, b: int, dialect: Dialect) -> dict[str, IntArray]:
    top = x.max(axis=-1, keepdims=True)
    e = exponential(x - top, x0, n, dialect)["out"]
    return {"max": top, "exp": e, **normalised(e, b, dialect, "shiftmax")}


def normalised(e: IntArray, b: int, dialect: Dialect, name: str) -> dict[str, IntArray]:
    """The steps from a row's exponentials to its probabilities."""
    total = exponential_sum(e.sum(axis=-1, keepdims=True), dialect, name)
    f = INT32_MAX // total
    p = probability(e, f, b, dialect)
    return {"sum": total, "factor": f, "out": forbid(p, signed(b), f"{name}: out")}


def exponential_sum(total: IntArray, dialect: Dialect, name: str) -> IntArray:
    """S: the sum of exponentials, saturated or wrapped to i32; a ValueError names a row whose wrapped sum is 0."""
    if dialect.exp_sum is ExpSum.SATURATE:
        total = np.minimum(total, INT32_MAX).astype(np.int64)
    else:
        total = wrap((total & 0xFFFFFFFF).astype(np.int64), I32)
    if (total == 0).any():
        row = first_index(total == 0)[:-1]
        raise ValueError(f"{name}: the exponentials of row {row} wrap to a sum of 0; lower n")
    return total


def probability(e: IntArray, f: IntArray, b: int, dialect: Dialect) -> IntArray:
    """``(e * f) >> (31 - b + 1)``; under ``overflow = wrap32`` the product wraps first."""
    product: IntArray = e * f
    if dialect.overflow is Overflow.WRAP32:
        product = wrap(product, I32)
    return product >> (31 - b + 1)


@kernel
def _rows(
    crew: int,
    start: int,
    stop: int,
    x: IntArray,
    x0: int,
    n: int,
    b: int,
    quotient: int,
    half_bit: int,
    wraps: bool,
    wraps_sum: bool,
    out: IntArray,
) -> int:
    stop = own_rows(crew, start, stop)
    columns = x.shape[1]
    e = np.empty(columns, np.int64)
    for row in range(start, stop):
        top = int(x[row, 0])
        for j in range(1, columns):
            top = max(top, int(x[row, j]))
        for j in range(columns):
            e[j] = c.shift_exp(int(x[row, j]) - top, x0, n, quotient, half_bit, wraps)
        if not normalised_row(e, b, wraps, wraps_sum, out[row]):
            return row
    return -1


@kernel
def normalised_row(e: IntArray, b: int, wraps: bool, wraps_sum: bool, out: IntArray) -> bool:
    """The probabilities of one row from its exponentials; False where the sum is 0 or one leaves `b` bits."""
    total = 0
    for j in range(len(e)):
        total = c.add_exponential(total, int(e[j]), wraps_sum)
    if total == 0:
        return False
    top_p = (1 << (b - 1)) - 1
    f = INT32_MAX // total
    for j in range(len(e)):
        product = int(e[j]) * f
        if wraps:
            product = c.wrap32(product)
        p = product >> (31 - b + 1)
        if p > top_p or p < -top_p - 1:
            return False
        out[j] = p
    return True


@kernel
def _table_rows(crew: int, start: int, stop: int, x: IntArray, softmax: Softmax, how: Lookup, out: IntArray) -> int:
    stop = own_rows(crew, start, stop)
    near = np.empty((1, x.shape[1]), np.int8)
    for row in range(start, stop):
        bytes_of_rows(x[row : row + 1], 1, x.shape[1], near)
        if shiftmax_rows(near, 1, softmax, how, out[row : row + 1]) >= 0:
            return row
    return -1


def fast(x: IntArray, x0: int, n: int, b: int, dialect: Dialect, out: IntArray) -> None:
    rows, result = rows_of(x), rows_of(out)
    wraps_sum = dialect.exp_sum is ExpSum.WRAP32
    constants = tables(x0, n, b, dialect, x.dtype)
    if constants is not None:
        refused = over_rows(_table_rows, len(rows), rows, constants, lookup(), result)
    else:
        refused = over_rows(_rows, len(rows), rows, x0, n, b, *codes(dialect), wraps_sum, result)
    if refused >= 0:
        steps(x.astype(np.int64), x0, n, b, dialect)  # the reference raises an error that names the row


@lru_cache(maxsize=256)
def tables(x0: int, n: int, b: int, dialect: Dialect, dtype: np.dtype[Any]) -> Softmax | None:
    """Shiftmax of rows of a type as tables, computed by the reference.

    None where a probability may leave its format, or where rows are wider than i8 and the exponential is still above its
    floor 255 below the maximum.
    """
    if dtype != np.int8 and (dtype != np.int16 or not ends_in_bytes(x0, n)):
        return None
    wraps_sum, wraps = dialect.exp_sum is ExpSum.WRAP32, dialect.overflow is Overflow.WRAP32
    e = exponential(-np.arange(DIFFERENCES, dtype=np.int64), x0, n, dialect)["out"]
    if (wraps_sum and not wraps) or int(e.max()) > INT32_MAX:
        return None  # has to be checked row by row
    exponentials = e.astype(np.int32)
    return Softmax(exponentials, planes(exponentials), 31 - b + 1, wraps_sum)


def ends_in_bytes(x0: int, n: int) -> bool:
    """Whether the exponential reaches its floor within the differences of two i8, and is the same for all larger ones."""
    return int(log2(np.array(1 - DIFFERENCES, np.int64))) <= n * x0


def infer(x: TensorBound, x0: int, n: int, b: int, dialect: Dialect) -> TensorBound:
    tokens = x.shape[-1]
    require(tokens >= 1, "a row needs at least one element")
    if dialect.overflow is Overflow.WRAP32:
        return TensorBound.full(x.shape, signed(b))
    largest = -x0 << n  # the exponential of the row's maximum
    require(largest < 2**31, f"one exponential reaches -x0 * 2**n = {largest}, past i32; lower n")
    if dialect.exp_sum is ExpSum.WRAP32 and dialect.overflow is Overflow.EXACT:
        return TensorBound.full(x.shape, signed(b))  # each row is checked as it is computed
    if dialect.exp_sum is ExpSum.WRAP32:  # the factor of a wrapped sum has no bound
        reach = (largest << 31) >> (32 - b)
        return TensorBound(x.shape, signed(b), -reach, reach)
    # Unless the sum saturates, a row of p sums to at most top; saturated, f is 1 and every p is at most e >> shift.
    top = signed(b).hi
    return TensorBound(x.shape, signed(b), 0, top, row_sum=max(top, tokens * (largest >> (32 - b))))


def real(x: FloatArray) -> FloatArray:
    """Softmax over the last axis, in real numbers."""
    e: FloatArray = np.exp(x - x.max(axis=-1, keepdims=True))
    total: FloatArray = e.sum(axis=-1, keepdims=True)
    return e / total


OP = Op(
    steps=steps,
    fast=fast,
    infer=infer,
    inputs={"x": I16},
    params={"x0": X0, "n": PRECISION, "b": BITS},
    choices=("quotient", "half_bit", "exp_sum", "overflow"),
    scale=lambda inputs, node: 2.0 ** -(node.params["b"] - 1),
    real=real,
    approximates="softmax",
)
