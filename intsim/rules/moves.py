"""The operators that only move values, each with the mistakes that move values to the wrong places.

`DEVIATING_MOVES` maps an operator to a function of its inputs, parameters, dialect and deviations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..arith import IntArray
from ..dialects import Dialect
from ..ops import REGISTRY

Arrays: TypeAlias = Sequence[IntArray]
Params: TypeAlias = Mapping[str, Any]
Deviations: TypeAlias = Mapping[str, Any]


class NotApplicable(ValueError):
    """A mistake that these inputs leave no room for: a single row has no previous one."""


def _patches(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    x = REGISTRY["patches"].steps(arrays[0], **p)["out"]
    area = p["size"] ** 2
    return x.reshape(*x.shape[:-1], -1, area).swapaxes(-1, -2).reshape(x.shape)


def _heads(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    x = arrays[0]
    tokens, channels, heads = x.shape[-2], x.shape[-1], p["heads"]
    if deviations["heads"] == "not_transposed":
        return x.reshape(*x.shape[:-2], heads, tokens, channels // heads)
    return np.moveaxis(x.reshape(*x.shape[:-1], channels // heads, heads), -1, -3)


def _merge_heads(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    x = arrays[0]
    heads, tokens, d = x.shape[-3:]
    if deviations["heads"] == "not_transposed":
        return x.reshape(*x.shape[:-3], tokens, heads * d)
    return np.moveaxis(x, -3, -1).reshape(*x.shape[:-3], tokens, heads * d)


def _concat(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    return np.concatenate(list(reversed(arrays)), axis=p["axis"])


def _roll(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    return np.roll(arrays[0], (-p["rows"], -p["columns"]), axis=(-3, -2))


def _windows(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    x, size = arrays[0], p["size"]
    *leading, height, width, channels = x.shape
    expected = (*leading, height // size * (width // size), size * size, channels)
    if deviations["windows"] == "not_transposed":
        return x.reshape(expected)
    cut = x.reshape(*leading, height // size, size, width // size, size, channels)
    return np.moveaxis(cut, -3, -5).reshape(expected)


def _merge_windows(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    x = arrays[0]
    *leading, height, width, channels = expected = REGISTRY["merge_windows"].steps(x, **p)["out"].shape
    if deviations["windows"] == "not_transposed":
        return x.reshape(expected)
    size = math.isqrt(x.shape[-2])
    cut = x.reshape(*leading, width // size, height // size, size, size, channels)
    return np.moveaxis(cut, -5, -3).reshape(expected)


def _merge_patches(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    x = arrays[0]
    return np.concatenate([x[..., i::2, j::2, :] for i in (0, 1) for j in (0, 1)], axis=-1)


def _relative_positions(arrays: Arrays, p: Params, dialect: Dialect, deviations: Deviations) -> IntArray:
    return REGISTRY["relative_positions"].steps(arrays[0], **p)["out"].swapaxes(-1, -2)


DEVIATING_MOVES: dict[str, Callable[[Arrays, Params, Dialect, Deviations], IntArray]] = {
    "patches": _patches,
    "heads": _heads,
    "merge_heads": _merge_heads,
    "concat": _concat,
    "roll": _roll,
    "windows": _windows,
    "merge_windows": _merge_windows,
    "merge_patches": _merge_patches,
    "relative_positions": _relative_positions,
}
