"""The common part of the configurations of ViT, DeiT and Swin. The keys are timm's, except `_OURS`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import IntsimError
from .settings import check_flags, check_keys, check_whole, epsilon, normalization, sides

NORMALIZED = {"vit": "vit", "deit": "deit", "swin": "deit"}  # the normalization of the published networks of each kind
_OURS = ("name", "normalization", "norm_eps", "class_names")
_OPTIONAL = ("mlp_ratio", "qkv_bias", "in_chans", *_OURS)
ONLY_IN_TRAINING = {"drop_rate", "attn_drop_rate", "drop_path_rate", "note", "order"}
AS_PUBLISHED = ("norm_layer", "act_layer", "qk_scale")  # keys that must be left at their defaults
COMMON_KEYS = frozenset([*_OPTIONAL, *ONLY_IN_TRAINING, *AS_PUBLISHED])


@dataclass(frozen=True)
class Classifier:
    """Picture, patches, channels and classes; 0 classes mean an encoder alone."""

    height: int
    width: int
    patch: int
    d_model: int
    classes: int
    mlp_ratio: float
    qkv_bias: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    eps: float

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self.height // self.patch, self.width // self.patch

    def hidden(self, channels: int) -> int:
        """The hidden channels of an MLP."""
        return int(
            channels * self.mlp_ratio + 1e-6
        )  # a ratio inferred from shapes may be one unit in the last place too small

    def block_size(self, channels: int) -> int:
        """The approximate number of parameters of a transformer block."""
        return (4 * channels + 2 * self.hidden(channels)) * channels

    @property
    def embedding_size(self) -> int:
        """An upper bound on the number of parameters of patches, positions and classes."""
        return self.d_model * (3 * self.patch**2 + self.grid[0] * self.grid[1] + 8 * self.classes)


def common_of(config: Mapping[str, Any], required: tuple[str, ...], optional: tuple[str, ...], eps: float) -> Classifier:
    """Parse the plain data of a configuration whose keys are `required` and `optional`, in addition to the common ones.

    Raises IntsimError naming the wrong key and what is expected.
    """
    for key in AS_PUBLISHED:
        if config.get(key) is not None:
            raise IntsimError(f"configuration: {key} {config[key]!r}; only networks with its default are supported")
    ignored = {*ONLY_IN_TRAINING, *AS_PUBLISHED}
    check_keys({key: config[key] for key in config if key not in ignored}, required, (*optional, *_OPTIONAL))
    height, width = sides("img_size", config["img_size"])
    keys = {"img_size height": height, "img_size width": width, "patch_size": config["patch_size"]}
    check_whole(keys | {"embed_dim": config["embed_dim"]})
    check_whole({"num_classes": config["num_classes"]}, may_be_zero=config["kind"] != "swin")
    ratio = config.get("mlp_ratio", 4)
    if isinstance(ratio, bool) or not isinstance(ratio, (int, float)) or not 1 / config["embed_dim"] <= ratio <= 64:
        raise IntsimError(f"configuration: mlp_ratio must be a number up to 64, such as 4, not {ratio!r}")
    check_flags(config, "qkv_bias")
    patch = config["patch_size"]
    if height % patch or width % patch:
        raise IntsimError(
            f"configuration: img_size {height} x {width} is not a multiple of patch_size {patch}, as a classifier requires"
        )
    if config.get("in_chans", 3) != 3:
        raise IntsimError(f"configuration: in_chans {config['in_chans']!r}; pictures have 3 channels")
    mean, std = normalization(config.get("normalization", NORMALIZED[config["kind"]]))
    return Classifier(
        height=height,
        width=width,
        patch=patch,
        d_model=config["embed_dim"],
        classes=config["num_classes"],
        mlp_ratio=ratio,
        qkv_bias=config.get("qkv_bias", True),
        mean=mean,
        std=std,
        eps=epsilon(config, "norm_eps", eps),
    )


def trained_grid(config: Mapping[str, Any], patch: int) -> tuple[int, int] | None:
    """The grid of patches of the trained position embeddings; None where the configuration does not give it."""
    if "trained_size" not in config:
        return None
    height, width = sides("trained_size", config["trained_size"])
    check_whole({"trained_size height": height, "trained_size width": width})
    return height // patch, width // patch
