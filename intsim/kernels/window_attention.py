"""Attention within windows: logits, their bias, shiftmax and the weighted sum of values, one head of one window at a time.

A window has so few tokens that keys, values, logits and probabilities of one head fit in the L1 cache, and that most
probabilities pass a byte: values are multiplied by words.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arith import IntArray
from ..arith.jit import kernel
from .crew import own_rows
from .epilogue import Biased, Scaled, biased_epilogue, scaled_epilogue
from .exponentials import Softmax
from .forms import Form, form_for
from .gemm import BLOCK, finished_block
from .logits import Mask, logits_as_bytes, logits_room
from .lookup import Lookup, lookup, whole_chunks
from .packing import pack_panel, stage
from .scaling import Scaling
from .threads import over_rows
from .tile import packed_panels, scratch, whole_vectors
from .weighting import pack_values, weigh, weighting

WHOLE = 2 * BLOCK  # tokens of a window that is one block


class Seen(NamedTuple):
    """Which tokens see each other: only those of the same region."""

    regions: IntArray  # i8 [windows, tokens, and what fills the last chunk]
    whole: NDArray[np.bool_]  # [windows]: whether all tokens of the window are in one region
    floor: int  # the exponential of a token that is not seen


def window_attention(
    q: IntArray,
    k: IntArray,
    v: IntArray,
    logits: Scaling,
    logits_type: np.dtype[Any],
    arm: Scaling,
    bias: IntArray,
    softmax: Softmax,
    seen: Seen,
    context: Scaling,
    out: IntArray,
) -> bool:
    """``out = requant(shiftmax(requant(q @ k.T) + bias) @ v)`` per window and head; False if some row could not be computed.

    `q`, `k` and `v` are i8 [windows, heads, tokens, d]; `out` has the same shape and any strides. `logits_type` is the type
    of the logits before and after their bias, i32 [heads, tokens, tokens and more, so that they fill whole vectors], which
    is scaled already; `arm` scales the logits before it is added. The caller has proved that no sum overflows i32.
    """
    near, far = form_for(np.dtype(np.int8)), form_for(np.dtype(np.int16))
    room = np.empty(0, logits_type)
    ends = biased_epilogue(logits, arm, bias[0]), scaled_epilogue(context)
    arguments = (near, far, lookup(), q, k, v, bias, softmax, seen, room, *ends, out)
    return over_rows(_units, q.shape[0] * q.shape[1], *arguments) < 0


@kernel
def _units(
    crew: int,
    start: int,
    stop: int,
    near: Form,
    far: Form,
    how: Lookup,
    q: IntArray,
    k: IntArray,
    v: IntArray,
    bias: IntArray,
    softmax: Softmax,
    seen: Seen,
    room: IntArray,
    logits_end: Biased,
    context_end: Scaled,
    out: IntArray,
) -> int:
    stop = own_rows(crew, start, stop)
    heads, tokens, depth = q.shape[1], q.shape[2], q.shape[3]
    k_panels, k_correction = packed_panels(near, tokens, depth), np.zeros(whole_chunks(tokens), np.int32)
    block = tokens if tokens <= WHOLE else BLOCK
    room_rows = -(-block // BLOCK) * BLOCK  # whole tiles
    staged = scratch(near, room_rows, k_panels.shape[1] * near.group)
    sums, resumed = np.empty((1, room_rows, near.columns), np.int32), np.zeros(room_rows, np.int8)
    near_logits = np.full((room_rows, whole_chunks(tokens)), np.int8(-128))
    logits, columns = logits_room(near_logits, room), whole_vectors(near, tokens)
    head, order = weighting(far, room_rows, tokens, depth), np.empty(0, np.int64)
    for unit in range(start, stop):
        w, h = unit // heads, unit % heads
        for panel in range(k_panels.shape[0]):
            pack_panel(near, k[w, h], panel * near.columns, k_panels[panel], k_correction[:tokens])
        pack_values(far, v[w, h], head)
        mask = Mask(seen.regions[w], seen.floor, seen.whole[w])
        for first in range(0, tokens, block):
            rows = min(block, tokens - first)
            end = Biased(
                logits_end.scaling, logits_end.arm, bias[h, first : first + rows], logits_end.quick, logits_end.high
            )
            stage(near, q[w, h], order, first, rows, staged)
            finished_block(near, staged, rows, k_panels, k_correction, end, resumed, sums, columns, logits, 0)
            logits_as_bytes(logits, rows, tokens, first, mask, near_logits)
            if weigh(far, near_logits, rows, tokens, first, mask, softmax, how, head, context_end, out[w, h], first) >= 0:
                return unit
    return -1
