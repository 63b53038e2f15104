"""Rows of layer norm with their requantization, for exact variances and halves that round down.

`plain_normalise_rows` defines it; `emitted_layernorm` has LLVM code.
"""

from __future__ import annotations

import numpy as np

from ..arith import IntArray
from ..arith.jit import kernel
from .forms import Form
from .scaling import Scaling, scale_rows


def moments(form: Form, x: IntArray) -> tuple[int, int]:
    """The sum of a row of at most 16 bits, and the sum of its squares."""
    return plain_moments(x, 0)


def normalise_rows(
    form: Form, x: IntArray, means: IntArray, factors: IntArray, bias: IntArray, scaling: Scaling, out: IntArray
) -> None:
    """``out = requant(floor((x - mean) * factor / 2) + bias)``, whose argument is proved to be i32.

    `x` and `out` are [rows, columns], `means` and `factors` i32 [rows], `bias` i32 [columns].
    """
    plain_normalise_rows(x, means, factors, bias, scaling, out, 0, 0)


@kernel
def plain_moments(x: IntArray, first: int) -> tuple[int, int]:
    """`moments` of the elements from `first` on."""
    total, squares = 0, 0
    for j in range(first, len(x)):
        total += int(x[j])
        squares += int(x[j]) * int(x[j])
    return total, squares


@kernel
def plain_normalise_rows(
    x: IntArray,
    means: IntArray,
    factors: IntArray,
    bias: IntArray,
    scaling: Scaling,
    out: IntArray,
    row: int,
    first: int,
) -> None:
    """`normalise_rows` from row `row` and column `first` on."""
    halves = np.empty((1, x.shape[1] - first), np.int32)
    for i in range(row, len(x)):
        for j in range(first, x.shape[1]):
            halves[0, j - first] = (int(x[i, j]) - int(means[i])) * int(factors[i]) >> 1
        scale_rows(halves, 1, first, x.shape[1], bias, scaling, out, i)
