"""What the configurations of ViT, DeiT and Swin have in common. The keys are timm's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import IntsimError
from .settings import check_flags, check_keys, check_whole, epsilon, normalization, sides

NORMALIZED = {"vit": "vit", "deit": "deit", "swin": "deit"}  # how the published networks of each kind see pixels
_OPTIONAL = ("name", "mlp_ratio", "qkv_bias", "normalization", "norm_eps", "class_names", "in_chans")
# Keys of training and of presentation, which mean nothing to a trained network.
MEANINGLESS = {"drop_rate", "attn_drop_rate", "drop_path_rate", "note", "order", "norm_layer", "act_layer", "qk_scale"}


@dataclass(frozen=True)
class Common:
    """Picture, patches, channels and classes."""

    height: int
    width: int
    patch: int
    d_model: int
    classes: int
    mlp_ratio: int
    qkv_bias: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    eps: float

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self.height // self.patch, self.width // self.patch

    @classmethod
    def of(cls, config: Mapping[str, Any], required: tuple[str, ...], optional: tuple[str, ...], eps: float) -> Common:
        """From the plain data of a configuration whose keys are `required` and `optional`, beside the common ones."""
        check_keys({key: config[key] for key in config if key not in MEANINGLESS}, required, (*optional, *_OPTIONAL))
        height, width = sides("img_size", config["img_size"])
        ratio = config.get("mlp_ratio", 4)
        ratio = int(ratio) if isinstance(ratio, float) and ratio.is_integer() else ratio  # timm writes 4.0
        keys = {"height": height, "width": width, "patch_size": config["patch_size"], "mlp_ratio": ratio}
        check_whole(keys | {key: config[key] for key in ("embed_dim", "num_classes")})
        check_flags(config, "qkv_bias")
        patch = config["patch_size"]
        if height % patch or width % patch:
            raise IntsimError(
                f"configuration: img_size {height} x {width} is not a multiple of patch_size {patch}, as a classifier's is"
            )
        if config.get("in_chans", 3) != 3:
            raise IntsimError(f"configuration: in_chans {config['in_chans']!r}; pictures have 3 channels")
        mean, std = normalization(config.get("normalization", NORMALIZED[config["kind"]]))
        return cls(
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

    def trained_grid(self, config: Mapping[str, Any]) -> tuple[int, int] | None:
        """The grid of patches that the position embeddings are for, where the configuration says so."""
        if "trained_size" not in config:
            return None
        height, width = sides("trained_size", config["trained_size"])
        check_whole({"trained_size height": height, "trained_size width": width})
        return height // self.patch, width // self.patch
