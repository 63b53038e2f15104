"""The operators' equations once more, in NumPy int64, each open to the mistakes that are made with it.

`TWISTED` maps an operator to a function of its inputs, parameters, dialect and twists; a twist is one departure by name,
``{"saturation": "wrap"}``. Where no twist is set nobody calls these: the operators themselves compute. Values that are moved
to the wrong places are in `moves`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..arith import (
    I32,
    INT32_MAX,
    IntArray,
    Overflow,
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
from .moves import MOVED, Arrays, Params, Twists


def _bounded(x: IntArray, b: int, how: str | None) -> IntArray:
    fmt = signed(b)
    if how == "wrap":
        return wrap(x, fmt)
    if how == "narrow":
        return saturate(x, signed(b - 1))
    lowest = {"symmetric": -fmt.hi, "unsigned": 0, None: fmt.lo}[how]
    return np.minimum(np.maximum(x, lowest), fmt.hi)


def _held(x: IntArray, dialect: Dialect) -> IntArray:
    """A result as the dialect's registers hold it: whole where it is exact, else in 32 bits."""
    return x if dialect.overflow is Overflow.EXACT else wrap(x, I32)


def _requant(arrays: Arrays, p: Params, dialect: Dialect, twists: Twists) -> IntArray:
    product, mode = arrays[0] * p["m"], str(dialect.requant_rounding)
    if "rounding" in twists:  # the high half of the product rounded, then the rest of the shift
        first, last = {"twice": (mode, mode), "gemmlowp": ("half_up", "half_away")}[twists["rounding"]]
        high = round_shift(product, np.minimum(p["e"], 31), first)
        rounded = round_shift(high, np.maximum(np.asarray(p["e"]) - 31, 0), last)
    else:
        rounded = round_shift(product, p["e"], mode)
    return _bounded(rounded, p["b"], twists.get("saturation"))


def _residual_add(arrays: Arrays, p: Params, dialect: Dialect, twists: Twists) -> IntArray:
    a, c = arrays
    mode, how = dialect.requant_rounding, twists.get("residual")
    if how == "rounded_once":
        e = int(max(np.max(p["ea"]), np.max(p["ec"])))
        arms = ((a, p["ma"], p["ea"]), (c, p["mc"], p["ec"]))
        ends = [int(np.abs(x).max()) * int(np.max(np.abs(m))) << int(np.max(e - k)) for x, m, k in arms]
        if sum(ends) >= 1 << 63:
            raise ValueError("the exact sum of the two arms passes 64 bits")
        total = round_shift((a * p["ma"] << (e - p["ea"])) + (c * p["mc"] << (e - p["ec"])), e, mode)
    else:
        arm_a, arm_c = round_shift(a * p["ma"], p["ea"], mode), round_shift(c * p["mc"], p["ec"], mode)
        if "repeat" in twists:
            arm_c = _repeated(arm_c, a.shape, twists["repeat"])
        total = arm_a * (how != "branch_left_out") + arm_c * (how != "skip_left_out")
    return _bounded(total, p["b"], twists.get("saturation"))


def _repeated(arm: IntArray, shape: tuple[int, ...], how: str) -> IntArray:
    """An arm that lacks leading axes of `shape`: added once only, or every row of it as often as the whole is due."""
    rows = arm.reshape(-1, shape[-1])
    found = np.zeros(shape, np.int64)
    flat = found.reshape(-1, shape[-1])
    if how == "once":
        flat[: len(rows)] = rows
    else:
        flat[:] = np.repeat(rows, len(flat) // len(rows), axis=0)
    return found


def _mean(arrays: Arrays, p: Params, dialect: Dialect, twists: Twists) -> IntArray:
    x = arrays[0]
    total = x.sum(axis=-2)
    if "sum_bits" in twists:
        total = wrap(total, signed(twists["sum_bits"]))
    return round_divide(total, x.shape[-2], dialect.mean_rounding)


def _layernorm(arrays: Arrays, p: Params, dialect: Dialect, twists: Twists) -> IntArray:
    x = arrays[0]
    total = x.sum(axis=-1, keepdims=True)
    if "sum_bits" in twists:
        total = wrap(total, signed(twists["sum_bits"]))
    if twists.get("sum") == "float32":
        total = total.astype(np.float32).astype(np.int64)
    mean = round_divide(total, x.shape[-1], dialect.mean_rounding)
    y = x if twists.get("mean") == "left_out" else x - mean
    v = (y * y).sum(axis=-1, keepdims=True)
    if dialect.variance is Variance.WRAP32:
        v = v & 0xFFFFFFFF
    if "variance_bits" in twists:
        v = v & ((1 << twists["variance_bits"]) - 1)
    root = np.sqrt(v.astype(np.float32)) if twists.get("root") == "float32" else isqrt(v, dialect.sqrt)
    std = np.maximum(root.astype(np.int64), 1)
    product: IntArray = y * _factor(std, twists)
    if dialect.overflow is Overflow.WRAP32:
        product = wrap(product, I32)
    return _held(divide(product, 2, dialect.layernorm_half) + p["bias"], dialect)


def _factor(total: IntArray, twists: Twists) -> IntArray:
    """The reciprocal of a sum or a root."""
    return (2**31 if "numerator" in twists else INT32_MAX) // total


def _summed(total: IntArray, dialect: Dialect, twists: Twists) -> IntArray:
    """The exponential sum in a register that is too short."""
    if "sum_bits" in twists:
        total = total & ((1 << twists["sum_bits"]) - 1)
    if "sum_saturates" in twists:
        total = np.minimum(total, (1 << twists["sum_saturates"]) - 1)
    return exponential_sum(total, dialect, "a short sum")


def _shiftmax(arrays: Arrays, p: Params, dialect: Dialect, twists: Twists) -> IntArray:
    x = arrays[0]
    top = _subtracted(x.max(axis=-1, keepdims=True), twists)
    return _shares(exponential(x - top, p["x0"], p["n"], dialect)["out"], p, dialect, twists)


def _masked_shiftmax(arrays: Arrays, p: Params, dialect: Dialect, twists: Twists) -> IntArray:
    x, regions, how = arrays[0], p["regions"], twists.get("mask")
    seen = visible(regions)[:, None]
    if how == "left_out":
        seen = np.ones_like(seen)
    among = np.ones_like(seen) if how == "after_max" else seen
    top = _subtracted(np.where(among, x, LOWEST).max(axis=-1, keepdims=True), twists)
    e = exponential(np.where(seen, x - top, 0), p["x0"], p["n"], dialect)["out"]
    return _shares(np.where(seen, e, 0 if how == "zero_share" else -p["x0"]), p, dialect, twists)


def _subtracted(top: IntArray, twists: Twists) -> IntArray:
    """What is subtracted in place of the maxima of rows."""
    if twists.get("max") == "left_out":
        return np.zeros_like(top)
    if twists.get("max") == "of_the_previous_row":
        return np.concatenate([top[..., :1, :], top[..., :-1, :]], axis=-2)
    return top


def _shares(e: IntArray, p: Params, dialect: Dialect, twists: Twists) -> IntArray:
    """Probabilities from a row's exponentials."""
    total = _summed(e.sum(axis=-1, keepdims=True), dialect, twists)
    return np.asarray(probability(e, _factor(total, twists), p["b"], dialect))


def _gelu(arrays: Arrays, p: Params, dialect: Dialect, twists: Twists, lam: int | None = None) -> IntArray:
    x = arrays[0]
    g = x if lam is None else np.minimum(np.maximum(x, -lam), lam)
    top = g.max(axis=-1, keepdims=True)
    if twists.get("max") == "left_out":
        top = np.zeros_like(top)
    e = exponential(g - top, p["x0"], p["n"], dialect)["out"]
    e_top = exponential(-top, p["x0"], p["n"], dialect)["out"]
    total = _summed(e + e_top, dialect, twists)
    sigmoid = probability(e, _factor(total, twists), p["b"], dialect)
    return _held((g if "lambda" in twists else x) * sigmoid, dialect)


def _lambda_shiftgelu(arrays: Arrays, p: Params, dialect: Dialect, twists: Twists) -> IntArray:
    return _gelu(arrays, p, dialect, twists, p["lam"])


def _accumulated(total: IntArray, twists: Twists) -> IntArray:
    """A sum of products in an accumulator that is too short: it wraps, or saturates at the end."""
    if "accumulator_saturates" in twists:
        total = saturate(total, signed(twists["accumulator_saturates"]))
    return wrap(total, signed(twists.get("accumulator_bits", 32)))


def _linear(arrays: Arrays, p: Params, dialect: Dialect, twists: Twists) -> IntArray:
    return _accumulated(arrays[0] @ p["weight"].T + p["bias"], twists)


def _matmul(arrays: Arrays, p: Params, dialect: Dialect, twists: Twists) -> IntArray:
    a, b = arrays
    return _accumulated(a @ (b.swapaxes(-1, -2) if p["transpose_b"] else b), twists)


def _argmax(arrays: Arrays, p: Params, dialect: Dialect, twists: Twists) -> IntArray:
    x = arrays[0]
    return x.shape[-1] - 1 - x[..., ::-1].argmax(axis=-1)


def _input_lut(arrays: Arrays, p: Params, dialect: Dialect, twists: Twists) -> IntArray:
    image, table = arrays[0], p["table"]
    return np.asarray(table[np.arange(len(table)), image[..., ::-1]])


TWISTED: dict[str, Callable[[Arrays, Params, Dialect, Twists], IntArray]] = {
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
    **MOVED,
}
