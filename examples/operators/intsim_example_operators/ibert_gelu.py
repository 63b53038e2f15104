"""ibert_gelu(x i16, b, c, one, shift): I-BERT's GELU, with a polynomial of second order for the error function.

With s the scale of `x`, ``t = s / 1.4142``, ``b = floor(-1.769 / t)`` and ``c = floor(-1 / 0.2888 / t**2)``:

    a   = min(|x|, -b)
    erf = (sign(x) * ((a + b)**2 + c)) >> shift
    out = x * (erf + one)                           one = floor(1 / scale of erf), negative

Arguments: `x` is i8 or i16 of any shape; b, c, one and shift are `parameters(s)`; `shift` is 14 in the code.
Result: i32, a larger one is an error. Scale: that of `x` times that of the error function,
``-0.2888 * t**2 * 2**shift``, over 2: negative.
Source: Kim et al. 2021, I-BERT, Algorithm 2 (section 3.4); IntGELU of its repository.

>>> from intsim_example_operators import ibert_gelu
>>> known = ibert_gelu.parameters(2**-11)
>>> known
{'b': -5124, 'c': -29045870, 'one': -1773, 'shift': 14}
>>> out = ibert_gelu.OP([-6144, -2048, 0, 2048, 6144], **known)
>>> (out * ibert_gelu.scale(2**-11)).round(3)  # GELU of -3, -1, 0, 1 and 3 is -0.004, -0.159, 0, 0.841 and 2.996
array([-1.00e-03, -1.63e-01, -0.00e+00,  8.37e-01,  3.00e+00])
"""

from __future__ import annotations

import math

import numpy as np

from intsim.arith import I16, I32, IntArray, forbid
from intsim.dialects import Dialect
from intsim.ops import Op, Param

A, B, ROOT = -0.2888, -1.769, 1.4142


def steps(x: IntArray, b: int, c: int, one: int, shift: int, dialect: Dialect | None = None) -> dict[str, IntArray]:
    sign = (x > 0).astype(np.int64) - (x < 0).astype(np.int64)
    clipped = np.minimum(np.maximum(abs(x), 0), -b)
    polynomial = (clipped + b) * (clipped + b) + c
    erf = (sign * polynomial) >> shift
    return {"clipped": clipped, "polynomial": polynomial, "erf": erf, "out": forbid(x * (erf + one), I32, "out")}


def parameters(scale: float, shift: int = 14) -> dict[str, int]:
    """b, c, one and shift for arguments at `scale`; it is a floating-point computation, done once for a network."""
    t = scale / ROOT
    return {
        "b": math.floor(B / t),
        "c": math.floor(1 / A / t**2),
        "one": math.floor(1 / (A * t**2 * 2**shift)),
        "shift": shift,
    }


def scale(scale: float, shift: int = 14) -> float:
    """The scale of the result for arguments at `scale`."""
    return scale * A * (scale / ROOT) ** 2 * 2**shift / 2


def real(x: np.ndarray) -> np.ndarray:
    """GELU in real numbers."""
    return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


OP = Op(
    name="ibert_gelu",
    steps=steps,
    inputs={"x": I16},
    params={
        "b": Param.integer(-(1 << 15), -1),
        "c": Param.integer(-(1 << 30), -1),
        "one": Param.integer(-(1 << 30), -1),
        "shift": Param.integer(0, 30),
    },
    result=I32,
    real=real,
    approximates="gelu",
)
