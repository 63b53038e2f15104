"""Numbers and ranges in words."""

from __future__ import annotations

from collections.abc import Mapping


def number(value: int) -> str:
    """An integer, near a large power of two as that."""
    for exponent in range(16, 64):
        for offset in (-1, 0, 1):
            if abs(value) == (1 << exponent) + offset:
                sign = "-" if value < 0 else ""
                tail = "" if not offset else f" {'+' if (offset > 0) != (value < 0) else '-'} 1"
                return f"{sign}2**{exponent}{tail}"
    return f"{value:,}".replace(",", "_") if abs(value) >= 1 << 20 else str(value)


def interval(lo: int, hi: int) -> str:
    """A range in words."""
    return f"[{number(lo)}, {number(hi)}]"


def ranges_words(ranges: Mapping[str, tuple[int, int]]) -> str:
    """Every range, and every value."""
    listed = (f"{name} = {number(lo)}" if lo == hi else f"{name} in {interval(lo, hi)}" for name, (lo, hi) in ranges.items())
    return ", ".join(listed)
