"""Building blocks of vision transformers as real-valued operations; parameter names are the published ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..arith import AnyArray
from .real import ACTIVATION, LAYER_NORM_EPS, LOGITS, RESIDUAL, RealGraph

Weights = Mapping[str, AnyArray]
Shapes = dict[str, tuple[int, ...]]

PATCHES = "patch_embed.proj"
SOFTMAX_BITS = 16  # the largest width of probabilities, as published


def embedding_parameters(prefix: str, d: int, patch: int) -> Shapes:
    """Names and shapes of the patch embedding's tensors."""
    return {f"{prefix}{PATCHES}.weight": (d, 3, patch, patch), f"{prefix}{PATCHES}.bias": (d,)}


def token_parameters(prefix: str, d: int, patches: int, extra: int, placed: int | None = None) -> Shapes:
    """Names and shapes of the `extra` tokens (class, distillation) and of the position embeddings.

    `placed` is how many of the extra tokens have a position; None means all.
    """
    names = ("cls_token", "dist_token")[:extra]
    positions = patches + (extra if placed is None else placed)
    return {**{f"{prefix}{name}": (1, 1, d) for name in names}, f"{prefix}pos_embed": (1, positions, d)}


def norm_parameters(name: str, channels: int) -> Shapes:
    """Names and shapes of a layer norm's tensors."""
    return {f"{name}.weight": (channels,), f"{name}.bias": (channels,)}


def linear_parameters(name: str, out: int, depth: int, bias: bool = True) -> Shapes:
    """Names and shapes of a linear layer's tensors."""
    return {f"{name}.weight": (out, depth), **({f"{name}.bias": (out,)} if bias else {})}


def block_parameters(name: str, d: int, hidden: int, qkv_bias: bool = True) -> Shapes:
    """Names and shapes of a transformer block's tensors."""
    shapes = norm_parameters(f"{name}.norm1", d) | norm_parameters(f"{name}.norm2", d)
    shapes |= linear_parameters(f"{name}.attn.qkv", 3 * d, d, qkv_bias) | linear_parameters(f"{name}.attn.proj", d, d)
    return shapes | linear_parameters(f"{name}.mlp.fc1", hidden, d) | linear_parameters(f"{name}.mlp.fc2", d, hidden)


def pixels(net: RealGraph, name: str, height: int, width: int, mean: tuple[float, ...], std: tuple[float, ...]) -> str:
    """The picture and its normalisation: (H, W, 3)."""
    image = net.image("image", height, width)  # (H, W, 3)
    return net.node(name, "normalize", image, mean=np.array(mean), std=np.array(std))


def embedded_patches(net: RealGraph, prefix: str, x: str, patch: int, weights: Weights, kind: str) -> str:
    """Patches through one linear layer: (N, D)."""
    x = net.node(f"{prefix}patches", "patches", x, size=patch)  # (N, 3*P*P)
    kernel = weights[f"{prefix}{PATCHES}.weight"]
    return net.linear(f"{prefix}{PATCHES}", x, kernel.reshape(len(kernel), -1), weights[f"{prefix}{PATCHES}.bias"], kind)


def embedded_tokens(
    net: RealGraph, prefix: str, x: str, extra: int, weights: Weights, registers: int = 0, placed: int | None = None
) -> str:
    """The `extra` tokens (class, distillation) before the patches, with position embeddings added: (T, D).

    `registers` stand behind the extra tokens; their positions are 0, as are those of extra tokens where none is `placed`.
    """
    placed = extra if placed is None else placed
    names = [f"{prefix}{name}" for name in ("cls_token", "dist_token")[:extra]] + [f"{prefix}reg_token"] * (registers > 0)
    tokens = [net.constant(name, weights[name][0]) for name in names]
    if tokens:
        x = net.node(f"{prefix}tokens", "concat", *tokens, x, axis=-2)
    name = f"{prefix}pos_embed"
    places = weights[name][0]
    if without := extra - placed + registers:
        places = np.insert(places, [placed] * without, 0, axis=0)
    return net.add(f"{prefix}embedded", x, net.constant(name, places))


def block(net: RealGraph, name: str, x: str, heads: int, weights: Weights, eps: float = LAYER_NORM_EPS) -> str:
    """A pre-norm transformer block."""
    y = norm(net, f"{name}.norm1", x, weights, eps=eps)
    q, k, v, gain = queries_keys_values(net, f"{name}.attn", y, heads, weights)
    logits = net.matmul(f"{name}.attn.logits", q, k, transpose_b=1, gain=gain, kind=LOGITS)  # (heads, T, T)
    p = net.softmax(f"{name}.attn.softmax", logits, SOFTMAX_BITS)
    y = weighted_values(net, f"{name}.attn", p, v, weights)
    x = net.add(f"{name}.residual1", y, x)
    return mlp(net, name, x, weights, eps)


def queries_keys_values(net: RealGraph, attn: str, x: str, heads: int, weights: Weights) -> tuple[str, str, str, float]:
    """Queries, keys and values by heads, (.., heads, T, d), and the factor of their products, d**-0.5."""
    head_dim = len(weights[f"{attn}.proj.bias"]) // heads
    y = linear(net, f"{attn}.qkv", x, weights)  # (.., T, 3D)
    y = net.node(f"{attn}.heads", "heads", y, heads=3 * heads)  # (.., 3*heads, T, d)
    q, k, v = (
        net.node(f"{attn}.{part}", "slice", y, axis=-3, start=i * heads, stop=(i + 1) * heads)
        for i, part in enumerate("qkv")
    )
    return q, k, v, head_dim**-0.5


def weighted_values(net: RealGraph, attn: str, p: str, v: str, weights: Weights) -> str:
    """The values weighted by attention, heads joined and projected: (.., T, D)."""
    y = net.matmul(f"{attn}.context", p, v)  # (.., heads, T, d)
    y = net.node(f"{attn}.merged", "merge_heads", y)  # (.., T, D)
    return linear(net, f"{attn}.proj", y, weights, RESIDUAL)


def mlp(net: RealGraph, name: str, x: str, weights: Weights, eps: float = LAYER_NORM_EPS) -> str:
    """The MLP half of a block, with its residual sum."""
    y = norm(net, f"{name}.norm2", x, weights, eps=eps)
    y = linear(net, f"{name}.mlp.fc1", y, weights)  # (.., T, 4D)
    y = net.node(f"{name}.mlp.act", "gelu", y)
    y = linear(net, f"{name}.mlp.fc2", y, weights, RESIDUAL)
    return net.add(f"{name}.residual2", y, x)


def linear(net: RealGraph, name: str, x: str, weights: Weights, kind: str = ACTIVATION) -> str:
    """A linear layer by its name, with or without a bias."""
    return net.linear(name, x, weights[f"{name}.weight"], weights.get(f"{name}.bias"), kind)


def norm(net: RealGraph, name: str, x: str, weights: Weights, kind: str = ACTIVATION, eps: float = LAYER_NORM_EPS) -> str:
    """A layer norm with its affine part."""
    return net.layernorm(name, x, weights[f"{name}.weight"], weights[f"{name}.bias"], kind, eps)
