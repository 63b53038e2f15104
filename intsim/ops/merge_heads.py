"""merge_heads(x): the inverse of heads.

    out[t, h * d + j] = x[h, t, j]

Arguments: `x` is ``[..., heads, tokens, d]``.
Result: ``[..., tokens, heads*d]``.

>>> import intsim.ops as ops
>>> ops.merge_heads([[[1, 2], [5, 6]], [[3, 4], [7, 8]]]).tolist()
[[1, 2, 3, 4], [5, 6, 7, 8]]
"""

from __future__ import annotations

from ..arith import IntArray
from ..dialects import Dialect
from ..symbols.shapes import form
from ._move import data_movement
from ._param import require


def steps(x: IntArray, dialect: Dialect | None = None) -> dict[str, IntArray]:
    heads, tokens, d = x.shape[-3:]
    return {"out": x.swapaxes(-2, -3).reshape(*x.shape[:-3], tokens, heads * d)}


def shape(x: tuple[int, ...]) -> tuple[int, ...]:
    require(len(x) >= 3, f"expected heads [..., heads, tokens, d], not {list(x)}")
    return (*x[:-3], x[-2], x[-3] * x[-1])


OP = data_movement(steps, shape, ("x",), {}, forms=(form(x="outer heads tokens depth"),))
