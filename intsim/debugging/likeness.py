"""How alike two tensors are: 1 where they are equal, else the correlation of some of their elements, at least 0."""

from __future__ import annotations

import numpy as np

from ..arith import FloatArray, IntArray

SAMPLE = 1 << 14  # elements that are correlated


def likeness(a: IntArray, b: IntArray) -> float:
    """How alike two tensors are, 0 to 1; those of different shapes are not."""
    if a.shape != b.shape:
        return 0.0
    if np.array_equal(a, b):
        return 1.0
    return max(0.0, float(profile(a) @ profile(b)))


def profile(value: IntArray) -> FloatArray:
    """Some elements, centred and of length 1, so that two profiles multiply to their correlation."""
    flat = value.reshape(-1)
    some = flat[np.linspace(0, len(flat) - 1, min(len(flat), SAMPLE)).astype(int)].astype(np.float64)
    centred: FloatArray = some - some.mean()
    length = max(float(np.sqrt(centred @ centred)), 1e-9)
    return np.asarray(centred / length)
