"""Calibration: run the real-valued graph on pictures and record what lowering needs to know.

Two passes. The first records the largest magnitude of every tensor (symmetric min-max). The second, with the scales of the
first, records what each GELU sees, as counts over (input, row maximum), from which the best clamp is found exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..arith import I8, Gelu, signed
from ..dialects import Dialect, gelu_parameters
from ..errors import IntsimError
from ..nets.real import RealGraph, RealNode
from ..ops import REGISTRY
from ..ops.shiftgelu import UNCLAMPED

NOTHING = 1e-30  # what is smaller is zero: its scale would leave float64 on the way


@dataclass
class Statistics:
    """Calibration's result: of every tensor the largest magnitude and the length of a row, of every GELU the clamp."""

    largest: dict[str, float] = field(default_factory=dict)
    row_length: dict[str, int] = field(default_factory=dict)
    lam: dict[str, int] = field(default_factory=dict)

    def scale(self, name: str, bits: int) -> float:
        """The scale at which the tensor's largest magnitude becomes the format's largest value."""
        largest = self.largest[name]
        return (largest if largest > NOTHING else 1.0) / signed(bits).hi


def calibrate(net: RealGraph, pictures: list[NDArray], dialect: Dialect) -> Statistics:
    """Statistics of `net` over `pictures` (u8 [H, W, 3])."""
    statistics = Statistics()

    def record(node: RealNode, inputs: list[NDArray], value: NDArray) -> None:
        largest = float(np.abs(value).max())
        if not math.isfinite(largest):
            raise IntsimError(
                f"{node.name}: its real values are not finite; the checkpoint or its normalization is out of range"
            )
        statistics.largest[node.name] = max(statistics.largest.get(node.name, 0.0), largest)
        statistics.row_length[node.name] = value.shape[-1]

    for picture in pictures:
        net.run(picture, record)
    _share_concatenated(net, statistics)

    if dialect.gelu is Gelu.LAMBDA_SHIFTGELU:
        seen = {node.name: GeluInputs(statistics.scale(node.inputs[0], 8)) for node in net.nodes if node.op == "gelu"}

        def collect(node: RealNode, inputs: list[NDArray], value: NDArray) -> None:
            if node.name in seen:
                seen[node.name].add(inputs[0], value)

        for picture in pictures:
            net.run(picture, collect)
        for name, inputs in seen.items():
            try:
                statistics.lam[name] = inputs.best_lam(dialect)
            except ValueError as error:
                raise IntsimError(f"{name}: {error}") from None
    return statistics


def _share_concatenated(net: RealGraph, statistics: Statistics) -> None:
    """Joined tensors have one scale: that of the whole."""
    for node in net.nodes:
        if node.op == "concat":
            for name in node.inputs:
                statistics.largest[name] = statistics.largest[node.name]


class GeluInputs:
    """What one GELU saw: for every quantized input and row maximum, how often, and the sum of the true outputs.

    The squared error of any clamp follows exactly from these 256 x 256 cells, however many pictures there were:
    ``sum((out - g)**2) = count * out**2 - 2 * out * sum(g) + constant``.
    """

    def __init__(self, scale: float) -> None:
        self.scale = scale
        self.count = np.zeros((256, 256))
        self.total = np.zeros((256, 256))

    def add(self, x: NDArray, gelu: NDArray) -> None:
        """Record rows of real inputs [..., channels] and their GELU."""
        q = np.clip(np.rint(x / self.scale), I8.lo, I8.hi).astype(np.int64) - I8.lo
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
