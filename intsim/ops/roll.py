"""roll(x, rows, columns): a grid shifted cyclically.

    out[i, j] = x[(i - rows) mod height, (j - columns) mod width]

Arguments: `x` is ``[..., height, width, channels]``; `rows` and `columns` may be negative, as in Swin's ``roll(-shift)``,
and are taken modulo height and width.
Result: the shape of `x`.
Source: the cyclic shift of Swin Transformer.

>>> import intsim.ops as ops
>>> ops.roll([[[1], [2], [3]], [[4], [5], [6]]], rows=1, columns=-1).tolist()
[[[5], [6], [4]], [[2], [3], [1]]]
"""

from __future__ import annotations

import numpy as np

from ..arith import IntArray
from ..dialects import Dialect
from ..symbols.shapes import form
from ._move import data_movement
from ._param import Param, require

_SHIFT = Param.integer(-65536, 65536)


def steps(x: IntArray, rows: int, columns: int, dialect: Dialect | None = None) -> dict[str, IntArray]:
    return {"out": np.roll(x, (rows, columns), axis=(-3, -2))}


def shape(x: tuple[int, ...], rows: int, columns: int) -> tuple[int, ...]:
    require(len(x) >= 3, f"expected a grid [..., height, width, channels], not {list(x)}")
    return x


OP = data_movement(steps, shape, ("x",), {"rows": _SHIFT, "columns": _SHIFT}, forms=(form(x="outer height width channels"),))
