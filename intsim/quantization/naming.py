"""What published implementations call the tensors of a network.

Ours are the names of the original one for Segmenter, and timm's for classifiers.
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
    """Their name of each of our tensors, and how theirs lies where that differs."""

    name: str
    renames: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]
    transposed: frozenset[str]  # by our names
    pointwise: frozenset[str]  # convolutions of one pixel, [out, in, 1, 1]
    left_out: str  # what their files hold beside the network

    def theirs(self, name: str) -> str:
        """Their name of our tensor."""
        for ours, theirs in self.renames:
            name = re.sub(ours, theirs, name)
        return name

    def shape(self, name: str, shape: Shape) -> Shape:
        """The shape of their tensor, given that of ours."""
        shape = shape[::-1] if name in self.transposed else shape
        return (*shape, 1, 1) if name in self.pointwise else shape

    def ours(self, name: str, value: AnyArray) -> AnyArray:
        """Their values as ours lie."""
        value = value.T if name in self.transposed else value
        return value[..., 0, 0] if name in self.pointwise else value

    def unused(self, theirs: str) -> bool:
        """Whether a tensor of theirs is something that the network does not use."""
        return re.fullmatch(self.left_out, theirs) is not None


ORIGINAL = Naming(
    name="the original Segmenter",
    renames=(),
    transposed=frozenset(),
    pointwise=frozenset(),
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
    renames=(),
    transposed=frozenset(),
    pointwise=frozenset(),
    left_out=r".*\.(attn_mask|relative_position_index)|pre_logits\..*",
)
# Since its release 0.9 timm's Swin merges patches at the start of a stage, and has its classifier one level deeper.
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
    """Whose names a checkpoint's tensors bear; a FileError where it is no network's that is known here."""

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
        f"{path}: not a network that is known here: its {len(names)} tensors{example} bear the names neither of a Segmenter "
        "(encoder..., decoder..., or mmsegmentation's backbone..., decode_head...) nor of timm's ViT, DeiT or Swin "
        "(patch_embed..., blocks..., layers...)"
    )
