"""The primitives in NumPy int64: exact, vectorised, without floating point, one statement per line of the definition.

Arguments are Python integers or integer arrays, and broadcast. Float input raises TypeError; a value that does not fit
64 signed bits raises ValueError. Source: gemmlowp for the rounding shifts, I-ViT for ``newton10`` and ``dyadic``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .bounds import IntArray
from .contracts import I32, I64, Division, Format, Overflow, Rounding, Sqrt


def integers(x: ArrayLike, name: str = "argument") -> IntArray:
    """`x` as int64, in the same subclass of ndarray. TypeError for floats, ValueError for values outside 64 signed bits."""
    if getattr(x, "symbolic", False):
        return x  # type: ignore[return-value]  # of a trace, see intsim.symbols
    a: IntArray = np.asanyarray(x)
    if a.dtype.kind == "f" and not hasattr(x, "dtype"):
        whole = np.asanyarray(x, object)  # NumPy converts a mix of integers below and above 2**63 to float
        a = whole if all(isinstance(v, int) for v in whole.flat) else a
    if a.size == 0 and not hasattr(x, "dtype"):
        a = a.astype(np.int64)  # an empty list has no integer type
    if a.dtype == np.uint64 and a.size and int(a.max()) > np.iinfo(np.int64).max:
        raise ValueError(f"{name}: {int(a.max())} does not fit 64 signed bits")
    if a.dtype == object and all(isinstance(v, int) and not isinstance(v, bool) for v in a.flat):
        outside = [v for v in a.flat if not -(2**63) <= v < 2**63]
        if outside:
            raise ValueError(f"{name}: {outside[0]} does not fit 64 signed bits")
    elif a.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected integers, got {a.dtype}; quantize the values first")
    return a.astype(np.int64, copy=False)


def round_shift(p: ArrayLike, e: ArrayLike, mode: str) -> IntArray:
    """``p / 2**e`` rounded by `mode` (a Rounding), ``0 <= e <= 62``, exact for every int64 `p`."""
    mode = Rounding.of(mode)
    p, e = integers(p, "p"), integers(e, "e")
    if np.any((e < 0) | (e > 62)):
        raise ValueError(f"round_shift: e must be in 0..62, got {int(e.min())}..{int(e.max())}")
    q = p >> e  # floor
    r = p - (q << e)  # 0 <= r < 2**e
    half = np.where(e > 0, (1 << e) >> 1, 1)  # e = 0 gives r = 0, which must be below half
    return q + _carry(p, q, r, half, mode)


def round_divide(a: ArrayLike, n: ArrayLike, mode: str) -> IntArray:
    """``a / n`` rounded by `mode` (a Rounding), ``n > 0``."""
    mode = Rounding.of(mode)
    a, n = integers(a, "a"), integers(n, "n")
    if np.any(n <= 0):
        raise ValueError(f"round_divide: n must be positive, got {int(n.min())}")
    q = a // n  # floor
    r = a - q * n  # 0 <= r < n
    return q + _carry(a, q, r, n - r, mode)


def _carry(p: IntArray, q: IntArray, r: IntArray, half: IntArray, mode: Rounding) -> IntArray:
    """The 0 or 1 to add to the floor `q` of `p`, remainder `r`: ``r > half`` is above the middle, ``r == half`` a tie."""
    if mode is Rounding.FLOOR:
        return np.zeros_like(q)
    if mode is Rounding.TRUNC:
        return ((p < 0) & (r > 0)).astype(np.int64)
    up = {Rounding.HALF_UP: True, Rounding.HALF_EVEN: (q & 1) == 1, Rounding.HALF_AWAY: p >= 0}[mode]
    carry: IntArray = ((r > half) | ((r == half) & up)).astype(np.int64)
    return carry


def rounding_terms(e: IntArray, mode: str) -> tuple[IntArray, int, IntArray]:
    """The terms ``(add, odd, neg)`` with which one formula rounds in every mode, for shifts ``1 <= e <= 62``.

    ``round(p / 2**e) = (p + add + (odd & (p >> e)) + (neg if p < 0)) >> e`` for ``|p| <= 2**62``.
    """
    mode = Rounding.of(mode)
    half, none = np.int64(1) << (np.asarray(e, np.int64) - 1), np.zeros_like(np.asarray(e, np.int64))
    terms = {
        Rounding.FLOOR: (none, 0, none),
        Rounding.TRUNC: (none, 0, 2 * (half - 1) + 1),
        Rounding.HALF_UP: (half, 0, none),
        Rounding.HALF_EVEN: (half - 1, 1, none),
        Rounding.HALF_AWAY: (half, 0, none - 1),
    }
    return terms[mode]


def divide(a: ArrayLike, b: ArrayLike, mode: str) -> IntArray:
    """The integer quotient of `a` by `b`, rounded by `mode` (a Division); ``b = 0`` raises ValueError."""
    mode = Division.of(mode)
    a, b = integers(a, "a"), integers(b, "b")
    if np.any(b == 0):
        raise ValueError("divide: division by zero")
    if np.any((b == -1) & (a == np.iinfo(np.int64).min)):
        raise ValueError("divide: -2**63 / -1 does not fit 64 bits")
    q = a // b  # floor
    return q if mode is Division.FLOOR else q + ((q < 0) & (q * b != a))


def saturate(x: ArrayLike, fmt: Format) -> IntArray:
    """`x` clamped to the range of `fmt`."""
    return np.minimum(np.maximum(integers(x, "x"), fmt.lo), fmt.hi)


def wrap(x: ArrayLike, fmt: Format) -> IntArray:
    """`x` modulo 2**bits in `fmt`: the low bits, read as two's complement (unsigned for u8)."""
    if fmt == I64:
        return integers(x, "x")
    low_bits, sign = fmt.hi - fmt.lo, -fmt.lo
    return ((integers(x, "x") & low_bits) ^ sign) - sign


def forbid(x: ArrayLike, fmt: Format, name: str = "value") -> IntArray:
    """`x` unchanged; a ValueError reports `name`, index and value of the first element outside `fmt`."""
    x = integers(x, name)
    outside = (x < fmt.lo) | (x > fmt.hi)
    if outside.any():
        index = first_index(outside)
        raise ValueError(f"{name}{index} = {int(x[tuple(index)])} is outside {fmt} [{fmt.lo}, {fmt.hi}]")
    return x


def overflow(x: IntArray, rule: Overflow, name: str, fmt: Format = I32) -> IntArray:
    """Apply the dialect's overflow `rule` to intermediates outside `fmt`: keep them, wrap them, or raise ValueError."""
    if rule is Overflow.WRAP32:
        return wrap(x, fmt)
    return forbid(x, fmt, name) if rule is Overflow.FORBID else x


def first_index(mask: NDArray[np.bool_]) -> list[int]:
    """The index of the first True of `mask` in C order."""
    return [int(i) for i in np.unravel_index(int(np.argmax(mask)), mask.shape)]


def isqrt(v: ArrayLike, mode: str) -> IntArray:
    """The integer square root of ``v >= 0`` (64 bits, unsigned), as uint64; `mode` is a Sqrt.

    ``newton10`` takes ten steps ``k = (k + v // k) // 2`` from 2**16 and does not converge for small `v`: 0 gives 64.
    """
    mode = Sqrt.of(mode)
    v = integers(v, "v") if getattr(v, "symbolic", False) else np.asanyarray(v)
    if v.dtype != np.uint64:
        v = integers(v, "v")
        if np.any(v < 0):
            raise ValueError(f"isqrt: v must not be negative, got {int(v.min())}")
        v = v.astype(np.uint64)
    if mode is Sqrt.NEWTON10:
        k = np.full_like(v, 1 << 16)
        for _ in range(10):
            k = (k + v // k) >> np.uint64(1)
        return k
    root = np.zeros_like(v)
    for bit in range(31, -1, -1):  # one bit of the root at a time, highest first
        tried = root + np.uint64(1 << bit)
        root = np.where(tried * tried <= v, tried, root)
    return root[()]  # a scalar for a scalar


def counting(n: int) -> IntArray:
    """The integers from 0 to n - 1."""
    symbolic = getattr(n, "counting", None)  # of a trace, see intsim.symbols
    return np.arange(n, dtype=np.int64) if symbolic is None else symbolic()


def whole_root(n: int) -> int:
    """The root of a length that is a square."""
    root: int = getattr(n, "root", 0) or math.isqrt(n)  # a symbolic square knows its root
    return root


def dyadic(f: Any) -> tuple[Any, Any]:
    """The multiplier and shift ``(m, e)`` with ``f ~ m * 2**-e``: 31 bits of mantissa, ties away from zero, sign in m.

    `f` is a finite real factor, or a sequence of them (then `m` and `e` are int64 arrays). Zero gives ``(0, 31)``. Raises
    ValueError if e is not in 1..62: the factor is too large or too small for a 31-bit multiplier.
    Source: I-ViT's batch_frexp.
    """
    if isinstance(f, Sequence) or np.ndim(f):
        pairs = np.array([_dyadic(float(v)) for v in np.ravel(f)], np.int64).reshape(-1, 2)
        return pairs[:, 0].reshape(np.shape(f)), pairs[:, 1].reshape(np.shape(f))
    return _dyadic(float(f))


def _dyadic(f: float) -> tuple[int, int]:
    if not math.isfinite(f):
        raise ValueError(f"dyadic: the factor must be finite, got {f}")
    mantissa, exponent = math.frexp(abs(f))  # |f| = mantissa * 2**exponent, mantissa in [1/2, 1)
    m = (int(math.ldexp(mantissa, 53)) + (1 << 21)) >> 22  # mantissa * 2**31 to nearest; its 53 bits are exact
    e = 31 - exponent
    if m == 2**31:
        m, e = 2**30, e - 1
    if not 1 <= e <= 62:
        raise ValueError(f"dyadic: factor {f:g} needs a shift of {e}, outside 1..62; its scales are too far apart")
    return (-m if f < 0 else m), e
