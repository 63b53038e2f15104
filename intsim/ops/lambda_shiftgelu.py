"""lambda_shiftgelu: ShiftGELU whose sigmoid sees a clamped input.

    g   = clamp(x, -lam, lam)
    out = x * sigmoid(g)                            the sigmoid of shiftgelu, row maximum of g

Shapes, scales and formats as in shiftgelu; `lam` is an integer on x's scale; ``lam >= 128`` is shiftgelu exactly. Plain
ShiftGELU's exponential floors about 9.4 natural units below the row's maximum, so one large activation makes the sigmoid
1/2 for a whole token; clamping keeps the row's maximum near the rest. The I-Segmenter paper's formula is not public to us:
this is our reading of its abstract.

>>> import intsim.ops as ops
>>> ops.lambda_shiftgelu([127, -1, 5], x0=-5, n=23, b=8, lam=32, dialect="isegmenter")
array([16129,   -60,   465], dtype=int32)
"""

from __future__ import annotations

import numpy as np

from ..arith import I8, IntArray, TensorBound
from ..dialects import Dialect
from ._op import Op, Param
from .shift_exp import PRECISION, X0
from .shiftgelu import OP as SHIFTGELU
from .shiftgelu import gelu_fast, gelu_steps
from .shiftmax import BITS


def steps(x: IntArray, x0: int, n: int, b: int, lam: int, dialect: Dialect) -> dict[str, IntArray]:
    clamped = np.minimum(np.maximum(x, -lam), lam)
    return {"clamped": clamped, **gelu_steps(x, clamped, x0, n, b, dialect, "lambda_shiftgelu")}


def fast(x: IntArray, x0: int, n: int, b: int, lam: int, dialect: Dialect, out: IntArray) -> None:
    if not gelu_fast(x, lam, x0, n, b, dialect, out):
        steps(x.astype(np.int64), x0, n, b, lam, dialect)  # the reference says which row, and what is wrong with it


def infer(x: TensorBound, x0: int, n: int, b: int, lam: int, dialect: Dialect) -> TensorBound:
    return SHIFTGELU.infer(x, x0, n, b, dialect)


OP = Op(
    steps=steps,
    fast=fast,
    infer=infer,
    inputs={"x": I8},
    params={"x0": X0, "n": PRECISION, "b": BITS, "lam": Param.integer(0, 2**31 - 1)},
    choices=SHIFTGELU.choices,
    scale=SHIFTGELU.scale,
    real=SHIFTGELU.real,
    approximates="gelu",
)
