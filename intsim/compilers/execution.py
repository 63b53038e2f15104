"""Running an ONNX model of `onnx_model` in an executor: what it computes, in the formats of the network's nodes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, ValueInfoProto

from ..arith import AnyArray, TensorBound, format_named
from ..engine.inputs import FORMATS, Inputs, checked_by, checked_input, input_bound
from ..errors import FileError, IntsimError
from ..storage.files import require_file, require_room
from ..storage.new_hdf5 import replacing_hdf5
from .executors import executor, last_line
from .limbs import WIDTHS, Limbs, digit_names
from .onnx_model import METADATA, onnx_type, require_integers


@dataclass(frozen=True)
class Executed:
    """The inputs and the tensors that a runtime computed, by name, in the types of their formats where they fit; its name
    and version, and the record of the network in the model's metadata.
    """

    tensors: dict[str, AnyArray]
    runtime: str
    record: dict[str, Any]


def execute(path: str | Path, inputs: Inputs, runtime: str) -> Executed:
    """Compile a model and run it on the value of its only input, such as a picture u8 [height, width, 3], or on values by
    the names of its inputs.

    Raises FileError for a file that is no model of intsim's, has float tensors, or values outside its folder; IntsimError
    where an input has another type, shape or range, or the runtime is not installed or fails, with its own last line.
    """
    path = Path(path)
    found = executor(runtime)
    record, takes = described(path)
    given = checked_by(takes, inputs)
    try:
        outputs = found.compiled(path)(given)
    except IntsimError as error:
        raise IntsimError(f"{runtime}: {error}{_hint(record, path)}") from None
    except (Exception, SystemExit) as error:  # noqa: BLE001  a runtime's own, of any kind
        raise IntsimError(f"{runtime} fails: {last_line(error)}{_hint(record, path)}") from None
    if not isinstance(outputs, Mapping) or (lacking := [key for key in record["outputs"] if key not in outputs]):
        what = f"no {lacking[0]}" if isinstance(outputs, Mapping) else f"{type(outputs).__name__} instead of outputs by name"
        raise IntsimError(f"{runtime}: it returned {what}")
    outputs = _joined({key: np.asarray(outputs[key]) for key in record["outputs"]}, record)
    tensors = {key: _in_format(value, record["formats"].get(key)) for key, value in {**given, **outputs}.items()}
    return Executed(tensors, f"{runtime} {found.version()}", record)


def save_dump(executed: Executed, path: str | Path) -> None:
    """Write what a runtime computed as HDF5, a dataset per tensor, whole or not at all."""
    require_room(path, sum(value.nbytes for value in executed.tensors.values()))
    with replacing_hdf5(path, track_order=True) as file:
        file.attrs["runtime"] = executed.runtime
        file.attrs["model_sha256"] = str(executed.record.get("model_sha256", ""))
        for name, value in executed.tensors.items():
            file.create_dataset(name, data=value, track_times=False)


def described(path: Path) -> tuple[dict[str, Any], dict[str, TensorBound]]:
    """What a model's metadata says of its network, with its ``outputs``, and the shape, format and range of each input."""
    model, record = opened(path)
    try:
        takes = {value.name: taken(value, record) for value in model.graph.input}
        if not takes:
            raise ValueError("it has no input")
    except ValueError as error:
        raise _damaged(path, error) from None
    record["functions"] = len(model.functions)
    try:
        require_integers(model)
    except IntsimError as error:
        raise FileError(f"{path}: {error}") from None
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError, UnicodeDecodeError) as error:
        raise FileError(f"{path}: not a valid model: {last_line(error)}") from None
    return record, takes


def _damaged(path: Path, error: Exception) -> FileError:
    return FileError(f"{path}: what intsim wrote in it of its network is damaged ({error}); write it again")


def opened(path: Path, edited: bool = False) -> tuple[ModelProto, dict[str, Any]]:
    """A model of intsim's, with what its metadata says of its network. FileError where the file is none.

    The outputs of an `edited` one may be nodes that intsim did not write.
    """
    require_file(path, "an ONNX model")
    try:
        model = onnx.load(str(path), load_external_data=False)
        metadata = {entry.key: entry.value for entry in model.metadata_props}
    except (DecodeError, ValueError, OSError, RecursionError):
        raise FileError(f"{path}: not an ONNX file, or damaged; write it again with 'intsim export MODEL'") from None
    if METADATA not in metadata:
        raise FileError(f"{path}: not an ONNX model of intsim's, as 'intsim export MODEL' writes them")
    try:
        outputs = [] if edited else [output.name for output in model.graph.output]
        record = checked_record(json.loads(metadata[METADATA]), outputs)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, error) from None
    for tensor in model.graph.initializer:
        if tensor.data_location:
            raise FileError(f"{path}: {tensor.name} has its values in another file; models of intsim's have theirs inside")
    return model, record


def taken(value: ValueInfoProto, record: Mapping[str, Any]) -> TensorBound:
    """The shape, format and range of an input of the model. ValueError with what is wrong."""
    kind = value.type.tensor_type
    shape = tuple(side.dim_value for side in kind.shape.dim)
    fmt = next((fmt for fmt in FORMATS.values() if onnx_type(fmt) == kind.elem_type), None)
    if fmt is None or not shape or min(shape) < 1:
        raise ValueError(f"its input {value.name} is no tensor of {', '.join(map(str, FORMATS.values()))}")
    params = record["inputs"].get(value.name)
    bound = TensorBound.full(shape, fmt) if params is None else input_bound(checked_input(params))
    if (bound.shape, bound.fmt) != (shape, fmt):
        raise ValueError(f"its input {value.name} is {fmt} {list(shape)}, not {bound.fmt} {list(bound.shape)}")
    return bound


def checked_record(record: Any, outputs: list[str]) -> dict[str, Any]:
    """What a model's metadata says, as far as it is used. ValueError with what is wrong."""
    if not isinstance(record, dict):
        raise ValueError("no record")
    formats, limbs, model = record.get("formats"), record.get("limbs", {}), record.get("model_sha256")
    if not isinstance(model, str) or not model.isalnum():
        raise ValueError("model_sha256")
    if not isinstance(formats, dict) or not isinstance(limbs, dict):
        raise ValueError("formats" if not isinstance(formats, dict) else "limbs")
    for fmt in formats.values():
        format_named(fmt if isinstance(fmt, str) else "")
    inputs = record.get("inputs", {})
    if not isinstance(inputs, dict) or not all(isinstance(params, dict) for params in inputs.values()):
        raise ValueError("inputs")
    width = record.get("width", 64)
    if "width" in record and (width not in WIDTHS or record.get("limb_bits") != Limbs(width).k):
        raise ValueError("width and limb_bits")
    if any(not isinstance(names, list) or names != digit_names(name, len(names)) for name, names in limbs.items()):
        raise ValueError("limbs")
    digits = {digit for names in limbs.values() for digit in names}
    if unknown := [name for name in outputs if name not in formats and name not in digits]:
        raise ValueError(f"its output {unknown[0]} is no node")
    if lacking := [d for names in limbs.values() for d in names if names[0] in outputs and d not in outputs]:
        raise ValueError(f"its output {lacking[0]} is missing")
    return {**record, "limbs": limbs, "inputs": inputs, "outputs": outputs}


def _hint(record: Mapping[str, Any], path: Path) -> str:
    """What may be wrong with the choice of the file."""
    if not record["functions"]:
        return ""
    return f"; {path.name} has functions, which most runtimes do not read: take the file without, *_inline.onnx"


def _joined(outputs: Mapping[str, AnyArray], record: Mapping[str, Any]) -> dict[str, AnyArray]:
    """What a runtime computed, tensors whole that a narrow form has as digits."""
    digits = {names[0]: (name, names) for name, names in record.get("limbs", {}).items()}
    others = {name for _, names in digits.values() for name in names}
    found: dict[str, AnyArray] = {}
    for output, value in outputs.items():
        if output in digits:
            name, names = digits[output]
            parts = [outputs[part].astype(np.int64) << record["limb_bits"] * i for i, part in enumerate(names)]
            found[name] = np.sum(parts, axis=0)
        elif output not in others:
            found[output] = value
    return found


def _in_format(value: AnyArray, name: str | None) -> AnyArray:
    """A tensor in the type of its format, or as it is where a value does not fit."""
    fmt = format_named(name) if name is not None else None
    fits = fmt is not None and value.dtype.kind in "iu" and value.size and fmt.lo <= value.min() and value.max() <= fmt.hi
    return value.astype(fmt.dtype) if fits and fmt is not None else value
