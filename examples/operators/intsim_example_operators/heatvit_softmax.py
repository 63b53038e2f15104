"""heatvit_softmax(x i24, delta, drop, top): the softmax of an implementation of HeatViT over the last axis, in signed Q8.16.

With ``R(p, k)`` = p / 2**k to nearest, ties away from zero, and 45426 = ln 2 in Q16:

    z     = (max(x) - x) // 45426
    p     = x - max(x) + 45426 * z                          -ln 2 < p <= 0
    exp   = (R(23495 * R((p + 88670)**2, 16), 16) + 22544) >> z          0.3585 (p + 1.353)**2 + 0.344
    recip = round(2**32 / sum(exp))                         ties up
    ratio = R(exp * recip, 16)
    out   = min(R(R(ratio * delta, 16), drop), top)

Arguments: `x` is i24 ``[..., tokens]`` at scale ``2**-16``. For attention `delta` is 32768 (0.5), `drop` 8 and `top` 255;
for the token selector 65536, 0 and 65536.
Result: ``0 <= out <= top``, in 18 bits. Scale: ``2**(drop - 16) * 65536 / delta``, of the softmax.
Source: Dong et al. 2023, HeatViT, section V (nonlinear functions); heatvit_softmax_core.sv in YOUXINYANG/HeatViT.

>>> from intsim_example_operators import heatvit_softmax
>>> x = [0, 2**16, 2**17]
>>> heatvit_softmax.OP(x, delta=65536, drop=0, top=65536)  # 0.0900, 0.2447 and 0.6652 times 65536: 5900, 16038 and 43598
array([ 5884, 16049, 43603], dtype=int32)
>>> heatvit_softmax.OP(x, delta=32768, drop=8, top=255)  # of 128
array([11, 31, 85], dtype=int32)
"""

from __future__ import annotations

import numpy as np

from intsim.arith import IntArray, Rounding, round_divide, signed
from intsim.dialects import Dialect
from intsim.ops import Op, Param

from .heatvit_gelu import Q8_16, nearest
from .ita_softmax import real

LN2 = 45426


def steps(x: IntArray, delta: int, drop: int, top: int, dialect: Dialect | None = None) -> dict[str, IntArray]:
    largest = x.max(axis=-1, keepdims=True)
    z = (largest - x) // LN2
    p = x - largest + LN2 * z
    square = nearest((p + 88670) * (p + 88670), 16)
    exp = (nearest(23495 * square, 16) + 22544) >> np.minimum(z, 31)  # 17 bits: 0 from z = 17 on
    total = np.maximum(exp.sum(axis=-1, keepdims=True), 1)  # the maximum alone adds 65,519
    recip = round_divide(2**32, total, Rounding.HALF_UP)
    ratio = nearest(exp * recip, 16)
    scaled = nearest(np.minimum(ratio, 1 << 17) * delta, 16)
    rounded = (scaled + ((1 << drop) >> 1)) >> drop
    return {
        "max": largest,
        "octaves": z,
        "exp": exp,
        "sum": total,
        "recip": recip,
        "ratio": ratio,
        "scaled": scaled,
        "out": np.minimum(rounded, top),
    }


OP = Op(
    name="heatvit_softmax",
    steps=steps,
    inputs={"x": Q8_16},
    params={"delta": Param.integer(1, 65536), "drop": Param.integer(0, 15), "top": Param.integer(1, 65536)},
    result=signed(18),
    scale=lambda inputs, node: 2.0 ** (node.params["drop"] - 16) * 65536 / node.params["delta"],
    real=real,
    approximates="softmax",
)
