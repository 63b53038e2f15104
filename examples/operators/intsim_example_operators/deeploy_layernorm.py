"""deeploy_layernorm(x i16, gain, bias, shift): Deeploy's layer normalisation over the last axis, to 8 bits.

    mean = trunc(sum(x) / n)
    y    = x - mean
    std  = floor(sqrt(trunc(sum(y * y) / n) + 1))
    out  = clip((trunc(y * gain / std) + bias) >> shift, -128, 127)

The 1 takes the place of an epsilon; every element has a division. Deeploy's C code casts to i8, here the result saturates.

Arguments: `x` is i8 or i16 ``[..., n]`` (unsigned bytes are i16), n at most 65,536; `gain` and `bias` are i32 ``[n]``.
Result: i8 ``[..., n]``.
Source: iLayerNorm in pulp-platform/Deeploy (Scherer et al. 2024, Deeploy).

>>> from intsim_example_operators import deeploy_layernorm
>>> deeploy_layernorm.OP([1, 2, 3, 6], [3200] * 4, [0, 0, 0, 64], shift=5)  # mean 3, std floor(sqrt(14 // 4 + 1)) = 2
array([-100,  -50,    0,  127], dtype=int8)
"""

from __future__ import annotations

import numpy as np

from intsim.arith import I8, I16, I32, Division, IntArray, Rounding, Sqrt, divide, isqrt, round_divide, saturate
from intsim.dialects import Dialect
from intsim.ops import Op, Param, require
from intsim.symbols.shapes import form

from .ibert_layernorm import real


def steps(x: IntArray, gain: IntArray, bias: IntArray, shift: int, dialect: Dialect | None = None) -> dict[str, IntArray]:
    require(x.shape[-1] <= 1 << 16, f"a row has {x.shape[-1]} elements, expected at most 65536")
    mean = round_divide(x.sum(axis=-1, keepdims=True), x.shape[-1], Rounding.TRUNC)
    y = x - mean
    v = (y * y).sum(axis=-1, keepdims=True) // x.shape[-1] + 1
    std = np.maximum(isqrt(v, Sqrt.FLOOR).astype(np.int64), 1)  # at least 1 in any case: it is the root of at least 1
    scaled = divide(y * gain, std, Division.TRUNC)
    return {
        "mean": mean,
        "centred": y,
        "variance": v,
        "std": std,
        "scaled": scaled,
        "out": saturate((scaled + bias) >> shift, I8),
    }


OP = Op(
    name="deeploy_layernorm",
    steps=steps,
    inputs={"x": I16},
    params={"gain": Param(I32, (1,)), "bias": Param(I32, (1,)), "shift": Param.integer(0, 31)},
    result=I8,
    forms=(form(x="rows channels", gain="channels", bias="channels"),),
    real=real,
    approximates="layernorm",
)
