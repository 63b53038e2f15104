"""linear or matmul with the following nodes: ``requant(x @ w.T + bias)``, and the residual sum after it.

Weights are packed once per graph. Sums are requantized, and the other branch is added, while they are in the L1 cache. A
linear layer whose i32 sums are observed is a step too, so that its packed weights are reused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...arith import IntArray, signed
from ...kernels import gemm
from ...kernels.scaling import Scaling, scaling
from ..graph import Node
from . import moves
from .scalings import scaling_of
from .step import Links, Step

WORDS = 1 << 15  # the largest magnitude of an i16


def match(links: Links, node: Node) -> Step | None:
    """A product and the requantization after it, or a linear layer alone, and movements of whole rows around it."""
    if node.op == "matmul":
        requant = links.after(node, "requant")
        return None if requant is None else _matmul(links, node, requant)
    before = moves.chain(links, node)
    linear = links.after(before[-1], "linear") if before else node if node.op == "linear" else None
    order = moves.order_of_rows(links, before) if linear and before else gemm.IN_ORDER
    return None if linear is None or order is None else _linear(links, before, linear, order)


def _linear(links: Links, before: Sequence[Node], node: Node, order: IntArray) -> Step | None:
    requant = links.after(node, "requant")
    if requant is None and before:
        return None
    weight, bias = np.asarray(node.params["weight"]), np.asarray(node.params["bias"])
    packed = links.prepared(node, "packed", lambda: gemm.pack(weight[None], np.dtype(np.int8), bias))
    after, residual = ([], None) if requant is None else _residual(links, requant)
    if after and (moved := moves.order_of_rows(links, after)) is not None:
        order = order[moved] if len(order) else moved
    nodes = (*before, *(part for part in (node, requant, *after, residual) if part is not None))
    shape, dtype = links.tensor(nodes[-1]).shape, links.tensor(nodes[-1]).fmt.dtype
    rows = (1, math.prod(shape[:-1]), shape[-1])
    constants = scaling_of(links, requant) if requant is not None else None
    arms = _arms(links, residual, nodes[-2]) if residual is not None else None

    def compute(inputs: Sequence[IntArray]) -> IntArray:
        left = np.ascontiguousarray(inputs[0]).reshape(1, -1, weight.shape[1])
        out = np.empty(shape, dtype)
        if constants is None:
            gemm.packed_product(left, packed, out.reshape(rows))
        elif arms is None:
            gemm.scaled_product(left, packed, constants, out.reshape(rows), order)
        else:
            other = np.ascontiguousarray(inputs[1]).reshape(rows)
            gemm.added_product(left, packed, constants, arms, other, out.reshape(rows), order)
        return out

    others = () if residual is None else tuple(name for name in residual.inputs if name != nodes[-2].name)
    return Step(nodes, (*nodes[0].inputs, *others), compute)


def _residual(links: Links, requant: Node) -> tuple[list[Node], Node | None]:
    """The residual sum after a requantization, if both have at most 16 bits and the sum is not the narrower one.

    Before it, movements of whole rows.
    """
    users = links.users.get(requant.name, [])
    after = moves.chain(links, users[0]) if len(users) == 1 and requant.name not in links.kept else []
    residual = links.after(after[-1] if after else requant, "residual_add")
    if residual is None or len({links.graph.tensors[name].shape for name in residual.inputs}) > 1:
        return [], None
    if after and moves.order_of_rows(links, after) is None:
        return [], None
    sizes = [links.graph.tensors[name].fmt.dtype.itemsize for name in (*residual.inputs, residual.name, requant.name)]
    return (after, residual) if max(sizes) <= 2 and sizes[2] >= sizes[3] else ([], None)


def _arms(links: Links, residual: Node, product: Node) -> tuple[Scaling, Scaling]:
    """The constants of the two arms: that of the product, and that of the other branch."""

    def make() -> tuple[Scaling, Scaling]:
        params, shape = residual.params, links.tensor(residual).shape
        rounding, fmt = links.graph.dialect.requant_rounding, signed(int(params["b"]))
        a, c = (scaling(params[f"m{arm}"], params[f"e{arm}"], rounding, fmt, shape[-1], WORDS) for arm in "ac")
        return (a, c) if residual.inputs[0] == product.name else (c, a)

    return links.prepared(residual, "arms", make)


def _matmul(links: Links, node: Node, requant: Node) -> Step:
    shape, dtype = links.tensor(requant).shape, links.tensor(requant).fmt.dtype
    batches = math.prod(shape[:-2])
    constants = scaling_of(links, requant)

    def compute(inputs: Sequence[IntArray]) -> IntArray:
        a, b = inputs
        columns = b if node.params["transpose_b"] else b.swapaxes(-1, -2)
        packed = gemm.pack(columns.reshape(batches, *columns.shape[-2:]), a.dtype)
        out = np.empty(shape, dtype)
        left = a.reshape(batches, *a.shape[-2:])
        gemm.scaled_product(left, packed, constants, out.reshape(batches, *shape[-2:]))
        return out

    return Step((node, requant), node.inputs, compute)
