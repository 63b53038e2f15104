"""Generates the arguments of operators that only move values: `MOVING` maps a name to a function of a `CallDraft`."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..arith import IntArray
from ._hypothesis import st
from .draft import MOVED, Arguments, CallDraft
from .values import tensors


def _grid_of_channels(d: CallDraft) -> IntArray:
    """An input [height, width, channels]."""
    return d.tensor(d.draw(MOVED), d.side(6), d.side(6), last=d.last(longest=4))


def _patches(d: CallDraft) -> Arguments:
    return [_grid_of_channels(d)], {"size": d.param("size", st.integers(1, 4))}


def _heads(d: CallDraft) -> Arguments:
    if d.shape is not None or d.columns is not None:
        columns = d.last()
        heads = d.param("heads", st.sampled_from([h for h in range(1, columns + 1) if columns % h == 0]))
    else:
        heads = d.param("heads", st.integers(1, 4))
        columns = heads * d.side()
    return [d.tensor(d.draw(MOVED), d.side(), last=columns)], {"heads": heads}


def _merge_heads(d: CallDraft) -> Arguments:
    return [d.tensor(d.draw(MOVED), d.side(), d.side(), last=d.last(longest=8))], {}


def _grid(d: CallDraft) -> Arguments:
    rows = d.shape[-2] if d.shape is not None and len(d.shape) > 1 else None
    heights = [h for h in range(1, rows + 1) if rows % h == 0] if rows else range(1, 5)
    height = d.param("height", st.sampled_from(heights))
    return [d.tensor(d.draw(MOVED), height * d.side(), last=d.last(longest=8))], {"height": height}


def _slice(d: CallDraft) -> Arguments:
    x = d.tensor(d.draw(MOVED), d.side(6), last=d.last(longest=8))
    axis = d.param("axis", st.integers(-x.ndim, -1))
    size = x.shape[axis] if -x.ndim <= axis < 0 else 1
    start = d.param("start", st.integers(0, size - 1))
    return [x], {"axis": axis, "start": start, "stop": d.param("stop", st.integers(min(start + 1, size), size))}


def _concat(d: CallDraft) -> Arguments:
    fmt = d.draw(MOVED)
    first = d.tensor(fmt, d.side(), last=d.last(longest=8))
    axis = d.param("axis", st.integers(-first.ndim, -1))
    xs = [first]
    for _ in range(d.draw(st.integers(0, 2))):
        shape = list(first.shape)
        if -first.ndim <= axis < 0:
            shape[axis] = d.side()
        xs.append(d.draw(tensors(fmt, tuple(shape))))
    return xs, {"axis": axis}


def _upsample_nearest(d: CallDraft) -> Arguments:
    leading = (d.side(), d.side()) if d.draw(st.booleans()) else (d.side(),)
    x = d.tensor(d.draw(MOVED), *leading, last=d.last(longest=4))
    return [x], {"factor": d.param("factor", st.integers(1, 4))}


def _tokens(d: CallDraft) -> Arguments:
    return [_grid_of_channels(d)], {}


def _roll(d: CallDraft) -> Arguments:
    x, shift = _grid_of_channels(d), st.integers(-8, 8)
    return [x], {"rows": d.param("rows", shift), "columns": d.param("columns", shift)}


def _windows(d: CallDraft) -> Arguments:
    if d.shape is not None and len(d.shape) > 2:
        size = d.draw(st.sampled_from(_divisors(math.gcd(*d.shape[-3:-1]))))
    else:
        size = d.fixed.get("size", d.side(3))
    x = d.tensor(d.draw(MOVED), size * d.side(3), size * d.side(3), last=d.last(longest=4))
    return [x], {"size": d.param("size", st.just(size))}


def _merge_windows(d: CallDraft) -> Arguments:
    if d.shape is not None and len(d.shape) > 2:
        size = math.isqrt(d.shape[-2])
        height = size * d.draw(st.sampled_from(_divisors(d.shape[-3])))
        x = d.tensor(d.draw(MOVED), last=d.last())
    else:
        size = (
            d.draw(st.sampled_from([k for k in _divisors(d.fixed["height"]) if k < 4])) if "height" in d.fixed else d.side(3)
        )
        height = d.fixed.get("height", size * d.side(3))
        x = d.tensor(d.draw(MOVED), height // size * d.side(3), size * size, last=d.last(longest=4))
    return [x], {"height": d.param("height", st.just(height))}


def _merge_patches(d: CallDraft) -> Arguments:
    return [d.tensor(d.draw(MOVED), 2 * d.side(3), 2 * d.side(3), last=d.last(longest=4))], {}


def _relative_positions(d: CallDraft) -> Arguments:
    rows = d.shape[0] if d.shape is not None else 0
    size = (math.isqrt(rows) + 1) // 2 if rows else d.fixed.get("size", d.side())
    table = d.tensor(d.draw(MOVED), (2 * size - 1) ** 2, last=d.last(longest=4))
    return [table], {"size": d.param("size", st.just(size))}


def _divisors(n: int) -> list[int]:
    return [k for k in range(1, n + 1) if n % k == 0]


MOVING: dict[str, Callable[[CallDraft], Arguments]] = {
    "patches": _patches,
    "heads": _heads,
    "merge_heads": _merge_heads,
    "grid": _grid,
    "slice": _slice,
    "concat": _concat,
    "upsample_nearest": _upsample_nearest,
    "tokens": _tokens,
    "roll": _roll,
    "windows": _windows,
    "merge_windows": _merge_windows,
    "merge_patches": _merge_patches,
    "relative_positions": _relative_positions,
}
