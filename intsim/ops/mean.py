"""mean(x i16): the mean over tokens, the last axis but one.

    out = round(sum(x) / tokens, M)      M = mean_rounding

Arguments: `x` is ``[..., tokens, channels]``, at most 65,536 tokens, so that their sum fits i32.
Result: i16 ``[..., channels]``.
Scale: that of `x`.
Source: the average pooling of Swin Transformer, rounded as in I-ViT.

>>> import intsim.ops as ops
>>> ops.mean([[1, -1], [2, -2]], dialect="rtl")  # 1.5 and -1.5, ties up
array([ 2, -1], dtype=int16)
"""

from __future__ import annotations

import numpy as np

from ..arith import I16, IntArray, TensorBound, round_divide
from ..arith import compiled as c
from ..arith.jit import kernel
from ..dialects import Dialect
from ..kernels.crew import own_rows
from ..kernels.threads import over_rows
from ..symbols.shapes import form
from ._op import Op
from ._param import require, rows_of

MOST = 1 << 16  # tokens


def steps(x: IntArray, dialect: Dialect) -> dict[str, IntArray]:
    total = x.sum(axis=-2)
    return {"sum": total, "out": round_divide(total, x.shape[-2], dialect.mean_rounding)}


@kernel
def _rows(crew: int, start: int, stop: int, x: IntArray, mode: int, out: IntArray) -> int:
    stop = own_rows(crew, start, stop)
    for row in range(start, stop):
        total = np.zeros(x.shape[2], np.int64)
        for token in range(x.shape[1]):
            for j in range(x.shape[2]):
                total[j] += int(x[row, token, j])
        for j in range(x.shape[2]):
            out[row, j] = c.round_divide(total[j], x.shape[1], mode)
    return -1


def fast(x: IntArray, dialect: Dialect, out: IntArray) -> None:
    stacked = np.ascontiguousarray(x).reshape(-1, *x.shape[-2:])
    over_rows(_rows, len(stacked), stacked, dialect.mean_rounding.code, rows_of(out))


def infer(x: TensorBound, dialect: Dialect) -> TensorBound:
    require(len(x.shape) >= 2, f"expected tokens [..., tokens, channels], not {list(x.shape)}")
    require(1 <= x.shape[-2] <= MOST, f"{x.shape[-2]} tokens; mean takes 1 to {MOST}")
    return TensorBound((*x.shape[:-2], x.shape[-1]), x.fmt, x.lo, x.hi)


OP = Op(
    steps=steps,
    fast=fast,
    infer=infer,
    inputs={"x": I16},
    params={},
    forms=(form(x="outer tokens channels"),),
    choices=("mean_rounding",),
    scale=lambda inputs, node: inputs[0],
    real=lambda x: x.mean(axis=-2),
    approximates="mean",
)
