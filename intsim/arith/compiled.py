"""The primitives for Numba kernels: scalar arguments and results; a choice is passed as its `code`.

Kernels convert every loaded element with ``int()``: to int64 when compiled, to a Python integer when the compiler is
disabled (NUMBA_DISABLE_JIT=1). Both compute the same values.
"""

from __future__ import annotations

from .contracts import INT32_MAX, Division, HalfBit, Rounding, Sqrt
from .jit import kernel

FLOOR, TRUNC, HALF_UP, HALF_EVEN, HALF_AWAY = (mode.code for mode in Rounding)
QUOTIENT_TRUNC = Division.TRUNC.code
NEWTON10 = Sqrt.NEWTON10.code
KEPT = HalfBit.KEPT.code


@kernel
def carry(p: int, q: int, r: int, half: int, mode: int) -> int:
    """The 0 or 1 to add to the floor `q` of `p`, remainder `r`: ``r > half`` is above the middle, ``r == half`` a tie."""
    if mode == FLOOR:
        return 0
    if mode == TRUNC:
        return 1 if p < 0 and r > 0 else 0
    if r != half:
        return 1 if r > half else 0
    if mode == HALF_EVEN:
        return q & 1
    return 1 if mode == HALF_UP or p >= 0 else 0


@kernel
def round_shift(p: int, e: int, mode: int) -> int:
    """``p / 2**e`` rounded, ``1 <= e <= 62``."""
    q = p >> e
    r = p - (q << e)
    return q + carry(p, q, r, 1 << (e - 1), mode)


@kernel
def round_terms(p: int, e: int, add: int, odd: int, neg: int) -> int:
    """``p / 2**e`` rounded by any mode without a branch, for ``|p| <= 2**62``; the terms come from `rounding_terms`."""
    return (p + add + ((p >> e) & odd) + ((p >> 63) & neg)) >> e


@kernel
def round_divide(a: int, n: int, mode: int) -> int:
    """``a / n`` rounded, ``n > 0``."""
    q = a // n
    r = a - q * n
    return q + carry(a, q, r, n - r, mode)


@kernel
def divide(a: int, b: int, mode: int) -> int:
    """The integer quotient of `a` by `b`, floor or trunc."""
    q = a // b
    if mode == QUOTIENT_TRUNC and q < 0 and q * b != a:
        return q + 1
    return q


@kernel
def saturate(x: int, lo: int, hi: int) -> int:
    """`x` clamped to ``[lo, hi]``."""
    return min(max(x, lo), hi)


@kernel
def wrap32(x: int) -> int:
    """The low 32 bits of `x` in two's complement."""
    return ((x & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000


@kernel
def isqrt(v: int, mode: int) -> int:
    """The integer square root of ``0 <= v < 2**63``: ten Newton steps from 2**16, or the true floor."""
    if mode == NEWTON10:
        k = 1 << 16
        for _ in range(10):
            following = (k + v // k) >> 1
            if following == k:  # converged: all further steps return the same
                return k
            k = following
        return k
    root = 0
    bit = 1 << 31
    while bit > 0:  # one bit of the root at a time, highest first; the division avoids the overflow of tried * tried
        tried = root | bit
        if tried <= v // tried:
            root = tried
        bit >>= 1
    return root


@kernel
def shift_exp(x: int, x0: int, n: int, quotient: int, half_bit: int, wraps: bool) -> int:
    """One exponential of ops/shift_exp.py; 2**62 if the shifted value would exceed 2**62."""
    t = x + (x >> 1) - (x >> 4)
    t = max(t, n * x0)
    q = divide(t, x0, quotient)
    r = t - q * x0
    shift = n - q
    k = r - 2 * x0 if half_bit == KEPT else (r >> 1) - x0
    if wraps:
        e = wrap32(k << shift) if shift < 32 else 0
    elif shift > 61 or k > (1 << 62) >> shift:
        return 1 << 62
    else:
        e = k << shift
    return max(e >> 1 if half_bit == KEPT else e, 0)


@kernel
def add_exponential(total: int, e: int, wraps: bool) -> int:
    """`total` plus one exponential, saturated at 2**31 - 1 or wrapped to i32. Either rule may be applied term by term."""
    return wrap32(total + e) if wraps else min(total + e, INT32_MAX)
