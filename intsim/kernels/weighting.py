"""The weighted sum of values in attention, with probabilities as they come from shiftmax: wide, but almost all small.

A row of probabilities sums to less than 2**15, so that at most 127 of them pass a byte. The low bytes are multiplied
densely with the instructions for bytes, at twice the rate of words; the sums of the high bytes come first, of only the
groups that are not 0, or densely where these are many, as in a short row. Forms for words take probabilities as they are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..arith import IntArray
from ..arith.jit import kernel
from .epilogue import Epilogue
from .exponentials import Exponentials, Softmax, exponentials_room
from .forms import Form
from .gemm import finished_block
from .logits import Mask
from .lookup import Lookup, whole_chunks
from .packing import fill_tile, pack_rows
from .shiftmax_rows import weigh_rows
from .tile import packed_panels, scratch, tiles

DENSE = 3, 4  # from this share of the tokens on in the high bytes of a tile, a second dense product is faster


class Weighting(NamedTuple):
    """The values of one head, and buffers for one block of probabilities and sums."""

    panels: IntArray
    bias: IntArray  # 0
    low: IntArray
    high: IntArray
    counts: IntArray  # of high bytes that are not 0, by row
    resumed: IntArray  # by tile
    anew: IntArray  # 0
    sums: IntArray  # [panels, rows, columns]
    exponentials: Exponentials


@kernel
def weighting(form: Form, rows: int, tokens: int, depth: int) -> Weighting:
    """Room for `rows` rows of a head of `tokens` values of `depth` elements."""
    width = whole_chunks(tokens)
    panels = packed_panels(form, depth, tokens)
    low = scratch(form, rows, width)
    low[:] = 0
    return Weighting(
        panels,
        np.zeros(depth, np.int32),
        low,
        np.zeros((rows, width), np.uint8),
        np.zeros(rows, np.int64),
        np.zeros(rows, np.int8),
        np.zeros(rows, np.int8),
        np.empty((panels.shape[0], rows, form.columns), np.int32),
        exponentials_room(tokens),
    )


@kernel
def pack_values(form: Form, v: IntArray, into: Weighting) -> None:
    """Take over the values of a head, [tokens, d]."""
    for p in range(into.panels.shape[0]):
        pack_rows(form, v, p * form.columns, into.panels[p])


@kernel
def weigh(
    form: Form,
    logits: IntArray,
    rows: int,
    tokens: int,
    first: int,
    mask: Mask,
    softmax: Softmax,
    how: Lookup,
    head: Weighting,
    epilogue: Epilogue,
    out: IntArray,
    row: int,
) -> int:
    """Compute shiftmax of rows of logits (i8, filled as in `weigh_rows`) and the weighted sums, into `out` from `row` on.

    The rows belong to the tokens from `first` on. Returns the first row without a result, or -1.
    """
    refused = weigh_rows(
        form, logits, tokens, first, rows, mask, softmax, how, head.exponentials, head.low, head.high, head.counts
    )
    if refused >= 0:
        return refused
    fill_tile(form, head.low, rows)
    for i in range(rows, -(-rows // form.rows) * form.rows):
        head.high[i], head.counts[i] = head.high[rows - 1], head.counts[rows - 1]
    for tile in range(-(-rows // form.rows)):
        start, stop = tile * form.rows, (tile + 1) * form.rows
        count = 0
        for i in range(start, stop):
            count += head.counts[i]
        head.resumed[tile] = count > 0
        if form.splits and DENSE[1] * count > DENSE[0] * tokens:
            for i in range(start, stop):
                if head.counts[i] == 0:
                    head.high[i] = 0
            for p in range(head.sums.shape[0]):
                high, sums = head.high[start : start + form.rows], head.sums[p, start : start + form.rows]
                columns = min(form.columns, out.shape[1] - p * form.columns)
                vectors = -(-columns // form.lanes)
                tiles(form, high, form.rows, head.panels, p, vectors, head.anew, sums, False, epilogue, head.bias, out, row)
                sums <<= 8
        elif count > 0:
            for i in range(start, stop):
                for p in range(head.sums.shape[0]):
                    if head.counts[i] > 0:
                        high_sums(form, head.high[i], head.panels[p], head.sums[p, i])
                    else:
                        head.sums[p, i] = 0
    finished_block(form, head.low, rows, head.panels, head.bias, epilogue, head.resumed, head.sums, out.shape[1], out, row)
    return -1


def high_sums(form: Form, high: IntArray, panel: IntArray, sums: IntArray) -> None:
    """``sums = 256 * (high @ panel)`` for one row of bytes that are almost all 0; a form for words has none."""
