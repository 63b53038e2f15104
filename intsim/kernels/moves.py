"""Movement of whole pieces of memory: windows of a picture, patches, rolled rows."""

from __future__ import annotations

import numpy as np

from ..arith import IntArray
from ..arith.jit import kernel
from .crew import own_rows
from .threads import over_rows

WORDS = (np.uint64, np.uint32, np.uint16, np.uint8)  # a piece is copied by the widest of which it has a whole number
NOTHING = -1  # instead of a piece: zeros


@kernel
def _pieces(crew: int, start: int, stop: int, x: IntArray, index: IntArray, out: IntArray) -> int:
    stop = own_rows(crew, start, stop)
    for piece in range(start, stop):
        target = out[piece]
        if index[piece] == NOTHING:
            target[:] = 0
        else:
            source = x[index[piece]]
            for j in range(len(target)):
                target[j] = source[j]
    return -1


def move_pieces(x: IntArray, index: IntArray, size: int, out: IntArray) -> None:
    """``out[i] = x[index[i]]``, in pieces of `size` elements; `x` and `out` are contiguous and of one type.

    `index` is i64 [pieces of out]; NOTHING stands for zeros.
    """
    word = next(word for word in WORDS if size * x.itemsize % np.dtype(word).itemsize == 0)
    source: IntArray = x.reshape(-1, size).view(word)
    target: IntArray = out.reshape(-1, size).view(word)
    over_rows(_pieces, len(target), source, index, target)
