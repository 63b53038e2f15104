"""grid(x, height): a list of cells, row by row, as a grid; the inverse of tokens.

    out[i, j, c] = x[i * width + j, c]

Arguments: `x` is ``[..., height*width, channels]``.
Result: ``[..., height, width, channels]``.

>>> import intsim.ops as ops
>>> ops.grid([[1], [2], [3], [4]], height=2).tolist()
[[[1], [2]], [[3], [4]]]
"""

from __future__ import annotations

from ..arith import IntArray
from ..dialects import Dialect
from ..symbols.shapes import form
from ._move import data_movement
from ._param import Param, require


def steps(x: IntArray, height: int, dialect: Dialect | None = None) -> dict[str, IntArray]:
    return {"out": x.reshape(*x.shape[:-2], height, x.shape[-2] // height, x.shape[-1])}


def shape(x: tuple[int, ...], height: int) -> tuple[int, ...]:
    require(len(x) >= 2, f"expected cells [..., cells, channels], not {list(x)}")
    require(x[-2] % height == 0, f"{x[-2]} cells do not fill {height} rows")
    return (*x[:-2], height, x[-2] // height, x[-1])


OP = data_movement(steps, shape, ("x",), {"height": Param.integer(1, 65536)}, forms=(form(x="outer height*width channels"),))
