"""input_lut and the patches after it: each pixel is looked up where it is needed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...arith import IntArray
from ...kernels.pixels import pixels_in_patches
from ..graph import Node
from .step import Links, Step


def match(links: Links, node: Node) -> Step | None:
    """The tables of a picture's channels, and its patches."""
    patches = links.after(node, "patches") if node.op == "input_lut" else None
    if patches is None or len(links.tensor(node).shape) != 3:
        return None
    table, size, shape = np.asarray(node.params["table"]), int(patches.params["size"]), links.tensor(patches).shape

    def compute(inputs: Sequence[IntArray]) -> IntArray:
        out = np.empty((shape[0], len(table), size, size), np.int8)
        pixels_in_patches(np.ascontiguousarray(inputs[0]), table, size, out)
        return out.reshape(shape)

    return Step((node, patches), node.inputs, compute)
