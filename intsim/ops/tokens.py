"""tokens(x): a grid as the list of its cells, row by row; the inverse of grid.

    out[i * width + j, c] = x[i, j, c]

Arguments: `x` is ``[..., height, width, channels]``.
Result: ``[..., height*width, channels]``.

>>> import intsim.ops as ops
>>> ops.tokens([[[1], [2]], [[3], [4]]]).tolist()
[[1], [2], [3], [4]]
"""

from __future__ import annotations

from ..arith import IntArray
from ..dialects import Dialect
from ..symbols.shapes import form
from ._move import data_movement
from ._param import require


def steps(x: IntArray, dialect: Dialect | None = None) -> dict[str, IntArray]:
    *leading, height, width, channels = x.shape
    return {"out": x.reshape(*leading, height * width, channels)}


def shape(x: tuple[int, ...]) -> tuple[int, ...]:
    require(len(x) >= 3, f"expected a grid [..., height, width, channels], not {list(x)}")
    *leading, height, width, channels = x
    return (*leading, height * width, channels)


OP = data_movement(steps, shape, ("x",), {}, forms=(form(x="outer height width channels"),))
