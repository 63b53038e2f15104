"""linear(x i8, weight i8, bias i32): a fully connected layer on 8-bit integers.

    out = x @ weight.T + bias

Arguments: `x` is ``[..., in]``, `weight` ``[out, in]``, `bias` ``[out]``.
Result: i32 ``[..., out]``.
Scale: ``s_x * s_w`` per output channel, for the result and for `bias`. ``s_w = max|w| / 127`` per output channel; a channel
without any weight above ``2**-12`` of the layer's median max|w| uses that bound as its max|w|.
Conditions: a result outside i32 is forbidden: a ValueError in a direct call, proved impossible when a graph is loaded.

>>> import intsim.ops as ops
>>> ops.linear([[1, 2, 3]], [[1, 0, -1], [127, 127, 127]], [10, -2])
array([[  8, 760]], dtype=int32)
"""

from __future__ import annotations

import numpy as np

from ..arith import I8, I32, IntArray, TensorBound, forbid
from ..dialects import Dialect
from ..kernels import gemm
from ..symbols.shapes import form
from ._op import Op
from ._param import Param, require
from .matmul import product_of_scales


def steps(x: IntArray, weight: IntArray, bias: IntArray, dialect: Dialect | None = None) -> dict[str, IntArray]:
    return {"out": forbid(x @ weight.T + bias, I32, "linear: out")}


def fast(x: IntArray, weight: IntArray, bias: IntArray, dialect: Dialect | None, out: IntArray) -> None:
    left, result = np.ascontiguousarray(x).reshape(1, -1, x.shape[-1]), out.reshape(1, -1, out.shape[-1])
    gemm.product(left, weight[None], bias, result)


def infer(x: TensorBound, weight: IntArray, bias: IntArray, dialect: Dialect | None = None) -> TensorBound:
    channels, depth = weight.shape
    require(x.shape[-1] == depth, f"x has {x.shape[-1]} channels, weight {list(weight.shape)} takes {depth}")
    require(len(bias) == channels, f"bias has {len(bias)} values for {channels} output channels")
    wide = weight.astype(np.int64)
    positive, negative = np.maximum(wide, 0).sum(axis=1), np.minimum(wide, 0).sum(axis=1)
    lo = positive * x.lo + negative * x.hi + bias
    hi = positive * x.hi + negative * x.lo + bias
    return TensorBound((*x.shape[:-1], channels), I32, int(lo.min(initial=0)), int(hi.max(initial=0)))


OP = Op(
    steps=steps,
    fast=fast,
    infer=infer,
    inputs={"x": I8},
    params={"weight": Param(I8, (2,)), "bias": Param(I32, (1,))},
    forms=(form(x="rows inputs", weight="outputs inputs", bias="outputs"),),
    scale=lambda inputs, node: product_of_scales(inputs[0], node.scales.get("weight")),
    real=lambda x, weight, bias: x @ weight.T + bias,
    approximates="linear",
)
