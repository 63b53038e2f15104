"""Rows of shiftmax by tables: exponentials, the reciprocal of their sum, probabilities."""

from __future__ import annotations

import numpy as np

from ..arith import IntArray
from ..arith.jit import kernel
from .exponentials import (
    TOGETHER,
    Exponentials,
    Softmax,
    exponentials_room,
    reciprocal,
    row_exponentials,
    row_probabilities,
    share,
)
from .forms import Form
from .logits import Mask, no_mask
from .lookup import Lookup, whole_chunks


@kernel
def shiftmax_rows(x: IntArray, rows: int, softmax: Softmax, how: Lookup, out: IntArray) -> int:
    """Compute the probabilities of the first `rows` rows of `x` (i8 [., tokens]) into `out` [., at least tokens].

    Returns the first row whose wrapped sum is 0, or -1.
    """
    tokens = x.shape[1]
    room, mask, counts = exponentials_room(tokens), no_mask(), np.empty(TOGETHER, np.int64)
    near = np.full((TOGETHER, whole_chunks(tokens)), np.int8(-128))
    result = np.empty(near.shape, out.dtype)
    for start in range(0, rows, TOGETHER):
        count = min(TOGETHER, rows - start)
        for i in range(count):
            for j in range(tokens):
                near[i, j] = x[start + i, j]
        refused = _factors(near, 0, count, tokens, 0, mask, softmax, how, room, result)
        if refused >= 0:
            return start + refused
        for i in range(count):
            room.splits[i] = 0
        row_probabilities(how, room, 0, count, tokens, softmax, result, near, counts)
        for i in range(count):
            for j in range(tokens):
                out[start + i, j] = result[i, j]
    return -1


@kernel
def weigh_rows(
    form: Form,
    x: IntArray,
    tokens: int,
    first: int,
    rows: int,
    mask: Mask,
    softmax: Softmax,
    how: Lookup,
    room: Exponentials,
    low: IntArray,
    high: IntArray,
    counts: IntArray,
) -> int:
    """Compute the probabilities of rows: `low` and, if the form splits them, the high bytes `high` (u8).

    `x` (i8), `low` and `high` are [., tokens, and what fills the last chunk]; the filling of `x` is -128, that of the others
    is undefined. The rows belong to the tokens from `first` on. `counts` gets the number of high bytes of a row that are not
    0; where it is 0, `high` is undefined. Returns the first row whose wrapped sum is 0, or -1.
    """
    largest, together = softmax.exponentials[0], len(room.factors)
    for start in range(0, rows, together):
        count = min(together, rows - start)
        refused = _factors(x, start, count, tokens, first, mask, softmax, how, room, low)
        if refused >= 0:
            return start + refused
        for i in range(count):
            room.splits[i] = form.splits and share(largest, room.factors[i], softmax.shift) > 255
        row_probabilities(how, room, start, count, tokens, softmax, low, high, counts)
    return -1


@kernel
def _factors(
    x: IntArray,
    start: int,
    count: int,
    tokens: int,
    first: int,
    mask: Mask,
    softmax: Softmax,
    how: Lookup,
    room: Exponentials,
    low: IntArray,
) -> int:
    """Compute the exponentials of rows from `start` on and the reciprocals of their sums; the first row without, or -1."""
    row_exponentials(how, x, start, count, tokens, first, mask, softmax, room, low)
    for i in range(count):
        room.factors[i] = reciprocal(room.totals[i], softmax)
    for i in range(count):
        if room.factors[i] == 0:
            return i
    return -1


@kernel
def masked_rows(x: IntArray, rows: int, first: int, regions: IntArray, floor: int, softmax: Softmax, out: IntArray) -> int:
    """`shiftmax_rows` with a mask: a token sees only the tokens of its own region.

    The rows of `x` (i8 or i16 [., tokens]) belong to the tokens from `first` on; `regions` is [tokens]. The exponential of a
    token that is not seen is `floor`. Returns the first row whose wrapped sum is 0, or -1.
    """
    tokens, exponentials = x.shape[1], softmax.exponentials
    e = np.empty(tokens, np.int32)
    for i in range(rows):
        row, own = x[i], regions[first + i]
        top = -32768
        for j in range(tokens):
            top = max(top, int(row[j]) if regions[j] == own else -32768)
        for j in range(tokens):
            e[j] = exponentials[min(top - int(row[j]), 255) & 255] if regions[j] == own else floor
        if not _normalised(e, softmax, out[i]):
            return i
    return -1


@kernel
def _normalised(e: IntArray, softmax: Softmax, out: IntArray) -> bool:
    """Compute the probabilities of one row from its exponentials; False if their sum wraps to 0."""
    total = 0
    for j in range(len(e)):
        total += int(e[j])
    f = reciprocal(total, softmax)
    if f == 0:
        return False
    for j in range(len(e)):
        out[j] = share(e[j], f, softmax.shift)
    return True
