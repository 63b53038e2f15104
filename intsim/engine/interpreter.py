"""The interpreter: one loop over the nodes (`walk`), and `run`, which computes them. Other callers of `walk` compare them.

`run` walks a plan, in which nodes that are not observed are computed together (see fused/).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol, TypeVar

import numpy as np

from ..arith import IntArray
from ..errors import GraphError, UnknownNode
from ..kernels.threads import limited_to
from .fused import Step
from .graph import CONSTANT, INPUT, Graph, Node, Operation, operator
from .inputs import Inputs, checked_inputs
from .plan import fused, unfused

Observer = Callable[[str, IntArray], None]
StepObserver = Callable[[str, dict[str, IntArray]], None]
Alteration = Callable[[Node, list[IntArray], IntArray], IntArray]
Progress = Callable[[str], None]
Value = TypeVar("Value")
S = TypeVar("S", bound=Operation, covariant=True)


class Walkable(Protocol[S]):
    """An argument of `walk`: a graph, or a plan for one."""

    @property
    def nodes(self) -> tuple[S, ...]: ...

    @property
    def output(self) -> S: ...

    @property
    def released(self) -> Mapping[str, list[str]]: ...


def walk(graph: Walkable[S], visit: Callable[[S, list[Value]], Value]) -> Value:
    """Visit every node in execution order with the values of its inputs; a value is released after its last use."""
    values: dict[str, Value] = {}
    for node in graph.nodes:
        values[node.name] = visit(node, [values[name] for name in node.inputs])
        for name in graph.released[node.name]:
            del values[name]
    return values[graph.output.name]


def run(
    graph: Graph,
    inputs: Inputs,
    observe: Observer | None = None,
    *,
    nodes: Collection[str] | None = None,
    observe_steps: StepObserver | None = None,
    alter: Alteration | None = None,
    progress: Progress | None = None,
    face: str = "fast",
    threads: int | None = None,
) -> IntArray:
    """Run `graph` and return its output: labels [height, width] of a Segmenter, logits of a classifier, or any tensor.

    `inputs` is the array of its only input, such as a picture u8 [height, width, 3], or a mapping from the names of its
    inputs to arrays, each of the input's type, shape and range.
    `observe(name, value)` is called with the output of every node in `nodes` (None: every node), in execution order; nodes
    that are not observed are computed together where that is faster, with the same result. `observe_steps(name, steps)` is
    called with the intermediate values of every operator, recomputed by the reference. `alter(node, inputs, value)` returns
    a replacement for the output of a node, to inject faults. `progress(name)` is called when a node is done. `face` selects
    the implementation, ``fast`` or ``ref``; `threads` None means one per processor. The result depends on neither. Raises
    IntsimError for an unsuitable input or an unknown node, GraphError (with node and row) if a wrapped exponential sum is 0.
    """
    observed = frozenset(graph.by_name if nodes is None else nodes)
    if unknown := observed - graph.by_name.keys():
        raise UnknownNode(min(unknown))
    separately = face != "fast" or alter is not None or observe_steps is not None
    given = checked_inputs(graph, inputs)
    steps = unfused(graph) if separately else fused(graph, observed if observe is not None else ())

    def visit(step: Step, sources: list[IntArray]) -> IntArray:
        node = step.nodes[-1]
        value = computed(graph, step, sources, given, face)
        if alter is not None:
            value = alter(node, sources, value)
        if observe is not None and node.name in observed:
            observe(node.name, value)
        if observe_steps is not None and node.op not in (INPUT, CONSTANT):
            observe_steps(node.name, operator(node).intermediates(sources, dict(node.params), graph.dialect))
        if progress is not None:
            for part in step.nodes:
                progress(part.name)
        return value

    with limited_to(threads):
        return walk(steps, visit)


def computed(
    graph: Graph, step: Step, inputs: Sequence[IntArray], given: Mapping[str, IntArray], face: str = "fast"
) -> IntArray:
    """The value of a step: its nodes computed together if possible, otherwise one by one; `given` are the graph's inputs."""
    if step.nodes[0].op == INPUT:
        return given[step.name]
    if (together := step.compute(inputs)) is not None:
        return together
    values = dict(zip(step.inputs, inputs, strict=True))
    for node in step.nodes:
        values[node.name] = replay(graph, node, [values[name] for name in node.inputs], face)
    return values[step.name]


def replay(graph: Graph, node: Node, inputs: Sequence[IntArray], face: str = "fast") -> IntArray:
    """Compute one node from the values of its inputs."""
    if node.op == CONSTANT:
        return np.asarray(node.params["value"])
    try:
        return operator(node).compute(face, list(inputs), dict(node.params), graph.dialect, graph.tensors[node.name])
    except ValueError as error:
        raise GraphError(f"{node.name}: {error}") from None
