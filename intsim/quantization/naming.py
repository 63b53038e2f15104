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

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Naming:
    """The names of an implementation for our tensors, and the tensors whose layout differs."""

    name: str
    left_out: str  # pattern of tensors in its files that the network does not use
    renames: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = ()
    transposed: frozenset[str] = frozenset()  # by our names
    pointwise: frozenset[str] = frozenset()  # 1 x 1 convolutions, [out, in, 1, 1]

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
)
TIMM = Naming(
    name="timm",
    left_out=r".*\.(attn_mask|relative_position_index)|pre_logits\..*",
)
# Since timm 0.9 its Swin merges patches at the start of a stage, and names its classifier one level deeper.
TIMM_09 = replace(
    TIMM,
    name="timm 0.9",
    renames=(
        (r"^head\.", "head.fc."),
        (r"^layers\.(\d+)\.downsample\.", lambda found: f"layers.{int(found[1]) + 1}.downsample."),
    ),
)
_PARTS = ("patch_embed.", "blocks.", "layers.")


def naming_of(path: Path, names: Collection[str]) -> Naming:
    """The naming convention of a checkpoint's tensors; FileError where it is not that of a supported network."""

    def starts(*parts: str) -> bool:
        return any(name.startswith(parts) for name in names)

    if starts("backbone.", "decode_head."):
        return MMSEGMENTATION
    if starts("encoder.", "decoder."):
        return ORIGINAL
    if starts(*_PARTS):
        return TIMM_09 if "head.fc.weight" in names else TIMM
    example = f", such as {min(names)}," if names else ""
    raise FileError(
        f"{path}: not a supported network: its {len(names)} tensors{example} have the names neither of a Segmenter "
        "(encoder..., decoder..., or mmsegmentation's backbone..., decode_head...) nor of timm's ViT, DeiT or Swin "
        "(patch_embed..., blocks..., layers...)"
    )
