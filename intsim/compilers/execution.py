"""Running an ONNX model of `onnx_model` in an executor: what it computes, in the formats of the network's nodes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
from google.protobuf.message import DecodeError

from ..arith import AnyArray, IntArray, format_named
from ..errors import FileError, IntsimError
from ..storage.files import replacing, require_file
from .executors import executor
from .onnx_model import METADATA, require_integers


@dataclass(frozen=True)
class Executed:
    """The picture and the tensors that a runtime computed, by name, in the types of their formats where they fit; its name
    and version, and the record of the network in the model's metadata.
    """

    tensors: dict[str, AnyArray]
    runtime: str
    record: dict[str, Any]


def execute(path: str | Path, picture: IntArray, runtime: str) -> Executed:
    """Compile a model and run it on a picture, u8 [height, width, 3].

    Raises FileError for a file that is no model of intsim's, has float tensors, or values outside its folder; IntsimError
    where the picture has another size, or the runtime is not installed or fails, with its own last line.
    """
    path = Path(path)
    found = executor(runtime)
    record, name, shape = described(path)
    if picture.shape != shape:
        raise IntsimError(f"the picture is {_size(picture.shape)}, the model takes {_size(shape)}")
    try:
        outputs = found.compiled(path)({name: np.ascontiguousarray(picture, np.uint8)})
    except IntsimError as error:
        raise IntsimError(f"{runtime}: {error}") from None
    except Exception as error:  # noqa: BLE001  a runtime's own, of any kind
        raise IntsimError(f"{runtime} fails: {_last_line(error)}") from None
    outputs = _joined(outputs, record)
    tensors = {key: _in_format(value, record["formats"].get(key)) for key, value in {name: picture, **outputs}.items()}
    return Executed(tensors, f"{runtime} {found.version()}", record)


def save_dump(executed: Executed, path: str | Path) -> None:
    """Write what a runtime computed as HDF5, a dataset per tensor, whole or not at all."""
    with replacing(path) as temporary, h5py.File(temporary, "w", track_order=True) as file:
        file.attrs["runtime"] = executed.runtime
        file.attrs["model_sha256"] = str(executed.record.get("model_sha256", ""))
        for name, value in executed.tensors.items():
            file.create_dataset(name, data=value, track_times=False)


def described(path: Path) -> tuple[dict[str, Any], str, tuple[int, ...]]:
    """What a model's metadata says of its network, and the name and the shape of its input."""
    require_file(path, "an ONNX model")
    try:
        model = onnx.load(str(path), load_external_data=False)
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        record = json.loads(metadata[METADATA])
        (value,) = model.graph.input
    except (DecodeError, ValueError, KeyError, OSError, RecursionError):
        raise FileError(f"{path}: not an ONNX model of intsim's, as 'intsim export' writes them") from None
    for tensor in model.graph.initializer:
        if tensor.data_location:
            raise FileError(f"{path}: {tensor.name} has its values in another file; models of intsim's have theirs inside")
    try:
        require_integers(model)
    except IntsimError as error:
        raise FileError(f"{path}: {error}") from None
    return record, value.name, tuple(side.dim_value for side in value.type.tensor_type.shape.dim)


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


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape[:2]))


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
