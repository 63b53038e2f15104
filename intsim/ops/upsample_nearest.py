"""upsample_nearest(x, factor): every cell of a grid repeated `factor` times down and across.

    out[i, j] = x[i // factor, j // factor]

Arguments: `x` is ``[..., h, w, classes]``, or a label map ``[h, w]``.
Result: ``[..., h*factor, w*factor, classes]``, or ``[h*factor, w*factor]``.
Note: argmax and upsample_nearest commute; the tests show it.

>>> import intsim.ops as ops
>>> ops.upsample_nearest([[1, 2]], 2)
array([[1, 1, 2, 2],
       [1, 1, 2, 2]])
"""

from __future__ import annotations

from dataclasses import replace

from ..arith import IntArray
from ..dialects import Dialect
from ..symbols.shapes import form
from ._move import data_movement
from ._param import Param, require


def steps(x: IntArray, factor: int, dialect: Dialect | None = None) -> dict[str, IntArray]:
    rows = _rows_axis(x.shape)
    return {"out": x.repeat(factor, axis=rows).repeat(factor, axis=rows + 1)}


def shape(x: tuple[int, ...], factor: int) -> tuple[int, ...]:
    require(len(x) >= 2, f"a grid [h, w, classes] or [h, w] is due, not {list(x)}")
    rows = _rows_axis(x)
    return (*x[:rows], x[rows] * factor, x[rows + 1] * factor, *x[len(x) + rows + 2 :])


def _rows_axis(x: tuple[int, ...]) -> int:
    return -3 if len(x) > 2 else -2


OP = data_movement(
    steps,
    shape,
    ("x",),
    {"factor": Param.integer(1, 1024)},
    forms=(replace(form(x="outer height width channels"), plane=True),),
)
