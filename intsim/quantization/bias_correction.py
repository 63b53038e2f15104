"""Bias correction: the mean error of every channel of a linear layer, cancelled by its bias.

Rounded weights, clipped values and the integer forms of softmax and GELU err in the same direction for every token, and a
network adds these errors up. What is constant in them belongs into the bias of the next linear layer, where it costs nothing
(Nagel et al. 2019). Each layer is corrected as the integer network runs, with all layers before it corrected, so that what
one correction leaves is seen by the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ..arith import I32, AnyArray, saturate
from ..engine.graph import Graph, Node, releases
from ..engine.interpreter import Progress, replay
from ..nets.real import CLASS_LOGITS, RealGraph, RealNode, evaluate_node
from .sensitivity import integer_node

FEWEST = 32  # rows from which a mean is taken; that of fewer is chance to a large part


def corrected(net: RealGraph, graph: Graph, pictures: Sequence[AnyArray], progress: Progress = lambda name: None) -> Graph:
    """`graph`, lowered from `net`, with the biases at which linear layers have the means that they have in `net` on
    `pictures`.

    Layers that see fewer than `FEWEST` rows, and the last one of a classifier, stay as they are. `progress(name)` is called
    when a node has run on a picture.
    """
    changed: dict[str, Node] = {}
    walks = [_Walk(net, graph, picture) for picture in pictures]
    for before, layer in _parts(net.nodes):
        for walk in walks:  # a picture at a time, so that only one has its attention in memory
            for node in before:
                walk.run(node)
                progress(node.name)
        if layer is None:
            break
        errors = [walk.error(layer) for walk in walks]
        shift = np.zeros(errors[0].shape[-1], np.int64)
        if layer.kind != CLASS_LOGITS and sum(map(len, errors)) >= FEWEST:
            shift = np.rint(np.concatenate(errors).mean(axis=0)).astype(np.int64)
            changed[layer.name] = _shifted(graph.by_name[layer.name], shift)
        for walk in walks:
            walk.finish(layer, shift)
            progress(layer.name)
    return Graph([changed.get(node.name, node) for node in graph.nodes], graph.dialect, graph.config, graph.provenance)


def _parts(nodes: Sequence[RealNode]) -> Iterator[tuple[list[RealNode], RealNode | None]]:
    """The nodes before each linear layer, and the layer; at the end those without one."""
    before: list[RealNode] = []
    for node in nodes:
        if node.op == "linear":
            yield before, node
            before = []
        else:
            before.append(node)
    yield before, None


def _shifted(node: Node, shift: AnyArray) -> Node:
    bias = saturate(np.asarray(node.params["bias"], np.int64) + shift, I32).astype(np.int32)
    return replace(node, params={**node.params, "bias": bias})


class _Walk:
    """One picture on its way through the real-valued and the integer network."""

    def __init__(self, net: RealGraph, graph: Graph, picture: AnyArray) -> None:
        self.graph, self.picture, self.released = graph, picture, releases(net.nodes)
        self.real: dict[str, AnyArray] = {}
        self.integers: dict[str, AnyArray] = {}
        self.accumulators: AnyArray = np.empty(0)

    def run(self, node: RealNode) -> None:
        """Run a node that is no linear layer."""
        if node.op == "input":
            self.real[node.name] = self.integers[node.name] = self.picture
            return
        self.real[node.name] = evaluate_node(node, [self.real[name] for name in node.inputs])
        self._requantized(node, replay(self.graph, self.graph.by_name[node.name], self._inputs(node)))

    def error(self, layer: RealNode) -> AnyArray:
        """How far the accumulators of a linear layer are below its real values, in units of theirs: [rows, channels]."""
        self.real[layer.name] = evaluate_node(layer, [self.real[name] for name in layer.inputs])
        self.accumulators = replay(self.graph, self.graph.by_name[layer.name], self._inputs(layer))
        error = self.real[layer.name] / self.graph.scales[layer.name] - self.accumulators
        return np.asarray(error.reshape(-1, error.shape[-1]))

    def finish(self, layer: RealNode, shift: AnyArray) -> None:
        """Go on behind a linear layer, with `shift` added to its bias."""
        self._requantized(layer, saturate(self.accumulators.astype(np.int64) + shift, I32).astype(np.int32))

    def _inputs(self, node: RealNode) -> list[AnyArray]:
        return [self.integers[name] for name in node.inputs]

    def _requantized(self, node: RealNode, value: AnyArray) -> None:
        end = integer_node(self.graph, node.name)
        self.integers[node.name] = value if end == node.name else replay(self.graph, self.graph.by_name[end], [value])
        for name in self.released[node.name]:
            del self.real[name], self.integers[name]
