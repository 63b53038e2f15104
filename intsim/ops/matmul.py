"""matmul: the product of two activations, as in attention.

    out = a @ b        (a @ b^T with transpose_b)

`a` is i8 or i16 [..., M, K] (attention probabilities have 16 bits), `b` i8 [..., K, N], or [..., N, K] with
`transpose_b`; leading axes are equal; the result is i32, and outside i32 forbidden as in linear. Where rows of `a` are
probabilities their sum is bounded, which is what proves long rows of attention free of overflow. Output scale s_a * s_b.

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
from ._op import FLAG, Op, require


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
    require(len(a.shape) >= 2 and len(b.shape) >= 2, f"two matrices are due, not {list(a.shape)} and {list(b.shape)}")
    require(a.shape[:-2] == b.shape[:-2], f"leading axes differ: {list(a.shape)} and {list(b.shape)}")
    depth, columns = b.shape[-2:] if not transpose_b else (b.shape[-1], b.shape[-2])
    require(a.shape[-1] == depth, f"a has rows of {a.shape[-1]}, b columns of {depth}")
    products = [left * right for left in (a.lo, a.hi) for right in (b.lo, b.hi)]
    lo, hi = depth * min(products), depth * max(products)
    if a.row_sum is not None:
        lo, hi = max(lo, -a.row_sum * b.magnitude), min(hi, a.row_sum * b.magnitude)
    return TensorBound((*a.shape[:-1], columns), I32, lo, hi)


def product_of_scales(a: Scale | None, b: Scale | None) -> Scale | None:
    """The scale of a product; unknown where one of the two is."""
    return None if a is None or b is None else a * b


OP = Op(
    steps=steps,
    fast=fast,
    infer=infer,
    inputs={"a": I16, "b": I8},
    params={"transpose_b": FLAG},
    scale=lambda inputs, node: product_of_scales(*inputs),
    real=lambda a, b, transpose_b=0: a @ (b.swapaxes(-1, -2) if transpose_b else b),
    approximates="matmul",
)
