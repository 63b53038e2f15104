"""The primitives once more, for Numba kernels: scalars in, scalars out, choices by their `code`.

Every load into a kernel goes through ``int()``: compiled it means int64, and with the compiler switched off
(NUMBA_DISABLE_JIT=1) it means Python integers, so both ways compute the same.
"""

from __future__ import annotations

from .contracts import INT32_MAX, Division, HalfBit, Rounding, Sqrt
from .jit import kernel

FLOOR, TRUNC, HALF_UP, HALF_EVEN, HALF_AWAY = (mode.code for mode in Rounding)
QUOTIENT_TRUNC = Division.TRUNC.code
NEWTON10 = Sqrt.NEWTON10.code
KEPT = HalfBit.KEPT.code


@kernel
def carry(p, q, r, half, mode):
    """What to add to the floor `q` of `p` with remainder `r`; ``r > half`` is past the middle, ``r == half`` a tie."""
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
def round_shift(p, e, mode):
    """``p / 2**e`` rounded, ``1 <= e <= 62``."""
    q = p >> e
    r = p - (q << e)
    return q + carry(p, q, r, 1 << (e - 1), mode)


@kernel
def round_terms(p, e, add, odd, neg):
    """``p / 2**e`` rounded by any mode without a branch, for ``|p| <= 2**62``; its terms are `rounding_terms`."""
    return (p + add + ((p >> e) & odd) + ((p >> 63) & neg)) >> e


@kernel
def round_divide(a, n, mode):
    """``a / n`` rounded, ``n > 0``."""
    q = a // n
    r = a - q * n
    return q + carry(a, q, r, n - r, mode)


@kernel
def divide(a, b, mode):
    """The integer quotient, floor or trunc."""
    q = a // b
    if mode == QUOTIENT_TRUNC and q < 0 and q * b != a:
        return q + 1
    return q


@kernel
def saturate(x, lo, hi):
    """`x` clamped to ``[lo, hi]``."""
    return min(max(x, lo), hi)


@kernel
def wrap32(x):
    """The low 32 bits of `x` in two's complement."""
    return ((x & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000


@kernel
def isqrt(v, mode):
    """The integer square root of ``0 <= v < 2**63``: ten Newton steps from 2**16, or the true floor."""
    if mode == NEWTON10:
        k = 1 << 16
        for _ in range(10):
            following = (k + v // k) >> 1
            if following == k:  # and so are all that would follow
                return k
            k = following
        return k
    root = 0
    bit = 1 << 31
    while bit > 0:  # the root's bits, from the highest; tried * tried stays below 2**64 and is compared by division
        tried = root | bit
        if tried <= v // tried:
            root = tried
        bit >>= 1
    return root


@kernel
def shift_exp(x, x0, n, quotient, half_bit, wraps):
    """One exponential of ops/shift_exp.py; where its shifted value would pass 2**62 that is what is returned."""
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
def add_exponential(total, e, wraps):
    """`total` plus one more exponential: saturated at 2**31 - 1, or wrapped to i32. Both can be done term by term."""
    return wrap32(total + e) if wraps else min(total + e, INT32_MAX)
