"""The exponentials of rows of logits, by tables, and the probabilities of these: the definition, element by element.

The difference of an i8 to the maximum of its row has only 256 values. The LLVM code is in `emitted_exponentials` and
`emitted_probabilities`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..arith import INT32_MAX, IntArray
from ..arith import compiled as c
from ..arith.jit import kernel
from .logits import Mask, maximum
from .lookup import Lookup, whole_chunks

DIFFERENCES = 256
TOGETHER, EXPONENTIALS = 4, 2048  # rows whose exponentials are kept at once, at least, and of short rows how many of them


class Softmax(NamedTuple):
    """The constants of one shiftmax: the exponentials of ``0, -1 .. -255``, i32, in two layouts, and two parameters."""

    exponentials: IntArray  # [256]
    planes: IntArray  # the same by bytes, u8 [3 or 4, 256]
    shift: int  # from ``e * f`` to a probability
    wraps_sum: bool  # whether the sum wraps to i32; otherwise it saturates


class Exponentials(NamedTuple):
    """Buffers for the exponentials of a few rows, at least TOGETHER, of which the sum is known before the probabilities."""

    e: IntArray  # i32 [rows, whole chunks]; `row_exponentials` decides its layout
    totals: IntArray  # i64 [rows]
    factors: IntArray  # i32 [rows]
    splits: IntArray  # i8: whether some probability of the row passes a byte


@kernel
def exponentials_room(tokens: int) -> Exponentials:
    """Room for rows of so many tokens."""
    rows = max(TOGETHER, EXPONENTIALS // whole_chunks(tokens))
    return Exponentials(
        np.empty((rows, whole_chunks(tokens)), np.int32),
        np.zeros(rows, np.int64),
        np.zeros(rows, np.int32),
        np.zeros(rows, np.int8),
    )


def row_exponentials(
    how: Lookup,
    x: IntArray,
    start: int,
    count: int,
    tokens: int,
    first: int,
    mask: Mask,
    softmax: Softmax,
    room: Exponentials,
    low: IntArray,
) -> None:
    """Compute the exponentials of `count` rows of `x` (i8, filled with -128) from `start` on, and their sums.

    Row i belongs to token ``first + i``. The layout of the exponentials depends on `how` and the type of `low`, the
    buffer that `row_probabilities` gets.
    """
    plain_exponentials(x, start, count, tokens, first, mask, softmax, room)


def row_probabilities(
    how: Lookup,
    room: Exponentials,
    start: int,
    count: int,
    tokens: int,
    softmax: Softmax,
    low: IntArray,
    high: IntArray,
    counts: IntArray,
) -> None:
    """Compute the probabilities of `count` rows, into rows from `start` on, from their exponentials and factors.

    Of a row that splits, `low` and `high` (u8) get the bytes; `counts` gets the high bytes that are not 0, also among what
    fills the last chunk.
    """
    plain_probabilities(room, start, count, tokens, softmax, low, high, counts)


@kernel
def plain_exponentials(
    x: IntArray, start: int, count: int, tokens: int, first: int, mask: Mask, softmax: Softmax, room: Exponentials
) -> None:
    """`row_exponentials` element by element."""
    exponentials, regions = softmax.exponentials, mask.regions
    for i in range(count):
        row, e = x[start + i], room.e[i]
        if mask.whole:
            top = maximum(row)
            for j in range(tokens):
                e[j] = exponentials[(top - int(row[j])) & 255]
        else:
            own = regions[first + start + i]
            largest = np.int8(-128)
            for j in range(tokens):
                largest = row[j] if row[j] > largest and regions[j] == own else largest
            for j in range(tokens):
                e[j] = exponentials[(int(largest) - int(row[j])) & 255] if regions[j] == own else mask.floor
        total = 0
        for j in range(tokens):
            total += int(e[j])
        room.totals[i] = total


@kernel
def plain_probabilities(
    room: Exponentials,
    start: int,
    rows: int,
    tokens: int,
    softmax: Softmax,
    low: IntArray,
    high: IntArray,
    counts: IntArray,
) -> None:
    """`row_probabilities` element by element."""
    for i in range(rows):
        e, lows, highs, f = room.e[i], low[start + i], high[start + i], room.factors[i]
        for j in range(tokens):
            e[j] = share(e[j], f, softmax.shift)
        count = 0
        if room.splits[i]:
            for j in range(tokens):
                lows[j], highs[j] = int(e[j]) & 255, int(e[j]) >> 8
                count += highs[j] != 0
        else:
            for j in range(tokens):
                lows[j] = e[j]
        counts[start + i] = count


@kernel
def share(e: np.int32, f: np.int32, shift: int) -> int:
    """``(e * f) >> shift`` of two i32, in 32 bits: without wrapping ``e <= S``, hence ``e * f < 2**31``."""
    return c.wrap32(int(e) * int(f)) >> shift


@kernel
def reciprocal(total: int, softmax: Softmax) -> np.int32:
    """``(2**31 - 1) // S`` for the wrapped or saturated sum S of a row; 0 if it wraps to 0."""
    total = c.wrap32(total) if softmax.wraps_sum else min(total, INT32_MAX)
    return np.int32(INT32_MAX // total) if total != 0 else np.int32(0)
