"""shiftgelu(x i8, x0, n, b): GELU as ``x * sigmoid(1.702 x)``, with exponentials relative to the row maximum.

    M   = max(x)                                    per row
    e   = shift_exp(x - M, x0, n)
    eM  = shift_exp(-M, x0, n)
    S   = min(e + eM, 2**31 - 1)                    or wrapped to i32 (exp_sum); a wrapped sum of 0 is an error
    f   = (2**31 - 1) // S
    sig = (e * f) >> (31 - b + 1)
    out = x * sig

Arguments: `x` is ``[..., channels]`` at scale s; ``x0 = floor(-1 / (1.702 * s))``; `n` is the precision; `b` is the width of
the sigmoid in bits, 8.
Result: i32 in the shape of `x`.
Scale: ``s * 2**-(b-1)``.
Conditions: where M < 0, eM can pass ``2**31``; the sum saturates, and an eM that saturates before it gives the same result.
Source: I-ViT's ShiftGELU. *checked*

>>> import intsim.ops as ops
>>> ops.shiftgelu([-40, 0, 40], x0=-24, n=23, b=8, dialect="ivit")  # -1, 0 and 1 in units of 1/40; times 2**-7
array([-760,    0, 3840], dtype=int32)
"""

from __future__ import annotations

import math

import numpy as np

from ..arith import I8, I32, INT32_MAX, ExpSum, FloatArray, IntArray, Overflow, TensorBound, overflow, signed
from ..arith import compiled as c
from ..arith.jit import kernel
from ..dialects import Dialect
from ..kernels.crew import own_rows
from ..kernels.threads import over_rows
from ._op import Op
from ._param import require, rows_of
from .matmul import product_of_scales
from .shift_exp import PRECISION, X0, codes
from .shift_exp import steps as exponential
from .shiftmax import BITS, exponential_sum, probability

UNCLAMPED = 128  # above the magnitude of any i8


def steps(x: IntArray, x0: int, n: int, b: int, dialect: Dialect) -> dict[str, IntArray]:
    return gelu_steps(x, x, x0, n, b, dialect, "shiftgelu")


def gelu_steps(x: IntArray, g: IntArray, x0: int, n: int, b: int, dialect: Dialect, name: str) -> dict[str, IntArray]:
    """The equation with the sigmoid of `g`: `x` itself, or `x` clamped (lambda_shiftgelu)."""
    top = g.max(axis=-1, keepdims=True)
    e = exponential(g - top, x0, n, dialect)["out"]
    e_top = exponential(-top, x0, n, dialect)["out"]
    total = exponential_sum(e + e_top, dialect, name)
    f = INT32_MAX // total
    sigmoid = probability(e, f, b, dialect)
    out = overflow(x * sigmoid, dialect.overflow, f"{name}: out")
    e_top = np.minimum(e_top, INT32_MAX).astype(np.int64)
    return {"max": top, "exp": e, "exp_max": e_top, "sum": total, "factor": f, "sigmoid": sigmoid, "out": out}


@kernel
def _rows(
    crew: int,
    start: int,
    stop: int,
    x: IntArray,
    lam: int,
    x0: int,
    n: int,
    b: int,
    quotient: int,
    half_bit: int,
    wraps: bool,
    wraps_sum: bool,
    out: IntArray,
) -> int:
    stop = own_rows(crew, start, stop)
    columns = x.shape[1]
    for row in range(start, stop):
        top = -lam
        for j in range(columns):
            top = max(top, c.saturate(int(x[row, j]), -lam, lam))
        e_top = c.shift_exp(-top, x0, n, quotient, half_bit, wraps)
        for j in range(columns):
            value = int(x[row, j])
            e = c.shift_exp(c.saturate(value, -lam, lam) - top, x0, n, quotient, half_bit, wraps)
            total = c.add_exponential(e, e_top, wraps_sum)
            if total == 0:
                return row
            product = e * (INT32_MAX // total)
            if wraps:
                product = c.wrap32(product)
            result = value * (product >> (31 - b + 1))
            out[row, j] = c.wrap32(result) if wraps else result
    return -1


def gelu_fast(x: IntArray, lam: int, x0: int, n: int, b: int, dialect: Dialect, out: IntArray) -> bool:
    """Run the compiled rows; False where a row cannot be computed."""
    rows, result = rows_of(x), rows_of(out)
    wraps_sum = dialect.exp_sum is ExpSum.WRAP32
    choices = (*codes(dialect), wraps_sum)
    return over_rows(_rows, len(rows), rows, min(lam, UNCLAMPED), x0, n, b, *choices, result) < 0


def fast(x: IntArray, x0: int, n: int, b: int, dialect: Dialect, out: IntArray) -> None:
    if not gelu_fast(x, UNCLAMPED, x0, n, b, dialect, out):
        steps(x.astype(np.int64), x0, n, b, dialect)  # the reference raises an error that names the row


def infer(x: TensorBound, x0: int, n: int, b: int, dialect: Dialect) -> TensorBound:
    require(x.shape[-1] >= 1, "a row needs at least one element")
    sigmoid = signed(b)
    lo, hi = 0, sigmoid.hi
    if dialect.overflow is Overflow.WRAP32:
        lo = sigmoid.lo
    else:
        largest = -x0 << n  # the exponential of the row's maximum
        may_pass = dialect.overflow is Overflow.EXACT and dialect.exp_sum is ExpSum.SATURATE
        require(may_pass or largest < 2**31, f"one exponential reaches -x0 * 2**n = {largest}, past i32; lower n")
        hi = max(hi, largest >> (32 - b))
        if dialect.exp_sum is ExpSum.WRAP32:  # the factor of a wrapped sum has no bound
            hi = (largest << 31) >> (32 - b)
            lo = -hi
    products = [value * s for value in (x.lo, x.hi) for s in (lo, hi)]
    return TensorBound(x.shape, I32, min(products), max(products))


def real(x: FloatArray) -> FloatArray:
    """GELU in real numbers, by the error function."""
    erf: FloatArray = _erf(x / math.sqrt(2))
    return 0.5 * x * (1 + erf)


_erf = np.vectorize(math.erf, otypes=[np.float64])


OP = Op(
    steps=steps,
    fast=fast,
    infer=infer,
    inputs={"x": I8},
    params={"x0": X0, "n": PRECISION, "b": BITS},
    choices=("quotient", "half_bit", "exp_sum", "overflow"),
    scale=lambda inputs, node: product_of_scales(inputs[0], 2.0 ** -(node.params["b"] - 1)),
    real=real,
    approximates="gelu",
)
