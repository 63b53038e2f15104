"""Arrays as their elements: every element is an expression of its own, without axes, which is what a solver reasons about.

Expressions of one `Cells` are built once: what two functions compute alike is one expression, and what is a function of one
value with few possibilities is the same expression as another with equal results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import numpy as np

from ..symbols import Expression, NotTraceable
from ..symbols.build import MOVES, Expressions
from ..symbols.expression import CONSTANT, INPUT, in_order
from ..symbols.operations import OPERATIONS

Elements: TypeAlias = Any  # a NumPy array of expressions
COMMUTATIVE = ("add", "multiply", "minimum", "maximum", "bitwise_and", "bitwise_or", "bitwise_xor", "equal")
RELATIONS = ("equal", "less", "less_equal")


class Cells:
    """Elements as expressions. An array of them is a NumPy array of objects."""

    def __init__(self, build: Expressions) -> None:
        self.build = build
        self.inputs: dict[str, Expression] = {}
        self.assumed: list[Expression] = []  # refusals: true of no call that is asked about
        self.exchanged: dict[tuple[Any, ...], Expression] = {}  # with the arguments in the other order
        self.tables: dict[tuple[int, str, bytes], Expression] = {}
        self.done: dict[Expression, Elements] = {}

    def input(self, name: str, shape: tuple[int, ...], lo: int, hi: int) -> Elements:
        """The elements of an array that is given, each with its index in its name; constants where only one value is."""
        out: Elements = np.empty(shape, object)
        for index in np.ndindex(*shape):
            label = f"{name}[{', '.join(map(str, index))}]" if index else name
            out[index] = self.constant(lo) if lo == hi else self.build.input(label, (), lo, hi)
            if lo != hi:
                self.inputs[label] = out[index]
        return out

    def constant(self, value: Any) -> Expression:
        """One integer or boolean."""
        return self.build.constant(value)

    def op(self, kind: str, *args: Expression, **attributes: Any) -> Expression:
        """An operation on elements."""
        if kind in RELATIONS:
            args = tuple(self.build.integer(arg) for arg in args)
        exchanged = self.exchanged.get((kind, *(id(arg) for arg in args)))
        if exchanged is not None:
            return exchanged
        made = self._made(kind, *args, **attributes)
        if kind in COMMUTATIVE:
            self.exchanged[kind, id(args[1]), id(args[0])] = made
        return made

    def _made(self, kind: str, *args: Expression, **attributes: Any) -> Expression:
        made = self.build(kind, *args, **attributes)
        if made.function is not None and made.kind != CONSTANT:
            source, values = made.function
            if values.dtype != object:
                made = self.tables.setdefault((id(source), values.dtype.str, values.tobytes()), made)
        return made

    def each(self, kind: str, *arrays: Elements, **attributes: Any) -> Elements:
        """An operation element by element; arrays are broadcast."""
        together: list[Elements] = list(np.broadcast_arrays(*arrays))
        out = np.empty(together[0].shape, object)
        for index in np.ndindex(*out.shape):
            out[index] = self.op(kind, *(array[index] for array in together), **attributes)
        return out

    def along(self, array: Elements, axis: int, step: Callable[[Expression, Expression], Expression]) -> Elements:
        """A reduction along one axis, from the first element to the last."""
        parts = np.moveaxis(array, axis, 0)
        out = np.empty(parts.shape[1:], object)
        for index in np.ndindex(*out.shape):
            made = parts[(0, *index)]
            for i in range(1, len(parts)):
                made = step(made, parts[(i, *index)])
            out[index] = made
        return out

    def sum(self, array: Elements, axis: int) -> Elements:
        """The sums along one axis."""
        whole = self.each("integer", array) if any(x.boolean for x in array.flat) else array
        return self.along(whole, axis, lambda a, b: self.op("add", a, b))

    def extreme(self, kind: str, array: Elements, axis: int) -> Elements:
        """The `minimum` or `maximum` along one axis."""
        return self.along(array, axis, lambda a, b: self.op(kind, a, b))

    def first_maximum(self, array: Elements, axis: int) -> Elements:
        """The number of the first maximum along one axis."""
        parts = np.moveaxis(array, axis, 0)
        out = np.empty(parts.shape[1:], object)
        for index in np.ndindex(*out.shape):
            best, where = parts[(0, *index)], self.constant(0)
            for i in range(1, len(parts)):
                above = self.op("less", best, parts[(i, *index)])
                where = self.op("select", above, self.constant(i), where)
                best = self.op("maximum", best, parts[(i, *index)])
            out[index] = where
        return out

    def product(self, a: Elements, b: Elements) -> Elements:
        """The product of matrices."""
        terms = self.each("multiply", a[..., :, :, None], b[..., None, :, :])
        return self.sum(terms, terms.ndim - 2)

    def chosen(self, options: Elements, number: Expression) -> Elements:
        """One of several rows, by its number, which is within them."""
        if number.scalar is not None:
            return np.asarray(options[number.scalar])
        lowest, highest = max(number.lo, 0), min(number.hi, len(options) - 1)
        out: Elements = np.asarray(options[highest], object)
        for i in range(highest - 1, lowest - 1, -1):
            here = np.empty((), object)
            here[()] = self.op("equal", number, self.constant(i))
            out = self.each("select", here, np.asarray(options[i], object), out)
        return out

    # --- expressions with axes ------------------------------------------------------------------------------------------

    def of(self, roots: Iterable[Expression]) -> list[Elements]:
        """The elements of expressions that have axes."""
        roots = list(roots)
        for node in in_order(roots):
            if node not in self.done:
                self.done[node] = self._elements(node)
        return [self.done[root] for root in roots]

    def _elements(self, node: Expression) -> Elements:
        args = [self.done[arg] for arg in node.args]
        if node.kind == INPUT:
            return self.input(node.name, node.shape, node.lo, node.hi)
        if node.kind == CONSTANT:
            out = np.empty(node.shape, object)
            for index in np.ndindex(*node.shape):
                value = node.value[index] if node.value is not None else 0
                out[index] = self.constant(bool(value) if node.boolean else int(value))
            return out
        if node.kind == "bounded":
            return args[0]
        if node.kind == "gather":
            return self._gathered(args[0], args[1])
        if node.kind in MOVES:
            return np.asarray(OPERATIONS[node.kind].compute(*args, **dict(node.attributes)), object)
        if OPERATIONS[node.kind].elementwise:
            return self.each(node.kind, *args, **dict(node.attributes))
        if node.kind == "sum":
            return self.sum(args[0], node.attribute("axis"))
        if node.kind == "max":
            return self.extreme("maximum", args[0], node.attribute("axis"))
        if node.kind == "argmax":
            return self.first_maximum(args[0], node.attribute("axis"))
        if node.kind == "matmul":
            return self.product(*args)
        raise NotTraceable(f"{node.kind} is not known element by element")

    def _gathered(self, table: Elements, numbers: Elements) -> Elements:
        out = np.empty((*numbers.shape, *table.shape[1:]), object)
        for index in np.ndindex(*numbers.shape):
            found = self.chosen(table, numbers[index])
            out[index] = found if found.ndim else found.item()
        return out
