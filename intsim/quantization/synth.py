"""Random weights for networks of any dimensions, for bring-up and benchmarks; quantized like any checkpoint."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from ..arith import AnyArray
from ..errors import IntsimError
from ..nets.networks import dimensions_of, parameters_of
from ..nets.segmenter import LINEAR, MASK

SIZES = {"t": (192, 3, 12), "s": (384, 6, 12), "b": (768, 12, 12), "l": (1024, 16, 24)}  # channels, heads, layers
SWIN_SIZES = {
    "t": (96, [2, 2, 6, 2], [3, 6, 12, 24]),
    "s": (96, [2, 2, 18, 2], [3, 6, 12, 24]),
    "b": (128, [2, 2, 18, 2], [4, 8, 16, 32]),
}
PUBLISHED = {"vit": "tsbl", "deit": "tsb", "swin": "tsb"}
WINDOWS = {(384, 384): 12}  # of the published Swins by picture size; 7 for all others
PATCH = 16
CLASSES = {"seg": 150, "vit": 1000, "deit": 1000, "swin": 1000}  # of ADE20K and ImageNet
PRESET = re.compile(
    r"(?P<kind>seg|vit|deit|swin)-(?P<size>[tsbl])(?P<patch>\d+)?(?P<part>-mask|-linear|-distilled)?@(?P<side>\d+)(?:x(?P<height>\d+))?"
)
EXAMPLES = "seg-s16-mask@512, seg-b8-linear@640x480, vit-b16@224, deit-s@224, deit-t-distilled@224 or swin-t@224"


def preset(name: str, classes: int | None = None) -> dict[str, Any]:
    """The configuration for a name like ``seg-s16-mask@512`` or ``swin-t@224``; @W or @WxH is the picture size."""
    match = PRESET.fullmatch(name)
    if match is None or not _exists(match):
        raise IntsimError(f"{name!r} is not a preset: NETWORK-SIZE[PATCH]@SIDE, as in {EXAMPLES}")
    kind, size, part = match["kind"], match["size"], (match["part"] or "").removeprefix("-")
    height, width = int(match["height"] or match["side"]), int(match["side"])
    classes = classes or CLASSES[kind]
    if kind == "swin":
        channels, depths, heads = SWIN_SIZES[size]
        config = {
            "embed_dim": channels,
            "depths": depths,
            "num_heads": heads,
            "window_size": WINDOWS.get((height, width), 7),
        }
        return _classifier(name, kind, height, width, int(match["patch"] or 4), classes) | config
    channels, count, layers = SIZES[size]
    if kind != "seg":
        config = {"embed_dim": channels, "depth": layers, "num_heads": count, "distilled": part == "distilled"}
        return _classifier(name, kind, height, width, int(match["patch"] or PATCH), classes) | config
    return {
        "name": name,
        "image_size": [height, width],
        "patch_size": int(match["patch"]),
        "d_model": channels,
        "n_heads": count,
        "n_layers": layers,
        "n_cls": classes,
        "decoder": {"name": MASK, "n_layers": 2} if part == "mask" else {"name": LINEAR},
        "normalization": "vit",
    }


MOST_TENSORS, MOST_PATCHES = (
    20_000,
    1 << 15,
)  # of a random model; published networks have hundreds, and 1,024 patches at 512 x 512 by 16


def _exists(match: re.Match[str]) -> bool:
    """Whether there is a network of the size and part in a name."""
    kind, size, part = match["kind"], match["size"], match["part"]
    if kind == "seg":
        return match["patch"] is not None and part in ("-mask", "-linear")
    return part in ((None, "-distilled") if kind == "deit" else (None,)) and size in PUBLISHED[kind]


def _classifier(name: str, kind: str, height: int, width: int, patch: int, classes: int) -> dict[str, Any]:
    return {"kind": kind, "name": name, "img_size": [height, width], "patch_size": patch, "num_classes": classes}


def require_feasible(config: dict[str, Any]) -> None:
    """IntsimError for a configuration whose random model would take minutes to make, far beyond published networks."""
    dimensions, tensors = dimensions_of(config), len(parameters_of(config))
    patches = -(-dimensions.height // config["patch_size"]) * -(-dimensions.width // config["patch_size"])
    for count, most, what in ((tensors, MOST_TENSORS, "weight tensors"), (patches, MOST_PATCHES, "patches")):
        if count > most:
            raise IntsimError(f"configuration: {count:,} {what}; a random model has at most {most:,}")


def random_weights(config: dict[str, Any], seed: int) -> dict[str, AnyArray]:
    """Random tensors of a checkpoint, scaled so that activations keep their magnitude through the layers."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in parameters_of(config).items():
        value = rng.standard_normal(shape)
        if "norm" in name:
            weights[name] = 1 + 0.1 * value if name.endswith("weight") else 0.1 * value
        elif name.endswith("relative_position_bias_table"):
            weights[name] = 0.1 * value
        elif len(shape) in (2, 4):
            weights[name] = value / np.sqrt(np.prod(shape[1:]))
        else:
            weights[name] = 0.1 * value
    return weights


def random_picture(config: dict[str, Any], seed: int) -> AnyArray:
    """Random pixels u8 [H, W, 3] of the configured size."""
    dimensions = dimensions_of(config)
    return np.random.default_rng(seed).integers(0, 256, (dimensions.height, dimensions.width, 3), np.uint8)
