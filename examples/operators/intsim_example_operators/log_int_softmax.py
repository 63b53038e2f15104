"""log_int_softmax(x i16, x0, b, c, n, bits): FQ-ViT's log2-quantized softmax over the last axis, in integers.

    exp   = z * 2**(n-q)                                I-BERT's exponential (`_ibert_exp`)
    sum   = sum(exp)
    ratio = round(sum / exp)                            ties to even
    code  = floor(log2(ratio)) + (ratio - 2**floor(log2(ratio)) >= 2**(floor(log2(ratio)) - 1))
    out   = min(code, 2**bits)

The code k stands for the probability ``2**-k``, and ``2**bits`` for 0: FQ-ViT masks those. A product with a probability is a
shift. The code is the number of k >= 1 with ``ratio >= 3 * 2**(k-2)``, which is how it is computed: the logarithm rounds at
1.5 times a power of two.

Arguments: `x` is i8 or i16 ``[..., tokens]`` at scale s; x0, b, c and n are `parameters(s)`; `bits` is 4 in the paper.
Result: ``0 <= out <= 2**bits``, in ``bits + 2`` bits. Scale: 1, of ``-log2`` of the probability.
Conditions: z is positive.
Source: Lin et al. 2022, FQ-ViT, section 3.4 (equations 17 to 20); QIntSoftmax of its repository.

>>> from intsim_example_operators import log_int_softmax
>>> log_int_softmax.OP([0, 20, 40, -200], **log_int_softmax.parameters(0.05), bits=4)  # softmax 0.09, 0.24, 0.67, 4e-6
array([ 3,  2,  1, 16], dtype=int8)
"""

from __future__ import annotations

import numpy as np

from intsim.arith import I16, IntArray, Rounding, round_divide, signed
from intsim.dialects import Dialect
from intsim.ops import Op, Param

from ._ibert_exp import X0, B, C, N, parameters, polynomial

__all__ = ["OP", "parameters"]

WIDEST = 5  # bits of a code


def steps(x: IntArray, x0: int, b: int, c: int, n: int, bits: int, dialect: Dialect | None = None) -> dict[str, IntArray]:
    found = polynomial(x, x0, b, c, n)
    z = found["polynomial"]
    if (z == 0).any():
        raise ValueError("an exponential is 0, so that its logarithm has no value; make c larger")
    exp = np.maximum(z, 1) << (n - found["quotient"])
    total = exp.sum(axis=-1, keepdims=True)
    ratio = round_divide(total, exp, Rounding.HALF_EVEN)
    code = np.zeros_like(ratio)
    for k in range(1, (1 << WIDEST) + 1):
        code = code + (ratio >= (3 * 2**k + 3) // 4).astype(np.int64)
    return {**found, "exp": exp, "sum": total, "ratio": ratio, "out": np.minimum(code, 1 << bits)}


def real(x: np.ndarray) -> np.ndarray:
    """``-log2`` of the softmax over the last axis, in real numbers."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return -np.log2(e / e.sum(axis=-1, keepdims=True))


OP = Op(
    name="log_int_softmax",
    steps=steps,
    inputs={"x": I16},
    params={"x0": X0, "b": B, "c": C, "n": N, "bits": Param.integer(2, WIDEST)},
    result=lambda params: signed(params["bits"] + 2),
    scale=lambda inputs, node: 1.0,
    real=real,
    approximates="log softmax",
)
