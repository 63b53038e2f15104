"""Attention in blocks of queries: logits, their requantization, shiftmax and the weighted sum of values, all in cache.

No array of tokens x tokens is allocated. A thread packs the keys and values of each head once, then processes its queries
block by block. The result of each row is bit-identical to that of the separate operators.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arith import IntArray
from ..arith.jit import kernel
from .forms import Form, form_for
from .epilogue import Scaled, scaled_epilogue
from .gemm import BLOCK, block_at, finished_block, pack_panel, stage
from .lookup import Lookup, lookup
from .scaling import Scaling
from .shiftmax_rows import Softmax, bytes_of_rows, shiftmax_rows
from .threads import over_rows
from .tile import packed_panels, scratch


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
    near, far = form_for(np.dtype(np.int8)), form_for(np.dtype(np.int16))
    room = np.empty(0, logits_type)
    epilogues = scaled_epilogue(logits), scaled_epilogue(context)
    return over_rows(_rows, q.shape[0] * q.shape[1], near, far, lookup(), q, k, v, room, softmax, *epilogues, out) < 0


@kernel
def _rows(
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
    queries, tokens, depth = q.shape[1], k.shape[1], q.shape[2]
    k_panels, k_correction = packed_panels(near, tokens, depth), np.empty(tokens, np.int32)
    v_panels, v_correction = packed_panels(far, v.shape[2], tokens), np.empty(v.shape[2], np.int32)
    staged = scratch(near, BLOCK, k_panels.shape[1] * near.group)
    sums = np.empty((BLOCK, near.columns), np.int32)
    context_sums = np.empty((BLOCK, far.columns), np.int32)
    logits, near_logits = np.empty((BLOCK, tokens), room.dtype), np.empty((BLOCK, tokens), np.int8)
    probabilities = scratch(far, BLOCK, v_panels.shape[1] * far.group)
    probabilities[:] = 0
    packed = -1
    row = start
    while row < stop:
        head, first, rows = block_at(row, stop, queries)
        if head != packed:
            for p in range(k_panels.shape[0]):
                pack_panel(near, k[head], p * near.columns, k_panels[p], k_correction)
            for p in range(v_panels.shape[0]):
                pack_panel(far, v[head].T, p * far.columns, v_panels[p], v_correction)
            packed = head
        stage(near, q[head], first, rows, staged)
        finished_block(near, staged, rows, k_panels, k_correction, logits_end, sums, logits, 0)
        bytes_of_rows(logits, rows, near_logits)
        refused = shiftmax_rows(near_logits, rows, softmax, how, probabilities)
        if refused >= 0:
            return row + refused
        finished_block(far, probabilities, rows, v_panels, v_correction, context_end, context_sums, out[head], first)
        row += rows
    return -1
