"""The classes of a network: their names, and their ranking by a classifier's logits.

Logits are i32 with one scale per class, as in the published networks. They are compared exactly, as the product of an
integer and a float scale, which is a rational number.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..arith import FloatArray, IntArray
from .graph import Graph


@dataclass(frozen=True)
class Ranked:
    """A class: index, name, logit as an integer and as a real number, and probability (softmax over all classes)."""

    index: int
    name: str
    logit: int
    value: float
    probability: float


def classifies(graph: Graph) -> bool:
    """Whether the graph's output is the logits of one picture, at known scales."""
    tensor = graph.tensors[graph.output.name]
    return (
        graph.takes_picture
        and graph.scales[graph.output.name] is not None
        and graph.output.op in ("linear", "residual_add")
        and tensor.shape[-1] == np.prod(tensor.shape)
    )


def labels_pixels(graph: Graph) -> bool:
    """Whether the graph's output is the labels [height, width] of one picture."""
    shape = graph.tensors[graph.input.name].shape[:2]
    return graph.takes_picture and graph.output.op == "argmax" and graph.tensors[graph.output.name].shape == shape


def class_names(graph: Graph) -> list[str]:
    """The names of the model's classes; ``class 0``, ``class 1`` .. if it has none."""
    last = graph.output.name if classifies(graph) else graph.output.inputs[0]
    classes, own = graph.tensors[last].shape[-1], graph.config.get("class_names")
    return [str(n) for n in own] if isinstance(own, list) and len(own) == classes else [f"class {i}" for i in range(classes)]


def order(graph: Graph, logits: IntArray) -> list[int]:
    """The classes sorted by logit, largest first, ties by lower index. `logits` is the output of a classifier."""
    integers, scales = logits.ravel(), _scales(graph)
    exact = [Fraction(int(q)) * Fraction(float(s)) for q, s in zip(integers, scales, strict=True)]
    return sorted(range(len(exact)), key=lambda i: (-exact[i], i))


def ranking(graph: Graph, logits: IntArray, most: int) -> list[Ranked]:
    """The first `most` classes of `order`, with their names, values and probabilities."""
    integers, names = logits.ravel(), class_names(graph)
    values = integers * _scales(graph)
    shares = np.exp(values - values.max())
    shares /= shares.sum()
    return [Ranked(i, names[i], int(integers[i]), float(values[i]), float(shares[i])) for i in order(graph, logits)[:most]]


def _scales(graph: Graph) -> FloatArray:
    """One scale per class."""
    return np.broadcast_to(
        np.asarray(graph.scales[graph.output.name], np.float64), graph.tensors[graph.output.name].shape[-1]
    )
