"""The interpreter: one loop over the graph (`walk`), and what it does at a node (`run`: compute it; others compare it)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .errors import GraphError, IntsimError
from .graph import CONSTANT, INPUT, Graph, Node, operator
from .kernels.threads import limited_to

Observer = Callable[[str, NDArray], None]
StepObserver = Callable[[str, dict[str, NDArray]], None]
Alteration = Callable[[Node, list[NDArray], NDArray], NDArray]
Value = TypeVar("Value")


def walk(graph: Graph, visit: Callable[[Node, list[Value]], Value]) -> Value:
    """Visit every node in execution order with what its inputs' visits gave; what nobody needs any more is let go."""
    values: dict[str, Value] = {}
    for node in graph.nodes:
        values[node.name] = visit(node, [values[name] for name in node.inputs])
        for name in graph.released[node.name]:
            del values[name]
    return values[graph.output.name]


def run(
    graph: Graph,
    image: NDArray,
    observe: Observer | None = None,
    *,
    observe_steps: StepObserver | None = None,
    alter: Alteration | None = None,
    face: str = "fast",
    threads: int | None = None,
) -> NDArray:
    """Run `graph` on `image` (u8 [height, width, 3]) and return its output: labels [height, width] for a Segmenter.

    `observe(name, value)` sees every node's output in execution order; `observe_steps(name, steps)` what happened inside
    the operator, recomputed by the reference. `alter(node, inputs, value)` gives what takes the place of a node's output:
    for injecting faults, and nothing else. `face` is ``fast`` or ``ref``; `threads` None means every processor. The
    result depends on neither. Raises IntsimError for an unsuitable image, GraphError (naming node and row) where a wrapped
    exponential sum is 0.
    """

    def visit(node: Node, inputs: list[NDArray]) -> NDArray:
        value = checked_image(graph, image) if node.op == INPUT else replay(graph, node, inputs, face)
        if alter is not None:
            value = alter(node, inputs, value)
        if observe is not None:
            observe(node.name, value)
        if observe_steps is not None and node.op not in (INPUT, CONSTANT):
            observe_steps(node.name, operator(node).intermediates(inputs, dict(node.params), graph.dialect))
        return value

    with limited_to(threads):
        return walk(graph, visit)


def replay(graph: Graph, node: Node, inputs: Sequence[NDArray], face: str = "fast") -> NDArray:
    """Compute one node from the values of its inputs."""
    if node.op == CONSTANT:
        return np.asarray(node.params["value"])
    try:
        return operator(node).compute(face, list(inputs), dict(node.params), graph.dialect, graph.tensors[node.name])
    except ValueError as error:
        raise GraphError(f"{node.name}: {error}") from None


def checked_image(graph: Graph, image: NDArray) -> NDArray:
    """`image` if it is what the graph takes: u8 of exactly its size; an IntsimError says which size works."""
    shape = graph.tensors[graph.input.name].shape
    if getattr(image, "dtype", None) != np.uint8:
        raise IntsimError(
            f"the picture must be an array of uint8 pixels, not {getattr(image, 'dtype', type(image).__name__)}"
        )
    if image.shape != shape:
        got = " x ".join(map(str, image.shape))
        raise IntsimError(
            f"the picture is {got}; this model takes {shape[0]} x {shape[1]} x {shape[2]} (height, width, RGB)"
        )
    return image
