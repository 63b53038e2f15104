"""masked_shiftmax(x i16, regions i8, x0, n, b): shiftmax where a token sees only tokens of its own region, as in Swin.

    seen[i, j] = regions[window, i] == regions[window, j]
    M = max(x) over what is seen                    per row
    e = shift_exp(x - M, x0, n)                     where seen
    e = -x0                                         elsewhere: the exponential of its floor, n * x0
    S, f, p                                         as in shiftmax

Arguments: `x` is i8 or i16 ``[..., windows, heads, tokens, tokens]``, `regions` ``[windows, tokens]``; of the region numbers
only equality counts; `x0`, `n` and `b` are those of shiftmax.
Result: as in shiftmax.
Scale: as in shiftmax.
Conditions: token i always sees itself, so that every row has a maximum. With one region the result is that of shiftmax.
Note: the published network adds -100 to the real logit of what is not seen, and its exponential floors ``n / 1.4375`` below
the maximum (10.4 for n = 15). As long as ``255 * s <= 100 - n * (1 + s) / 1.4375`` (for n = 15, s up to a third), no i8
logit is large enough to come back above the floor, and what is not seen keeps the floor's small share rather than none.
Source: I-ViT's Shiftmax in Swin Transformer.

>>> import intsim.ops as ops
>>> x, two = [[[[9, 20], [40, 0]]]], [[0, 1]]  # one window of one head; its two tokens do not see each other
>>> ops.masked_shiftmax(x, two, x0=-20, n=15, b=16, dialect="isegmenter").tolist()
[[[[32760, 0], [0, 32760]]]]
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..arith import I8, I16, ExpSum, FloatArray, IntArray, Overflow, TensorBound
from ..arith.jit import kernel
from ..dialects import Dialect
from ..kernels.crew import own_rows
from ..kernels.exponentials import DIFFERENCES, Softmax
from ..kernels.logits import bytes_of_rows
from ..kernels.lookup import Lookup, lookup
from ..kernels.shiftmax_rows import masked_rows, shiftmax_rows
from ..kernels.threads import over_rows
from ..symbols.shapes import form
from ._op import Op
from ._param import Param, require, rows_of
from .shift_exp import PRECISION, X0
from .shift_exp import steps as exponential
from .shiftmax import BITS, normalised, normalised_row, tables
from .shiftmax import OP as SHIFTMAX
from .shiftmax import infer as shiftmax_bounds

LOWEST = -(1 << 62)  # below any logit


def steps(x: IntArray, regions: IntArray, x0: int, n: int, b: int, dialect: Dialect) -> dict[str, IntArray]:
    seen = visible(regions)[:, None]  # (windows, 1, tokens, tokens)
    top = np.where(seen, x, LOWEST).max(axis=-1, keepdims=True)
    below = np.where(seen, np.minimum(x - top, 0), 0)  # what is seen is at most the maximum
    e = np.where(seen, exponential(below, x0, n, dialect)["out"], -x0)
    return {"max": top, "exp": e, **normalised(e, b, dialect, "masked_shiftmax")}


def visible(regions: IntArray) -> NDArray[np.bool_]:
    """Whether token i of a window sees token j, as [windows, tokens, tokens]."""
    seen: NDArray[np.bool_] = regions[:, :, None] == regions[:, None, :]
    return seen


def undivided(regions: IntArray) -> NDArray[np.bool_]:
    """Whether every token of a window sees every other, as [windows]."""
    return np.asarray((regions == regions[:, :1]).all(axis=1))


@kernel
def _rows(
    crew: int,
    start: int,
    stop: int,
    x: IntArray,
    regions: IntArray,
    heads: int,
    exponentials: IntArray,
    floor: int,
    b: int,
    wraps: bool,
    wraps_sum: bool,
    out: IntArray,
) -> int:
    stop = own_rows(crew, start, stop)
    tokens = x.shape[1]
    e = np.empty(tokens, np.int64)
    for row in range(start, stop):
        own = regions[row // (heads * tokens) % len(regions)]
        i = row % tokens
        top = int(x[row, i])
        for j in range(tokens):
            if own[j] == own[i]:
                top = max(top, int(x[row, j]))
        for j in range(tokens):
            e[j] = exponentials[top - int(x[row, j])] if own[j] == own[i] else floor
        if not normalised_row(e, b, wraps, wraps_sum, out[row]):
            return row
    return -1


@kernel
def _table_rows(
    crew: int,
    start: int,
    stop: int,
    x: IntArray,
    whole: NDArray[np.bool_],
    softmax: Softmax,
    how: Lookup,
    regions: IntArray,
    heads: int,
    floor: int,
    out: IntArray,
) -> int:
    stop = own_rows(crew, start, stop)
    size = heads * x.shape[1]
    near = np.empty((size, x.shape[1]), np.int8)
    row = start
    while row < stop:
        end = min(stop, (row // size + 1) * size)
        if whole[row // size % len(regions)]:
            bytes_of_rows(x[row:end], end - row, x.shape[1], near)
            refused = shiftmax_rows(near, end - row, softmax, how, out[row:end])
            if refused >= 0:
                return row + refused
        else:
            own = regions[row // size % len(regions)]
            end = min(end, row - row % x.shape[1] + x.shape[1])  # the end of this head
            refused = masked_rows(x[row:end], end - row, row % x.shape[1], own, floor, softmax, out[row:end])
            if refused >= 0:
                return row + refused
        row = end
    return -1


def fast(x: IntArray, regions: IntArray, x0: int, n: int, b: int, dialect: Dialect, out: IntArray) -> IntArray | None:
    if x.dtype == object:  # Python integers, as tests pass
        return steps(x, regions.astype(np.int64), x0, n, b, dialect)["out"]
    rows, result = rows_of(x), rows_of(out)
    constants, heads = tables(x0, n, b, dialect, x.dtype), x.shape[-3]
    if constants is None:
        wraps = (dialect.overflow is Overflow.WRAP32, dialect.exp_sum is ExpSum.WRAP32)
        differences = np.arange(DIFFERENCES if x.dtype == np.int8 else 1 << 16, dtype=np.int64)
        e = exponential(-differences, x0, n, dialect)["out"]
        refused = over_rows(_rows, len(rows), rows, regions, heads, e, -x0, b, *wraps, result)
    else:
        whole = undivided(regions)
        refused = over_rows(_table_rows, len(rows), rows, whole, constants, lookup(), regions, heads, -x0, result)
    if refused >= 0:
        steps(x.astype(np.int64), regions.astype(np.int64), x0, n, b, dialect)  # the reference raises the error
    return None


def infer(x: TensorBound, regions: IntArray, x0: int, n: int, b: int, dialect: Dialect) -> TensorBound:
    require(len(x.shape) >= 4, f"expected logits [..., windows, heads, tokens, tokens], not {list(x.shape)}")
    expected = (x.shape[-4], x.shape[-1])
    require(x.shape[-2] == x.shape[-1], f"the logits of a window are square, not {x.shape[-2]} x {x.shape[-1]}")
    require(regions.shape == expected, f"regions are {list(regions.shape)}, expected {list(expected)}, [windows, tokens]")
    return shiftmax_bounds(x, x0, n, b, dialect)


def real(x: FloatArray, regions: IntArray) -> FloatArray:
    """Softmax over what is seen, in real numbers."""
    seen = visible(regions)[:, None]
    assert SHIFTMAX.real is not None
    return np.asarray(SHIFTMAX.real(np.where(seen, x, -np.inf)))


OP = Op(
    steps=steps,
    fast=fast,
    infer=infer,
    inputs={"x": I16},
    params={"regions": Param(I8, (2,)), "x0": X0, "n": PRECISION, "b": BITS},
    forms=(form(x="outer windows heads tokens tokens", regions="windows tokens"),),
    choices=SHIFTMAX.choices,
    scale=SHIFTMAX.scale,
    real=real,
    approximates="masked_softmax",
)
