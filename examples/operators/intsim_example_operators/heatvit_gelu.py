"""heatvit_gelu(x i24): a GELU of second order in signed Q8.16, as a public implementation of HeatViT has it.

With ``R(p, k)`` = p / 2**k to nearest, ties away from zero:

    u    = R(46341 * x, 16)                          x / sqrt(2)
    t    = min(|u|, 115933) - 115933                 -b = 1.769
    poly = R(-18927 * R(t * t, 16), 16) + 65536      a = -0.2888
    L    = sign(u) * R(32768 * poly, 16)             half of the error function: delta of the paper is 0.5
    out  = clip(R(x * (65536 + L), 17), -2**23, 2**23 - 1)

Arguments: `x` is i24 of any shape at scale ``2**-16``. Result: i24 at the same scale.
The paper scales the error function by delta = 0.5, so that the result is between 0.25 and 0.75 times `x` for large `x`: it
is no approximation of GELU, but what is trained with it.
Source: Dong et al. 2023, HeatViT, section V (nonlinear functions); heatvit_gelu.sv in YOUXINYANG/HeatViT.

>>> from intsim_example_operators import heatvit_gelu
>>> (heatvit_gelu.OP([-(2**17), -(2**16), 0, 2**16, 2**17]) / 2**16).round(3)  # -2, -1, 0, 1 and 2
array([-0.518, -0.331,  0.   ,  0.669,  1.482])
"""

from __future__ import annotations

import numpy as np

from intsim.arith import IntArray, Rounding, round_shift, saturate, signed
from intsim.dialects import Dialect
from intsim.ops import Op

from .ibert_gelu import real as gelu

Q8_16 = signed(24)


def nearest(p: IntArray, bits: int) -> IntArray:
    """``p / 2**bits`` to nearest, ties away from zero."""
    return round_shift(p, bits, Rounding.HALF_AWAY)


def steps(x: IntArray, dialect: Dialect | None = None) -> dict[str, IntArray]:
    u = nearest(46341 * x, 16)
    t = np.minimum(np.maximum(abs(u), 0), 115933) - 115933
    poly = nearest(-18927 * nearest(t * t, 16), 16) + 65536
    erf = ((u > 0).astype(np.int64) - (u < 0).astype(np.int64)) * nearest(32768 * poly, 16)
    return {
        "scaled": u,
        "distance": t,
        "polynomial": poly,
        "erf": erf,
        "out": saturate(nearest(x * (65536 + erf), 17), Q8_16),
    }


def real(x: np.ndarray) -> np.ndarray:
    """``x * (1 + erf(x / sqrt(2)) / 2) / 2``, in real numbers."""
    return x / 4 + gelu(x) / 2


OP = Op(
    name="heatvit_gelu",
    steps=steps,
    inputs={"x": Q8_16},
    params={},
    result=Q8_16,
    scale=lambda inputs, node: 2.0**-16,
    real=real,
    approximates="gelu",
)
