"""argmax(x): the class with the largest value along the last axis; ties go to the lowest class index.

    out = argmax(x)

Arguments: `x` is ``[..., classes]`` in any integer format.
Result: ``[...]``, u8 up to 256 classes, i16 above.
Note: argmax and upsample_nearest commute; the tests show it.

>>> import intsim.ops as ops
>>> ops.argmax([[3, 7, 7], [-1, -2, -1]])
array([1, 0], dtype=uint8)
"""

from __future__ import annotations

import numpy as np

from ..arith import I16, I64, U8, IntArray, TensorBound
from ..arith.jit import kernel
from ..dialects import Dialect
from ..kernels.crew import own_rows
from ..kernels.threads import over_rows
from ..symbols.shapes import form
from ._op import Op
from ._param import require, rows_of


def steps(x: IntArray, dialect: Dialect | None = None) -> dict[str, IntArray]:
    return {"out": x.argmax(axis=-1)}


@kernel
def _rows(crew: int, start: int, stop: int, x: IntArray, out: IntArray) -> int:
    stop = own_rows(crew, start, stop)
    for row in range(start, stop):
        best = 0
        for j in range(1, x.shape[1]):
            if x[row, j] > x[row, best]:
                best = j
        out[row] = best
    return -1


def fast(x: IntArray, dialect: Dialect | None, out: IntArray) -> None:
    rows = rows_of(x)
    over_rows(_rows, len(rows), rows, out.reshape(-1))


def infer(x: TensorBound, dialect: Dialect | None = None) -> TensorBound:
    classes = x.shape[-1]
    require(1 <= classes <= I16.hi, f"{classes} classes; argmax takes 1 to {I16.hi}")
    return TensorBound(x.shape[:-1], U8 if classes <= 256 else I16, 0, classes - 1)


OP = Op(
    steps=steps,
    fast=fast,
    infer=infer,
    inputs={"x": I64},
    params={},
    forms=(form(x="rows columns"),),
    scale=lambda inputs, node: None,
    real=lambda x: np.argmax(x, axis=-1),
    approximates="argmax",
)
