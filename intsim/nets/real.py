"""The real-valued graph: built by the networks in `nets/`, run in float64 by calibration, and converted by lowering.

Its operators are the functions that the integer ones approximate (`Op.real`, named by `Op.approximates`): linear, layernorm,
softmax, gelu, add, matmul, normalize, and the data movements, which are identical for reals and integers. Two have no
integer operator of their own: average, of two classifiers' logits, becomes a residual_add; unit, the L2 normalisation of
published Segmenters, has no integer form.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..arith import I8, AnyArray, FloatArray
from ..engine.graph import releases
from ..ops import REGISTRY, TensorBound

# Kinds of tensors, each with its own width; the logits are those of attention.
ACTIVATION, LOGITS, RESIDUAL, MASKS = "activation", "logits", "residual", "masks"
CLASS_LOGITS = "class logits"  # of a classifier; they keep the width of their accumulators
LAYER_NORM_EPS = 1e-5
LOWERING_ONLY = ("gain", "bits")  # parameters that the functions in `REAL` do not take


def unit(x: FloatArray) -> FloatArray:
    """Rows divided by their L2 norm."""
    normalised: FloatArray = x / np.linalg.norm(x, axis=-1, keepdims=True)
    return normalised


REAL: dict[str, Callable[..., Any]] = {op.approximates: op.real for op in REGISTRY.values() if op.approximates and op.real}
REAL["unit"] = unit
REAL["average"] = lambda a, c: (a + c) / 2


@dataclass(frozen=True)
class RealNode:
    """One real-valued operation. `kind` is the kind of its output, which determines the integer width."""

    name: str
    op: str
    inputs: tuple[str, ...]
    params: Mapping[str, Any] = field(default_factory=dict)
    kind: str = ACTIVATION


class RealGraph:
    """Real-valued nodes in execution order; each method appends one and returns its name."""

    def __init__(self, nodes: Iterable[RealNode] = ()) -> None:
        self.nodes = list(nodes)

    @property
    def normalised(self) -> bool:
        """Whether it contains L2 norms, so that it has no integer form."""
        return any(node.op == "unit" for node in self.nodes)

    @property
    def classifies(self) -> bool:
        """Whether its output is the logits of one picture, not labels of pixels."""
        return self.nodes[-1].kind == CLASS_LOGITS

    @property
    def encodes(self) -> bool:
        """Whether its output is features, neither labels nor logits."""
        return not self.classifies and self.nodes[-1].op != "argmax"

    def node(self, name: str, op: str, *inputs: str, kind: str = ACTIVATION, **params: Any) -> str:
        """Append any operation."""
        self.nodes.append(RealNode(name, op, inputs, params, kind))
        return name

    def image(self, name: str, height: int, width: int) -> str:
        """The picture, u8 [height, width, 3]."""
        return self.node(name, "input", height=height, width=width)

    def constant(self, name: str, value: AnyArray, kind: str = RESIDUAL) -> str:
        """A constant tensor of the model."""
        return self.node(name, "constant", value=value, kind=kind)

    def linear(self, name: str, x: str, weight: AnyArray, bias: AnyArray | None, kind: str = ACTIVATION) -> str:
        """``x @ weight.T + bias``, weight [out, in]."""
        bias = np.zeros(len(weight)) if bias is None else bias
        return self.node(name, "linear", x, weight=weight, bias=bias, kind=kind)

    def matmul(
        self, name: str, a: str, b: str, transpose_b: int = 0, gain: float | AnyArray = 1.0, kind: str = ACTIVATION
    ) -> str:
        """``gain * a @ b``; the gain, one or one per column, becomes part of the requantization."""
        return self.node(name, "matmul", a, b, transpose_b=transpose_b, gain=gain, kind=kind)

    def layernorm(
        self, name: str, x: str, gamma: AnyArray, beta: AnyArray, kind: str = ACTIVATION, eps: float = LAYER_NORM_EPS
    ) -> str:
        """Layer normalisation over the last axis."""
        return self.node(name, "layernorm", x, gamma=gamma, beta=beta, eps=eps, kind=kind)

    def softmax(self, name: str, x: str, bits: int) -> str:
        """Softmax over the last axis, in integers of at most `bits` bits."""
        return self.node(name, "softmax", x, bits=bits)

    def add(self, name: str, a: str, c: str, kind: str = RESIDUAL) -> str:
        """The sum of two branches."""
        return self.node(name, "add", a, c, kind=kind)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor."""
        shapes: dict[str, tuple[int, ...]] = {}
        for node in self.nodes:
            shapes[node.name] = _shape(node, [shapes[name] for name in node.inputs])
        return shapes

    def run(self, image: AnyArray, observe: Callable[[RealNode, list[AnyArray], AnyArray], None] | None = None) -> AnyArray:
        """Run in float64; `observe(node, inputs, value)` is called after every operation. Returns the last node's output."""
        released = releases(self.nodes)
        values: dict[str, AnyArray] = {}
        for node in self.nodes:
            inputs = [values[name] for name in node.inputs]
            value = image if node.op == "input" else evaluate_node(node, inputs)
            if observe is not None:
                observe(node, inputs, value)
            values[node.name] = value
            for name in released[node.name]:
                del values[name]
        return values[self.nodes[-1].name]

    def tensors(self, image: AnyArray, names: Collection[str]) -> dict[str, AnyArray]:
        """The values of the named nodes, computed by `run`."""
        seen: dict[str, AnyArray] = {}

        def keep(node: RealNode, inputs: list[AnyArray], value: AnyArray) -> None:
            if node.name in names:
                seen[node.name] = value

        self.run(image, keep)
        return seen


def _shape(node: RealNode, inputs: list[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape of a tensor from those of its inputs."""
    if node.op == "input":
        return (node.params["height"], node.params["width"], 3)
    if node.op == "constant":
        return np.shape(node.params["value"])
    if node.op == "linear":
        return (*inputs[0][:-1], len(node.params["weight"]))
    if node.op == "matmul":
        return (*inputs[0][:-1], inputs[1][-2 if node.params["transpose_b"] else -1])
    if node.op == "mean":
        return (*inputs[0][:-2], inputs[0][-1])
    if node.op == "argmax":
        return inputs[0][:-1]
    if node.op in REGISTRY and REGISTRY[node.op].moves:
        return REGISTRY[node.op].output([TensorBound.full(shape, I8) for shape in inputs], dict(node.params), None).shape
    return inputs[0]


def evaluate_node(node: RealNode, inputs: list[AnyArray]) -> AnyArray:
    """Compute one operation in float64, whatever the stored type of its parameters."""
    params = {k: np.asarray(v, np.float64) if isinstance(v, np.ndarray) else v for k, v in node.params.items()}
    if node.op == "constant":
        value: AnyArray = params["value"]
        return value
    gain, _ = (params.pop(key, 1.0) for key in LOWERING_ONLY)
    value = REAL[node.op](*inputs, **params)
    return value if isinstance(gain, float) and gain == 1.0 else value * gain
