"""Calibration: run the real-valued graph on pictures and record the statistics that lowering needs.

There are two passes. The first records the magnitudes of every tensor, from which its observer chooses the range. The second
uses the resulting scales and records what each GELU and, where they have 8 bits, each softmax sees, from which their best
integer forms follow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np

from ..arith import AnyArray, Format, Gelu, signed
from ..dialects import Dialect
from ..engine.interpreter import Progress
from ..errors import IntsimError
from ..nets.real import CLASS_LOGITS, RealGraph, RealNode
from .fitting import GeluInputs
from .lower import IntegerGelu
from .observers import Magnitudes
from .recipe import MIN_MAX, NARROW, WEIGHT, WIDEST, WIDTHS, Recipe
from .softmax_range import SoftmaxInputs, softmax_scale

NOTHING = 1e-30  # smaller ranges count as zero: products of their scales would underflow float64


@dataclass
class Statistics:
    """The result of calibration: the clipping point of every tensor, or its scale where that follows from more than a
    clipping point, and the integer form of every GELU.

    `labels` are the outputs (labels or logits) of the calibrated network for each picture.
    """

    recipe: Recipe = field(default_factory=Recipe)
    largest: dict[str, float] = field(default_factory=dict)
    scales: dict[str, float] = field(default_factory=dict)
    gelus: dict[str, IntegerGelu] = field(default_factory=dict)
    labels: list[AnyArray] = field(default_factory=list)

    def bits(self, node: RealNode) -> int:
        """The width of a tensor in bits; logits keep the width of their accumulators."""
        return WIDEST if node.kind == CLASS_LOGITS else self.recipe.widths[node.kind]

    @property
    def weights(self) -> Format:
        """The format of weights."""
        return signed(self.recipe.widths[WEIGHT])

    def scale(self, node: RealNode) -> float:
        """The scale of a tensor; where it has none of its own, its clipping point is the largest value of its format."""
        if node.name in self.scales:
            return self.scales[node.name]
        largest = self.largest[node.name]
        return (largest if largest > NOTHING else 1.0) / signed(self.bits(node)).hi


def calibrate(
    net: RealGraph,
    pictures: list[AnyArray],
    dialect: Dialect,
    recipe: Recipe | None = None,
    progress: Progress = lambda name: None,
) -> Statistics:
    """Statistics of `net` over `pictures` (u8 [H, W, 3]); `progress(name)` is called after each node.

    Raises IntsimError where a node's values overflow float64, where a glob of the recipe matches no node, or where it sets
    a clamp and the dialect has none.
    """
    recipe = recipe or Recipe()
    statistics = Statistics(recipe)
    _check_globs(net, recipe)
    if isinstance(recipe.lam, int) and dialect.gelu is not Gelu.LAMBDA_SHIFTGELU:
        raise IntsimError(f"lam {recipe.lam}: the GELU of dialect {dialect.name}, {dialect.gelu}, has no clamp")
    seen: dict[str, Magnitudes] = {node.name: Magnitudes() for node in net.nodes}
    observers = {node.name: recipe.observer_of(node.name, node.kind, statistics.bits(node)) for node in net.nodes}

    def record(node: RealNode, inputs: list[AnyArray], value: AnyArray) -> None:
        counting = observers[node.name].kind != MIN_MAX and value.dtype == np.float64
        if not seen[node.name].add(value, counting):
            raise IntsimError(
                f"{node.name}: its real values are not finite; the checkpoint or its normalization is out of range"
            )
        progress(node.name)

    statistics.labels = [net.run(picture, record) for picture in pictures]
    for node in net.nodes:
        statistics.largest[node.name] = seen[node.name].clip(observers[node.name], signed(statistics.bits(node)).hi)
    _share_concatenated(net, statistics)
    _fit(net, pictures, dialect, statistics, progress)
    return statistics


def _check_globs(net: RealGraph, recipe: Recipe) -> None:
    for glob in recipe.observers.keys() - WIDTHS.keys():
        if not any(fnmatchcase(node.name, glob) for node in net.nodes):
            raise IntsimError(f"observer for {glob!r}: no node has a matching name; 'intsim inspect' lists the nodes")


def _share_concatenated(net: RealGraph, statistics: Statistics) -> None:
    """Give the inputs of a concatenation the range of its output, so that all have one scale."""
    for node in net.nodes:
        if node.op == "concat":
            for name in node.inputs:
                statistics.largest[name] = statistics.largest[node.name]


def _fit(net: RealGraph, pictures: list[AnyArray], dialect: Dialect, statistics: Statistics, progress: Progress) -> None:
    """Set what depends on more than clipping points: the scales of softmax inputs, and the integer form of every GELU."""
    recipe, shapes = statistics.recipe, net.shapes()
    by_name = {node.name: node for node in net.nodes}
    logits: dict[str, SoftmaxInputs] = {}
    gelus: dict[str, GeluInputs] = {}
    for node in net.nodes:
        source = by_name[node.inputs[0]] if node.inputs else node
        fmt = signed(statistics.bits(source))
        if node.op in ("softmax", "masked_softmax") and recipe.range_for_softmax(source.name):
            tokens, largest = shapes[source.name][-1], statistics.largest[source.name]
            if fmt.bits > NARROW:
                statistics.scales[source.name] = softmax_scale(largest, fmt, tokens, dialect)
            elif largest > NOTHING:
                logits[source.name] = SoftmaxInputs(largest, fmt, tokens, dialect)
        elif node.op == "gelu":
            gelus[node.name] = GeluInputs(statistics.scale(source), fmt)

    def collect(node: RealNode, inputs: list[AnyArray], value: AnyArray) -> None:
        if node.name in gelus:
            gelus[node.name].add(inputs[0], value)
        if node.name in logits:
            logits[node.name].add(value)
        progress(node.name)

    if logits or recipe.needs_gelu_inputs(dialect):
        for picture in pictures:
            net.run(picture, collect)
    statistics.scales |= {name: inputs.best() for name, inputs in logits.items()}
    for name, seen in gelus.items():
        try:
            statistics.gelus[name] = seen.best(dialect, recipe)
        except ValueError as error:
            raise IntsimError(f"{name}: {error}") from None
