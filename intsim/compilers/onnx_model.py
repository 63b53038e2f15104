"""A network as an integer-only ONNX model: one node per operator in the domain of its dialect, its body a function of
standard operators that its equation wrote down; or those operators in its place, which most compilers need.

Tensors bear the names of their nodes. Between operators they are int32 (int64 where a value may not fit), whatever format
they hold; the formats are in the model's metadata, so that what a runtime computes can be compared with a golden file.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import FunctionProto, ModelProto, NodeProto, TensorProto, helper, inliner, numpy_helper, shape_inference

from .._version import __version__
from ..arith import AnyArray, Format
from ..engine.graph import CONSTANT, INPUT, Graph, Node
from ..engine.names import chooses, require_matches
from ..errors import IntsimError
from ..ops import REGISTRY
from ..storage.files import replacing
from ..symbols import trace
from .limbs import Limbs, digit_names
from .onnx_call import Written, written
from .onnx_form import OPSET

IR_VERSION = 10
DOMAIN = "intsim"
FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
METADATA = "intsim"  # key of the model's metadata


def onnx_model(graph: Graph, layers: Collection[str] = (), inline: bool = False, width: int = 64) -> ModelProto:
    """The network; `layers` (globs) become outputs beside its own. With `inline` there are standard operators alone.

    No value passes a `width` of 64, 32 or 24 bits (whole numbers that float32 holds); a tensor that 32 or 24 bits do not
    hold is several, its digits, named ``NAME.limb0`` and so on. Raises IntsimError naming the node whose operator cannot be
    written, or a glob that matches none.
    """
    writer = _Writer(graph, width)
    for node in graph.nodes:
        try:
            writer.add(node)
        except (IntsimError, TypeError, ValueError) as error:
            raise IntsimError(f"{node.name}: {node.op} cannot be written as ONNX: {error}") from None
    outputs = [*(name for name in _chosen(graph, layers) if name != graph.output.name), graph.output.name]
    model = writer.model(outputs)
    if inline:
        model = _flat(inliner.inline_local_functions(model))
    onnx.checker.check_model(model, full_check=True)
    require_integers(model)
    return model


def save_onnx(model: ModelProto, path: str | Path) -> None:
    """Write a model file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))


def onnx_type(fmt: Format) -> int:
    """The element type of an input of the model: that of its format."""
    return int(helper.np_dtype_to_tensor_dtype(fmt.dtype))


def require_integers(model: ModelProto) -> None:
    """Raise IntsimError where a tensor of the model, or of a function's body, is not of integers."""
    flat = inliner.inline_local_functions(model) if model.functions else model
    known = shape_inference.infer_shapes(flat, strict_mode=True, data_prop=True).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*known.value_info, *known.input, *known.output)}
    types |= {tensor.name: tensor.data_type for tensor in known.initializer}
    wrong = [name for name, kind in types.items() if kind in FLOATS]
    if wrong:
        raise IntsimError(f"{wrong[0]}: is a float tensor in a model that must have none")


def _chosen(graph: Graph, layers: Collection[str]) -> list[str]:
    """The nodes that globs match, in the graph's order."""
    names = [node.name for node in graph.nodes if node.op != INPUT]
    globs = list(layers)
    require_matches(globs, names)
    return [name for name in names if globs and chooses(globs, name)]


class _Writer:
    """The parts of a model while it is written."""

    def __init__(self, graph: Graph, width: int) -> None:
        self.graph, self.width = graph, width
        self.limbs = None if width == 64 else Limbs(width)
        self.names: dict[str, list[str]] = {}  # of the tensors that hold a node's result
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self.types: dict[str, int] = {}
        self.functions: dict[tuple[str, bytes], FunctionProto] = {}

    def add(self, node: Node) -> None:
        """One node of the graph."""
        if node.op == INPUT:
            if self.limbs is not None and not self.limbs.fits(*self.interval(node.name)):
                raise IntsimError(f"{self.width} bits do not hold its range; give the input a narrower one, lo and hi")
            self.names[node.name] = [node.name]
            self.types[node.name] = onnx_type(self.graph.tensors[node.name].fmt)
        elif node.op == CONSTANT:
            values = self.store(f"{node.name}.value", np.asarray(node.params["value"], np.int32), self.interval(node.name))
            self.names[node.name] = self.named(digit_names(node.name, len(values)))
            for value, name in zip(values, self.names[node.name], strict=True):
                self.nodes.append(helper.make_node("Identity", [value], [name], name=name))
                self.types[name] = TensorProto.INT32
        else:
            self.call(node)

    def named(self, names: list[str]) -> list[str]:
        """Names of tensors that no other tensor has. IntsimError where a node is called like what another one needs."""
        for name in names:
            if name in self.types:
                raise IntsimError(f"two tensors would be called {name}; rename the node")
        return names

    def interval(self, name: str) -> tuple[int, int]:
        """Of a node's result."""
        return self.graph.tensors[name].lo, self.graph.tensors[name].hi

    def store(self, name: str, value: AnyArray, interval: tuple[int, int]) -> list[str]:
        """An array of the model, or its digits where the width does not hold it."""
        parts = [value] if self.limbs is None else [part.astype(np.int32) for part in self.limbs.split(value, *interval)]
        names = self.named(digit_names(name, len(parts)))
        for own, part in zip(names, parts, strict=True):
            self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(part), own))
            self.types[own] = self.initializers[-1].data_type
        return names

    def call(self, node: Node) -> None:
        """A node as a call of its function; arrays among its parameters are arguments, too."""
        arrays = [key for key, value in node.params.items() if np.ndim(value)]
        bounds = [self.graph.tensors[name] for name in node.inputs]
        traced = trace(REGISTRY[node.op], bounds, node.params, self.dialect(node), given=arrays)
        arguments = [name for source in node.inputs for name in self.names[source]]
        for name in list(traced.inputs)[len(node.inputs) :]:
            own = traced.inputs[name]
            arguments += self.store(f"{node.name}.{name}", np.asarray(node.params[name]), (own.lo, own.hi))
        body = written(traced, self.width, self.interval(node.name))
        function = self.function(node, body)
        outputs = self.names[node.name] = self.named(digit_names(node.name, len(body.outputs)))
        self.nodes.append(helper.make_node(function.name, arguments, outputs, name=node.name, domain=function.domain))
        self.types |= dict.fromkeys(outputs, body.carrier)

    def dialect(self, node: Node) -> Any:
        return self.graph.dialect if REGISTRY[node.op].choices else None

    def function(self, node: Node, body: Written) -> FunctionProto:
        """The function of an operator; equal bodies exist once."""
        domain = f"{DOMAIN}.{self.graph.dialect.name.replace('-', '_')}" if REGISTRY[node.op].choices else DOMAIN
        function = helper.make_function(
            domain, "", body.arguments, body.outputs, body.nodes, [helper.make_opsetid("", OPSET)]
        )
        key = (node.op, function.SerializeToString(deterministic=True))
        if key not in self.functions:
            others = sum(op == node.op for op, _ in self.functions)
            function.name = f"{node.op}_{others + 1}" if others else node.op
            function.doc_string = _summary(node.op)
            self.functions[key] = function
        return self.functions[key]

    def model(self, outputs: list[str]) -> ModelProto:
        """The model with these outputs."""
        graph = self.graph

        def values(node: str) -> list[Any]:
            shape = graph.tensors[node].shape
            return [helper.make_tensor_value_info(name, self.types[name], shape) for name in self.names[node]]

        inner = [node.name for node in graph.nodes if node.op != INPUT and node.name not in outputs]
        made = helper.make_graph(
            self.nodes,
            str(graph.config.get("name", "network")),
            [value for node in graph.inputs for value in values(node.name)],
            [value for name in outputs for value in values(name)],
            self.initializers,
            value_info=[value for name in inner for value in values(name)],
        )
        domains = sorted({function.domain for function in self.functions.values()})
        model = helper.make_model(
            made,
            opset_imports=[helper.make_opsetid("", OPSET), *(helper.make_opsetid(domain, 1) for domain in domains)],
            ir_version=IR_VERSION,
            functions=list(self.functions.values()),
            producer_name="intsim",
            producer_version=__version__,
        )
        formats = {node.name: str(graph.tensors[node.name].fmt) for node in graph.nodes}
        record: dict[str, Any] = {"model_sha256": graph.content_hash, "dialect": graph.dialect.name, "formats": formats}
        record["inputs"] = {node.name: node.integers() for node in graph.inputs}
        if self.limbs is not None:
            split = {name: names for name, names in self.names.items() if len(names) > 1}
            record |= {"width": self.width, "limb_bits": self.limbs.k, "limbs": split}
        helper.set_model_props(model, {METADATA: json.dumps(record)})
        return model


def _summary(op: str) -> str:
    return (REGISTRY[op].__doc__ or op).strip().splitlines()[0]


def _flat(model: ModelProto) -> ModelProto:
    """An inlined model whose constants are initializers, equal ones once, and whose operators are named after their node."""
    kept: list[NodeProto] = []
    renamed: dict[str, str] = {}
    known: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    for node in model.graph.node:
        if node.op_type != "Constant":
            kept.append(node)
            continue
        tensor = node.attribute[0].t
        key = (tensor.data_type, tuple(tensor.dims), tensor.raw_data)
        if key not in known:
            known[key] = node.output[0]
            tensor.name = node.output[0]
            model.graph.initializer.append(tensor)
        renamed[node.output[0]] = known[key]
    for node in kept:
        for i, name in enumerate(node.input):
            node.input[i] = renamed.get(name, name)
    for node, name in zip(kept, _names(kept), strict=True):
        node.name = name
    del model.graph.node[:]
    model.graph.node.extend(kept)
    for domain in [opset for opset in model.opset_import if opset.domain]:
        model.opset_import.remove(domain)
    return model


def _names(nodes: list[NodeProto]) -> Iterator[str]:
    """A name for every operator: its output's."""
    return (node.output[0] for node in nodes)
