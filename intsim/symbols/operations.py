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
    if _is_maximum_of(b, a):
        return lo, min(hi, 0)
    if _is_at_most(b, a):
        return max(lo, 0), hi
    times = _times_its_divisor(a, b)
    if times is not None:
        return max(lo, 1 - (times - 1) * a.args[1].args[1].hi), hi
    divisor = _divisor(a, b)
    if divisor is not None:
        return max(lo, min(divisor[0] + 1, 0)), min(hi, max(divisor[1] - 1, 0))
    return lo, hi


def _divisor(a: Expression, b: Expression) -> Interval | None:
    """The bounds of d where `b` is ``(a // d) * d`` or ``(a >> e) << e``, so that ``a - b`` is a remainder."""
    if b.kind == "multiply" and b.args[0].kind == "floor_divide":
        quotient, d = b.args
        if quotient.args[0] is a and quotient.args[1] is d and (d.lo > 0 or d.hi < 0):
            return d.lo, d.hi
    if b.kind == "left_shift" and b.args[0].kind == "right_shift" and b.args[0].args == (a, b.args[1]):
        return 1, 1 << b.args[1].hi
    return None


def _is_maximum_of(b: Expression, a: Expression) -> bool:
    """Whether `b` is the largest element of each row of `a`, so that ``a - b`` is never positive."""
    while b.kind == "reshape":
        (b,) = b.args
    return b.kind == "max" and b.args[0] is a


def _times_its_divisor(a: Expression, b: Expression) -> int | None:
    """How many times `b` is the negative divisor of which `a` is the remainder, ``t - t // d * d``, which is above d."""
    if a.kind != "subtract" or a.args[1].kind != "multiply" or a.args[1].args[0].kind != "floor_divide":
        return None
    quotient, d = a.args[1].args
    if quotient.args != (a.args[0], d) or d.hi >= 0 or b.kind != "multiply" or d not in b.args:
        return None
    times = b.args[0 if b.args[1] is d else 1].scalar
    return times if times is not None and times >= 1 else None


def _is_at_most(q: Expression, limit: Expression) -> bool:
    """Whether `q` is the quotient by a negative divisor of what is at least ``limit * divisor``: floored, or truncated."""
    if q.kind == "add":
        q, carry = q.args
        return limit.lo >= 0 and _is_of_negative(carry, q) and _is_at_most(q, limit)
    if q.kind != "floor_divide" or q.args[1].hi >= 0 or q.args[0].kind != "maximum":
        return False
    products = [term for term in q.args[0].args if term.kind == "multiply"]
    return any(set(term.args) == {limit, q.args[1]} for term in products)


def _is_of_negative(carry: Expression, q: Expression) -> bool:
    """Whether a carry of 0 or 1 is 1 only where `q` is negative."""
    while carry.kind == "integer":
        (carry,) = carry.args
    terms = carry.args if carry.kind == "bitwise_and" else (carry,)
    return any(term.kind == "less" and term.args[0] is q and term.args[1].scalar == 0 for term in terms)


def _multiply(a: Expression, b: Expression) -> Interval:
    if a is b:
        return (0 if a.lo <= 0 <= a.hi else min(a.lo**2, a.hi**2)), max(a.lo**2, a.hi**2)
    lo, hi = _corners(lambda x, y: x * y)(a, b)
    share = _share(a, b)
    if share is not None:
        return max(lo, 0), min(hi, share)
    if a.kind == "floor_divide" and a.args[1] is b and b.lo > 0:  # a multiple of the divisor, at most the dividend
        return max(lo, a.args[0].lo - b.hi + 1), min(hi, a.args[0].hi)
    if a.kind == "floor_divide" and a.args[1] is b and b.hi < 0:
        return max(lo, a.args[0].lo), min(hi, a.args[0].hi - b.lo - 1)
    return lo, hi


def _share(a: Expression, f: Expression) -> int | None:
    """The largest ``a * f`` where `f` is ``c // min(total, limit)``; the total has `a` among its terms, none negative."""
    if a.lo < 0 or f.kind != "floor_divide" or f.args[0].scalar is None or f.args[1].kind != "minimum" or f.args[1].lo < 1:
        return None
    total, limit = f.args[1].args
    while total.kind == "reshape":
        (total,) = total.args
    if total.kind not in ("sum", "add") or limit.scalar is None or any(term.lo < 0 for term in total.args):
        return None
    if not any(term is a or _is_capped(term, a, limit.scalar) for term in total.args):
        return None
    return max(f.args[0].scalar, a.hi * f.args[0].scalar // limit.scalar)


def _is_capped(term: Expression, a: Expression, limit: int) -> bool:
    """Whether a term is `a`, but for values above a limit."""
    return term.kind == "minimum" and term.args[0] is a and term.args[1].scalar is not None and term.args[1].scalar >= limit


def _left_shift(a: Expression, b: Expression) -> Interval:
    if b.lo < 0 or b.hi > LARGEST_SHIFT:
        raise ValueError(f"a shift by {b.lo} to {b.hi} has no bounds")
    lo, hi = _corners(lambda x, y: x << y)(a, b)
    if a.kind == "right_shift" and a.args[1] is b:
        return max(lo, a.args[0].lo - (1 << b.hi) + 1), min(hi, a.args[0].hi)
    return lo, hi


def _floor_divide(a: Expression, b: Expression) -> Interval:
    if b.lo <= 0 <= b.hi:  # an equation that may divide by 0 refuses it
        return -a.magnitude, a.magnitude
    lo, hi = _corners(lambda x, y: x // y)(a, b)
    summed = a.args[0] if a.kind == "reshape" else a
    side = summed.args[0].shape[summed.attribute("axis")] if summed.kind == "sum" else None
    if isinstance(side, Size) and (side.expression is b or side.expression.name == b.name != ""):  # a mean
        return max(lo, summed.args[0].lo), min(hi, summed.args[0].hi)
    if a.lo >= 0 and _is_newton_step(a, b):
        return lo, min(hi, isqrt(a.hi) + 2)
    return lo, hi


def _is_newton_step(a: Expression, b: Expression) -> bool:
    """Whether `b` is ``(k + a // k) // 2``: at least the floor s of the root of `a`, and ``a // s`` is at most s + 2."""
    if b.kind != "right_shift" or b.args[1].scalar != 1 or b.args[0].kind != "add":
        return False
    k, quotient = b.args[0].args
    if quotient.kind == "right_shift" and quotient.args[1].scalar is not None:
        return quotient.args[0] is a and k.scalar == 1 << quotient.args[1].scalar
    return quotient.kind == "floor_divide" and quotient.args == (a, k)


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
    "maximum": _elementwise(np.maximum, lambda a, b: (max(a.lo, b.lo), max(a.hi, b.hi))),
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
        lambda count, shape: np.arange(int(count)), lambda count, shape: (0, count.hi - 1), lambda count, shape: shape
    ),
    # what is known of a value from elsewhere, and proved there: the value itself, with tighter bounds
    "bounded": Operation(lambda x, lo, hi: x, lambda x, lo, hi: (max(x.lo, lo), min(x.hi, hi)), _own),
}
