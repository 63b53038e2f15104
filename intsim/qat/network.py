"""`QuantizedNetwork`: a network in training, whose forward is the integer network."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..arith import I32, AnyArray, Gelu, IntArray, signed
from ..arith.jit import HAS_COMPILER
from ..dialects import Dialect
from ..engine.graph import CONSTANT, Graph
from ..engine.interpreter import run
from ..errors import IntsimError
from ..nets.real import CLASS_LOGITS, RealGraph, RealNode
from ..ops.shiftgelu import UNCLAMPED
from ..quantization.calibrate import Statistics
from ..quantization.lower import OWN_SCALE, lower
from ..quantization.rounding import Rounded
from ..quantization.sensitivity import integer_node
from ..storage.model_file import save
from .integers import Integers, Traces
from .reals import RealNetwork
from .source import Learned, Slope, Steps, require_steps
from .straight import quantized, rounded

LEARN, RUNNING, FIXED = "learn", "running", "fixed"
STEPS = (LEARN, RUNNING, FIXED)
MOMENTUM = 0.05  # at which running steps follow the largest magnitude of a batch


class QuantizedNetwork(RealNetwork):
    """A real-valued graph whose forward gives, for every tensor, the integers of the lowered graph times their scale.

    `forward` takes pictures u8 [batch, H, W, 3] and returns what comes before labels (scores [batch, h, w, K], logits
    [batch, K] or features) in float32; `integers` every tensor of the integer graph; `graph` is that graph, made by the
    ordinary lowering from the parameters as they stand. The gradient of every operation is that of the real function, at the
    values of the integers; where a value is clipped it is 0, and the step learns.

    `steps` are ``learn`` (LSQ), ``running`` (activations follow the largest magnitude of the batches, weights their largest
    magnitude) or ``fixed``; those of the nodes in `fixed` stay. With `power_of_two` all but those of layer norms are powers
    of two. On a CPU the integers of `forward` come from intsim's kernels, elsewhere, and with `kernels` false, from torch
    (integers.py): they are the same.

    Raises IntsimError where a parameter leaves its format, StepLost where a step is 0, infinite or no number.
    """

    def __init__(
        self,
        net: RealGraph,
        statistics: Statistics,
        dialect: Dialect,
        config: Mapping[str, Any] | None = None,
        provenance: Mapping[str, Any] | None = None,
        *,
        steps: str = LEARN,
        power_of_two: bool = False,
        kernels: bool = True,
        fixed: Collection[str] = (),
        weight_steps: Mapping[str, AnyArray] | None = None,
    ) -> None:
        super().__init__(net)
        if steps not in STEPS:
            raise IntsimError(f"steps are {', '.join(STEPS)}, not {steps!r}")
        self.statistics, self.dialect, self.steps, self.power_of_two = statistics, dialect, steps, power_of_two
        self.config, self.provenance, self.kernels = dict(config or {}), dict(provenance or {}), kernels
        self.traces, self.fixed = Traces(), frozenset(fixed)
        self._lowered: tuple[Any, Graph] | None = None
        self._owner: dict[str, str] = {}  # of nodes with a step of their own: the node whose parameter it is
        self._slopes: dict[str, Slope] = {}
        self._weighted = [node.name for node in net.nodes if node.op == "linear"]
        self._clamped = [node.name for node in net.nodes if node.op == "gelu" and dialect.gelu is Gelu.LAMBDA_SHIFTGELU]
        self._begin(weight_steps or {})

    # --- parameters -----------------------------------------------------------------------------------------------------

    def _begin(self, weight_steps: Mapping[str, AnyArray]) -> None:
        """Give every node the steps of the calibration, or those of weights that are given."""
        shared = {name: node.inputs[0] for node in self.net.nodes if node.op == "concat" for name in node.inputs}
        source, learns = Rounded(self.statistics), self.steps == LEARN
        scales: dict[str, float] = {}
        for node in self.net.nodes:
            owner = shared.get(node.name, node.name)
            if node.op in OWN_SCALE and node.kind != CLASS_LOGITS:
                self._owner[node.name] = owner
                scales[node.name] = source.scale(node)
                learned = learns and node.name not in self.fixed
                self._parameter(owner, "log2_step", np.log2(scales[node.name]), learned)
            if node.op == "linear" and self.steps != RUNNING:
                given = weight_steps.get(node.name)
                scale = source.linear(_without_bias(node), 1.0).scale if given is None else given
                self._parameter(node.name, "log2_weight_step", np.log2(scale), learns)
            if node.op == "gelu":
                self._slope(node, self._scale_of(node.inputs[0], scales), learns)

    def _slope(self, node: RealNode, scale: float, learns: bool) -> None:
        params, gain = self.statistics.gelus[node.name]
        self._slopes[node.name] = Slope(-1 / (params["x0"] * scale), gain)
        if node.name in self._clamped:
            self._parameter(node.name, "clamp", params.get("lam", UNCLAMPED) * scale, learns)

    def _scale_of(self, name: str, scales: Mapping[str, float]) -> float:
        """The scale of a tensor that may have been moved."""
        by_name = {node.name: node for node in self.net.nodes}
        while name not in scales:
            name = by_name[name].inputs[0]
        return scales[name]

    def _parameter(self, name: str, key: str, value: AnyArray | float, learned: bool) -> None:
        tensor = torch.from_numpy(np.array(value, np.float32))
        self.holder(name).register_parameter(key, nn.Parameter(tensor, requires_grad=learned))

    def _logarithm(self, name: str, key: str = "log2_step") -> Tensor:
        """The logarithm of a step; whole where steps are powers of two."""
        own: Tensor = getattr(self.holder(name), key)
        return rounded(own) if self.power_of_two else own

    def scale_parameters(self) -> list[nn.Parameter]:
        """The parameters that are steps or clamps, which want another learning rate than weights."""
        names = ("log2_step", "log2_weight_step", "clamp")
        return [value for name, value in self.named_parameters() if name.rpartition(".")[2] in names]

    # --- integers -------------------------------------------------------------------------------------------------------

    def graph(self) -> Graph:
        """The integer graph of the parameters as they stand; it shares nothing with them."""
        key = tuple((id(p), p._version, p.device) for p in self.parameters())
        if self._lowered is None or self._lowered[0] != key:
            self._lowered = key, self._lower()
        return self._lowered[1]

    def _lower(self) -> Graph:
        steps = {name: _array(self._logarithm(owner)) for name, owner in self._owner.items()}
        weights = {
            name: _array(self._logarithm(name, "log2_weight_step")) for name in self._weighted if self.steps != RUNNING
        }
        require_steps(steps, lambda name: f"{name}: its step")
        require_steps(weights, lambda name: f"{name}: a step of its weights")
        gelus = {name: self._with_clamp(name) for name in self._slopes}
        learned = Steps(
            {name: 2.0 ** float(value) for name, value in steps.items()},
            {name: 2.0**value for name, value in weights.items()},
            gelus,
        )
        net = RealGraph(
            replace(node, params={**node.params, **{k: _array(v) for k, v in self.learned(node).items()}})
            for node in self.net.nodes
        )
        with np.errstate(all="ignore"):  # what leaves its format is refused by name
            return lower(net, Learned(self.statistics, learned), self.dialect, self.config, self.provenance)

    def _with_clamp(self, name: str) -> Slope:
        if name not in self._clamped:
            return self._slopes[name]
        return replace(self._slopes[name], clamp=float(self.holder(name).clamp.detach()))

    def save(self, path: str | Path) -> Graph:
        """Write the model file of the parameters as they stand, and return its graph."""
        graph = self.graph()
        save(graph, path)
        return graph

    def integers(self, images: Tensor, names: Collection[str] | None = None) -> dict[str, Tensor]:
        """The named tensors of the integer graph (None: all), computed in torch: [batch, ...]; constants without a batch."""
        self.require_pictures(images)
        graph = self.graph()
        return Integers(graph, self.device, self.traces).tensors({graph.input.name: images}, names)

    def _needed(self, graph: Graph, images: Tensor) -> dict[str, Tensor]:
        """The integers that a forward needs: those of every node that is no movement."""
        ends = [
            integer_node(graph, node.name)
            for node in self.net.nodes
            if node.name not in self._moves and node.op not in ("input", "constant", "argmax")
        ]
        if not (self.kernels and HAS_COMPILER and self.device.type == "cpu"):
            return Integers(graph, self.device, self.traces).tensors({graph.input.name: images}, ends)
        seen: dict[str, list[IntArray]] = {name: [] for name in ends}
        for picture in images.cpu().numpy():
            run(graph, picture, lambda name, value: seen[name].append(value), nodes=ends)
        return {name: torch.from_numpy(np.stack(values)) for name, values in seen.items()}

    # --- forward --------------------------------------------------------------------------------------------------------

    def forward(self, images: Tensor) -> Tensor:
        """What comes before labels, in float32: the integers times their scale."""
        self.require_pictures(images)
        graph = self.graph()
        integers = self._needed(graph, images)
        return self.walked(images, lambda node, inputs: self._straight(node, inputs, graph, integers))

    def _straight(self, node: RealNode, inputs: list[Tensor], graph: Graph, integers: Mapping[str, Tensor]) -> Tensor:
        """The value of a node by its integers, with the gradient of its real function."""
        if node.name in self._moves:
            return self.moved(node, inputs)
        end = integer_node(graph, node.name)
        learned = self.learned(node)
        if node.op == "linear":
            learned["weight"] = self._weight(node, learned["weight"], graph)
        clamped = node.name in self._clamped
        real = self._clamped_gelu(node, inputs[0]) if clamped else self.computed(node, inputs, learned)
        q = self._sent(graph.by_name[end].params["value"]) if graph.by_name[end].op == CONSTANT else integers[end]
        step = self._sent(np.asarray(graph.scales[end], np.float32))
        if node.name not in self._owner:
            none = torch.zeros(step.shape, device=self.device)
            return quantized(real, none, step, q, I32.lo, I32.hi)
        fmt = signed(self.statistics.bits(node))
        owner = self._owner[node.name]
        if self.steps == RUNNING and self.training:
            self._follow(owner, real.detach(), fmt.hi)
        return quantized(real, self._logarithm(owner), step, q, fmt.lo, fmt.hi)

    def _weight(self, node: RealNode, real: Tensor, graph: Graph) -> Tensor:
        integer = graph.by_name[node.name]
        step = self._sent(np.asarray(integer.scales["weight"], np.float32))[:, None]
        q, top = self._sent(integer.params["weight"]), self.statistics.weights.hi
        if self.steps == RUNNING:
            return quantized(real, torch.zeros_like(step), step, q, -top, top)
        return quantized(real, self._logarithm(node.name, "log2_weight_step")[:, None], step, q, -top, top)

    def _clamped_gelu(self, node: RealNode, x: Tensor) -> Tensor:
        """``x * sigmoid(slope * clamp(x))``, with a gradient of the clamp."""
        clamp: Tensor = self.holder(node.name).clamp
        held = torch.minimum(torch.maximum(x, -clamp), clamp)
        return x * torch.sigmoid(self._slopes[node.name].slope * held)

    def _follow(self, owner: str, real: Tensor, top: int) -> None:
        """Move a running step towards the largest magnitude of a batch."""
        if owner in self.fixed:
            return
        with torch.no_grad():
            largest = real.abs().amax().clamp(min=1e-30)
            self.holder(owner).log2_step.lerp_(torch.log2(largest / top), MOMENTUM)

    def _sent(self, value: AnyArray | int) -> Tensor:
        return torch.from_numpy(np.array(value)).to(self.device)


def _array(value: Tensor) -> AnyArray:
    return np.asarray(value.detach().cpu().numpy(), np.float64)


def _without_bias(node: RealNode) -> RealNode:
    return replace(node, params={**node.params, "bias": np.zeros(len(node.params["weight"]))})


def with_corrected_biases(net: RealGraph, plain: Graph, corrected: Graph) -> RealGraph:
    """`net` with what bias correction added to integer biases added to its own."""
    changed: Sequence[RealNode] = [
        replace(node, params={**node.params, "bias": node.params["bias"] + _shift(node.name, plain, corrected)})
        if node.op == "linear"
        else node
        for node in net.nodes
    ]
    return RealGraph(changed)


def _shift(name: str, plain: Graph, corrected: Graph) -> AnyArray:
    before, after = (np.asarray(g.by_name[name].params["bias"], np.float64) for g in (plain, corrected))
    return np.asarray((after - before) * np.asarray(plain.by_name[name].scales["bias"]))
