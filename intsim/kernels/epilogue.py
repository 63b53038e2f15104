"""Epilogues: what happens to the sums of a product while they are in registers, or in the L1 cache.

`finish_rows` defines each epilogue, row by row from a buffer of sums. `emitted_epilogue` has LLVM code that finishes a whole
tile in registers where an epilogue is `quick`; the rest of a block, and every other epilogue, takes `finish_rows`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from ..arith import IntArray
from ..arith import compiled as c
from ..arith.jit import kernel, overload
from .scaling import Scaling, scale_rows, scaled


class Summed(NamedTuple):
    """``out = sums + bias``, i32."""

    quick: bool


class Scaled(NamedTuple):
    """``out = requant(sums + bias)``, i8 or i16."""

    scaling: Scaling
    quick: bool
    high: bool  # whether the high words of its products suffice


class Added(NamedTuple):
    """``out = residual_add(requant(sums + bias), other)``, the usual end of a linear layer, i8 or i16.

    The requantized value is scaled by `arm`, that of `other` [rows, columns] by `other_arm`, and the sum saturated to the
    format of `arm`.
    """

    scaling: Scaling
    arm: Scaling
    other_arm: Scaling
    other: IntArray
    quick: bool
    high: bool


class Biased(NamedTuple):
    """``out = saturate(requant(sums + bias) scaled by `arm` + other)``, i8 or i16: `Added` with a scaled branch.

    `other` is i32 [rows, columns, and what fills whole vectors]. The arm has one multiplier for all columns.
    """

    scaling: Scaling
    arm: Scaling
    other: IntArray
    quick: bool
    high: bool


Epilogue: TypeAlias = Summed | Scaled | Added | Biased


def scaled_epilogue(scaling: Scaling) -> Scaled:
    """The epilogue that requantizes."""
    return Scaled(scaling, scaling.quick, scaling.high)


def added_epilogue(scaling: Scaling, arms: tuple[Scaling, Scaling], other: IntArray) -> Added:
    """The epilogue that requantizes and adds the other branch of a residual sum."""
    quick = scaling.quick and all(arm.quick_words and arm.uniform for arm in arms)
    return Added(scaling, *arms, other, quick, scaling.high and all(arm.high_shifted for arm in arms))


def biased_epilogue(scaling: Scaling, arm: Scaling, other: IntArray) -> Biased:
    """The epilogue that requantizes and adds what is scaled already."""
    high = scaling.high_lifted and arm.high_shifted
    return Biased(scaling, arm, other, scaling.quick and arm.quick_words, high)


def finish_rows(
    epilogue: Epilogue, sums: IntArray, rows: int, first: int, columns: int, bias: IntArray, out: IntArray, row: int
) -> None:
    """Finish the first rows of a buffer of sums, the columns from `first` on of `columns`, into `out` from row `row` on."""
    FINISH[type(epilogue)](epilogue, sums, rows, first, columns, bias, out, row)


@overload(finish_rows)
def _finish_rows(
    epilogue: Any, sums: Any, rows: Any, first: Any, columns: Any, bias: Any, out: Any, row: Any
) -> Callable[..., None]:
    finish: Callable[..., None] = FINISH[epilogue.instance_class]

    return lambda epilogue, sums, rows, first, columns, bias, out, row: finish(
        epilogue, sums, rows, first, columns, bias, out, row
    )


@kernel
def _sum_rows(
    epilogue: Summed, sums: IntArray, rows: int, first: int, columns: int, bias: IntArray, out: IntArray, row: int
) -> None:
    end = min(first + sums.shape[1], columns)
    biases = bias[first:end]
    for i in range(rows):
        source, target = sums[i], out[row + i, first:end]
        for j in range(end - first):
            target[j] = int(source[j]) + int(biases[j])


@kernel
def _scale_rows(
    epilogue: Scaled, sums: IntArray, rows: int, first: int, columns: int, bias: IntArray, out: IntArray, row: int
) -> None:
    scale_rows(sums, rows, first, columns, bias, epilogue.scaling, out, row)


@kernel
def _add_rows(
    epilogue: Added, sums: IntArray, rows: int, first: int, columns: int, bias: IntArray, out: IntArray, row: int
) -> None:
    scale_rows(sums, rows, first, columns, bias, epilogue.scaling, out, row)
    arm, other_arm = epilogue.arm, epilogue.other_arm
    lo, hi, odd, other_odd = arm.lo, arm.hi, arm.odd, other_arm.odd
    m, e, add = int(arm.m[0]), arm.e[0], arm.add[0]
    other_m, other_e, other_add = int(other_arm.m[0]), other_arm.e[0], other_arm.add[0]
    end = min(first + sums.shape[1], columns)
    for i in range(row, row + rows):
        total, right = out[i, first:end], epilogue.other[i, first:end]
        if arm.uniform and other_arm.uniform:
            for j in range(end - first):
                own = c.round_terms(int(total[j]) * m, e, add, odd, 0)
                total[j] = c.saturate(own + c.round_terms(int(right[j]) * other_m, other_e, other_add, other_odd, 0), lo, hi)
        else:
            for j in range(end - first):
                own = scaled(int(total[j]), arm, first + j)
                total[j] = c.saturate(own + scaled(int(right[j]), other_arm, first + j), lo, hi)


@kernel
def _bias_rows(
    epilogue: Biased, sums: IntArray, rows: int, first: int, columns: int, bias: IntArray, out: IntArray, row: int
) -> None:
    scale_rows(sums, rows, first, columns, bias, epilogue.scaling, out, row)
    arm = epilogue.arm
    m, e, add, odd, neg = int(arm.m[0]), arm.e[0], arm.add[0], arm.odd, arm.neg[0]
    end = min(first + sums.shape[1], columns)
    for i in range(row, row + rows):
        total, right = out[i, first:end], epilogue.other[i, first:end]
        for j in range(end - first):
            total[j] = c.saturate(c.round_terms(int(total[j]) * m, e, add, odd, neg) + int(right[j]), arm.lo, arm.hi)


FINISH: dict[type, Callable[..., None]] = {
    Summed: _sum_rows,
    Scaled: _scale_rows,
    Added: _add_rows,
    Biased: _bias_rows,
}
