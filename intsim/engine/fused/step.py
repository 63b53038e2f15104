"""A step of a plan, and the view of a graph from which patterns build steps."""

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
    """The `compute` of a step whose nodes are computed one by one."""


@dataclass(frozen=True)
class Step:
    """Nodes computed together. The step has the name of the last node, the only one whose value is materialised.

    `compute` takes the values of `inputs`. It must not reference the graph, which is the weak key of the cache of plans. If
    it cannot compute the result (an operator rejects a row, or no pattern matches the node), it returns None: the nodes are
    then computed one by one, and the faulty one raises the error.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    compute: Callable[[Sequence[IntArray]], IntArray | None] = separately

    @property
    def name(self) -> str:
        """The name of the last node."""
        return self.nodes[-1].name


class Links:
    """The view of a graph that patterns use: the users of each value, and whether the value may stay inside a step.

    `kept` are the nodes whose values must be materialised, `prepared` the constants from earlier plans of the graph.
    """

    def __init__(self, graph: Graph, kept: Collection[str], prepared: dict[Any, Any]) -> None:
        self.graph, self.kept, self._prepared = graph, kept, prepared
        self.users: dict[str, list[Node]] = {}
        for node in graph.nodes:
            for name in node.inputs:
                self.users.setdefault(name, []).append(node)

    def after(self, node: Node, op: str) -> Node | None:
        """The only user of the value of `node`, if its operator is `op` and the value is not observed."""
        users = self.users.get(node.name, [])
        alone = len(users) == 1 and users[0].op == op and node.name not in self.kept
        return users[0] if alone and users[0].inputs.count(node.name) == 1 else None

    def tensor(self, node: Node) -> TensorBound:
        """Shape, format and bounds of the output of `node`."""
        return self.graph.tensors[node.name]

    def prepared(self, node: Node, what: str, make: Callable[[], Prepared]) -> Prepared:
        """The result of `make`, cached per graph, node and instruction set, so that later plans reuse it."""
        key = (node.name, what, chosen())
        if key not in self._prepared:
            self._prepared[key] = make()
        value: Prepared = self._prepared[key]
        return value


Pattern = Callable[[Links, Node], Step | None]
