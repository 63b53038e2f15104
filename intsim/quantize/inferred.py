"""Configurations told by the shapes of a checkpoint's tensors, where nobody wrote one down.

What shapes do not tell is taken as the published networks have it, and said so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import FileError
from ..nets.segmenter import LINEAR, MASK
from .containers import Stored
from .naming import MMSEGMENTATION, TIMM, TIMM_09, Naming

MMSEGMENTATION_HAS = {"l2_norm": True, "encoder_norm_eps": 1e-6}  # whatever was trained with it
HEAD = 64  # channels a head of every published ViT, DeiT and Segmenter


def inferred_config(path: Path, tensors: Mapping[str, Stored], naming: Naming) -> tuple[dict[str, Any], str] | None:
    """A configuration and what was taken for granted; None where shapes tell too little. FileError where they tell of no
    network.
    """
    if naming is MMSEGMENTATION:
        config = _mmsegmentation(path, tensors)
        return config, f"n_heads {config['n_heads']}, normalization vit"
    if naming not in (TIMM, TIMM_09):
        return None
    shapes = {re.sub(r"_integer$", "", name): tensor.shape for name, tensor in tensors.items()}
    try:
        config = _swin(path, shapes) if any(name.startswith("layers.") for name in shapes) else _vit(path, shapes)
    except (KeyError, ValueError, IndexError):
        raise FileError(f"{path}: not a network whose dimensions can be told by its shapes; give --config") from None
    if config["kind"] == "deit":
        return config, f"kind deit (normalization as trained on ImageNet), num_heads {config['num_heads']}"
    return config, f"img_size {config['img_size']}, normalization as trained on ImageNet"


def _mmsegmentation(path: Path, tensors: Mapping[str, Stored]) -> dict[str, Any]:
    """As in mmsegmentation's own configurations: 64 channels a head, a square picture, pixels normalised to -1..1."""
    try:
        d_model, _, patch, _ = tensors["backbone.patch_embed.projection.weight"].shape
        tokens = tensors["backbone.pos_embed"].shape[1] - 1
        mask = "decode_head.cls_emb" in tensors
        classes = tensors["decode_head.cls_emb" if mask else "decode_head.conv_seg.weight"].shape[1 if mask else 0]
    except (KeyError, ValueError, IndexError):
        raise FileError(f"{path}: not a Segmenter whose dimensions can be told by its shapes; give --config") from None
    side = _square(path, tokens) * patch
    return {
        "name": path.stem,
        "image_size": [side, side],
        "patch_size": patch,
        "d_model": d_model,
        "n_heads": max(1, d_model // HEAD),
        "n_layers": _count(tensors, r"backbone\.layers\.\d+\.ln1\.weight"),
        "n_cls": classes,
        "decoder": {"name": MASK, "n_layers": _count(tensors, r"decode_head\.layers\.\d+\.ln1\.weight")}
        if mask
        else {"name": LINEAR},
        "normalization": "vit",
        **MMSEGMENTATION_HAS,
    }


def _vit(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """A ViT or DeiT of 64 channels a head on a square picture."""
    d, _, patch, _ = shapes["patch_embed.proj.weight"]
    distilled = "dist_token" in shapes
    side = _square(path, shapes["pos_embed"][1] - 1 - distilled) * patch
    return {
        "kind": "deit",
        "name": path.stem,
        "img_size": [side, side],
        "patch_size": patch,
        "embed_dim": d,
        "depth": _count(shapes, r"blocks\.\d+\.mlp\.fc1\.weight"),
        "num_heads": max(1, d // HEAD),
        "num_classes": shapes["head.weight"][0],
        "mlp_ratio": shapes["blocks.0.mlp.fc1.weight"][0] // d,
        "distilled": distilled,
    }


def _swin(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """A Swin on the picture that its window is published for: 224 pixels for 7, 384 for 12, and 32 patches a window else."""
    d, _, patch, _ = shapes["patch_embed.proj.weight"]
    tables = [
        (i, shape) for i in range(8) if (shape := shapes.get(f"layers.{i}.blocks.0.attn.relative_position_bias_table"))
    ]
    window = (math.isqrt(tables[0][1][0]) + 1) // 2
    head = shapes["head.weight" if "head.weight" in shapes else "head.fc.weight"]
    return {
        "kind": "swin",
        "name": path.stem,
        "img_size": [32 * window] * 2,
        "patch_size": patch,
        "embed_dim": d,
        "depths": [_count(shapes, rf"layers\.{i}\.blocks\.\d+\.mlp\.fc1\.weight") for i, _ in tables],
        "num_heads": [shape[1] for _, shape in tables],
        "window_size": window,
        "num_classes": head[0],
        "mlp_ratio": shapes["layers.0.blocks.0.mlp.fc1.weight"][0] // d,
    }


def _count(names: Mapping[str, Any], pattern: str) -> int:
    return sum(re.fullmatch(pattern, name) is not None for name in names)


def _square(path: Path, tokens: int) -> int:
    side = math.isqrt(max(tokens, 0))
    if side * side != tokens:
        raise FileError(f"{path}: its {tokens} position embeddings are not those of a square; give --config")
    return side
