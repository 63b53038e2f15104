"""The integer matrix product, exact: in tiles of sums for i8 and i16, or plainly for anything wider.

The right-hand matrix is packed into panels as the chosen form wants them (weights once a graph); the left-hand one is
staged block by block. What comes out of a tile is either the i32 sum, or requantized while it is warm.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..arith import IntArray
from ..arith.jit import kernel
from .forms import Form, form_for
from .scaling import Scaling, add_rows, scale_rows
from .threads import over_rows
from .tile import scratch, tile_sums

BLOCK = 48  # rows staged at a time: a multiple of every form's tile
ALIGNMENT = 64  # bytes of the widest vector


class Packed(NamedTuple):
    """Right-hand matrices ready for one form: `panels` [batches, panels, groups, columns * group], and `bias` i32 [batches,
    columns], from which what the form's offset adds to every sum is taken out (modulo 2**32, as the sums are).
    """

    form: Form
    panels: IntArray
    bias: IntArray


def packs(left: IntArray, right: IntArray) -> bool:
    """Whether ``left @ right.T`` goes through tiles: i8 or i16 by i8."""
    return left.dtype in (np.int8, np.int16) and right.dtype == np.int8


def product(left: IntArray, right: IntArray, bias: IntArray, out: IntArray) -> None:
    """``out[i] = left[i] @ right[i].T + bias``, by tiles where they serve.

    `left` is [batches, rows, depth], `right` [batches or 1, columns, depth], `out` int32 or int64 [batches, rows,
    columns]. The caller has proved that no result leaves `out`'s type.
    """
    if packs(left, right) and out.dtype == np.int32:
        packed_product(left, pack(right, left.dtype, bias), out)
    else:
        transposed = np.ascontiguousarray(right.swapaxes(1, 2))
        over_rows(_plain_rows, left.shape[0] * left.shape[1], left, transposed, bias, out)


def pack(right: IntArray, left: np.dtype, bias: IntArray | int = 0) -> Packed:
    """Pack `right`, i8 [batches, columns, depth], and a bias [columns] for left-hand matrices of type `left`."""
    form = form_for(left)
    batches, columns, depth = right.shape
    shape = (batches, -(-columns // form.columns), -(-depth // form.group), form.columns * form.group)
    panels = _aligned(shape, np.dtype(type(form).RIGHT))
    correction = np.empty((batches, columns), np.int32)
    over_rows(_pack_rows, batches * shape[1], form, right, panels, correction)
    return Packed(form, panels, (correction.astype(np.int64) + bias).astype(np.int32))


def packed_product(left: IntArray, packed: Packed, out: IntArray) -> None:
    """``out[i] = left[i] @ right[i].T + bias`` with packed `right`: left i8 or i16, out i32. One `right` may serve all."""
    over_rows(_summed_rows, left.shape[0] * left.shape[1], packed.form, left, packed.panels, packed.bias, out)


def scaled_product(left: IntArray, packed: Packed, scaling: Scaling, out: IntArray) -> None:
    """The same, requantized into the i8 or i16 `out`."""
    over_rows(_scaled_rows, left.shape[0] * left.shape[1], packed.form, left, packed.panels, packed.bias, scaling, out)


def added_product(
    left: IntArray, packed: Packed, scaling: Scaling, arms: tuple[Scaling, Scaling], other: IntArray, out: IntArray
) -> None:
    """The same once more, each result then scaled by the first arm and added to `other` [batches, rows, columns] scaled by
    the second, saturated as the first arm says: the residual sum after a linear layer.
    """
    rows = left.shape[0] * left.shape[1]
    over_rows(_added_rows, rows, packed.form, left, packed.panels, packed.bias, scaling, *arms, other, out)


def _aligned(shape: tuple[int, ...], dtype: np.dtype) -> IntArray:
    """An empty array whose first element lies at a vector's boundary."""
    size = int(np.prod(shape)) * dtype.itemsize
    room = np.empty(size + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + size].view(dtype).reshape(shape)


@kernel
def pack_panel(form, right, first, panel, correction):
    """Columns of `right` [columns, depth] from `first` on, into one panel, padded with zeros; and their correction."""
    width = min(form.columns, right.shape[0] - first)
    depth, group = right.shape[1], form.group
    source, corrections = right[first : first + width], correction[first : first + width]
    corrections[:] = 0
    if width < form.columns or depth % group:
        panel[:] = 0
    for g in range(depth // group):
        for j in range(width):
            if group == 4:  # spelled out, so that a group moves as one
                a, b, c, d = source[j, 4 * g], source[j, 4 * g + 1], source[j, 4 * g + 2], source[j, 4 * g + 3]
                at, along = j * form.across, form.along
                panel[g, at], panel[g, at + along] = a, b
                panel[g, at + 2 * along], panel[g, at + 3 * along] = c, d
                corrections[j] -= form.offset * (int(a) + int(b) + int(c) + int(d))
            else:
                panel[g, 2 * j], panel[g, 2 * j + 1] = source[j, 2 * g], source[j, 2 * g + 1]
    for k in range(depth // group * group, depth):
        for j in range(width):
            panel[k // group, j * form.across + k % group * form.along] = source[j, k]
            corrections[j] -= form.offset * int(source[j, k])


@kernel
def stage(form, source, first, rows, left):
    """Rows of the left-hand matrix from `first` on as the form wants them."""
    depth = source.shape[1]
    for i in range(rows):
        for k in range(depth):
            left[i, k] = int(source[first + i, k]) + form.offset
        for k in range(depth, left.shape[1]):
            left[i, k] = 0


@kernel
def panel_sums(form, left, rows, panels, panel, columns, sums):
    """The sums of all staged rows with one panel."""
    vectors = -(-(columns - panel * form.columns) // form.lanes)
    for row in range(0, rows, form.rows):
        tile_sums(form, left, row, panels, panel, vectors, sums)


@kernel
def _pack_rows(start, stop, form, right, panels, correction):
    count = panels.shape[1]
    for row in range(start, stop):
        batch, p = row // count, row % count
        pack_panel(form, right[batch], p * form.columns, panels[batch, p], correction[batch])
    return -1


@kernel
def block_at(row, stop, rows_each):
    """The block of rows that starts at `row` of all batches, none across two of them: batch, first row in it, rows."""
    batch, first = row // rows_each, row % rows_each
    return batch, first, min(BLOCK, min(stop - row, rows_each - first))


@kernel
def scaled_block(form, left, first, rows, panels, bias, scaling, staged, sums, out, row):
    """Rows of `left` from `first` on, times all panels, requantized into the rows of `out` from `row` on.

    `staged` and `sums` are room for one block.
    """
    stage(form, left, first, rows, staged)
    for p in range(panels.shape[0]):
        panel_sums(form, staged, rows, panels, p, out.shape[1], sums)
        scale_rows(sums, rows, p * form.columns, bias, scaling, out, row)


@kernel
def _summed_rows(start, stop, form, left, panels, bias, out):
    columns = out.shape[2]
    staged = scratch(form, BLOCK, panels.shape[2] * form.group)
    sums = np.empty((BLOCK, form.columns), np.int32)
    row = start
    while row < stop:
        batch, first, rows = block_at(row, stop, left.shape[1])
        right = min(batch, panels.shape[0] - 1)
        stage(form, left[batch], first, rows, staged)
        for p in range(panels.shape[1]):
            panel_sums(form, staged, rows, panels[right], p, columns, sums)
            origin, end = p * form.columns, min((p + 1) * form.columns, columns)
            biases = bias[right, origin:end]
            for i in range(rows):
                source, target = sums[i], out[batch, first + i, origin:end]
                for j in range(end - origin):
                    target[j] = int(source[j]) + int(biases[j])
        row += rows
    return -1


@kernel
def _scaled_rows(start, stop, form, left, panels, bias, scaling, out):
    staged = scratch(form, BLOCK, panels.shape[2] * form.group)
    sums = np.empty((BLOCK, form.columns), np.int32)
    row = start
    while row < stop:
        batch, first, rows = block_at(row, stop, left.shape[1])
        right = min(batch, panels.shape[0] - 1)
        target = out[batch]
        scaled_block(form, left[batch], first, rows, panels[right], bias[right], scaling, staged, sums, target, first)
        row += rows
    return -1


@kernel
def _added_rows(start, stop, form, left, panels, bias, scaling, arm, other_arm, other, out):
    staged = scratch(form, BLOCK, panels.shape[2] * form.group)
    sums = np.empty((BLOCK, form.columns), np.int32)
    row = start
    while row < stop:
        batch, first, rows = block_at(row, stop, left.shape[1])
        right = min(batch, panels.shape[0] - 1)
        target = out[batch]
        scaled_block(form, left[batch], first, rows, panels[right], bias[right], scaling, staged, sums, target, first)
        add_rows(target, first, rows, arm, other_arm, other[batch])
        row += rows
    return -1


@kernel
def _plain_rows(start, stop, a, b, bias, out):
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
