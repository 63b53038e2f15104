"""linear or matmul, and the requantization that follows: ``requant(x @ w.T + bias)``.

The weights are packed once a graph; sums are requantized while they are in the first cache. A linear layer whose i32 sums
are wanted is a step as well, for the packed weights' sake.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..arith import signed
from ..graph import Node
from ..kernels import gemm
from ..kernels.scaling import Scaling, scaling
from .step import Links, Step


def match(links: Links, node: Node) -> Step | None:
    """A product with the requantization after it, or a linear layer alone."""
    if node.op not in ("linear", "matmul"):
        return None
    requant = links.after(node, "requant")
    if node.op == "matmul":
        return None if requant is None else _matmul(links, node, requant)
    return _linear(links, node, requant)


def scaling_of(links: Links, requant: Node) -> Scaling:
    """The constants of a requantization."""

    def make() -> Scaling:
        params = requant.params
        columns = links.tensor(requant).shape[-1]
        rounding = links.graph.dialect.requant_rounding
        return scaling(params["m"], params["e"], rounding, signed(int(params["b"])), columns)

    return links.prepared(requant, "scaling", make)


def _linear(links: Links, node: Node, requant: Node | None) -> Step:
    weight, bias = np.asarray(node.params["weight"]), np.asarray(node.params["bias"])
    packed = links.prepared(node, "packed", lambda: gemm.pack(weight[None], np.dtype(np.int8)))
    last = requant or node
    shape, dtype = links.tensor(last).shape, links.tensor(last).fmt.dtype
    constants = scaling_of(links, requant) if requant is not None else None

    def compute(inputs: Sequence[NDArray]) -> NDArray:
        left = np.ascontiguousarray(inputs[0]).reshape(1, -1, weight.shape[1])
        out = np.empty(shape, dtype)
        result = out.reshape(1, -1, shape[-1])
        if constants is None:
            gemm.packed_product(left, packed, bias, result)
        else:
            gemm.scaled_product(left, packed, bias, constants, result)
        return out

    return Step((node,) if requant is None else (node, requant), node.inputs, compute)


def _matmul(links: Links, node: Node, requant: Node) -> Step:
    shape, dtype = links.tensor(requant).shape, links.tensor(requant).fmt.dtype
    batches = math.prod(shape[:-2])
    constants = scaling_of(links, requant)

    def compute(inputs: Sequence[NDArray]) -> NDArray:
        a, b = inputs
        columns = b if node.params["transpose_b"] else b.swapaxes(-1, -2)
        packed = gemm.pack(columns.reshape(batches, *columns.shape[-2:]), a.dtype)
        out = np.empty(shape, dtype)
        left = a.reshape(batches, *a.shape[-2:])
        gemm.scaled_product(left, packed, 0, constants, out.reshape(batches, *shape[-2:]))
        return out

    return Step((node, requant), node.inputs, compute)
