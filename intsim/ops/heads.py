"""heads(x, heads): the channels of tokens split into attention heads.

    out[h, t, j] = x[t, h * d + j]

Arguments: `x` is ``[..., tokens, heads*d]``, one head after the other.
Result: ``[..., heads, tokens, d]``.

>>> import intsim.ops as ops
>>> ops.heads([[1, 2, 3, 4], [5, 6, 7, 8]], heads=2).tolist()
[[[1, 2], [5, 6]], [[3, 4], [7, 8]]]
"""

from __future__ import annotations

from ..arith import IntArray
from ..dialects import Dialect
from ..symbols.shapes import form
from ._move import data_movement
from ._param import Param, require


def steps(x: IntArray, heads: int, dialect: Dialect | None = None) -> dict[str, IntArray]:
    split = x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads)
    return {"out": split.swapaxes(-2, -3)}


def shape(x: tuple[int, ...], heads: int) -> tuple[int, ...]:
    require(len(x) >= 2, f"expected tokens [..., tokens, channels], not {list(x)}")
    require(x[-1] % heads == 0, f"{x[-1]} channels do not split into {heads} heads")
    return (*x[:-2], heads, x[-2], x[-1] // heads)


OP = data_movement(steps, shape, ("x",), {"heads": Param.integer(1, 65536)}, forms=(form(x="outer tokens heads*depth"),))
