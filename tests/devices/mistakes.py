"""The catalogue of mistakes: each at one kind of operator, as a device would make it, with the reason that is due."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .operators import (
    Params,
    clipped,
    gelu,
    half_even,
    layernorm,
    linear,
    matmul,
    requant,
    residual_add,
    root,
    softmax,
    wrapped,
)

Compute = Callable[[list[np.ndarray], Params, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Mistake:
    """A mistake at operators of one kind. `reason` is a regular expression that the explanation matches."""

    name: str
    op: str
    compute: Compute
    reason: str


CATALOGUE: list[Mistake] = []


def mistake(op: str, name: str, reason: str) -> Callable[[Compute], Compute]:
    def add(compute: Compute) -> Compute:
        CATALOGUE.append(Mistake(name, op, compute, reason))
        return compute

    return add


def add(op: str, name: str, reason: str, compute: Compute) -> None:
    CATALOGUE.append(Mistake(name, op, compute, reason))


def previous(axis: int) -> Callable[[np.ndarray], np.ndarray]:
    def late(value: np.ndarray) -> np.ndarray:
        first = value.take([0], axis=axis)
        return np.concatenate([first, value.take(range(value.shape[axis] - 1), axis=axis)], axis=axis)

    return late


# --- where ------------------------------------------------------------------------------------------------------------


def only(columns: Any, rows: Any = slice(None)) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The wrong values in part of a tensor, the right ones elsewhere."""

    def part(wrong: np.ndarray, right: np.ndarray) -> np.ndarray:
        out = right.astype(np.int64)
        out[..., rows, columns] = wrong[..., rows, columns]
        return out

    return part


def floored(product: np.ndarray, e: np.ndarray) -> np.ndarray:
    return product >> e


def shift_short(i: list, p: Params) -> np.ndarray:
    return requant(i, {**p, "e": np.asarray(p["e"], np.int64) - 1})


add(
    "requant",
    "a shift one short in the upper half",
    r"e-1.* in columns 24\.\.",
    lambda i, p, r: only(slice(24, None))(shift_short(i, p), r),
)
add(
    "requant",
    "a shift one short in every fourth lane",
    r"e-1.* in every 4th column from 3 on",
    lambda i, p, r: only(slice(3, None, 4))(shift_short(i, p), r),
)
add(
    "requant",
    "floored in the first rows",
    r"requant_rounding .floor.* in rows 0\.\.15",
    lambda i, p, r: only(slice(None), slice(0, 16))(requant(i, p, floored), r),
)
add(
    "requant",
    "floored in one tile",
    r"requant_rounding .floor.* in columns 16\.\.31 of rows 16\.\.31",
    lambda i, p, r: only(slice(16, 32), slice(16, 32))(requant(i, p, floored), r),
)
add("requant", "one channel's shift", r"e-1.* in column 5\b", lambda i, p, r: only([5])(shift_short(i, p), r))


# --- state and movement -----------------------------------------------------------------------------------------------


def moved(change: Callable[[np.ndarray], None]) -> Compute:
    def compute(i: list[np.ndarray], p: Params, right: np.ndarray) -> np.ndarray:
        out = right.astype(np.int64)
        change(out)
        return out

    return compute


def repeat_tile(x: np.ndarray) -> None:
    x[..., 16:32, :] = x[..., 0:16, :].copy()


def stale_columns(x: np.ndarray) -> None:
    x[..., 8:16] = x[..., 0:8].copy()


def last_row_zero(x: np.ndarray) -> None:
    x[..., -1, :] = 0


def stopped(x: np.ndarray) -> None:
    x[..., 40:, :] = 0


def stuck(x: np.ndarray) -> None:
    x[..., 20:, :] = x[..., 19:20, :]


def one_tile(x: np.ndarray) -> None:
    x[..., 16:24, 8:16] = x[..., 8:16, 8:16].copy()


for kind in ("requant", "residual_add"):
    add(kind, "a tile of rows repeated", r"rows 16\.\.31 equal rows 0\.\.15", moved(repeat_tile))
    add(kind, "a beat of channels repeated", r"columns 8\.\.15 equal columns 0\.\.7", moved(stale_columns))
    add(kind, "the last row not written", r"the last row.* is 0", moved(last_row_zero))
    add(kind, "a transfer that stopped", r"rows 40\.\.\d+ is 0", moved(stopped))
    add(kind, "a row counter that stopped", r"rows 20\.\.\d+ equal row 19", moved(stuck))
    add(kind, "one tile stale", r"rows 16\.\.23 equal rows 8\.\.15, in columns 8\.\.15", moved(one_tile))
add("shiftmax", "a head written twice", r"head 1 equals head 0", moved(lambda x: x.__setitem__(1, x[0].copy())))
add("shiftmax", "nothing written", r"every element is 0", moved(lambda x: x.__setitem__(..., 0)))

add(
    "shiftmax",
    "the maximum of the previous row",
    r"max .of_the_previous_row",
    lambda i, p, r: softmax(i, p, top=previous(-2)),
)
add(
    "shiftmax",
    "the maximum of the previous head",
    r"max .of_the_previous_head",
    lambda i, p, r: softmax(i, p, top=previous(-3)),
)
add(
    "shiftmax", "the sum of the previous row", r"sum .of_the_previous_row", lambda i, p, r: softmax(i, p, total=previous(-2))
)
add(
    "shiftmax",
    "the factor of the previous head",
    r"sum .of_the_previous_head",
    lambda i, p, r: softmax(i, p, factor=previous(-3)),
)
add(
    "shiftmax",
    "a sum that is not reset",
    r"sum .not_reset",
    lambda i, p, r: softmax(i, p, total=lambda s: s.reshape(-1).cumsum().reshape(s.shape)),
)
add(
    "layernorm",
    "the mean of the previous row",
    r"mean .of_the_previous_row",
    lambda i, p, r: layernorm(i, p, mean=previous(-2)),
)
add(
    "layernorm",
    "the variance of the previous row",
    r"row_variance .of_the_previous_row",
    lambda i, p, r: layernorm(i, p, variance=previous(-2)),
)
add(
    "layernorm",
    "the factor of the previous row",
    r"row_variance .of_the_previous_row",
    lambda i, p, r: layernorm(i, p, factor=previous(-2)),
)
add(
    "lambda_shiftgelu",
    "the maximum of the previous row",
    r"max .of_the_previous_row",
    lambda i, p, r: gelu(i, p, top=previous(-2)),
)


def last_key_twice(i: list, p: Params, right: np.ndarray) -> np.ndarray:
    a, b = (x.astype(np.int64) for x in i)
    b = b.swapaxes(-1, -2) if p["transpose_b"] else b
    return a @ b + a[..., -1:] @ b[..., -1:, :]


def first_channel_skipped(i: list, p: Params, right: np.ndarray) -> np.ndarray:
    x, w = i[0].astype(np.int64), np.asarray(p["weight"], np.int64)
    return linear(i, p) - x[..., :1] @ w[:, :1].T


def last_channel_skipped(i: list, p: Params, right: np.ndarray) -> np.ndarray:
    x, w = i[0].astype(np.int64), np.asarray(p["weight"], np.int64)
    return linear(i, p) - x[..., -1:] @ w[:, -1:].T


add("matmul", "the last term twice", r"terms .last_twice", last_key_twice)
add("linear", "the first channel skipped", r"terms .without_first", first_channel_skipped)
add("linear", "the last channel skipped", r"terms .without_last", last_channel_skipped)
add(
    "layernorm",
    "the last channel missing in the variance",
    r"row_variance .without_last",
    lambda i, p, r: _short_variance(i, p),
)
add("shiftmax", "the last key missing in the sum", r"sum .without_last", lambda i, p, r: _short_sum(i, p))


def _short_variance(i: list, p: Params) -> np.ndarray:
    x, n = i[0].astype(np.int64), i[0].shape[-1]

    def less(v: np.ndarray) -> np.ndarray:
        total = x.sum(axis=-1, keepdims=True)
        rounded = (2 * total + n) // (2 * n)
        mean = rounded - (((2 * total + n) % (2 * n) == 0) & (rounded & 1 == 1))
        return v - (x[..., -1:] - mean) ** 2

    return layernorm(i, p, variance=less)


def _short_sum(i: list, p: Params) -> np.ndarray:
    from .operators import exponential

    x = i[0].astype(np.int64)
    e = exponential(x - x.max(axis=-1, keepdims=True), p["x0"], p["n"])
    return softmax(i, p, total=lambda s: s - e[..., -1:])


# --- arithmetic -------------------------------------------------------------------------------------------------------


def half_down(product: np.ndarray, e: np.ndarray) -> np.ndarray:
    return product + ((1 << e) >> 1) - 1 >> e


def half_up(product: np.ndarray, e: np.ndarray) -> np.ndarray:
    return product + ((1 << e) >> 1) >> e


def truncated(product: np.ndarray, e: np.ndarray) -> np.ndarray:
    return np.where(product < 0, -(-product >> e), product >> e)


def c_cast(product: np.ndarray, e: np.ndarray) -> np.ndarray:
    return truncated(product + ((1 << e) >> 1), e)


def cut_first(bits: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return lambda product, e: half_even(product >> bits, e - bits)


for kind, run in (("requant", requant), ("residual_add", residual_add)):
    add(kind, "floored", r"requant_rounding .floor", lambda i, p, r, run=run: run(i, p, floored))
    add(kind, "truncated", r"requant_rounding .trunc", lambda i, p, r, run=run: run(i, p, truncated))
    add(kind, "C's cast after adding a half", r"plus_half_truncated", lambda i, p, r, run=run: run(i, p, c_cast))
    add(kind, "no clamp", r"saturation .wrap|wrap:8", lambda i, p, r, run=run: run(i, p, bound=wrapped))
    add(kind, "negative values lost", r"saturation .unsigned", lambda i, p, r, run=run: np.maximum(run(i, p), 0))
add(
    "requant",
    "accumulator of 16 bits",
    r"input_bits .16|accumulator_bits .16",
    lambda i, p, r: requant([wrapped(i[0].astype(np.int64), 16)], p),
)
add(
    "requant",
    "accumulator saturated at 16 bits",
    r"input_saturates .16|accumulator_saturates .16",
    lambda i, p, r: requant([clipped(i[0].astype(np.int64), 16)], p),
)
add(
    "requant",
    "a multiplier of 12 bits",
    r"multiplier_bits .13",
    lambda i, p, r: requant(i, {**p, "m": np.asarray(p["m"], np.int64) >> 19 << 19}),
)
add(
    "requant",
    "one multiplier for all channels",
    r"multiplier .per_tensor|multiplier .first_channel",
    lambda i, p, r: requant(
        i, {**p, "m": np.asarray(p["m"], np.int64).reshape(-1)[:1], "e": np.asarray(p["e"], np.int64).reshape(-1)[:1]}
    ),
)
add(
    "residual_add",
    "arms exchanged",
    r"rescalings_exchanged",
    lambda i, p, r: residual_add(i, {**p, "ma": p["mc"], "mc": p["ma"], "ea": p["ec"], "ec": p["ea"]}),
)
add(
    "residual_add",
    "multipliers exchanged",
    r"multipliers_exchanged",
    lambda i, p, r: residual_add(i, {**p, "ma": p["mc"], "mc": p["ma"]}),
)
add("residual_add", "rounded once", r"rounded_once", lambda i, p, r: _once(i, p))
add(
    "residual_add",
    "the branch left out",
    r"branch_left_out|values of|holds",
    lambda i, p, r: residual_add([np.zeros_like(i[0]), i[1]], p),
)


def _once(i: list, p: Params) -> np.ndarray:
    a, c = (x.astype(np.int64) for x in i)
    ma, ea, mc, ec = (np.asarray(p[key], np.int64) for key in ("ma", "ea", "mc", "ec"))
    e = max(int(ea.max()), int(ec.max()))
    exact = (a.astype(object) * ma << (e - ea).astype(object)) + (c.astype(object) * mc << (e - ec).astype(object))
    half = 1 << e - 1
    rounded = (exact + half) >> e
    tie = (exact + half) % (1 << e) == 0
    return clipped((rounded - (tie & (rounded % 2 == 1))).astype(np.int64), p["b"])


for kind, run in (("shiftmax", softmax), ("lambda_shiftgelu", gelu)):
    add(kind, "log2(e) without x >> 4", r"without_x>>4", lambda i, p, r, run=run: run(i, p, power=lambda x: x + (x >> 1)))
    add(kind, "log2(e) without x >> 1", r"without_x>>1", lambda i, p, r, run=run: run(i, p, power=lambda x: x - (x >> 4)))
    add(
        kind,
        "log2(e) with x >> 4 added",
        r"plus_x>>4",
        lambda i, p, r, run=run: run(i, p, power=lambda x: x + (x >> 1) + (x >> 4)),
    )
    add(
        kind,
        "log2(e) with x >> 3",
        r"x>>3_for_x>>4",
        lambda i, p, r, run=run: run(i, p, power=lambda x: x + (x >> 1) - (x >> 3)),
    )
    add(
        kind,
        "a factor without its low 8 bits",
        r"factor_bits_dropped .8",
        lambda i, p, r, run=run: run(i, p, factor=lambda f: f >> 8 << 8),
    )
    add(kind, "the maximum left out", r"max .left_out", lambda i, p, r, run=run: run(i, p, top=np.zeros_like))
    add(kind, "n one less", r"n-1|softmax_n|gelu_n", lambda i, p, r, run=run: run(i, {**p, "n": p["n"] - 1}))
    add(kind, "x0 one more", r"x0\+1|x0_rounding", lambda i, p, r, run=run: run(i, {**p, "x0": p["x0"] + 1}))
add("lambda_shiftgelu", "lam one more", r"lam\+1", lambda i, p, r: gelu(i, {**p, "lam": p["lam"] + 1}))
add("lambda_shiftgelu", "no clamp of lam", r"gelu .shiftgelu", lambda i, p, r: gelu(i, p, clamp=False))
add("layernorm", "no mean", r"mean .left_out", lambda i, p, r: layernorm(i, p, mean=np.zeros_like))
add("layernorm", "four Newton steps fewer", r"newton_steps .6", lambda i, p, r: layernorm(i, p, std=lambda v: root(v, 6)))
add(
    "layernorm",
    "the variance of 32 bits",
    r"variance_bits .(\d+)|variance .wrap32",
    lambda i, p, r: layernorm(i, p, variance=lambda v: v & (1 << 18) - 1),
)
add(
    "layernorm",
    "a factor without its low 12 bits",
    r"factor_bits_dropped .12",
    lambda i, p, r: layernorm(i, p, factor=lambda f: f >> 12 << 12),
)
add(
    "layernorm",
    "the bias of the next channel",
    r"bias .of_the_next_channel",
    lambda i, p, r: layernorm(i, {**p, "bias": np.roll(p["bias"], -1)}),
)
add(
    "layernorm",
    "the bias twice",
    r"bias .twice",
    lambda i, p, r: layernorm(i, {**p, "bias": 2 * np.asarray(p["bias"], np.int64)}),
)
add(
    "layernorm",
    "no bias",
    r"bias .left_out",
    lambda i, p, r: layernorm(i, {**p, "bias": 0 * np.asarray(p["bias"], np.int64)}),
)
add("linear", "no bias", r"bias .left_out", lambda i, p, r: linear(i, {**p, "bias": 0 * np.asarray(p["bias"], np.int64)}))
add(
    "linear", "the bias twice", r"bias .twice", lambda i, p, r: linear(i, {**p, "bias": 2 * np.asarray(p["bias"], np.int64)})
)
add(
    "linear",
    "the bias of the neighbour",
    r"bias .of_the_previous_channel",
    lambda i, p, r: linear(i, {**p, "bias": np.roll(p["bias"], 1)}),
)


# --- parameters -------------------------------------------------------------------------------------------------------


def weights(change: Callable[[np.ndarray, np.ndarray], None]) -> Compute:
    def compute(i: list[np.ndarray], p: Params, right: np.ndarray) -> np.ndarray:
        w, b = np.array(p["weight"], np.int64), np.array(p["bias"], np.int64)
        change(w, b)
        return linear(i, {**p, "weight": w, "bias": b})

    return compute


def stuck_bit(w: np.ndarray, b: np.ndarray) -> None:
    w[2, 7] = wrapped((w[2, 7] & 255) ^ 16, 8)


def bias_bit(w: np.ndarray, b: np.ndarray) -> None:
    b[3] ^= 1 << 11


def zero_weight(w: np.ndarray, b: np.ndarray) -> None:
    w[1, 5] += 37 if w[1, 5] < 50 else -37


def two_channels(w: np.ndarray, b: np.ndarray) -> None:
    w[0, 3] = wrapped((w[0, 3] & 255) ^ 64, 8)
    b[4] ^= 1 << 9


add("linear", "a bit of a weight", r"weight\[2, 7\] = -?\d+ instead of -?\d+ \(bit 4\)", weights(stuck_bit))
add("linear", "a bit of a bias", r"bias\[3\] = -?\d+ instead of -?\d+ \(bit 11\)", weights(bias_bit))
add("linear", "another weight", r"weight\[1, 5\] = ", weights(zero_weight))
add("linear", "a weight and a bias", r"weight\[0, 3\].*bias\[4\]", weights(two_channels))
add(
    "linear",
    "an accumulator that saturates at 16 bits",
    r"accumulator_saturates_each|accumulator_saturates .16",
    lambda i, p, r: clipped(linear(i, p), 16),
)
add("matmul", "an accumulator of 16 bits", r"accumulator_bits .16", lambda i, p, r: wrapped(matmul(i, p), 16))


# --- weights in another order, inputs from another place --------------------------------------------------------------


def in_order(change: Callable[[np.ndarray], np.ndarray]) -> Compute:
    return lambda i, p, right: linear(i, {**p, "weight": change(np.array(p["weight"], np.int64))})


def tiles(w: np.ndarray, size: int) -> np.ndarray:
    out = w.copy()
    for j in range(0, w.shape[0], size):
        for k in range(0, w.shape[1], size):
            out[j : j + size, k : k + size] = w[j : j + size, k : k + size].T
    return out


def pairs(w: np.ndarray) -> np.ndarray:
    out = w.copy()
    out[:, 0::2], out[:, 1::2] = w[:, 1::2], w[:, 0::2]
    return out


def eights(w: np.ndarray) -> np.ndarray:
    return np.concatenate([w[:, k : k + 8][:, ::-1] for k in range(0, w.shape[1], 8)], axis=1)


add("linear", "input channels exchanged two by two", r"input_lanes_reversed:2", in_order(pairs))
add("linear", "eight input lanes reversed", r"input_lanes_reversed:8", in_order(eights))
add("linear", "2 x 2 tiles transposed", r"tiles_transposed:2", in_order(lambda w: tiles(w, 2)))
add("linear", "4 x 4 tiles transposed", r"tiles_transposed:4", in_order(lambda w: tiles(w, 4)))
add("linear", "weights an input late", r"of_the_previous_input", in_order(lambda w: np.roll(w, 1, axis=1)))
add("linear", "weights of the output before", r"of_the_previous_output", in_order(lambda w: np.roll(w, 1, axis=0)))
add(
    "residual_add",
    "the skip of the row before",
    r"read from the row before its own",
    lambda i, p, r: residual_add([i[0], previous(-2)(i[1])], p),
)
add(
    "residual_add",
    "the skip of the column after",
    r"read from the column after its own, around the ends",
    lambda i, p, r: residual_add([i[0], np.roll(i[1], -1, axis=-1)], p),
)
add(
    "matmul",
    "the second operand a row late",
    r"read from the row before its own|columns but 0 hold the values of the column before",
    lambda i, p, r: matmul([i[0], previous(-2)(i[1])], p),
)
