"""Recordings of I-ViT's modules: an archive of a quantized state, one input, and the integers every module gave.

``state/NAME`` are the tensors of the state dict, ``input`` the normalised picture [1, 3, height, width], ``act/NAME`` what
the module NAME gave, ``meta`` the configuration as JSON. What forward hooks on the published modules write down compares
with ours, module by module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import npy
from ..arith import I8
from ..dialects import Dialect
from ..errors import FileError
from ..run import run
from .checkpoint import Checkpoint
from .ivit import imported, input_scale
from .ivit_names import modules

ACTIVATION, INPUT = "act/", "input"
IMAGES = ("qact_input", "patch_embed.proj")  # modules that give [1, channels, height, width]


@dataclass(frozen=True)
class Compared:
    """A module, the node of our graph that gives the same, and how many of its elements differ (None: another shape)."""

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


def compared(checkpoint: Checkpoint, config: dict[str, Any], dialect: Dialect, face: str = "fast") -> list[Compared]:
    """Every recorded module beside ours, in execution order. FileError where the recording is not of this network."""
    path = checkpoint.path
    recorded = {name.removeprefix(ACTIVATION) for name in npy.members(path) if name.startswith(ACTIVATION)}
    known = modules(config)
    if unknown := recorded - known.keys():
        raise FileError(f"{path}: {ACTIVATION}{min(unknown)} is no module of this network")
    scale = input_scale(checkpoint)
    # Pixels that stand for the quantized input itself: v - 128, for every value that i8 has.
    offset = {"mean": [128 / 255] * 3, "std": [1 / (255 * scale)] * 3}
    graph = imported(checkpoint, config | {"normalization": offset}, dialect)
    height, width, _ = graph.tensors[graph.input.name].shape
    picture = npy.member(path, INPUT)
    if picture.shape != (1, 3, height, width):
        raise FileError(f"{path}: {INPUT} is {list(picture.shape)}; due is [1, 3, {height}, {width}]")
    integers = np.clip(np.rint(picture[0] / scale), I8.lo, I8.hi).astype(np.int64)
    found: dict[str, Compared] = {}
    by_node = {known[module]: module for module in recorded}

    def compare(node: str, value: NDArray) -> None:
        module = by_node[node]
        due = npy.member(path, ACTIVATION + module)
        if module in IMAGES and due.ndim == 4:
            due = np.moveaxis(due[0], 0, -1)
        differing = int(np.count_nonzero(due.reshape(value.shape) != value)) if due.size == value.size else None
        found[module] = Compared(module, node, differing, value.size)

    run(graph, np.moveaxis(integers - I8.lo, 0, -1).astype(np.uint8), compare, nodes=by_node, face=face)
    return [found[module] for module in known if module in found]
