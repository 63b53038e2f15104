"""Configurations: the dimensions of a network as JSON or YAML, including the published ``variant.yml``.

For a picture size other than the trained one, ``image_size`` (of classifiers ``img_size``) is the new size, and
``trained_size`` that of the position embeddings in the checkpoint, which are resized.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import FileError, IntsimError
from ..nets.networks import dimensions_of, network_of
from ..nets.segmenter import LINEAR
from ..storage.files import require_file
from ..storage.pictures import check_presentation
from .recipe import parsed

VARIANT = "variant.yml"  # written by the original Segmenter next to its checkpoint.pth
MEANINGLESS = {
    "backbone",
    "dropout",
    "drop_path_rate",
    "d_encoder",
    "d_ff",
}  # keys of published files that only matter in training


def read_config(path: str | Path) -> dict[str, Any]:
    """The checked configuration in a JSON or YAML file, as plain data.

    Published files keep it under ``net_kwargs``; such networks were trained with L2 normalisation. Raises FileError where
    the file is not a valid configuration.
    """
    path = Path(path)
    text = _read_text(path)
    config = _yaml(text, path) if path.suffix in (".yml", ".yaml") else _json(text, path)
    if isinstance(config, dict) and isinstance(config.get("net_kwargs"), dict):
        config = _published(config)
    if not isinstance(config, dict):
        raise FileError(f"{path}: a configuration is a table of keys and values")
    try:
        dimensions_of(config)
        check_presentation(config)
    except IntsimError as error:
        raise FileError(f"{path}: {error}") from None
    return config


def settings_of(texts: Iterable[str]) -> dict[str, Any]:
    """Parse ``KEY=VALUE``: keys of a configuration, their values as JSON or plain text."""
    settings: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise IntsimError(f"setting {text!r}: expected KEY=VALUE, as in normalization=vit or num_heads=6")
        settings[key] = parsed(value)
    return settings


def _published(variant: dict[str, Any]) -> dict[str, Any]:
    """The relevant part of the original Segmenter's ``variant.yml``."""
    config = {"l2_norm": True, **{key: value for key, value in variant["net_kwargs"].items() if key not in MEANINGLESS}}
    if isinstance(config.get("decoder"), dict):
        config["decoder"] = {key: v for key, v in config["decoder"].items() if key not in MEANINGLESS}
        width, heads = config.get("d_model"), config.get("n_heads")
        if config["decoder"].get("name") != LINEAR and isinstance(width, int) and width >= 64 and width // 64 != heads:
            config["decoder"].setdefault("n_heads", width // 64)  # regardless of the encoder's
    inference = variant.get("inference_kwargs")
    if isinstance(inference, dict) and "window_stride" in inference:
        config["window_stride"] = inference["window_stride"]
    return config


def config_beside(checkpoint: Path) -> Path | None:
    """The configuration next to a checkpoint: with the same name, or the original Segmenter's ``variant.yml``."""
    if checkpoint.is_dir():
        return None
    names = [checkpoint.with_suffix(suffix).name for suffix in (".json", ".yml", ".yaml")] + [VARIANT]
    return next((path for name in names if (path := checkpoint.with_name(name)).is_file()), None)


def at_size(config: dict[str, Any], height: int, width: int) -> dict[str, Any]:
    """The configuration for pictures of another size; the size of its trained position embeddings is kept in it."""
    network = network_of(config)
    size = config.get("trained_size", config[network.size_key])
    resized = {key: value for key, value in config.items() if key != "window_stride"}  # valid for the trained windows only
    resized[network.size_key] = [height, width]
    if network.positions is not None:
        resized["trained_size"] = list(size) if isinstance(size, tuple) else size
    dimensions_of(resized)
    return resized


def _read_text(path: Path) -> str:
    require_file(path, "a configuration, JSON or YAML")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise FileError(f"{path}: not a text file; a configuration is JSON or YAML") from None


def _json(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise FileError(f"{path}: not valid JSON (line {error.lineno}: {error.msg})") from None
    except (RecursionError, ValueError):
        raise FileError(f"{path}: not a configuration: nested too deeply, or a number in it is too long") from None


def _yaml(text: str, path: Path) -> Any:
    try:
        import yaml
    except ImportError:
        raise FileError(f"{path}: YAML needs PyYAML: pip install 'intsim[yaml]', or write it as JSON") from None

    loader: Any = type("Loader", (yaml.SafeLoader,), {})  # plain data, and the tuples in the original Segmenter's files
    loader.add_constructor("tag:yaml.org,2002:python/tuple", lambda loader, node: loader.construct_sequence(node))
    try:
        return yaml.load(text, loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise FileError(f"{path}: not plain YAML data ({str(error).splitlines()[0]})") from None
