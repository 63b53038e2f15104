"""File formats of checkpoints: safetensors, NumPy's ``.npz``, ONNX, and PyTorch's own, read without executing code."""

from __future__ import annotations

import argparse
import json
import pathlib
import pickle
import re
import struct
import types
import warnings
import zipfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from ..arith import AnyArray
from ..errors import FileError
from ..storage import npy
from ..storage.inflation import require_bounded
from .onnx_weights import exported_weights
from .weight_sets import WeightSet, chosen, sets_in

PYTORCH_SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".tar")
# What torch raises for files that are damaged, malicious, or in another format.
_TORCH_ERRORS = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    struct.error,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    ImportError,
    AssertionError,
    MemoryError,
)
CHECKPOINT_SUFFIXES = (".safetensors", ".npz", ".onnx", *PYTORCH_SUFFIXES)
STATE, META = "state/", "meta"  # in archives of a state and recorded activations
ZIP_START = b"PK\x03\x04"
BFLOAT16 = "BF16"  # safetensors' name of it
# Classes that only hold data, and stand beside the weights in checkpoints: arguments, and paths in them.
PLAIN_CLASSES = [
    *(argparse.Namespace, types.SimpleNamespace),
    *(pathlib.Path, pathlib.PosixPath, pathlib.WindowsPath, pathlib.PurePosixPath, pathlib.PureWindowsPath),
]
_KINDS = {np.dtype(np.float64): "F64", np.dtype(np.float32): "F32", np.dtype(np.float16): "F16"}


@dataclass(frozen=True)
class CheckpointTensor:
    """One tensor of a checkpoint: `kind` is F64, F32, F16 or the name of another type; `read` returns its values."""

    name: str
    shape: tuple[int, ...]
    kind: str
    read: Callable[[], AnyArray]


def stored_tensors(path: Path, weights: str | None = None) -> WeightSet[CheckpointTensor]:
    """The tensors of a checkpoint by name: of the set called `weights`, or of the network's own (`weight_sets`).

    Raises FileError for a file that is invalid, truncated, or would execute code, and where there is no such set.
    """
    if path.suffix == ".npz":
        return chosen(path, {"": _npz(path)}, weights)
    if path.suffix in PYTORCH_SUFFIXES:
        return _pytorch(path, weights)
    if path.suffix == ".onnx":
        tensors = {name: CheckpointTensor(name, *stored) for name, stored in exported_weights(path).items()}
        return chosen(path, {"": tensors}, weights)
    return chosen(path, {"": _safetensors(path)}, weights)


def _safetensors(path: Path) -> dict[str, CheckpointTensor]:
    found = {}
    try:
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118  a file handle, not a dict
                view = file.get_slice(name)
                shape, kind = tuple(view.get_shape()), view.get_dtype()
                read = partial(_bfloat16, path, name, shape) if kind == BFLOAT16 else partial(_safetensor, path, name)
                found[name] = CheckpointTensor(name, shape, "F16" if kind == BFLOAT16 else kind, read)
    except (SafetensorError, OSError) as error:
        raise FileError(f"{path}: not a safetensors file, or a truncated one ({error})") from None
    return found


def _safetensor(path: Path, name: str) -> AnyArray:
    with safe_open(path, framework="numpy") as file:
        value: AnyArray = file.get_tensor(name)
        return value


def _bfloat16(path: Path, name: str, shape: tuple[int, ...]) -> AnyArray:
    """A bfloat16 tensor, for which NumPy has no type: the upper halves of float32. `safe_open` has checked the header."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        start, stop = json.loads(file.read(size))[name]["data_offsets"]
        file.seek(8 + size + start)
        halves = np.frombuffer(file.read(stop - start), "<u2")
    return (halves.astype(np.uint32) << 16).view(np.float32).reshape(shape)


def _npz(path: Path) -> dict[str, CheckpointTensor]:
    """The arrays of an archive; only those under ``state/`` where there are any, as in recordings of activations."""
    members = npy.members(path)
    prefix = STATE if any(name.startswith(STATE) for name in members) else ""
    found = {}
    for member, (shape, dtype, problem) in members.items():
        if not member.startswith(prefix):
            continue
        if problem:
            raise FileError(f"{path}: {member}: {problem}")
        name, kind = member.removeprefix(prefix), _KINDS.get(dtype.newbyteorder("="), str(dtype))
        found[name] = CheckpointTensor(name, shape, kind, partial(npy.member, path, member))
    return found


def recorded_configuration(path: Path) -> dict[str, Any] | None:
    """The configuration in an archive of a state and its activations: JSON under ``meta``; None where there is none."""
    header = npy.member_header(path, META) if path.suffix == ".npz" else None
    if header is None:
        return None
    try:
        # Text or bytes: json.loads accepts both.
        text: Any = npy.member(path, META).item() if header.dtype.kind in "US" and not header.problem else ""
        found = json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise FileError(f"{path}: {META} is not a JSON object")
    return found


def _pytorch(path: Path, weights: str | None) -> WeightSet[CheckpointTensor]:
    try:
        import torch
    except ImportError:
        raise FileError(
            f"{path}: PyTorch files need torch: pip install 'intsim[torch]', or save the state dict as safetensors"
        ) from None
    _require_bounded_members(path)
    try:
        with warnings.catch_warnings(), _plain_classes_allowed(torch):
            warnings.simplefilter("ignore")
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except _TORCH_ERRORS as error:
        raise FileError(f"{path}: {_refusal(error)}") from None
    sets = dict(sets_in(loaded, _is_tensor)) if isinstance(loaded, Mapping) else {}
    state = chosen(path, sets, weights)
    if not state.tensors:
        raise FileError(
            f"{path}: contains no state dict, neither at the top level nor under a name such as model or state_dict"
        )
    stated = sum(value.numel() * value.element_size() for value in state.tensors.values())
    require_bounded(path, stated, "its tensors")  # which may repeat what they hold
    return replace(state, tensors={name: _tensor(name, value, torch) for name, value in state.tensors.items()})


def _require_bounded_members(path: Path) -> None:
    """FileError where the members of a zip archive, as which torch saves, declare more than the file may become."""
    with path.open("rb") as file:
        if file.read(len(ZIP_START)) != ZIP_START:
            return  # an older format of torch, which is not compressed
    try:
        with zipfile.ZipFile(path) as archive:
            declared = sum(info.file_size for info in archive.infolist())
    except npy.UNZIPPABLE as error:
        raise FileError(f"{path}: {_refusal(error)}") from None
    require_bounded(path, declared, "its members")


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "detach") and hasattr(value, "shape")


def _plain_classes_allowed(torch: Any) -> AbstractContextManager[Any]:
    """A context in which torch also reads classes that only hold attributes: arguments are stored beside the weights."""
    allowed = getattr(torch.serialization, "safe_globals", None)  # since torch 2.5
    return nullcontext() if allowed is None else allowed(PLAIN_CLASSES)


def _tensor(name: str, value: Any, torch: Any) -> CheckpointTensor:
    kinds = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "F16"}
    kind = kinds.get(value.dtype, str(value.dtype).removeprefix("torch."))
    if value.is_meta or value.layout != torch.strided:
        kind = "without values" if value.is_meta else "sparse"
    wide = value.float() if value.dtype == torch.bfloat16 else value
    return CheckpointTensor(name, tuple(value.shape), kind, lambda: wide.detach().contiguous().numpy())


def _refusal(error: Exception) -> str:
    """Why torch did not read a file, as one line."""
    text = str(error)
    if called := re.search(r"GLOBAL ([\w.]+)", text):
        return f"refused, it would call {called[1]}; only tensors are read: save the state dict alone, best as safetensors"
    reason = re.search(r"WeightsUnpickler error: (.*)", text)
    first = reason[1] if reason else (text.splitlines() or [""])[0]
    detail = f" ({shorten(first, 100)})" if " " in first else ""  # a single word is no explanation
    return f"not a PyTorch checkpoint, or a truncated one{detail}; save it again"
