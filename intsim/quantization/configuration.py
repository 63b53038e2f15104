"""Configurations: the dimensions of a network as JSON or YAML, the published ``variant.yml`` among them.

A model for another picture size than the checkpoint was trained at says so: ``image_size`` is the size wanted,
``trained_size`` that of the position embeddings in the checkpoint, which are resized. (Of classifiers it is ``img_size``.)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import FileError, IntsimError
from ..nets.networks import dimensions_of, network_of
from ..nets.segmenter import LINEAR
from ..storage.pictures import check_presentation

VARIANT = "variant.yml"  # what the original Segmenter leaves beside its checkpoint.pth
MEANINGLESS = {"backbone", "dropout", "drop_path_rate", "d_encoder", "d_ff"}  # in published files, once it is trained


def read_config(path: str | Path) -> dict[str, Any]:
    """The configuration in a JSON or YAML file as plain data, checked.

    Published files keep it under ``net_kwargs``; such networks were trained with L2 normalisation.
    """
    path = Path(path)
    text = _text(path)
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


def _published(variant: dict[str, Any]) -> dict[str, Any]:
    """What counts in the original Segmenter's ``variant.yml``."""
    config = {"l2_norm": True, **{key: value for key, value in variant["net_kwargs"].items() if key not in MEANINGLESS}}
    if isinstance(config.get("decoder"), dict):
        config["decoder"] = {key: v for key, v in config["decoder"].items() if key not in MEANINGLESS}
        width, heads = config.get("d_model"), config.get("n_heads")
        if config["decoder"].get("name") != LINEAR and isinstance(width, int) and width >= 64 and width // 64 != heads:
            config["decoder"].setdefault("n_heads", width // 64)  # whatever the encoder has
    inference = variant.get("inference_kwargs")
    if isinstance(inference, dict) and "window_stride" in inference:
        config["window_stride"] = inference["window_stride"]
    return config


def config_beside(checkpoint: Path) -> Path | None:
    """The configuration that lies beside a checkpoint: of the same name, or the original Segmenter's ``variant.yml``."""
    names = [checkpoint.with_suffix(suffix).name for suffix in (".json", ".yml", ".yaml")] + [VARIANT]
    return next((path for name in names if (path := checkpoint.with_name(name)).is_file()), None)


def at_size(config: dict[str, Any], height: int, width: int) -> dict[str, Any]:
    """The same network for pictures of another size; where its position embeddings come from stays on record."""
    network = network_of(config)
    size = config.get("trained_size", config[network.size_key])
    resized = {key: value for key, value in config.items() if key != "window_stride"}  # which is for windows as trained
    resized[network.size_key] = [height, width]
    if network.positions is not None:
        resized["trained_size"] = list(size) if isinstance(size, tuple) else size
    dimensions_of(resized)
    return resized


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

    class Loader(yaml.SafeLoader):
        """Plain data, and the tuples that the original Segmenter's files hold."""

    Loader.add_constructor("tag:yaml.org,2002:python/tuple", lambda loader, node: loader.construct_sequence(node))
    try:
        return yaml.load(text, Loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise FileError(f"{path}: not YAML of plain data ({str(error).splitlines()[0]})") from None
