"""Position embeddings for pictures of another size, resized before anything is quantized."""

from __future__ import annotations

import numpy as np

from ..arith import AnyArray
from ..errors import IntsimError


def resized_positions(value: AnyArray, extra: int, old: tuple[int, int], new: tuple[int, int]) -> AnyArray:
    """Position embeddings [1, extra + tokens, D] for another grid of patches, interpolated bilinearly.

    The `extra` tokens in front keep theirs. Raises IntsimError where `value` does not hold the `old` grid.
    """
    if old[0] * old[1] != value.shape[1] - extra:
        raise IntsimError(
            f"there are {value.shape[1]} position embeddings; due are {extra} and those of the {old[0]} x {old[1]} patches "
            "of the trained size"
        )
    if old == new:
        return value
    grid = value[0, extra:].astype(np.float64).reshape(*old, -1)
    rows, columns = (bilinear(size, wanted) for size, wanted in zip(old, new, strict=True))
    grid = np.einsum("hy,wx,yxd->hwd", rows, columns, grid, optimize=True)
    return np.concatenate([value[0, :extra], grid.reshape(new[0] * new[1], -1)])[None]


def bilinear(size: int, wanted: int) -> AnyArray:
    """The matrix [wanted, size] that interpolates linearly between the centres of `size` cells, clamped at the ends."""
    place = np.maximum((np.arange(wanted) + 0.5) * (size / wanted) - 0.5, 0)
    left = np.minimum(place.astype(np.int64), size - 1)
    right, share = np.minimum(left + 1, size - 1), place - left
    matrix = np.zeros((wanted, size))
    matrix[np.arange(wanted), left] = 1 - share
    matrix[np.arange(wanted), right] += share
    return matrix
