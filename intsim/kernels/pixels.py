"""Pixels in patches: the table of each channel, and the order in which the first linear layer takes them."""

from __future__ import annotations

from ..arith import IntArray
from ..arith.jit import kernel
from .crew import own_rows
from .threads import over_rows


@kernel
def _rows(crew: int, start: int, stop: int, image: IntArray, table: IntArray, size: int, wide: int, out: IntArray) -> int:
    stop = own_rows(crew, start, stop)
    height, width, channels = image.shape
    for patch in range(start, stop):
        top, left = patch // wide * size, patch % wide * size
        inside = top + size <= height and left + size <= width
        for c in range(channels):
            entries = table[c]
            for k in range(size):
                target = out[patch, c, k]
                if inside:
                    line = image[top + k, left : left + size]
                    for i in range(size):
                        target[i] = entries[line[i, c]]
                else:
                    for i in range(size):
                        seen = top + k < height and left + i < width
                        target[i] = entries[image[top + k, left + i, c]] if seen else 0
    return -1


def pixels_in_patches(image: IntArray, table: IntArray, size: int, out: IntArray) -> None:
    """``out[i * w + j, c, k, l] = table[c, image[i * size + k, j * size + l, c]]``, 0 outside of the image.

    `image` is u8 [H, W, C], `table` i8 [C, 256], `out` i8 [h * w, C, size, size] with ``w = ceil(W / size)``.
    """
    pixels = image.view()
    pixels.flags.writeable = False  # as some pictures are: the kernel is compiled for such arrays alone
    over_rows(_rows, len(out), pixels, table, size, -(-image.shape[1] // size), out)
