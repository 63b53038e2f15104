"""Attention within windows: logits, their bias, shiftmax and the weighted sum of values, one head of one window at a time.

A window has so few tokens that keys, values, logits and probabilities of one head fit in the L1 cache.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arith import IntArray
from ..arith import compiled as c
from ..arith.jit import kernel
from .forms import Form, form_for
from .epilogue import Scaled, scaled_epilogue
from .gemm import BLOCK, finished_block, pack_panel, stage
from .lookup import Lookup, lookup
from .scaling import Scaling
from .shiftmax_rows import Softmax, bytes_of_rows, masked_rows, shiftmax_rows
from .threads import over_rows
from .tile import packed_panels, scratch


class Biased(NamedTuple):
    """The scaling of requantized logits, and the scaled bias that is added to them, int32 [heads, tokens, tokens]."""

    arm: Scaling
    bias: IntArray


class Seen(NamedTuple):
    """Which tokens see each other: only those of the same region."""

    regions: IntArray  # [windows, tokens]
    whole: NDArray[np.bool_]  # [windows]: whether all tokens of the window are in one region
    floor: int  # the exponential of a token that is not seen


def window_attention(
    q: IntArray,
    k: IntArray,
    v: IntArray,
    logits: Scaling,
    logits_type: np.dtype[Any],
    biased: Biased,
    softmax: Softmax,
    seen: Seen,
    probabilities: np.dtype[Any],
    context: Scaling,
    out: IntArray,
) -> bool:
    """``out = requant(shiftmax(requant(q @ k.T) + bias) @ v)`` per window and head; False if some row could not be computed.

    `q`, `k` and `v` are i8 [windows, heads, tokens, d]; `out` has the same shape and any strides. `logits_type` is the type
    of the logits before and after their bias, `probabilities` that of shiftmax's result. The caller has proved that no sum
    overflows i32.
    """
    near, far = form_for(np.dtype(np.int8)), form_for(probabilities)
    rooms = np.empty(0, logits_type), np.empty(0, probabilities)
    ends = scaled_epilogue(logits), scaled_epilogue(context)
    arguments = (near, far, lookup(), q, k, v, biased, softmax, seen, *rooms, *ends, out)
    return over_rows(_units, q.shape[0] * q.shape[1], *arguments) < 0


@kernel
def _units(
    start: int,
    stop: int,
    near: Form,
    far: Form,
    how: Lookup,
    q: IntArray,
    k: IntArray,
    v: IntArray,
    biased: Biased,
    softmax: Softmax,
    seen: Seen,
    logits_room: IntArray,
    room: IntArray,
    logits_end: Scaled,
    context_end: Scaled,
    out: IntArray,
) -> int:
    heads, tokens, depth = q.shape[1], q.shape[2], q.shape[3]
    k_panels, k_correction = packed_panels(near, tokens, depth), np.empty(tokens, np.int32)
    v_panels, v_correction = packed_panels(far, depth, tokens), np.empty(depth, np.int32)
    staged = scratch(near, BLOCK, k_panels.shape[1] * near.group)
    staged_p = scratch(far, BLOCK, v_panels.shape[1] * far.group)
    sums, context_sums = np.empty((BLOCK, near.columns), np.int32), np.empty((BLOCK, far.columns), np.int32)
    logits, near_logits = np.empty((BLOCK, tokens), logits_room.dtype), np.empty((BLOCK, tokens), np.int8)
    p = np.empty((BLOCK, tokens), room.dtype)
    for unit in range(start, stop):
        w, h = unit // heads, unit % heads
        for panel in range(k_panels.shape[0]):
            pack_panel(near, k[w, h], panel * near.columns, k_panels[panel], k_correction)
        for panel in range(v_panels.shape[0]):
            pack_panel(far, v[w, h].T, panel * far.columns, v_panels[panel], v_correction)
        for first in range(0, tokens, BLOCK):
            rows = min(BLOCK, tokens - first)
            stage(near, q[w, h], first, rows, staged)
            finished_block(near, staged, rows, k_panels, k_correction, logits_end, sums, logits, 0)
            add_bias(logits, rows, biased.arm, biased.bias[h, first : first + rows])
            if seen.whole[w]:
                bytes_of_rows(logits, rows, near_logits)
                refused = shiftmax_rows(near_logits, rows, softmax, how, p)
            else:
                refused = masked_rows(logits, rows, first, seen.regions[w], seen.floor, softmax, p)
            if refused >= 0:
                return unit
            stage(far, p, 0, rows, staged_p)
            finished_block(far, staged_p, rows, v_panels, v_correction, context_end, context_sums, out[w, h], first)
    return -1


@kernel
def add_bias(logits: IntArray, rows: int, arm: Scaling, bias: IntArray) -> None:
    """Scale rows of logits and add their bias, saturated, in place; the arm has one multiplier for all columns."""
    m, e, add, odd, neg = int(arm.m[0]), arm.e[0], arm.add[0], arm.odd, arm.neg[0]
    for i in range(rows):
        row, own = logits[i], bias[i]
        for j in range(len(row)):
            row[j] = c.saturate(c.round_terms(int(row[j]) * m, e, add, odd, neg) + int(own[j]), arm.lo, arm.hi)
