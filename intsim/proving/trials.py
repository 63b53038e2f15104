"""What cannot be proved is tried: a node under two choices, on random inputs within its bounds, of its whole shape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..arith import IntArray
from ..engine.graph import Graph, Node
from ..rules import Computation, computation_of, compute
from ..rules.rule import Alteration

SEED, TENSORS, ELEMENTS = 21, 4, 1 << 21  # of every input, at most


@dataclass(frozen=True)
class Trial:
    """How many elements of the result were computed under both choices, and how many of them differ."""

    tried: int
    differing: int


def tried(graph: Graph, node: Node, a: Alteration, b: Alteration, tensors: int = TENSORS) -> Trial:
    """Both results on random inputs. ValueError where one of them cannot be computed."""
    count = differing = 0
    for inputs in _inputs(graph, node, tensors):
        left, right = (_result(graph, node, alter, inputs) for alter in (a, b))
        count += left.size
        differing += left.size if left.shape != right.shape else int(np.count_nonzero(left != right))
        if count >= ELEMENTS:
            break
    return Trial(count, differing)


def _result(graph: Graph, node: Node, alter: Alteration, inputs: list[IntArray]) -> IntArray:
    computation: Computation = alter(computation_of(graph, node))
    return compute(graph, node, computation, inputs)


def _inputs(graph: Graph, node: Node, tensors: int) -> Iterator[list[IntArray]]:
    """Inputs within the bounds: everywhere, then rows that are narrower and narrower around a random middle."""
    random = np.random.default_rng(SEED)
    for number in range(tensors):
        drawn = []
        for name in node.inputs:
            tensor = graph.tensors[name]
            width = max((tensor.hi - tensor.lo) >> (3 * number), 1)
            middle = random.integers(tensor.lo, tensor.hi, (*tensor.shape[:-1], 1), np.int64, endpoint=True)
            values = random.integers(-width, width, tensor.shape, np.int64, endpoint=True)
            held = (
                values + middle if number else random.integers(tensor.lo, tensor.hi, tensor.shape, np.int64, endpoint=True)
            )
            drawn.append(np.clip(held, tensor.lo, tensor.hi).astype(tensor.fmt.dtype))
        yield drawn
