"""Array types, and what is known about a tensor before it is computed: shape, format and proven bounds of its values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .contracts import I64, Format, Overflow

AnyArray: TypeAlias = NDArray[Any]
IntArray: TypeAlias = NDArray[np.integer[Any]]
FloatArray: TypeAlias = NDArray[np.floating[Any]]
Scale: TypeAlias = float | FloatArray  # the real value of one step of an integer: one per tensor, or one per channel


@dataclass(frozen=True)
class TensorBound:
    """Shape, format and proven bounds ``[lo, hi]`` of a tensor that is not yet computed.

    `row_sum` bounds the sum of magnitudes along the last axis, where a bound below length times maximum is known.
    """

    shape: tuple[int, ...]
    fmt: Format
    lo: int
    hi: int
    row_sum: int | None = None

    @classmethod
    def full(cls, shape: Sequence[int], fmt: Format) -> TensorBound:
        """A tensor that may contain any value of the format."""
        return cls(tuple(shape), fmt, fmt.lo, fmt.hi)

    @property
    def fits(self) -> bool:
        """Whether the bounds prove that every value is in the format."""
        return self.fmt.holds(self.lo, self.hi)

    @property
    def magnitude(self) -> int:
        """The largest absolute value the bounds allow."""
        return max(abs(self.lo), abs(self.hi))

    def settled(self, overflow: Overflow) -> TensorBound:
        """The tensor after the overflow rule: if an i32 may overflow, it becomes i64 (exact) or wraps (wrap32)."""
        if self.fits or overflow is Overflow.FORBID:
            return self
        if overflow is Overflow.WRAP32:
            return TensorBound.full(self.shape, self.fmt)
        return TensorBound(self.shape, I64, self.lo, self.hi, self.row_sum)
