"""A step of a plan, and the view of a graph from which patterns make them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ...arith import IntArray
from ...kernels.isa import chosen
from ...ops import TensorBound
from ..graph import Graph, Node

Prepared = TypeVar("Prepared")


def separately(inputs: Sequence[IntArray]) -> None:
    """What computes nothing together."""


@dataclass(frozen=True)
class Step:
    """Nodes computed together. The step bears the name of the last one, the only one whose value comes to be.

    `compute` takes the values of `inputs`, and must not hold the graph, whose plans are kept by weak keys. It gives None
    where it will not (a row that some operator refuses, a node that no pattern knows): the nodes are then computed one by
    one, and the one at fault says what is wrong.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    compute: Callable[[Sequence[IntArray]], IntArray | None] = separately

    @property
    def name(self) -> str:
        """The name of the last node."""
        return self.nodes[-1].name


class Links:
    """A graph as patterns see it: who uses a value, and whether it may stay inside a step.

    `kept` are the nodes whose values must be computed, `prepared` what earlier plans of the graph have prepared.
    """

    def __init__(self, graph: Graph, kept: Collection[str], prepared: dict[Any, Any]) -> None:
        self.graph, self.kept, self._prepared = graph, kept, prepared
        self.users: dict[str, list[Node]] = {}
        for node in graph.nodes:
            for name in node.inputs:
                self.users.setdefault(name, []).append(node)

    def after(self, node: Node, op: str) -> Node | None:
        """The one node that uses `node`'s value, if it is of this operator and nobody wants to see the value itself."""
        users = self.users.get(node.name, [])
        alone = len(users) == 1 and users[0].op == op and node.name not in self.kept
        return users[0] if alone and users[0].inputs.count(node.name) == 1 else None

    def tensor(self, node: Node) -> TensorBound:
        """What is known of the node's output."""
        return self.graph.tensors[node.name]

    def prepared(self, node: Node, what: str, make: Callable[[], Prepared]) -> Prepared:
        """What `make` gives, made once a graph and instruction set: the next plan finds it again."""
        key = (node.name, what, chosen())
        if key not in self._prepared:
            self._prepared[key] = make()
        return self._prepared[key]


Pattern = Callable[[Links, Node], Step | None]
