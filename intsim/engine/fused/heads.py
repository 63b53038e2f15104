"""Attention with the movements around it: heads cut out of queries, keys and values, and joined again, as views.

Each of those nodes costs next to nothing, and there are five of them to an attention.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...arith import IntArray
from ..graph import Node
from . import attention, window_attention
from .step import Links, Step


def match(links: Links, node: Node) -> Step | None:
    """From the cut into heads on: three slices of heads, the attention that takes them, and the heads joined after it."""
    slices = links.users.get(node.name, []) if node.op == "heads" and node.name not in links.kept else []
    if len(slices) != 3 or any(part.op != "slice" or part.params["axis"] != -3 for part in slices):
        return None
    product = links.after(slices[0], "matmul")
    inner = product and (attention.match(links, product) or window_attention.match(links, product))
    if (
        not inner
        or inner.inputs[:3] != tuple(part.name for part in slices)
        or not all(_alone(links, part) for part in slices)
    ):
        return None
    joined = links.after(inner.nodes[-1], "merge_heads")
    ends = [(int(part.params["start"]), int(part.params["stop"])) for part in slices]
    count = int(node.params["heads"])
    shape = () if joined is None else links.tensor(joined).shape

    def compute(inputs: Sequence[IntArray]) -> IntArray | None:
        x = inputs[0]
        heads = x.reshape(*x.shape[:-1], count, x.shape[-1] // count).swapaxes(-2, -3)
        out = inner.compute([*(heads[..., start:stop, :, :] for start, stop in ends), *inputs[1:]])
        if out is None or joined is None:
            return out
        return out.swapaxes(-2, -3).reshape(shape)

    nodes = (node, *slices, *inner.nodes, *(() if joined is None else (joined,)))
    return Step(nodes, (*node.inputs, *inner.inputs[3:]), compute)


def _alone(links: Links, node: Node) -> bool:
    """Whether a single node takes the value, and nobody wants to see it."""
    return len(links.users[node.name]) == 1 and node.name not in links.kept
