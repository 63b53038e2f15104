"""Packing of right-hand matrices into panels, and staging of left-hand rows, in the layout of a form.

`pack_panel` and `pack_rows` define the layout; `emitted_packing` has LLVM code for contiguous rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..arith import IntArray
from ..arith.jit import kernel, overload
from .forms import Form


@kernel
def pack_panel(form: Form, right: IntArray, first: int, panel: IntArray, correction: IntArray) -> None:
    """Pack columns of `right` [columns, depth] from `first` on into one zero-padded panel, and compute their correction."""
    width = min(form.columns, right.shape[0] - first)
    depth, group = right.shape[1], form.group
    source, corrections = right[first : first + width], correction[first : first + width]
    corrections[:] = 0
    if width < form.columns or depth % group:
        panel[:] = 0
    done = 0
    if right.strides[1] == 1:
        done = move_groups(form, source, panel, corrections)
    for k in range(done, depth):
        for j in range(width):
            panel[k // group, j * form.across + k % group * form.along] = source[j, k]
            corrections[j] -= form.offset * int(source[j, k])


def move_groups(form: Form, source: IntArray, panel: IntArray, corrections: IntArray) -> int:
    """Pack all whole groups of contiguous rows, one column of the panel each; the number of depth indices done."""
    return 0


@kernel
def pack_rows(form: Form, rows: IntArray, first: int, panel: IntArray) -> None:
    """Pack the columns of `rows` [depth, columns] from `first` on into one zero-padded panel, of a form without offset."""
    width = min(form.columns, rows.shape[1] - first)
    depth, group = rows.shape[0], form.group
    done = 0
    if rows.strides[1] == 1:
        done = interleave_rows(form, rows[:, first : first + width], panel)
    if done < depth or width < form.columns:
        panel[done // group :] = 0
    for k in range(done, depth):
        for j in range(width):
            panel[k // group, j * form.across + k % group * form.along] = rows[k, first + j]


def interleave_rows(form: Form, rows: IntArray, panel: IntArray) -> int:
    """Pack whole groups of contiguous rows, as wide as a panel or half as wide; the number of rows done."""
    return 0


@overload(move_groups)
def _move_groups(form: Any, source: Any, panel: Any, corrections: Any) -> Callable[..., int]:
    from .emitted_packing import moving

    return moving(form.instance_class)


@overload(interleave_rows)
def _interleave_rows(form: Any, rows: Any, panel: Any) -> Callable[..., int]:
    from .emitted_packing import interleaving

    return interleaving(form.instance_class)


@kernel
def stage(form: Form, source: IntArray, order: IntArray, first: int, rows: int, left: IntArray) -> None:
    """Copy rows of the left-hand matrix from `first` on into `left`, in the layout of the form; the last fills its tile.

    `order`, i64, has the row of `source` that is meant for each; if it is empty, they are in order.
    """
    depth = source.shape[1]
    for i in range(rows):
        at = first + i
        if len(order) > 0:
            at = order[at]
        for k in range(depth):
            left[i, k] = int(source[at, k]) + form.offset
        for k in range(depth, left.shape[1]):
            left[i, k] = 0
    fill_tile(form, left, rows)


@kernel
def fill_tile(form: Form, left: IntArray, rows: int) -> None:
    """Repeat the last of `rows` rows, so that every tile is whole: its result is computed and stored as often."""
    for i in range(rows, -(-rows // form.rows) * form.rows):
        for k in range(left.shape[1]):
            left[i, k] = left[rows - 1, k]
