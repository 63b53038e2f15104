"""windows(x, size): a grid cut into square windows.

    out[i * (width/size) + j, k * size + l, c] = x[i * size + k, j * size + l, c]

Arguments: `x` is ``[..., height, width, channels]``; height and width are multiples of `size`.
Result: ``[..., windows, size*size, channels]``: windows row by row, and the tokens of each window row by row.
Source: Swin Transformer.

>>> import intsim.ops as ops
>>> ops.windows([[[1], [2], [3], [4]], [[5], [6], [7], [8]]], size=2).tolist()
[[[1], [2], [5], [6]], [[3], [4], [7], [8]]]
"""

from __future__ import annotations

from ..arith import IntArray
from ..dialects import Dialect
from ..symbols.shapes import form
from ._move import data_movement
from ._param import Param, require


def steps(x: IntArray, size: int, dialect: Dialect | None = None) -> dict[str, IntArray]:
    *leading, height, width, channels = x.shape
    down, across = height // size, width // size
    cut = x.reshape(*leading, down, size, across, size, channels)
    return {"out": cut.swapaxes(-4, -3).reshape(*leading, down * across, size * size, channels)}


def shape(x: tuple[int, ...], size: int) -> tuple[int, ...]:
    require(len(x) >= 3, f"expected a grid [..., height, width, channels], not {list(x)}")
    *leading, height, width, channels = x
    require(height % size == 0 and width % size == 0, f"{height} x {width} does not divide into windows of {size} x {size}")
    return (*leading, height // size * (width // size), size * size, channels)


OP = data_movement(
    steps, shape, ("x",), {"size": Param.integer(1, 1024)}, forms=(form(x="outer down*size across*size channels"),)
)
