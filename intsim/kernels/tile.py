"""One tile of sums: a few rows by a panel of columns, kept in registers along the whole depth.

`tile_sums` has two implementations. Its Python body is the plain form, and defines the result. For forms with a dot-product
instruction, `emitted_tile` has LLVM code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arith import IntArray
from ..arith.jit import overload
from .forms import Form


def scratch(form: Form, rows: int, depth: int) -> IntArray:
    """An uninitialised buffer for staged left-hand rows, in the form's type."""
    return np.empty((rows, depth), np.int16)


@overload(scratch)
def _scratch(form: Any, rows: Any, depth: Any) -> Callable[[Form, int, int], IntArray]:
    dtype = form.instance_class.LEFT
    return lambda form, rows, depth: np.empty((rows, depth), dtype)


def packed_panels(form: Form, columns: int, depth: int) -> IntArray:
    """An uninitialised buffer for a packed right-hand matrix [columns, depth]."""
    return np.empty((-(-columns // form.columns), -(-depth // form.group), form.columns * form.group), np.int8)


@overload(packed_panels)
def _packed_panels(form: Any, columns: Any, depth: Any) -> Callable[[Form, int, int], IntArray]:
    dtype = form.instance_class.RIGHT

    def room(form: Form, columns: int, depth: int) -> IntArray:
        return np.empty((-(-columns // form.columns), -(-depth // form.group), form.columns * form.group), dtype)

    return room


def tile_sums(form: Form, left: IntArray, row: int, panels: IntArray, panel: int, vectors: int, sums: IntArray) -> None:
    """``sums[row + i] = left[row + i] @ panel`` for the rows i of one tile; i32, modulo 2**32.

    `left` is [rows, depth], `panels` [panels, groups, columns * group], `sums` [rows, columns]. Only the first `vectors`
    vectors of the panel's columns are needed: 1, 2, or all.
    """
    columns = form.columns
    for j in range(columns):
        sums[row, j] = 0
    for g in range(panels.shape[1]):
        a, b = int(left[row, 4 * g]), int(left[row, 4 * g + 1])
        c, d = int(left[row, 4 * g + 2]), int(left[row, 4 * g + 3])
        for j in range(columns):
            pair = a * int(panels[panel, g, j]) + b * int(panels[panel, g, columns + j])
            other = c * int(panels[panel, g, 2 * columns + j]) + d * int(panels[panel, g, 3 * columns + j])
            sums[row, j] = int(sums[row, j]) + pair + other
