"""The exponential of I-BERT, which its softmax and that of FQ-ViT share.

With ``t = max(x - max(x), n * x0)``, ``x0 = floor(-ln 2 / s)``, ``b = floor(2.7073 / s)`` and ``c = floor(2.7922 / s**2)``:

    q = t // x0
    r = t - q * x0                x0 < r <= 0
    z = r * (r + b) + c           exp(s r) is 0.35815 s**2 z
    exp(s t) = z * 2**-q          kept as z * 2**(n - q)

The polynomial is ``0.3585 (x + 1.353)**2 + 0.344`` of the paper, multiplied out as its code does. Parameters are
for scales from 0.0066 up, so that 64 bits hold the sum of a row of 65,536.
"""

from __future__ import annotations

import numpy as np

from intsim.arith import IntArray
from intsim.ops import Param

X0 = Param.integer(-(1 << 8), -1)
B = Param.integer(1, 1 << 10)
C = Param.integer(1, 1 << 16)
N = Param.integer(1, 30)


def polynomial(x: IntArray, x0: int, b: int, c: int, n: int) -> dict[str, IntArray]:
    """The steps from a row of logits to ``q`` and to ``z``, the exponential without its power of two."""
    top = x.max(axis=-1, keepdims=True)
    t = np.maximum(x - top, n * x0)
    q = t // x0
    r = t - q * x0
    z = np.maximum(r * (r + b) + c, 0)
    return {"max": top, "quotient": q, "remainder": r, "polynomial": z}


def parameters(scale: float, n: int = 30) -> dict[str, int]:
    """x0, b, c and n for logits at `scale`; it is a floating-point computation, done once when a network is quantized."""
    a, b = 0.35815147, 0.96963238
    return {
        "x0": int(np.floor(-0.6931 / scale)),
        "b": int(np.floor(b / a / scale)),
        "c": int(np.floor(1 / a / scale**2)),
        "n": n,
    }
