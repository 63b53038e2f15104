"""Configurations inferred from the shapes of a checkpoint's tensors, where none is given.

What shapes do not determine is assumed to be as in the published networks; the assumptions are reported.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigurationNotFound, FileError
from ..nets.segmenter import LINEAR, MASK
from ..nets.vit import MEAN
from .containers import CheckpointTensor
from .naming import MMSEGMENTATION, TIMM, TIMM_09, Naming

MMSEGMENTATION_HAS = {"l2_norm": True, "encoder_norm_eps": 1e-6}  # of every network trained with it
PUBLISHED_HEADS = {192: 3, 384: 6, 512: 8, 768: 12, 1024: 16, 1280: 16}  # of ViT, DeiT and Segmenter, by width
HEAD = 64  # channels of a published head; a narrower network is taken as one head


def inferred_config(
    path: Path, tensors: Mapping[str, CheckpointTensor], naming: Naming, known: Mapping[str, Any]
) -> tuple[dict[str, Any], str] | None:
    """A configuration and the assumptions in it; None where shapes do not suffice. What is `known` need not be inferred.

    Raises ConfigurationNotFound where the shapes leave open what differs between published networks, and FileError where
    they are not those of a network.
    """
    if naming is MMSEGMENTATION:
        config = _segmenter_config(path, tensors)
        return config, f"n_heads {config['n_heads']}, normalization vit"
    if naming not in (TIMM, TIMM_09):
        return None
    shapes = {re.sub(r"_integer$", "", _ours(name, naming)): tensor.shape for name, tensor in tensors.items()}
    try:
        swin = any(name.startswith("layers.") for name in shapes)
        config = _swin_config(path, shapes) if swin else _vit_config(path, shapes)
    except FileError:
        raise
    except KeyError as error:
        raise FileError(f"{path}: tensor {error.args[0]} is missing, without which it is no whole network") from None
    except (ValueError, IndexError, ZeroDivisionError):
        raise ConfigurationNotFound(path, "its shapes do not determine the dimensions of a network") from None
    quantized = any(name.endswith("_integer") for name in tensors)  # I-ViT's, whose networks are all normalised alike
    if not swin and not quantized:
        _require_known(path, config, known)
    size = "" if config["kind"] == "deit" or _masks(shapes) else f", img_size {config['img_size']}"
    heads = f", num_heads {config['num_heads']}" if config["kind"] == "deit" and "num_heads" not in known else ""
    norm = "" if "normalization" in known else " (normalization as trained on ImageNet)"
    return config, f"kind {config['kind']}{norm}, GELU{heads}{size}"


def _require_known(path: Path, config: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Stop where published networks of this width differ in what no shape tells; narrower ones are nobody's."""
    if config["embed_dim"] < HEAD:
        return
    told = {
        "normalization": "(vit: mean and deviation 0.5, as most of timm's; deit: those of ImageNet)",
        "num_heads": f"(published at this width: {PUBLISHED_HEADS.get(config['embed_dim'], 'none')})",
    }
    if missing := [f"{key} {values}" for key, values in told.items() if key not in known]:
        raise ConfigurationNotFound(path, f"no shape tells its {' and '.join(missing)}")


def _ours(name: str, naming: Naming) -> str:
    """Our name of a tensor that determines dimensions."""
    if naming is not TIMM_09:
        return name
    return re.sub(r"^head\.fc\.", "head.", name)


def _segmenter_config(path: Path, tensors: Mapping[str, CheckpointTensor]) -> dict[str, Any]:
    """As in mmsegmentation's own configurations: published heads, a square picture, pixels normalised to -1..1."""
    try:
        d_model, _, patch, _ = tensors["backbone.patch_embed.projection.weight"].shape
        tokens = tensors["backbone.pos_embed"].shape[1] - 1
        mask = "decode_head.cls_emb" in tensors
        classes = tensors["decode_head.cls_emb" if mask else "decode_head.conv_seg.weight"].shape[1 if mask else 0]
    except (KeyError, ValueError, IndexError):
        raise ConfigurationNotFound(path, "its shapes do not determine the dimensions of a Segmenter") from None
    side = _square(path, tokens) * patch
    return {
        "name": path.stem,
        "image_size": [side, side],
        "patch_size": patch,
        "d_model": d_model,
        "n_heads": _heads(path, d_model),
        "n_layers": _count(tensors, r"backbone\.layers\.\d+\.ln1\.weight"),
        "n_cls": classes,
        "decoder": {"name": MASK, "n_layers": _count(tensors, r"decode_head\.layers\.\d+\.ln1\.weight")}
        if mask
        else {"name": LINEAR},
        "normalization": "vit",
        **MMSEGMENTATION_HAS,
    }


def _vit_config(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """A ViT or DeiT with the heads of the published one of its width, or one, and a square picture. That of timm may have
    registers, no class token, one without a position (then the positions are a square), and classify by a mean.
    """
    d, _, patch, _ = shapes["patch_embed.proj.weight"]
    distilled, classed = "dist_token" in shapes, "cls_token" in shapes
    positions = shapes["pos_embed"][1]
    placed = not classed or math.isqrt(positions) ** 2 != positions
    side = _square(path, positions - (classed + distilled if placed else 0)) * patch
    others: dict[str, Any] = {"class_token": False} if not classed else {} if placed else {"embed_class": False}
    if "reg_token" in shapes:
        others["registers"] = shapes["reg_token"][1]
    if "fc_norm.weight" in shapes or not classed:
        others |= {"pooling": MEAN, "fc_norm": "fc_norm.weight" in shapes}
    return {
        "kind": "deit",
        "name": path.stem,
        "img_size": [side, side],
        "patch_size": patch,
        "embed_dim": d,
        "depth": _numbered(shapes, r"blocks\.(\d+)\..*"),
        "num_heads": PUBLISHED_HEADS.get(d, 1),
        "num_classes": shapes["head.weight"][0] if "head.weight" in shapes else 0,
        "mlp_ratio": shapes["blocks.0.mlp.fc1.weight"][0] / d,
        "qkv_bias": "blocks.0.attn.qkv.bias" in shapes,
        "distilled": distilled,
        **others,
    }


def _swin_config(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """A Swin for the picture size of its masks; without masks, for the size at which the last stage is one window."""
    d, _, patch, _ = shapes["patch_embed.proj.weight"]
    stages = _numbered(shapes, r"layers\.(\d+)\..*")
    tables = [shapes[f"layers.{i}.blocks.0.attn.relative_position_bias_table"] for i in range(stages)]
    window = (math.isqrt(tables[0][0]) + 1) // 2
    across = _square(path, masks, "windows") if (masks := _masks(shapes)) else 1 << (stages - 1)
    return {
        "kind": "swin",
        "name": path.stem,
        "img_size": [across * window * patch] * 2,
        "patch_size": patch,
        "embed_dim": d,
        "depths": [_numbered(shapes, rf"layers\.{i}\.blocks\.(\d+)\..*") for i in range(stages)],
        "num_heads": [shape[1] for shape in tables],
        "window_size": window,
        "num_classes": shapes["head.weight"][0],
        "mlp_ratio": shapes["layers.0.blocks.0.mlp.fc1.weight"][0] / d,
        "qkv_bias": "layers.0.blocks.0.attn.qkv.bias" in shapes,
    }


def _heads(path: Path, width: int) -> int:
    """The heads of the published network of this width; no shape depends on their number."""
    if width in PUBLISHED_HEADS:
        return PUBLISHED_HEADS[width]
    if width < HEAD:
        return 1
    raise ConfigurationNotFound(path, f"no shape tells the number of heads, no published network is {width} channels wide")


def _masks(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """The number of windows of the first stage, from the shape of its mask; 0 where there is no mask."""
    return shapes.get("layers.0.blocks.1.attn_mask", (0,))[0]


def _numbered(names: Iterable[str], pattern: str) -> int:
    """The number of items that `pattern` numbers from 0."""
    return max((int(found[1]) + 1 for name in names if (found := re.fullmatch(pattern, name))), default=0)


def _count(names: Mapping[str, Any], pattern: str) -> int:
    return sum(re.fullmatch(pattern, name) is not None for name in names)


def _square(path: Path, tokens: int, what: str = "position embeddings") -> int:
    side = math.isqrt(max(tokens, 0))
    if side * side != tokens:
        raise ConfigurationNotFound(path, f"its {tokens} {what} do not form a square")
    return side
