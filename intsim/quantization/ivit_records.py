"""Recordings of I-ViT's modules: an archive of a quantized state, one input, and the integer output of every module.

``state/NAME`` are the tensors of the state dict, ``input`` the normalised picture [1, 3, height, width], ``act/NAME`` the
output of module NAME, ``meta`` the configuration as JSON. Forward hooks on the published modules can write such a recording;
it is compared with our graph, module by module.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..arith import I8, AnyArray
from ..dialects import Dialect
from ..engine.interpreter import run
from ..errors import FileError
from ..storage import npy
from .checkpoint import Checkpoint
from .ivit import import_checkpoint, input_scale
from .ivit_names import modules

ACTIVATIONS, INPUT = "act/", "input"
IMAGES = ("input", "patch_embed.proj")  # nodes whose module gives [1, channels, height, width]


@dataclass(frozen=True)
class ModuleComparison:
    """A module, the equivalent node of our graph, and how many elements differ (None where their numbers are not equal)."""

    module: str
    node: str
    differing: int | None
    total: int

    @property
    def same(self) -> bool:
        """Whether every integer is reproduced."""
        return self.differing == 0


def is_recorded(checkpoint: Checkpoint) -> bool:
    """Whether the file contains activations in addition to the state."""
    return checkpoint.path.suffix == ".npz" and any(name.startswith(ACTIVATIONS) for name in npy.members(checkpoint.path))


def offset_pixels(scale: float) -> dict[str, list[float]]:
    """The normalization at which pixel v becomes the integer v - 128 at a scale, so that pixels cover all values of i8."""
    return {"mean": [128 / 255] * 3, "std": [1 / (255 * scale)] * 3}


def unknown_modules(checkpoint: Checkpoint, config: dict[str, Any]) -> list[str]:
    """Recorded activations that are not modules of the network."""
    return sorted(_recorded(checkpoint) - modules(config).keys())


def _recorded(checkpoint: Checkpoint) -> set[str]:
    members = npy.members(checkpoint.path)
    return {name.removeprefix(ACTIVATIONS) for name in members if name.startswith(ACTIVATIONS)}


def compare_recording(
    checkpoint: Checkpoint, config: dict[str, Any], dialect: Dialect, face: str = "fast"
) -> list[ModuleComparison]:
    """Compare every recorded module with our graph, in execution order.

    Raises FileError where the recording cannot be used.
    """
    path, known = checkpoint.path, modules(config)
    by_node = {known[module]: module for module in _recorded(checkpoint) & known.keys()}
    scale = input_scale(checkpoint, config)
    graph = import_checkpoint(checkpoint, config | {"normalization": offset_pixels(scale)}, dialect)
    height, width, _ = graph.tensors[graph.input.name].shape
    picture = _recorded_array(path, INPUT)
    if picture.shape != (1, 3, height, width):
        raise FileError(f"{path}: {INPUT} is {list(picture.shape)}; expected [1, 3, {height}, {width}]")
    integers = np.clip(np.rint(picture[0] / scale), I8.lo, I8.hi).astype(np.int64)
    found: dict[str, ModuleComparison] = {}

    def compare(node: str, value: AnyArray) -> None:
        module = by_node[node]
        expected = _recorded_array(path, ACTIVATIONS + module)
        if node.endswith(IMAGES) and expected.ndim == 4:
            expected = np.moveaxis(expected[0], 0, -1)
        same_size = expected.size == value.size
        differing = int(np.count_nonzero(expected.reshape(value.shape) != value)) if same_size else None
        found[module] = ModuleComparison(module, node, differing, value.size)

    run(graph, np.moveaxis(integers - I8.lo, 0, -1).astype(np.uint8), compare, nodes=by_node, face=face)
    return [found[module] for module in known if module in found]


def _recorded_array(path: Path, name: str) -> AnyArray:
    """A recorded array of finite numbers."""
    header = npy.member_header(path, name)
    if header is None:
        raise FileError(f"{path}: {name} is missing from the recording")
    if header.problem or header.dtype.kind not in "fiu":
        raise FileError(f"{path}: {name}: {header.problem or f'it contains {header.dtype}, expected numbers'}")
    value = npy.member(path, name)
    if not np.isfinite(value).all():
        raise FileError(f"{path}: {name} holds values that are not finite")
    return value
