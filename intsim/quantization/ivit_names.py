"""Names of I-ViT's quantized modules for the tensors of our graphs, in execution order.

Every module of the published PyTorch networks (``models/vit_quant.py`` and ``models/swin_quant.py``) outputs one integer
tensor; `modules` maps it to the node of our graph that outputs the same tensor. A Segmenter of the same modules has no
published names: those here are the original Segmenter's, with the requantizations of each part numbered as in I-ViT.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..nets.dimensions import MASK, SegmenterConfig
from ..nets.networks import network_of
from ..nets.swin import SwinConfig
from ..nets.vit import ViTConfig

Pairs = tuple[tuple[str, str], ...]

_ATTENTION: Pairs = (
    ("norm1", "norm1"),
    ("qact1", "norm1.requant"),
    ("attn.qkv", "attn.qkv"),
    ("attn.qact1", "attn.qkv.requant"),
    ("attn.matmul_1", "attn.logits"),
    ("attn.qact_attn1", "attn.logits.requant"),
)
_MLP: Pairs = (
    ("norm2", "norm2"),
    ("qact3", "norm2.requant"),
    ("mlp.fc1", "mlp.fc1"),
    ("mlp.qact_gelu", "mlp.fc1.requant"),
    ("mlp.act", "mlp.act"),
    ("mlp.qact1", "mlp.act.requant"),
    ("mlp.fc2", "mlp.fc2"),
    ("mlp.qact2", "mlp.fc2.requant"),
    ("qact4", "residual2"),
)
BLOCK: Pairs = (
    *_ATTENTION,
    ("attn.int_softmax", "attn.softmax"),
    ("attn.matmul_2", "attn.context"),
    ("attn.qact2", "attn.merged"),
    ("attn.proj", "attn.proj"),
    ("attn.qact3", "attn.proj.requant"),
    ("qact2", "residual1"),
    *_MLP,
)
WINDOW_BLOCK: Pairs = (
    *_ATTENTION,
    ("attn.qact_table", "attn.relative_position_bias_table"),
    ("attn.qact2", "attn.biased"),
    ("attn.log_int_softmax", "attn.softmax"),
    ("attn.matmul_2", "attn.context"),
    ("attn.qact3", "attn.merged"),
    ("attn.proj", "attn.proj"),
    ("attn.qact4", "attn.proj.requant"),
    ("qact2", "residual1"),
    *_MLP,
)
DOWNSAMPLE: Pairs = (
    ("norm", "norm"),
    ("qact1", "norm.requant"),
    ("reduction", "reduction"),
    ("qact2", "reduction.requant"),
)
# Requantized tensors that a module outputs only after a data movement, or that use the scale of another module.
SAME_SCALE = {
    "attn.context.requant": "attn.merged",
    "norm.requant": "class_token",
    "cls_token": "patch_embed.proj.requant",
    "dist_token": "patch_embed.proj.requant",
    "cls_emb": "proj_dec.requant",
}
MASK_DECODER: Pairs = (
    ("decoder_norm", "decoder_norm"),
    ("qact2", "decoder_norm.requant"),
    ("proj_patch", "proj_patch"),
    ("qact3", "proj_patch.requant"),
    ("proj_classes", "proj_classes"),
    ("qact4", "proj_classes.requant"),
    ("matmul", "masks"),
    ("qact5", "masks.requant"),
    ("mask_norm", "mask_norm"),
    ("qact6", "mask_norm.requant"),
)


def modules(config: Mapping[str, Any]) -> dict[str, str]:
    """The node of our graph with the same output as each module, in execution order."""
    dimensions = network_of(config).of(config)
    if isinstance(dimensions, ViTConfig):
        return dict(_vit_modules(dimensions))
    if isinstance(dimensions, SwinConfig):
        return dict(_swin_modules(dimensions))
    return dict(_segmenter_modules(dimensions))


def _vit_modules(c: ViTConfig) -> Iterator[tuple[str, str]]:
    yield from _encoder_modules(c.depth)
    yield "qact2", "class_token"
    yield "head", "head"
    if c.extra_tokens == 2:
        yield "head_dist", "head_dist"


def _encoder_modules(depth: int) -> Iterator[tuple[str, str]]:
    """Of a ViT, up to its last layer norm."""
    yield "qact_input", "input"
    yield "patch_embed.proj", "patch_embed.proj"
    yield "patch_embed.qact", "patch_embed.proj.requant"
    yield "qact_pos", "pos_embed"
    yield "qact1", "embedded"
    for i in range(depth):
        yield from _within(f"blocks.{i}", BLOCK)
    yield "norm", "norm"


def _segmenter_modules(c: SegmenterConfig) -> Iterator[tuple[str, str]]:
    yield from _within("encoder", tuple(_encoder_modules(c.n_layers)))
    yield "encoder.qact2", "encoder.norm.requant"
    if c.decoder != MASK:
        yield from _within("decoder", (("head", "head"), ("qact1", "head.requant")))
        return
    yield from _within("decoder", (("proj_dec", "proj_dec"), ("qact1", "proj_dec.requant")))
    for i in range(c.decoder_layers):
        yield from _within(f"decoder.blocks.{i}", BLOCK)
    yield from _within("decoder", MASK_DECODER)


def _swin_modules(c: SwinConfig) -> Iterator[tuple[str, str]]:
    yield "qact_input", "input"
    yield "patch_embed.proj", "patch_embed.proj"
    yield "patch_embed.qact_before_norm", "patch_embed.proj.requant"
    yield "patch_embed.norm", "patch_embed.norm"
    yield "patch_embed.qact", "patch_embed.norm.requant"
    yield "qact1", "embedded"
    for stage in c.stages:
        for j in range(stage.depth):
            yield from _within(f"{stage.name}.blocks.{j}", WINDOW_BLOCK)
        if stage is not c.stages[-1]:
            yield from _within(f"{stage.name}.downsample", DOWNSAMPLE)
    yield "norm", "norm"
    yield "qact2", "norm.requant"
    yield "qact3", "pooled.requant"
    yield "head", "head"


def _within(name: str, pairs: Pairs) -> Iterator[tuple[str, str]]:
    yield from ((f"{name}.{module}", f"{name}.{node}") for module, node in pairs)


def module_of(node: str, by_node: Mapping[str, str]) -> str | None:
    """The module whose scale an integer node uses, if any; `by_node` maps nodes to the modules with the same output."""
    if node in by_node:
        return by_node[node]
    for ending, same in SAME_SCALE.items():
        if node == ending or node.endswith(f".{ending}"):
            return by_node.get(node.removesuffix(ending) + same)
    return None
