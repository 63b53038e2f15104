"""Numbers as digits: the arithmetic in which no value passes a width, for machines of 32 bits, or of float32.

A wide value is a `Number`: its digits to the base ``2**k``, the lowest first; all but the highest are in ``[0, 2**k)``, the
highest has the sign. Sums carry, products are of digits. Every digit's interval follows from the value's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ..arith import AnyArray
from ..symbols import Expression
from ..symbols.build import Expressions

WIDTHS = {32: 31, 24: 24}  # bits of a magnitude: int32, and the integers that float32 holds


@dataclass(frozen=True)
class Number:
    """A value between `lo` and `hi` as digits; one digit is the value itself, whatever its size."""

    digits: tuple[Expression, ...]
    lo: int
    hi: int


def digit_names(name: str, count: int) -> list[str]:
    """What the digits of a tensor are called: the tensor's name where there is one."""
    return [name] if count == 1 else [f"{name}.limb{i}" for i in range(count)]


class Limbs:
    """The digits of every expression of one trace, as expressions of their own."""

    def __init__(self, width: int) -> None:
        self.magnitude = WIDTHS[width]
        self.k = (self.magnitude - 2) // 2  # products of two digits leave room for a few to be added
        self.build = Expressions()

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
