"""Strategies for integers, rows, tensors, multipliers, dialects. The simplest comes first: Hypothesis shrinks towards it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arith import I32, Format, IntArray, format_named
from ..dialects import CHOICES, DIALECTS, Dialect
from ..errors import IntsimError
from ._hypothesis import st

LONGEST = 1025  # elements of a row: the tokens of 512 x 512 pixels in patches of 16, and the class token
FREE = 16  # elements of a row generated one by one; longer rows repeat them
DISTINCT = 4  # rows of a tensor generated one by one; further ones repeat them
SMALL = 40
NOT_ARITHMETIC = (
    "softmax_n",
    "softmax_bits",
    "gelu_n",
    "gelu_bits",
    "gelu",
)  # these set parameters when a network is lowered


def _format(fmt: Format | str) -> Format:
    return fmt if isinstance(fmt, Format) else format_named(fmt)


def integers(fmt: Format | str) -> st.SearchStrategy[int]:
    """Integers of a format (``"i8"``): small ones, any, and the values near its ends and near 0."""
    fmt = _format(fmt)
    ends = [v for v in (0, -1, 1, fmt.lo, fmt.hi, fmt.lo + 1, fmt.hi - 1, -2, 2) if fmt.holds(v, v)]
    small = st.integers(min(max(fmt.lo, -SMALL), fmt.hi), max(min(fmt.hi, SMALL), fmt.lo))
    return small | st.integers(fmt.lo, fmt.hi) | st.sampled_from(ends)


def lengths(longest: int) -> st.SearchStrategy[int]:
    """Lengths of a row, mostly short ones."""
    return st.integers(1, min(8, longest)) | st.integers(1, min(40, longest)) | st.integers(1, longest)


@st.composite
def rows(draw: st.DrawFn, fmt: Format | str, max_length: int = LONGEST) -> IntArray:
    """A row [1 to max_length] in the format's NumPy type: all equal, all negative, one spike, a single element, ascending,
    the format's ends, or anything. Long rows repeat a short pattern.
    """
    fmt = _format(fmt)
    if max_length < 1:
        raise IntsimError(f"rows of up to {max_length} elements: at least 1 is expected")
    return row(draw, fmt, draw(lengths(max_length)))


@st.composite
def tensors(
    draw: st.DrawFn,
    fmt: Format | str,
    shape: tuple[int, ...] | None = None,
    columns: int | None = None,
    max_length: int = LONGEST,
) -> IntArray:
    """An array in the format's NumPy type: of `shape`, [1 to 3, columns], or [1 to 3, up to max_length]. Its rows are like
    those of `rows`, or its elements count up from the first to the last.
    """
    fmt = _format(fmt)
    if shape is None:
        shape = (draw(st.integers(1, 3)), columns if columns is not None else draw(lengths(max_length)))
    if not shape or min(shape) < 1:
        raise IntsimError(f"tensors of shape {list(shape)}: every axis needs at least one element")
    size, n = int(np.prod(shape)), shape[-1]
    if draw(st.integers(0, 4)) == 4:
        start = draw(integers(fmt))
        counted = fmt.lo + (start - fmt.lo + np.arange(size, dtype=np.int64)) % (fmt.hi - fmt.lo + 1)
        return counted.astype(fmt.dtype).reshape(shape)
    distinct = np.stack([row(draw, fmt, n) for _ in range(min(size // n, DISTINCT))])
    return np.resize(distinct, shape)


def row(draw: st.DrawFn, fmt: Format, n: int) -> IntArray:
    """One row of `n` elements."""
    kinds = ["any", "ends", "spike", "ascending"] + ["negative"] * (fmt.lo < 0)
    kind = draw(st.sampled_from(kinds))
    values: IntArray
    if kind == "spike":
        values = np.full(n, draw(integers(fmt)), np.int64)
        values[draw(st.integers(0, n - 1))] = draw(integers(fmt))
    elif kind == "ascending":
        start, step = draw(integers(fmt)), draw(st.integers(1, max(1, (fmt.hi - fmt.lo) // n)))
        values = np.minimum(start + step * np.arange(n, dtype=np.int64), fmt.hi)
    else:
        ends = st.sampled_from([fmt.hi, fmt.lo])
        negative = integers(Format("negative", fmt.lo, -1)) if fmt.lo < 0 else ends
        values = pattern(draw, {"any": integers(fmt), "ends": ends, "negative": negative}[kind], n)
    return values.astype(fmt.dtype)


def pattern(draw: st.DrawFn, element: st.SearchStrategy[int], n: int) -> IntArray:
    """`n` int64 elements: at most the first `FREE` are generated, the others repeat them."""
    period = draw(st.integers(1, min(n, FREE)))
    return np.resize(np.array(draw(st.lists(element, min_size=period, max_size=period)), np.int64), n)


@st.composite
def multipliers(draw: st.DrawFn, channels: int | None = None) -> tuple[Any, Any]:
    """A multiplier and a shift ``(m, e)`` of requant: two integers, or i32 and i8 arrays [channels].

    Signed powers of two whose products tie, full 31-bit mantissas as from `arith.dyadic`, and the ends of both ranges.
    """
    if channels is None:
        return draw(_multiplier)
    if channels < 1:
        raise IntsimError(f"multipliers({channels}): at least 1 channel is expected")
    count = min(channels, DISTINCT)
    pairs = draw(st.lists(_multiplier, min_size=count, max_size=count))
    m, e = (np.resize(np.array(part), channels) for part in zip(*pairs, strict=True))
    return m.astype(np.int32), e.astype(np.int8)


@st.composite
def _tying(draw: st.DrawFn) -> tuple[int, int]:
    """A multiplier of plus or minus 2**k and a shift by 1 to 4 more; with a shift of k + 1 every odd number ties."""
    k = draw(st.integers(0, 30))
    return draw(st.sampled_from([1, -1])) << k, k + draw(st.integers(1, 4))


_multiplier = st.one_of(
    _tying(),
    st.tuples(st.integers(2**30, I32.hi), st.integers(28, 45)),
    st.tuples(st.integers(I32.lo, -(2**30)), st.integers(28, 45)),
    st.tuples(integers(I32), st.integers(1, 62) | st.sampled_from([1, 31, 32, 62])),
)


@st.composite
def dialects(draw: st.DrawFn) -> Dialect:
    """One of the built-in dialects, or any mixture of their arithmetic choices."""
    base = DIALECTS[draw(st.sampled_from(list(DIALECTS)))]
    if not draw(st.booleans()):
        return base
    keys = [key for key in CHOICES if key not in NOT_ARITHMETIC]
    return base.replace(name="mixture", **{key: draw(st.sampled_from(list(CHOICES[key]))) for key in keys})
