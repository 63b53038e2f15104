"""Accumulators whose product with a multiplier lies on a tie, next to one, or at an end of saturation.

Ties of ``x * m / 2**e`` are the solutions of ``x * m = 2**(e-1) mod 2**e``. With ``m = odd * 2**v`` they are the odd
multiples of ``2**(e-1-v)``, because the inverse of an odd number is odd. Where the format has none, the nearest misses are
found exactly: the smallest distance at which ``x * m mod 2**e`` is reached by some x of the format.
"""

from __future__ import annotations

import math
from collections.abc import Callable

LOW, HIGH = -(2**31), 2**31 - 1


def ties(m: int, e: int, low: int = LOW, high: int = HIGH) -> list[int]:
    """Accumulators in ``[low, high]`` on a tie: those next to zero on both sides, and those next to the ends."""
    if m == 0:
        return []
    v = (m & -m).bit_length() - 1
    if v > e - 1:
        return []  # every result is whole
    step = 1 << (e - 1 - v)
    first, last = -(-low // step) | 1, high // step
    last -= 1 - last % 2
    found = {k * step for k in (-5, -3, -1, 1, 3, 5, first, last) if low <= k * step <= high}
    return sorted(found)


def nearest_misses(m: int, e: int, low: int = LOW, high: int = HIGH) -> list[int]:
    """The accumulators whose products come closest to a tie from below and from above without reaching it; at most two."""
    modulus, half = 1 << e, 1 << (e - 1)
    below = _closest(m, modulus, low, high, lambda width: (half - width, half - 1), half)
    above = _closest(m, modulus, low, high, lambda width: (half + 1, half + width), half - 1)
    return [x for x in (below, above) if x is not None]


def four_squares(n: int) -> tuple[int, int, int, int]:
    """Four numbers whose squares sum to `n`, the largest first; they exist for every `n` (Lagrange)."""
    if n and n % 4 == 0:  # twice those of n / 4: multiples of high powers of 4 have few others
        a, b, c, d = four_squares(n // 4)
        return 2 * a, 2 * b, 2 * c, 2 * d
    for a in range(math.isqrt(n), -1, -1):
        for b in range(min(a, math.isqrt(n - a * a)), -1, -1):
            rest = n - a * a - b * b
            for c in range(min(b, math.isqrt(rest)), -1, -1):
                d = math.isqrt(rest - c * c)
                if d * d == rest - c * c:
                    return a, b, c, d
    raise ValueError(f"{n} is negative")


def _closest(m: int, modulus: int, low: int, high: int, window: Callable[[int], tuple[int, int]], widest: int) -> int | None:
    """An x in ``[low, high]`` with ``x * m mod modulus`` in the narrowest window that any such x reaches."""

    def reached(width: int) -> int | None:
        offset = low * m
        left, right = ((end - offset) % modulus for end in window(width))
        steps = _first(m % modulus, modulus, left, right) if left <= right else 0
        return low + steps if steps is not None and low + steps <= high else None

    if widest < 1 or reached(widest) is None:
        return None
    narrow, wide = 0, widest
    while wide - narrow > 1:
        middle = (narrow + wide) // 2
        narrow, wide = (narrow, middle) if reached(middle) is not None else (middle, wide)
    return reached(wide)


def _first(a: int, modulus: int, left: int, right: int) -> int | None:
    """The smallest x >= 0 with ``left <= a*x mod modulus <= right``, by Euclid's algorithm."""
    if left == 0:
        return 0
    if a == 0:
        return None
    x = -(-left // a)
    if a * x <= right:
        return x
    turns = _first(modulus % a, a, -right % a, -left % a)  # how often the product wraps around
    return None if turns is None else -(-(left + modulus * turns) // a)


def saturation_ends(m: int, e: int, b: int, low: int = LOW, high: int = HIGH) -> list[int]:
    """Accumulators in ``[low, high]`` around those at which the result reaches the ends of `b` bits or passes them."""
    if m == 0:
        return []
    found = set()
    for twice_end in (2**b - 2, 2**b - 1, -(2**b), -(2**b) - 1):  # 2 * (hi, hi + 1/2, lo, lo - 1/2)
        at = twice_end * (1 << (e - 1)) // m
        found |= {x for x in range(at - 1, at + 3) if low <= x <= high}
    return sorted(found)
