"""Quotients of numbers as digits, by long division.

Source: Knuth, The Art of Computer Programming, volume 2, 4.3.1, with digits so small that the dividend of every step fits
the width and no digit has to be guessed.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..symbols import Expression
from .limbs import Limbs, Number


class Division(Limbs):
    """Digits that can be divided."""

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
