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


class Softmax(NamedTuple):
    """The constants of one shiftmax: the exponentials of ``0, -1 .. -255``, i32, in two layouts, and two parameters."""

    exponentials: IntArray  # [256]
    planes: IntArray  # the same by bytes, u8 [2 or 4, 256]
    shift: int  # from ``e * f`` to a probability
    wraps_sum: bool  # whether the sum wraps to i32; otherwise it saturates


def logits_room(near: IntArray, room: IntArray) -> IntArray:
    """A buffer for logits of the type of `room`: `near`, if that is i8, or another of its shape."""
    return near


@overload(logits_room)
def _logits_room(near: Any, room: Any) -> Callable[[IntArray, IntArray], IntArray]:
    if near.dtype == room.dtype:
        return lambda near, room: near
    return lambda near, room: np.empty(near.shape, room.dtype)


def logits_as_bytes(logits: IntArray, rows: int, tokens: int, near: IntArray) -> None:
    """Make `near` [., whole chunks] the first rows of logits as `bytes_of_rows`, filled with -128."""


@overload(logits_as_bytes)
def _logits_as_bytes(logits: Any, rows: Any, tokens: Any, near: Any) -> Callable[[IntArray, int, int, IntArray], None]:
    if logits.dtype == near.dtype:  # they are in `near` already

        def filled(logits: IntArray, rows: int, tokens: int, near: IntArray) -> None:
            for i in range(rows):
                near[i, tokens:] = -128

        return filled
    return lambda logits, rows, tokens, near: bytes_of_rows(logits[:, :tokens], rows, near)


@kernel
def bytes_of_rows(x: IntArray, rows: int, out: IntArray) -> None:
    """Compute ``out = 127 - min(max(x) - x, 255)`` for the first `rows` rows: i8, with the same differences up to 255."""
    for i in range(rows):
        row, target = x[i], out[i]
        top = maximum(row)
        lowest, shift = np.int16(max(top - 255, -32768)), 127 - top
        for j in range(len(row)):
            value = row[j] if row[j] > lowest else lowest
            target[j] = int(value) + shift


@kernel
def shiftmax_rows(x: IntArray, rows: int, softmax: Softmax, how: Lookup, out: IntArray) -> int:
    """Compute the probabilities of the first `rows` rows of `x` (i8 [., tokens]) into `out` [., at least tokens].

    Returns the first row whose wrapped sum is 0, or -1.
    """
    tokens = x.shape[1]
    width = whole_chunks(tokens)
    row, e, result = np.full(width, np.int8(-128)), np.empty(width, np.int32), np.empty(width, out.dtype)
    for i in range(rows):
        row[:tokens] = x[i]
        top = maximum(row)
        f = reciprocal(row_exponentials(how, row, tokens, top, softmax, e, result), softmax)
        if f == 0:
            return i
        row_probabilities(how, e, tokens, f, softmax, False, result, result)
        out[i, :tokens] = result[:tokens]
    return -1


@kernel
def weigh_rows(
    form: Form, x: IntArray, tokens: int, rows: int, softmax: Softmax, how: Lookup, low: IntArray, high: IntArray, counts: IntArray
) -> int:
    """Compute the probabilities of rows in two parts: `low` and, if the form splits them, the high bytes `high` (u8).

    `x` (i8), `low` and `high` are [., tokens, and what fills the last chunk]; the filling of `x` is -128, that of the others
    is undefined. `counts` gets the number of high bytes of a row that are not 0; where it is 0, `high` is undefined.
    Returns the first row whose wrapped sum is 0, or -1.
    """
    e = np.empty(x.shape[1], np.int32)
    for i in range(rows):
        top = maximum(x[i])
        f = reciprocal(row_exponentials(how, x[i], tokens, top, softmax, e, low[i]), softmax)
        if f == 0:
            return i
        split = form.splits and share(softmax.exponentials[0], f, softmax.shift) > 255
        counts[i] = row_probabilities(how, e, tokens, f, softmax, split, low[i], high[i])
    return -1


@kernel
def maximum(row: IntArray) -> int:
    """The largest element."""
    largest = row[0]  # kept in its type, so that the loop is vectorized
    for j in range(len(row)):
        largest = row[j] if row[j] > largest else largest
    return int(largest)


def row_exponentials(
    how: Lookup, row: IntArray, tokens: int, top: int, softmax: Softmax, e: IntArray, low: IntArray
) -> int:
    """Compute the exponentials of a row with maximum `top`, for `row_probabilities` alone; the sum of those of its tokens.

    `row` (i8) and `e` (i32) fill whole chunks. The layout of `e` depends on `how` and on the type of `low`.
    """
    return 0


def row_probabilities(
    how: Lookup, e: IntArray, tokens: int, f: np.int32, softmax: Softmax, split: bool, low: IntArray, high: IntArray
) -> int:
    """Compute the probabilities of a row from its exponentials and the reciprocal of their sum.

    If `split`, `low` and `high` (u8) get their bytes. Returns the number of high bytes that are not 0, also among what fills the last chunk.
    """
    return 0


@kernel
def plain_exponentials(row: IntArray, tokens: int, top: int, softmax: Softmax, e: IntArray) -> int:
    """`row_exponentials` element by element."""
    total = 0
    for j in range(tokens):
        e[j] = softmax.exponentials[(top - int(row[j])) & 255]
    for j in range(tokens):
        total += int(e[j])
    return total


@kernel
def plain_probabilities(
    e: IntArray, tokens: int, f: np.int32, softmax: Softmax, split: bool, low: IntArray, high: IntArray
) -> int:
    """`row_probabilities` element by element."""
    for j in range(tokens):
        e[j] = share(e[j], f, softmax.shift)
    if not split:
        for j in range(tokens):
            low[j] = e[j]
        return 0
    count = 0
    for j in range(tokens):
        low[j], high[j] = int(e[j]) & 255, int(e[j]) >> 8
        count += high[j] != 0
    return count


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
