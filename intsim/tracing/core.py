"""How one value was computed: the arithmetic of a node at one element, step by step.

Every step is a `Line`: what is computed, from which numbers, and the result with its binary point. `tracers` has the steps
of each operator; for data movement the trace shows where a value came from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..arith import IntArray
from ..engine.graph import CONSTANT, INPUT, Graph, Node
from ..engine.inputs import is_picture
from ..engine.interpreter import replay
from ..errors import IntsimError, UnknownNode
from ..rules import Rule, catalogue, computation_of, compute, named
from ..storage.golden_file import GoldenFile, open_golden
from ..storage.model_file import model_behind
from .tracers import Line, lines_of


@dataclass(frozen=True)
class Trace:
    """The steps to one element of a node; `recorded` is the file's value (None: the file does not contain the node).

    `under` has the element's value under each rule that was asked for, by name. `explained_by` names the rules that give
    every value of the node in the file, where this one differs from the steps.
    """

    node: str
    op: str
    index: tuple[int, ...]
    scale: float | None
    lines: tuple[Line, ...]
    recorded: int | None
    under: Mapping[str, int] = field(default_factory=dict)
    explained_by: tuple[str, ...] = ()

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
            "under": dict(self.under),
            "explained_by": list(self.explained_by),
        }


def trace(
    golden: str | Path,
    node: str,
    index: Sequence[int],
    *,
    model: str | Path | Graph | None = None,
    rules: Sequence[str] = (),
) -> Trace:
    """How the element of `node` at `index` (negative counts from the end) was computed, from the inputs in a golden file.

    What the file leaves out is recomputed, with `model`, the shipped one, or one next to the golden file. `rules` are names
    of rules of the node (`intsim.rules`): the value of a device that breaks one of them is shown beside the right one.
    Raises UnknownNode, ModelMismatch, ModelNotFound, and IntsimError for an element or a rule that does not exist or a file
    that holds too little.
    """
    with open_golden(golden) as reference:
        return trace_element(model_behind(reference, model), reference, node, index, rules)


def trace_element(graph: Graph, golden: GoldenFile, name: str, index: Sequence[int], rules: Sequence[str] = ()) -> Trace:
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
    asked = [named(graph, node, text) for text in rules]
    own = inputs or [replay(graph, node, []) if node.op == CONSTANT else _value(graph, golden, name)]
    under = {rule.name: int(_under(graph, node, rule, own)[at]) for rule in asked}
    found = Trace(name, node.op, at, scale, lines, recorded, under)
    if found.agrees or record is None or record.values is None:
        return found
    return replace(found, explained_by=tuple(_explaining(graph, node, own, record.values[()])))


def _under(graph: Graph, node: Node, rule: Rule, inputs: list[IntArray]) -> IntArray:
    """The output of a node that breaks a rule."""
    try:
        return compute(graph, node, rule.alter(computation_of(graph, node)), inputs)
    except ValueError as error:
        raise IntsimError(f"{node.name}: {rule.name} cannot be computed here: {error}") from None


def _explaining(graph: Graph, node: Node, inputs: list[IntArray], recorded: IntArray) -> Iterator[str]:
    """The rules under which a node has the recorded values."""
    for rule in catalogue(graph, node):
        try:
            if np.array_equal(_under(graph, node, rule, inputs), recorded):
                yield rule.name
        except IntsimError:
            continue


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
        picture = is_picture(node.params)
        if recorded is None:
            raise IntsimError(f"{node.name}: the file does not contain {'the picture' if picture else 'its values'}")
        yield Line("pixel", "as the picture has it", recorded) if picture else Line("value", "as it was given", recorded)
    elif node.op == CONSTANT:
        yield Line("value", "a constant of the model", int(np.asarray(node.params["value"])[at]))
    else:
        yield from lines_of(node, inputs, at, graph.dialect)
