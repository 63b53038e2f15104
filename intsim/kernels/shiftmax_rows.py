"""Rows of shiftmax by tables: of an i8 row's differences to its maximum there are only 256."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arith import INT32_MAX
from ..arith import compiled as c
from ..arith.jit import kernel
from .lookup import map_chunks, sum_chunks

DIFFERENCES = 256


class Softmax(NamedTuple):
    """The constants of one shiftmax: exponentials of ``0, -1 .. -255`` (i32, and by planes), how sums and products wrap."""

    exponentials: NDArray
    planes: NDArray
    shift: int
    wraps_sum: bool
    wraps: bool


@kernel
def shiftmax_rows(x, rows, softmax, how, out):
    """Probabilities of the first rows of `x` (i8 [., tokens]) into `out` [., at least tokens].

    The first row whose wrapped sum is 0, or -1.
    """
    tokens = x.shape[1]
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
        total = c.wrap32(total) if softmax.wraps_sum else min(total, INT32_MAX)
        if total == 0:
            return i
        f = np.int32(INT32_MAX // total)
        if softmax.wraps:
            for difference in range(DIFFERENCES):
                table[difference] = c.wrap32(int(exponentials[difference]) * int(f)) >> softmax.shift
        else:
            for difference in range(DIFFERENCES):
                table[difference] = (int(exponentials[difference]) * int(f)) >> softmax.shift
        for j in range(map_chunks(how, row, top, table, result), tokens):
            result[j] = table[(top - int(row[j])) & 255]
    return -1
