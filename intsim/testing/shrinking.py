"""Shrinks a failing call: Hypothesis has shrunk its own choices, here the arguments themselves are made smaller."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..arith import IntArray
from .calls import Call

BUDGET = 1500  # calls tried
ONE_BY_ONE = 48  # arrays up to this size are made smaller element by element


def shrunk(call: Call, fails: Callable[[Call], bool], fixed: Mapping[str, Any], extents: frozenset[int]) -> Call:
    """The smallest call found that still `fails`: fewer elements, numbers nearer to 0.

    The parameters `fixed` and axes of the lengths `extents` are not changed.
    """
    left = BUDGET
    shrinks = True
    while shrinks and left:
        shrinks = False
        for smaller in smaller_calls(call, fixed, extents):
            left -= 1
            if fails(smaller):
                call, shrinks = smaller, True
                break
            if not left:
                break
    return call


def smaller_calls(call: Call, fixed: Mapping[str, Any], extents: frozenset[int]) -> Iterator[Call]:
    """Calls that are smaller in one respect, the largest steps first."""
    free = {key: value for key, value in call.params.items() if key not in fixed}
    arrays = [*call.inputs, *(v for v in free.values() if isinstance(v, np.ndarray))]
    lengths = {n for x in arrays for n in x.shape if n > 1} - extents - {n for v in fixed.values() for n in np.shape(v)}
    for n in sorted(lengths, reverse=True):
        for part in _cuts(n):
            inputs, params = [_cut(x, n, part) for x in call.inputs], {k: _cut(v, n, part) for k, v in free.items()}
            rows = [_cut(x, n, part, x.ndim - 1) for x in call.inputs]  # there may be as many as columns
            cuts = (_with(call, inputs, params), _with(call, rows, {}), _with(call, call.inputs, params))
            yield from (cut for cut in cuts if _size(cut) < _size(call))
    for key, value in free.items():
        if isinstance(value, np.ndarray):
            if 0 in call.operator.params[key].ndim:
                yield from (_with(call, call.inputs, {key: int(v)}) for v in dict.fromkeys(value.tolist()))
            yield from (_with(call, call.inputs, {key: array}) for array in _arrays(value))
        else:
            fmt = call.operator.params[key].fmt
            yield from (_with(call, call.inputs, {key: v}) for v in _numbers(value) if fmt.holds(v, v))
    for i, x in enumerate(call.inputs):
        for array in _arrays(x):
            yield _with(call, [*call.inputs[:i], array, *call.inputs[i + 1 :]], {})


def _with(call: Call, inputs: Any, params: Mapping[str, Any]) -> Call:
    return replace(call, inputs=tuple(inputs), params={**call.params, **params})


def _size(call: Call) -> int:
    """The number of integers in a call."""
    return sum(int(np.size(value)) for value in (*call.inputs, *call.params.values()))


def _cuts(n: int) -> Iterator[slice]:
    """Parts to leave out of an axis of length `n`, the longest first."""
    count = n - 1
    while count:
        places = range(n - count + 1) if n <= ONE_BY_ONE else (0, n - count)
        yield from (slice(first, first + count) for first in places)
        count //= 2


def _cut(value: Any, n: int, part: slice, axes: int = 8) -> Any:
    """An array without a part of those of its first `axes` axes that have the length `n`."""
    for axis in range(min(np.ndim(value), axes)):
        if value.shape[axis] == n:
            value = np.delete(value, part, axis)
    return value


def _arrays(value: IntArray) -> Iterator[IntArray]:
    """The array of zeros, and arrays with one element nearer to 0."""
    if value.any():
        yield np.zeros_like(value)
    for start in range(value.size if value.size <= ONE_BY_ONE else 0):
        for number in _numbers(int(value.flat[start])):
            smaller = value.copy()
            smaller.flat[start] = number
            yield smaller


def _numbers(value: int) -> Iterator[int]:
    """Numbers nearer to 0 than `value`: 0 first, then 1 or -1, then larger ones."""
    sign, most = (1 if value > 0 else -1), abs(value)
    steps = [0, sign, *(value - sign * (most >> k) for k in range(1, most.bit_length()))]
    yield from dict.fromkeys(v for v in steps if abs(v) < most)
