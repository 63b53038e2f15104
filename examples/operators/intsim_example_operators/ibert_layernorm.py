"""ibert_layernorm(x i16, bias i32): I-BERT's layer normalisation over the last axis, whose numerator is 2**31.

    mean = round(sum(x) / n, M)                M = mean_rounding
    y    = x - mean
    v    = sum(y * y)
    std  = floor(sqrt(v)), at least 1
    f    = 2**31 // std                        I-ViT, and intsim's `layernorm`, have 2**31 - 1
    out  = ((y * f) >> 1) + bias

I-BERT shifts y before it squares where the sum passes 32 bits; here the sum has 64 bits, and nothing is shifted. Its code
takes the root in float32, which is not exact above 2**24.

Arguments: `x` is i8 or i16 ``[..., n]``, n at most 65,536; `bias` is ``[n]``.
Result: i32 ``[..., n]``. Scale: ``gamma * sqrt(n) / 2**30`` per channel;
``bias = floor(beta / gamma / (sqrt(n) / 2**30))``.
Conditions: ``|y| <= floor(sqrt(v)) = std``, so that ``|y * f| >> 1`` is at most 2**30, and only the
bias can push a result out of i32, which is an error. Intervals do not see that a square is
below a sum of squares, so `infer` says it.
Source: Kim et al. 2021, I-BERT, section 3.6; IntLayerNorm of its repository.

>>> from intsim_example_operators import ibert_layernorm
>>> ibert_layernorm.OP([1, 2, 3, 4], [0, 0, 0, 0], dialect="rtl")  # mean 2.5 becomes 3; v = 6, std = 2
array([-1073741824,  -536870912,           0,   536870912], dtype=int32)
"""

from __future__ import annotations

import numpy as np

from intsim.arith import I16, I32, IntArray, Sqrt, TensorBound, forbid, isqrt, round_divide
from intsim.dialects import Dialect
from intsim.ops import Op, Param, require
from intsim.symbols.shapes import form


def steps(x: IntArray, bias: IntArray, dialect: Dialect) -> dict[str, IntArray]:
    mean = round_divide(x.sum(axis=-1, keepdims=True), x.shape[-1], dialect.mean_rounding)
    y = x - mean
    v = (y * y).sum(axis=-1, keepdims=True)
    std = np.maximum(isqrt(v, Sqrt.FLOOR).astype(np.int64), 1)
    f = 2**31 // std
    return {
        "mean": mean,
        "centred": y,
        "variance": v,
        "std": std,
        "factor": f,
        "out": forbid(((y * f) >> 1) + bias, I32, "out"),
    }


def infer(x: TensorBound, bias: IntArray, dialect: Dialect) -> TensorBound:
    require(x.shape[-1] <= 1 << 16, f"a row has {x.shape[-1]} elements, expected at most 65536")
    require(x.shape[-1] == bias.shape[0], f"{bias.shape[0]} biases for {x.shape[-1]} channels")
    return TensorBound(x.shape, I32, int(bias.min()) - 2**30, int(bias.max()) + 2**30)


def real(x: np.ndarray) -> np.ndarray:
    """Layer normalisation over the last axis, in real numbers, without gain and bias."""
    return (x - x.mean(axis=-1, keepdims=True)) / x.std(axis=-1, keepdims=True)


OP = Op(
    name="ibert_layernorm",
    steps=steps,
    infer=infer,
    inputs={"x": I16},
    params={"bias": Param(I32, (1,))},
    forms=(form(x="rows channels", bias="channels"),),
    choices=("mean_rounding",),
    real=real,
    approximates="layernorm",
)
