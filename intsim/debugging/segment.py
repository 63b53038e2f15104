"""A segment of nodes, computed repeatedly under other rules and compared with the device's values at its end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arith import IntArray
from ..engine.graph import CONSTANT, INPUT, Graph, Node
from ..rules import ROW_WISE, Computation, Rule, computation_of, compute
from ..storage.golden_file import GoldenFile
from .dumps import Dump
from .feeds import feed_value, golden_value
from .isolate import Verdict

SAMPLE = 96  # rows


@dataclass(frozen=True)
class Broken:
    """One rule broken at one node."""

    node: str
    rule: Rule


Attempt = tuple[Broken, ...]


def feeds_of(graph: Graph, golden: GoldenFile, dump: Dump, verdict: Verdict) -> dict[str, IntArray] | None:
    """The tensors a segment is computed from; None where the device's values are outside their formats."""
    values: dict[str, IntArray] = {}
    for name, origin in verdict.feeds.items():
        value = feed_value(graph, golden, dump, name, origin)
        if value is None:
            return None
        values[name] = value
    if graph.by_name[verdict.name].op == INPUT and (given := golden_value(golden, verdict.name)) is not None:
        values[verdict.name] = given
    return values


class Segment:
    """Nodes to compute again under other rules, the tensors they are computed from, and the device's values at their end."""

    def __init__(self, graph: Graph, nodes: list[Node], feeds: dict[str, IntArray], device: IntArray) -> None:
        self.graph, self.nodes, self.feeds, self.device = graph, nodes, feeds, device
        self.reference = dict(feeds)
        for node in nodes:
            if node.op != INPUT:
                self.reference[node.name] = self._computed(node, {}, computation_of(graph, node))
        self.expected = self.reference[nodes[-1].name]
        self.wrong = self.expected != device

    def under(self, attempt: Attempt) -> IntArray | None:
        """The last tensor under other rules; None where they cannot be computed or change nothing."""
        computations: dict[str, Computation] = {}
        for broken in attempt:
            node = self.graph.by_name[broken.node]
            before = computations.get(node.name, computation_of(self.graph, node))
            computations[node.name] = broken.rule.alter(before)
        changed: dict[str, IntArray] = {}
        try:
            for node in self.nodes:
                if node.name in computations or any(name in changed for name in node.inputs):
                    computation = computations.get(node.name, computation_of(self.graph, node))
                    changed[node.name] = self._computed(node, changed, computation)
        except ValueError:
            return None
        value = changed[self.nodes[-1].name]
        return None if np.array_equal(value, self.expected) else value

    def _computed(self, node: Node, changed: dict[str, IntArray], computation: Computation) -> IntArray:
        if node.op == CONSTANT:
            inputs = [np.asarray(node.params["value"])]
        elif node.op == INPUT:
            inputs = [self.reference[node.name]]
        else:
            inputs = [changed[name] if name in changed else self.reference[name] for name in node.inputs]
        return compute(self.graph, node, computation, inputs)

    def sampled(self) -> Segment | None:
        """Some of its rows, most of them wrong ones; None where rows are not independent, or too few to select from."""
        rows = self.wrong.reshape(-1, self.wrong.shape[-1])
        if not all(node.op in ROW_WISE for node in self.nodes) or len(rows) <= 2 * SAMPLE:
            return None
        if any(value.shape[:-1] != self.device.shape[:-1] for value in self.feeds.values()):
            return None
        differing, third = rows.any(axis=1), SAMPLE // 3
        wrong, right = _spread(np.flatnonzero(differing), 2 * third), _spread(np.flatnonzero(~differing), third)
        chosen = np.concatenate([wrong, right])
        cut = {name: value.reshape(-1, value.shape[-1])[chosen] for name, value in self.feeds.items()}
        return Segment(self.graph, self.nodes, cut, self.device.reshape(-1, self.device.shape[-1])[chosen])


def _spread(places: IntArray, count: int) -> IntArray:
    """At most `count` of `places`, evenly spread."""
    return places[np.linspace(0, len(places) - 1, count).astype(int)] if len(places) > count else places
