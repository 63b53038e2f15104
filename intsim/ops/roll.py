"""roll: a grid shifted cyclically: row i of the result is row i - rows of `x`, and likewise the columns.

`x` is [..., height, width, channels]; `rows` and `columns` may be negative, as in Swin's ``roll(-shift)``, and are taken
modulo height and width. Source: the cyclic shift of Swin Transformer.

>>> import intsim.ops as ops
>>> ops.roll([[[1], [2], [3]], [[4], [5], [6]]], rows=1, columns=-1).tolist()
[[[5], [6], [4]], [[2], [3], [1]]]
"""

from __future__ import annotations

import numpy as np

from ..arith import IntArray
from ..dialects import Dialect
from ._move import data_movement
from ._op import Param, require

_SHIFT = Param.integer(-65536, 65536)


def steps(x: IntArray, rows: int, columns: int, dialect: Dialect | None = None) -> dict[str, IntArray]:
    return {"out": np.roll(x, (rows, columns), axis=(-3, -2))}


def shape(x: tuple[int, ...], rows: int, columns: int) -> tuple[int, ...]:
    require(len(x) >= 3, f"a grid [..., height, width, channels] is due, not {list(x)}")
    return x


OP = data_movement(steps, shape, ("x",), {"rows": _SHIFT, "columns": _SHIFT})
