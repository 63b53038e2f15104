"""How one value was computed: the arithmetic of a node at one element, step by step.

Every step is a `Line`: what is computed, from which numbers, and the result with its binary point. `tracers` has the steps
of each operator; for data movement the trace shows where a value came from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..arith import IntArray
from ..engine.graph import CONSTANT, INPUT, Graph, Node, operator
from ..engine.interpreter import replay
from ..errors import IntsimError, UnknownNode
from ..storage.golden_file import GoldenFile, open_golden
from ..storage.model_file import model_behind
from .tracers import TRACERS, Element, Line


@dataclass(frozen=True)
class Trace:
    """The steps to one element of a node; `recorded` is the file's value (None: the file does not contain the node)."""

    node: str
    op: str
    index: tuple[int, ...]
    scale: float | None
    lines: tuple[Line, ...]
    recorded: int | None

    @property
    def value(self) -> int:
        """The result."""
        return self.lines[-1].value

    @property
    def agrees(self) -> bool:
        """Whether the file's value is the result of the steps; True where the file does not contain the node."""
        return self.recorded is None or self.recorded == self.value

    def record(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        return {
            "node": self.node,
            "op": self.op,
            "index": list(self.index),
            "scale": self.scale,
            "value": self.value,
            "recorded": self.recorded,
            "lines": [line.record() for line in self.lines],
        }


def trace(golden: str | Path, node: str, index: Sequence[int], *, model: str | Path | Graph | None = None) -> Trace:
    """How the element of `node` at `index` (negative counts from the end) was computed, from the inputs in a golden file.

    What the file leaves out is recomputed, with `model`, the shipped one, or one next to the golden file. Raises
    UnknownNode, ModelMismatch, ModelNotFound, and IntsimError for an element that does not exist or a file that holds too
    little.
    """
    with open_golden(golden) as reference:
        return trace_element(model_behind(reference, model), reference, node, index)


def trace_element(graph: Graph, golden: GoldenFile, name: str, index: Sequence[int]) -> Trace:
    """The steps to the element of `name` at `index` (negative counts from the end), from the inputs in a golden file.

    Tensors that the file does not contain are recomputed. Raises IntsimError for a node or element that does not exist, or
    where the file does not contain enough.
    """
    if name not in graph.by_name:
        raise UnknownNode(name)
    node, shape = graph.by_name[name], graph.tensors[name].shape
    if len(index) != len(shape) or not all(-n <= i < n for i, n in zip(index, shape, strict=True)):
        raise IntsimError(f"{name}: {','.join(map(str, index))} is not an element of its shape {list(shape)}")
    at = tuple(i % n for i, n in zip(index, shape, strict=True))
    inputs = [_value(graph, golden, source) for source in node.inputs]
    record = golden.tensors.get(name)
    recorded = int(record.values[()][at]) if record is not None and record.values is not None else None
    lines = tuple(_lines(graph, node, inputs, at, recorded))
    scale = graph.scales[name]
    if isinstance(scale, np.ndarray):
        scale = float(scale[at[-1]])
    return Trace(name, node.op, at, scale, lines, recorded)


def _value(graph: Graph, golden: GoldenFile, name: str) -> IntArray:
    """A tensor from the file, or recomputed from what the file contains."""
    record = golden.tensors.get(name)
    if record is not None and record.values is not None:
        return record.values[()]
    node = graph.by_name[name]
    if node.op == INPUT:
        raise IntsimError(f"{golden.path}: contains neither {name} nor the tensors to recompute it from")
    return replay(graph, node, [_value(graph, golden, source) for source in node.inputs])


def _lines(graph: Graph, node: Node, inputs: list[IntArray], at: tuple[int, ...], recorded: int | None) -> Iterator[Line]:
    if node.op == INPUT:
        if recorded is None:
            raise IntsimError(f"{node.name}: the file does not contain the picture")
        yield Line("pixel", "as the picture has it", recorded)
    elif node.op == CONSTANT:
        yield Line("value", "a constant of the model", int(np.asarray(node.params["value"])[at]))
    elif node.op in TRACERS:
        yield from TRACERS[node.op](Element(node, inputs, at, graph.dialect))
    else:
        yield moved(node, inputs, at)


def moved(node: Node, inputs: list[IntArray], at: tuple[int, ...]) -> Line:
    """Where a value came from: the operator moves the elements' numbers instead of their values."""
    start, places = 1, []
    for x in inputs:
        places.append(np.arange(start, start + x.size, dtype=np.int64).reshape(x.shape))
        start += x.size
    integers = {key: value for key, value in node.params.items() if isinstance(value, int)}
    place = int(operator(node).steps(*places, **integers)["out"][at])
    if place == 0:
        return Line("padding", "a zero added to fill whole patches", 0)
    for name, x, numbers in zip(node.inputs, inputs, places, strict=True):
        if numbers.flat[0] <= place <= numbers.flat[-1]:
            source = np.unravel_index(place - int(numbers.flat[0]), x.shape)
            place_name = f"{name}[{','.join(str(int(i)) for i in source)}]"
            return Line("moved", f"from {place_name}", int(x[source]))
    raise AssertionError(f"{node.name}: place {place} is in none of its inputs")
