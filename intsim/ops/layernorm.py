"""layernorm(x i16, bias i32): layer normalisation over the last axis, in integers, with one division per row.

    mean = round(sum(x) / n, M)          M = mean_rounding
    y    = x - mean                      the sum and y exact, or in i16 (variance)
    v    = sum(y * y)                    unsigned 64 bits (it passes 2**32 at real widths), or modulo 2**32 (variance)
    std  = isqrt(v, S)                   S = sqrt; a std of 0 (only with S = floor) counts as 1
    f    = (2**31 - 1) // std
    out  = floor(y * f / 2) + bias       floor, or trunc (layernorm_half)

Arguments: `x` is ``[..., n]``, n at most 65,536, so that the sum of a row fits i32; `bias` is ``[n]``.
Result: i32 ``[..., n]``.
Scale: ``gamma * sqrt(n) / 2**30`` per channel, and ``bias = floor(beta / gamma / (sqrt(n) / 2**30))``.
Conditions: every Newton step from ``2**16`` stays at or above the true root, so with an exact variance
``|y| <= floor(sqrt(v)) <= std`` and ``|y * f / 2| <= 2**30``: only the bias can push the result out of i32. A gamma so small
that the bias leaves i32 is an error at quantization time that names layer and channel, never a wrap.
Source: I-ViT's I-LayerNorm. *checked*

>>> import intsim.ops as ops
>>> ops.layernorm([1, 2, 3, 4], [0, 0, 0, 0], dialect="rtl")  # mean 2.5 becomes 3; v = 6, std = 2
array([-1073741823,  -536870912,           0,   536870911], dtype=int32)
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from ..arith import (
    I16,
    I32,
    INT32_MAX,
    Division,
    FloatArray,
    IntArray,
    Overflow,
    Sqrt,
    TensorBound,
    Variance,
    divide,
    isqrt,
    overflow,
    round_divide,
    wrap,
)
from ..arith import compiled as c
from ..arith.jit import kernel
from ..dialects import Dialect
from ..kernels.crew import own_rows
from ..kernels.forms import Form, form_for
from ..kernels.layernorm_rows import moments, normalise_rows
from ..kernels.scaling import Scaling, scale_rows
from ..kernels.threads import over_rows
from ..symbols.shapes import form
from ._op import Op
from ._param import Param, require, rows_of

EXACTLY, IN_I16 = Variance.EXACT.code, Variance.WRAP16.code
LONGEST = 1 << 16  # so that the sum of a row fits i32


def steps(x: IntArray, bias: IntArray, dialect: Dialect) -> dict[str, IntArray]:
    narrow = dialect.variance is Variance.WRAP16
    total = x.sum(axis=-1, keepdims=True)
    total = wrap(total, I16) if narrow else total
    mean = round_divide(total, x.shape[-1], dialect.mean_rounding)
    y = wrap(x - mean, I16) if narrow else x - mean
    v = (y * y).sum(axis=-1, keepdims=True)
    if dialect.variance is not Variance.EXACT:
        v = v & 0xFFFFFFFF
    std = np.maximum(isqrt(v, dialect.sqrt).astype(np.int64), 1)
    f = INT32_MAX // std
    product = y * f
    if dialect.overflow is Overflow.WRAP32:
        product = wrap(product, I32)
    half = divide(product, 2, dialect.layernorm_half)
    out = overflow(half + bias, dialect.overflow, "layernorm: out")
    return {"sum": total, "mean": mean, "centred": y, "variance": v, "std": std, "factor": f, "half": half, "out": out}


@kernel
def _centred(x: Any, mean: np.int32, width: int) -> np.int32:
    """An element's difference to the mean, in i16 where the dialect has it so."""
    return np.int32(np.int16(x - mean)) if width == IN_I16 else np.int32(x - mean)


@kernel
def _mean_and_factor(x: IntArray, mean_mode: int, sqrt_mode: int, width: int) -> tuple[np.int32, np.int32]:
    total = np.int32(0)  # holds the sum of the longest row; i32 is enough for mean, y and f, too
    for j in range(len(x)):
        total = np.int32(total + x[j])
    if width == IN_I16:
        total = np.int32(np.int16(total))
    mean = np.int32(c.round_divide(int(total), len(x), mean_mode))
    v = 0
    for j in range(len(x)):
        y = _centred(x[j], mean, width)
        v += int(y) * int(y)
    if width != EXACTLY:
        v &= 0xFFFFFFFF
    return mean, np.int32(INT32_MAX // max(c.isqrt(v, sqrt_mode), 1))


@kernel
def _halved(product: int, half_mode: int, wraps: bool) -> int:
    return c.divide(c.wrap32(product) if wraps else product, 2, half_mode)


@kernel
def _rows(
    crew: int,
    start: int,
    stop: int,
    x: IntArray,
    bias: IntArray,
    mean_mode: int,
    sqrt_mode: int,
    half_mode: int,
    width: int,
    wraps: bool,
    out: IntArray,
) -> int:
    stop = own_rows(crew, start, stop)
    for row in range(start, stop):
        mean, f = _mean_and_factor(x[row], mean_mode, sqrt_mode, width)
        for j in range(x.shape[1]):
            result = _halved(int(_centred(x[row, j], mean, width)) * int(f), half_mode, wraps) + int(bias[j])
            out[row, j] = c.wrap32(result) if wraps else result
    return -1


@kernel
def _scaled_rows(
    crew: int,
    start: int,
    stop: int,
    x: IntArray,
    bias: IntArray,
    mean_mode: int,
    sqrt_mode: int,
    half_mode: int,
    width: int,
    wraps: bool,
    scaling: Scaling,
    out: IntArray,
) -> int:
    stop = own_rows(crew, start, stop)
    halves = np.empty((1, x.shape[1]), np.int32)
    for row in range(start, stop):
        mean, f = _mean_and_factor(x[row], mean_mode, sqrt_mode, width)
        for j in range(x.shape[1]):
            halves[0, j] = _halved(int(_centred(x[row, j], mean, width)) * int(f), half_mode, wraps)
        scale_rows(halves, 1, 0, x.shape[1], bias, scaling, out, row)
    return -1


@kernel
def _exact_rows(
    crew: int,
    start: int,
    stop: int,
    form: Form,
    x: IntArray,
    bias: IntArray,
    mean_mode: int,
    sqrt_mode: int,
    scaling: Scaling,
    out: IntArray,
) -> int:
    """`_scaled_rows` with exact sums, and halves that round down: the variance follows from the sums of a single pass."""
    stop = own_rows(crew, start, stop)
    n = x.shape[1]
    means, factors = np.empty(stop - start, np.int32), np.empty(stop - start, np.int32)
    for row in range(start, stop):
        total, squares = moments(form, x[row])
        mean = c.round_divide(total, n, mean_mode)
        v = squares - 2 * mean * total + n * mean * mean  # the sum of (x - mean)**2
        means[row - start] = mean
        factors[row - start] = INT32_MAX // max(c.isqrt(v, sqrt_mode), 1)
    normalise_rows(form, x[start:stop], means, factors, bias, scaling, out[start:stop])
    return -1


@cache
def _codes(dialect: Dialect) -> tuple[int, int, int, int, bool]:
    """The choices of the dialect as the kernels take them."""
    wraps = dialect.overflow is Overflow.WRAP32
    return dialect.mean_rounding.code, dialect.sqrt.code, dialect.layernorm_half.code, dialect.variance.code, wraps


def fast(x: IntArray, bias: IntArray, dialect: Dialect, out: IntArray) -> IntArray | None:
    if x.dtype.itemsize > 2:  # the 32 bits of the kernels are proved for i16 only
        return steps(x.astype(np.int64), bias.astype(np.int64), dialect)["out"]
    rows = rows_of(x)
    over_rows(_rows, len(rows), rows, bias, *_codes(dialect), rows_of(out))
    return None


def scaled_rows(x: IntArray, bias: IntArray, dialect: Dialect, scaling: Scaling, out: IntArray) -> None:
    """The fast implementation followed by a requantization, for results proved to be i32."""
    rows = rows_of(x)
    mean_mode, sqrt_mode, *_, wraps = _codes(dialect)
    if dialect.variance is Variance.EXACT and dialect.layernorm_half is Division.FLOOR and not wraps:
        form = form_for(np.dtype(np.int8))
        over_rows(_exact_rows, len(rows), form, rows, bias, mean_mode, sqrt_mode, scaling, rows_of(out))
    else:
        over_rows(_scaled_rows, len(rows), rows, bias, *_codes(dialect), scaling, rows_of(out))


def infer(x: TensorBound, bias: IntArray, dialect: Dialect) -> TensorBound:
    n = x.shape[-1]
    require(1 <= n <= LONGEST, f"rows of {n} elements; layernorm takes 1 to {LONGEST}")
    require(len(bias) == n, f"bias has {len(bias)} values for {n} channels")
    reach = 1 << 30
    if dialect.variance is not Variance.EXACT:  # a wrapped variance does not bound y,
        smallest = 64 if dialect.sqrt is Sqrt.NEWTON10 else 1
        span = x.hi - x.lo if dialect.variance is Variance.WRAP32 else -I16.lo  # nor a wrapped sum the mean
        reach = span * (INT32_MAX // smallest) // 2 + 1
    return TensorBound(x.shape, I32, int(bias.min()) - reach, int(bias.max()) + reach - 1)


def real(x: FloatArray, gamma: FloatArray, beta: FloatArray, eps: float = 1e-5) -> FloatArray:
    """Layer normalisation over the last axis, in real numbers."""
    centred = x - x.mean(axis=-1, keepdims=True)
    normalised: FloatArray = centred / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + eps)
    return normalised * gamma + beta


OP = Op(
    steps=steps,
    fast=fast,
    infer=infer,
    inputs={"x": I16},
    params={"bias": Param(I32, (1,))},
    forms=(form(x="rows columns", bias="columns"),),
    choices=("mean_rounding", "sqrt", "variance", "layernorm_half", "overflow"),
    scale=lambda inputs, node: node.scales.get("bias"),
    real=real,
    approximates="layernorm",
)
