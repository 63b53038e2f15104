"""slice(x, axis, start, stop): the part ``[start, stop)`` of an axis.

Arguments: `axis` is counted from the end: -2 takes tokens.
Result: `x` with the length ``stop - start`` along `axis`.

>>> import intsim.ops as ops
>>> ops.slice([[1, 2, 3, 4]], axis=-1, start=1, stop=3)
array([[2, 3]])
"""

from __future__ import annotations

from ..arith import IntArray
from ..dialects import Dialect
from ..symbols.shapes import form
from ._move import data_movement
from ._param import Param, require

_EXTENT = Param.integer(0, 2**31 - 1)


def steps(x: IntArray, axis: int, start: int, stop: int, dialect: Dialect | None = None) -> dict[str, IntArray]:
    part: list[slice] = [slice(None)] * x.ndim
    part[axis] = slice(start, stop)
    return {"out": x[tuple(part)]}


def shape(x: tuple[int, ...], axis: int, start: int, stop: int) -> tuple[int, ...]:
    require(-len(x) <= axis < 0, f"axis {axis} is not an axis of {list(x)}")
    require(start < stop <= x[axis], f"[{start}, {stop}) is not a part of an axis of length {x[axis]}")
    cut = list(x)
    cut[axis] = stop - start
    return tuple(cut)


OP = data_movement(
    steps,
    shape,
    ("x",),
    {"axis": Param.integer(-8, -1), "start": _EXTENT, "stop": _EXTENT},
    forms=(form(fixed={"axis": -2}, x="outer length inner"),),
)
