"""The integer matrix product: every row of the output is a sum of rows of the right-hand matrix.

The right-hand matrix is read row by row (k, then all columns), which lets the compiler use whole vectors without any
reordering; integer sums are exact, so order would not matter anyway.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..arith.jit import kernel
from .threads import over_rows


@kernel
def _rows(start, stop, a, b, bias, out):
    rows, depth, columns = a.shape[1], a.shape[2], b.shape[2]
    for row in range(start, stop):
        batch, i = row // rows, row % rows
        right = min(batch, b.shape[0] - 1)  # one right-hand matrix may serve every batch
        for j in range(columns):
            out[batch, i, j] = bias[j]
        for k in range(depth):
            left = int(a[batch, i, k])
            for j in range(columns):
                out[batch, i, j] = int(out[batch, i, j]) + left * int(b[right, k, j])
    return -1


def product(a: NDArray, b: NDArray, bias: NDArray, out: NDArray) -> None:
    """``out[i] = a[i] @ b[i] + bias``; a is (B, M, K), b (B or 1, K, N), bias (N), out (B, M, N) int32 or int64.

    The caller has proved that no partial sum leaves `out`'s type.
    """
    over_rows(_rows, a.shape[0] * a.shape[1], a, np.ascontiguousarray(b), bias, out)
