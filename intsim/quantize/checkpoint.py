"""Reading a float checkpoint (safetensors) and its configuration (JSON, or YAML where PyYAML is installed)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from ..errors import FileError, IntsimError
from ..nets.segmenter import SegmenterConfig, parameters
from ..pictures import check_presentation

TRAINING_KEYS = {"backbone", "dropout", "drop_path_rate", "d_encoder"}  # in published files, of no meaning afterwards


def read_config(path: str | Path) -> dict[str, Any]:
    """The configuration in a JSON or YAML file as plain data, checked; published files keep it under ``net_kwargs``."""
    path = Path(path)
    text = _text(path)
    config = _yaml(text, path) if path.suffix in (".yml", ".yaml") else _json(text, path)
    if isinstance(config, dict) and isinstance(config.get("net_kwargs"), dict):
        config = {key: value for key, value in config["net_kwargs"].items() if key not in TRAINING_KEYS}
        if isinstance(config.get("decoder"), dict):
            config["decoder"] = {key: v for key, v in config["decoder"].items() if key not in TRAINING_KEYS}
    if not isinstance(config, dict):
        raise FileError(f"{path}: a configuration is a table of keys and values")
    try:
        SegmenterConfig.of(config)
        check_presentation(config)
    except IntsimError as error:
        raise FileError(f"{path}: {error}") from None
    return config


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise FileError(f"{path}: not a text file; a configuration is JSON or YAML") from None


def _json(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise FileError(f"{path}: not JSON (line {error.lineno}: {error.msg})") from None
    except (RecursionError, ValueError):
        raise FileError(f"{path}: not a configuration: nested too deep, or with numbers too long") from None


def _yaml(text: str, path: Path) -> Any:
    try:
        import yaml
    except ImportError:
        raise FileError(f"{path}: YAML needs PyYAML: pip install 'intsim[yaml]', or write the same as JSON") from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise FileError(f"{path}: not YAML ({str(error).splitlines()[0]})") from None


def read_checkpoint(path: str | Path, config: dict[str, Any]) -> tuple[dict[str, NDArray], str]:
    """The float tensors the configuration asks for, as float64, and the file's SHA-256.

    FileError names the first tensor that is missing, misshapen, not real-valued or not finite. Other tensors are ignored:
    published checkpoints carry a classification head that Segmenter does not use.
    """
    path = Path(path)
    if path.is_dir():
        raise FileError(f"{path}: is a folder; a safetensors file is due")
    if not path.is_file():
        raise FileError(f"{path}: there is no such file")
    due = parameters(SegmenterConfig.of(config))
    weights = {}
    try:
        with safe_open(path, framework="numpy") as file:
            held = set(file.keys())
            for name, shape in due.items():
                if name not in held:
                    raise FileError(f"{path}: tensor {name} is missing; the configuration asks for it, {list(shape)}")
                weights[name] = _tensor(file, name, shape, path)
    except (SafetensorError, OSError) as error:
        raise FileError(f"{path}: not a safetensors file, or a truncated one ({error})") from None
    with path.open("rb") as stream:
        return weights, hashlib.file_digest(stream, "sha256").hexdigest()


def _tensor(file: Any, name: str, shape: tuple[int, ...], path: Path) -> NDArray:
    view = file.get_slice(name)
    found, kind = tuple(view.get_shape()), view.get_dtype()
    if found != shape:
        raise FileError(f"{path}: tensor {name} is {list(found)}, the configuration asks for {list(shape)}")
    if kind not in ("F64", "F32", "F16"):
        raise FileError(f"{path}: tensor {name} is {kind}; F64, F32 or F16 are due, convert the checkpoint")
    value = file.get_tensor(name).astype(np.float64)
    if not np.isfinite(value).all():
        raise FileError(f"{path}: tensor {name} holds values that are not finite")
    return value
