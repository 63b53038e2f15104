"""A team's own shiftmax, as its hardware computes it: 16 exponentials at a time, a 32-bit sum, one division per row."""

import numpy as np

LANES = 16


def exponential(x, x0, n):
    """exp of the differences to the row maximum, by shifts and one division."""
    t = np.maximum(x + (x >> 1) - (x >> 4), n * x0)
    q = t // x0
    r = t - q * x0
    return ((r - 2 * x0) << (n - q)) >> 1


def shiftmax(x, x0, n, b):
    """Shiftmax of every row of x [rows, columns]."""
    return normalised(x.astype(np.int64), x.max(axis=-1, keepdims=True), x0, n, b)


def first_shiftmax(x, x0, n, b):
    """The first version. It initialises the register of the row maximum to 0."""
    return normalised(x.astype(np.int64), x.max(axis=-1, keepdims=True, initial=0), x0, n, b)


def normalised(x, top, x0, n, b):
    """Exponentials divided by their sum."""
    e = exponential(x - top, x0, n)
    total = np.zeros(e.shape[:-1], np.int64)
    for first in range(0, e.shape[-1], LANES):
        total = np.minimum(total + e[..., first : first + LANES].sum(axis=-1), 2**31 - 1)
    factor = (2**31 - 1) // total[..., None]
    return (e * factor) >> (32 - b)
