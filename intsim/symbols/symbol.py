"""Symbols: what an equation is given in place of arrays. They follow NumPy's protocols, and write down what happens.

A symbol has a shape and no values. Python decisions about values cannot be taken; a check that would raise is recorded as a
refusal, which must not hold anywhere, and not needed where the bounds decide it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .build import Expressions
from .expression import Expression
from .functions import FUNCTIONS
from .sizes import product, whole

# NumPy's functions of two arrays, by the operations that they are; with True the arguments change places.
BINARY = {
    "add": ("add", False),
    "subtract": ("subtract", False),
    "multiply": ("multiply", False),
    "floor_divide": ("floor_divide", False),
    "left_shift": ("left_shift", False),
    "right_shift": ("right_shift", False),
    "minimum": ("minimum", False),
    "maximum": ("maximum", False),
    "bitwise_and": ("bitwise_and", False),
    "bitwise_or": ("bitwise_or", False),
    "bitwise_xor": ("bitwise_xor", False),
    "logical_and": ("bitwise_and", False),
    "logical_or": ("bitwise_or", False),
    "less": ("less", False),
    "less_equal": ("less_equal", False),
    "greater": ("less", True),
    "greater_equal": ("less_equal", True),
    "equal": ("equal", False),
}


def _ends(part: slice, side: int) -> tuple[int, int]:
    """Where a part of an axis begins and ends; sizes stay sizes."""
    start = 0 if part.start is None else part.start
    stop = side if part.stop is None else part.stop
    if not 0 <= start <= stop <= side:
        start, stop, _ = part.indices(side)
    return start, stop


class NotTraceable(TypeError):
    """An equation does what symbols cannot follow."""


class Tape:
    """What a trace writes: its expressions, and the refusals among them."""

    def __init__(self) -> None:
        self.build = Expressions()
        self.refusals: list[Expression] = []

    def expression(self, value: Any) -> Expression:
        """The expression of a symbol, an array or a number."""
        if isinstance(value, Symbol):
            return value.expression
        if isinstance(value, float | np.floating) or (isinstance(value, np.ndarray) and value.dtype.kind == "f"):
            raise NotTraceable(f"{value!r} is a real number; an equation has integers only")
        return self.build.constant(value)

    def symbol(self, expression: Expression) -> Symbol:
        """The symbol of an expression."""
        return Symbol(self, expression)


class Symbol(np.lib.mixins.NDArrayOperatorsMixin):
    """An integer (or boolean) array that is not there."""

    symbolic = True  # `integers` lets it pass

    def __init__(self, tape: Tape, expression: Expression) -> None:
        self.tape, self.expression = tape, expression
        self.shape, self.ndim, self.size = expression.shape, len(expression.shape), expression.size
        self.dtype = np.dtype(bool if expression.boolean else np.int64)

    def __repr__(self) -> str:
        return f"<symbol {self.expression!r}>"

    def _op(self, kind: str, *others: Any, **attributes: Any) -> Symbol:
        args = [self.expression, *(self.tape.expression(other) for other in others)]
        return self.tape.symbol(self.tape.build(kind, *args, **attributes))

    # --- NumPy's protocols ----------------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Symbol:
        name = ufunc.__name__
        if method != "__call__" or options:
            raise NotTraceable(f"numpy.{name}.{method} with {list(options)} is no operation on symbols")
        args, build = [self.tape.expression(value) for value in inputs], self.tape.build
        if name == "matmul":
            return self._product(*args)
        if name in BINARY:
            kind, exchanged = BINARY[name]
            return self.tape.symbol(build(kind, *(reversed(args) if exchanged else args)))
        if name == "not_equal":
            return self.tape.symbol(build("logical_not", build("equal", *args)))
        if name in ("invert", "logical_not"):
            return self.tape.symbol(
                build("logical_not", *args) if args[0].boolean else build("subtract", build.constant(-1), *args)
            )
        if name == "negative":
            return self.tape.symbol(build("subtract", build.constant(0), *args))
        if name == "positive":
            return self.tape.symbol(args[0])
        if name == "absolute":
            return self.tape.symbol(build("maximum", args[0], build("subtract", build.constant(0), args[0])))
        raise NotTraceable(f"numpy.{name} is no operation on symbols; the operations are those of intsim.symbols.OPERATIONS")

    def _product(self, a: Expression, b: Expression) -> Symbol:
        """A product of matrices; a vector is a matrix of one row or column, which the result does not have."""
        build = self.tape.build
        left, right = len(a.shape) == 1, len(b.shape) == 1
        a = build("reshape", a, shape=(1, *a.shape)) if left else a
        b = build("reshape", b, shape=(*b.shape, 1)) if right else b
        out = build("matmul", a, b)
        shape = (*out.shape[:-2], *(() if left else out.shape[-2:-1]), *(() if right else out.shape[-1:]))
        return self.tape.symbol(build("reshape", out, shape=shape))

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        name = function.__name__
        if name not in FUNCTIONS:
            raise NotTraceable(f"numpy.{name} is no operation on symbols")
        return FUNCTIONS[name](self.tape, *args, **options)

    def __array__(self, *args: Any, **options: Any) -> Any:
        raise NotTraceable("a symbol has no values")

    def __bool__(self) -> bool:
        value = self.expression.scalar
        if value is None:
            raise NotTraceable("the equation decides by a value; test it with check_op")
        return bool(value)

    def __int__(self) -> int:
        value = self.expression.scalar
        if value is None:
            raise NotTraceable("the equation needs a value; test it with check_op")
        return value

    __index__ = __int__

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Any:
        return (self[i] for i in range(self.shape[0]))

    # --- methods of arrays ----------------------------------------------------------------------------------------------

    def any(self) -> bool:
        """Whether an element may be true: never, for what follows; recorded as a refusal unless the bounds decide it."""
        known = self.expression.scalar
        if known is None and self.size:
            self.tape.refusals.append(self.expression)
        return bool(known)

    def astype(self, dtype: Any, copy: bool = True) -> Symbol:
        """Integers have no width here; a boolean becomes 0 and 1."""
        if np.dtype(dtype).kind not in "iubO":
            raise NotTraceable(f"{np.dtype(dtype)} has no integers")
        if np.dtype(dtype) == bool:
            return self if self.expression.boolean else self != 0
        return self.tape.symbol(self.tape.build.integer(self.expression))

    def _along(self, kind: str, axis: Any, keepdims: bool) -> Symbol:
        if not isinstance(axis, int):
            raise NotTraceable(f"{kind} along {axis}; expected one axis")
        axis %= self.ndim
        kept = (*self.shape[:axis], 1, *self.shape[axis + 1 :])
        result = self._op(kind, axis=axis)
        return result.reshape(kept) if keepdims else result

    def sum(self, axis: int | None = None, keepdims: bool = False) -> Symbol:
        """The sum along one axis."""
        return self._along("sum", axis, keepdims)

    def max(self, axis: int | None = None, keepdims: bool = False, initial: int | None = None) -> Any:
        """The maximum along one axis; without one, the largest value that the bounds allow, or `initial`."""
        if axis is None:
            return self.expression.hi if initial is None else max(self.expression.hi, initial)
        if initial is not None:
            raise NotTraceable("a maximum along an axis with an initial value")
        return self._along("max", axis, keepdims)

    def min(self, axis: int | None = None, keepdims: bool = False, initial: int | None = None) -> Any:
        """The minimum along one axis; without one, the smallest value that the bounds allow, or `initial`."""
        return -(-self).max(axis, keepdims, None if initial is None else -initial)

    def argmax(self, axis: int) -> Symbol:
        """The index of the first maximum along one axis."""
        return self._along("argmax", axis, False)

    def reshape(self, *shape: Any) -> Symbol:
        """Another shape of the same elements; one side may be -1."""
        sides = [whole(side) for side in (shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape)]
        if -1 in sides:
            rest = product(side for side in sides if side != -1)
            sides[sides.index(-1)] = product(self.shape) // max(rest, 1)
        if product(sides) != self.size:
            raise ValueError(f"{list(self.shape)} has no shape {sides}")
        return self._op("reshape", shape=tuple(sides))

    def transpose(self, *axes: Any) -> Symbol:
        """The axes in another order; reversed without an argument."""
        order = axes[0] if len(axes) == 1 and isinstance(axes[0], (tuple, list)) else axes
        order = tuple(int(axis) % self.ndim for axis in order) or tuple(reversed(range(self.ndim)))
        return self._op("transpose", axes=order)

    @property
    def T(self) -> Symbol:
        """The axes reversed."""
        return self.transpose()

    def swapaxes(self, first: int, second: int) -> Symbol:
        """Two axes exchanged."""
        order = list(range(self.ndim))
        order[first], order[second] = order[second], order[first]
        return self.transpose(order)

    def repeat(self, count: int, axis: int) -> Symbol:
        """Every element so many times along an axis."""
        return self._op("repeat", count=whole(count), axis=axis % self.ndim)

    def __getitem__(self, key: Any) -> Symbol:
        keys = list(key) if isinstance(key, tuple) else [key]
        if any(isinstance(k, Symbol | np.ndarray) for k in keys):
            return self._gathered(keys)
        if Ellipsis in keys:
            at = keys.index(Ellipsis)
            missing = self.ndim - sum(k is not None and k is not Ellipsis for k in keys)
            keys[at : at + 1] = [slice(None)] * missing
        keys += [slice(None)] * (self.ndim - sum(k is not None for k in keys))
        starts, stops, shape, sides = [], [], [], iter(self.shape)
        for k in keys:
            if k is None:
                shape.append(1)
                continue
            side = next(sides)
            if isinstance(k, slice):
                if k.step not in (None, 1):
                    raise NotTraceable("a slice with a step")
                start, stop = _ends(k, side)
                shape.append(max(stop - start, 0))
            else:
                start = whole(k) % side
                stop = start + 1
            starts.append(start)
            stops.append(max(stop, start))
        return self._op("slice", starts=tuple(starts), stops=tuple(stops)).reshape(tuple(shape))

    def _gathered(self, keys: Sequence[Any]) -> Symbol:
        """Elements by their numbers along the first axes."""
        if any(k is None or isinstance(k, slice) or k is Ellipsis for k in keys):
            raise NotTraceable("an index that mixes numbers and slices")
        index: Any = 0
        for k, side in zip(keys, self.shape, strict=False):
            index = index * side + (k if isinstance(k, Symbol) else np.asarray(k, np.int64))
        rest = self.shape[len(keys) :]
        return self.reshape((-1, *rest))._op("gather", index)
