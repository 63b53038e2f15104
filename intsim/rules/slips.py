"""Slips of arithmetic and of state: a term too few, a value of the row before, another rounding of a half.

The parts of which the equations with mistakes are made (`equations`). Rows are those of the last axis.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..arith import Division, IntArray, divide, saturate, signed
from .moves import Deviations, NotApplicable


def half_down(product: IntArray, e: IntArray) -> IntArray:
    """To the nearest integer, ties towards minus infinity."""
    return product + ((1 << e) >> 1) - 1 >> e


def plus_half_truncated(product: IntArray, e: IntArray) -> IntArray:
    """C's ``(int)(x + 0.5)``: a half is added, then the fraction is cut off towards zero."""
    return divide(product + ((1 << e) >> 1), 1 << e, Division.TRUNC)


def newton(v: IntArray, steps: int) -> IntArray:
    """The root after so many steps from 2**16."""
    k = np.full_like(v, 1 << 16)
    for _ in range(steps):
        k = np.maximum((k + v // k) >> 1, 1)
    return k


def of_another(value: IntArray, how: str | None) -> IntArray:
    """A value of each row, [..., 1]: taken from the previous row or head where a state is one step late."""
    axis = {"of_the_previous_row": -2, "of_the_previous_head": -3}.get(how or "")
    if axis is None:
        return value
    if value.ndim < -axis or value.shape[axis] < 2:
        raise NotApplicable(f"there is no {(how or '').removeprefix('of_the_').replace('_', ' ')}")
    places = np.maximum(np.arange(value.shape[axis]) - 1, 0)
    return value.take(places, axis=axis)


def without_an_end(x: IntArray, total: IntArray, how: str | None) -> IntArray:
    """A sum over the last axis of `x` without its last or first term."""
    ends = {"without_last": x[..., -1:], "without_first": x[..., :1]}
    return total - ends[how] if how in ends else total


LOG2E: dict[str, Callable[[IntArray], IntArray]] = {
    "without_x>>1": lambda x: x - (x >> 4),
    "without_x>>4": lambda x: x + (x >> 1),
    "plus_x>>4": lambda x: x + (x >> 1) + (x >> 4),
    "x>>2_for_x>>1": lambda x: x + (x >> 2) - (x >> 4),
    "x>>3_for_x>>4": lambda x: x + (x >> 1) - (x >> 3),
    "x>>5_for_x>>4": lambda x: x + (x >> 1) - (x >> 5),
}


def products(a: IntArray, b: IntArray, start: IntArray | int, deviations: Deviations) -> IntArray:
    """``start + a @ b``: [..., k] times [..., k, n], possibly with terms that are missing, or come twice, or saturate."""
    if how := deviations.get("accumulator_saturates_each"):
        width, size, *backwards = str(how).split(":")
        bits, tile = int(width), int(size)
        if int((np.abs(a) @ np.abs(b)).max() + np.abs(start).max()) < 1 << bits - 1:
            return np.asarray(a @ b + start)  # no sum of some of the terms leaves the register
        total: IntArray = np.broadcast_to(np.int64(start), (*a.shape[:-1], b.shape[-1]))
        starts = range(0, a.shape[-1], tile)
        for first in reversed(starts) if backwards else starts:
            part = a[..., first : first + tile] @ b[..., first : first + tile, :]
            total = saturate(total + part, signed(bits))
        return total
    total = np.asarray(a @ b + start)
    if terms := deviations.get("terms"):
        end = slice(-1, None) if "last" in terms else slice(None, 1)
        term = a[..., end] @ b[..., end, :]
        total = total + term if terms.endswith("twice") else total - term
    return total
