"""One tile of sums: a few rows by a panel of columns, kept in registers along the whole depth.

`tiles` has two implementations. Its Python body is the plain form, and defines the sums. For forms with a dot-product
instruction, `emitted_tile` has LLVM code, which can also finish the sums while they are in registers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arith import IntArray
from ..arith.jit import kernel, overload
from .epilogue import Epilogue
from .forms import Form, PlainWords


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


@kernel
def whole_vectors(form: Form, columns: int) -> int:
    """The number of columns with those that fill the last vectors of a tile."""
    vectors = -(-(columns % form.columns) // form.lanes)
    return columns // form.columns * form.columns + (vectors * form.lanes if vectors <= 2 else form.columns)


def tiles(
    form: Form,
    left: IntArray,
    rows: int,
    panels: IntArray,
    panel: int,
    vectors: int,
    resumed: IntArray,
    sums: IntArray,
    finishing: bool,
    epilogue: Epilogue,
    bias: IntArray,
    out: IntArray,
    row: int,
) -> None:
    """``sums[i] = left[i] @ panel`` for the first `rows` rows i, tile by tile; i32, modulo 2**32.

    `left` is [rows, depth], `panels` [panels, groups, columns * group], `sums` [rows, columns]. Only the first `vectors`
    vectors of the panel's columns are needed: 1, 2, or all. Where `resumed`, which has one element per tile, is not 0, the
    sums are added to those that are there. If `finishing` (which only a form that `finishes` may be asked for), the sums are
    not stored, but finished by `epilogue` into the rows of `out` from `row` on; the last row must fill its tile then.
    """
    columns = form.columns
    for i in range(rows):
        if not resumed[i]:
            for j in range(columns):
                sums[i, j] = 0
        for g in range(panels.shape[1]):
            a, b = int(left[i, 4 * g]), int(left[i, 4 * g + 1])
            c, d = int(left[i, 4 * g + 2]), int(left[i, 4 * g + 3])
            for j in range(columns):
                pair = a * int(panels[panel, g, j]) + b * int(panels[panel, g, columns + j])
                other = c * int(panels[panel, g, 2 * columns + j]) + d * int(panels[panel, g, 3 * columns + j])
                sums[i, j] = int(sums[i, j]) + pair + other


def finishes(form: Form) -> bool:
    """Whether `tiles` can finish the sums of the form in registers."""
    return False


@overload(finishes)
def _finishes(form: Any) -> Callable[[Form], bool]:
    emitted = form.instance_class is not PlainWords
    return lambda form: emitted
