"""Attention in blocks of queries: logits, their requantization, shiftmax and the weighted sum of values, all in cache.

No array of tokens x tokens is allocated. A thread packs the keys and values of each head once, then processes its queries
block by block. The result of each row is bit-identical to that of the separate operators.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arith import IntArray
from ..arith.jit import kernel
from .crew import own_rows
from .epilogue import Scaled, scaled_epilogue
from .exponentials import Softmax
from .forms import Form, form_for, form_of_weights
from .gemm import BLOCK, block_at, finished_block
from .logits import logits_as_bytes, logits_room, no_mask
from .lookup import Lookup, lookup, whole_chunks
from .packing import pack_panel, stage
from .scaling import Scaling
from .threads import over_rows
from .tile import packed_panels, scratch, whole_vectors
from .weighting import pack_values, weigh, weighting


def attention(
    q: IntArray,
    k: IntArray,
    v: IntArray,
    logits: Scaling,
    logits_type: np.dtype[Any],
    softmax: Softmax,
    context: Scaling,
    out: IntArray,
) -> bool:
    """``out = requant(shiftmax(requant(q @ k.T)) @ v)`` per head; False if some row could not be computed.

    `q` is i8 [heads, queries, d], `k` and `v` i8 [heads, tokens, d], `out` [heads, queries, d] with any strides.
    `logits_type` is the type of the requantized logits. The caller has proved that no sum overflows i32.
    """
    near, far = form_for(np.dtype(np.int8)), form_of_weights(signed=softmax.wraps_sum)
    room = np.empty(0, logits_type)
    epilogues = scaled_epilogue(logits), scaled_epilogue(context)
    return over_rows(_rows, q.shape[0] * q.shape[1], near, far, lookup(), q, k, v, room, softmax, *epilogues, out) < 0


@kernel
def _rows(
    crew: int,
    start: int,
    stop: int,
    near: Form,
    far: Form,
    how: Lookup,
    q: IntArray,
    k: IntArray,
    v: IntArray,
    room: IntArray,
    softmax: Softmax,
    logits_end: Scaled,
    context_end: Scaled,
    out: IntArray,
) -> int:
    stop = own_rows(crew, start, stop)
    queries, tokens, depth = q.shape[1], k.shape[1], q.shape[2]
    k_panels, k_correction = packed_panels(near, tokens, depth), np.zeros(whole_chunks(tokens), np.int32)
    staged = scratch(near, BLOCK, k_panels.shape[1] * near.group)
    sums, resumed = np.empty((1, BLOCK, near.columns), np.int32), np.zeros(BLOCK, np.int8)
    near_logits = np.full((BLOCK, whole_chunks(tokens)), np.int8(-128))
    logits, columns = logits_room(near_logits, room), whole_vectors(near, tokens)
    head, mask, order = weighting(far, BLOCK, tokens, v.shape[2]), no_mask(), np.empty(0, np.int64)
    packed = -1
    row = start
    while row < stop:
        h, first, rows = block_at(row, stop, queries)
        if h != packed:
            for p in range(k_panels.shape[0]):
                pack_panel(near, k[h], p * near.columns, k_panels[p], k_correction[:tokens])
            pack_values(far, v[h], head)
            packed = h
        stage(near, q[h], order, first, rows, staged)
        finished_block(near, staged, rows, k_panels, k_correction, logits_end, resumed, sums, columns, logits, 0)
        logits_as_bytes(logits, rows, tokens, 0, mask, near_logits)
        refused = weigh(far, near_logits, rows, tokens, 0, mask, softmax, how, head, context_end, out[h], first)
        if refused >= 0:
            return row + refused
        row += rows
    return -1
