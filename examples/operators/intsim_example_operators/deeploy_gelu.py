"""deeploy_gelu(x i8, b, one): the GELU of I-BERT as ITA and Deeploy have it: no shift, signs turned, halved inside.

    d   = min(|x|, -b) + b
    L   = sign(x) * (one - d * d)
    out = x * ((one + L) >> 1)

Arguments: `x` is i8, or unsigned bytes, as 9 bits hold both; with s its scale, ``b`` is ``-1.769 * sqrt(2) / s``
and ``one`` is ``2 / 0.2888 / s**2``, both rounded.
Result: i32. Scale: ``s / one``.
Source: Kim et al. 2021, I-BERT, Algorithm 2; Islamoglu et al. 2023, ITA; iGELU in pulp-platform/Deeploy.

>>> from intsim_example_operators import deeploy_gelu
>>> out = deeploy_gelu.OP([-60, -20, 0, 20, 60], b=-50, one=2770)
>>> (out * (0.05 / 2770)).round(3)  # GELU of -3, -1, 0, 1 and 3 is -0.004, -0.159, 0, 0.841 and 2.996
array([ 0.   , -0.162,  0.   ,  0.838,  3.   ])
"""

from __future__ import annotations

import numpy as np

from intsim.arith import I32, IntArray, signed
from intsim.dialects import Dialect
from intsim.ops import Op, Param

from .ibert_gelu import real


def steps(x: IntArray, b: int, one: int, dialect: Dialect | None = None) -> dict[str, IntArray]:
    sign = (x > 0).astype(np.int64) - (x < 0).astype(np.int64)
    d = np.minimum(np.maximum(abs(x), 0), -b) + b
    erf = sign * (one - d * d)
    return {"distance": d, "erf": erf, "out": x * ((one + erf) >> 1)}


OP = Op(
    name="deeploy_gelu",
    steps=steps,
    inputs={"x": signed(9)},
    params={"b": Param.integer(-(1 << 11), -1), "one": Param.integer(1, 1 << 15)},
    result=I32,
    real=real,
    approximates="gelu",
)
