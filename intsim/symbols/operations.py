"""The closed set of operations on integer arrays: how each is computed in NumPy, and the bounds of its result.

Shifts are arithmetic and quotients floor. Bounds are intervals of Python integers, so that no bound is lost to overflow.
Booleans are 0 and 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from math import isqrt
from typing import Any

import numpy as np

from ..arith import AnyArray
from .expression import Expression
from .relations import (
    divisor,
    is_at_most,
    is_maximum_of,
    is_minimum_of,
    is_negative_of,
    is_newton_step,
    portion,
    share,
    times_its_divisor,
)
from .sizes import Size, broadcast, largest, smallest

LARGEST_SHIFT = 1 << 17  # bits; bounds may be numbers of that length
Interval = tuple[int, int]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Operation:
    """`compute(*arrays, **attributes)` in NumPy; `bounds` and `shape` of the result from arguments and attributes.

    `boolean` is whether the result is: always, never, or (None) where all arguments are. `elementwise` is whether every
    element depends on those at the same place only.
    """

    compute: Callable[..., AnyArray]
    bounds: Callable[..., Interval]
    shape: Callable[..., Shape]
    boolean: bool | None = False
    elementwise: bool = False


def _corners(function: Callable[[int, int], int]) -> Callable[..., Interval]:
    """The bounds of an operation that is monotone in each argument, for either sign of the other."""

    def bounds(a: Expression, b: Expression) -> Interval:
        values = [function(x, y) for x, y in product((a.lo, a.hi), (b.lo, b.hi))]
        return min(values), max(values)

    return bounds


def _ones(*values: int) -> int:
    """The least ``2**k - 1`` that no value exceeds."""
    return (1 << max(value.bit_length() for value in values)) - 1


def _and(a: Expression, b: Expression) -> Interval:
    if a.lo < 0 and b.lo < 0:
        return -_ones(a.lo, b.lo) - 1, max(a.hi, b.hi, 0)
    limits = [x.hi for x in (a, b) if x.lo >= 0]
    return 0, min(limits)


def _or(a: Expression, b: Expression) -> Interval:
    if a.lo >= 0 and b.lo >= 0:
        return max(a.lo, b.lo), _ones(a.hi, b.hi)
    return -_ones(a.lo, b.lo, a.hi, b.hi) - 1, _ones(a.lo, b.lo, a.hi, b.hi)


def _xor(a: Expression, b: Expression) -> Interval:
    ones = _ones(a.lo, a.hi, b.lo, b.hi)
    return (0 if a.lo >= 0 and b.lo >= 0 else -ones - 1), ones


def _subtract(a: Expression, b: Expression) -> Interval:
    lo, hi = a.lo - b.hi, a.hi - b.lo
    if is_maximum_of(b, a) or is_minimum_of(a, b):
        return lo, min(hi, 0)
    if is_minimum_of(b, a) or is_maximum_of(a, b):
        return max(lo, 0), hi
    if is_at_most(b, a):
        return max(lo, 0), hi
    times = times_its_divisor(a, b)
    if times is not None:
        return max(lo, 1 - (times - 1) * a.args[1].args[1].hi), hi
    by = divisor(a, b)
    if by is not None:
        return max(lo, min(by[0] + 1, 0)), min(hi, max(by[1] - 1, 0))
    return lo, hi


def _multiply(a: Expression, b: Expression) -> Interval:
    if a is b:
        return (0 if a.lo <= 0 <= a.hi else min(a.lo**2, a.hi**2)), max(a.lo**2, a.hi**2)
    lo, hi = _corners(lambda x, y: x * y)(a, b)
    most = share(a, b)
    if most is not None:
        return max(lo, 0), min(hi, most)
    if a.kind == "floor_divide" and a.args[1] is b and b.lo > 0:  # a multiple of the divisor, at most the dividend
        return max(lo, a.args[0].lo - b.hi + 1), min(hi, a.args[0].hi)
    if a.kind == "floor_divide" and a.args[1] is b and b.hi < 0:
        return max(lo, a.args[0].lo), min(hi, a.args[0].hi - b.lo - 1)
    return lo, hi


def _maximum(a: Expression, b: Expression) -> Interval:
    lo, hi = max(a.lo, b.lo), max(a.hi, b.hi)
    return (max(lo, 0) if is_negative_of(a, b) or is_negative_of(b, a) else lo), hi


def _left_shift(a: Expression, b: Expression) -> Interval:
    if b.lo < 0 or b.hi > LARGEST_SHIFT:
        raise ValueError(f"a shift by {b.lo} to {b.hi} has no bounds")
    lo, hi = _corners(lambda x, y: x << y)(a, b)
    if a.kind == "right_shift" and a.args[1] is b:
        return max(lo, a.args[0].lo - (1 << b.hi) + 1), min(hi, a.args[0].hi)
    return lo, hi


def _floor_divide(a: Expression, b: Expression) -> Interval:
    if (most := portion(a, b)) is not None:
        return 0, min(a.hi, most)
    if b.lo <= 0 <= b.hi:  # an equation that may divide by 0 refuses it
        return -a.magnitude, a.magnitude
    lo, hi = _corners(lambda x, y: x // y)(a, b)
    summed = a.args[0] if a.kind == "reshape" else a
    side = summed.args[0].shape[summed.attribute("axis")] if summed.kind == "sum" else None
    if isinstance(side, Size) and (side.expression is b or side.expression.name == b.name != ""):  # a mean
        return max(lo, summed.args[0].lo), min(hi, summed.args[0].hi)
    if a.lo >= 0 and is_newton_step(a, b):
        return lo, min(hi, isqrt(a.hi) + 2)
    return lo, hi


def _quotient(a: AnyArray, b: AnyArray) -> AnyArray:
    return np.floor_divide(a, np.where(b == 0, 1, b))  # a divisor of 0 is refused beside


def _either(condition: Expression, a: Expression, b: Expression) -> Interval:
    return min(a.lo, b.lo), max(a.hi, b.hi)


def _sum(x: Expression, axis: int) -> Interval:
    return _of_so_many(x.shape[axis], x.lo, x.hi)


def _matmul(a: Expression, b: Expression) -> Interval:
    lo, hi = _corners(lambda x, y: x * y)(a, b)
    return _of_so_many(a.shape[-1], lo, hi)


def _of_so_many(count: int, lo: int, hi: int) -> Interval:
    """The bounds of a sum."""
    counts = (smallest(count), largest(count))
    return min(n * lo for n in counts), max(n * hi for n in counts)


def _same(x: Expression, **_: Any) -> Interval:
    return x.lo, x.hi


def _truth(*_: Expression, **__: Any) -> Interval:
    return 0, 1


def _broadcast(*args: Expression, **_: Any) -> Shape:
    return broadcast(*(x.shape for x in args))


def _own(x: Expression, **_: Any) -> Shape:
    return x.shape


def _without(x: Expression, axis: int) -> Shape:
    return (*x.shape[:axis], *x.shape[axis + 1 :])


def _product_shape(a: Expression, b: Expression) -> Shape:
    if a.shape[-1] != b.shape[-2]:
        raise ValueError(f"{list(a.shape)} and {list(b.shape)} cannot be multiplied")
    return (*broadcast(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])


def _concatenated(*args: Expression, axis: int) -> Shape:
    first = args[0].shape
    return (*first[:axis], sum(x.shape[axis] for x in args), *first[axis + 1 :])


def _window(x: Expression, starts: Shape, stops: Shape) -> Shape:
    return tuple(stop - start for start, stop in zip(starts, stops, strict=True))


def _cut(x: AnyArray, starts: Shape, stops: Shape) -> AnyArray:
    return x[tuple(slice(start, stop) for start, stop in zip(starts, stops, strict=True))]


def _elementwise(
    compute: Callable[..., AnyArray], bounds: Callable[..., Interval], boolean: bool | None = False
) -> Operation:
    return Operation(compute, bounds, _broadcast, boolean, elementwise=True)


def _moving(compute: Callable[..., AnyArray], shape: Callable[..., Shape]) -> Operation:
    def bounds(*args: Expression, **_: Any) -> Interval:
        return min(x.lo for x in args), max(x.hi for x in args)

    return Operation(compute, bounds, shape, None)


OPERATIONS: Mapping[str, Operation] = {
    # element by element, arguments broadcast
    "add": _elementwise(np.add, lambda a, b: (a.lo + b.lo, a.hi + b.hi)),
    "subtract": _elementwise(np.subtract, _subtract),
    "multiply": _elementwise(np.multiply, _multiply),
    "floor_divide": _elementwise(_quotient, _floor_divide),
    "left_shift": _elementwise(np.left_shift, _left_shift),
    "right_shift": _elementwise(np.right_shift, _corners(lambda x, y: x >> y)),
    "minimum": _elementwise(np.minimum, lambda a, b: (min(a.lo, b.lo), min(a.hi, b.hi))),
    "maximum": _elementwise(np.maximum, _maximum),
    "bitwise_and": _elementwise(np.bitwise_and, _and, None),
    "bitwise_or": _elementwise(np.bitwise_or, _or, None),
    "bitwise_xor": _elementwise(np.bitwise_xor, _xor, None),
    "less": _elementwise(np.less, _truth, True),
    "less_equal": _elementwise(np.less_equal, _truth, True),
    "equal": _elementwise(np.equal, _truth, True),
    "logical_not": _elementwise(np.logical_not, _truth, True),
    "integer": _elementwise(lambda x: np.asarray(x, np.int64), _same),  # 0 or 1 for a boolean
    "select": _elementwise(np.where, _either),  # the second argument where the first is true, else the third
    # along one axis, which disappears
    "sum": Operation(lambda x, axis: x.sum(axis=axis), _sum, _without),
    "max": Operation(lambda x, axis: x.max(axis=axis), lambda x, axis: _same(x), _without),
    "argmax": Operation(lambda x, axis: x.argmax(axis=axis), lambda x, axis: (0, largest(x.shape[axis]) - 1), _without),
    "matmul": Operation(np.matmul, _matmul, _product_shape),
    # movements
    "reshape": _moving(lambda x, shape: x.reshape(shape), lambda x, shape: shape),
    "transpose": _moving(lambda x, axes: x.transpose(axes), lambda x, axes: tuple(x.shape[axis] for axis in axes)),
    "slice": _moving(_cut, _window),
    "concatenate": _moving(lambda *xs, axis: np.concatenate(xs, axis=axis), _concatenated),
    "repeat": _moving(
        lambda x, count, axis: x.repeat(count, axis=axis),
        lambda x, count, axis: (*x.shape[:axis], x.shape[axis] * count, *x.shape[axis + 1 :]),
    ),
    "gather": Operation(  # rows of a table, by their number
        lambda table, index: table[np.asarray(index, np.int64)],
        lambda table, index: _same(table),
        lambda table, index: (*index.shape, *table.shape[1:]),
        None,
    ),
    "index": Operation(  # the integers from 0 on, as many as a length says
        lambda count, shape: np.arange(int(count), dtype=np.int64),
        lambda count, shape: (0, count.hi - 1),
        lambda count, shape: shape,
    ),
    # what is known of a value from elsewhere, and proved there: the value itself, with tighter bounds
    "bounded": Operation(lambda x, lo, hi: x, lambda x, lo, hi: (max(x.lo, lo), min(x.hi, hi)), _own),
}
