"""Operators whose result depends only on the element and the maximum of its row, both i8."""

from __future__ import annotations

import numpy as np

from ..arith import IntArray
from ..arith.jit import kernel
from .crew import own_rows
from .lookup import Lookup, lookup, map_chunks
from .threads import over_rows


@kernel
def _rows(crew: int, start: int, stop: int, x: IntArray, table: IntArray, how: Lookup, out: IntArray) -> int:
    stop = own_rows(crew, start, stop)
    for row in range(start, stop):
        top = int(x[row, 0])
        for j in range(1, x.shape[1]):
            top = max(top, int(x[row, j]))
        results = table[top + 128]
        for j in range(map_chunks(how, x[row], 127, results, out[row]), x.shape[1]):
            out[row, j] = results[(127 - int(x[row, j])) & 255]
    return -1


def look_up(x: IntArray, table: IntArray, out: IntArray) -> None:
    """``out[..., j] = table[max(x[..., :]) + 128, 127 - x[..., j]]``; `x` is i8, `table` and `out` have any 8-bit type."""
    rows = np.ascontiguousarray(x).reshape(-1, x.shape[-1])
    over_rows(_rows, len(rows), rows, table, lookup(), out.reshape(rows.shape))
