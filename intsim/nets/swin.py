"""Swin Transformer classifiers (Liu et al. 2021) as real-valued graphs; parameter names are the original ones.

Tokens stay on their grid (h, w, D). A block attends within windows; every other block shifts the grid by half a window, so
that a window may contain parts of the picture that are not adjacent: regions, which do not attend to each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arith import AnyArray
from ..errors import IntsimError
from ..ops import REGISTRY
from .blocks import (
    Shapes,
    Weights,
    block_parameters,
    embedded_patches,
    embedding_parameters,
    linear,
    linear_parameters,
    mlp,
    norm,
    norm_parameters,
    pixels,
    queries_keys_values,
    weighted_values,
)
from .classifiers import COMMON_KEYS, Classifier, common_of
from .real import ACTIVATION, CLASS_LOGITS, LAYER_NORM_EPS, LOGITS, RESIDUAL, RealGraph
from .settings import check_flags, check_size, check_whole

SWIN_SOFTMAX_BITS = 8  # of the published networks
_REQUIRED = ("kind", "img_size", "patch_size", "embed_dim", "depths", "num_heads", "window_size", "num_classes")
_OPTIONAL = ("patch_norm", "ape")
KEYS = COMMON_KEYS.union(_REQUIRED, _OPTIONAL)


@dataclass(frozen=True)
class Stage:
    """The blocks at one resolution: their number, heads, channels, grid and window size."""

    name: str
    depth: int
    heads: int
    channels: int
    grid: tuple[int, int]
    window: int

    @property
    def shift(self) -> int:
        """The shift of the grid in every other block; 0 where one window covers a side of the grid."""
        return self.window // 2 if min(self.grid) > self.window else 0


@dataclass(frozen=True)
class SwinConfig(Classifier):
    """The dimensions of a Swin Transformer."""

    stages: tuple[Stage, ...]

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> SwinConfig:
        """Parse the plain data of a configuration; IntsimError naming the wrong key and what is expected."""
        common = common_of(config, _REQUIRED, _OPTIONAL, LAYER_NORM_EPS)
        check_flags(config, "patch_norm", "ape")
        depths, heads = (_list(key, config[key]) for key in ("depths", "num_heads"))
        check_whole({"window_size": config["window_size"]})
        if len(depths) != len(heads):
            raise IntsimError(
                f"configuration: {len(depths)} depths and {len(heads)} num_heads; each needs one number per stage"
            )
        if not config.get("patch_norm", True) or config.get("ape", False):
            raise IntsimError("configuration: patch_norm must be true and ape false in supported networks")
        stages = []
        for i, (depth, count) in enumerate(zip(depths, heads, strict=True)):
            grid, channels = tuple(side >> i for side in common.grid), common.d_model << i
            if any(side % (1 << i) for side in common.grid):
                raise IntsimError(
                    f"configuration: {common.grid[0]} x {common.grid[1]} patches are not a multiple of {1 << i}, which "
                    f"{len(depths)} stages need; another img_size is needed"
                )
            window = min(config["window_size"], *grid)
            if any(side % window for side in grid):
                raise IntsimError(
                    f"configuration: stage {i} has {grid[0]} x {grid[1]} tokens, which windows of {window} do not divide; "
                    "another img_size or window_size is needed"
                )
            if channels % count:
                raise IntsimError(f"configuration: {channels} channels of stage {i} do not split into {count} heads")
            stages.append(Stage(f"layers.{i}", depth, count, channels, (grid[0], grid[1]), window))
        check_size(sum(s.depth * common.block_size(s.channels) for s in stages) + common.embedding_size)
        return cls(**vars(common), stages=tuple(stages))


def _list(key: str, given: Any) -> list[int]:
    if not isinstance(given, (list, tuple)) or not given:
        raise IntsimError(f"configuration: {key} is a list with one number per stage, not {given!r}")
    check_whole({f"{key}[{i}]": value for i, value in enumerate(given)})
    return list(given)


def parameters(config: SwinConfig) -> Shapes:
    """The names and shapes of the tensors that a checkpoint must contain."""
    c, last = config, config.stages[-1]
    shapes = embedding_parameters("", c.d_model, c.patch) | norm_parameters("patch_embed.norm", c.d_model)
    for stage in config.stages:
        d = stage.channels
        for j in range(stage.depth):
            name = f"{stage.name}.blocks.{j}"
            shapes |= block_parameters(name, d, c.hidden(d), c.qkv_bias)
            shapes[f"{name}.attn.relative_position_bias_table"] = ((2 * stage.window - 1) ** 2, stage.heads)
        if stage is not last:
            shapes |= norm_parameters(f"{stage.name}.downsample.norm", 4 * d)
            shapes |= linear_parameters(f"{stage.name}.downsample.reduction", 2 * d, 4 * d, bias=False)
    return shapes | norm_parameters("norm", last.channels) | linear_parameters("head", c.classes, last.channels)


def swin(config: SwinConfig, weights: Weights) -> RealGraph:
    """The whole network; shapes in comments with D channels, W windows of T tokens, K classes."""
    c, net = config, RealGraph()
    x = pixels(net, "input", c.height, c.width, c.mean, c.std)  # (H, W, 3)
    x = embedded_patches(net, "", x, c.patch, weights, ACTIVATION)  # (h*w, D)
    x = norm(net, "patch_embed.norm", x, weights, RESIDUAL, c.eps)
    x = net.node("patch_embed.grid", "grid", x, height=c.grid[0])  # (h, w, D)
    x = net.node("embedded", "requantize", x, kind=RESIDUAL)
    for stage in c.stages:
        for j in range(stage.depth):
            x = window_block(net, f"{stage.name}.blocks.{j}", x, stage, stage.shift if j % 2 else 0, weights, c.eps)
        if stage is not c.stages[-1]:
            x = downsample(net, f"{stage.name}.downsample", x, weights, c.eps)  # (h/2, w/2, 2D)
    x = norm(net, "norm", x, weights, eps=c.eps)
    x = net.node("tokens", "tokens", x)  # (h*w, D)
    x = net.node("pooled", "mean", x)  # (D,)
    net.linear("head", x, weights["head.weight"], weights["head.bias"], CLASS_LOGITS)  # (K,)
    return net


def window_block(net: RealGraph, name: str, x: str, stage: Stage, shift: int, weights: Weights, eps: float) -> str:
    """A transformer block whose attention stays within windows, of the plain or the shifted grid."""
    attn = f"{name}.attn"
    y = norm(net, f"{name}.norm1", x, weights, eps=eps)
    if shift:
        y = net.node(f"{name}.shifted", "roll", y, rows=-shift, columns=-shift)
    y = net.node(f"{name}.windows", "windows", y, size=stage.window)  # (W, T, D)
    q, k, v, gain = queries_keys_values(net, attn, y, stage.heads, weights)  # (W, heads, T, d)
    logits = net.matmul(f"{attn}.logits", q, k, transpose_b=1, gain=gain, kind=LOGITS)  # (W, heads, T, T)
    table = f"{attn}.relative_position_bias_table"
    table = net.constant(table, weights[table], ACTIVATION)
    bias = net.node(f"{attn}.relative_position_bias", "relative_positions", table, size=stage.window)  # (heads, T, T)
    logits = net.add(f"{attn}.biased", logits, bias, LOGITS)
    if shift:
        seen = regions(stage.grid, stage.window, shift)
        p = net.node(f"{attn}.softmax", "masked_softmax", logits, regions=seen, bits=SWIN_SOFTMAX_BITS)
    else:
        p = net.softmax(f"{attn}.softmax", logits, SWIN_SOFTMAX_BITS)
    y = weighted_values(net, attn, p, v, weights)  # (W, T, D)
    y = net.node(f"{name}.merged", "merge_windows", y, height=stage.grid[0])  # (h, w, D)
    if shift:
        y = net.node(f"{name}.unshifted", "roll", y, rows=shift, columns=shift)
    x = net.add(f"{name}.residual1", y, x)
    return mlp(net, name, x, weights, eps)


def downsample(net: RealGraph, name: str, x: str, weights: Weights, eps: float) -> str:
    """Merge 2 x 2 neighbouring tokens into one with twice the channels."""
    x = net.node(f"{name}.merged", "merge_patches", x)  # (h/2, w/2, 4D)
    x = norm(net, f"{name}.norm", x, weights, eps=eps)
    return linear(net, f"{name}.reduction", x, weights)


def regions(grid: tuple[int, int], window: int, shift: int) -> AnyArray:
    """The region of the picture of every token in every window of the shifted grid, i8 [windows, tokens].

    Each axis of the shifted grid has three parts: whole windows, the rest of the former last window, and the rolled-in rest.
    """
    parts = []
    for side in grid:
        place = np.arange(side)
        parts.append((place >= side - window).astype(np.int8) + (place >= side - shift))
    cells = (3 * parts[0][:, None] + parts[1]).astype(np.int8)
    numbers: AnyArray = REGISTRY["windows"](cells[..., None], size=window)[..., 0]
    return numbers
