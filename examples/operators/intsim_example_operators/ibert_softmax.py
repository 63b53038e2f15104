"""ibert_softmax(x i16, x0, b, c, n, m, e, bits): I-BERT's softmax over the last axis.

    q, r, z = range reduction by ln 2 and polynomial (`_ibert_exp`)
    exp     = min(round_shift(z * 2**(n-q) * m, e, R), 2**15 - 1)        R = requant_rounding
    sum     = sum(exp)
    factor  = 2**32 // sum
    out     = (exp * factor) >> (32 - bits)

Multiplying by ``2**(n-q)`` and shifting by e is the same as shifting by ``e - n + q``, which is how it is computed, so that
64 bits are enough for any multiplier.

Arguments: `x` is i8 or i16 ``[..., tokens]`` at scale s; x0, b, c and n are `parameters(s)`; `m` and `e` requantize the
exponential to 16 bits; `bits` is the width of the result, 8 in the paper.
Result: ``0 <= out <= 2**bits``, in ``bits + 2`` bits: the upper end occurs, where the sum is a power of two of one element.
Scale: ``2**-bits``.
Conditions: the largest exponential, that of the maximum, is at least 1.
Source: Kim et al. 2021, I-BERT, Algorithms 1 and 3 (sections 3.3 and 3.5); IntSoftmax of its repository.

>>> from intsim_example_operators import ibert_softmax
>>> known = ibert_softmax.parameters(0.05)
>>> known
{'x0': -14, 'b': 54, 'c': 1116, 'n': 30, 'm': 1970390812, 'e': 56}
>>> ibert_softmax.OP([0, 20, 40], **known, bits=8, dialect="ivit")  # 2, 1 and 0 natural units below the maximum
array([ 23,  62, 169], dtype=int16)
"""

from __future__ import annotations

import numpy as np

from intsim.arith import I16, IntArray, dyadic, round_shift, signed
from intsim.dialects import Dialect
from intsim.ops import Op, Param, require

from . import _ibert_exp
from ._ibert_exp import X0, B, C, N, polynomial

LARGEST = 2**15 - 1


def steps(x: IntArray, x0: int, b: int, c: int, n: int, m: int, e: int, bits: int, dialect: Dialect) -> dict[str, IntArray]:
    require(c * m >= 1 << (e - n), "the exponential of the maximum is below 1; make m larger or e smaller")
    found = polynomial(x, x0, b, c, n)
    rounded = round_shift(found["polynomial"] * m, found["quotient"] + (e - n), dialect.requant_rounding)
    exp = np.minimum(rounded, LARGEST)
    total = np.maximum(exp.sum(axis=-1, keepdims=True), 1)  # at least 1, by the condition
    factor = 2**32 // total
    out = np.minimum((exp * factor) >> (32 - bits), 1 << bits)  # never more, which intervals do not see
    return {**found, "exp": exp, "sum": total, "factor": factor, "out": out}


def parameters(scale: float, n: int = 30) -> dict[str, int]:
    """x0, b, c, n, m and e for logits at `scale`: the exponential of a maximum becomes ``2**15 - 1``."""
    known = _ibert_exp.parameters(scale, n)
    m, e = dyadic(LARGEST / (known["c"] << n))
    return {**known, "m": m, "e": e}


def real(x: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, in real numbers."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


OP = Op(
    name="ibert_softmax",
    steps=steps,
    inputs={"x": I16},
    params={
        "x0": X0,
        "b": B,
        "c": C,
        "n": N,
        "m": Param.integer(2**30, 2**31 - 1),
        "e": Param.integer(31, 62),
        "bits": Param.integer(2, 16),
    },
    result=lambda params: signed(params["bits"] + 2),
    choices=("requant_rounding",),
    scale=lambda inputs, node: 2.0 ** -node.params["bits"],
    real=real,
    approximates="softmax",
)
