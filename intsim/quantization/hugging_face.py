"""Checkpoints of Hugging Face transformers: folders with ``config.json`` and safetensors, in one file or in shards.

Their names become timm's: queries, keys and values are joined, and the factors of a LayerScale are folded into the layers
before them, which is exact in real numbers. Supported are the image classifiers ViT, DeiT, Swin and DINOv2. The names are
those that ``save_pretrained`` writes, and those of the modules since version 5.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..arith import AnyArray
from ..errors import FileError
from .containers import CheckpointTensor
from .published_config import json_table

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
FILES = (WHOLE, INDEX, "pytorch_model.bin", "model.onnx")
KNOWN = 0.9  # the least share of names
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
            f"{folder}: is a folder without {WHOLE}, {INDEX}, pytorch_model.bin or model.onnx; name a checkpoint file, or "
            "such a folder"
        )
    if found.name != INDEX:
        return [found]
    index = json_table(found)
    names = index.get("weight_map")
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        raise FileError(f"{found}: lists no shards under weight_map")
    if outside := [name for name in names.values() if "/" in name or "\\" in name]:
        raise FileError(f"{found}: lists {outside[0]}, which is outside its folder")
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
