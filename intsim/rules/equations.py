"""The operators' equations in NumPy int64, each with the mistakes commonly made in it.

`DEVIATING_EQUATIONS` maps an operator to a function of its inputs, parameters, dialect and deviations, such as
``{"saturation": "wrap"}``. They are called only where there is a deviation; otherwise the operators themselves compute. The
operators that only move values are in `moves`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..arith import (
    I8,
    I16,
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
from ..ops.shift_exp import of_log2
from ..ops.shift_exp import steps as exponential
from ..ops.shiftmax import exponential_sum, probability
from .moves import DEVIATING_MOVES, Arrays, Deviations, NotApplicable, Params
from .other_stacks import Rescaling, rounded_in_two
from .slips import LOG2E, half_down, newton, of_another, plus_half_truncated, products, without_an_end


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
    product: IntArray = x * m
    if "product_bits" in deviations:
        product = wrap(product, signed(deviations["product_bits"]))
    if "shifted_first" in deviations:
        return rounded_in_two(product, e, Rounding.FLOOR, mode, deviations["shifted_first"])
    if how is None:
        return round_shift(product, e, mode)
    if how in ("half_down", "plus_half_truncated"):
        rounded: IntArray = (half_down if how == "half_down" else plus_half_truncated)(product, e)
        return rounded
    high, first, last = ROUNDED_IN_TWO[how]
    return rounded_in_two(product, e, first or mode, last or mode, high)


def _requant(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    rescaling: Rescaling | None = deviations.get("requant")
    acc = arrays[0]
    if "input_bits" in deviations:
        acc = wrap(acc, signed(deviations["input_bits"]))
    if "input_saturates" in deviations:
        acc = saturate(acc, signed(deviations["input_saturates"]))
    rounded = rescaling(*arrays) if rescaling else _rescaled(acc, p["m"], p["e"], dialect, deviations)
    return _bounded(rounded, p["b"], deviations.get("saturation"))


def _residual_add(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    a, c = arrays
    mode, how = dialect.requant_rounding, deviations.get("residual")
    if how in ("multipliers_exchanged", "rescalings_exchanged"):
        p = {**p, "ma": p["mc"], "mc": p["ma"]}
        if how == "rescalings_exchanged":
            p |= {"ea": p["ec"], "ec": p["ea"]}
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
    total = without_an_end(x, total, deviations.get("sum"))
    narrow = dialect.variance is Variance.WRAP16
    total = wrap(total, I16) if narrow else total
    mean = of_another(round_divide(total, x.shape[-1], dialect.mean_rounding), deviations.get("mean"))
    y = x if deviations.get("mean") == "left_out" else x - mean
    y = wrap(y, I16) if narrow else y
    if "centred_bits" in deviations:
        y = wrap(y, signed(deviations["centred_bits"]))
    v = without_an_end(y * y, (y * y).sum(axis=-1, keepdims=True), deviations.get("row_variance"))
    v = of_another(v, deviations.get("row_variance"))
    if dialect.variance is not Variance.EXACT:
        v = v & 0xFFFFFFFF
    if "variance_bits" in deviations:
        v = v & ((1 << deviations["variance_bits"]) - 1)
    root = np.sqrt(v.astype(np.float32)) if deviations.get("root") == "float32" else isqrt(v, dialect.sqrt)
    if "newton_steps" in deviations:
        root = newton(v, deviations["newton_steps"])
    std = np.maximum(root.astype(np.int64), 1)
    product: IntArray = y * _factor(std, deviations)
    if dialect.overflow is Overflow.WRAP32:
        product = wrap(product, I32)
    return _held(divide(product, 2, dialect.layernorm_half) + p["bias"], dialect)


def _factor(total: IntArray, deviations: Deviations) -> IntArray:
    """The reciprocal of a sum or a root."""
    factor: IntArray = (2**31 if "numerator" in deviations else INT32_MAX) // total
    dropped = int(deviations.get("factor_bits_dropped", 0))
    kept: IntArray = factor >> dropped << dropped
    return kept


def _exponential(x: IntArray, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    """exp of values of at most 0, possibly with another approximation of log2(e)."""
    x0, n = p["x0"], p["n"]
    if "log2e" not in deviations:
        return exponential(x, x0, n, dialect)["out"]
    return of_log2(np.maximum(LOG2E[deviations["log2e"]](x), n * x0), x0, n, dialect)["out"]


def _summed(total: IntArray, dialect: Dialect, deviations: Deviations) -> IntArray:
    """The exponential sum, possibly in a register that is too short."""
    if "sum_bits" in deviations:
        total = total & ((1 << deviations["sum_bits"]) - 1)
    if "sum_saturates" in deviations:
        total = np.minimum(total, (1 << deviations["sum_saturates"]) - 1)
    return exponential_sum(total, dialect, "a short sum")


def _shiftmax(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    x = arrays[0]
    top = _subtracted(x, deviations)
    return _shares(_exponential(x - top, p, dialect, deviations), p, dialect, deviations)


def _masked_shiftmax(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    x, regions, how = arrays[0], p["regions"], deviations.get("mask")
    seen = visible(regions)[:, None]
    if how == "left_out":
        seen = np.ones_like(seen)
    among = np.ones_like(seen) if how == "after_max" else seen
    narrow = not x.size or I8.holds(int(x.min()), int(x.max()))
    top = np.maximum(_subtracted(np.where(among, x, LOWEST), deviations), I8.lo if narrow else I16.lo)
    e = _exponential(np.where(seen, x - top, 0), p, dialect, deviations)
    return _shares(np.where(seen, e, 0 if how == "zero_share" else -p["x0"]), p, dialect, deviations)


def _subtracted(x: IntArray, deviations: Deviations) -> IntArray:
    """The value subtracted from each row of `x`: its maximum, or what a mistake takes instead."""
    how = deviations.get("max")
    if how in ("without_last", "without_first"):
        if x.shape[-1] < 2:
            raise NotApplicable("a row of one element has no maximum without it")
        x = x[..., :-1] if how == "without_last" else x[..., 1:]
    top = x.max(axis=-1, keepdims=True)
    return np.zeros_like(top) if how == "left_out" else of_another(top, how)


def _shares(e: IntArray, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    """Probabilities from a row's exponentials."""
    how = deviations.get("sum")
    total = of_another(without_an_end(e, e.sum(axis=-1, keepdims=True), how), how)
    if how == "not_reset":
        total = total.reshape(-1).cumsum().reshape(total.shape)
    total = _summed(total, dialect, deviations)
    return probability(e, _factor(total, deviations), p["b"], dialect)


def _gelu(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations, lam: int | None = None) -> IntArray:
    x = arrays[0]
    g = x if lam is None else np.minimum(np.maximum(x, -lam), lam)
    top = _subtracted(g, deviations)
    e = _exponential(g - top, p, dialect, deviations)
    e_top = _exponential(-top, p, dialect, deviations)
    total = _summed(e + e_top, dialect, deviations)
    sigmoid = probability(e, _factor(total, deviations), p["b"], dialect)
    product: IntArray = (g if "lambda" in deviations else x) * sigmoid
    if "product_bits" in deviations:
        product = wrap(product, signed(deviations["product_bits"]))
    return _held(product, dialect)


def _lambda_shiftgelu(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    return _gelu(arrays, p, dialect, deviations, p["lam"])


def _accumulated(total: IntArray, deviations: Deviations) -> IntArray:
    """A sum of products in an accumulator that may be too short: it wraps, or saturates at the end."""
    if "accumulator_saturates" in deviations:
        total = saturate(total, signed(deviations["accumulator_saturates"]))
    return wrap(total, signed(deviations.get("accumulator_bits", 32)))


def _linear(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    return _accumulated(products(arrays[0], p["weight"].T, p["bias"], deviations), deviations)


def _matmul(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    a, b = arrays
    return _accumulated(products(a, b.swapaxes(-1, -2) if p["transpose_b"] else b, 0, deviations), deviations)


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
