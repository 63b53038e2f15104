"""Requantization as kernels apply it to a tile of sums while it is warm: multiply, round, saturate."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arith import Format, rounding_terms
from ..arith import compiled as c
from ..arith.jit import kernel


class Scaling(NamedTuple):
    """The constants of one requantization, one value a column, and the ends of the result's format."""

    m: NDArray  # int32
    e: NDArray  # int64, as the next two
    add: NDArray
    neg: NDArray
    odd: int
    lo: int
    hi: int
    signless: bool  # no term for negative products: `neg` is 0 everywhere
    uniform: bool  # signless, and the same for every column


def scaling(m: int | NDArray, e: int | NDArray, rounding: str, fmt: Format, columns: int) -> Scaling:
    """The constants for multipliers and shifts that are one for all columns, or one a column."""
    wide_m, wide_e = (np.broadcast_to(np.asarray(v, np.int64), columns) for v in (m, e))
    add, odd, neg = rounding_terms(wide_e, rounding)
    signless = not neg.any()
    return Scaling(
        m=np.ascontiguousarray(wide_m.astype(np.int32)),
        e=np.ascontiguousarray(wide_e),
        add=np.ascontiguousarray(add),
        neg=np.ascontiguousarray(neg),
        odd=odd,
        lo=fmt.lo,
        hi=fmt.hi,
        signless=signless,
        uniform=signless and bool((wide_m == wide_m[0]).all() and (wide_e == wide_e[0]).all()),
    )


@kernel
def scaled(value, scaling, column):
    """``round(value * m / 2**e)`` with the constants of a column, not yet saturated; `value` is an i32."""
    p = value * int(scaling.m[column])
    return c.round_terms(p, scaling.e[column], scaling.add[column], scaling.odd, scaling.neg[column])


@kernel
def scale_rows(sums, rows, first, bias, scaling, out, row):
    """Rows of one tile of sums, requantized into `out` from row `row` and column `first` on."""
    stop = min(first + sums.shape[1], out.shape[1])
    biases, m, e, add = bias[first:stop], scaling.m[first:stop], scaling.e[first:stop], scaling.add[first:stop]
    neg, odd, lo, hi = scaling.neg[first:stop], scaling.odd, scaling.lo, scaling.hi
    one_m, one_e, one_add = int(m[0]), e[0], add[0]
    for i in range(rows):
        source, target = sums[i], out[row + i, first:stop]
        # One formula three times: what a loop need not look at, it does not.
        if scaling.uniform:
            for j in range(stop - first):
                acc = np.int32(int(source[j]) + int(biases[j]))
                target[j] = c.saturate(c.round_terms(int(acc) * one_m, one_e, one_add, odd, 0), lo, hi)
        elif scaling.signless:
            for j in range(stop - first):
                acc = np.int32(int(source[j]) + int(biases[j]))
                target[j] = c.saturate(c.round_terms(int(acc) * int(m[j]), e[j], add[j], odd, 0), lo, hi)
        else:
            for j in range(stop - first):
                acc = np.int32(int(source[j]) + int(biases[j]))
                target[j] = c.saturate(c.round_terms(int(acc) * int(m[j]), e[j], add[j], odd, neg[j]), lo, hi)


@kernel
def add_rows(out, first, rows, arm, other_arm, other):
    """Rows of `out` from `first` on, scaled by one arm, and those of `other` by the other, added: a residual sum."""
    for row in range(first, first + rows):
        for j in range(out.shape[1]):
            total = scaled(int(out[row, j]), arm, j) + scaled(int(other[row, j]), other_arm, j)
            out[row, j] = c.saturate(total, arm.lo, arm.hi)
