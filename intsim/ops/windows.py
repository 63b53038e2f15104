"""windows: a grid cut into square windows: [..., height, width, channels] becomes [..., windows, size*size, channels].

Windows lie row by row, and so do the tokens of each. Height and width are multiples of `size`. Source: Swin Transformer.

>>> import intsim.ops as ops
>>> ops.windows([[[1], [2], [3], [4]], [[5], [6], [7], [8]]], size=2).tolist()
[[[1], [2], [5], [6]], [[3], [4], [7], [8]]]
"""

from __future__ import annotations

from ..arith import IntArray
from ..dialects import Dialect
from ._move import data_movement
from ._op import Param, require


def steps(x: IntArray, size: int, dialect: Dialect | None = None) -> dict[str, IntArray]:
    *leading, height, width, channels = x.shape
    down, across = height // size, width // size
    cut = x.reshape(*leading, down, size, across, size, channels)
    return {"out": cut.swapaxes(-4, -3).reshape(*leading, down * across, size * size, channels)}


def shape(x: tuple[int, ...], size: int) -> tuple[int, ...]:
    require(len(x) >= 3, f"a grid [..., height, width, channels] is due, not {list(x)}")
    *leading, height, width, channels = x
    require(height % size == 0 and width % size == 0, f"{height} x {width} is not cut into windows of {size} x {size}")
    return (*leading, height // size * (width // size), size * size, channels)


OP = data_movement(steps, shape, ("x",), {"size": Param.integer(1, 1024)})
