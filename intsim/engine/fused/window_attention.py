"""Attention within windows: ``requant(shiftmax(requant(q @ k.T) + bias) @ v)``, plain or masked, with a constant bias.

The bias is scaled once per graph; the nodes that compute it are part of the step. The result has the memory layout of
`merge_heads`, which then copies nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...arith import I8, I32, IntArray, round_shift
from ...kernels.lookup import CHUNK
from ...kernels.scaling import Scaling, scaling
from ...kernels.window_attention import Seen, window_attention
from ...ops.masked_shiftmax import undivided
from ...ops.shiftmax import tables
from ..graph import CONSTANT, Node, operator
from .scalings import scaling_of
from .step import Links, Step


class _Chain(NamedTuple):
    """The nodes of one attention, from the product of queries and keys to the requantized context."""

    logits: Node
    requant: Node
    biased: Node
    softmax: Node
    weighted: Node
    context: Node


def match(links: Links, node: Node) -> Step | None:
    """The nodes from the product of queries and keys on, if their formats are those of attention within windows."""
    chain = _chain(links, node)
    if chain is None or chain.biased.inputs[0] != chain.requant.name:
        return None
    (q, k), v = node.inputs, chain.weighted.inputs[1]
    shapes = [links.graph.tensors[name].shape for name in (q, k, v)]
    types = {links.graph.tensors[name].fmt.dtype for name in (q, k, v)}
    logits_types = {links.tensor(node).fmt.dtype for node in (chain.requant, chain.biased)}
    if types != {np.dtype(np.int8)} or len(logits_types) > 1 or len(set(shapes)) > 1 or len(shapes[0]) != 4:
        return None
    arms = [chain.biased.params[key] for key in ("ma", "ea", "mc", "ec")]
    bias = _bias(links, chain.biased.inputs[1])
    if bias is None or any(np.ndim(value) for value in arms):
        return None
    params, dialect = chain.softmax.params, links.graph.dialect
    (logits_type,) = logits_types
    constants = tables(int(params["x0"]), int(params["n"]), int(params["b"]), dialect, logits_type)
    if constants is None:
        return None

    def make() -> tuple[Scaling, IntArray] | None:
        ma, ea, mc, ec = (int(arm) for arm in arms)
        scaled = round_shift(_value(bias).astype(np.int64) * mc, ec, dialect.requant_rounding)
        # Half of i32, so that the sum with scaled logits of 16 bits fits i32, too.
        fits = scaled.min() >= I32.lo // 2 and scaled.max() <= I32.hi // 2
        filled = np.pad(scaled, ((0, 0), (0, 0), (0, filling)))
        return (scaling(ma, ea, dialect.requant_rounding, fmt, tokens, 1 << 15), filled.astype(np.int32)) if fits else None

    windows, heads, tokens, depth = shapes[0]
    fmt, filling = links.tensor(chain.biased).fmt, -tokens % CHUNK
    biased = links.prepared(chain.biased, "bias", make)
    regions = np.asarray(params.get("regions", np.zeros((windows, tokens), np.int8)))
    if biased is None or not I8.holds(int(regions.min()), int(regions.max())):
        return None
    seen = Seen(np.pad(regions, ((0, 0), (0, filling))).astype(np.int8), undivided(regions), -int(params["x0"]))
    near, far = scaling_of(links, chain.requant), scaling_of(links, chain.context)
    dtype = links.tensor(chain.context).fmt.dtype

    def compute(inputs: Sequence[IntArray]) -> IntArray | None:
        out = np.empty((windows, tokens, heads, depth), dtype).swapaxes(1, 2)
        rest = (near, logits_type, *biased, constants, seen, far, out)
        return out if window_attention(inputs[0], inputs[1], inputs[2], *rest) else None

    if all(len(links.users[part.name]) == 1 and part.name not in links.kept for part in bias):
        return Step((chain.logits, chain.requant, *bias, *chain[2:]), (q, k, v), compute)
    return Step(tuple(chain), (q, k, v, chain.biased.inputs[1]), compute)


def _chain(links: Links, node: Node) -> _Chain | None:
    if node.op != "matmul" or not node.params["transpose_b"]:
        return None
    nodes = [node]
    for ops in (("requant",), ("residual_add",), ("shiftmax", "masked_shiftmax"), ("matmul",), ("requant",)):
        following = next((user for op in ops if (user := links.after(nodes[-1], op)) is not None), None)
        if following is None:
            return None
        nodes.append(following)
    chain = _Chain(*nodes)
    weighs = chain.weighted.inputs[0] == chain.softmax.name and not chain.weighted.params["transpose_b"]
    return chain if weighs else None


def _bias(links: Links, name: str) -> tuple[Node, ...] | None:
    """The nodes that compute a constant bias [heads, tokens, tokens]: a constant, and operators that only move data."""
    nodes: list[Node] = []
    while True:
        node = links.graph.by_name[name]
        nodes.insert(0, node)
        if node.op == CONSTANT:
            return tuple(nodes) if len(links.graph.tensors[nodes[-1].name].shape) == 3 else None
        if len(node.inputs) != 1 or node.op == "input" or not operator(node).moves:
            return None
        name = node.inputs[0]


def _value(nodes: Sequence[Node]) -> IntArray:
    """The value of a chain of nodes that starts with a constant."""
    value = np.asarray(nodes[0].params["value"])
    for node in nodes[1:]:
        value = operator(node)(value, **node.params)
    return value
