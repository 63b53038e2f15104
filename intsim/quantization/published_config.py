"""Configurations that stand beside a checkpoint's weights: ``config.json`` of Hugging Face transformers, and timm's."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ..errors import FileError, IntsimError
from ..nets.networks import dimensions_of
from ..nets.vit import MEAN, TOKEN
from ..storage.files import require_file
from .containers import CheckpointTensor

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
TYPES = ("vit", "deit", "swin", "dinov2", "dinov2_with_registers")
NORMALIZATION = {"vit": "vit"}  # of the published networks; the others have that of ImageNet


def configuration_beside(
    path: Path, tensors: Mapping[str, CheckpointTensor], known: Collection[str] = ()
) -> tuple[dict[str, Any], str]:
    """The configuration of a checkpoint's network from ``config.json`` in its folder, and where it comes from; keys that are
    `known` will be set.
    """
    file = path / CONFIG if path.is_dir() else path.with_name(CONFIG)
    if not file.is_file():
        raise FileError(f"{path}: has the names of Hugging Face transformers, and no {CONFIG} beside it; put it there")
    return configuration_in(file, tensors, known)


def is_configuration(file: Path) -> bool:
    """Whether a file is a configuration of transformers, by its ``model_type``."""
    try:
        return file.suffix == ".json" and file.is_file() and "model_type" in json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, RecursionError):
        return False


def configuration_in(
    file: Path, tensors: Mapping[str, CheckpointTensor], known: Collection[str] = ()
) -> tuple[dict[str, Any], str]:
    """The configuration of the network with these tensors from transformers' (`file`), and where it comes from."""
    normalization, whence = _normalization(file)
    config, assumed = configuration(file, json_table(file), tensors, normalization)
    try:
        dimensions_of(config)
    except IntsimError as error:
        blamed = file.with_name(PREPROCESSOR) if "normalization" in str(error) and whence else file
        raise FileError(f"{blamed}: {error}") from None
    return config, f"{file}{whence}{'' if 'normalization' in known else assumed}"


def configuration(
    file: Path, given: Mapping[str, Any], tensors: Mapping[str, CheckpointTensor], normalization: Any
) -> tuple[dict[str, Any], str]:
    """Our configuration of transformers' (`given`), and what was assumed, as the end of a sentence.

    Raises FileError for a network or a feature that is not supported, naming the key.
    """
    kind = given.get("model_type")
    if kind not in TYPES:
        raise FileError(f"{file}: model_type {kind!r} is not one of {', '.join(TYPES)}")
    _require_supported(file, given)
    _require_classifier(file, given, tensors)
    swin, dino = kind == "swin", str(kind).startswith("dinov2")
    width = "embed_dim" if swin else "hidden_size"
    config: dict[str, Any] = {
        "kind": "swin" if swin else "deit" if kind == "deit" else "vit",
        "name": file.parent.resolve().name,
        "img_size": given.get("image_size", 224),
        "patch_size": given.get("patch_size", 4 if swin else 16),
        "embed_dim": given.get(width),
        "num_heads": given.get("num_heads" if swin else "num_attention_heads"),
        "num_classes": _classes(given) if "head.weight" in tensors else 0,
        "qkv_bias": given.get("qkv_bias", True),
        "norm_eps": given.get("layer_norm_eps", 1e-5 if swin else 1e-6 if dino else 1e-12),
    }
    if swin:
        config |= {key: given.get(key) for key in ("depths", "window_size")}
        config["mlp_ratio"] = given.get("mlp_ratio", 4)
    elif dino:
        config |= {"depth": given.get("num_hidden_layers"), "mlp_ratio": given.get("mlp_ratio", 4)}
        config |= {"registers": given.get("num_register_tokens", 4) if kind != "dinov2" else 0, "pooling": "token_and_mean"}
    else:
        config |= {"depth": given.get("num_hidden_layers"), "mlp_ratio": _ratio(file, given)}
    if kind == "deit":
        config |= {"distilled": True, "head_dist": "head_dist.weight" in tensors}
    if missing := [key for key, value in config.items() if value is None]:
        raise FileError(f"{file}: does not give {missing[0]}, which determines the dimensions of the network")
    named = [str(given["id2label"][key]) for key in sorted(given["id2label"], key=int)] if _named(given) else []
    if named:
        config["class_names"] = named
    config["normalization"] = normalization or NORMALIZATION.get(str(kind), "deit")
    assumed = "" if normalization else f"; assumed: normalization {config['normalization']}, as published"
    return config, assumed


NOT_BY_TIMM = {"act_layer", "pre_norm"}
POOLINGS = {"token": TOKEN, "avg": MEAN}  # of a ViT, by timm's global_pool


def timm_configuration(path: Path, swin: bool) -> tuple[Path, dict[str, Any]] | None:
    """What timm's own ``config.json`` beside a checkpoint says of it, and the file; None without one.

    It has the picture's size and normalization under ``pretrained_cfg``, and in ``model_args`` what is not as published; of
    that, shapes tell the registers, the class token and its position.
    """
    file = path / CONFIG if path.is_dir() else path.with_name(CONFIG)
    if not file.is_file():
        return None
    given = json_table(file)
    published, arguments = given.get("pretrained_cfg"), given.get("model_args", {})
    if not isinstance(published, dict) or not isinstance(arguments, dict):
        return None
    known: dict[str, Any] = {}
    size = published.get("input_size")
    if isinstance(size, list) and len(size) == 3:
        known["img_size"] = size[1:]
    if "mean" in published and "std" in published:
        known["normalization"] = {key: published[key] for key in ("mean", "std")}
    refused = NOT_BY_TIMM & arguments.keys()
    if refused:
        key = min(refused)
        raise FileError(f"{file}: model_args has {key} = {arguments[key]!r}; only timm's default is supported")
    pool = arguments.get("global_pool", given.get("global_pool"))
    if not swin and pool is not None:
        if pool not in POOLINGS:
            raise FileError(f"{file}: global_pool is {pool!r}; supported are {', '.join(POOLINGS)}")
        known["pooling"] = POOLINGS[pool]
    known |= {key: arguments[key] for key in ("num_heads", "window_size", "qkv_bias") if key in arguments}
    return file, known


def _require_supported(file: Path, given: Mapping[str, Any]) -> None:
    """FileError for features that the network would need and that are not here."""
    only: dict[str, tuple[Any, str]] = {
        "hidden_act": ("gelu", "the exact GELU"),
        "use_swiglu_ffn": (False, "an MLP of two layers; SwiGLU has three"),
        "num_channels": (3, "pictures of three channels"),
        "use_absolute_embeddings": (False, "a Swin without absolute position embeddings"),
        "use_mean_pooling": (False, "the class token"),
        "position_embedding_type": ("absolute", "absolute position embeddings"),
    }
    for key, (value, supported) in only.items():
        if given.get(key, value) != value:
            raise FileError(f"{file}: {key} is {given[key]!r}; supported is {value!r}: {supported}")


def _require_classifier(file: Path, given: Mapping[str, Any], tensors: Mapping[str, CheckpointTensor]) -> None:
    """FileError where the classifier is missing that the network was saved with; an encoder alone has none."""
    if "head.weight" in tensors:
        return
    names = given.get("architectures")
    for name in names if isinstance(names, list) else []:
        if "Classification" in str(name):
            raise FileError(f"{file}: is a {name}, whose classifier.weight is missing; the checkpoint is not complete")


def _classes(given: Mapping[str, Any]) -> Any:
    labels = given.get("id2label")
    return len(labels) if isinstance(labels, dict) and labels else given.get("num_labels", 2)


def _named(given: Mapping[str, Any]) -> bool:
    """Whether the classes have names of their own, numbered from 0."""
    labels = given.get("id2label")
    if not isinstance(labels, dict) or not labels or set(labels) != {str(number) for number in range(len(labels))}:
        return False
    return not all(str(name).startswith("LABEL_") for name in labels.values())


def _ratio(file: Path, given: Mapping[str, Any]) -> float:
    width, hidden = given.get("hidden_size"), given.get("intermediate_size")
    if not isinstance(width, int) or not isinstance(hidden, int) or width < 1:
        raise FileError(f"{file}: hidden_size {width!r} and intermediate_size {hidden!r} are not two whole numbers")
    return hidden / width


def _normalization(file: Path) -> tuple[dict[str, list[float]] | None, str]:
    """Mean and standard deviation from the preprocessor's configuration, and its file for a message; None without one."""
    beside = file.with_name(PREPROCESSOR)
    if not beside.is_file():
        return None, ""
    given = json_table(beside)
    factor = given.get("rescale_factor", 1 / 255)
    if not given.get("do_rescale", True) or not isinstance(factor, float) or abs(factor * 255 - 1) > 1e-6:
        raise FileError(f"{beside}: pixels are not rescaled to 0..1 (do_rescale, rescale_factor), which is expected")
    if not given.get("do_normalize", True):
        return {"mean": [0.0] * 3, "std": [1.0] * 3}, f" and {PREPROCESSOR}"
    if "image_mean" not in given:
        return None, ""
    return {"mean": given["image_mean"], "std": given.get("image_std")}, f" and {PREPROCESSOR}"


def json_table(path: Path) -> dict[str, Any]:
    """The table in a JSON file; FileError for any other content."""
    require_file(path, "a configuration, JSON")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise FileError(f"{path}: not valid JSON") from None
    if not isinstance(found, dict):
        raise FileError(f"{path}: not a table of keys and values")
    return found
