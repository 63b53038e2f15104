"""Rows of shiftmax by tables: of an i8 row's differences to its maximum there are only 256."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..arith import INT32_MAX, IntArray
from ..arith import compiled as c
from ..arith.jit import kernel
from .lookup import map_chunks, sum_chunks

DIFFERENCES = 256
SHORT = 128  # tokens


class Softmax(NamedTuple):
    """The constants of one shiftmax: exponentials of ``0, -1 .. -255`` (i32, and by planes), shift, how the sum wraps."""

    exponentials: IntArray
    planes: IntArray
    shift: int
    wraps_sum: bool


@kernel
def shiftmax_rows(x, rows, softmax, how, out):
    """Probabilities of the first rows of `x` (i8 [., tokens]) into `out` [., at least tokens].

    The first row whose wrapped sum is 0, or -1.
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
def _short_rows(x, rows, softmax, out):
    """The same for rows so short that a table would cost more than it saves."""
    tokens, exponentials = x.shape[1], softmax.exponentials
    e = np.empty(tokens, np.int32)
    for i in range(rows):
        row = x[i]
        largest = row[0]  # in its own type, which makes a loop of bytes
        for j in range(tokens):
            largest = row[j] if row[j] > largest else largest
        top = int(largest)
        for j in range(tokens):
            e[j] = exponentials[(top - int(row[j])) & 255]
        if not _normalised(e, softmax, out[i]):
            return i
    return -1


@kernel
def masked_rows(x, rows, first, regions, floor, softmax, out):
    """Probabilities of the first rows of `x` (i8 [., tokens]), which are those of the tokens from `first` on, each of which
    sees the tokens of its own region (`regions` [tokens]); all others count as `floor`. The first row refused, or -1.
    """
    tokens, exponentials = x.shape[1], softmax.exponentials
    e = np.empty(tokens, np.int32)
    for i in range(rows):
        row, own = x[i], regions[first + i]
        top = -128
        for j in range(tokens):
            top = max(top, int(row[j]) if regions[j] == own else -128)
        for j in range(tokens):
            e[j] = exponentials[(top - int(row[j])) & 255] if regions[j] == own else floor
        if not _normalised(e, softmax, out[i]):
            return i
    return -1


@kernel
def _normalised(e, softmax, out):
    """The probabilities of one row from its exponentials; False where their sum wraps to 0."""
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
def share(e, f, shift):
    """``(e * f) >> shift`` of two i32, in 32 bits: where nothing wraps ``e <= S``, and so ``e * f < 2**31``."""
    return c.wrap32(int(e) * int(f)) >> shift


@kernel
def reciprocal(total, softmax):
    """``(2**31 - 1) // S`` of a row's sum, wrapped or saturated; 0 where it wraps to 0."""
    total = c.wrap32(total) if softmax.wraps_sum else min(total, INT32_MAX)
    return np.int32(INT32_MAX // total) if total != 0 else np.int32(0)
