"""Calibration: run the real-valued graph on pictures and record the statistics that lowering needs.

There are two passes. The first records the magnitudes of every tensor, from which its observer chooses the range. The second
uses the resulting scales and records the inputs of each GELU as counts over (input, row maximum), from which the best clamp
is computed exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np

from ..arith import I8, AnyArray, Format, Gelu, signed
from ..dialects import Dialect, gelu_parameters
from ..engine.interpreter import Progress
from ..errors import IntsimError
from ..nets.real import LOGITS, RealGraph, RealNode
from ..ops import REGISTRY
from ..ops.shiftgelu import UNCLAMPED
from .observers import Magnitudes
from .recipe import MIN_MAX, OFF, SEARCH, WEIGHT, Recipe

WIDEST = 32  # bits
NOTHING = 1e-30  # smaller ranges count as zero: products of their scales would underflow float64


@dataclass
class Statistics:
    """The result of calibration: the clipping point of every tensor and the clamp of every GELU.

    `labels` are the outputs (labels or logits) of the calibrated network for each picture.
    """

    recipe: Recipe = field(default_factory=Recipe)
    largest: dict[str, float] = field(default_factory=dict)
    lam: dict[str, int] = field(default_factory=dict)
    labels: list[AnyArray] = field(default_factory=list)

    def bits(self, node: RealNode) -> int:
        """The width of a tensor in bits; logits keep the width of their accumulators."""
        return WIDEST if node.kind == LOGITS else self.recipe.widths[node.kind]

    @property
    def weights(self) -> Format:
        """The format of weights."""
        return signed(self.recipe.widths[WEIGHT])

    def scale(self, node: RealNode) -> float:
        """The scale that maps the tensor's clipping point to the largest value of its format."""
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
    observers = {node.name: recipe.observer_of(node.name, statistics.bits(node)) for node in net.nodes}

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
    if dialect.gelu is Gelu.LAMBDA_SHIFTGELU:
        _find_clamps(net, pictures, dialect, statistics, progress)
    return statistics


def _check_globs(net: RealGraph, recipe: Recipe) -> None:
    for glob in recipe.observers:
        if not any(fnmatchcase(node.name, glob) for node in net.nodes):
            raise IntsimError(f"observer for {glob!r}: no node has a matching name; 'intsim inspect' lists the nodes")


def _share_concatenated(net: RealGraph, statistics: Statistics) -> None:
    """Give the inputs of a concatenation the range of its output, so that all have one scale."""
    for node in net.nodes:
        if node.op == "concat":
            for name in node.inputs:
                statistics.largest[name] = statistics.largest[node.name]


def _find_clamps(
    net: RealGraph, pictures: list[AnyArray], dialect: Dialect, statistics: Statistics, progress: Progress
) -> None:
    """Set the clamp of every GELU as the recipe specifies."""
    by_name = {node.name: node for node in net.nodes}
    gelus = [node for node in net.nodes if node.op == "gelu"]
    lam = statistics.recipe.lam
    if lam != SEARCH:
        statistics.lam = {node.name: UNCLAMPED if lam == OFF else int(lam) for node in gelus}
        return
    seen = {}
    for node in gelus:
        source = by_name[node.inputs[0]]
        seen[node.name] = GeluInputs(statistics.scale(source), signed(statistics.bits(source)))

    def collect(node: RealNode, inputs: list[AnyArray], value: AnyArray) -> None:
        if node.name in seen:
            seen[node.name].add(inputs[0], value)
        progress(node.name)

    for picture in pictures:
        net.run(picture, collect)
    for name, inputs in seen.items():
        try:
            statistics.lam[name] = inputs.best_lam(dialect)
        except ValueError as error:
            raise IntsimError(f"{name}: {error}") from None


class GeluInputs:
    """Inputs of one GELU: for every pair (quantized input, row maximum) its count and the sum of the exact outputs.

    The squared error of any clamp follows exactly from these 256 x 256 cells, for any number of pictures:
    ``sum((out - g)**2) = count * out**2 - 2 * out * sum(g) + constant``.
    """

    def __init__(self, scale: float, fmt: Format = I8) -> None:
        self.scale, self.fmt = scale, fmt
        self.count = np.zeros((256, 256))
        self.total = np.zeros((256, 256))

    def add(self, x: AnyArray, gelu: AnyArray) -> None:
        """Record rows of real inputs [..., channels] and their GELU."""
        q = np.clip(np.rint(x / self.scale), self.fmt.lo, self.fmt.hi).astype(np.int64) - I8.lo
        cell = (q.max(axis=-1, keepdims=True) * 256 + q).ravel()
        self.count += np.bincount(cell, minlength=65536).reshape(256, 256)
        self.total += np.bincount(cell, weights=gelu.ravel(), minlength=65536).reshape(256, 256)

    def best_lam(self, dialect: Dialect) -> int:
        """The clamp with the least squared error over the recorded inputs; the widest one on ties."""
        parameters = gelu_parameters(self.scale, dialect)
        out_scale = self.scale * 2.0 ** -(parameters["b"] - 1)
        maxima = np.flatnonzero(self.count.any(axis=1))
        # One row [.., x, .., top] per maximum: every input up to the maximum, which is always present.
        rows = np.minimum(np.arange(I8.lo, I8.hi + 1), maxima[:, None] + I8.lo)
        count, total = self.count[maxima], self.total[maxima]

        def error(lam: int) -> float:
            out = REGISTRY["lambda_shiftgelu"](rows, **parameters, lam=lam, dialect=dialect) * out_scale
            return float((count * out * out - 2 * out * total).sum())

        return min(range(UNCLAMPED, 0, -1), key=error)
