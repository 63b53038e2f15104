"""merge_windows: the inverse of windows: [..., windows, size*size, channels] becomes [..., height, width, channels].

>>> import intsim.ops as ops
>>> ops.merge_windows([[[1], [2], [5], [6]], [[3], [4], [7], [8]]], height=2).tolist()
[[[1], [2], [3], [4]], [[5], [6], [7], [8]]]
"""

from __future__ import annotations

import math

from ..arith import IntArray
from ..dialects import Dialect
from ._move import data_movement
from ._op import Param, require


def steps(x: IntArray, height: int, dialect: Dialect | None = None) -> dict[str, IntArray]:
    *leading, count, tokens, channels = x.shape
    size = math.isqrt(tokens)
    down = height // size
    cut = x.reshape(*leading, down, count // down, size, size, channels)
    return {"out": cut.swapaxes(-4, -3).reshape(*leading, height, count // down * size, channels)}


def shape(x: tuple[int, ...], height: int) -> tuple[int, ...]:
    require(len(x) >= 3, f"windows [..., windows, tokens, channels] are due, not {list(x)}")
    *leading, count, tokens, channels = x
    size = math.isqrt(tokens)
    require(size * size == tokens > 0, f"windows of {tokens} tokens are not square")
    fits = height % size == 0 and count % (height // size) == 0 if height >= size else False
    require(fits, f"{count} windows of {size} x {size} do not fill {height} rows")
    return (*leading, height, count // (height // size) * size, channels)


OP = data_movement(steps, shape, ("x",), {"height": Param.integer(1, 65536)})
