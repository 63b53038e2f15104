"""ita_streaming_softmax(x i8, width, top): ITA's softmax of rows that arrive in chunks, with a running maximum.

For every chunk of `width` logits, the last one may be shorter:

    new    = max(old, max(chunk))                            old = -128, sum = 0 at first
    sum    = (sum >> octaves(new - old)) + sum(256 >> octaves(new - chunk))
    octaves(d) = (d + 16) >> 5

and then, with the maximum and the sum of the whole row:

    inv = (top * 256) // sum
    out = inv >> octaves(max - x)

A sum that is renormalised loses what is shifted out, and octaves of two steps do not add up to those of one: the result
depends on the chunks.

Arguments: `x` is i8 ``[..., tokens]`` at the scale ``ln 2 / 32``; `width` is the number of logits of a chunk, 16 in ITA;
`top` as in `ita_softmax`.
Result: ``0 <= out <= top``, in 9 bits. Scale: ``1 / top``.
Source: Islamoglu et al. 2023, ITA, section IV (softmax); ITAPartialMax in pulp-platform/Deeploy.

>>> from intsim_example_operators import ita_softmax, ita_streaming_softmax
>>> x = [0, 20, 40, 60, 80, 100]
>>> ita_streaming_softmax.OP(x, width=2, top=255)  # chunks of two logits
array([12, 12, 24, 48, 48, 97], dtype=int16)
>>> ita_softmax.OP(x, top=255)
array([ 12,  12,  25,  51,  51, 102], dtype=int16)
"""

from __future__ import annotations

import numpy as np

from intsim.arith import I8, IntArray, signed
from intsim.dialects import Dialect
from intsim.ops import Op, Param
from intsim.symbols.shapes import form

from .ita_softmax import TOP, octaves, real

LENGTHS = (64, 128, 256)  # of rows that have a C function: chunks are unrolled


def steps(x: IntArray, width: int, top: int, dialect: Dialect | None = None) -> dict[str, IntArray]:
    largest, total = np.full_like(x[..., :1], -128), np.zeros_like(x[..., :1])
    for start in range(0, x.shape[-1], width):
        chunk = x[..., start : min(start + width, x.shape[-1])]
        new = np.maximum(largest, chunk.max(axis=-1, keepdims=True))
        part = (256 >> octaves(np.maximum(new - chunk, 0))).sum(axis=-1, keepdims=True)
        total = (total >> octaves(new - largest)) + part
        largest = new
    total = np.maximum(total, 256)  # the chunk of the row's maximum adds 256
    inverse = (top * 256) // total
    shift = octaves(np.maximum(largest - x, 0))
    return {"max": largest, "sum": total, "inverse": inverse, "shift": shift, "out": inverse >> shift}


OP = Op(
    name="ita_streaming_softmax",
    steps=steps,
    inputs={"x": I8},
    params={"width": Param.integer(1, 65536), "top": TOP},
    result=signed(9),
    forms=tuple(form(f"_{n}", {"width": 16}, x=f"rows {n}") for n in LENGTHS),
    scale=lambda inputs, node: 1 / node.params["top"],
    real=real,
    approximates="softmax",
)
