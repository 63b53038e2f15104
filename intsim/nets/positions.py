"""Position embeddings for pictures of another size, resized before quantization."""

from __future__ import annotations

from functools import partial

import numpy as np

from ..arith import AnyArray
from ..errors import IntsimError

BILINEAR, BICUBIC, SMOOTH = "bilinear", "bicubic", "bicubic with antialiasing"  # ways to resize
SHARPNESS = {BICUBIC: -0.75, SMOOTH: -0.5}  # of the cubic, as PyTorch has it


def resized_positions(
    value: AnyArray, extra: int, old: tuple[int, int], new: tuple[int, int], how: str = BILINEAR
) -> AnyArray:
    """Position embeddings [1, extra + tokens, D] for another grid of patches, interpolated as `how` says.

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
    matrix = bilinear if how == BILINEAR else partial(bicubic, how=how)
    rows, columns = (matrix(size, new_size) for size, new_size in zip(old, new, strict=True))
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


def bicubic(size: int, new_size: int, how: str) -> AnyArray:
    """The matrix [new_size, size] of Keys' cubic between the centres of `size` cells.

    Without antialiasing cells beyond the ends are those at the ends; with it, the cubic is as wide as a new cell, and what
    is beyond the ends is left out, as PyTorch and Pillow do.
    """
    place = (np.arange(new_size) + 0.5) * (size / new_size) - 0.5
    if how == BICUBIC:
        left = np.floor(place).astype(np.int64)
        matrix = np.zeros((new_size, size))
        for step in (-1, 0, 1, 2):
            cell = np.clip(left + step, 0, size - 1)
            np.add.at(matrix, (np.arange(new_size), cell), _cubic(place - (left + step), SHARPNESS[how]))
        return matrix
    stretch = max(size / new_size, 1.0)
    weights = _cubic((np.arange(size)[None] - place[:, None]) / stretch, SHARPNESS[how])
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _cubic(x: AnyArray, a: float) -> AnyArray:
    """Keys' cubic convolution kernel with parameter `a`."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))
