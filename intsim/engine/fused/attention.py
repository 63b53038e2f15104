"""Attention: ``requant(shiftmax(requant(q @ k.T)) @ v)``, five nodes, without an array of tokens x tokens.

The result has the memory layout of `merge_heads`, which then copies nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...arith import IntArray
from ...kernels.attention import attention
from ...ops.shiftmax import tables
from ..graph import Node
from .scalings import scaling_of
from .step import Links, Step


def match(links: Links, node: Node) -> Step | None:
    """The five nodes from the product of queries and keys on, if their formats are those of attention."""
    if node.op != "matmul" or not node.params["transpose_b"]:
        return None
    requant = links.after(node, "requant")
    softmax = requant and links.after(requant, "shiftmax")
    weighted = softmax and links.after(softmax, "matmul")
    last = weighted and links.after(weighted, "requant")
    if requant is None or softmax is None or weighted is None or last is None:
        return None
    if weighted.inputs[0] != softmax.name or weighted.params["transpose_b"]:
        return None
    (q, k), v = node.inputs, weighted.inputs[1]
    shapes = [links.graph.tensors[name].shape for name in (q, k, v)]
    types = {links.graph.tensors[name].fmt.dtype for name in (q, k, v)}
    if types != {np.dtype(np.int8)} or any(len(shape) != 3 for shape in shapes):
        return None
    params = softmax.params
    logits_type = links.tensor(requant).fmt.dtype
    constants = tables(int(params["x0"]), int(params["n"]), int(params["b"]), links.graph.dialect, logits_type)
    if constants is None:
        return None
    near, far = scaling_of(links, requant), scaling_of(links, last)
    heads, queries, depth = links.tensor(last).shape
    dtype = links.tensor(last).fmt.dtype

    def compute(inputs: Sequence[IntArray]) -> IntArray | None:
        out = np.empty((queries, heads, depth), dtype).swapaxes(0, 1)
        queries_keys_values = (inputs[0], inputs[1], inputs[2])
        return out if attention(*queries_keys_values, near, logits_type, constants, far, out) else None

    return Step((node, requant, softmax, weighted, last), (q, k, v), compute)
