"""Position embeddings for pictures of another size, resized before quantization."""

from __future__ import annotations

import numpy as np

from ..arith import AnyArray
from ..errors import IntsimError


def resized_positions(value: AnyArray, extra: int, old: tuple[int, int], new: tuple[int, int]) -> AnyArray:
    """Position embeddings [1, extra + tokens, D] for another grid of patches, interpolated bilinearly.

    The embeddings of the `extra` tokens in front are kept. Raises IntsimError where `value` does not fit the `old` grid.
    """
    if old[0] * old[1] != value.shape[1] - extra:
        raise IntsimError(
            f"{value.shape[1]} position embeddings; expected {extra} and those of the {old[0]} x {old[1]} patches "
            "of the trained size"
        )
    if old == new:
        return value
    grid = value[0, extra:].astype(np.float64).reshape(*old, -1)
    rows, columns = (bilinear(size, new_size) for size, new_size in zip(old, new, strict=True))
    grid = np.einsum("hy,wx,yxd->hwd", rows, columns, grid, optimize=True)
    return np.concatenate([value[0, :extra], grid.reshape(new[0] * new[1], -1)])[None]


def bilinear(size: int, new_size: int) -> AnyArray:
    """The matrix [new_size, size] that interpolates linearly between the centres of `size` cells, clamped at the ends."""
    place = np.maximum((np.arange(new_size) + 0.5) * (size / new_size) - 0.5, 0)
    left = np.minimum(place.astype(np.int64), size - 1)
    right, share = np.minimum(left + 1, size - 1), place - left
    matrix = np.zeros((new_size, size))
    matrix[np.arange(new_size), left] = 1 - share
    matrix[np.arange(new_size), right] += share
    return matrix
