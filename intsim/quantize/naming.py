"""What published implementations call the tensors of a Segmenter. Ours are the names of the original one."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from numpy.typing import NDArray

from ..errors import FileError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Naming:
    """Their name of each of our tensors, and how theirs lies where that differs."""

    name: str
    renames: tuple[tuple[str, str], ...]
    transposed: frozenset[str]  # by our names
    pointwise: frozenset[str]  # convolutions of one pixel, [out, in, 1, 1]
    left_out: str  # what their files hold beside a Segmenter

    def theirs(self, name: str) -> str:
        """Their name of our tensor."""
        for ours, theirs in self.renames:
            name = re.sub(ours, theirs, name)
        return name

    def shape(self, name: str, shape: Shape) -> Shape:
        """The shape of their tensor, given that of ours."""
        shape = shape[::-1] if name in self.transposed else shape
        return (*shape, 1, 1) if name in self.pointwise else shape

    def ours(self, name: str, value: NDArray) -> NDArray:
        """Their values as ours lie."""
        value = value.T if name in self.transposed else value
        return value[..., 0, 0] if name in self.pointwise else value

    def unused(self, theirs: str) -> bool:
        """Whether a tensor of theirs belongs to something that Segmenter does not use."""
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
_STARTS: tuple[tuple[Naming, Callable[[str], bool]], ...] = (
    (MMSEGMENTATION, lambda name: name.startswith(("backbone.", "decode_head."))),
    (ORIGINAL, lambda name: name.startswith(("encoder.", "decoder."))),
)


def naming_of(path: Path, names: Collection[str]) -> Naming:
    """Whose names a checkpoint's tensors bear; a FileError where it is no Segmenter's."""
    for naming, recognised in _STARTS:
        if any(map(recognised, names)):
            return naming
    example = f", such as {min(names)}," if names else ""
    raise FileError(
        f"{path}: not a Segmenter: its {len(names)} tensors{example} bear the names neither of the original implementation "
        "(encoder..., decoder...) nor of mmsegmentation (backbone..., decode_head...)"
    )
