"""Number formats, and every choice on which implementations differ, as data.

Choices are string enums: a function takes the member or its name (``"half_even"``). Compiled kernels take its ``code``,
the position of the member in its enum.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Self

import numpy as np

INT32_MAX = 2**31 - 1


class Choice(StrEnum):
    """A choice on which implementations differ: a closed set of named rules."""

    @classmethod
    def of(cls, value: str) -> Self:
        """The member named `value`; a ValueError lists the allowed names."""
        try:
            return cls(value)
        except ValueError:
            raise ValueError(f"{value!r} is not one of: {', '.join(cls)}") from None

    @property
    def code(self) -> int:
        """The member's position in its enum, as compiled kernels take it."""
        return list(type(self)).index(self)


class Rounding(Choice):
    """How a fractional quotient is rounded to an integer."""

    FLOOR = "floor"  # towards minus infinity
    TRUNC = "trunc"  # towards zero
    HALF_UP = "half_up"  # nearest; ties towards plus infinity
    HALF_EVEN = "half_even"  # nearest; ties to the even neighbour
    HALF_AWAY = "half_away"  # nearest; ties away from zero


class Division(Choice):
    """How an integer quotient is rounded: C's ``/`` truncates, Python's ``//`` floors."""

    FLOOR = "floor"
    TRUNC = "trunc"


class Overflow(Choice):
    """How an i32 intermediate that overflows is handled."""

    EXACT = "exact"  # kept exact; 64 bits are proved to suffice
    WRAP32 = "wrap32"  # two's-complement wrap
    FORBID = "forbid"  # an error; loading a graph proves that it cannot occur


class Sqrt(Choice):
    """How layernorm computes its square root."""

    NEWTON10 = "newton10"  # ten Newton steps from 2**16; not converged for small values
    FLOOR = "floor"  # the exact floor of the square root


class Variance(Choice):
    """The widths of layernorm's sums."""

    EXACT = "exact"  # the sum of squares in unsigned 64 bits
    WRAP32 = "wrap32"  # the sum of squares modulo 2**32, unsigned
    WRAP16 = "wrap16"  # that too, and the sum of a row and its differences to the mean in two's-complement i16


class HalfBit(Choice):
    """Where shift_exp halves its remainder."""

    KEPT = "kept"  # after the shift, which keeps the half bit
    DROPPED = "dropped"  # before the shift, which drops the half bit


class X0Rounding(Choice):
    """How the real ``-1 / scale`` is rounded to the integer x0."""

    FLOOR = "floor"  # floor(-1/s)
    TRUNC = "trunc"  # trunc(-1/s - 1)


class ExpSum(Choice):
    """How a sum of exponentials above 2**31 - 1 is handled."""

    SATURATE = "saturate"
    WRAP32 = "wrap32"


class Gelu(Choice):
    """Which operator implements GELU."""

    SHIFTGELU = "shiftgelu"
    LAMBDA_SHIFTGELU = "lambda_shiftgelu"


@dataclass(frozen=True)
class Format:
    """An integer format: its name (``i8``), its lowest and its highest value."""

    name: str
    lo: int
    hi: int

    @property
    def dtype(self) -> np.dtype:
        """The narrowest NumPy type that can store it."""
        return _narrowest(self)

    @property
    def bits(self) -> int:
        """The number of bits that its values need."""
        return (self.hi - self.lo).bit_length()

    def within(self, lo: int, hi: int) -> bool:
        """Whether every value of the format is in ``[lo, hi]``."""
        return lo <= self.lo and self.hi <= hi

    def holds(self, lo: int, hi: int) -> bool:
        """Whether the whole interval ``[lo, hi]`` is in the format."""
        return self.lo <= lo and hi <= self.hi

    def __str__(self) -> str:
        return self.name


@cache
def _narrowest(fmt: Format) -> np.dtype:
    kinds = ("u1", "i1", "i2", "i4", "i8")
    return next(np.dtype(k) for k in kinds if fmt.within(np.iinfo(k).min, np.iinfo(k).max))


def signed(bits: int) -> Format:
    """The two's-complement format with `bits` bits."""
    return _signed(bits) if type(bits) is int else _signed.__wrapped__(bits)  # a symbolic width is not kept


@cache
def _signed(bits: int) -> Format:
    return Format(f"i{bits}", -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


U8 = Format("u8", 0, 255)
I8, I16, I32, I64 = signed(8), signed(16), signed(32), signed(64)


def format_named(name: str) -> Format:
    """The format named `name`: ``u8``, or ``i2`` to ``i64``; a ValueError otherwise."""
    if name == "u8":
        return U8
    if name[:1] == "i" and name[1:].isdecimal() and 2 <= int(name[1:]) <= 64:
        return signed(int(name[1:]))
    raise ValueError(f"{name!r} is not a format; use u8, or i2 to i64")
