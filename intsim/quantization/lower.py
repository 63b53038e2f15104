"""Lowering: converts the real-valued graph to the integer graph and places every requantization.

Each real operation becomes one integer operation, followed by a requantization (``<name>.requant``) where the integer
result is wider than the next operation accepts. A `ParameterSource` supplies the integer parameters and scales: `rounding`
computes them from real numbers and a calibration, `ivit` reads those stored in a quantized checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..arith import I8, I32, AnyArray, Scale, dyadic, signed
from ..dialects import Dialect, softmax_parameters
from ..engine.graph import Graph, Node, constant_node, input_node
from ..errors import IntsimError
from ..nets.real import CLASS_LOGITS, REAL, RealGraph, RealNode
from .recipe import WIDEST

PIXEL_SCALE = 1 / 255
STEEPEST, SMALLEST = 2.0**29, 2.0**-32  # bounds of factors that a multiplier and its shift can represent
# Operations whose result has a scale that a `ParameterSource` chooses; the logits of a classifier have none.
OWN_SCALE = ("constant", "linear", "matmul", "layernorm", "gelu", "add", "mean", "requantize")
NORMALISED = 1 << 30  # the largest magnitude of a layer norm before its bias


class LinearLayer(NamedTuple):
    """A linear layer in integers: weight i8 [out, in], bias i32 [out], and the scale of the weight per channel."""

    weight: AnyArray
    bias: AnyArray
    scale: AnyArray


class Affine(NamedTuple):
    """A layer norm in integers: bias i32, and the scale of its result, one or one per channel."""

    bias: AnyArray
    scale: Scale


class IntegerGelu(NamedTuple):
    """A GELU in integers: the parameters of the dialect's operator, and a factor that its requantization applies."""

    params: dict[str, int]
    gain: float = 1.0


class ParameterSource(Protocol):
    """Supplies scales, widths and integer parameters.

    `norm_advice` ends the message of an error where a layer norm does not fit. `vanishing` accepts channels of a layer norm
    whose factor is too small for any shift, so that all their values become 0.
    """

    norm_advice: str
    vanishing: bool

    def bits(self, node: RealNode) -> int:
        """The width of a tensor."""
        ...

    def scale(self, node: RealNode) -> float:
        """The scale of a tensor."""
        ...

    def aim(self, node: RealNode) -> float:
        """The scale from which multipliers are computed: `scale`, in the precision they require."""
        ...

    def product(self, node: RealNode, scale: Scale) -> Scale:
        """The scale of an operator's result before requantization, given the computed `scale`."""
        ...

    def constant(self, node: RealNode, low: int, high: int) -> AnyArray:
        """A constant tensor as integers from `low` to `high`."""
        ...

    def linear(self, node: RealNode, x_scale: float) -> LinearLayer:
        """The integer parameters of a linear layer for inputs at `x_scale`."""
        ...

    def layernorm(self, node: RealNode) -> Affine:
        """The integer parameters of a layer norm."""
        ...

    def gelu(self, node: RealNode, scale: float, dialect: Dialect) -> IntegerGelu:
        """The integer parameters of a GELU of inputs at `scale`."""
        ...


def lower(
    net: RealGraph,
    source: ParameterSource,
    dialect: Dialect,
    config: dict[str, Any] | None = None,
    provenance: dict[str, Any] | None = None,
) -> Graph:
    """The integer graph of `net`.

    Raises IntsimError naming layer and channel where a parameter does not fit its format.
    """
    lowering = _Lowering(source, dialect, net.shapes())
    for node in net.nodes:
        try:
            LOWERING_RULES.get(node.op, _Lowering.move)(lowering, node)
        except IntsimError:
            raise
        except ValueError as error:
            raise IntsimError(f"{node.name}: {error}") from None
    return Graph(lowering.nodes, dialect, config, provenance)


class _Lowering:
    """The integer nodes so far, and for every real tensor its integer node and scale."""

    def __init__(self, source: ParameterSource, dialect: Dialect, shapes: dict[str, tuple[int, ...]]) -> None:
        self.source, self.dialect, self.shapes = source, dialect, shapes
        self.nodes: list[Node] = []
        self.integer_node: dict[str, str] = {}
        self.scales: dict[str, Any] = {}  # one per tensor, but one per channel of logits
        self.reach: dict[str, AnyArray] = {}  # of logits, per class: their largest possible magnitude

    def emit(self, real: RealNode, node: Node, scale: Scale) -> None:
        """Append `node`, which represents `real` at `scale`."""
        self.nodes.append(node)
        self.integer_node[real.name] = node.name
        self.scales[real.name] = scale

    def sources(self, real: RealNode) -> tuple[str, ...]:
        """The integer nodes that represent the inputs of `real`."""
        return tuple(self.integer_node[name] for name in real.inputs)

    def requantize(self, real: RealNode, node: Node, scale: Scale, reach: AnyArray | None = None) -> None:
        """Append an accumulator at `scale` (one, or one per channel) and its requantization.

        With `reach`, the largest magnitudes per channel, a factor may be so small that all results are 0.
        """
        self.nodes.append(node)
        scale = self.source.product(real, scale)
        self.emit(real, *self.requantized(real, f"{node.name}.requant", node.name, scale, reach))

    def requantized(
        self, real: RealNode, name: str, source: str, scale: Scale, reach: AnyArray | None = None
    ) -> tuple[Node, float]:
        """The requantization of an integer node at `scale` to the width and scale of `real`, and that scale."""
        out = self.source.scale(real)
        factor = np.asarray(scale) / self.source.aim(real)
        if reach is not None:
            factor = np.where((np.abs(factor) < SMALLEST) & (np.abs(factor) * reach < 0.5), 0.0, factor)
        m, e = _multipliers(factor)
        return Node(name, "requant", (source,), {"m": m, "e": e, "b": self.source.bits(real)}, out), out

    def image(self, real: RealNode) -> None:
        node = input_node(real.name, real.params["height"], real.params["width"], PIXEL_SCALE)
        self.emit(real, node, PIXEL_SCALE)

    def normalize(self, real: RealNode) -> None:
        mean, std = real.params["mean"], real.params["std"]
        levels = REAL["normalize"](np.arange(256)[:, None], mean, std).T  # for every pixel value: (3, 256)
        scale = self.source.scale(real)
        table = np.clip(np.rint(levels / scale), I8.lo, I8.hi).astype(np.int8)
        self.emit(real, Node(real.name, "input_lut", self.sources(real), {"table": table}, scale), scale)

    def constant(self, real: RealNode) -> None:
        scale = self.source.scale(real)
        fmt = signed(self.source.bits(real))
        value = self.source.constant(real, fmt.lo, fmt.hi).astype(fmt.dtype)
        self.emit(real, constant_node(real.name, value, scale), scale)

    def linear(self, real: RealNode) -> None:
        layer = self.source.linear(real, self.scales[real.inputs[0]])
        scale = self.scales[real.inputs[0]] * layer.scale
        params, scales = {"weight": layer.weight, "bias": layer.bias}, {"weight": layer.scale, "bias": scale}
        node = Node(real.name, "linear", self.sources(real), params, scales=scales)
        if real.kind == CLASS_LOGITS:
            self.reach[real.name] = np.abs(layer.weight.astype(np.int64)).sum(axis=1) * -I8.lo + np.abs(
                layer.bias.astype(np.int64)
            )
            self.emit(real, node, scale)
        else:
            self.requantize(real, node, scale)

    def matmul(self, real: RealNode) -> None:
        a, b = (self.scales[name] for name in real.inputs)
        params = {"transpose_b": real.params["transpose_b"]}
        self.requantize(real, Node(real.name, "matmul", self.sources(real), params), a * b * real.params["gain"])

    def layernorm(self, real: RealNode) -> None:
        try:
            affine = self.source.layernorm(real)
            node = Node(real.name, "layernorm", self.sources(real), {"bias": affine.bias}, scales={"bias": affine.scale})
            reach = NORMALISED + np.abs(affine.bias.astype(np.int64)) if self.source.vanishing else None
            self.requantize(real, node, affine.scale, reach)
        except ValueError as error:  # IntsimError included
            if not self.source.norm_advice:
                raise
            where = "" if isinstance(error, IntsimError) else f"{real.name}: "
            raise IntsimError(f"{where}{error}; {self.source.norm_advice}") from None

    def softmax(self, real: RealNode) -> None:
        params: dict[str, Any] = softmax_parameters(
            self.scales[real.inputs[0]], self.shapes[real.inputs[0]][-1], self.dialect
        )
        params["b"] = min(params["b"], real.params["bits"])
        op = "shiftmax"
        if "regions" in real.params:
            op, params["regions"] = "masked_shiftmax", real.params["regions"]
        node = Node(real.name, op, self.sources(real), params)
        self.emit(real, node, 2.0 ** -(params["b"] - 1))

    def gelu(self, real: RealNode) -> None:
        scale = self.scales[real.inputs[0]]
        params, gain = self.source.gelu(real, scale, self.dialect)
        node = Node(real.name, str(self.dialect.gelu), self.sources(real), params)
        self.requantize(real, node, scale * 2.0 ** -(params["b"] - 1) * gain)

    def add(self, real: RealNode) -> None:
        out = self.source.scale(real)
        self.summed(real, [self.scales[name] / self.source.aim(real) for name in real.inputs], self.source.bits(real), out)

    def average(self, real: RealNode) -> None:
        """The mean of two classifiers' logits, at one scale: the finest at which no class can saturate."""
        halves = [np.asarray(self.scales[name]) / 2 for name in real.inputs]
        largest = np.sum([half * self.reach[name] for half, name in zip(halves, real.inputs, strict=True)], axis=0).max()
        coarsest = max(float(half.max()) for half in halves)
        out = max(float(largest) / (I32.hi - 2), coarsest / STEEPEST)
        self.summed(real, [half / out for half in halves], WIDEST, out)

    def summed(self, real: RealNode, factors: list[Any], bits: int, out: float) -> None:
        """Append the sum of two branches, each multiplied by its factor."""
        params: dict[str, Any] = {"b": bits}
        for arm, factor in zip("ac", factors, strict=True):
            params[f"m{arm}"], params[f"e{arm}"] = _multipliers(np.asarray(factor))
        node = Node(real.name, "residual_add", self.sources(real), params, out)
        self.emit(real, node, out)

    def mean(self, real: RealNode) -> None:
        self.requantize(real, Node(real.name, "mean", self.sources(real)), self.scales[real.inputs[0]])

    def requant(self, real: RealNode) -> None:
        """The same tensor at another scale."""
        self.emit(real, *self.requantized(real, real.name, self.sources(real)[0], self.scales[real.inputs[0]]))

    def move(self, real: RealNode) -> None:
        """Data movement, identical for reals and integers."""
        node = Node(real.name, real.op, self.sources(real), dict(real.params))
        self.emit(real, node, self.scales[real.inputs[0]])


LOWERING_RULES: dict[str, Callable[[_Lowering, RealNode], None]] = {
    "input": _Lowering.image,
    "constant": _Lowering.constant,
    "normalize": _Lowering.normalize,
    "linear": _Lowering.linear,
    "matmul": _Lowering.matmul,
    "layernorm": _Lowering.layernorm,
    "softmax": _Lowering.softmax,
    "masked_softmax": _Lowering.softmax,
    "gelu": _Lowering.gelu,
    "add": _Lowering.add,
    "average": _Lowering.average,
    "mean": _Lowering.mean,
    "requantize": _Lowering.requant,
}


def _multipliers(factor: AnyArray) -> tuple[int | AnyArray, int | AnyArray]:
    """Dyadic multipliers of a scale ratio: plain integers for a scalar, narrow arrays for one ratio per channel."""
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
