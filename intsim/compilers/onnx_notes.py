"""What a node of an ONNX model says of the operator it came from, in its metadata, so that the model can be read back.

A note has the operator (``op``), its integer parameters (``params``), the names of those that are initializers, in the
order of the node's last inputs (``arrays``), the real scales (``scale``, ``scales``), of a constant its ``format``, and the
SHA-256 of the function that the node calls (``function``).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import FunctionProto, NodeProto

from ..arith import Scale
from ..engine.graph import Node

KEY = "intsim"  # of the metadata of a model, and of a node


@dataclass(frozen=True)
class Note:
    """A note that was read."""

    op: str
    params: dict[str, Any]
    arrays: tuple[str, ...]
    scale: Scale | None
    scales: dict[str, Scale]
    fmt: str
    function: str


def write_note(proto: NodeProto, node: Node, fmt: str, function: FunctionProto | None) -> None:
    """Note at a node of the model which node of the graph it is."""
    arrays = [key for key, value in node.params.items() if np.ndim(value)]
    record: dict[str, Any] = {"op": node.op, "params": node.integers(), "arrays": arrays, "format": fmt}
    if node.scale is not None:
        record["scale"] = plain(node.scale)
    if scales := {key: plain(scale) for key, scale in node.scales.items() if scale is not None}:
        record["scales"] = scales
    if function is not None:
        record["function"] = fingerprint(function)
    proto.metadata_props.add(key=KEY, value=json.dumps(record))


def read_note(proto: NodeProto) -> Note | None:
    """The note of a node; None where it has none. ValueError where it is damaged."""
    text = next((entry.value for entry in proto.metadata_props if entry.key == KEY), None)
    if text is None:
        return None
    record = json.loads(text)
    if not isinstance(record, dict):
        raise ValueError("not a record")
    arrays, params, scales = (
        record.get(key, kind()) for key, kind in (("arrays", list), ("params", dict), ("scales", dict))
    )
    texts = [record.get("op"), record.get("format"), record.get("function", "")]
    if not all(isinstance(part, str) for part in (*texts, *(arrays if isinstance(arrays, list) else [None]))):
        raise ValueError("op, format, function or arrays")
    if not isinstance(params, dict) or not isinstance(scales, dict):
        raise ValueError("params or scales")
    own = {key: scale_of(value) for key, value in scales.items()}
    scale = None if record.get("scale") is None else scale_of(record["scale"])
    return Note(texts[0], params, tuple(arrays), scale, own, texts[1], texts[2])


def fingerprint(function: FunctionProto) -> str:
    """SHA-256 of what a function computes: of its signature, its operators and their versions, without names for people."""
    copy = FunctionProto()
    copy.input.extend(function.input)
    copy.output.extend(function.output)
    copy.attribute.extend(function.attribute)
    copy.attribute_proto.extend(function.attribute_proto)
    copy.opset_import.extend(sorted(function.opset_import, key=lambda opset: opset.domain))
    for node in function.node:
        own = copy.node.add()
        own.CopyFrom(node)
        own.name = own.doc_string = ""
        del own.metadata_props[:]
    return hashlib.sha256(copy.SerializeToString(deterministic=True)).hexdigest()


def plain(scale: Scale) -> float | list[float]:
    """A scale as JSON has it."""
    return scale.tolist() if isinstance(scale, np.ndarray) else float(scale)


def scale_of(value: Any) -> Scale:
    """A scale from JSON, a number or a list of numbers. ValueError where it is neither, or not finite."""
    array = np.asarray(value)
    if array.dtype.kind not in "fi" or array.ndim > 1 or not np.isfinite(array).all():
        raise ValueError("a scale is a number, or a list of numbers")
    return float(array) if array.ndim == 0 else array.astype(np.float64)
