"""Real-valued graphs in torch: one rule for every operator that is no movement, with torch's own derivative.

`RealNetwork` is the network itself in float, a teacher for instance. `quantized` networks (network.py) are the same walk, in
which every value is replaced by that of the integers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..arith import I64, TensorBound
from ..engine.graph import releases
from ..errors import IntsimError
from ..nets.real import LOWERING_ONLY, RealGraph, RealNode
from ..ops import REGISTRY
from ..ops.masked_shiftmax import visible
from ..symbols.trace import Traced, traced
from .expressions import evaluate

LEARNED = {"linear": ("weight", "bias"), "layernorm": ("gamma", "beta"), "constant": ("value",)}


def _normalize(image: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    return (image.to(torch.float32) / 255 - mean) / std


def _matmul(a: Tensor, b: Tensor, transpose_b: int = 0) -> Tensor:
    return a @ (b.transpose(-1, -2) if transpose_b else b)


def _add(a: Tensor, c: Tensor) -> Tensor:
    while c.ndim < a.ndim:  # a branch with fewer axes is repeated, picture by picture
        c = c.unsqueeze(1)
    return a + c


def _layernorm(x: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> Tensor:
    return functional.layer_norm(x, gamma.shape, gamma, beta, eps)


def _masked_softmax(x: Tensor, regions: Tensor) -> Tensor:
    seen = torch.from_numpy(visible(regions.cpu().numpy())).to(x.device)[:, None]
    return torch.where(seen, x, -torch.inf).softmax(dim=-1)


# The functions in `intsim.nets.real.REAL`, for torch; movements are made from the equations of their operators.
RULES: dict[str, Callable[..., Tensor]] = {
    "normalize": _normalize,
    "linear": functional.linear,
    "matmul": _matmul,
    "layernorm": _layernorm,
    "softmax": lambda x: x.softmax(dim=-1),
    "masked_softmax": _masked_softmax,
    "gelu": functional.gelu,
    "add": _add,
    "average": lambda a, c: (a + c) / 2,
    "mean": lambda x: x.mean(dim=-2),
    "requantize": lambda x: x,
    "unit": lambda x: functional.normalize(x, dim=-1),
}


class Holder(nn.Module):
    """The parameters of one node; a network has them under the names of its nodes."""


class RealNetwork(nn.Module):
    """A real-valued graph as a module: pictures u8 [batch, H, W, 3] to what comes before labels, or logits, or features.

    Its parameters have the names of the nodes, as in ``nodes.encoder.blocks.0.attn.qkv.weight``. Raises IntsimError for an
    operator without a rule in torch.
    """

    def __init__(self, net: RealGraph) -> None:
        super().__init__()
        self.net, self.nodes = net, Holder()
        self.result = before_labels(net)
        self._moves: dict[str, Traced] = {}
        shapes = net.shapes()
        for node in net.nodes:
            if node.op in REGISTRY and REGISTRY[node.op].moves:
                bounds = [TensorBound.full(shapes[name], I64) for name in node.inputs]
                self._moves[node.name] = traced(REGISTRY[node.op], bounds, dict(node.params), None)
            elif node.op not in RULES and node.op not in ("input", "constant", "argmax"):
                raise IntsimError(f"{node.name}: {node.op} has no derivative here; give it a rule in intsim.qat.RULES")
            for key in LEARNED.get(node.op, ()):
                value = torch.from_numpy(np.array(node.params[key], np.float32))
                self.holder(node.name).register_parameter(key, nn.Parameter(value))

    def holder(self, name: str) -> Holder:
        """The module that holds the parameters of a node."""
        module = self.nodes
        for part in name.split("."):
            if part not in module._modules:
                module.add_module(part, Holder())
            module = module._modules[part]
        return module

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.parameters()).device

    def forward(self, images: Tensor) -> Tensor:
        """The value of the last node before labels, [batch, ...]."""
        return self.walked(images, self.value)

    def walked(self, images: Tensor, visit: Callable[[RealNode, list[Tensor]], Tensor]) -> Tensor:
        """Visit every node up to the result with the values of its inputs."""
        self.require_pictures(images)
        end = next(i for i, node in enumerate(self.net.nodes) if node.name == self.result)
        nodes = self.net.nodes[: end + 1]
        released, values = releases(nodes), dict[str, Tensor]()
        for node in nodes:
            inputs = [values[name] for name in node.inputs]
            value = images.to(self.device) if node.op == "input" else visit(node, inputs)
            values[node.name] = value.expand(len(images), *value.shape) if node.op == "constant" else value
            for name in released[node.name]:
                del values[name]
        return values[self.result]

    def require_pictures(self, images: Tensor) -> None:
        """IntsimError for a batch that the network does not take."""
        picture = next(node for node in self.net.nodes if node.op == "input")
        expected = (picture.params["height"], picture.params["width"], 3)
        if images.dtype is not torch.uint8 or images.ndim != 4 or tuple(images.shape[1:]) != expected or not len(images):
            raise IntsimError(
                f"{picture.name}: expected a batch of pictures uint8 [batch, {', '.join(map(str, expected))}], not "
                f"{str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
            )

    def value(self, node: RealNode, inputs: list[Tensor]) -> Tensor:
        """The real value of a node from those of its inputs."""
        return self.computed(node, inputs, self.learned(node))

    def learned(self, node: RealNode) -> dict[str, Tensor]:
        """The parameters of a node that are learned."""
        return {key: getattr(self.holder(node.name), key) for key in LEARNED.get(node.op, ())}

    def computed(self, node: RealNode, inputs: list[Tensor], learned: Mapping[str, Tensor]) -> Tensor:
        """The real value of a node from those of its inputs and of its parameters."""
        if node.op == "constant":
            return learned["value"]
        if node.name in self._moves:
            return self.moved(node, inputs)
        fixed = {k: self._fixed(v) for k, v in node.params.items() if k not in LOWERING_ONLY and k not in learned}
        value = RULES[node.op](*inputs, **learned, **fixed)
        gain = node.params.get("gain", 1.0)
        return value if isinstance(gain, float) and gain == 1.0 else value * self._fixed(gain)

    def moved(self, node: RealNode, inputs: list[Tensor]) -> Tensor:
        """A movement of tensors, of reals or of integers."""
        found = self._moves[node.name]

        def move(*tensors: Tensor) -> Tensor:
            return evaluate([found.out], dict(zip(found.inputs, tensors, strict=True)), self.device)[0]

        return torch.func.vmap(move)(*inputs)

    def _fixed(self, value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        kind = np.float32 if value.dtype.kind == "f" else value.dtype
        return torch.from_numpy(np.array(value, kind)).to(self.device)


def before_labels(net: RealGraph) -> str:
    """The last node of a graph that has a gradient: what comes before labels, and before they are enlarged."""
    by_name = {node.name: node for node in net.nodes}
    node = net.nodes[-1]
    if node.op != "argmax":
        return node.name
    node = result = by_name[node.inputs[0]]
    while node.op in ("slice", "upsample_nearest"):
        source = by_name[node.inputs[0]]
        result = source if node.op == "upsample_nearest" else result
        node = source
    return result.name
