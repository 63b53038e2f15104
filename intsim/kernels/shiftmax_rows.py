"""Rows of shiftmax by tables: the difference of an i8 to the maximum of its row has only 256 values.

A row of i16 becomes one of i8 first (`bytes_of_rows`): below its floor the exponential is the same for all differences.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..arith import INT32_MAX, IntArray
from ..arith import compiled as c
from ..arith.jit import kernel, overload
from .forms import Form
from .lookup import Lookup, whole_chunks

DIFFERENCES = 256


TOGETHER, EXPONENTIALS = 4, 2048  # rows whose exponentials are kept at once, at least, and of short rows how many of them


class Softmax(NamedTuple):
    """The constants of one shiftmax: the exponentials of ``0, -1 .. -255``, i32, in two layouts, and two parameters."""

    exponentials: IntArray  # [256]
    planes: IntArray  # the same by bytes, u8 [3 or 4, 256]
    shift: int  # from ``e * f`` to a probability
    wraps_sum: bool  # whether the sum wraps to i32; otherwise it saturates


def logits_room(near: IntArray, room: IntArray) -> IntArray:
    """A buffer for logits of the type of `room`: `near`, if that is i8, or another of its shape."""
    return near if near.dtype == room.dtype else np.empty(near.shape, room.dtype)


@overload(logits_room)
def _logits_room(near: Any, room: Any) -> Callable[[IntArray, IntArray], IntArray]:
    if near.dtype == room.dtype:
        return lambda near, room: near
    return lambda near, room: np.empty(near.shape, room.dtype)


def logits_as_bytes(logits: IntArray, rows: int, tokens: int, first: int, mask: Mask, near: IntArray) -> None:
    """Make `near` [., whole chunks] the first rows of logits as `bytes_of_rows`, filled with -128.

    The rows belong to the tokens from `first` on.
    """
    if logits.dtype == near.dtype:
        near[:rows, tokens:] = -128
    elif mask.whole:
        bytes_of_rows(logits, rows, tokens, near)
    else:
        _seen_bytes(logits, rows, tokens, first, mask.regions, near)


@overload(logits_as_bytes)
def _logits_as_bytes(logits: Any, rows: Any, tokens: Any, first: Any, mask: Any, near: Any) -> Callable[..., None]:
    if logits.dtype == near.dtype:  # they are in `near` already

        def filled(logits: IntArray, rows: int, tokens: int, first: int, mask: Mask, near: IntArray) -> None:
            for i in range(rows):
                for j in range(tokens, near.shape[1]):
                    near[i, j] = -128

        return filled

    def narrowed(logits: IntArray, rows: int, tokens: int, first: int, mask: Mask, near: IntArray) -> None:
        if mask.whole:
            bytes_of_rows(logits, rows, tokens, near)
        else:
            _seen_bytes(logits, rows, tokens, first, mask.regions, near)

    return narrowed


@kernel
def _seen_bytes(x: IntArray, rows: int, tokens: int, first: int, regions: IntArray, out: IntArray) -> None:
    """`bytes_of_rows` where a token sees only those of its region; what it does not see is undefined."""
    for i in range(rows):
        row, target, own = x[i], out[i], regions[first + i]
        largest = np.int16(-32768)
        for j in range(tokens):
            largest = row[j] if row[j] > largest and regions[j] == own else largest
        top = int(largest)
        for j in range(tokens):
            target[j] = min(max(int(row[j]) - top + 127, -128), 127)


@kernel
def bytes_of_rows(x: IntArray, rows: int, tokens: int, out: IntArray) -> None:
    """Compute ``out = 127 - min(max(x) - x, 255)`` for the tokens of the first rows: i8, with differences up to 255."""
    for i in range(rows):
        row, target = x[i], out[i]
        largest = row[0]  # kept in its type, so that the loop is vectorized
        for j in range(tokens):
            largest = row[j] if row[j] > largest else largest
        top = int(largest)
        lowest, shift = np.int16(max(top - 255, -32768)), 127 - top
        for j in range(tokens):
            value = row[j] if row[j] > lowest else lowest
            target[j] = int(value) + shift


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


class Mask(NamedTuple):
    """Which tokens see each other: those of the same region; of a token that is not seen the exponential is `floor`."""

    regions: IntArray  # i8 [tokens, and what fills the last chunk]
    floor: int
    whole: bool  # whether all tokens are in one region; `regions` is not read then


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


@kernel
def no_mask() -> Mask:
    """All tokens see each other."""
    return Mask(np.zeros(1, np.int8), 0, True)


@kernel
def maximum(row: IntArray) -> int:
    """The largest element."""
    largest = row[0]  # kept in its type, so that the loop is vectorized
    for j in range(len(row)):
        largest = row[j] if row[j] > largest else largest
    return int(largest)


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


@kernel
def share(e: np.int32, f: np.int32, shift: int) -> int:
    """``(e * f) >> shift`` of two i32, in 32 bits: without wrapping ``e <= S``, hence ``e * f < 2**31``."""
    return c.wrap32(int(e) * int(f)) >> shift


@kernel
def reciprocal(total: int, softmax: Softmax) -> np.int32:
    """``(2**31 - 1) // S`` for the wrapped or saturated sum S of a row; 0 if it wraps to 0."""
    total = c.wrap32(total) if softmax.wraps_sum else min(total, INT32_MAX)
    return np.int32(INT32_MAX // total) if total != 0 else np.int32(0)
