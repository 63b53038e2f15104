"""Checkpoints of Hugging Face transformers: folders with ``config.json`` and safetensors, in one file or in shards.

Their names become timm's: queries, keys and values are joined, and the factors of a LayerScale are folded into the layers
before them, which is exact in real numbers. Supported are the image classifiers ViT, DeiT, Swin and DINOv2. The names are
those that ``save_pretrained`` writes, and those of the modules since version 5.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..arith import AnyArray
from ..errors import FileError, IntsimError
from ..nets.networks import dimensions_of
from .containers import CheckpointTensor

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
FILES = (WHOLE, INDEX, "pytorch_model.bin")
KNOWN = 0.9  # the least share of names
TYPES = ("vit", "deit", "swin", "dinov2", "dinov2_with_registers")
NORMALIZATION = {"vit": "vit"}  # of the published networks; the others have that of ImageNet
PREFIX = re.compile(r"^(vit|deit|swin|dinov2_with_registers|dinov2)\.")
NAMES = re.compile(
    r"((vit|deit|swin|dinov2|dinov2_with_registers)\.)?(embeddings|layernorm|pooler|layers\.\d+\.(attention|layernorm_\w+|mlp)"
    r"|encoder\.layers?\.\d+\.(attention|intermediate|output|layernorm\w*|layer_scale\d|norm\d|mlp|blocks|downsample))(\..*|_\w+)?"
    r"|(\w+_)?classifier\..*"
)
LEFT_OUT = re.compile(r"(embeddings\.mask_token|pooler\..*|.*\.relative_position_index)")
RENAMES: tuple[tuple[str, str], ...] = (
    (r"^embeddings\.cls_token$", "cls_token"),
    (r"^embeddings\.distillation_token$", "dist_token"),
    (r"^embeddings\.register_tokens$", "reg_token"),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^embeddings\.norm\.", "patch_embed.norm."),
    (r"^encoder\.layers\.(\d+)\.", r"layers.\1."),  # of a Swin
    (r"^(encoder\.layer|layers)\.(\d+)\.(?!blocks\.|downsample\.)", r"blocks.\2."),
    (r"\.attention\.(attention\.|self\.)?(query|q_proj)\.", ".attn.qkv.0."),
    (r"\.attention\.(attention\.|self\.)?(key|k_proj)\.", ".attn.qkv.1."),
    (r"\.attention\.(attention\.|self\.)?(value|v_proj)\.", ".attn.qkv.2."),
    (r"\.attention\.(output\.dense|o_proj)\.", ".attn.proj."),
    (r"\.attention\.\w+\.relative_position_bias_table$", ".attn.relative_position_bias_table"),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.layer_scale(\d)\.lambda1$", r".ls\1.gamma"),
    (r"^layernorm\.", "norm."),
    (r"^(cls_)?classifier\.", "head."),
    (r"^distillation_classifier\.", "head_dist."),
)
PARTS = ("query", "key", "value")


def checkpoint_files(folder: Path) -> list[Path]:
    """The files with the weights of a folder: one, or the shards that its index lists. FileError where there are none."""
    found = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if found is None:
        raise FileError(
            f"{folder}: is a folder without {WHOLE}, {INDEX} or pytorch_model.bin; name a checkpoint file, or such a folder"
        )
    if found.name != INDEX:
        return [found]
    index = _json(found)
    names = index.get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(name, str) and "/" not in name for name in names.values()):
        raise FileError(f"{found}: lists no shards under weight_map")
    shards = [folder / name for name in dict.fromkeys(names.values())]
    for shard in shards:
        if not shard.is_file():
            raise FileError(f"{shard}: no such file, though {INDEX} lists it; download all shards")
    return shards


def is_hugging_face(names: Mapping[str, Any]) -> bool:
    """Whether nearly all tensors have names of transformers; what the others are is said when they are not needed."""
    return sum(NAMES.fullmatch(name) is not None for name in names) >= KNOWN * max(len(names), 1)


# --- tensors ----------------------------------------------------------------------------------------------------------


def with_our_names(path: Path, tensors: Mapping[str, CheckpointTensor]) -> dict[str, CheckpointTensor]:
    """The tensors under timm's names, queries, keys and values joined; what the network does not use is left out."""
    found: dict[str, CheckpointTensor] = {}
    parts: dict[str, dict[int, CheckpointTensor]] = {}
    for theirs, tensor in tensors.items():
        name = PREFIX.sub("", theirs)
        if LEFT_OUT.fullmatch(name):
            continue
        for pattern, ours in RENAMES:
            name = re.sub(pattern, ours, name)
        if part := re.fullmatch(r"(.*\.attn\.qkv)\.([012])\.(weight|bias)", name):
            parts.setdefault(f"{part[1]}.{part[3]}", {})[int(part[2])] = tensor
        else:
            found[name] = tensor
    for name, given in parts.items():
        if missing := [PARTS[i] for i in range(len(PARTS)) if i not in given]:
            there = next(iter(given.values())).name
            raise FileError(f"{path}: {there} has no {missing[0]} beside it; the checkpoint is not complete")
        found[name] = _joined(path, name, [given[i] for i in range(len(PARTS))])
    return found


def _joined(path: Path, name: str, parts: list[CheckpointTensor]) -> CheckpointTensor:
    first = parts[0]
    if any(part.shape != first.shape or part.kind != first.kind for part in parts):
        raise FileError(f"{path}: {first.name} and the tensors beside it differ in shape or type")
    shape = (len(parts) * first.shape[0], *first.shape[1:]) if first.shape else ()
    return CheckpointTensor(name, shape, first.kind, lambda: np.concatenate([part.read() for part in parts]))


SCALE = re.compile(r"(blocks\.\d+)\.ls([12])\.gamma")
FLOATS = ("F64", "F32", "F16")  # any other kind is refused where tensors are read, under its name
SCALED = {"1": "attn.proj", "2": "mlp.fc2"}


def with_folded_scales(path: Path, tensors: Mapping[str, CheckpointTensor]) -> tuple[dict[str, CheckpointTensor], int]:
    """Tensors with timm's names, every LayerScale multiplied into the layer before it; and how many there were."""
    found, folded = dict(tensors), 0
    for name, scale in tensors.items():
        if (match := SCALE.fullmatch(name)) is None:
            continue
        del found[name]
        for part in ("weight", "bias"):
            target = f"{match[1]}.{SCALED[match[2]]}.{part}"
            layer = tensors.get(target)
            if layer is None:
                raise FileError(f"{path}: {scale.name} is the LayerScale of a layer that is missing, {target}")
            if not layer.shape or scale.shape != layer.shape[:1]:
                raise FileError(f"{path}: {scale.name} is {list(scale.shape)}, and its layer {list(layer.shape)}")
            found[target] = _scaled(layer, scale)
        folded += 1
    return found, folded


def _scaled(layer: CheckpointTensor, scale: CheckpointTensor) -> CheckpointTensor:
    def read() -> AnyArray:
        value, factor = (np.asarray(tensor.read(), np.float64) for tensor in (layer, scale))
        return value * (factor[:, None] if value.ndim == 2 else factor)

    odd = next((tensor.kind for tensor in (layer, scale) if tensor.kind not in FLOATS), None)
    return replace(layer, kind=odd or "F64", read=read)


# --- configuration ----------------------------------------------------------------------------------------------------


def configuration_beside(path: Path, tensors: Mapping[str, CheckpointTensor]) -> tuple[dict[str, Any], str]:
    """The configuration of a checkpoint's network from ``config.json`` in its folder, and where it comes from."""
    file = path / CONFIG if path.is_dir() else path.with_name(CONFIG)
    if not file.is_file():
        raise FileError(f"{path}: has the names of Hugging Face transformers, and no {CONFIG} beside it; put it there")
    return configuration_in(file, tensors)


def is_configuration(file: Path) -> bool:
    """Whether a file is a configuration of transformers, by its ``model_type``."""
    try:
        return file.suffix == ".json" and "model_type" in json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, RecursionError):
        return False


def configuration_in(file: Path, tensors: Mapping[str, CheckpointTensor]) -> tuple[dict[str, Any], str]:
    """The configuration of the network with these tensors from transformers' (`file`), and where it comes from."""
    normalization, whence = _normalization(file)
    config, assumed = configuration(file, _json(file), tensors, normalization)
    try:
        dimensions_of(config)
    except IntsimError as error:
        raise FileError(f"{file}: {error}") from None
    return config, f"{file}{whence}{assumed}"


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
    swin, dino = kind == "swin", str(kind).startswith("dinov2")
    width = "embed_dim" if swin else "hidden_size"
    config: dict[str, Any] = {
        "kind": "swin" if swin else "deit" if kind == "deit" else "vit",
        "name": file.parent.resolve().name,
        "img_size": given.get("image_size", 224),
        "patch_size": given.get("patch_size", 4 if swin else 16),
        "embed_dim": given.get(width),
        "num_heads": given.get("num_heads" if swin else "num_attention_heads"),
        "num_classes": _classes(given),
        "qkv_bias": given.get("qkv_bias", True),
        "norm_eps": float(given.get("layer_norm_eps", 1e-5 if swin else 1e-6 if dino else 1e-12)),
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


NOT_BY_TIMM = {"global_pool", "class_token", "no_embed_class", "act_layer", "fc_norm", "reg_tokens", "pre_norm"}


def timm_configuration(path: Path) -> tuple[Path, dict[str, Any]] | None:
    """What timm's own ``config.json`` beside a checkpoint says of the network's input, and this file; None without one.

    It has the picture's size and normalization under ``pretrained_cfg``, and in ``model_args`` what is not as published.
    """
    file = path / CONFIG if path.is_dir() else path.with_name(CONFIG)
    if not file.is_file():
        return None
    given = _json(file)
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
    given = _json(beside)
    if not given.get("do_normalize", True) or "image_mean" not in given:
        return None, ""
    return {"mean": given["image_mean"], "std": given.get("image_std")}, f" and {PREPROCESSOR}"


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise FileError(f"{path}: not valid JSON") from None
    if not isinstance(found, dict):
        raise FileError(f"{path}: not a table of keys and values")
    return found
