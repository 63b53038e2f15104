"""GELU and the following requantization: the result depends on an i8 and the maximum of its row, so it is one table.

The reference computes the table, from a row ``[.., min(x, top), .., top]`` for every maximum.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...arith import I8, IntArray
from ...kernels.row_table import look_up
from ..graph import Node, operator
from .step import Links, Step


def match(links: Links, node: Node) -> Step | None:
    """A GELU and the requantization after it, if that has one multiplier for all channels."""
    requant = links.after(node, "requant") if node.op in ("shiftgelu", "lambda_shiftgelu") else None
    if (
        requant is None
        or links.tensor(requant).fmt is not I8
        or np.ndim(requant.params["m"])
        or np.ndim(requant.params["e"])
    ):
        return None
    table = links.prepared(node, "table", lambda: _table(links, node, requant))
    if table is None:
        return None

    def compute(inputs: Sequence[IntArray]) -> IntArray:
        out = np.empty(inputs[0].shape, table.dtype)
        look_up(inputs[0], table, out)
        return out

    return Step((node, requant), node.inputs, compute)


def _table(links: Links, node: Node, requant: Node) -> IntArray | None:
    """The results for every maximum (from -128 up) and input (from 127 down), [256, 256]; None if some row has no result."""
    tops = np.arange(I8.lo, I8.hi + 1, dtype=np.int8)
    value = np.minimum(tops[::-1], tops[:, None])
    try:
        for part in (node, requant):
            params, out = dict(part.params), links.tensor(part)
            value = operator(part).compute("ref", [value], params, links.graph.dialect, out)
    except ValueError:
        return None
    return value
