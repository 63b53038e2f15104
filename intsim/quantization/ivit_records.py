"""Recordings of I-ViT's modules: an archive of a quantized state, one input, and the integers every module gave.

``state/NAME`` are the tensors of the state dict, ``input`` the normalised picture [1, 3, height, width], ``act/NAME`` what
the module NAME gave, ``meta`` the configuration as JSON. What forward hooks on the published modules write down compares
with ours, module by module.
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
from .ivit import imported, input_scale
from .ivit_names import modules

ACTIVATION, INPUT = "act/", "input"
IMAGES = ("qact_input", "patch_embed.proj")  # modules that give [1, channels, height, width]


@dataclass(frozen=True)
class Compared:
    """A module, the node of our graph that gives the same, and how many elements differ (None: there are more or fewer)."""

    module: str
    node: str
    differing: int | None
    total: int

    @property
    def same(self) -> bool:
        """Whether every integer is reproduced."""
        return self.differing == 0


def is_recorded(checkpoint: Checkpoint) -> bool:
    """Whether the file holds activations beside the state."""
    return checkpoint.path.suffix == ".npz" and any(name.startswith(ACTIVATION) for name in npy.members(checkpoint.path))


def offset_pixels(scale: float) -> dict[str, list[float]]:
    """The normalization by which pixel v stands for the integer v - 128 at a scale: every value that i8 has."""
    return {"mean": [128 / 255] * 3, "std": [1 / (255 * scale)] * 3}


def unknown_modules(checkpoint: Checkpoint, config: dict[str, Any]) -> list[str]:
    """What a recording holds beside the modules of its network."""
    return sorted(_recorded(checkpoint) - modules(config).keys())


def _recorded(checkpoint: Checkpoint) -> set[str]:
    members = npy.members(checkpoint.path)
    return {name.removeprefix(ACTIVATION) for name in members if name.startswith(ACTIVATION)}


def compared(checkpoint: Checkpoint, config: dict[str, Any], dialect: Dialect, face: str = "fast") -> list[Compared]:
    """Every recorded module beside ours, in execution order. FileError where the recording cannot be used."""
    path, known = checkpoint.path, modules(config)
    by_node = {known[module]: module for module in _recorded(checkpoint) & known.keys()}
    scale = input_scale(checkpoint)
    graph = imported(checkpoint, config | {"normalization": offset_pixels(scale)}, dialect)
    height, width, _ = graph.tensors[graph.input.name].shape
    picture = _numbers(path, INPUT)
    if picture.shape != (1, 3, height, width):
        raise FileError(f"{path}: {INPUT} is {list(picture.shape)}; due is [1, 3, {height}, {width}]")
    integers = np.clip(np.rint(picture[0] / scale), I8.lo, I8.hi).astype(np.int64)
    found: dict[str, Compared] = {}

    def compare(node: str, value: AnyArray) -> None:
        module = by_node[node]
        due = _numbers(path, ACTIVATION + module)
        if module in IMAGES and due.ndim == 4:
            due = np.moveaxis(due[0], 0, -1)
        differing = int(np.count_nonzero(due.reshape(value.shape) != value)) if due.size == value.size else None
        found[module] = Compared(module, node, differing, value.size)

    run(graph, np.moveaxis(integers - I8.lo, 0, -1).astype(np.uint8), compare, nodes=by_node, face=face)
    return [found[module] for module in known if module in found]


def _numbers(path: Path, name: str) -> AnyArray:
    """A recorded array of finite numbers."""
    header = npy.member_header(path, name)
    if header is None:
        raise FileError(f"{path}: {name} is missing from the recording")
    if header.problem or header.dtype.kind not in "fiu":
        raise FileError(f"{path}: {name}: {header.problem or f'it holds {header.dtype}, numbers are due'}")
    value = npy.member(path, name)
    if not np.isfinite(value).all():
        raise FileError(f"{path}: {name} holds values that are not finite")
    return value
