"""An approximation of a team's own: softmax whose exponentials come from a table of 16 entries."""

import numpy as np

TABLE = np.array([round(2**12 * 2 ** (-(i + 0.5) / 16)) for i in range(16)])  # 2**-f in 12 bits, f in the middle of its step


def exponential(x, x0, n):
    """exp(s * x) * -x0 * 2**n for x <= 0, where s = -1 / x0: a shift and a table."""
    t = np.maximum(x + (x >> 1) - (x >> 4), n * x0)  # x * log2(e)
    q, r = np.divmod(t, x0)
    return ((TABLE[r * 16 // x0] * -x0) << n) >> (q + 12)


def table_shiftmax(x, x0, n, b):
    """Softmax of every row of x [rows, columns]."""
    x = x.astype(np.int64)
    e = exponential(x - x.max(axis=-1, keepdims=True), x0, n)
    factor = (2**31 - 1) // np.minimum(e.sum(axis=-1, keepdims=True), 2**31 - 1)
    return (e * factor) >> (32 - b)
