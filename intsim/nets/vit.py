"""ViT (Dosovitskiy et al. 2021) and DeiT (Touvron et al. 2021) classifiers as real-valued graphs; timm's parameter names.

A distilled DeiT has a second token and a second head, and its logits are the mean of both. DINOv2 (Oquab et al. 2023) may
have registers, tokens without a position (Darcet et al. 2024), and classifies from its class token and the mean of its
patches. Others of timm classify from that mean alone, with the last layer norm before or behind it, and may lack the class
token, or its position. Without classes, as timm has it, the output is features: the tokens behind the last layer norm.
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
from .real import ACTIVATION, CLASS_LOGITS, RESIDUAL, RealGraph
from .settings import check_flags, check_size, check_whole

POSITIONS = "pos_embed"
VIT_EPS = 1e-6
_REQUIRED = ("kind", "img_size", "patch_size", "embed_dim", "depth", "num_heads", "num_classes")
_OPTIONAL = (
    "distilled", "head_dist", "registers", "pooling", "class_token", "embed_class", "fc_norm", "trained_size"
)  # fmt: skip
TOKEN, TOKEN_AND_MEAN, MEAN = "token", "token_and_mean", "mean"  # what the classifier sees
KEYS = COMMON_KEYS.union(_REQUIRED, _OPTIONAL)


@dataclass(frozen=True)
class ViTConfig(Classifier):
    """The dimensions of a ViT or DeiT. `extra_tokens` is 1 (class), 2 with the distillation token, or 0 without any, and
    `placed` is how many of them have a position. `fc_norm` is whether the last layer norm is behind the mean of the patches.

    `trained_grid` is the grid of patches of the checkpoint's position embeddings, where it is known.
    """

    depth: int
    heads: int
    extra_tokens: int
    second_head: bool
    registers: int
    pooling: str
    placed: int
    fc_norm: bool
    trained_grid: tuple[int, int] | None

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> ViTConfig:
        """Parse the plain data of a configuration; IntsimError naming the wrong key and what is expected."""
        common = common_of(config, _REQUIRED, _OPTIONAL, VIT_EPS)
        check_flags(config, "distilled", "head_dist", "class_token", "embed_class", "fc_norm")
        if config.get("distilled") and config["kind"] != "deit":
            raise IntsimError(f"configuration: distilled is for kind deit, not {config['kind']}")
        depth, heads = config["depth"], config["num_heads"]
        check_whole({"depth": depth, "num_heads": heads})
        if common.d_model % heads:
            raise IntsimError(f"configuration: embed_dim {common.d_model} is not a multiple of num_heads {heads}")
        check_size(depth * common.block_size(common.d_model) + common.embedding_size)
        distilled, trained = config.get("distilled", False), trained_grid(config, common.patch)
        registers, pooling = config.get("registers", 0), config.get("pooling", TOKEN)
        check_whole({"registers": registers}, may_be_zero=True)
        if pooling not in (TOKEN, TOKEN_AND_MEAN, MEAN):
            raise IntsimError(f"configuration: pooling {pooling!r} is not one of {TOKEN}, {TOKEN_AND_MEAN}, {MEAN}")
        extra = 2 if distilled else int(config.get("class_token", True))
        placed = extra if config.get("embed_class", True) else 0
        if distilled and (registers or pooling != TOKEN or not placed or not config.get("class_token", True)):
            raise IntsimError(
                "configuration: a distilled network has both tokens with positions, no registers, pooling token"
            )
        if not extra and pooling != MEAN:
            raise IntsimError(f"configuration: without a class token, pooling is {MEAN}, not {pooling}")
        if "fc_norm" in config and config["fc_norm"] and pooling != MEAN:
            raise IntsimError(f"configuration: fc_norm is the norm behind pooling {MEAN}, not {pooling}")
        return cls(
            **vars(common),
            depth=depth,
            heads=heads,
            extra_tokens=extra,
            placed=placed,
            fc_norm=config.get("fc_norm", pooling == MEAN),
            second_head=distilled and config.get("head_dist", True) and common.classes > 0,
            registers=registers,
            pooling=pooling,
            trained_grid=trained,
        )


def parameters(config: ViTConfig) -> Shapes:
    """The names and shapes of the tensors that a checkpoint must contain."""
    c, d = config, config.d_model
    shapes = embedding_parameters("", d, c.patch) | token_parameters("", d, c.grid[0] * c.grid[1], c.extra_tokens, c.placed)
    for i in range(config.depth):
        shapes |= block_parameters(f"blocks.{i}", d, c.hidden(d), c.qkv_bias)
    if c.registers:
        shapes["reg_token"] = (1, c.registers, d)
    shapes |= norm_parameters("fc_norm" if c.fc_norm else "norm", d)
    if not c.classes:
        return shapes
    shapes |= linear_parameters("head", c.classes, d * (1 + (c.pooling == TOKEN_AND_MEAN)))
    return shapes | (linear_parameters("head_dist", c.classes, d) if c.second_head else {})


def vit(config: ViTConfig, weights: Weights) -> RealGraph:
    """The whole network; shapes in comments with N patches, D channels, T tokens, K classes."""
    c, net = config, RealGraph()
    x = pixels(net, "input", c.height, c.width, c.mean, c.std)  # (H, W, 3)
    x = embedded_patches(net, "", x, c.patch, weights, RESIDUAL)  # (N, D)
    x = embedded_tokens(net, "", x, c.extra_tokens, weights, c.registers, c.placed)  # (T, D)
    for i in range(config.depth):
        x = block(net, f"blocks.{i}", x, config.heads, weights, c.eps)
    if c.pooling == MEAN and (c.classes or c.fc_norm):
        return _classified_by_mean(net, x, c, weights)
    x = norm(net, "norm", x, weights, eps=c.eps)
    if not c.classes:
        return net
    if c.pooling == TOKEN_AND_MEAN:
        return _classified_with_mean(net, x, c, weights)
    logits = []
    for i, head in enumerate(["head", "head_dist"][: 1 + config.second_head]):
        token = net.node(["class_token", "distillation_token"][i], "slice", x, axis=-2, start=i, stop=i + 1)  # (1, D)
        logits.append(net.linear(head, token, weights[f"{head}.weight"], weights[f"{head}.bias"], CLASS_LOGITS))  # (1, K)
    if len(logits) == 2:
        net.node("logits", "average", *logits, kind=CLASS_LOGITS)
    return net


def _classified_by_mean(net: RealGraph, x: str, c: ViTConfig, weights: Weights) -> RealGraph:
    """A linear layer on the mean of the patches, with a layer norm behind or before it."""
    if not c.fc_norm:
        x = norm(net, "norm", x, weights, eps=c.eps)
    first = c.extra_tokens + c.registers
    if first:
        x = net.node("patch_tokens", "slice", x, axis=-2, start=first, stop=first + c.grid[0] * c.grid[1])  # (N, D)
    x = net.node("pooled", "mean", x, kind=RESIDUAL if c.fc_norm else ACTIVATION)  # (D,)
    if c.fc_norm:
        x = norm(net, "fc_norm", x, weights, eps=c.eps)
    if c.classes:
        net.linear("head", x, weights["head.weight"], weights["head.bias"], CLASS_LOGITS)  # (K,)
    return net


def _classified_with_mean(net: RealGraph, x: str, c: ViTConfig, weights: Weights) -> RealGraph:
    """A linear layer on the class token beside the mean of the patches; a mean of one token is this token."""
    first, patches = 1 + c.registers, c.grid[0] * c.grid[1]
    token = net.node("class_token", "slice", x, axis=-2, start=0, stop=1)  # (1, D)
    rest = net.node("patch_tokens", "slice", x, axis=-2, start=first, stop=first + patches)  # (N, D)
    both = [net.node(f"{name}.mean", "mean", name) for name in (token, rest)]  # (D,) each
    x = net.node("features", "concat", *both, axis=-1)  # (2D,)
    net.linear("head", x, weights["head.weight"], weights["head.bias"], CLASS_LOGITS)  # (K,)
    return net
