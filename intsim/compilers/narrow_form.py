"""Expressions in which no value passes a width: wide ones become digits (`limbs`), every operation on them its own form.

Which values are wide, and that no digit passes its bounds, follows from the intervals of the trace: `narrowed` refuses where
an expression could pass the width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..errors import IntsimError
from ..symbols import Expression
from ..symbols.build import MOVES
from ..symbols.expression import CONSTANT, INPUT, in_order
from .limb_division import Division
from .limbs import Number, digit_names

MANY = 32  # products that are added at once, or their factors are split


def narrowed(
    steps: Mapping[str, Expression], width: int, limits: Mapping[str, tuple[int, int]] | None = None
) -> dict[str, Number]:
    """The same results with every value within a `width` of 32 or 24 bits; an input that is wide is one per digit.

    A result has as many digits as its bounds take, or the interval around them that `limits` names. Raises IntsimError
    where an expression has no such form.
    """
    writer = NarrowForm(width)
    for node in in_order(steps.values()):
        writer.made[node] = writer.written(node, [writer.made[arg] for arg in node.args])
    found = {
        name: writer.compact(writer.made[step].digits, *(limits or {}).get(name, (step.lo, step.hi)))
        for name, step in steps.items()
    }
    order = list(in_order([digit for number in found.values() for digit in number.digits]))
    proved = {node.args[0] for node in order if node.kind == "bounded" and writer.fits(node.lo, node.hi)}
    for node in order:
        if not writer.fits(node.lo, node.hi) and node not in proved:
            raise IntsimError(f"{node.kind} may reach [{node.lo}, {node.hi}], which {width} bits do not hold")
    return found


class NarrowForm(Division):
    """The digits of every expression of one trace."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.made: dict[Expression, Number] = {}

    # --- along axes -----------------------------------------------------------------------------------------------------

    def total(self, x: Number, axis: int, lo: int, hi: int) -> Number:
        """The sum along an axis, of so many elements at once as the width holds."""
        columns: list[list[tuple[Expression, int]]] = []
        for digit in x.digits if self.room(x.digits[0].magnitude) else self.digits(x):
            parts = self.parts(digit, axis, self.room(digit.magnitude))
            columns.append([(self.build("sum", part, axis=axis), 1) for part in parts])
        return self.whole(columns, lo, hi)

    def matrix_product(self, a: Number, b: Number, lo: int, hi: int) -> Number:
        """The product of matrices: of digits where products of elements leave no room for a sum of many."""
        left, right = list(a.digits), list(b.digits)
        if len(left) > 1 or self.room(a.digits[0].magnitude * b.digits[0].magnitude) < MANY:
            left = self.digits(a)
        if len(right) > 1 or self.room(max(x.magnitude for x in left) * b.digits[0].magnitude) < MANY:
            right = self.digits(b)
        columns: list[list[tuple[Expression, int]]] = [[] for _ in range(len(left) + len(right) - 1)]
        for i, x in enumerate(left):
            for j, y in enumerate(right):
                room = self.room(x.magnitude * y.magnitude)
                rows, lines = self.parts(x, len(x.shape) - 1, room), self.parts(y, len(y.shape) - 2, room)
                columns[i + j] += [(self.build("matmul", *pair), 1) for pair in zip(rows, lines, strict=True)]
        return self.whole(columns, lo, hi)

    def room(self, magnitude: int) -> int:
        """How many values of a magnitude can be added."""
        return ((1 << self.magnitude) - 1) // max(magnitude, 1)

    def parts(self, x: Expression, axis: int, length: int) -> list[Expression]:
        """Slices along an axis."""
        found = []
        for start in range(0, x.shape[axis], length):
            starts, stops = [0] * len(x.shape), list(x.shape)
            starts[axis], stops[axis] = start, min(start + length, x.shape[axis])
            found.append(self.build("slice", x, starts=tuple(starts), stops=tuple(stops)))
        return found

    def largest(self, x: Number, axis: int) -> tuple[Number, Expression]:
        """The largest element along an axis, and where it is: digit by digit from the top, among those that are left."""
        left: Expression | None = None
        found: list[Expression] = []
        for digit in reversed(self.digits(x)):
            lowest = self.number(digit.lo)
            among = digit if left is None else self.build("select", left, digit, lowest)
            top = self.build("max", among, axis=axis)
            found.insert(0, top)
            kept = (*digit.shape[:axis], 1, *digit.shape[axis + 1 :])
            equal = self.build("equal", digit, self.build("reshape", top, shape=kept))
            left = equal if left is None else self.all_of([left, equal])
        assert left is not None
        return self.compact(found, x.lo, x.hi), left

    # --- every operation ------------------------------------------------------------------------------------------------

    def written(self, node: Expression, args: list[Number]) -> Number:
        """The digits of an expression, given those of its arguments."""
        lo, hi = node.lo, node.hi
        if node.kind == INPUT:
            names = digit_names(node.name, self.count(lo, hi))
            limits = [(0, (1 << self.k) - 1)] * (len(names) - 1) + [self.ends(lo, hi, len(names) - 1)]
            made = [self.build.input(name, node.shape, *ends) for name, ends in zip(names, limits, strict=True)]
            return Number(tuple(made), lo, hi)
        if node.kind == CONSTANT:
            parts = [node.value] if self.fits(lo, hi) else self.split(node.value, lo, hi)
            return Number(tuple(self.build.constant(part) for part in parts), lo, hi)
        if self.plain(node):
            single = self.build(node.kind, *(arg.digits[0] for arg in args), **dict(node.attributes))
            return Number((self.known(single, lo, hi) if not node.boolean else single,), lo, hi)
        if node.kind in MOVES:
            moved = (
                zip(*self.aligned(*args), strict=True)
                if node.kind != "gather"
                else ((x, *args[1].digits) for x in self.digits(args[0]))
            )
            return self.compact([self.build(node.kind, *digits, **dict(node.attributes)) for digits in moved], lo, hi)
        if node.kind not in FORMS:
            raise IntsimError(f"{node.kind} has no narrow form")
        result = FORMS[node.kind](self, node, *args)
        return result if isinstance(result, Number) else Number((result,), lo, hi)

    def plain(self, node: Expression) -> bool:
        """Whether an operation stays within the width as it is, powers of two that it takes included."""
        wide = any(not self.fits(x.lo, x.hi) for x in (node, *node.args))
        if node.kind in ("left_shift", "right_shift"):
            return not wide and node.args[1].lo >= 0 and node.args[1].hi < self.magnitude
        return not wide


def _subtract(limbs: NarrowForm, node: Expression, a: Number, b: Number) -> Number:
    below = node.args[1]
    if (
        below.kind == "left_shift"
        and below.args[0].kind == "right_shift"
        and below.args[0].args == (node.args[0], below.args[1])
    ):
        return limbs.remainder(a, limbs.made[below.args[1]].digits[0], node.lo, node.hi)  # a - ((a >> e) << e)
    return limbs.sum_of(a, b, -1, node.lo, node.hi)


def _left_shift(limbs: NarrowForm, node: Expression, a: Number, e: Number) -> Number:
    return limbs.product(a, limbs.power(e.digits[0]), node.lo, node.hi)


def _and(limbs: NarrowForm, node: Expression, a: Number, b: Number) -> Number:
    for mask, other in ((node.args[1], a), (node.args[0], b)):
        if mask.scalar is not None and mask.scalar > 0 and mask.scalar & (mask.scalar + 1) == 0:
            return limbs.remainder(other, limbs.number(mask.scalar.bit_length()), node.lo, node.hi)
    raise IntsimError("bitwise_and with anything but 2**k - 1 has no narrow form")


def _xor(limbs: NarrowForm, node: Expression, a: Number, b: Number) -> Number:
    for bit, other in ((node.args[1], a), (node.args[0], b)):
        if bit.scalar is not None and bit.scalar > 0 and bit.scalar & (bit.scalar - 1) == 0:
            place, weight = divmod(bit.scalar.bit_length() - 1, limbs.k)
            digits = limbs.digits(other, place + 2)
            is_set = limbs.below(limbs.build("right_shift", digits[place], limbs.number(weight)), limbs.number(1))
            change = limbs.build("subtract", limbs.number(1), limbs.build("add", is_set, is_set))
            change = limbs.build("left_shift", change, limbs.number(weight))
            digits[place] = limbs.known(limbs.build("add", digits[place], change), 0, (1 << limbs.k) - 1)
            return limbs.compact(digits, node.lo, node.hi)
    raise IntsimError("bitwise_xor with anything but one bit has no narrow form")


def _argmax(limbs: NarrowForm, node: Expression, x: Number) -> Expression:
    _, where = limbs.largest(x, node.attribute("axis"))
    return limbs.build("argmax", limbs.build("integer", where), axis=node.attribute("axis"))


FORMS: Mapping[str, Callable[..., Number | Expression]] = {
    "add": lambda limbs, node, a, b: limbs.sum_of(a, b, 1, node.lo, node.hi),
    "subtract": _subtract,
    "multiply": lambda limbs, node, a, b: limbs.product(a, b, node.lo, node.hi),
    "floor_divide": lambda limbs, node, a, b: limbs.quotient(a, b, node.lo, node.hi),
    "left_shift": _left_shift,
    "right_shift": lambda limbs, node, a, e: limbs.shifted_right(a, e.digits[0], node.lo, node.hi),
    "minimum": lambda limbs, node, a, b: limbs.either(limbs.less(a, b), a, b, node.lo, node.hi),
    "maximum": lambda limbs, node, a, b: limbs.either(limbs.less(b, a), a, b, node.lo, node.hi),
    "bitwise_and": _and,
    "bitwise_xor": _xor,
    "less": lambda limbs, node, a, b: limbs.less(a, b),
    "less_equal": lambda limbs, node, a, b: limbs.build("logical_not", limbs.less(b, a)),
    "equal": lambda limbs, node, a, b: limbs.equal(a, b),
    "select": lambda limbs, node, c, a, b: limbs.either(c.digits[0], a, b, node.lo, node.hi),
    "sum": lambda limbs, node, x: limbs.total(x, node.attribute("axis"), node.lo, node.hi),
    "max": lambda limbs, node, x: limbs.largest(x, node.attribute("axis"))[0],
    "argmax": _argmax,
    "matmul": lambda limbs, node, a, b: limbs.matrix_product(a, b, node.lo, node.hi),
    "bounded": lambda limbs, node, x: limbs.compact(x.digits, node.lo, node.hi),
}
