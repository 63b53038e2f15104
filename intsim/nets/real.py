"""The real-valued graph: what a network in `nets/` builds, what calibration runs in float64, what lowering reads.

Its operators are the functions the integer ones approximate (`Op.real`, named by `Op.approximates`): linear, layernorm,
softmax, gelu, add, matmul, normalize, and the data movements, which are the same in both worlds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..ops import REGISTRY

REAL: dict[str, Callable] = {op.approximates: op.real for op in REGISTRY.values() if op.approximates and op.real}


@dataclass(frozen=True)
class RealNode:
    """One real-valued operation. `bits` is the width its output gets in integers, where lowering has to choose one."""

    name: str
    op: str
    inputs: tuple[str, ...]
    params: Mapping[str, Any] = field(default_factory=dict)
    bits: int = 8


class RealGraph:
    """Real-valued nodes in execution order; each method appends one and returns its name."""

    def __init__(self) -> None:
        self.nodes: list[RealNode] = []

    def node(self, name: str, op: str, *inputs: str, bits: int = 8, **params: Any) -> str:
        """Append an operation of any kind."""
        self.nodes.append(RealNode(name, op, inputs, params, bits))
        return name

    def image(self, name: str, height: int, width: int) -> str:
        """The picture, u8 [height, width, 3]."""
        return self.node(name, "input", height=height, width=width)

    def constant(self, name: str, value: NDArray, bits: int = 16) -> str:
        """A tensor of the model."""
        return self.node(name, "constant", value=value, bits=bits)

    def linear(self, name: str, x: str, weight: NDArray, bias: NDArray | None, bits: int = 8) -> str:
        """``x @ weight.T + bias``, weight [out, in]."""
        bias = np.zeros(len(weight)) if bias is None else bias
        return self.node(name, "linear", x, weight=weight, bias=bias, bits=bits)

    def matmul(self, name: str, a: str, b: str, transpose_b: int = 0, gain: float = 1.0, bits: int = 8) -> str:
        """``gain * a @ b``; the gain goes into the requantization."""
        return self.node(name, "matmul", a, b, transpose_b=transpose_b, gain=gain, bits=bits)

    def layernorm(self, name: str, x: str, gamma: NDArray, beta: NDArray, bits: int = 8) -> str:
        """Layer normalisation over the last axis."""
        return self.node(name, "layernorm", x, gamma=gamma, beta=beta, bits=bits)

    def add(self, name: str, a: str, c: str) -> str:
        """A residual sum, 16 bits wide."""
        return self.node(name, "add", a, c, bits=16)

    def run(self, image: NDArray, observe: Callable[[RealNode, list[NDArray], NDArray], None] | None = None) -> NDArray:
        """Run in float64; `observe(node, inputs, value)` sees every operation. Returns the last node's output."""
        last_use = {name: node.name for node in self.nodes for name in (node.name, *node.inputs)}
        values: dict[str, NDArray] = {}
        for node in self.nodes:
            inputs = [values[name] for name in node.inputs]
            value = image if node.op == "input" else evaluate(node, inputs)
            if observe is not None:
                observe(node, inputs, value)
            values[node.name] = value
            for name in [name for name in values if last_use[name] == node.name and name != self.nodes[-1].name]:
                del values[name]
        return values[self.nodes[-1].name]


def evaluate(node: RealNode, inputs: list[NDArray]) -> NDArray:
    """One operation in float64."""
    if node.op == "constant":
        return np.asarray(node.params["value"], np.float64)
    params = dict(node.params)
    gain = params.pop("gain", 1.0)
    value = REAL[node.op](*inputs, **params)
    return value * gain if gain != 1.0 else value
