"""input_lut(image u8, table i8): normalisation and quantization of pixels by one table per channel.

    out[..., c] = table[c, image[..., c]]
    table[c, v] = saturate(round_half_even(((v/255 - mean) / std) / s), 8)      computed offline

Arguments: `image` is ``[..., channels]``, `table` ``[channels, 256]`` (three channels in the networks here).
Result: i8 in the shape of `image`.
Scale: s.
Note: padding to whole patches adds zeros *after* the table.

>>> import numpy as np, intsim.ops as ops
>>> ops.input_lut([[[0, 255]]], np.stack([np.arange(-128, 128), np.arange(127, -129, -1)]))
array([[[-128, -128]]], dtype=int8)
"""

from __future__ import annotations

from ..arith import I8, U8, FloatArray, IntArray, TensorBound, counting
from ..arith.jit import kernel
from ..dialects import Dialect
from ..kernels.crew import own_rows
from ..kernels.threads import over_rows
from ..symbols.shapes import form
from ._op import Op
from ._param import Param, require, rows_of


def steps(image: IntArray, table: IntArray, dialect: Dialect | None = None) -> dict[str, IntArray]:
    channels = counting(table.shape[0])
    return {"out": table[channels, image]}


@kernel
def _rows(crew: int, start: int, stop: int, image: IntArray, table: IntArray, out: IntArray) -> int:
    stop = own_rows(crew, start, stop)
    for row in range(start, stop):
        for channel in range(image.shape[1]):
            out[row, channel] = table[channel, image[row, channel]]
    return -1


def fast(image: IntArray, table: IntArray, dialect: Dialect | None, out: IntArray) -> None:
    pixels, result = rows_of(image), rows_of(out)
    over_rows(_rows, len(pixels), pixels, table, result)


def infer(image: TensorBound, table: IntArray, dialect: Dialect | None = None) -> TensorBound:
    require(table.shape[1] == 256, f"expected a table with 256 entries per channel, not {table.shape[1]}")
    require(image.shape[-1] == len(table), f"the image has {image.shape[-1]} channels, the table {len(table)}")
    return TensorBound(image.shape, I8, int(table.min()), int(table.max()))


def real(image: IntArray, mean: FloatArray, std: FloatArray) -> FloatArray:
    """Normalisation of 8-bit pixels, in real numbers."""
    return (image / 255 - mean) / std


OP = Op(
    steps=steps,
    fast=fast,
    infer=infer,
    inputs={"image": U8},
    params={"table": Param(I8, (2,))},
    forms=(form(image="pixels channels", table="channels 256"),),
    scale=lambda inputs, node: node.scale,
    real=real,
    approximates="normalize",
)
