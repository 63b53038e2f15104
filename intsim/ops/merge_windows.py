"""merge_windows(x, height): the inverse of windows.

    out[i * size + k, j * size + l, c] = x[i * (width/size) + j, k * size + l, c]

Arguments: `x` is ``[..., windows, size*size, channels]``.
Result: ``[..., height, width, channels]``.
Source: Swin Transformer.

>>> import intsim.ops as ops
>>> ops.merge_windows([[[1], [2], [5], [6]], [[3], [4], [7], [8]]], height=2).tolist()
[[[1], [2], [3], [4]], [[5], [6], [7], [8]]]
"""

from __future__ import annotations

import math

from ..arith import IntArray, whole_root
from ..dialects import Dialect
from ..symbols.shapes import form
from ._move import data_movement
from ._param import Param, require


def steps(x: IntArray, height: int, dialect: Dialect | None = None) -> dict[str, IntArray]:
    *leading, count, tokens, channels = x.shape
    size = whole_root(tokens)
    down = height // size
    cut = x.reshape(*leading, down, count // down, size, size, channels)
    return {"out": cut.swapaxes(-4, -3).reshape(*leading, height, count // down * size, channels)}


def shape(x: tuple[int, ...], height: int) -> tuple[int, ...]:
    require(len(x) >= 3, f"expected windows [..., windows, tokens, channels], not {list(x)}")
    *leading, count, tokens, channels = x
    size = math.isqrt(tokens)
    require(size * size == tokens > 0, f"a window of {tokens} tokens is not square")
    fits = height % size == 0 and count % (height // size) == 0 if height >= size else False
    require(fits, f"{count} windows of {size} x {size} do not fill {height} rows")
    return (*leading, height, count // (height // size) * size, channels)


OP = data_movement(
    steps,
    shape,
    ("x",),
    {"height": Param.integer(1, 65536)},
    forms=(form(fixed={"height": "down*size"}, x="outer down*across size*size channels"),),
)
