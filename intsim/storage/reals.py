"""Integers that a dump stores as real numbers: whole ones, or integers times their scale."""

from __future__ import annotations

import numpy as np

from ..arith import FloatArray, IntArray, Scale, first_index
from ..errors import FileError

LARGEST = 2.0**62
FEW_DIGITS = "; print more digits, or dump the integers"
# A real number is an integer times its scale where their quotient is this close to an integer, relatively. It covers values
# of six decimal digits and scales in float32, and is far below the half that would make the integer doubtful.
TOLERANCE = 2.0**-17
# Up to this magnitude the digits of a number tell which integer it is: of six decimal digits, of float16, float32, float64.
SIX_DIGITS = 2.0**15
CERTAIN = {2: 2.0**8, 4: 2.0**20, 8: 2.0**48}


class NotWhole(FileError):
    """A real number that is not an integer, where only integers make sense."""


def whole(values: FloatArray, where: str) -> IntArray:
    """Real numbers that are all whole as int64. NotWhole names `where` and the first index that is not."""
    wide = values.astype(np.float64)
    wrong = ~(np.abs(wide) <= LARGEST) | (np.rint(wide) != wide)
    if wrong.any():
        raise NotWhole(
            f"{where}{_first(values, wrong)} is not a whole number; dump the integers, or say that the values are scaled"
        )
    return wide.astype(np.int64)


def unscaled(values: FloatArray, scale: Scale, where: str, certain: float | None = None) -> IntArray:
    """The integers q of real numbers ``q * scale`` as int64; `scale` is one number, or one for each of the last axis.

    NotWhole names `where` and the first index that is no multiple of its scale, or larger than `certain` (by default what
    the type of `values` has digits for).
    """
    quotient = np.asarray(values, np.float64) / scale
    quotient[~np.isfinite(quotient)] = 0.5  # no integer
    integers = np.rint(quotient)
    error = np.abs(quotient - integers)
    limit = CERTAIN.get(values.dtype.itemsize, LARGEST) if certain is None else certain
    wrong = ~(error <= np.minimum(np.abs(quotient) * TOLERANCE, 0.25))
    if wrong.any():
        whole_anyway = "; all values are whole and need no scale" if not (np.rint(values) != values).any() else ""
        raise NotWhole(f"{where}{_first(values, wrong)} is not a multiple of its scale{whole_anyway or FEW_DIGITS}")
    doubtful = np.abs(quotient) > limit
    if doubtful.any():
        raise NotWhole(
            f"{where}{_first(values, doubtful)} has too few digits to tell which integer it is; dump the integers"
        )
    return integers.astype(np.int64)


def _first(values: FloatArray, wrong: np.ndarray) -> str:
    at = first_index(wrong)
    return f"{at} = {values[tuple(at)]!s}" if at else f" {values!s}"
