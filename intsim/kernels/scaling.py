"""Requantization in kernels, applied to a tile of sums while it is in cache: multiply, round, saturate."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..arith import Format, IntArray, Rounding, rounding_terms
from ..arith import compiled as c_
from ..arith.jit import kernel

WIDEST = 64  # columns of the widest panel
WORD_SHIFT = 15  # by which a value of 16 bits is shifted left, so that the high words of its products suffice


class Scaling(NamedTuple):
    """The constants of one requantization, with one value per column, and the range of the result's format.

    Arrays are filled up to whole panels with the last column's values.
    """

    m: IntArray  # int32
    e: IntArray  # int64, like the next two
    add: IntArray
    neg: IntArray
    halves: IntArray  # i64 [6, columns / 2]: m, add and e, each of the even columns and of the odd ones
    high_words: IntArray  # i32 [2, columns]: add and e for the high words of products of values shifted left by `lift`
    lift: int  # 0 if it is `high`
    odd: int
    lo: int
    hi: int
    signless: bool  # `neg` is 0 in every column: negative products have no extra term
    uniform: bool  # signless, and the same for every column
    quick: bool  # signless, and the result of any value within reach fits i32 before it is saturated
    quick_words: bool  # the same for any i16, whose result fits 31 bits
    high: bool  # quick, and the high words of products suffice: rounding adds nothing to the low ones
    high_lifted: bool  # the same for values shifted left by `lift`
    high_shifted: bool  # the same for any i16 shifted left by WORD_SHIFT


def scaling(m: int | IntArray, e: int | IntArray, rounding: str, fmt: Format, columns: int, reach: int = 2**31) -> Scaling:
    """The constants for multipliers and shifts that are one value for all columns, or one per column.

    `reach` is the largest magnitude of what is scaled.
    """
    if isinstance(m, int) and isinstance(e, int):
        return _uniform(m, e, rounding, fmt, columns, reach)
    return _made(m, e, rounding, fmt, columns, reach)


@lru_cache(maxsize=1024)
def _uniform(m: int, e: int, rounding: str, fmt: Format, columns: int, reach: int) -> Scaling:
    """The constants for a single multiplier and shift, cached."""
    return _made(m, e, rounding, fmt, columns, reach)


def _made(m: int | IntArray, e: int | IntArray, rounding: str, fmt: Format, columns: int, reach: int) -> Scaling:
    filling = (0, -columns % WIDEST)
    wide_m, wide_e = (np.pad(np.broadcast_to(np.asarray(v, np.int64), columns), filling, "edge") for v in (m, e))
    if rounding == Rounding.HALF_EVEN and not _ties(wide_m, wide_e, reach):
        rounding = Rounding.HALF_UP  # which needs no more than an addition
    add, odd, neg = rounding_terms(wide_e, rounding)
    signless = not neg.any()
    quick, quick_words = signless and _fits(wide_m, wide_e, reach), signless and _below(wide_m, wide_e, 14)
    high = quick and _by_high_words(wide_e, add, odd, 0)
    lift = 0 if high else max(0, min(31 - reach.bit_length(), 62 - int(wide_e.max())))
    return Scaling(
        m=np.ascontiguousarray(wide_m.astype(np.int32)),
        e=np.ascontiguousarray(wide_e),
        add=np.ascontiguousarray(add),
        neg=np.ascontiguousarray(neg),
        halves=np.array([part[start::2] for part in (wide_m, add, wide_e) for start in (0, 1)], np.int64),
        high_words=np.array([add >> 32 - lift, wide_e + lift - 32]).astype(np.int32),
        lift=lift,
        odd=odd,
        lo=fmt.lo,
        hi=fmt.hi,
        signless=signless,
        uniform=signless and bool((wide_m == wide_m[0]).all() and (wide_e == wide_e[0]).all()),
        quick=quick,
        quick_words=quick_words,
        high=high,
        high_lifted=quick and _by_high_words(wide_e, add, odd, lift),
        high_shifted=quick_words and _by_high_words(wide_e, add, odd, WORD_SHIFT),
    )


def _ties(m: IntArray, e: IntArray, reach: int) -> bool:
    """Whether some product ``value * m`` with ``|value| <= reach`` can be an odd multiple of ``2**(e - 1)``.

    Then the value is a multiple of ``2**(e - 1)`` divided by the lowest bit of m.
    """
    return bool((np.int64(1) << (e - 1).clip(0, 62) <= (m & -m) * min(reach, 1 << 31)).any())


def _fits(m: IntArray, e: IntArray, reach: int) -> bool:
    """Whether all results fit i32, rounded in any way: those of values within reach, or of any i32."""
    within = (np.abs(m) * min(reach, 1 << 31) >> e) < 2**31 - 1
    return bool((within | (np.abs(m) >> e == 0) & (e >= 32)).all())


def _by_high_words(e: IntArray, add: IntArray, odd: int, lift: int) -> bool:
    """Whether values shifted left by `lift` need no more than the high words of their products: no low bit is added."""
    left = e + lift - 32
    low = (1 << 32 - lift) - 1
    return not odd and bool((left >= 1).all() and (left < 31).all() and (add & low == 0).all())


def _below(m: IntArray, e: IntArray, bits: int) -> bool:
    """Whether ``|m| < 2**(e + bits)`` in every column."""
    return bool((np.abs(m) >> np.minimum(e + bits, 62) == 0).all())


@kernel
def scaled(value: int, scaling: Scaling, column: int) -> int:
    """``round(value * m / 2**e)`` with the constants of a column, without saturation; `value` is an i32."""
    p = value * int(scaling.m[column])
    return c_.round_terms(p, scaling.e[column], scaling.add[column], scaling.odd, scaling.neg[column])


@kernel
def scale_rows(
    sums: IntArray, rows: int, first: int, columns: int, bias: IntArray, scaling: Scaling, out: IntArray, row: int
) -> None:
    """Requantize the first rows of one tile of sums into `out`, from row `row` and column `first` on of `columns`."""
    stop = min(first + sums.shape[1], columns)
    biases, m, e, add = bias[first:stop], scaling.m[first:stop], scaling.e[first:stop], scaling.add[first:stop]
    neg, odd, lo, hi = scaling.neg[first:stop], scaling.odd, scaling.lo, scaling.hi
    one_m, one_e, one_add = int(m[0]), e[0], add[0]
    for i in range(rows):
        source, target = sums[i], out[row + i, first:stop]
        # One formula in two versions: most often all columns have the same constants, which are then read once.
        if scaling.uniform:
            for j in range(stop - first):
                acc = np.int32(int(source[j]) + int(biases[j]))
                target[j] = c_.saturate(c_.round_terms(int(acc) * one_m, one_e, one_add, odd, 0), lo, hi)
        else:
            for j in range(stop - first):
                acc = np.int32(int(source[j]) + int(biases[j]))
                target[j] = c_.saturate(c_.round_terms(int(acc) * int(m[j]), e[j], add[j], odd, neg[j]), lo, hi)


@kernel
def sum_rows(start: int, stop: int, a: IntArray, c: IntArray, arm_a: Scaling, arm_c: Scaling, out: IntArray) -> None:
    """``out = saturate(a scaled by arm_a + c scaled by arm_c)`` for the rows ``[start, stop)``.

    If `c` has fewer rows than `a`, they repeat.
    """
    lo, hi, odd_a, odd_c = arm_a.lo, arm_a.hi, arm_a.odd, arm_c.odd
    ma, ea, add_a = int(arm_a.m[0]), arm_a.e[0], arm_a.add[0]
    mc, ec, add_c = int(arm_c.m[0]), arm_c.e[0], arm_c.add[0]
    for row in range(start, stop):
        left, right, total = a[row], c[row % len(c)], out[row]
        if arm_a.uniform and arm_c.uniform:
            for j in range(len(total)):
                scaled_a = c_.round_terms(int(left[j]) * ma, ea, add_a, odd_a, 0)
                total[j] = c_.saturate(scaled_a + c_.round_terms(int(right[j]) * mc, ec, add_c, odd_c, 0), lo, hi)
        else:
            for j in range(len(total)):
                total[j] = c_.saturate(scaled(int(left[j]), arm_a, j) + scaled(int(right[j]), arm_c, j), lo, hi)
