"""merge_patches(x): every two by two cells of a grid joined into one, side by side in its channels.

    out[i, j] = x[2*i, 2*j], x[2*i + 1, 2*j], x[2*i, 2*j + 1], x[2*i + 1, 2*j + 1]

Arguments: `x` is ``[..., h, w, channels]``; h and w are even.
Result: ``[..., h/2, w/2, 4*channels]``, the four cells column by column: above left, below left, above right, below right.
Source: the patch merging of Swin Transformer.

>>> import intsim.ops as ops
>>> ops.merge_patches([[[1], [2], [3], [4]], [[5], [6], [7], [8]]]).tolist()
[[[1, 5, 2, 6], [3, 7, 4, 8]]]
"""

from __future__ import annotations

from ..arith import IntArray
from ..dialects import Dialect
from ..symbols.shapes import form
from ._move import data_movement
from ._param import require


def steps(x: IntArray, dialect: Dialect | None = None) -> dict[str, IntArray]:
    *leading, height, width, channels = x.shape
    cells = x.reshape(*leading, height // 2, 2, width // 2, 2, channels)
    by_columns = cells.swapaxes(-4, -3).swapaxes(-3, -2)  # (.., h/2, w/2, column, row, channels)
    return {"out": by_columns.reshape(*leading, height // 2, width // 2, 4 * channels)}


def shape(x: tuple[int, ...]) -> tuple[int, ...]:
    require(len(x) >= 3, f"expected a grid [..., height, width, channels], not {list(x)}")
    *leading, height, width, channels = x
    require(height % 2 == 0 and width % 2 == 0, f"{height} x {width} does not divide into two by two")
    return (*leading, height // 2, width // 2, 4 * channels)


OP = data_movement(steps, shape, ("x",), {}, forms=(form(x="outer 2*rows 2*columns channels"),))
