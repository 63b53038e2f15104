"""Reading a float checkpoint: every tensor that the configuration asks for, checked name by name and shape by shape.

Where the tensors lie in their file is the business of `containers`, what they are called that of `naming`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FileError, IntsimError
from ..nets.positions import resized_positions
from ..nets.segmenter import LINEAR, MASK, POSITIONS, SegmenterConfig, parameters
from .containers import SUFFIXES, Stored, stored_tensors
from .naming import MMSEGMENTATION, naming_of

Grid = tuple[int, int]


def read_checkpoint(path: str | Path, config: dict[str, Any]) -> tuple[dict[str, NDArray], str]:
    """The float tensors the configuration asks for, by the original Segmenter's names, and the file's SHA-256.

    Takes safetensors, ``.npz`` and PyTorch files (extra ``torch``) with the names of the original implementation or of
    mmsegmentation. Position embeddings are resized to the configuration's ``image_size``. FileError names the first tensor
    that is missing, misshapen, not real-valued, not finite, or has no place in the configuration; a classification head,
    which Segmenter does not use, is left out.
    """
    path = Path(path)
    held = _tensors(path)
    dimensions = SegmenterConfig.of(config)
    due = parameters(dimensions)
    naming = naming_of(path, held)
    if not any(naming.theirs(name) in held for name in due):
        raise FileError(f"{path}: holds none of the tensors of a Segmenter, such as {naming.theirs(next(iter(due)))}")
    weights = {}
    for name, shape in due.items():
        tensor = held.get(naming.theirs(name))
        if tensor is None:
            raise FileError(f"{path}: tensor {naming.theirs(name)} is missing; the configuration asks for it, {list(shape)}")
        weights[name] = naming.ours(name, _value(tensor, naming.shape(name, shape), config, path, name == POSITIONS))
    for name in sorted(held.keys() - {naming.theirs(name) for name in due}):
        if not naming.unused(name):
            raise FileError(
                f"{path}: tensor {name} has no place in the configuration; do n_layers, decoder and distilled say what was "
                "trained?"
            )
    weights[POSITIONS] = _positions(weights[POSITIONS], dimensions, path)
    return weights, _sha256(path)


def checkpoint_behind(sha256: Any, places: Iterable[Path]) -> Path | None:
    """The checkpoint file with this hash among `places`, which are files, or folders that may hold it."""
    for place in places:
        files = sorted(path for path in place.iterdir() if path.suffix in SUFFIXES) if place.is_dir() else [place]
        for path in files:
            if path.is_file() and _sha256(path) == sha256:
                return path
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def inferred_config(path: str | Path) -> dict[str, Any] | None:
    """The configuration of an mmsegmentation checkpoint, from its shapes; None for other checkpoints.

    Taken as in mmsegmentation's own configurations: 64 channels a head, a square picture, pixels normalised to -1..1.
    """
    path = Path(path)
    held = _tensors(path)
    if naming_of(path, held) is not MMSEGMENTATION:
        return None
    blocks = {side: sum(name.startswith(f"{side}.layers.") and name.endswith("ln1.weight") for name in held)
              for side in ("backbone", "decode_head")}  # fmt: skip
    try:
        d_model, _, patch, _ = held["backbone.patch_embed.projection.weight"].shape
        side = math.isqrt(held["backbone.pos_embed"].shape[1] - 1)
        mask = "decode_head.cls_emb" in held
        classes = held["decode_head.cls_emb"].shape[1] if mask else held["decode_head.conv_seg.weight"].shape[0]
    except (KeyError, ValueError, IndexError):
        raise FileError(f"{path}: not an mmsegmentation Segmenter whose dimensions can be told; give --config") from None
    return {
        "name": path.stem,
        "image_size": [side * patch, side * patch],
        "patch_size": patch,
        "d_model": d_model,
        "n_heads": max(1, d_model // 64),
        "n_layers": blocks["backbone"],
        "n_cls": classes,
        "decoder": {"name": MASK, "n_layers": blocks["decode_head"]} if mask else {"name": LINEAR},
        "normalization": "vit",
        "l2_norm": True,
        "encoder_norm_eps": 1e-6,
    }


def _tensors(path: Path) -> dict[str, Stored]:
    if path.is_dir():
        raise FileError(f"{path}: is a folder; a checkpoint file is due")
    if not path.is_file():
        raise FileError(f"{path}: there is no such file")
    return stored_tensors(path)


def _value(tensor: Stored, shape: tuple[int, ...], config: dict[str, Any], path: Path, resizable: bool) -> NDArray:
    """The tensor's values, float32 or float64; position embeddings may have any number of tokens."""
    wanted = (shape[0], tensor.shape[1], shape[2]) if resizable and len(tensor.shape) == 3 else shape
    if tensor.shape != wanted:
        raise FileError(
            f"{path}: tensor {tensor.name} is {list(tensor.shape)}, the configuration asks for {list(shape)}"
            f"{_reason(tensor.shape, shape, config)}"
        )
    if tensor.kind not in ("F64", "F32", "F16"):
        raise FileError(f"{path}: tensor {tensor.name} is {tensor.kind}; F64, F32 or F16 are due, convert the checkpoint")
    value = tensor.read()
    if not np.isfinite(value).all():
        raise FileError(f"{path}: tensor {tensor.name} holds values that are not finite")
    return value if value.dtype == np.float64 else value.astype(np.float32, copy=False)


def _reason(found: tuple[int, ...], due: tuple[int, ...], config: dict[str, Any]) -> str:
    """The key of the configuration that a misshapen tensor contradicts, where one says what the shape does not."""
    if len(found) != len(due):
        return ""
    for held, wanted in zip(found, due, strict=True):
        if held != wanted:
            for key in ("n_cls", "d_model", "patch_size"):
                if config[key] == wanted:
                    return f": {key} is {held} there and {wanted} here"
    return ""


def _positions(value: NDArray, config: SegmenterConfig, path: Path) -> NDArray:
    """Position embeddings for the configuration's picture size."""
    tokens = value.shape[1] - config.extra_tokens
    try:
        return resized_positions(value, config.extra_tokens, _trained_grid(tokens, config), config.grid)
    except IntsimError as error:
        raise FileError(f"{path}: {error}") from None


def _trained_grid(tokens: int, config: SegmenterConfig) -> Grid:
    """The grid of patches that the position embeddings in the checkpoint are for."""
    if config.trained_grid is not None:
        return config.trained_grid
    side = math.isqrt(max(tokens, 0))
    if tokens == config.grid[0] * config.grid[1]:
        return config.grid
    if side * side == tokens > 0:
        return side, side
    raise IntsimError(
        f"{tokens} position embeddings are neither those of {config.grid[0]} x {config.grid[1]} patches, as image_size "
        "says, nor of a square; add the size that was trained to the configuration: trained_size [height, width]"
    )
