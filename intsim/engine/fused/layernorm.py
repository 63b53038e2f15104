"""layernorm and the following requantization, row by row, without an array of the i32 result."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...arith import I32, IntArray
from ...ops.layernorm import scaled_rows
from ..graph import Node
from .scalings import scaling_of
from .step import Links, Step


def match(links: Links, node: Node) -> Step | None:
    """A layer norm and the requantization after it, if the intermediate result is proved to be i32."""
    requant = links.after(node, "requant") if node.op == "layernorm" else None
    if requant is None or links.tensor(node).fmt is not I32:
        return None
    constants = scaling_of(links, requant)
    bias, dialect = np.asarray(node.params["bias"]), links.graph.dialect
    shape, dtype = links.tensor(requant).shape, links.tensor(requant).fmt.dtype

    def compute(inputs: Sequence[IntArray]) -> IntArray:
        out = np.empty(shape, dtype)
        scaled_rows(inputs[0], bias, dialect, constants, out)
        return out

    return Step((node, requant), node.inputs, compute)
