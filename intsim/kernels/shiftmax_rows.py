"""Rows of shiftmax by tables: the difference of an i8 to the maximum of its row has only 256 values.

A row of i16 becomes one of i8 first (`bytes_of_rows`): below its floor the exponential is the same for all differences.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..arith import INT32_MAX, IntArray
from ..arith import compiled as c
from ..arith.jit import kernel
from .lookup import Lookup, map_chunks, sum_chunks

DIFFERENCES = 256
SHORT = 128  # tokens; shorter rows are computed without a table of results


class Softmax(NamedTuple):
    """The constants of one shiftmax: the exponentials of ``0, -1 .. -255``, i32, in two layouts, and two parameters."""

    exponentials: IntArray  # [256]
    planes: IntArray  # the same by bytes, u8 [4, 256]
    shift: int  # from ``e * f`` to a probability
    wraps_sum: bool  # whether the sum wraps to i32; otherwise it saturates


@kernel
def bytes_of_rows(x: IntArray, rows: int, out: IntArray) -> None:
    """Compute ``out = 127 - min(max(x) - x, 255)`` for the first `rows` rows: i8, with the same differences up to 255."""
    for i in range(rows):
        row, target = x[i], out[i]
        top = row[0]  # kept in its type, so that the loop is vectorized
        for j in range(1, len(row)):
            top = row[j] if row[j] > top else top
        lowest, shift = np.int16(max(int(top) - 255, -32768)), 127 - int(top)
        for j in range(len(row)):
            value = row[j] if row[j] > lowest else lowest
            target[j] = int(value) + shift


@kernel
def shiftmax_rows(x: IntArray, rows: int, softmax: Softmax, how: Lookup, out: IntArray) -> int:
    """Compute the probabilities of the first `rows` rows of `x` (i8 [., tokens]) into `out` [., at least tokens].

    Returns the first row whose wrapped sum is 0, or -1.
    """
    tokens = x.shape[1]
    if tokens < SHORT:
        return _short_rows(x, rows, softmax, out)
    exponentials, planes = softmax.exponentials, softmax.planes
    table = np.empty(DIFFERENCES, np.int16)
    for i in range(rows):
        row, result = x[i], out[i, :tokens]
        top = int(row[0])
        for j in range(1, tokens):
            top = max(top, int(row[j]))
        total, done = sum_chunks(how, row, top, planes)
        for j in range(done, tokens):
            total += int(exponentials[(top - int(row[j])) & 255])
        f = reciprocal(total, softmax)
        if f == 0:
            return i
        for difference in range(DIFFERENCES):
            table[difference] = share(exponentials[difference], f, softmax.shift)
        for j in range(map_chunks(how, row, top, table, result), tokens):
            result[j] = table[(top - int(row[j])) & 255]
    return -1


@kernel
def _short_rows(x: IntArray, rows: int, softmax: Softmax, out: IntArray) -> int:
    """`shiftmax_rows` for rows so short that a table of results would cost more than it saves."""
    tokens, exponentials = x.shape[1], softmax.exponentials
    e = np.empty(tokens, np.int32)
    for i in range(rows):
        row = x[i]
        largest = row[0]  # kept as i8, so that the loop is vectorized on bytes
        for j in range(tokens):
            largest = row[j] if row[j] > largest else largest
        top = int(largest)
        for j in range(tokens):
            e[j] = exponentials[(top - int(row[j])) & 255]
        if not _normalised(e, softmax, out[i]):
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


@kernel
def share(e: np.int32, f: np.int32, shift: int) -> int:
    """``(e * f) >> shift`` of two i32, in 32 bits: without wrapping ``e <= S``, hence ``e * f < 2**31``."""
    return c.wrap32(int(e) * int(f)) >> shift


@kernel
def reciprocal(total: int, softmax: Softmax) -> np.int32:
    """``(2**31 - 1) // S`` for the wrapped or saturated sum S of a row; 0 if it wraps to 0."""
    total = c.wrap32(total) if softmax.wraps_sum else min(total, INT32_MAX)
    return np.int32(INT32_MAX // total) if total != 0 else np.int32(0)
