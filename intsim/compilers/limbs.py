"""Expressions in which no value passes a width: wide ones become limbs, for machines of 32 bits, or of float32.

A wide value is a `Number`: its digits to the base ``2**k``, the lowest first; all but the highest are in ``[0, 2**k)``, the
highest has the sign. Sums carry, products are of digits, quotients are long divisions. Every digit's interval follows from
the value's own, so that what is written proves itself: `narrowed` refuses where an expression could pass the width.

Source of the long division: Knuth, The Art of Computer Programming, volume 2, 4.3.1, with digits so small that the dividend
of every step fits the width and no digit has to be guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ..arith import AnyArray
from ..errors import IntsimError
from ..symbols import Expression
from ..symbols.build import MOVES, Builder
from ..symbols.expression import CONSTANT, INPUT, in_order

MANY = 32  # products that are added at once, or their factors are split
WIDTHS = {32: 31, 24: 24}  # bits of a magnitude: int32, and the integers that float32 holds


@dataclass(frozen=True)
class Number:
    """A value between `lo` and `hi` as digits; one digit is the value itself, whatever its size."""

    digits: tuple[Expression, ...]
    lo: int
    hi: int


def narrowed(
    steps: Mapping[str, Expression], width: int, limits: Mapping[str, tuple[int, int]] | None = None
) -> dict[str, Number]:
    """The same results with every value within a `width` of 32 or 24 bits; an input that is wide is one per digit.

    A result has as many digits as its bounds take, or the interval around them that `limits` names. Raises IntsimError
    where an expression has no such form.
    """
    writer = Limbs(width)
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


def digit_names(name: str, count: int) -> list[str]:
    """What the digits of a tensor are called: the tensor's name where there is one."""
    return [name] if count == 1 else [f"{name}.limb{i}" for i in range(count)]


class Limbs:
    """The digits of every expression of one trace, as expressions of their own."""

    def __init__(self, width: int) -> None:
        self.magnitude = WIDTHS[width]
        self.k = (self.magnitude - 2) // 2  # products of two digits leave room for a few to be added
        self.build = Builder()
        self.made: dict[Expression, Number] = {}

    def fits(self, lo: int, hi: int) -> bool:
        """Whether the width holds an interval."""
        return -(1 << self.magnitude) <= lo and hi < 1 << self.magnitude

    def count(self, lo: int, hi: int) -> int:
        """How many digits an interval takes."""
        if self.fits(lo, hi):
            return 1
        count = 2
        while not -(1 << self.k) <= lo >> self.k * (count - 1) <= hi >> self.k * (count - 1) < 1 << self.k:
            count += 1
        return count

    def split(self, value: Any, lo: int, hi: int) -> list[AnyArray]:
        """The digits of an array of integers between two bounds."""
        return self.cut(np.asarray(value).astype(object), self.count(lo, hi))

    def cut(self, value: AnyArray, count: int) -> list[AnyArray]:
        """So many digits of an array."""
        digits = [(value >> self.k * i) & ((1 << self.k) - 1) for i in range(count - 1)]
        return [*digits, value >> self.k * (count - 1)]

    # --- small words ----------------------------------------------------------------------------------------------------

    def number(self, value: int) -> Expression:
        """A constant."""
        return self.build.constant(value)

    def known(self, x: Expression, lo: int, hi: int) -> Expression:
        """An expression that is known to lie in an interval."""
        lo, hi = max(lo, x.lo), min(hi, x.hi)
        return self.build.filled(lo, x.shape) if lo == hi else self.build("bounded", x, lo=lo, hi=hi)

    def high(self, x: Expression) -> Expression:
        return self.build("right_shift", x, self.number(self.k))

    def low(self, x: Expression) -> Expression:
        """The lowest digit."""
        if x.lo >= 0 and x.hi < 1 << self.k:
            return x
        return self.build("subtract", x, self.build("left_shift", self.high(x), self.number(self.k)))

    def all_of(self, conditions: Sequence[Expression]) -> Expression:
        result = conditions[0]
        for condition in conditions[1:]:
            result = self.build("bitwise_and", result, condition)
        return result

    def constant(self, value: int) -> Number:
        """A constant of any size."""
        return Number(tuple(self.build.constant(digit) for digit in self.split(value, value, value)), value, value)

    # --- carrying -------------------------------------------------------------------------------------------------------

    def whole(self, columns: Sequence[Sequence[tuple[Expression, int]]], lo: int, hi: int) -> Number:
        """The number between `lo` and `hi` whose digits are sums of terms, each with its sign, 1 or -1."""
        waiting = [list(column) for column in columns]
        digits: list[Expression] = []
        while len(digits) < len(waiting):
            i, total = len(digits), self.number(0)
            above: list[tuple[Expression, int]] = []
            for term, sign in sorted(waiting[i], key=lambda entry: -entry[1]):
                ends = (total.lo + term.lo, total.hi + term.hi) if sign > 0 else (total.lo - term.hi, total.hi - term.lo)
                if not self.fits(*ends):
                    above.append((self.high(total), 1))
                    total = self.low(total)
                    ends = (total.lo + term.lo, total.hi + term.hi) if sign > 0 else (total.lo - term.hi, total.hi - term.lo)
                if not self.fits(*ends):
                    above.append((self.high(term), sign))
                    term = self.low(term)
                total = self.build("add" if sign > 0 else "subtract", total, term)
            last = i == len(waiting) - 1 and not above
            if not last:
                above.append((self.high(total), 1))
                total = self.low(total)
                if i == len(waiting) - 1:
                    waiting.append([])
                waiting[i + 1] += above
            digits.append(total)
        return self.compact(digits, lo, hi)

    def compact(self, digits: Sequence[Expression], lo: int, hi: int) -> Number:
        """Digits of which the highest may be any, as few as the interval takes."""
        count, rest = self.count(lo, hi), list(digits)
        top = self.known(rest[-1], *self.ends(lo, hi, len(rest) - 1))
        while len(rest) > count:
            rest.pop()
            scaled = self.build("left_shift", top, self.number(self.k))
            top = self.known(self.build("add", scaled, rest[-1]), *self.ends(lo, hi, len(rest) - 1))
        while len(rest) < count:
            rest[-1:] = [self.low(top), self.high(top)]
            top = rest[-1]
        return Number((*rest[:-1], top), lo, hi)

    def ends(self, lo: int, hi: int, place: int) -> tuple[int, int]:
        """The interval of a value without its digits below a place."""
        return lo >> self.k * place, hi >> self.k * place

    def digits(self, x: Number, count: int = 0) -> list[Expression]:
        """The digits, each below the base but the highest; at least `count` of them, then with the sign below it."""
        found = list(x.digits)
        while len(found) < count or not -(1 << self.k) <= found[-1].lo <= found[-1].hi < 1 << self.k:
            found[-1:] = [self.low(found[-1]), self.high(found[-1])]
        return found

    def aligned(self, *numbers: Number) -> list[list[Expression]]:
        """The digits of numbers, of each as many."""
        if all(len(number.digits) == 1 for number in numbers):
            return [list(number.digits) for number in numbers]
        count = max(len(self.digits(number)) for number in numbers)
        return [self.digits(number, count) for number in numbers]

    # --- arithmetic -----------------------------------------------------------------------------------------------------

    def sum_of(self, a: Number, b: Number, sign: int, lo: int, hi: int) -> Number:
        """``a + sign * b``."""
        columns: list[list[tuple[Expression, int]]] = [[] for _ in range(max(len(a.digits), len(b.digits)))]
        for number, own in ((a, 1), (b, sign)):
            for column, digit in zip(columns, number.digits, strict=False):
                column.append((digit, own))
        return self.whole(columns, lo, hi)

    def difference(self, a: Number, b: Number) -> Number:
        return self.sum_of(a, b, -1, a.lo - b.hi, a.hi - b.lo)

    def product(self, a: Number, b: Number, lo: int, hi: int) -> Number:
        """``a * b``."""
        left, right = self.digits(a), self.digits(b)
        columns: list[list[tuple[Expression, int]]] = [[] for _ in range(len(left) + len(right) - 1)]
        for i, x in enumerate(left):
            for j, y in enumerate(right):
                columns[i + j].append((self.build("multiply", x, y), 1))
        return self.whole(columns, lo, hi)

    def less(self, a: Number, b: Number) -> Expression:
        """Where ``a < b``: the sign of the difference."""
        if len(a.digits) == len(b.digits) == 1:
            return self.build("less", a.digits[0], b.digits[0])
        return self.build("less", self.difference(a, b).digits[-1], self.number(0))

    def equal(self, a: Number, b: Number) -> Expression:
        return self.all_of([self.build("equal", x, y) for x, y in zip(*self.aligned(a, b), strict=True)])

    def either(self, condition: Expression, a: Number, b: Number, lo: int, hi: int) -> Number:
        """`a` where a condition holds, else `b`."""
        parts = zip(*self.aligned(a, b), strict=True)
        return self.compact([self.build("select", condition, x, y) for x, y in parts], lo, hi)

    # --- shifts, whose exponents may differ from element to element -------------------------------------------------------

    def looked_up(self, exponent: Expression, function: Callable[[int], int]) -> Expression:
        """A function of an exponent."""
        if exponent.scalar is not None:
            return self.build.filled(function(exponent.scalar), exponent.shape)
        table = np.array([function(max(e, exponent.lo)) for e in range(exponent.hi + 1)], np.int64)
        return self.build("gather", self.build.constant(table), exponent)

    def power(self, exponent: Expression) -> Number:
        """``2**exponent``, digit by digit."""
        k, lo, hi = self.k, 1 << exponent.lo, 1 << exponent.hi
        count = self.count(lo, hi)
        if count == 1:
            return Number((self.looked_up(exponent, lambda e: 1 << e),), lo, hi)
        places = [k] * (count - 1) + [exponent.hi + 1]
        digits = [
            self.looked_up(exponent, lambda e, i=i, size=size: 1 << e - k * i if 0 <= e - k * i < size else 0)  # type: ignore[misc]
            for i, size in enumerate(places)
        ]
        return Number(tuple(digits), lo, hi)

    def shifted_right(self, x: Number, exponent: Expression, lo: int, hi: int) -> Number:
        """``x >> exponent``: by whole digits, then within them."""
        k, digits = self.k, self.digits(x)
        places, within = self.looked_up(exponent, lambda e: e // k), self.looked_up(exponent, lambda e: e % k)
        sign = self.build("right_shift", digits[-1], self.number(k))  # 0 or -1
        beyond = self.low(sign)
        moved: list[Expression] = []
        for i in range(len(digits) - places.lo):
            chosen: Expression | None = None
            for place in range(places.lo, places.hi + 1):
                here = beyond
                if i + place < len(digits):
                    here = digits[i + place] if i + place < len(digits) - 1 else self.low(digits[-1])
                at = self.build("equal", places, self.number(place))
                chosen = here if chosen is None else self.build("select", at, here, chosen)
            assert chosen is not None
            moved.append(chosen)
        parts = []
        for here, above in pairwise([*moved, sign]):
            kept, rest = self.build("right_shift", here, within), self.below(above, within)
            lifted = self.build("left_shift", rest, self.build("subtract", self.number(k), within))
            parts.append(self.known(self.build("add", kept, lifted), 0, (1 << k) - 1))
        return self.compact([*parts, sign], lo, hi)

    def below(self, x: Expression, exponent: Expression) -> Expression:
        """``x`` modulo ``2**exponent``."""
        return self.build("subtract", x, self.build("left_shift", self.build("right_shift", x, exponent), exponent))

    def remainder(self, x: Number, exponent: Expression, lo: int, hi: int) -> Number:
        """``x`` modulo ``2**exponent``: of every digit the bits below it."""
        count = -(-exponent.hi // self.k)
        digits = self.digits(x, count + 1)[:count]
        parts = [
            self.below(digit, self.looked_up(exponent, lambda e, i=i: min(max(e - self.k * i, 0), self.k)))  # type: ignore[misc]
            for i, digit in enumerate(digits)
        ]
        return self.compact(parts or [self.number(0)], lo, hi)

    # --- quotients ------------------------------------------------------------------------------------------------------

    def quotient(self, a: Number, b: Number, lo: int, hi: int) -> Number:
        """``floor(a / b)``; a divisor of 0 is refused beside, and counts as 1."""
        zero, one = self.constant(0), self.constant(1)
        if b.hi < 0:
            return self.quotient(self.difference(zero, a), self.difference(zero, b), lo, hi)
        if b.lo < 0:
            negative, reach = self.less(b, zero), max(a.hi, -a.lo)
            a = self.either(negative, self.difference(zero, a), a, -reach, reach)
            b = self.either(negative, self.difference(zero, b), b, 0, max(b.hi, -b.lo))
        if b.lo == 0:
            b = self.either(self.equal(b, zero), one, b, 1, max(b.hi, 1))
        if a.lo >= 0:
            return self.positive_quotient(a, b, lo, hi)
        if a.hi < 0:
            return self.inverted(self.positive_quotient(self.inverted(a), b, -1 - hi, -1 - lo))
        negative = self.less(a, self.constant(0))  # floor(a / b) = -1 - floor((-1 - a) / b)
        reach = max(a.hi, -1 - a.lo)
        size = self.either(negative, self.inverted(a), a, 0, reach)
        found = self.positive_quotient(size, b, 0, reach // b.lo)
        return self.either(negative, self.inverted(found), found, lo, hi)

    def inverted(self, x: Number) -> Number:
        """``-1 - x``."""
        return self.difference(self.constant(-1), x)

    def positive_quotient(self, a: Number, b: Number, lo: int, hi: int) -> Number:
        """``a // b`` of what is not negative."""
        bits = self.magnitude - (b.hi - 1).bit_length()  # that fit above a remainder
        if len(b.digits) == 1 and bits > 0:
            return self.short_division(a, b.digits[0], min(bits, self.k), lo, hi)
        return self.long_division(a, b, lo, hi)

    def short_division(self, a: Number, divisor: Expression, bits: int, lo: int, hi: int) -> Number:
        """As many bits of the dividend at once as fit the width above a remainder."""
        columns: list[list[tuple[Expression, int]]] = [[] for _ in a.digits]
        rest = self.number(0)
        for place, weight, taken, piece in self.pieces(a, bits):
            joined = self.build("add", self.build("left_shift", rest, self.number(taken)), piece)
            q = self.build("floor_divide", joined, divisor)
            rest = self.build("subtract", joined, self.build("multiply", q, divisor))
            q = self.known(q, 0, (1 << taken) - 1) if taken else q  # because the remainder was below the divisor
            columns[place].append((self.build("left_shift", q, self.number(weight)), 1))
        return self.whole(columns, lo, hi)

    def pieces(self, a: Number, bits: int) -> Iterator[tuple[int, int, int, Expression]]:
        """The bits of a dividend from the top, so many at once: their digit and place in it, how many, and what they are.

        The first, of which the number does not matter, are as many as the width holds.
        """
        digits = list(a.digits)
        top = digits.pop()
        while digits and self.fits(*self.ends(a.lo, a.hi, len(digits) - 1)):
            scaled = self.build("left_shift", top, self.number(self.k))
            top = self.build("add", scaled, digits.pop())
        yield len(digits), 0, 0, top
        for place in reversed(range(len(digits))):
            weight = self.k
            while weight:
                taken = min(bits, weight)
                weight -= taken
                rest = self.below(digits[place], self.number(weight + taken)) if weight + taken < self.k else digits[place]
                yield place, weight, taken, self.build("right_shift", rest, self.number(weight))

    def long_division(self, a: Number, b: Number, lo: int, hi: int) -> Number:
        """Bit by bit, for a divisor that has digits itself."""
        count = hi.bit_length()
        bound = a.hi >> count
        rest = self.shifted_right(
            a, self.number(count), a.lo >> count, bound
        )  # below the divisor, as the quotient has its bits
        digits = self.digits(a, -(-count // self.k))
        columns: list[list[tuple[Expression, int]]] = [[] for _ in range(-(-count // self.k))]
        for bit in reversed(range(count)):
            place, weight = divmod(bit, self.k)
            own = self.below(self.build("right_shift", digits[place], self.number(weight)), self.number(1))
            doubled = self.sum_of(rest, rest, 1, 0, 2 * rest.hi)
            joined = self.sum_of(doubled, Number((own,), 0, 1), 1, 0, 2 * rest.hi + 1)
            left = self.difference(joined, b)
            below = self.build("less", left.digits[-1], self.number(0))
            rest = self.either(below, joined, left, 0, min(joined.hi, b.hi - 1))
            one = self.build("integer", self.build("logical_not", below))
            columns[place].append((self.build("left_shift", one, self.number(weight)), 1))
        return self.whole(columns or [[(self.number(0), 1)]], lo, hi)

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


def _subtract(limbs: Limbs, node: Expression, a: Number, b: Number) -> Number:
    below = node.args[1]
    if (
        below.kind == "left_shift"
        and below.args[0].kind == "right_shift"
        and below.args[0].args == (node.args[0], below.args[1])
    ):
        return limbs.remainder(a, limbs.made[below.args[1]].digits[0], node.lo, node.hi)  # a - ((a >> e) << e)
    return limbs.sum_of(a, b, -1, node.lo, node.hi)


def _left_shift(limbs: Limbs, node: Expression, a: Number, e: Number) -> Number:
    return limbs.product(a, limbs.power(e.digits[0]), node.lo, node.hi)


def _and(limbs: Limbs, node: Expression, a: Number, b: Number) -> Number:
    for mask, other in ((node.args[1], a), (node.args[0], b)):
        if mask.scalar is not None and mask.scalar > 0 and mask.scalar & (mask.scalar + 1) == 0:
            return limbs.remainder(other, limbs.number(mask.scalar.bit_length()), node.lo, node.hi)
    raise IntsimError("bitwise_and with anything but 2**k - 1 has no narrow form")


def _xor(limbs: Limbs, node: Expression, a: Number, b: Number) -> Number:
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


def _argmax(limbs: Limbs, node: Expression, x: Number) -> Expression:
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
