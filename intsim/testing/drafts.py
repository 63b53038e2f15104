"""Generates the arguments of each operator: `DRAFTS` maps an operator's name to a function of a `CallDraft`.

Where it is simple, the arguments fit together by construction; otherwise the operator's own checks accept or refuse them.
The operators that only move values are in `moving`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arith import I8, I16, I32, INT32_MAX, U8, ExpSum, Format, IntArray, Overflow
from ..rules.solving import four_squares
from ._hypothesis import st
from .draft import Arguments, CallDraft
from .moving import MOVING
from .values import LONGEST, integers, lengths, pattern, tensors

LOGITS = st.sampled_from([I8, Format("logits", -400, 400), I16])  # of one byte, of differences around 255, of any size
WIDTHS = st.integers(2, 16) | st.sampled_from([8, 16, 32])
BITS = st.integers(2, 16) | st.sampled_from([8, 16])
HALF = Format("half of i32", -(2**30), 2**30 - 1)  # a bias that cannot move a normalised value out of i32


def _requant(d: CallDraft) -> Arguments:
    x = d.tensor(I32, last=d.last("m", "e"))
    return [x], {**d.multiplier("m", "e", x.shape[-1]), "b": d.param("b", WIDTHS)}


def _residual_add(d: CallDraft) -> Arguments:
    fmt = d.draw(st.sampled_from([I16, I32]))
    a = d.tensor(fmt, last=d.last("ma", "ea", "mc", "ec"))
    missing = d.draw(st.sampled_from([0, 0, 0, *range(1, a.ndim)]))
    c = d.draw(tensors(fmt, a.shape[missing:]))
    arms = d.multiplier("ma", "ea", a.shape[-1]) | d.multiplier("mc", "ec", a.shape[-1])
    return [x.astype(np.int32) for x in (a, c)], {**arms, "b": d.param("b", WIDTHS)}


def _mean(d: CallDraft) -> Arguments:
    return [d.tensor(I16, d.draw(lengths(LONGEST)), last=d.last(longest=8))], {}


def _layernorm(d: CallDraft) -> Arguments:
    kind = d.draw(st.sampled_from(["any", "any", "any", "any", "near a square", "below a tie"]))
    if kind == "below a tie" and d.shape is None and d.columns is None and "bias" not in d.fixed:
        x = _below_a_tie(d.draw(st.integers(32600, 32700)))
    else:
        x = d.tensor(I16, last=d.last("bias"))
        if kind == "near a square" and x.shape[-1] >= 8:
            x.reshape(-1, x.shape[-1])[0] = _near_a_square(2 * d.draw(st.integers(2050, 16000)) + 1, x.shape[-1])
    fmt = d.draw(st.sampled_from([HALF, HALF, I32]))
    return [x], {"bias": _bias(d, fmt, x.shape[-1])}


def _near_a_square(k: int, n: int) -> IntArray:
    """A row [n] with mean 0 whose variance, of more than 24 bits, is one less than the square of an odd `k`."""
    row = np.zeros(n, np.int16)
    row[:8] = [x for part in four_squares((k * k - 1) // 2) for x in (part, -part)]
    return row


def _below_a_tie(mean: int) -> IntArray:
    """A row [1, 520] whose sum is odd, needs 25 bits, and is one less than the sum at which the mean is a tie."""
    return np.array([[mean + 1] * 259 + [mean] * 261], np.int16)


def _bias(d: CallDraft, fmt: Format, channels: int) -> Any:
    values = d.draw(st.sampled_from([st.just(0), integers(fmt), integers(fmt) | st.sampled_from([fmt.lo, fmt.hi])]))
    bias = pattern(d.draw, values, channels)
    return d.param("bias", st.just(bias.astype(np.int32)))


def _linear(d: CallDraft) -> Arguments:
    x = d.tensor(I8, last=d.last("weight", axis=1))
    outputs = len(d.fixed["bias"]) if "bias" in d.fixed else d.side()
    weight = d.param("weight", tensors(I8, (outputs, x.shape[-1])))
    return [x], {"weight": weight, "bias": _bias(d, d.draw(st.sampled_from([HALF, I32])), len(weight))}


def _matmul(d: CallDraft) -> Arguments:
    a = d.tensor(I16, d.side(), last=d.last())
    transposed, columns = d.param("transpose_b", st.integers(0, 1)), d.side()
    inner = (columns, a.shape[-1]) if transposed else (a.shape[-1], columns)
    return [a, d.draw(tensors(I8, (*a.shape[:-2], *inner)))], {"transpose_b": transposed}


def _shift_exp(d: CallDraft) -> Arguments:
    # In shiftmax x is a difference to the maximum, at most 0. Larger values soon exceed 64 bits.
    fmt = d.draw(st.sampled_from([Format("difference", -255, 0), I8, I16]))
    return [d.tensor(fmt, last=d.last()).astype(np.int16)], d.exponential(bounded=False)


def _shiftmax(d: CallDraft) -> Arguments:
    x = d.tensor(d.draw(LOGITS), last=d.last()).astype(np.int16)
    return [x], {**d.exponential(d.bounded), "b": d.param("b", BITS)}


def _masked_shiftmax(d: CallDraft) -> Arguments:
    tokens, windows = d.last("regions", longest=50, axis=1), len(d.fixed["regions"]) if "regions" in d.fixed else d.side()
    x = d.tensor(d.draw(LOGITS), windows, d.side(3), tokens, last=tokens).astype(np.int16)
    places = (x.shape[-4] if x.ndim > 3 else 1, x.shape[-1])
    regions = d.param("regions", tensors(Format("regions", 0, 2), places) | tensors(I8, places))
    return [x], {"regions": regions.astype(np.int8), **d.exponential(d.bounded), "b": d.param("b", BITS)}


def _shiftgelu(d: CallDraft) -> Arguments:
    saturates = d.dialect is not None and (d.dialect.overflow, d.dialect.exp_sum) == (Overflow.EXACT, ExpSum.SATURATE)
    exponential = d.exponential(d.bounded and not saturates)
    return [d.tensor(I8, last=d.last())], {**exponential, "b": d.param("b", BITS)}


def _lambda_shiftgelu(d: CallDraft) -> Arguments:
    inputs, params = _shiftgelu(d)
    return inputs, {**params, "lam": d.param("lam", st.integers(0, 140) | st.sampled_from([127, 128, INT32_MAX]))}


def _argmax(d: CallDraft) -> Arguments:
    fmt = d.draw(st.sampled_from([Format("few", -2, 2), I8, I16, I32]))
    return [d.tensor(fmt, last=d.last())], {}


def _input_lut(d: CallDraft) -> Arguments:
    image = d.tensor(U8, d.side(), d.side(), last=d.last("table", longest=4))
    return [image], {"table": d.param("table", tensors(I8, (image.shape[-1], 256)))}


DRAFTS: dict[str, Callable[[CallDraft], Arguments]] = {
    "requant": _requant,
    "residual_add": _residual_add,
    "linear": _linear,
    "matmul": _matmul,
    "layernorm": _layernorm,
    "mean": _mean,
    "shift_exp": _shift_exp,
    "shiftmax": _shiftmax,
    "masked_shiftmax": _masked_shiftmax,
    "shiftgelu": _shiftgelu,
    "lambda_shiftgelu": _lambda_shiftgelu,
    "argmax": _argmax,
    "input_lut": _input_lut,
    **MOVING,
}
