"""The exact integer matrix product: in tiles of sums for i8 and i16, in plain loops for wider types.

The right-hand matrix is packed into panels in the layout of the chosen form (weights once per graph); the left-hand matrix
is staged block by block. A tile yields i32 sums, which are stored or requantized while they are in cache.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..arith import IntArray
from ..arith.jit import kernel
from .crew import own_rows
from .epilogue import Epilogue, Summed, added_epilogue, finish_rows, scaled_epilogue
from .forms import Form, form_for
from .packing import pack_panel, stage
from .scaling import Scaling
from .threads import over_rows
from .tile import finishes, scratch, tiles

BLOCK = 48  # rows staged at a time: a multiple of every form's tile
ALIGNMENT = 64  # bytes of the widest vector
IN_ORDER: IntArray = np.empty(0, np.int64)


class Packed(NamedTuple):
    """Right-hand matrices packed for one form.

    `panels` is [batches, panels, groups, columns * group]. `bias` is i32 [batches, columns]; what the form's offset adds to
    every sum is subtracted from it, modulo 2**32 like the sums.
    """

    form: Form
    panels: IntArray
    bias: IntArray


def packs(left: IntArray, right: IntArray) -> bool:
    """Whether ``left @ right.T`` can be computed in tiles: i8 or i16 by i8."""
    return left.dtype in (np.int8, np.int16) and right.dtype == np.int8


def product(left: IntArray, right: IntArray, bias: IntArray, out: IntArray) -> None:
    """``out[i] = left[i] @ right[i].T + bias``, in tiles where the types allow it.

    `left` is [batches, rows, depth], `right` [batches or 1, columns, depth], `out` int32 or int64 [batches, rows,
    columns]. The caller has proved that every result fits the type of `out`.
    """
    if packs(left, right) and out.dtype == np.int32:
        packed_product(left, pack(right, left.dtype, bias), out)
    else:
        transposed = np.ascontiguousarray(right.swapaxes(1, 2))
        over_rows(_plain_rows, left.shape[0] * left.shape[1], left, transposed, bias, out)


def pack(right: IntArray, left: np.dtype[Any], bias: IntArray | int = 0) -> Packed:
    """Pack `right`, i8 [batches, columns, depth], and a bias [columns], for left-hand matrices of type `left`."""
    form = form_for(left)
    batches, columns, depth = right.shape
    shape = (batches, -(-columns // form.columns), -(-depth // form.group), form.columns * form.group)
    panels = _aligned(shape, np.dtype(type(form).RIGHT))
    correction = np.empty((batches, columns), np.int32)
    over_rows(_pack_rows, batches * shape[1], form, right, panels, correction)
    return Packed(form, panels, (correction.astype(np.int64) + bias).astype(np.int32))


def packed_product(left: IntArray, packed: Packed, out: IntArray) -> None:
    """``out[i] = left[i] @ right[i].T + bias`` for i8 or i16 `left` and i32 `out`; one `right` may serve all batches."""
    _finished(left, packed, Summed(True), out)


def scaled_product(left: IntArray, packed: Packed, scaling: Scaling, out: IntArray, order: IntArray = IN_ORDER) -> None:
    """``out[i] = requant(left[i] @ right[i].T + bias)`` into the i8 or i16 `out`.

    With `order`, i64 [rows], the rows of `left`, of one batch, are taken in this order.
    """
    _finished(left, packed, scaled_epilogue(scaling), out, order)


def added_product(
    left: IntArray,
    packed: Packed,
    scaling: Scaling,
    arms: tuple[Scaling, Scaling],
    other: IntArray,
    out: IntArray,
    order: IntArray = IN_ORDER,
) -> None:
    """`scaled_product` of one batch followed by a residual sum, the usual end of a linear layer.

    Each result is scaled by the first arm, added to `other` [1, rows, columns] scaled by the second arm, and saturated to
    the format of the first arm.
    """
    _finished(left, packed, added_epilogue(scaling, arms, other[0]), out, order)


def _finished(left: IntArray, packed: Packed, epilogue: Epilogue, out: IntArray, order: IntArray = IN_ORDER) -> None:
    rows = out.shape[0] * out.shape[1]
    over_rows(_rows, rows, packed.form, left, order, packed.panels, packed.bias, epilogue, out)


def _aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> IntArray:
    """An uninitialised array whose first element is aligned to a vector."""
    size = int(np.prod(shape)) * dtype.itemsize
    room = np.empty(size + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + size].view(dtype).reshape(shape)


@kernel
def _pack_rows(crew: int, start: int, stop: int, form: Form, right: IntArray, panels: IntArray, correction: IntArray) -> int:
    stop = own_rows(crew, start, stop)
    count = panels.shape[1]
    for row in range(start, stop):
        batch, p = row // count, row % count
        pack_panel(form, right[batch], p * form.columns, panels[batch, p], correction[batch])
    return -1


@kernel
def block_at(row: int, stop: int, rows_each: int) -> tuple[int, int, int]:
    """The block that starts at `row` of all batches, within one batch: the batch, the first row in it, number of rows."""
    batch, first = row // rows_each, row % rows_each
    return batch, first, min(BLOCK, min(stop - row, rows_each - first))


@kernel
def finished_block(
    form: Form,
    staged: IntArray,
    rows: int,
    panels: IntArray,
    bias: IntArray,
    epilogue: Epilogue,
    resumed: IntArray,
    sums: IntArray,
    columns: int,
    out: IntArray,
    row: int,
) -> None:
    """Multiply the first `rows` staged rows by all panels, and finish `columns` of them into `out` from row `row` on.

    The last staged row fills its tile (`fill_tile`).
    `sums`, [1 or panels, rows, columns], is a buffer for the sums, to which the `resumed` tiles add.
    """
    for p in range(panels.shape[0]):
        first = p * form.columns
        width = min(form.columns, columns - first)
        vectors = -(-width // form.lanes)
        whole = width == vectors * form.lanes and (vectors <= 2 or width == form.columns)
        finishing = finishes(form) and epilogue.quick and whole and out.strides[1] == out.itemsize
        panel_sums = sums[p % sums.shape[0]]
        tiles(form, staged, rows, panels, p, vectors, resumed, panel_sums, finishing, epilogue, bias, out, row)
        if not finishing:
            finish_rows(epilogue, panel_sums, rows, first, columns, bias, out, row)


@kernel
def _rows(
    crew: int,
    start: int,
    stop: int,
    form: Form,
    left: IntArray,
    order: IntArray,
    panels: IntArray,
    bias: IntArray,
    epilogue: Epilogue,
    out: IntArray,
) -> int:
    stop = own_rows(crew, start, stop)
    staged = scratch(form, BLOCK, panels.shape[2] * form.group)
    sums, resumed = np.empty((1, BLOCK, form.columns), np.int32), np.zeros(BLOCK, np.int8)
    row = start
    while row < stop:
        batch, first, rows = block_at(row, stop, out.shape[1])
        right = min(batch, panels.shape[0] - 1)
        stage(form, left[batch], order, first, rows, staged)
        finished_block(
            form, staged, rows, panels[right], bias[right], epilogue, resumed, sums, out.shape[2], out[batch], first
        )
        row += rows
    return -1


@kernel
def _plain_rows(crew: int, start: int, stop: int, a: IntArray, b: IntArray, bias: IntArray, out: IntArray) -> int:
    stop = own_rows(crew, start, stop)
    rows, depth, columns = a.shape[1], a.shape[2], b.shape[2]
    for row in range(start, stop):
        batch, i = row // rows, row % rows
        right = min(batch, b.shape[0] - 1)
        for j in range(columns):
            out[batch, i, j] = bias[j]
        for k in range(depth):
            left = int(a[batch, i, k])
            for j in range(columns):
                out[batch, i, j] = int(out[batch, i, j]) + left * int(b[right, k, j])
    return -1
