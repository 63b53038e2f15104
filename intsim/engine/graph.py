"""The network as data: a list of named integer operations, checked and proved when it is constructed.

Every `Graph` is valid: the inputs of each node precede it, shapes and formats match, and interval arithmetic on weights and
formats proves that no i32 can overflow, for any values of its inputs. If the proof fails, the error contains the node's name
and the computed bound.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from ..arith import I8, I16, I32, I64, IntArray, Overflow, Scale, TensorBound
from ..dialects import Dialect
from ..errors import BoundError, FileError, GraphError, UnknownOperator
from ..ops import REGISTRY, Op
from .inputs import checked_input, input_bound, is_picture

INPUT, CONSTANT = "input", "constant"  # the two kinds of node that compute nothing
CONSTANT_FORMATS = {1: I8, 2: I16, 4: I32}  # by bytes per element
RESERVED = "graph"  # the name of the graph itself in files
NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")


@dataclass(frozen=True)
class Node:
    """One named integer operation; its output has the same name.

    `params` are integers and integer arrays. `scale` is the real scale of the output where the operator does not determine
    it, `scales` are those of the parameters. Scales are documentation: no result depends on them.
    """

    name: str
    op: str
    inputs: tuple[str, ...] = ()
    params: Mapping[str, int | IntArray] = field(default_factory=dict)
    scale: Scale | None = None
    scales: Mapping[str, Scale | None] = field(default_factory=dict)

    def arrays(self) -> dict[str, IntArray]:
        """The parameters that are arrays, by name."""
        return {k: v for k, v in self.params.items() if isinstance(v, np.ndarray)}

    def integers(self) -> dict[str, int]:
        """The parameters that are integers, by name."""
        return {k: v for k, v in self.params.items() if not isinstance(v, np.ndarray)}


def input_node(name: str, height: int, width: int, scale: float | None) -> Node:
    """A picture: u8 [height, width, 3]."""
    return Node(name, INPUT, params={"height": height, "width": width, "channels": 3}, scale=scale)


def constant_node(name: str, value: IntArray, scale: Scale | None) -> Node:
    """A tensor that is part of the model: i8, i16 or i32 by its NumPy type."""
    return Node(name, CONSTANT, params={"value": value}, scale=scale, scales={"value": scale})


class CheckedNodes:
    """Nodes that are checked and proved one by one, as they are admitted.

    `by_name` has them in order, `tensors` the shape, format and proven bounds of each output, `scales` its real scale.
    """

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.by_name: dict[str, Node] = {}
        self.tensors: dict[str, TensorBound] = {}
        self.scales: dict[str, Scale | None] = {}

    def admit(self, node: Node) -> None:
        """Add a node. Raises GraphError naming it, BoundError where a value may leave its format."""
        if not NAME.fullmatch(node.name) or node.name == RESERVED:
            raise GraphError(
                f"{node.name!r} is not a node name; use letters, digits and _ joined by dots, but not {RESERVED!r}"
            )
        if node.name in self.by_name:
            raise GraphError(f"{node.name}: duplicate node name")
        for source in node.inputs:
            if source not in self.by_name:
                raise GraphError(f"{node.name}: its input {source!r} is not an earlier node")
        try:
            _require_params(node)
            sources = self._sources(node)
            if sources:
                operator(node).require_shapes(sources, node.params, self.dialect)
            node = replace(node, params=_checked_params(node))
            tensor = self._infer(node, sources)
        except (GraphError, FileError):
            raise
        except (ValueError, TypeError) as error:
            raise GraphError(f"{node.name}: {error}") from None
        self.by_name[node.name] = node
        self.tensors[node.name] = tensor
        self.scales[node.name] = self._scale(node)

    def _sources(self, node: Node) -> list[TensorBound]:
        """What the operator of a node takes; none for an input or a constant."""
        if node.op in (INPUT, CONSTANT):
            return []
        op = operator(node)
        sources = [self.tensors[name] for name in node.inputs]
        if not op.variadic and len(sources) != len(op.inputs):
            raise GraphError(f"{node.name}: {op.name} takes {len(op.inputs)} inputs, the node has {len(sources)}")
        for i, (name, source) in enumerate(zip(node.inputs, sources, strict=True)):
            port = op.port(i)
            widened = port is I32 and source.fmt is I64 and self.dialect.overflow is Overflow.EXACT
            if not (source.fmt.within(port.lo, port.hi) or widened):
                raise GraphError(f"{node.name}: {op.name} takes {port}, but {name} is {source.fmt}")
        return sources

    def _infer(self, node: Node, sources: list[TensorBound]) -> TensorBound:
        params: Any = node.params
        if node.op == INPUT:
            return input_bound(params)
        if node.op == CONSTANT:
            value = params["value"]
            return TensorBound(value.shape, CONSTANT_FORMATS[value.dtype.itemsize], int(value.min()), int(value.max()))
        op = operator(node)
        tensor = op.output(sources, params, self.dialect)
        if min(tensor.shape, default=1) < 1:
            raise GraphError(f"{node.name}: its output {list(tensor.shape)} would be empty")
        settled = tensor.settled(op.overflow(self.dialect))
        if not settled.fits:
            way_out = "use smaller weights or biases, or fewer inputs"
            if not op.built_in:
                way_out = "saturate the result in its equation, or give it infer="
            raise BoundError(
                f"{node.name}: {op.name} may reach [{tensor.lo}, {tensor.hi}], outside {tensor.fmt} "
                f"[{tensor.fmt.lo}, {tensor.fmt.hi}]; {way_out}"
            )
        return settled

    def _scale(self, node: Node) -> Scale | None:
        if node.op in (INPUT, CONSTANT):
            return node.scale
        return operator(node).scale([self.scales[name] for name in node.inputs], node)


class Graph(CheckedNodes):
    """Nodes in execution order, their dialect, and their provenance. The constructor checks and proves the graph.

    `tensors` maps the name of each node to the shape, format and proven bounds of its output, `scales` to its real scale,
    `released` to the tensors that are not used after the node has run. Inputs may be several, of any format and shape; see
    `inputs.py`. The output of the last node is the output of the graph. Raises GraphError (BoundError if a value may leave
    its format).
    """

    def __init__(
        self,
        nodes: list[Node],
        dialect: Dialect,
        config: dict[str, Any] | None = None,
        provenance: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(dialect)
        self.config = config or {}
        self.provenance = provenance or {}
        for node in nodes:
            self.admit(node)
        self.nodes = tuple(self.by_name.values())
        self.inputs = tuple(node for node in self.nodes if node.op == INPUT)
        if not self.inputs:
            raise GraphError("the graph is empty or has no input")
        self.released = releases(self.nodes)

    @property
    def input(self) -> Node:
        """The first of its inputs."""
        return self.inputs[0]

    @property
    def takes_picture(self) -> bool:
        """Whether its only input is a picture, u8 [height, width, 3]."""
        return len(self.inputs) == 1 and is_picture(self.input.params)

    @property
    def output(self) -> Node:
        """The node whose output is the output of the graph."""
        return self.nodes[-1]

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 over everything that determines the results: nodes, parameters, and the choices of the dialect."""
        arrays = {
            f"{node.name}.{key}": [array.dtype.str.lstrip("<>=|"), list(array.shape), digest(array)]
            for node in self.nodes
            for key, array in node.arrays().items()
        }
        structure = [[n.name, n.op, list(n.inputs), n.integers()] for n in self.nodes]
        return hash_of({"nodes": structure, "arrays": arrays, "dialect": self.dialect.choices()})

    def record(self) -> list[dict[str, Any]]:
        """The nodes as JSON data; of arrays only the names."""
        return [
            {
                "name": n.name,
                "op": n.op,
                "inputs": list(n.inputs),
                "params": n.integers(),
                "arrays": sorted(n.arrays()),
                **({"scale": float(n.scale)} if isinstance(n.scale, (int, float)) else {}),
            }
            for n in self.nodes
        ]

    def origin(self) -> dict[str, str]:
        """Configuration, dialect and provenance as JSON: the attributes that model and golden files share."""
        dialect = {"name": self.dialect.name, **self.dialect.choices()}
        return {"config": json.dumps(self.config), "dialect": json.dumps(dialect), "provenance": json.dumps(self.provenance)}


class NodeContext(Protocol):
    """The context of a node that rules read: a `Graph`, or a single operator without one."""

    @property
    def dialect(self) -> Dialect: ...

    @property
    def nodes(self) -> tuple[Node, ...]: ...

    @property
    def tensors(self) -> Mapping[str, TensorBound]: ...

    @property
    def scales(self) -> Mapping[str, Scale | None]: ...


class Operation(Protocol):
    """Anything that computes one tensor from others: a node, or several nodes computed together."""

    @property
    def name(self) -> str: ...

    @property
    def inputs(self) -> tuple[str, ...]: ...


def releases(steps: Sequence[Operation]) -> dict[str, list[str]]:
    """For each step, the tensors that are not used after it; never the output of the last step."""
    last_use = {name: step.name for step in steps for name in (step.name, *step.inputs)}
    released: dict[str, list[str]] = {step.name: [] for step in steps}
    for name, user in last_use.items():
        if name != steps[-1].name:
            released[user].append(name)
    return released


def operator(node: Node) -> Op:
    """The operator of a node; if the name is unknown, a GraphError lists the operators."""
    try:
        return REGISTRY[node.op]
    except KeyError:
        raise UnknownOperator(
            f"{node.name}: there is no operator {node.op!r}; there are: {', '.join(sorted(REGISTRY))}"
        ) from None


def digest(array: IntArray) -> str:
    """SHA-256 of the values of an array, little-endian, in C order."""
    plain = np.ascontiguousarray(array)
    return hashlib.sha256(plain.astype(plain.dtype.newbyteorder("<"), copy=False).data).hexdigest()


def hash_of(content: Any) -> str:
    """SHA-256 of JSON data in canonical form."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _require_params(node: Node) -> None:
    """Raise GraphError unless a constant has its value, and a node of an operator the parameters of that and no other."""
    op = None if node.op in (INPUT, CONSTANT) else operator(node)
    if op is not None and (unknown := node.params.keys() - op.params.keys()):
        known = f"it has {', '.join(op.params)}" if op.params else "it has none"
        raise GraphError(f"{node.name}: {op.name} has no parameter {min(unknown)!r}; {known}")
    for key in op.params if op is not None else ["value"] * (node.op == CONSTANT):
        if key not in node.params:
            raise GraphError(f"{node.name}: its parameter {key!r} is missing")


def _checked_params(node: Node) -> dict[str, Any]:
    """The parameters of the node, each checked against its range and converted to its type. Raises GraphError."""
    if node.op == INPUT:
        return checked_input(node.params)
    if node.op == CONSTANT:
        return {"value": _constant(node.params["value"])}
    op = operator(node)
    return {key: op.checked_param(key, node.params[key]) for key in op.params}


def _constant(value: Any) -> IntArray:
    dtype = getattr(value, "dtype", None)
    if dtype is None or dtype.kind != "i" or dtype.itemsize not in CONSTANT_FORMATS or value.size == 0:
        raise ValueError(f"a constant is a non-empty array of i8, i16 or i32, not {dtype or value!r}")
    constant: IntArray = value.astype(dtype.newbyteorder("="), copy=False)
    return constant
