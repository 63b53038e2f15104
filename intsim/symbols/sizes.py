"""Sizes: integers of a call that is not known yet, lengths and parameters, each with an example and an expression.

An equation that is given sizes in place of integers decides by the examples where Python decides, and writes down what it
computes with them: one trace stands for all calls of which the shapes have the same pattern.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .expression import Expression


class _Known(int):
    """What is known by an example: among NumPy's arrays it is its expression, so that no example is computed with."""

    expression: Expression
    tape: Any  # of its trace

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        symbols = [x.tape.symbol(x.expression) if isinstance(x, _Known) else x for x in inputs]
        return getattr(ufunc, method)(*symbols, **options)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, options: Any) -> Any:
        if function is np.where:
            return function(*(x.tape.symbol(x.expression) if isinstance(x, _Known) else x for x in args), **options)
        numbers = (int(x) if isinstance(x, _Known) else x for x in args)  # asked for their shape, which has no axis
        return function(*numbers, **options)


class Demand(_Known):
    """Whether a comparison of sizes holds for the examples; where an operator requires it, it has to hold for every call."""

    required: Callable[[], None]


class Size(_Known):
    """An integer with an expression, whose bounds hold for every call; its own value is an example."""

    symbolic = True  # `integers` lets it pass

    @classmethod
    def made(cls, tape: Any, example: int, expression: Expression) -> Size:
        """A size, or the number itself where it is one."""
        size = cls(example)
        size.tape, size.expression = tape, expression
        return size

    def counting(self) -> Any:
        """The symbol of the integers below it."""
        return self.tape.symbol(self.tape.build("index", self.expression, shape=(self,)))

    def _with(self, kind: str, other: Any, example: Callable[[int, int], int], swapped: bool = False) -> Any:
        if not isinstance(other, int | np.integer):
            return NotImplemented
        own = other.expression if isinstance(other, Size) else self.tape.build.constant(int(other))
        a, b = (own, self.expression) if swapped else (self.expression, own)
        values = (int(other), int(self)) if swapped else (int(self), int(other))
        expression = self.tape.build(kind, a, b)
        value = example(*values)
        return value if expression.scalar is not None else Size.made(self.tape, value, expression)

    def __add__(self, other: Any) -> Any:
        return self._with("add", other, operator.add)

    def __radd__(self, other: Any) -> Any:
        return self._with("add", other, operator.add, swapped=True)

    def __sub__(self, other: Any) -> Any:
        return self._with("subtract", other, operator.sub)

    def __rsub__(self, other: Any) -> Any:
        return self._with("subtract", other, operator.sub, swapped=True)

    def __mul__(self, other: Any) -> Any:
        return self._with("multiply", other, operator.mul)

    def __rmul__(self, other: Any) -> Any:
        return self._with("multiply", other, operator.mul, swapped=True)

    def __floordiv__(self, other: Any) -> Any:
        return self._with("floor_divide", other, operator.floordiv)

    def __lshift__(self, other: Any) -> Any:
        return self._with("left_shift", other, operator.lshift)

    def __rlshift__(self, other: Any) -> Any:
        return self._with("left_shift", other, operator.lshift, swapped=True)

    def __mod__(self, other: Any) -> Any:
        return self - self // other * other

    def __neg__(self) -> Any:
        return 0 - self

    def _compared(self, kind: str, other: Any, holds: bool, swapped: bool = False, negated: bool = False) -> Any:
        """The outcome for the examples, which remembers the expression."""
        if not isinstance(other, int | np.integer):
            return NotImplemented
        own = other.expression if isinstance(other, Size) else self.tape.build.constant(int(other))
        a, b = (own, self.expression) if swapped else (self.expression, own)

        compared = self.tape.build(kind, a, b)
        outcome = Demand(holds)
        outcome.tape = self.tape
        outcome.expression = self.tape.build("logical_not", compared) if negated else compared
        refusal = compared if negated else self.tape.build("logical_not", compared)
        outcome.required = lambda: self.tape.refusals.append(refusal)
        return outcome

    def __lt__(self, other: Any) -> Any:
        return self._compared("less", other, int(self) < other)

    def __le__(self, other: Any) -> Any:
        return self._compared("less_equal", other, int(self) <= other)

    def __gt__(self, other: Any) -> Any:
        return self._compared("less", other, int(self) > other, swapped=True)

    def __ge__(self, other: Any) -> Any:
        return self._compared("less_equal", other, int(self) >= other, swapped=True)

    def __rshift__(self, other: Any) -> Any:
        return self._with("right_shift", other, operator.rshift)

    def __rrshift__(self, other: Any) -> Any:
        return self._with("right_shift", other, operator.rshift, swapped=True)

    __hash__ = int.__hash__


def whole(value: Any) -> int:
    """A size as it is, anything else as an integer."""
    return value if isinstance(value, Size) else int(value)


def largest(value: int) -> int:
    """The largest value that an integer of a call may have."""
    return value.expression.hi if isinstance(value, Size) else int(value)


def smallest(value: int) -> int:
    """The smallest value that an integer of a call may have."""
    return value.expression.lo if isinstance(value, Size) else int(value)


def product(values: Iterable[int]) -> int:
    """The product of sizes."""
    result: int | None = None
    for value in values:
        result = value if result is None else result * value
    return 1 if result is None else result


def broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of arrays of these shapes together, with the sizes that they have. ValueError where they do not match.

    NumPy's own function refuses shapes of more elements than its index type counts, as those of symbols are.
    """
    sides = [shape[::-1] for shape in shapes]
    chosen = [[side[i] for side in sides if i < len(side)] for i in range(max(map(len, shapes), default=0))]
    if any(len({int(side) for side in among} - {1}) > 1 for among in chosen):
        raise ValueError(f"shape mismatch: {' and '.join(str(list(map(int, shape))) for shape in shapes)} do not broadcast")
    return tuple(max(among, key=lambda side: (isinstance(side, Size), side)) for among in chosen)[::-1]
