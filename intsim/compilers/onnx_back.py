"""An ONNX model of `onnx_model`, perhaps edited, as a graph again.

What the nodes are comes from their notes (`onnx_notes`), arrays come from the initializers, order and edges from the model.
So weights that were changed, and nodes that were removed, added or put between others, are taken. A function whose body is
not what intsim wrote is refused, since it may compute anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, numpy_helper

from ..arith import I8, I16, I32, IntArray, Scale
from ..dialects import from_choices
from ..engine.graph import CONSTANT, INPUT, Graph, Node
from ..engine.inputs import input_params
from ..errors import FileError, IntsimError
from .execution import opened, taken
from .onnx_model import DOMAIN, FLOATS
from .onnx_notes import Note, fingerprint, read_note, scale_of

CONSTANT_FORMATS = {fmt.name: fmt for fmt in (I8, I16, I32)}
EDITED = "edited_from"  # key of the provenance: the model that was exported, where this one is another


def graph_from_onnx(path: str | Path) -> Graph:
    """The graph of an ONNX model with a function per operator, as ``intsim export --onnx`` writes it, checked and proved.

    Raises FileError for a file that is not such a model (the inlined form, a narrow width), and for a node that is none of
    intsim's operators: its function was changed, a tensor is float, or nothing says what it was. GraphError where the
    operators do not fit together, BoundError where a value may leave its format.
    """
    path = Path(path)
    model, record = opened(path, edited=True)
    if "width" in record:
        raise FileError(f"{path}: is of a narrow width, with tensors as digits; read the form of 64 bits")
    if not model.functions:
        raise FileError(f"{path}: is the inlined form, without functions; read the file with functions, written beside it")
    try:
        reader = _Reader(path, model, record)
        choices, config, provenance = (_table(record, key) for key in ("choices", "config", "provenance"))
        dialect = from_choices(choices, str(record.get("dialect")))
        nodes = reader.nodes()
        graph = Graph(nodes, dialect, config, provenance)
        if graph.content_hash != record["model_sha256"]:
            graph.provenance[EDITED] = record["model_sha256"]
    except FileError:
        raise
    except IntsimError as error:
        raise type(error)(f"{path}: {error}") from None
    except (ValueError, TypeError):  # names that are no text
        raise FileError(f"{path}: its names or values are damaged; write it again") from None
    last = model.graph.output[-1].name if model.graph.output else "missing"
    if graph.output.name != last:
        raise FileError(f"{path}: its last node is {graph.output.name}, its last output {last}; make them the same")
    return graph


def _table(record: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = record.get(key)
    if not isinstance(value, dict):
        raise IntsimError(f"nothing says its {key}; write it again with this version of intsim")
    return value


class _Reader:
    """Reads the nodes of one model."""

    def __init__(self, path: Path, model: ModelProto, record: Mapping[str, Any]) -> None:
        self.path, self.model, self.record = path, model, record
        self.stored = {tensor.name: tensor for tensor in model.graph.initializer}
        self.functions = {(function.domain, function.name): function for function in model.functions}
        self.fingerprints = {key: fingerprint(function) for key, function in self.functions.items()}

    def nodes(self) -> list[Node]:
        """All nodes in order, inputs where they were."""
        found = [self.node(proto) for proto in self.model.graph.node]
        order = {name: i for i, name in enumerate(self.record["formats"])}
        for node in sorted(self.inputs(), key=lambda node: order.get(node.name, -1), reverse=True):
            after = (i for i, other in enumerate(found) if order.get(other.name, -1) > order.get(node.name, -1))
            users = (i for i, other in enumerate(found) if node.name in other.inputs)
            found.insert(min(next(after, len(found)), next(users, len(found))), node)
        return found

    def inputs(self) -> Iterator[Node]:
        """The inputs of the model that are no initializers."""
        scales = self.record.get("input_scales")
        for value in self.model.graph.input:
            if value.name in self.stored:
                continue
            params = self.record["inputs"].get(value.name)
            try:
                bound = taken(value, self.record)
                scale = scale_of(scales[value.name]) if isinstance(scales, dict) and value.name in scales else None
            except ValueError as error:
                raise FileError(f"{self.path}: {value.name}: {error}") from None
            yield Node(value.name, INPUT, (), params or input_params(bound.fmt, bound.shape), scale)

    def node(self, proto: NodeProto) -> Node:
        """A node of the graph. FileError naming it where it is none of intsim's operators."""
        name = proto.output[0] if proto.output else proto.name
        try:
            return self._node(proto, name)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise FileError(f"{self.path}: {name or proto.op_type}: {error}") from None

    def _node(self, proto: NodeProto, name: str) -> Node:
        note = read_note(proto)
        if note is not None and note.op == CONSTANT and proto.op_type == "Identity" and not proto.domain:
            value = self._constant(proto, note)
            scale = note.scales.get("value", note.scale)
            return Node(name, CONSTANT, (), {"value": value}, scale, {"value": scale})
        if proto.domain != DOMAIN and not proto.domain.startswith(f"{DOMAIN}."):
            of = f"of the domain {proto.domain}" if proto.domain else "of standard ONNX"
            raise ValueError(f"{proto.op_type} {of} is no operator of intsim's; use its operators alone")
        if note is None:
            raise ValueError(f"nothing says which operator {proto.op_type} was; a node has the metadata of one like it")
        if len(proto.output) != 1:
            raise ValueError(f"it has {len(proto.output)} outputs; an operator has one")
        self._require_own(proto, note)
        count = len(proto.input) - len(note.arrays)
        if count < 0:
            raise ValueError(f"it has {len(proto.input)} inputs, and {', '.join(note.arrays)} are among them")
        if given := [source for source in proto.input[:count] if source in self.stored]:
            raise ValueError(
                f"its input {given[0]} is an initializer; make it a constant, as intsim writes them, or an input"
            )
        arrays = {key: self._array(source, key) for key, source in zip(note.arrays, proto.input[count:], strict=True)}
        scales: dict[str, Scale | None] = dict(note.scales)
        return Node(name, note.op, tuple(proto.input[:count]), {**note.params, **arrays}, note.scale, scales)

    def _require_own(self, proto: NodeProto, note: Note) -> None:
        """Refuse a function that is not the one that intsim wrote for this node."""
        known = self.fingerprints.get((proto.domain, proto.op_type))
        if known is None:
            raise ValueError(f"it calls {proto.op_type} of {proto.domain}, which the file does not have")
        if known != note.function:
            raise ValueError(
                f"its function {proto.op_type} is not what intsim wrote for this {note.op}; change parameters and "
                "initializers, and leave functions as they are"
            )

    def _array(self, source: str, key: str) -> IntArray:
        if source not in self.stored:
            raise ValueError(f"its {key}, {source}, is not an initializer")
        tensor = self.stored[source]
        if tensor.data_type in FLOATS:
            raise ValueError(f"its {key}, {source}, is a float tensor; quantize it first")
        value: IntArray = numpy_helper.to_array(tensor)
        if value.dtype.kind not in "iu" or value.size == 0:
            raise ValueError(f"its {key}, {source}, is {value.dtype} {list(value.shape)}, expected integers")
        return value

    def _constant(self, proto: NodeProto, note: Note) -> IntArray:
        value, fmt = self._array(proto.input[0] if proto.input else "", "value"), CONSTANT_FORMATS.get(note.fmt)
        if fmt is None:
            raise ValueError(f"a constant is {', '.join(CONSTANT_FORMATS)}, not {note.fmt}")
        if not fmt.holds(int(value.min()), int(value.max())):
            raise ValueError(f"its values {value.min()} to {value.max()} are outside {fmt} [{fmt.lo}, {fmt.hi}]")
        return np.asarray(value, fmt.dtype)
