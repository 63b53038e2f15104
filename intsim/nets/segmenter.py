"""Segmenter (Strudel et al. 2021): a ViT encoder and a mask-transformer or linear decoder, as a real-valued graph.

Parameter names are those of the published implementation. Published checkpoints were trained with L2 normalisation of patch
and class features (``l2_norm``), for which there is no integer operator: `segmenter` builds the network with it, or with one
fixed gain per class instead. Upsampling to pixels is nearest-neighbour.
"""

from __future__ import annotations

from ..arith import AnyArray
from .blocks import (
    Shapes,
    Weights,
    block,
    block_parameters,
    embedded_patches,
    embedded_tokens,
    embedding_parameters,
    norm,
    norm_parameters,
    pixels,
    token_parameters,
)
from .dimensions import LINEAR, MASK, SegmenterConfig
from .real import MASKS, RESIDUAL, RealGraph

__all__ = ["CLASS_FEATURES", "LINEAR", "MASK", "POSITIONS", "SCORES", "SegmenterConfig", "parameters", "segmenter"]

POSITIONS = "encoder.pos_embed"
CLASS_FEATURES = "decoder.proj_classes"  # the tensor whose rows the class norm scales
SCORES = "decoder.grid"  # of every patch, [h, w, K], before upsampling


def parameters(config: SegmenterConfig) -> Shapes:
    """The names and shapes of the tensors that a checkpoint must contain."""
    c, d = config, config.d_model
    shapes = embedding_parameters("encoder.", d, c.patch)
    shapes |= token_parameters("encoder.", d, c.grid[0] * c.grid[1], c.extra_tokens)
    for i in range(c.n_layers):
        shapes |= block_parameters(f"encoder.blocks.{i}", d, 4 * d)
    shapes |= norm_parameters("encoder.norm", d)
    if c.decoder == LINEAR:
        return shapes | {"decoder.head.weight": (c.n_cls, d), "decoder.head.bias": (c.n_cls,)}
    shapes |= {"decoder.proj_dec.weight": (d, d), "decoder.proj_dec.bias": (d,), "decoder.cls_emb": (1, c.n_cls, d)}
    for i in range(c.decoder_layers):
        shapes |= block_parameters(f"decoder.blocks.{i}", d, 4 * d)
    shapes |= norm_parameters("decoder.decoder_norm", d) | norm_parameters("decoder.mask_norm", c.n_cls)
    return shapes | {"decoder.proj_patch": (d, d), "decoder.proj_classes": (d, d)}


def segmenter(config: SegmenterConfig, weights: Weights, class_gain: float | AnyArray | None = None) -> RealGraph:
    """The whole network; shapes in comments with N patches, D channels, K classes and patch size P.

    `class_gain` (one, or one per class [K]) replaces the L2 norms; None builds the network as it was trained.
    """
    c, net = config, RealGraph()
    h, w = c.grid
    x = pixels(net, "encoder.input", c.height, c.width, c.mean, c.std)  # (H, W, 3)
    x = embedded_patches(net, "encoder.", x, c.patch, weights, RESIDUAL)  # (N, D)
    x = embedded_tokens(net, "encoder.", x, c.extra_tokens, weights)  # (1+N, D)
    for i in range(c.n_layers):
        x = block(net, f"encoder.blocks.{i}", x, c.n_heads, weights, c.encoder_eps)
    x = norm(net, "encoder.norm", x, weights, eps=c.encoder_eps)
    stop = h * w + c.extra_tokens
    x = net.node("encoder.patch_tokens", "slice", x, axis=-2, start=c.extra_tokens, stop=stop)  # (N, D)

    masked = c.decoder == MASK
    x = mask_decoder(net, x, c, weights, class_gain) if masked else linear_decoder(net, x, weights)  # (N, K)
    x = net.node(SCORES, "grid", x, height=h)  # (h, w, K)
    x = net.node("decoder.upsample", "upsample_nearest", x, factor=c.patch)  # (h*P, w*P, K)
    if h * c.patch != c.height:
        x = net.node("decoder.crop_rows", "slice", x, axis=-3, start=0, stop=c.height)
    if w * c.patch != c.width:
        x = net.node("decoder.crop_columns", "slice", x, axis=-2, start=0, stop=c.width)
    net.node("labels", "argmax", x)  # (H, W)
    return net


def mask_decoder(net: RealGraph, x: str, c: SegmenterConfig, weights: Weights, class_gain: float | AnyArray | None) -> str:
    """Masks as products of patch and class features, normalised to length 1 or scaled by `class_gain`: (N, K)."""
    n = c.grid[0] * c.grid[1]
    x = net.linear("decoder.proj_dec", x, weights["decoder.proj_dec.weight"], weights["decoder.proj_dec.bias"], RESIDUAL)
    classes = net.constant("decoder.cls_emb", weights["decoder.cls_emb"][0])
    x = net.node("decoder.tokens", "concat", x, classes, axis=-2)  # (N+K, D)
    for i in range(c.decoder_layers):
        x = block(net, f"decoder.blocks.{i}", x, c.decoder_heads, weights)
    x = norm(net, "decoder.decoder_norm", x, weights)
    patches = net.node("decoder.patch_tokens", "slice", x, axis=-2, start=0, stop=n)  # (N, D)
    classes = net.node("decoder.class_tokens", "slice", x, axis=-2, start=n, stop=n + c.n_cls)  # (K, D)
    patches = net.linear("decoder.proj_patch", patches, weights["decoder.proj_patch"].T, None)
    classes = net.linear(CLASS_FEATURES, classes, weights[CLASS_FEATURES].T, None)
    name, gain = "decoder.masks", 1.0 if class_gain is None else class_gain
    if c.l2_norm and class_gain is None:
        name = "decoder.cosines"
        patches = net.node("decoder.patch_unit", "unit", patches)
        classes = net.node("decoder.class_unit", "unit", classes)
    masks = net.matmul(name, patches, classes, transpose_b=1, gain=gain, kind=MASKS)  # (N, K)
    return norm(net, "decoder.mask_norm", masks, weights, MASKS)


def linear_decoder(net: RealGraph, x: str, weights: Weights) -> str:
    """Class scores of each patch by one linear layer: (N, K)."""
    return net.linear("decoder.head", x, weights["decoder.head.weight"], weights["decoder.head.bias"], MASKS)
