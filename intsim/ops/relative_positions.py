"""relative_positions(table, size): the bias of every pair of tokens in a window, from a table with one row per displacement.

    out[h, i, j] = table[(row(i) - row(j) + size - 1) * (2*size - 1) + column(i) - column(j) + size - 1, h]

Arguments: `table` is ``[(2*size - 1)**2, heads]``; the tokens of a window of size x size are numbered row by row.
Result: ``[heads, size*size, size*size]``.
Source: the relative position bias of Swin Transformer.

>>> import intsim.ops as ops
>>> ops.relative_positions([[i] for i in range(9)], size=2).tolist()
[[[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]]]
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..arith import IntArray, counting
from ..dialects import Dialect
from ..symbols.shapes import form
from ._move import data_movement
from ._param import Param, require


def steps(table: IntArray, size: int, dialect: Dialect | None = None) -> dict[str, IntArray]:
    cell = counting(size * size)
    row = cell // size
    column = cell - row * size
    down, right = (place[:, None] - place + size - 1 for place in (row, column))
    return {"out": np.moveaxis(table[down * (2 * size - 1) + right], -1, 0)}


def shape(table: tuple[int, ...], size: int) -> tuple[int, ...]:
    require(len(table) == 2, f"expected a table [displacements, heads], not {list(table)}")
    expected = (2 * size - 1) ** 2
    require(table[0] == expected, f"windows of {size} x {size} have {expected} displacements, the table {table[0]}")
    return (table[1], size * size, size * size)


DISPLACEMENTS = "displacements != (2 * (size_t)size - 1) * (2 * (size_t)size - 1)"

OP = data_movement(
    steps,
    shape,
    ("table",),
    {"size": Param.integer(1, 128)},
    forms=(replace(form(table="displacements heads"), wrong=(DISPLACEMENTS,)),),
)
