"""patches(x, size): an image cut into square patches, one per row.

    out[i * w + j, (c * size + k) * size + l] = x[i * size + k, j * size + l, c]        0 outside x

Arguments: `x` is ``[..., H, W, C]``. Zeros are added below and to the right up to whole patches (after input_lut, where zero
is the mean colour).
Result: ``[..., h*w, C*size*size]`` with h = ceil(H/size) and w = ceil(W/size): patches row by row and, inside a patch,
channel by channel, as the weight ``[out, C, size, size]`` of a convolution is flattened.

>>> import numpy as np, intsim.ops as ops
>>> ops.patches(np.arange(8).reshape(2, 4, 1), size=2)
array([[0, 1, 4, 5],
       [2, 3, 6, 7]])
"""

from __future__ import annotations

import numpy as np

from ..arith import IntArray
from ..dialects import Dialect
from ..symbols.shapes import form
from ._move import data_movement
from ._param import Param, require


def steps(x: IntArray, size: int, dialect: Dialect | None = None) -> dict[str, IntArray]:
    *leading, height, width, channels = x.shape
    h, w = -(-height // size), -(-width // size)
    behind = ((0, h * size - height), (0, w * size - width), (0, 0))
    padded = np.pad(x, ((0, 0),) * len(leading) + behind)
    cut = padded.reshape(*leading, h, size, w, size, channels)
    return {"out": np.moveaxis(cut, (-4, -2, -1), (-2, -1, -3)).reshape(*leading, h * w, channels * size * size)}


def shape(x: tuple[int, ...], size: int) -> tuple[int, ...]:
    require(len(x) >= 3, f"expected an image [H, W, C], not {list(x)}")
    *leading, height, width, channels = x
    return (*leading, -(-height // size) * -(-width // size), channels * size * size)


OP = data_movement(
    steps, shape, ("x",), {"size": Param.integer(1, 1024)}, pads=True, forms=(form(x="outer height width channels"),)
)
