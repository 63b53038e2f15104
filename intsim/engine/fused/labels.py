"""upsample_nearest, cropping and argmax: all pixels of a patch have the same class, so it is computed once per patch.

argmax over classes commutes with operators that only move pixels; the labels are moved instead of the values per class.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...arith import IntArray
from ..graph import Node, operator
from .step import Links, Step


def match(links: Links, node: Node) -> Step | None:
    """An upsampling, the slices of pixels after it, and the final argmax."""
    if node.op != "upsample_nearest":
        return None
    moves = [node]
    while (following := links.after(moves[-1], "slice")) is not None and following.params["axis"] != -1:
        moves.append(following)
    argmax = links.after(moves[-1], "argmax")
    if argmax is None:
        return None
    height_width, dtype = links.tensor(argmax).shape, links.tensor(argmax).fmt.dtype

    def compute(inputs: Sequence[IntArray]) -> IntArray:
        labels = operator(argmax)(inputs[0])[..., None]
        for move in moves:
            labels = operator(move)(labels, **move.params)
        return labels.reshape(height_width).astype(dtype, copy=False)

    return Step((*moves, argmax), node.inputs, compute)
