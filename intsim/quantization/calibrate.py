"""Calibration: run the real-valued graph on pictures and record what lowering needs to know.

Two passes. The first records the magnitudes of every tensor, from which its observer chooses the range. The second, with the
scales of the first, records what each GELU sees, as counts over (input, row maximum), from which the best clamp is found
exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np

from ..arith import I8, AnyArray, Format, Gelu, signed
from ..dialects import Dialect, gelu_parameters
from ..errors import IntsimError
from ..nets.real import LOGITS, RealGraph, RealNode
from ..ops import REGISTRY
from ..ops.shiftgelu import UNCLAMPED
from .observers import Magnitudes
from .recipe import MIN_MAX, OFF, SEARCH, WEIGHT, Recipe

WIDEST = 32  # bits
NOTHING = 1e-30  # what is smaller is zero: its scale would leave float64 on the way
Progress = Callable[[str], None]


@dataclass
class Statistics:
    """Calibration's result: of every tensor the clipping point, of every GELU the clamp.

    `labels` are those, or the logits, that the calibrated network gave for every picture.
    """

    recipe: Recipe = field(default_factory=Recipe)
    largest: dict[str, float] = field(default_factory=dict)
    lam: dict[str, int] = field(default_factory=dict)
    labels: list[AnyArray] = field(default_factory=list)

    def bits(self, node: RealNode) -> int:
        """The width of a tensor in integers; logits are as wide as their sums."""
        return WIDEST if node.kind == LOGITS else self.recipe.widths[node.kind]

    @property
    def weights(self) -> Format:
        """The format of weights."""
        return signed(self.recipe.widths[WEIGHT])

    def scale(self, node: RealNode) -> float:
        """The scale at which the tensor's clipping point becomes its format's largest value."""
        largest = self.largest[node.name]
        return (largest if largest > NOTHING else 1.0) / signed(self.bits(node)).hi


def calibrate(
    net: RealGraph,
    pictures: list[AnyArray],
    dialect: Dialect,
    recipe: Recipe | None = None,
    progress: Progress = lambda name: None,
) -> Statistics:
    """Statistics of `net` over `pictures` (u8 [H, W, 3]); `progress(name)` is called when a node has run.

    IntsimError names the node whose values leave float64, and what the recipe asks for in vain: a glob that matches no node,
    a clamp in a dialect without one.
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
            raise IntsimError(f"observer for {glob!r}: no node bears such a name; 'intsim inspect' lists them")


def _share_concatenated(net: RealGraph, statistics: Statistics) -> None:
    """Joined tensors have one scale: that of the whole."""
    for node in net.nodes:
        if node.op == "concat":
            for name in node.inputs:
                statistics.largest[name] = statistics.largest[node.name]


def _find_clamps(
    net: RealGraph, pictures: list[AnyArray], dialect: Dialect, statistics: Statistics, progress: Progress
) -> None:
    """The clamp of every GELU, as the recipe says."""
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
    """What one GELU saw: for every quantized input and row maximum, how often, and the sum of the true outputs.

    The squared error of any clamp follows exactly from these 256 x 256 cells, however many pictures there were:
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
        """The clamp with the least squared error over what was recorded; the widest of equals."""
        parameters = gelu_parameters(self.scale, dialect)
        out_scale = self.scale * 2.0 ** -(parameters["b"] - 1)
        tops = np.flatnonzero(self.count.any(axis=1))
        # A row [.., x, .., top] per maximum: every input up to the maximum, the maximum itself always there.
        rows = np.minimum(np.arange(I8.lo, I8.hi + 1), tops[:, None] + I8.lo)
        count, total = self.count[tops], self.total[tops]

        def error(lam: int) -> float:
            out = REGISTRY["lambda_shiftgelu"](rows, **parameters, lam=lam, dialect=dialect) * out_scale
            return float((count * out * out - 2 * out * total).sum())

        return min(range(UNCLAMPED, 0, -1), key=error)
