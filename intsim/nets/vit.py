"""ViT (Dosovitskiy et al. 2021) and DeiT (Touvron et al. 2021) classifiers as real-valued graphs; timm's parameter names.

A distilled DeiT has a second token and a second head, and its logits are the mean of both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import IntsimError
from .blocks import (
    Shapes,
    Weights,
    block,
    block_parameters,
    embedded_patches,
    embedded_tokens,
    embedding_parameters,
    linear_parameters,
    norm,
    norm_parameters,
    pixels,
    token_parameters,
)
from .classifiers import COMMON_KEYS, Classifier, common_of, trained_grid
from .real import LOGITS, RESIDUAL, RealGraph
from .settings import check_flags, check_size, check_whole

POSITIONS = "pos_embed"
VIT_EPS = 1e-6
_REQUIRED = ("kind", "img_size", "patch_size", "embed_dim", "depth", "num_heads", "num_classes")
_OPTIONAL = ("distilled", "trained_size")
KEYS = COMMON_KEYS.union(_REQUIRED, _OPTIONAL)


@dataclass(frozen=True)
class ViTConfig(Classifier):
    """The dimensions of a ViT or DeiT. `extra_tokens` is 1 (class), or 2 with the distillation token.

    `trained_grid` is the grid of patches of the checkpoint's position embeddings, where it is known.
    """

    depth: int
    heads: int
    extra_tokens: int
    trained_grid: tuple[int, int] | None

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> ViTConfig:
        """Parse the plain data of a configuration; IntsimError naming the wrong key and what is expected."""
        common = common_of(config, _REQUIRED, _OPTIONAL, VIT_EPS)
        check_flags(config, "distilled")
        if config.get("distilled") and config["kind"] != "deit":
            raise IntsimError(f"configuration: distilled is for kind deit, not {config['kind']}")
        depth, heads = config["depth"], config["num_heads"]
        check_whole({"depth": depth, "num_heads": heads})
        if common.d_model % heads:
            raise IntsimError(f"configuration: embed_dim {common.d_model} is not a multiple of num_heads {heads}")
        check_size(depth * common.block_size(common.d_model) + common.embedding_size)
        distilled, trained = config.get("distilled", False), trained_grid(config, common.patch)
        return cls(**vars(common), depth=depth, heads=heads, extra_tokens=2 if distilled else 1, trained_grid=trained)


def parameters(config: ViTConfig) -> Shapes:
    """The names and shapes of the tensors that a checkpoint must contain."""
    c, d = config, config.d_model
    shapes = embedding_parameters("", d, c.patch) | token_parameters("", d, c.grid[0] * c.grid[1], c.extra_tokens)
    for i in range(config.depth):
        shapes |= block_parameters(f"blocks.{i}", d, c.hidden(d), c.qkv_bias)
    shapes |= norm_parameters("norm", d) | linear_parameters("head", c.classes, d)
    return shapes | (linear_parameters("head_dist", c.classes, d) if config.extra_tokens == 2 else {})


def vit(config: ViTConfig, weights: Weights) -> RealGraph:
    """The whole network; shapes in comments with N patches, D channels, T tokens, K classes."""
    c, net = config, RealGraph()
    x = pixels(net, "input", c.height, c.width, c.mean, c.std)  # (H, W, 3)
    x = embedded_patches(net, "", x, c.patch, weights, RESIDUAL)  # (N, D)
    x = embedded_tokens(net, "", x, c.extra_tokens, weights)  # (T, D)
    for i in range(config.depth):
        x = block(net, f"blocks.{i}", x, config.heads, weights, c.eps)
    x = norm(net, "norm", x, weights, eps=c.eps)
    logits = []
    for i, head in enumerate(["head", "head_dist"][: config.extra_tokens]):
        token = net.node(["class_token", "distillation_token"][i], "slice", x, axis=-2, start=i, stop=i + 1)  # (1, D)
        logits.append(net.linear(head, token, weights[f"{head}.weight"], weights[f"{head}.bias"], LOGITS))  # (1, K)
    if len(logits) == 2:
        net.node("logits", "average", *logits, kind=LOGITS)
    return net
