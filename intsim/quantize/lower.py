"""Lowering: the real-valued graph becomes the integer graph, every requantization placed.

Each real operation becomes one integer operation, followed by a requantization (``<name>.requant``) where the integer
result is wider than the next operation takes. Weights: symmetric, one scale an output channel, max|w| / 127 (the largest
value of their width), of dead channels that of a bound (`DEAD`). Activations: one scale a tensor, from calibration.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arith import I8, I32, dyadic, signed
from ..dialects import Dialect, gelu_parameters, softmax_parameters
from ..errors import IntsimError
from ..graph import Graph, Node, constant_node, input_node
from ..nets.real import REAL, RealGraph, RealNode
from .calibrate import NOTHING, Statistics

PIXEL_SCALE = 1 / 255
DEAD = 2.0**-12  # of a layer's median: a channel of no larger weights gets that scale, at which its bias and multiplier fit
FOLD = "fold it into the next layer with --fold-norm, where one follows"


def lower(
    net: RealGraph,
    statistics: Statistics,
    dialect: Dialect,
    config: dict[str, Any] | None = None,
    provenance: dict[str, Any] | None = None,
) -> Graph:
    """The integer graph of `net`. IntsimError names layer and channel where a parameter does not fit its format."""
    lowering = _Lowering(statistics, dialect)
    for node in net.nodes:
        try:
            RULES.get(node.op, _Lowering.move)(lowering, node)
        except IntsimError:
            raise
        except ValueError as error:
            raise IntsimError(f"{node.name}: {error}") from None
    return Graph(lowering.nodes, dialect, config, provenance)


class _Lowering:
    """The integer nodes so far, and for every real tensor the integer node that stands for it and its scale."""

    def __init__(self, statistics: Statistics, dialect: Dialect) -> None:
        self.statistics, self.dialect = statistics, dialect
        self.nodes: list[Node] = []
        self.standing: dict[str, str] = {}
        self.scales: dict[str, float] = {}

    def emit(self, real: RealNode, node: Node, scale: float) -> None:
        """Append `node`; it stands for `real` at `scale`."""
        self.nodes.append(node)
        self.standing[real.name] = node.name
        self.scales[real.name] = scale

    def sources(self, real: RealNode) -> tuple[str, ...]:
        """The integer nodes that stand for the inputs of `real`."""
        return tuple(self.standing[name] for name in real.inputs)

    def requantize(self, real: RealNode, node: Node, scale: float | NDArray) -> None:
        """Append an accumulator at `scale` (one, or one a channel) and its requantization to the calibrated scale."""
        out, bits = self.statistics.scale(real), self.statistics.bits(real)
        m, e = _multipliers(np.asarray(scale) / out)
        self.nodes.append(node)
        requant = Node(f"{node.name}.requant", "requant", (node.name,), {"m": m, "e": e, "b": bits}, out)
        self.emit(real, requant, out)

    def image(self, real: RealNode) -> None:
        node = input_node(real.name, real.params["height"], real.params["width"], PIXEL_SCALE)
        self.emit(real, node, PIXEL_SCALE)

    def normalize(self, real: RealNode) -> None:
        mean, std = real.params["mean"], real.params["std"]
        levels = REAL["normalize"](np.arange(256)[:, None], mean, std).T  # every value a pixel can take: (3, 256)
        scale = float(np.abs(levels).max()) / I8.hi
        table = np.clip(np.rint(levels / scale), I8.lo, I8.hi).astype(np.int8)
        self.emit(real, Node(real.name, "input_lut", self.sources(real), {"table": table}, scale), scale)

    def constant(self, real: RealNode) -> None:
        scale = self.statistics.scale(real)
        fmt = signed(self.statistics.bits(real))
        value = np.clip(np.rint(np.asarray(real.params["value"], np.float64) / scale), fmt.lo, fmt.hi).astype(fmt.dtype)
        self.emit(real, constant_node(real.name, value, scale), scale)

    def linear(self, real: RealNode) -> None:
        weight, bias = (np.asarray(real.params[key], np.float64) for key in ("weight", "bias"))
        largest = np.abs(weight).max(axis=1)
        largest = np.maximum(largest, DEAD * np.median(largest))
        weight_scale = np.where(largest > NOTHING, largest, 1.0) / self.statistics.weights.hi
        scale = self.scales[real.inputs[0]] * weight_scale
        params = {
            "weight": np.rint(weight / weight_scale[:, None]).astype(np.int8),
            "bias": _fit(np.rint(bias / scale), f"{real.name}: bias"),
        }
        scales = {"weight": weight_scale, "bias": scale}
        self.requantize(real, Node(real.name, "linear", self.sources(real), params, scales=scales), scale)

    def matmul(self, real: RealNode) -> None:
        a, b = (self.scales[name] for name in real.inputs)
        params = {"transpose_b": real.params["transpose_b"]}
        self.requantize(real, Node(real.name, "matmul", self.sources(real), params), a * b * real.params["gain"])

    def layernorm(self, real: RealNode) -> None:
        gamma, beta = (np.asarray(real.params[key], np.float64) for key in ("gamma", "beta"))
        if (gamma == 0).any():
            channel = int(np.argmax(gamma == 0))
            raise IntsimError(
                f"{real.name}: gamma of channel {channel} is 0; an integer layer norm cannot scale by it: {FOLD}"
            )
        unit = math.sqrt(len(gamma)) / 2**30
        scale = float(gamma[0]) * unit if (gamma == gamma[0]).all() else gamma * unit
        try:
            bias = _fit(np.floor(beta / gamma / unit), f"{real.name}: beta / gamma")
            node = Node(real.name, "layernorm", self.sources(real), {"bias": bias}, scales={"bias": scale})
            self.requantize(real, node, scale)
        except ValueError as error:  # an IntsimError among them
            where = "" if isinstance(error, IntsimError) else f"{real.name}: "
            raise IntsimError(f"{where}{error}; {FOLD}") from None

    def softmax(self, real: RealNode) -> None:
        tokens = self.statistics.row_length[real.inputs[0]]
        params = softmax_parameters(self.scales[real.inputs[0]], tokens, self.dialect)
        node = Node(real.name, "shiftmax", self.sources(real), params)
        self.emit(real, node, 2.0 ** -(params["b"] - 1))

    def gelu(self, real: RealNode) -> None:
        scale = self.scales[real.inputs[0]]
        params = gelu_parameters(scale, self.dialect)
        if real.name in self.statistics.lam:
            params["lam"] = self.statistics.lam[real.name]
        node = Node(real.name, str(self.dialect.gelu), self.sources(real), params)
        self.requantize(real, node, scale * 2.0 ** -(params["b"] - 1))

    def add(self, real: RealNode) -> None:
        out = self.statistics.scale(real)
        params: dict[str, int] = {"b": self.statistics.bits(real)}
        for arm, name in zip("ac", real.inputs, strict=True):
            params[f"m{arm}"], params[f"e{arm}"] = dyadic(self.scales[name] / out)
        self.emit(real, Node(real.name, "residual_add", self.sources(real), params, out), out)

    def move(self, real: RealNode) -> None:
        """Data movement, the same in both worlds."""
        node = Node(real.name, real.op, self.sources(real), dict(real.params))
        self.emit(real, node, self.scales[real.inputs[0]])


RULES: dict[str, Callable[[_Lowering, RealNode], None]] = {
    "input": _Lowering.image,
    "constant": _Lowering.constant,
    "normalize": _Lowering.normalize,
    "linear": _Lowering.linear,
    "matmul": _Lowering.matmul,
    "layernorm": _Lowering.layernorm,
    "softmax": _Lowering.softmax,
    "gelu": _Lowering.gelu,
    "add": _Lowering.add,
}


def _multipliers(factor: NDArray) -> tuple[int | NDArray, int | NDArray]:
    """Dyadic multipliers of a scale ratio: plain integers for one, narrow arrays for one a channel."""
    if factor.ndim == 0:
        return dyadic(float(factor))
    pairs = []
    for channel, value in enumerate(factor):
        try:
            pairs.append(dyadic(float(value)))
        except ValueError as error:
            raise ValueError(f"channel {channel}: {error}") from None
    m, e = zip(*pairs, strict=True)
    return np.array(m, np.int32), np.array(e, np.int8)


def _fit(values: NDArray, what: str) -> NDArray:
    """Rounded reals as i32; an IntsimError names the first channel that does not fit."""
    outside = ~(np.abs(values) <= I32.hi)  # not a number is outside, too
    if outside.any():
        channel = int(np.argmax(outside))
        raise IntsimError(
            f"{what} of channel {channel} is {values[channel]:.0f} in integers, outside i32; its scale is too small"
        )
    return values.astype(np.int32)
