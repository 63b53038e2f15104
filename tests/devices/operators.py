"""The operators of a device, in plain NumPy int64, with hooks where a mistake changes something."""

from __future__ import annotations

from typing import Any

import numpy as np

Params = dict[str, Any]
TOP = 2**31 - 1


def half_even(product: np.ndarray, e: np.ndarray) -> np.ndarray:
    floor = product >> e
    rest = product - (floor << e)
    half = (1 << e) >> 1
    return floor + ((rest > half) | ((rest == half) & (floor & 1 == 1)))


def clipped(x: np.ndarray, bits: int) -> np.ndarray:
    return np.minimum(np.maximum(x, -(1 << bits - 1)), (1 << bits - 1) - 1)


def wrapped(x: np.ndarray, bits: int) -> np.ndarray:
    low = x & ((1 << bits) - 1)
    return np.where(low >> bits - 1, low - (1 << bits), low)


def requant(inputs: list[np.ndarray], p: Params, rounded: Any = half_even, bound: Any = clipped) -> np.ndarray:
    m, e = np.asarray(p["m"], np.int64), np.asarray(p["e"], np.int64)
    return np.asarray(bound(rounded(inputs[0].astype(np.int64) * m, e), p["b"]))


def residual_add(inputs: list[np.ndarray], p: Params, rounded: Any = half_even, bound: Any = clipped) -> np.ndarray:
    a, c = (x.astype(np.int64) for x in inputs)
    m = {key: np.asarray(p[key], np.int64) for key in ("ma", "ea", "mc", "ec")}
    return np.asarray(bound(rounded(a * m["ma"], m["ea"]) + rounded(c * m["mc"], m["ec"]), p["b"]))


def linear(inputs: list[np.ndarray], p: Params) -> np.ndarray:
    return inputs[0].astype(np.int64) @ np.asarray(p["weight"], np.int64).T + np.asarray(p["bias"], np.int64)


def matmul(inputs: list[np.ndarray], p: Params) -> np.ndarray:
    a, b = (x.astype(np.int64) for x in inputs)
    return a @ (b.swapaxes(-1, -2) if p["transpose_b"] else b)


def log2e(x: np.ndarray) -> np.ndarray:
    return x + (x >> 1) - (x >> 4)


def exponential(x: np.ndarray, x0: int, n: int, power: Any = log2e) -> np.ndarray:
    t = np.maximum(power(x), n * x0)
    q = t // x0
    r = t - q * x0
    return np.maximum((r - 2 * x0 << n - q) >> 1, 0)


def same(x: Any) -> Any:
    return x


def softmax(
    inputs: list[np.ndarray], p: Params, top: Any = same, total: Any = same, factor: Any = same, power: Any = log2e
) -> np.ndarray:
    x = inputs[0].astype(np.int64)
    e = exponential(x - top(x.max(axis=-1, keepdims=True)), p["x0"], p["n"], power)
    f = factor(TOP // np.minimum(total(e.sum(axis=-1, keepdims=True)), TOP))
    return e * f >> (31 - p["b"] + 1)


def gelu(
    inputs: list[np.ndarray], p: Params, top: Any = same, factor: Any = same, power: Any = log2e, clamp: bool = True
) -> np.ndarray:
    x = inputs[0].astype(np.int64)
    g = np.minimum(np.maximum(x, -p["lam"]), p["lam"]) if clamp else x
    most = top(g.max(axis=-1, keepdims=True))
    e, e_top = (exponential(v, p["x0"], p["n"], power) for v in (g - most, -most))
    f = factor(TOP // np.minimum(e + e_top, TOP))
    return x * (e * f >> (31 - p["b"] + 1))


def root(v: np.ndarray, steps: int = 10) -> np.ndarray:
    k = np.full_like(v, 1 << 16)
    for _ in range(steps):
        k = (k + v // k) >> 1
    return k


def layernorm(
    inputs: list[np.ndarray],
    p: Params,
    mean: Any = same,
    variance: Any = same,
    std: Any = root,
    factor: Any = same,
) -> np.ndarray:
    x, n = inputs[0].astype(np.int64), inputs[0].shape[-1]
    total = x.sum(axis=-1, keepdims=True)
    rounded = (2 * total + n) // (2 * n)
    tie_odd = ((2 * total + n) % (2 * n) == 0) & (rounded & 1 == 1)
    y = x - mean(rounded - tie_odd)
    v = variance((y * y).sum(axis=-1, keepdims=True))
    f = factor(TOP // np.maximum(std(v), 1))
    return (y * f >> 1) + np.asarray(p["bias"], np.int64)


RIGHT = {
    "requant": requant,
    "residual_add": residual_add,
    "linear": linear,
    "matmul": matmul,
    "shiftmax": softmax,
    "lambda_shiftgelu": gelu,
    "layernorm": layernorm,
}
