"""Operators that only move values, one after the other, as one copy of pieces of memory by an index made once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...arith import IntArray
from ...kernels.moves import NOTHING, move_pieces
from ..graph import CONSTANT, INPUT, Node, operator
from . import heads, labels
from .step import Links, Step

SMALLEST = 8  # bytes of a piece, below which NumPy moves elements as fast
LARGEST = 1 << 21  # elements of a tensor whose movement is looked into, which takes a few words of memory each


def match(links: Links, node: Node) -> Step | None:
    """As many such operators of one input as follow each other, if they move pieces and the result is no part as it lies."""
    nodes = chain(links, node)
    if not nodes:
        return None
    shape, dtype = links.tensor(nodes[-1]).shape, links.tensor(node).fmt.dtype
    before = links.graph.tensors[node.inputs[0]]
    if max(math.prod(before.shape), math.prod(shape)) > LARGEST:
        return None
    index = links.prepared(nodes[-1], f"pieces after {node.name}", lambda: pieces(nodes, before.shape))
    size = math.prod(shape) // len(index)
    if (np.diff(index) == 1).all() or size * before.fmt.dtype.itemsize < SMALLEST or dtype != before.fmt.dtype:
        return None

    def compute(inputs: Sequence[IntArray]) -> IntArray:
        x = np.ascontiguousarray(inputs[0])
        out = np.empty(shape, x.dtype)
        move_pieces(x, index, size, out)
        return out

    return Step(tuple(nodes), node.inputs, compute)


def chain(links: Links, node: Node) -> list[Node]:
    """The node and those after it, as long as they move values; none if it does not."""
    nodes = [node] if _moves(node) else []
    while nodes and (following := _following(links, nodes[-1])) is not None:
        nodes.append(following)
    return nodes


def order_of_rows(links: Links, nodes: Sequence[Node]) -> IntArray | None:
    """The row of the last axis that each row of the result of moves is, i64; None where these do not move whole rows."""
    before, after = links.graph.tensors[nodes[0].inputs[0]].shape, links.tensor(nodes[-1]).shape
    if max(math.prod(before), math.prod(after)) > LARGEST or before[-1] != after[-1]:
        return None
    index = links.prepared(nodes[-1], f"pieces after {nodes[0].name}", lambda: pieces(nodes, before))
    size = math.prod(after) // len(index)
    if size % after[-1] or (index == NOTHING).any():
        return None
    each = size // after[-1]
    return (index[:, None] * each + np.arange(each)).reshape(-1)


def pieces(nodes: Sequence[Node], shape: tuple[int, ...]) -> IntArray:
    """Where each piece of the result comes from, in the largest pieces that stay whole; NOTHING for zeros."""
    positions: IntArray = np.arange(1, math.prod(shape) + 1, dtype=np.int32).reshape(shape)
    for node in nodes:
        positions = operator(node).steps(positions, **node.params)["out"]
    source = positions.reshape(-1) - 1  # NOTHING, where an operator put a zero
    follows = (np.diff(source) == 1) | ((source[1:] == NOTHING) & (source[:-1] == NOTHING))
    starts = np.concatenate(([0], np.flatnonzero(~follows) + 1))
    begins = source[starts]
    size = math.gcd(math.prod(shape), source.size, int(np.gcd.reduce(starts)), int(np.gcd.reduce(begins[begins != NOTHING])))
    return np.where(source[::size] == NOTHING, NOTHING, source[::size] // size).astype(np.int64)


def _moves(node: Node) -> bool:
    """Whether a node moves values in pieces; patches put the channels of a picture apart, element by element."""
    return node.op not in (INPUT, CONSTANT, "patches") and operator(node).moves and len(node.inputs) == 1


def _following(links: Links, node: Node) -> Node | None:
    """The only user of a value that is not observed, if it moves values and no other pattern begins with it."""
    users = links.users.get(node.name, [])
    if len(users) != 1 or node.name in links.kept or not _moves(users[0]):
        return None
    return None if heads.match(links, users[0]) or labels.match(links, users[0]) else users[0]
