"""concat(*xs, axis): tensors of one scale joined along an axis.

Arguments: `xs` are equal in shape except along `axis`, which is counted from the end: -2 joins tokens.
Result: the values of the first tensor along `axis`, then those of the next, in the widest of their formats.

>>> import intsim.ops as ops
>>> ops.concat([[1, 2]], [[3, 4]], axis=-2)
array([[1, 2],
       [3, 4]])
"""

from __future__ import annotations

import numpy as np

from ..arith import IntArray
from ..dialects import Dialect
from ..symbols.shapes import Form, form
from ._move import data_movement
from ._param import Param, require


def steps(*xs: IntArray, axis: int, dialect: Dialect | None = None) -> dict[str, IntArray]:
    return {"out": np.concatenate(xs, axis=axis)}


def shape(*xs: tuple[int, ...], axis: int) -> tuple[int, ...]:
    require(len(xs) >= 1, "no tensors to join")
    require(all(-len(x) <= axis < 0 for x in xs), f"axis {axis} is not an axis of {[list(x) for x in xs]}")
    joined = list(xs[0])
    joined[axis] = sum(x[axis] for x in xs)
    for x in xs:
        others = [size for i, size in enumerate(x) if i != len(x) + axis]
        expected = [size for i, size in enumerate(xs[0]) if i != len(xs[0]) + axis]
        require(others == expected, f"{list(x)} and {list(xs[0])} do not join along axis {axis}")
    return tuple(joined)


def joining(count: int) -> tuple[Form, ...]:
    """The function that joins so many arrays."""
    shapes = {f"x{i}": f"outer length{i} inner" for i in range(count)}
    return (form("" if count == 2 else str(count), {"axis": -2}, **shapes),)


OP = data_movement(steps, shape, ("xs",), {"axis": Param.integer(-8, -1)}, forms=joining)
