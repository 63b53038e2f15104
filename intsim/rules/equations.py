"""The operators' equations in NumPy int64, each with the mistakes commonly made in it.

`DEVIATING_EQUATIONS` maps an operator to a function of its inputs, parameters, dialect and deviations, such as
``{"saturation": "wrap"}``. They are called only where there is a deviation; otherwise the operators themselves compute. The
operators that only move values are in `moves`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..arith import (
    I32,
    INT32_MAX,
    IntArray,
    Overflow,
    Rounding,
    Variance,
    divide,
    isqrt,
    round_divide,
    round_shift,
    saturate,
    signed,
    wrap,
)
from ..dialects import Dialect
from ..ops.masked_shiftmax import LOWEST, visible
from ..ops.shift_exp import steps as exponential
from ..ops.shiftmax import exponential_sum, probability
from .moves import DEVIATING_MOVES, Arrays, Deviations, Params
from .other_stacks import Rescaling, rounded_in_two


def _bounded(x: IntArray, b: int, how: str | None) -> IntArray:
    """`x` in `b` bits, or in the width named after a colon: both ends saturate, or what a mistake does instead."""
    how, _, width = (how or "").partition(":")
    fmt = signed(int(width or b))
    if how == "wrap":
        return wrap(x, fmt)
    if how == "narrow":
        return saturate(x, signed(b - 1))
    lowest = {"symmetric": -fmt.hi, "unsigned": 0}.get(how, fmt.lo)
    return np.minimum(np.maximum(x, lowest), fmt.hi)


def _held(x: IntArray, dialect: Dialect) -> IntArray:
    """A result in the dialect's registers: unchanged where overflow is exact, else wrapped to 32 bits."""
    return x if dialect.overflow is Overflow.EXACT else wrap(x, I32)


# The high bits of a product and then the rest of the shift, each rounded by its own mode; None stands for the dialect's.
ROUNDED_IN_TWO: dict[str, tuple[int, Rounding | None, Rounding | None]] = {
    "twice": (31, None, None),
    "gemmlowp": (31, Rounding.HALF_UP, Rounding.HALF_AWAY),
    "high_half_floored": (31, Rounding.FLOOR, Rounding.HALF_UP),
    "high_half_floored:half_away": (31, Rounding.FLOOR, Rounding.HALF_AWAY),
    "high_half_truncated": (31, Rounding.TRUNC, Rounding.HALF_AWAY),
    "high_word_floored": (32, Rounding.FLOOR, Rounding.HALF_UP),
}


def _rescaled(x: IntArray, m: IntArray, e: IntArray, dialect: Dialect, deviations: Deviations) -> IntArray:
    """``x * m * 2**-e``, rounded as the dialect does or as a mistake does."""
    mode, how = dialect.requant_rounding, deviations.get("rounding")
    if how is None:
        return round_shift(x * m, e, mode)
    high, first, last = ROUNDED_IN_TWO[how]
    return rounded_in_two(x * m, e, first or mode, last or mode, high)


def _requant(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    rescaling: Rescaling | None = deviations.get("requant")
    rounded = rescaling(*arrays) if rescaling else _rescaled(arrays[0], p["m"], p["e"], dialect, deviations)
    return _bounded(rounded, p["b"], deviations.get("saturation"))


def _residual_add(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    a, c = arrays
    mode, how = dialect.requant_rounding, deviations.get("residual")
    if callable(how):
        total = how(a, c)
    elif how == "rounded_once":
        e = int(max(np.max(p["ea"]), np.max(p["ec"])))
        arms = ((a, p["ma"], p["ea"]), (c, p["mc"], p["ec"]))
        ends = [int(np.abs(x).max()) * int(np.max(np.abs(m))) << int(np.max(e - k)) for x, m, k in arms]
        if sum(ends) >= 1 << 63:
            raise ValueError("the exact sum of the two arms passes 64 bits")
        total = round_shift((a * p["ma"] << (e - p["ea"])) + (c * p["mc"] << (e - p["ec"])), e, mode)
    else:
        arm_a, arm_c = (_rescaled(x, p[m], p[e], dialect, deviations) for x, m, e in ((a, "ma", "ea"), (c, "mc", "ec")))
        if "repeat" in deviations:
            arm_c = _repeated(arm_c, a.shape, deviations["repeat"])
        total = arm_a * (how != "branch_left_out") + arm_c * (how != "skip_left_out")
    return _bounded(total, p["b"], deviations.get("saturation"))


def _repeated(arm: IntArray, shape: tuple[int, ...], how: str) -> IntArray:
    """An arm that lacks leading axes of `shape`: not repeated, or repeated row by row instead of as a whole."""
    rows = arm.reshape(-1, shape[-1])
    repeated = np.zeros(shape, np.int64)
    flat = repeated.reshape(-1, shape[-1])
    if how == "once":
        flat[: len(rows)] = rows
    else:
        flat[:] = np.repeat(rows, len(flat) // len(rows), axis=0)
    return repeated


def _mean(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    x = arrays[0]
    total = x.sum(axis=-2)
    if "sum_bits" in deviations:
        total = wrap(total, signed(deviations["sum_bits"]))
    return round_divide(total, x.shape[-2], dialect.mean_rounding)


def _layernorm(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    x = arrays[0]
    total = x.sum(axis=-1, keepdims=True)
    if "sum_bits" in deviations:
        total = wrap(total, signed(deviations["sum_bits"]))
    if deviations.get("sum") == "float32":
        total = total.astype(np.float32).astype(np.int64)
    mean = round_divide(total, x.shape[-1], dialect.mean_rounding)
    y = x if deviations.get("mean") == "left_out" else x - mean
    v = (y * y).sum(axis=-1, keepdims=True)
    if dialect.variance is Variance.WRAP32:
        v = v & 0xFFFFFFFF
    if "variance_bits" in deviations:
        v = v & ((1 << deviations["variance_bits"]) - 1)
    root = np.sqrt(v.astype(np.float32)) if deviations.get("root") == "float32" else isqrt(v, dialect.sqrt)
    std = np.maximum(root.astype(np.int64), 1)
    product: IntArray = y * _factor(std, deviations)
    if dialect.overflow is Overflow.WRAP32:
        product = wrap(product, I32)
    return _held(divide(product, 2, dialect.layernorm_half) + p["bias"], dialect)


def _factor(total: IntArray, deviations: Deviations) -> IntArray:
    """The reciprocal of a sum or a root."""
    return (2**31 if "numerator" in deviations else INT32_MAX) // total


def _summed(total: IntArray, dialect: Dialect, deviations: Deviations) -> IntArray:
    """The exponential sum, possibly in a register that is too short."""
    if "sum_bits" in deviations:
        total = total & ((1 << deviations["sum_bits"]) - 1)
    if "sum_saturates" in deviations:
        total = np.minimum(total, (1 << deviations["sum_saturates"]) - 1)
    return exponential_sum(total, dialect, "a short sum")


def _shiftmax(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    x = arrays[0]
    top = _subtracted(x.max(axis=-1, keepdims=True), deviations)
    return _shares(exponential(x - top, p["x0"], p["n"], dialect)["out"], p, dialect, deviations)


def _masked_shiftmax(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    x, regions, how = arrays[0], p["regions"], deviations.get("mask")
    seen = visible(regions)[:, None]
    if how == "left_out":
        seen = np.ones_like(seen)
    among = np.ones_like(seen) if how == "after_max" else seen
    top = _subtracted(np.where(among, x, LOWEST).max(axis=-1, keepdims=True), deviations)
    e = exponential(np.where(seen, x - top, 0), p["x0"], p["n"], dialect)["out"]
    return _shares(np.where(seen, e, 0 if how == "zero_share" else -p["x0"]), p, dialect, deviations)


def _subtracted(top: IntArray, deviations: Deviations) -> IntArray:
    """The value subtracted from each row: its maximum, or what a mistake takes instead."""
    if deviations.get("max") == "left_out":
        return np.zeros_like(top)
    if deviations.get("max") == "of_the_previous_row":
        if top.ndim < 2:
            raise ValueError("a single row has no previous one")
        return np.concatenate([top[..., :1, :], top[..., :-1, :]], axis=-2)
    return top


def _shares(e: IntArray, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    """Probabilities from a row's exponentials."""
    total = _summed(e.sum(axis=-1, keepdims=True), dialect, deviations)
    return np.asarray(probability(e, _factor(total, deviations), p["b"], dialect))


def _gelu(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations, lam: int | None = None) -> IntArray:
    x = arrays[0]
    g = x if lam is None else np.minimum(np.maximum(x, -lam), lam)
    top = g.max(axis=-1, keepdims=True)
    if deviations.get("max") == "left_out":
        top = np.zeros_like(top)
    e = exponential(g - top, p["x0"], p["n"], dialect)["out"]
    e_top = exponential(-top, p["x0"], p["n"], dialect)["out"]
    total = _summed(e + e_top, dialect, deviations)
    sigmoid = probability(e, _factor(total, deviations), p["b"], dialect)
    return _held((g if "lambda" in deviations else x) * sigmoid, dialect)


def _lambda_shiftgelu(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    return _gelu(arrays, p, dialect, deviations, p["lam"])


def _accumulated(total: IntArray, deviations: Deviations) -> IntArray:
    """A sum of products in an accumulator that may be too short: it wraps, or saturates at the end."""
    if "accumulator_saturates" in deviations:
        total = saturate(total, signed(deviations["accumulator_saturates"]))
    return wrap(total, signed(deviations.get("accumulator_bits", 32)))


def _linear(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    return _accumulated(arrays[0] @ p["weight"].T + p["bias"], deviations)


def _matmul(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    a, b = arrays
    return _accumulated(a @ (b.swapaxes(-1, -2) if p["transpose_b"] else b), deviations)


def _argmax(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    x = arrays[0]
    return np.asarray(x.shape[-1] - 1 - x[..., ::-1].argmax(axis=-1))


def _input_lut(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    image, table = arrays[0], p["table"]
    return np.asarray(table[np.arange(len(table)), image[..., ::-1]])


DEVIATING_EQUATIONS: dict[str, Callable[[Arrays, Params, Dialect, Deviations], IntArray]] = {
    "requant": _requant,
    "residual_add": _residual_add,
    "layernorm": _layernorm,
    "mean": _mean,
    "shiftmax": _shiftmax,
    "masked_shiftmax": _masked_shiftmax,
    "shiftgelu": _gelu,
    "lambda_shiftgelu": _lambda_shiftgelu,
    "linear": _linear,
    "matmul": _matmul,
    "argmax": _argmax,
    "input_lut": _input_lut,
    **DEVIATING_MOVES,
}
