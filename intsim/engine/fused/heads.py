"""Attention with the data movement around it: the split into heads of queries, keys and values, and the merge, as views.

Each of these nodes is cheap, but there are five per attention.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...arith import IntArray
from ..graph import Node
from . import attention, window_attention
from .step import Links, Step


def match(links: Links, node: Node) -> Step | None:
    """The split into heads, three slices of it, the attention on these slices, and the merge of heads after it."""
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
    merged = links.after(inner.nodes[-1], "merge_heads")
    ends = [(int(part.params["start"]), int(part.params["stop"])) for part in slices]
    count = int(node.params["heads"])
    shape = () if merged is None else links.tensor(merged).shape

    def compute(inputs: Sequence[IntArray]) -> IntArray | None:
        x = inputs[0]
        heads = x.reshape(*x.shape[:-1], count, x.shape[-1] // count).swapaxes(-2, -3)
        out = inner.compute([*(heads[..., start:stop, :, :] for start, stop in ends), *inputs[1:]])
        if out is None or merged is None:
            return out
        return out.swapaxes(-2, -3).reshape(shape)

    nodes = (node, *slices, *inner.nodes, *(() if merged is None else (merged,)))
    return Step(nodes, (*node.inputs, *inner.inputs[3:]), compute)


def _alone(links: Links, node: Node) -> bool:
    """Whether the value has a single user and is not observed."""
    return len(links.users[node.name]) == 1 and node.name not in links.kept
