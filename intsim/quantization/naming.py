"""Tensor names of published implementations.

Our names are those of the original implementation for Segmenter, and timm's for classifiers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from ..arith import AnyArray
from ..errors import FileError
from ..nets.positions import BICUBIC, BILINEAR, SMOOTH

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Naming:
    """The names of an implementation for our tensors, and the tensors whose layout differs."""

    name: str
    left_out: str  # pattern of tensors in its files that the network does not use
    renames: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = ()
    transposed: frozenset[str] = frozenset()  # by our names
    pointwise: frozenset[str] = frozenset()  # 1 x 1 convolutions, [out, in, 1, 1]
    resizing: str = BILINEAR  # of position embeddings to another grid

    def theirs(self, name: str) -> str:
        """The implementation's name of our tensor."""
        for ours, theirs in self.renames:
            name = re.sub(ours, theirs, name)
        return name

    def shape(self, name: str, shape: Shape) -> Shape:
        """The shape of the implementation's tensor, given that of ours."""
        shape = shape[::-1] if name in self.transposed else shape
        return (*shape, 1, 1) if name in self.pointwise else shape

    def ours(self, name: str, value: AnyArray) -> AnyArray:
        """The implementation's values in our layout."""
        value = value.T if name in self.transposed else value
        return value[..., 0, 0] if name in self.pointwise else value

    def unused(self, theirs: str) -> bool:
        """Whether the network does not use a tensor of the implementation."""
        return re.fullmatch(self.left_out, theirs) is not None


ORIGINAL = Naming(
    name="the original Segmenter",
    left_out=r"encoder\.(head|head_dist|pre_logits)\..*",
)
MMSEGMENTATION = Naming(
    name="mmsegmentation",
    renames=(
        (r"^encoder\.norm\.", "backbone.ln1."),
        (r"^encoder\.patch_embed\.proj\.", "backbone.patch_embed.projection."),
        (r"^encoder\.", "backbone."),
        (r"^decoder\.proj_dec\.", "decode_head.dec_proj."),
        (r"^decoder\.proj_patch$", "decode_head.patch_proj.weight"),
        (r"^decoder\.proj_classes$", "decode_head.classes_proj.weight"),
        (r"^decoder\.head\.", "decode_head.conv_seg."),
        (r"^decoder\.", "decode_head."),
        (r"\.blocks\.(\d+)\.norm(\d)\.", r".layers.\1.ln\2."),
        (r"\.blocks\.(\d+)\.attn\.qkv\.", r".layers.\1.attn.attn.in_proj_"),
        (r"\.blocks\.(\d+)\.attn\.proj\.", r".layers.\1.attn.attn.out_proj."),
        (r"\.blocks\.(\d+)\.mlp\.fc1\.", r".layers.\1.ffn.layers.0.0."),
        (r"\.blocks\.(\d+)\.mlp\.fc2\.", r".layers.\1.ffn.layers.1."),
    ),
    transposed=frozenset({"decoder.proj_patch", "decoder.proj_classes"}),
    pointwise=frozenset({"decoder.head.weight"}),
    left_out=r"auxiliary_head\..*|decode_head\.conv_seg\..*",
    resizing=BICUBIC,
)
TIMM = Naming(
    name="timm",
    left_out=r".*\.(attn_mask|relative_position_index)|pre_logits\..*",
    resizing=SMOOTH,
)
# Hugging Face transformers, once its names are timm's (`hugging_face`).
TRANSFORMERS = replace(TIMM, name="transformers", resizing=BICUBIC)
# Since timm 0.9 its Swin merges patches at the start of a stage, and names its classifier one level deeper.
TIMM_09 = replace(
    TIMM,
    name="timm 0.9",
    renames=(
        (r"^head\.", "head.fc."),
        (r"^layers\.(\d+)\.downsample\.", lambda found: f"layers.{int(found[1]) + 1}.downsample."),
    ),
)
_QUANTIZED = r"qact\w*|act\w*|.*quant\w*"
SUPPORTED: dict[str, tuple[Naming, str]] = {
    "a Segmenter of the original implementation": (
        ORIGINAL,
        rf"encoder\.(patch_embed|blocks|norm|cls_token|dist_token|pos_embed|head|head_dist|pre_logits|{_QUANTIZED})(\..*)?"
        r"|decoder\..*",
    ),
    "a Segmenter of mmsegmentation": (
        MMSEGMENTATION,
        r"backbone\.(patch_embed\.projection|cls_token|pos_embed|ln1|layers\.\d+\.(ln[12]|attn\.attn|ffn\.layers))(\..*|_\w+)?"
        r"|(decode_head|auxiliary_head)\.(cls_emb|classes_proj|patch_proj|dec_proj|decoder_norm|mask_norm|layers|conv_seg)(\..*)?",
    ),
    "a ViT, DeiT or Swin of timm": (
        TIMM,
        rf"(patch_embed\.(?!projection)|layers\.\d+\.(blocks|downsample|{_QUANTIZED})).*"
        rf"|(blocks|norm|fc_norm|head|head_dist|cls_token|dist_token|reg_token|pos_embed|pre_logits|{_QUANTIZED})(\..*|_\w+)?",
    ),
}
# What is not read: known by all of its names, so that the message can say what the file is.
OTHERS: dict[str, str] = {
    "a ViT of torchvision": r"(class_token|conv_proj|heads|encoder\.(ln|pos_embedding|layers\.encoder_layer_\d+))(\..*)?",
    "a Swin of torchvision": r"features\.\d+\.\d+\..*|(norm|head|permute)\..*",
    "a SegFormer of Hugging Face transformers": (
        r"(segformer|decode_head)\.(stages|encoder|linear_c|linear_fuse|batch_norm|classifier)\..*"
    ),
    "a masked autoencoder": r"(decoder_\w+|mask_token|patch_embed|blocks|norm|cls_token|pos_embed)(\..*)?",
    "CLIP": (
        r"(visual|transformer|token_embedding|ln_final|logit_scale|text_projection|positional_embedding|vision_model|text_model"
        r"|visual_projection)(\..*)?"
    ),
    "a ResNet": r"(conv1|bn1|layer[1-4]\.\d+|fc)\..*",
    "another network of mmsegmentation": r"(backbone|neck|decode_head|auxiliary_head)\..*",
    "the backbone of a Segmenter of mmsegmentation; its decode_head... is missing": (
        r"(patch_embed\.projection|cls_token|pos_embed|ln1|layers\.\d+\.(ln[12]|attn\.attn|ffn\.layers))(\..*|_\w+)?"
    ),
}
KNOWN = 0.9  # the least share of names that make a file what it is called


def naming_of(path: Path, names: Collection[str]) -> Naming:
    """The naming convention of a checkpoint's tensors, by all of them.

    Raises FileError where they are not those of a supported network, or only of a part of one; it says what they are of.
    """

    def share(pattern: str) -> float:
        return sum(re.fullmatch(pattern, name) is not None for name in names) / max(len(names), 1)

    shares = {kind: share(pattern) for kind, (_, pattern) in SUPPORTED.items()}
    others = {kind: share(pattern) for kind, pattern in OTHERS.items()}
    best, other = max(shares, key=lambda kind: shares[kind]), max(others, key=lambda kind: others[kind])
    if others[other] >= KNOWN and others[other] > shares[best]:
        raise FileError(f"{path}: is {other}; supported are {SUPPORT}")
    if shares[best] <= 0.5:
        example = f", such as {min(names)}," if names else ""
        raise FileError(
            f"{path}: not a supported network: its {len(names)} tensors{example} have the names of none of {SUPPORT}"
        )
    naming = SUPPORTED[best][0]
    for start, missing in NEEDED[naming.name].items():
        if not any(name.startswith(start) for name in names):
            raise FileError(f"{path}: is {best} without {missing}: {start.rstrip('.')}... is missing")
    return TIMM_09 if naming is TIMM and "head.fc.weight" in names else naming


SUPPORT = (
    "a Segmenter (encoder..., decoder..., or mmsegmentation's backbone..., decode_head...), timm's ViT, DeiT and Swin "
    "(patch_embed..., blocks... or layers..., head...), and those and DINOv2 of Hugging Face transformers"
)
NEEDED: dict[str, dict[str, str]] = {  # what a file of a network has, by the start of its names
    ORIGINAL.name: {"encoder.": "its encoder", "decoder.": "its decoder"},
    MMSEGMENTATION.name: {"backbone.": "its backbone", "decode_head.": "its decoder"},
    TIMM.name: {"patch_embed.": "its patch embedding"},
}
