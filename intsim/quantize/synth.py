"""Random-weight Segmenters of any dimensions, for bring-up and benchmarks: random checkpoint, then the ordinary way."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import IntsimError
from ..nets.segmenter import LINEAR, MASK, SegmenterConfig, parameters

SIZES = {"t": (192, 3, 12), "s": (384, 6, 12), "b": (768, 12, 12), "l": (1024, 16, 24)}  # d_model, heads, layers
PRESET = re.compile(r"seg-([tsbl])(\d+)-(mask|linear)@(\d+)(?:x(\d+))?")


def preset(name: str, classes: int = 150) -> dict[str, Any]:
    """The configuration a name like ``seg-s16-mask@512`` stands for: size, patch, decoder, picture side (or WxH)."""
    match = PRESET.fullmatch(name)
    if match is None:
        raise IntsimError(
            f"{name!r} is not a preset: seg-SIZE PATCH-DECODER@SIDE, as in seg-s16-mask@512 or seg-b8-linear@640x480"
        )
    size, patch, decoder, width, height = match.groups()
    d_model, heads, layers = SIZES[size]
    return {
        "name": name,
        "image_size": [int(height or width), int(width)],
        "patch_size": int(patch),
        "d_model": d_model,
        "n_heads": heads,
        "n_layers": layers,
        "n_cls": classes,
        "decoder": {"name": MASK, "n_layers": 2} if decoder == "mask" else {"name": LINEAR},
        "normalization": "vit",
    }


def random_weights(config: dict[str, Any], seed: int) -> dict[str, NDArray]:
    """Every tensor of a checkpoint at random, spread so that activations keep their size through the layers."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in parameters(SegmenterConfig.of(config)).items():
        value = rng.standard_normal(shape)
        if "norm" in name:
            weights[name] = 1 + 0.1 * value if name.endswith("weight") else 0.1 * value
        elif len(shape) in (2, 4):
            weights[name] = value / np.sqrt(np.prod(shape[1:]))
        else:
            weights[name] = 0.1 * value
    return weights


def random_picture(config: dict[str, Any], seed: int) -> NDArray:
    """Random pixels u8 [H, W, 3] of the configuration's size."""
    dimensions = SegmenterConfig.of(config)
    return np.random.default_rng(seed).integers(0, 256, (dimensions.height, dimensions.width, 3), np.uint8)
