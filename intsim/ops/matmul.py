"""matmul(a i16, b i8, transpose_b): the product of two activations, as in attention.

    out = a @ b                 transpose_b = 0
    out = a @ b.T               transpose_b = 1; .T swaps the last two axes

Arguments: `a` is i8 or i16 ``[..., M, K]`` (attention probabilities have 16 bits); `b` is ``[..., K, N]``, or with
`transpose_b` ``[..., N, K]``; the leading axes of both are equal.
Result: i32 ``[..., M, N]``.
Scale: ``s_a * s_b``.
Conditions: a result outside i32 is forbidden, as in linear. Where the rows of `a` are probabilities, the bound of their sum
proves long rows of attention free of overflow.

>>> import intsim.ops as ops
>>> ops.matmul([[1, 2]], [[3, 4], [5, 6]])
array([[13, 16]], dtype=int32)
"""

from __future__ import annotations

import math

import numpy as np

from ..arith import I8, I16, I32, IntArray, Scale, TensorBound, forbid
from ..dialects import Dialect
from ..kernels import gemm
from ..symbols.shapes import form
from ._op import Op
from ._param import FLAG, require


def steps(a: IntArray, b: IntArray, transpose_b: int = 0, dialect: Dialect | None = None) -> dict[str, IntArray]:
    right = b.swapaxes(-1, -2) if transpose_b else b
    return {"out": forbid(a @ right, I32, "matmul: out")}


def fast(a: IntArray, b: IntArray, transpose_b: int, dialect: Dialect | None, out: IntArray) -> None:
    columns = b if transpose_b else b.swapaxes(-1, -2)
    batches = math.prod(a.shape[:-2])
    gemm.product(
        a.reshape(batches, *a.shape[-2:]),
        columns.reshape(batches, *columns.shape[-2:]),
        np.zeros(out.shape[-1], np.int32),
        out.reshape(batches, *out.shape[-2:]),
    )


def infer(a: TensorBound, b: TensorBound, transpose_b: int = 0, dialect: Dialect | None = None) -> TensorBound:
    require(len(a.shape) >= 2 and len(b.shape) >= 2, f"expected two matrices, not {list(a.shape)} and {list(b.shape)}")
    require(a.shape[:-2] == b.shape[:-2], f"leading axes differ: {list(a.shape)} and {list(b.shape)}")
    depth, columns = b.shape[-2:] if not transpose_b else (b.shape[-1], b.shape[-2])
    require(a.shape[-1] == depth, f"a has rows of {a.shape[-1]}, b columns of {depth}")
    products = [left * right for left in (a.lo, a.hi) for right in (b.lo, b.hi)]
    lo, hi = depth * min(products), depth * max(products)
    if a.row_sum is not None:
        lo, hi = max(lo, -a.row_sum * b.magnitude), min(hi, a.row_sum * b.magnitude)
    return TensorBound((*a.shape[:-1], columns), I32, lo, hi)


def product_of_scales(a: Scale | None, b: Scale | None) -> Scale | None:
    """The scale of a product; None where one of the two is unknown."""
    return None if a is None or b is None else a * b


OP = Op(
    steps=steps,
    fast=fast,
    infer=infer,
    inputs={"a": I16, "b": I8},
    params={"transpose_b": FLAG},
    forms=(
        form(fixed={"transpose_b": 0}, a="outer rows inner", b="outer inner columns"),
        form("_transposed", {"transpose_b": 1}, a="outer rows inner", b="outer columns inner"),
    ),
    scale=lambda inputs, node: product_of_scales(*inputs),
    real=lambda a, b, transpose_b=0: a @ (b.swapaxes(-1, -2) if transpose_b else b),
    approximates="matmul",
)
