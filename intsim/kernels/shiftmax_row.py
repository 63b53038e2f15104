"""One row of shiftmax by tables: of an i8 row's differences to its maximum there are only 256."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arith import INT32_MAX
from ..arith import compiled as c
from ..arith.jit import kernel
from .lookup import map_chunks, sum_chunks

DIFFERENCES = 256


class Softmax(NamedTuple):
    """The constants of one shiftmax: exponentials of ``0, -1 .. -255`` (i32, and by planes), how sums and products wrap."""

    exponentials: NDArray
    planes: NDArray
    shift: int
    wraps_sum: bool
    wraps: bool


@kernel
def shiftmax_row(x, softmax, how, table, out):
    """Probabilities of the row `x` (i8) into `out`; False where the wrapped sum is 0.

    `table` is room for the 256 probabilities a row can have, i16.
    """
    top = int(x[0])
    for j in range(1, len(x)):
        top = max(top, int(x[j]))
    total, done = sum_chunks(how, x, top, softmax.planes)
    for j in range(done, len(x)):
        total += int(softmax.exponentials[(top - int(x[j])) & 255])
    total = c.wrap32(total) if softmax.wraps_sum else min(total, INT32_MAX)
    if total == 0:
        return False
    f = np.int32(INT32_MAX // total)
    if softmax.wraps:
        for difference in range(DIFFERENCES):
            table[difference] = c.wrap32(int(softmax.exponentials[difference]) * int(f)) >> softmax.shift
    else:
        for difference in range(DIFFERENCES):
            table[difference] = (int(softmax.exponentials[difference]) * int(f)) >> softmax.shift
    for j in range(map_chunks(how, x, top, table, out), len(x)):
        out[j] = table[(top - int(x[j])) & 255]
    return True
