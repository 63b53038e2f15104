"""The operators of examples/operators once more, in plain Python integers, from their formulas: rows in, rows out."""

from __future__ import annotations

import math
from fractions import Fraction

Row = list[int]


def nearest(value: Fraction, ties: str) -> int:
    """A fraction to the nearest integer."""
    low = math.floor(value)
    if value - low != Fraction(1, 2):
        return low + (value - low > Fraction(1, 2))
    return {"up": low + 1, "even": low + low % 2, "away": low + (value > 0)}[ties]


def away(value: int, bits: int) -> int:
    return nearest(Fraction(value, 1 << bits), "away")


def towards_zero(a: int, b: int) -> int:
    return abs(a) // b * (1 if a >= 0 else -1)


def sign(v: int) -> int:
    return (v > 0) - (v < 0)


def requant_add(x: Row, m: Row, add: Row, e: Row, b: int, nonnegative: int, ties: str = "up") -> Row:
    lo, hi = (0, 2**b - 1) if nonnegative else (-(2 ** (b - 1)), 2 ** (b - 1) - 1)
    rounded = (nearest(Fraction(v * m[i] + add[i], 2 ** e[i]), ties) for i, v in enumerate(x))
    return [min(max(v, lo), hi) for v in rounded]


def polynomials(x: Row, x0: int, b: int, c: int, n: int) -> list[tuple[int, int]]:
    """The polynomial of every element, and the power of two that goes with it."""
    found = []
    for v in x:
        t = max(v - max(x), n * x0)
        q = (-t) // (-x0)
        r = t + q * -x0
        found.append((max(r * r + b * r + c, 0), n - q))
    return found


def ibert_softmax(x: Row, x0: int, b: int, c: int, n: int, m: int, e: int, bits: int) -> Row:
    exp = [min(nearest(Fraction(z * 2**k * m, 2**e), "even"), 32767) for z, k in polynomials(x, x0, b, c, n)]
    return [v * (2**32 // sum(exp)) // 2 ** (32 - bits) for v in exp]


def log_int_softmax(x: Row, x0: int, b: int, c: int, n: int, bits: int) -> Row:
    exp = [z * 2**k for z, k in polynomials(x, x0, b, c, n)]
    codes = []
    for v in exp:
        ratio = nearest(Fraction(sum(exp), v), "even")
        power = ratio.bit_length() - 1
        codes.append(min(power + (2 * (ratio - 2**power) >= 2**power), 2**bits))
    return codes


def octaves(distance: int) -> int:
    return nearest(Fraction(distance, 32), "up")


def ita_softmax(x: Row, top: int) -> Row:
    inverse = top * 256 // sum(256 >> octaves(max(x) - v) for v in x)
    return [inverse >> octaves(max(x) - v) for v in x]


def ita_streaming_softmax(x: Row, width: int, top: int) -> Row:
    largest, total = -128, 0
    for start in range(0, len(x), width):
        chunk = x[start : start + width]
        new = max(largest, *chunk)
        total = (total >> octaves(new - largest)) + sum(256 >> octaves(new - v) for v in chunk)
        largest = new
    return [(top * 256 // total) >> octaves(largest - v) for v in x]


def ibert_gelu(x: Row, b: int, c: int, one: int, shift: int) -> Row:
    return [v * ((sign(v) * ((min(abs(v), -b) + b) ** 2 + c)) // 2**shift + one) for v in x]


def deeploy_gelu(x: Row, b: int, one: int) -> Row:
    return [v * ((one + sign(v) * (one - (min(abs(v), -b) + b) ** 2)) // 2) for v in x]


def ibert_layernorm(x: Row, bias: Row) -> Row:
    mean = nearest(Fraction(sum(x), len(x)), "up")
    std = max(math.isqrt(sum((v - mean) ** 2 for v in x)), 1)
    return [(v - mean) * (2**31 // std) // 2 + beta for v, beta in zip(x, bias, strict=True)]


def deeploy_layernorm(x: Row, gain: Row, bias: Row, shift: int) -> Row:
    mean = towards_zero(sum(x), len(x))
    std = math.isqrt(sum((v - mean) ** 2 for v in x) // len(x) + 1)
    rows = zip(x, gain, bias, strict=True)
    return [min(max((towards_zero((v - mean) * g, std) + b) >> shift, -128), 127) for v, g, b in rows]


def heatvit_gelu(x: Row) -> Row:
    out = []
    for v in x:
        u = away(v * 46341, 16)
        t = min(abs(u), 115933) - 115933
        half = away(32768 * (away(-18927 * away(t * t, 16), 16) + 65536), 16)
        out.append(min(max(away(v * (65536 + sign(u) * half), 17), -(2**23)), 2**23 - 1))
    return out


def heatvit_softmax(x: Row, delta: int, drop: int, top: int) -> Row:
    exp = []
    for v in x:
        z = (max(x) - v) // 45426
        p = v - max(x) + 45426 * z
        exp.append((away(23495 * away((p + 88670) ** 2, 16), 16) + 22544) >> z)
    recip = nearest(Fraction(2**32, sum(exp)), "up")
    return [min(away(away(away(v * recip, 16) * delta, 16), drop), top) for v in exp]
