"""Parameters of operators, the format of an argument, and what equations and kernels do with both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..arith import I8, I16, I32, I64, U8, Format, IntArray
from ..errors import IntsimError


@dataclass(frozen=True)
class Param:
    """An integer parameter of a node: its range, and its number of axes (0: a plain integer, 1: one value per channel)."""

    fmt: Format
    ndim: tuple[int, ...] = (0,)

    @classmethod
    def integer(cls, lo: int, hi: int) -> Param:
        """A plain integer in ``[lo, hi]``. IntsimError where there is none."""
        if lo > hi:
            raise IntsimError(f"Param.integer({lo}, {hi}): the lowest value is above the highest")
        return cls(Format("integer", lo, hi))


def own_format(value: ArrayLike, port: Format) -> Format:
    """The format of `value` at a port: the port's own, or where it takes any integers that of the value's type."""
    if port is not I64:
        return port
    own = {"|u1": U8, "|i1": I8, "<i2": I16, "<i4": I32}
    return own.get(np.dtype(getattr(value, "dtype", np.int64)).str, I64)


def require(condition: int, message: str) -> None:
    """Raise a ValueError with `message` unless `condition` holds: one line per requirement of an operator."""
    if not condition:
        raise ValueError(message)
    if (required := getattr(condition, "required", None)) is not None:  # of a trace, see intsim.symbols
        required()


FLAG = Param.integer(0, 1)  # also taken as False and True


def rows_of(x: IntArray) -> IntArray:
    """`x` as contiguous rows of its last axis, all leading axes flattened; a view where `x` is contiguous."""
    return np.ascontiguousarray(x).reshape(-1, x.shape[-1])


def per_channel(value: int | IntArray, rows: IntArray) -> IntArray:
    """A parameter as int64, one value per column of `rows`."""
    return np.ascontiguousarray(np.broadcast_to(np.asarray(value, np.int64), rows.shape[1]))
