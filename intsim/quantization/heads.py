"""A scale per head: attention written head by head, so that the logits of each have eight bits of their own.

One scale for all heads belongs to the one with the largest logits, and leaves the others a few steps. Split, every head has
products, a requantization, an x0 and a softmax of its own; what is joined again are the weighted values, at one scale.
"""

from __future__ import annotations

from ..nets.real import LOGITS, RealGraph, RealNode

HEADS = -3  # the axis of heads in queries, keys, values and logits


def split_heads(net: RealGraph) -> RealGraph:
    """`net` with the same output, the nodes from its logits to the weighted values once per head.

    The nodes of a head are named ``<attention>.head<number>.<node>``; their joined result keeps its name.
    """
    shapes, result = net.shapes(), RealGraph()
    parts: dict[str, list[str]] = {}  # of a tensor that exists only by heads: its parts

    def cut(name: str, node: RealNode, head: int) -> str:
        """The part of one head; a tensor of all heads is cut for the node that needs it."""
        if name in parts:
            return parts[name][head]
        own = _of_head(node, head, name)
        result.nodes.append(RealNode(own, "slice", (name,), {"axis": HEADS, "start": head, "stop": head + 1}))
        return own

    for node in net.nodes:
        begins = node.op == "matmul" and node.kind == LOGITS
        if not begins and not any(name in parts for name in node.inputs):
            result.nodes.append(node)
            continue
        heads = shapes[node.name][HEADS]
        own = [_of_head(node, head, node.name) for head in range(heads)]
        for head, name in enumerate(own):
            inputs = tuple(cut(source, node, head) for source in node.inputs)
            result.nodes.append(RealNode(name, node.op, inputs, node.params, node.kind))
        if node.op == "matmul" and not begins:
            result.nodes.append(RealNode(node.name, "concat", tuple(own), {"axis": HEADS}, node.kind))
        else:
            parts[node.name] = own
    return result


def _of_head(node: RealNode, head: int, name: str) -> str:
    """The name of the part of a tensor that belongs to one head of the attention that `node` is part of."""
    return f"{node.name.rpartition('.')[0]}.head{head}.{name.rpartition('.')[2]}"
