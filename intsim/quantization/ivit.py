"""I-ViT's quantization-aware checkpoints: their integers and scales, used unchanged.

A state dict of the published networks contains, in addition to training data, ``*.weight_integer`` and ``*.bias_integer``,
the scales of weights (``*.fc_scaling_factor``, ``*.conv_scaling_factor``, ``*.norm_scaling_factor``) and those of
activations (``*.act_scaling_factor``). Nothing is calibrated or rounded again. Multipliers are computed from the
scales in float64, with the target scale first rounded to float32, as in the published code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from .._version import NUMERICS
from ..arith import AnyArray, Gelu, Overflow, Scale
from ..dialects import Dialect, gelu_parameters
from ..engine.graph import Graph
from ..errors import BoundError, FileError, IntsimError
from ..nets import blocks, swin
from ..nets.dimensions import SegmenterConfig
from ..nets.networks import dimensions_of, network_of
from ..nets.real import CLASS_LOGITS, RealGraph, RealNode
from ..nets.swin import SwinConfig
from ..ops.shiftgelu import UNCLAMPED
from .calibrate import Statistics
from .checkpoint import Checkpoint
from .containers import CheckpointTensor
from .ivit_names import module_of, modules
from .ivit_state import INTEGERS, State
from .lower import OWN_SCALE, Affine, IntegerGelu, LinearLayer, lower
from .recipe import PUBLISHED, WIDEST

LOG2_E, MASKED = 1.4375, 100  # of the published exponential; what is subtracted from masked logits
PUBLISHED_GELU_BITS = 8
CONVOLUTION = "patch_embed.proj"
TOKENS = ("cls_token", "dist_token", "cls_emb")  # rounded at the scale of the tensor that they are joined to
MASK_PRODUCT = "decoder.masks"


def is_quantized(tensors: Mapping[str, CheckpointTensor]) -> bool:
    """Whether these are the tensors of a quantization-aware checkpoint."""
    return any(name.endswith(INTEGERS) for name in tensors)


def import_checkpoint(checkpoint: Checkpoint, config: dict[str, Any], dialect: Dialect) -> Graph:
    """The integer network of a quantization-aware checkpoint: in dialect ``ivit`` bit-exact with the published modules,
    where those are exact in float64.

    Raises FileError naming a tensor that is missing, has the wrong shape or is outside its format, BoundError naming a node
    that could overflow.
    """
    state = State(checkpoint.path, checkpoint.tensors, network_of(config).structure)
    if not is_quantized(checkpoint.tensors):
        raise FileError(
            f"{checkpoint.path}: a float checkpoint, without *.weight_integer; quantize it with calibration pictures"
        )
    weights = state.weights(config)
    state.check_windows(config)
    dimensions = dimensions_of(config)
    if isinstance(dimensions, SegmenterConfig) and dimensions.l2_norm:
        raise FileError(f"{checkpoint.path}: quantized modules have no L2 norm; l2_norm has to be false")
    net = network_of(config).build(dimensions, weights)
    provenance = {"intsim": NUMERICS, "checkpoint_sha256": checkpoint.sha256, "integers": "as they stand"}
    try:
        return lower(net, StoredIntegers(state, config, dialect), dialect, config, provenance)
    except FileError:
        raise
    except BoundError as error:
        hint = "" if dialect.overflow is Overflow.EXACT else "; dialect ivit computes it in 64 bits"
        raise BoundError(f"{checkpoint.path}: {error}{hint}") from None
    except IntsimError as error:
        raise type(error)(f"{checkpoint.path}: {error}") from None


def input_scale(checkpoint: Checkpoint, config: Mapping[str, Any]) -> float:
    """The scale at which normalised pixels are quantized."""
    first = next(iter(modules(config)))
    return State(checkpoint.path, checkpoint.tensors, "").scale(f"{first}.act_scaling_factor")


def coarse_masks(graph: Graph) -> tuple[str, ...]:
    """A remark for every shifted window whose logits are so coarse that the published mask of -100 may come back above the
    floor of the exponential, which `masked_shiftmax` never lets happen.
    """
    remarks = []
    for node in graph.nodes:
        scale = graph.scales[node.inputs[0]] if node.op == "masked_shiftmax" else None
        if scale is not None:
            low, high = graph.tensors[node.inputs[0]].fmt.lo, graph.tensors[node.inputs[0]].fmt.hi
            floor = -int(node.params["n"]) * int(node.params["x0"])
            if LOG2_E * (high - low - MASKED / float(scale)) > floor:
                remarks.append(
                    f"{node.name}: one step of its logits is {float(scale):.3g}; in the published network, tokens that are "
                    "masked may contribute, here they do not"
                )
    return tuple(remarks)


class StoredIntegers:
    """The `ParameterSource` of a quantization-aware checkpoint."""

    norm_advice = ""
    vanishing = True

    def __init__(self, state: State, config: Mapping[str, Any], dialect: Dialect) -> None:
        self.state, self.dialect = state, dialect
        self.modules = modules(config)
        self.by_node = {node: module for module, node in self.modules.items()}
        dimensions = dimensions_of(config)
        self.softmax_bits = swin.SWIN_SOFTMAX_BITS if isinstance(dimensions, SwinConfig) else blocks.SOFTMAX_BITS

    def bits(self, node: RealNode) -> int:
        return WIDEST if node.kind == CLASS_LOGITS else PUBLISHED.widths[node.kind]

    def scale(self, node: RealNode) -> float:
        module = module_of(f"{node.name}.requant", self.by_node) or module_of(node.name, self.by_node)
        if module is None:
            raise FileError(f"{self.state.path}: {node.name}: I-ViT's networks have no scale for it")
        return self.state.scale(f"{module}.act_scaling_factor")

    def aim(self, node: RealNode) -> float:
        return float(np.float32(self.scale(node)))

    def product(self, node: RealNode, scale: Scale) -> Scale:
        """The stored scale; computed where the dialect has other widths than the checkpoint assumes."""
        if node.name.endswith(".attn.logits"):
            return self._stored(node) * float(node.params["gain"])
        if node.name == MASK_PRODUCT:
            return self._stored(node)
        if node.name.endswith(".attn.context"):
            self._check_softmax(node.inputs[0])
            return self._stored(node) if self.softmax_bits <= self.dialect.softmax_bits else scale
        if node.op == "gelu" and self.dialect.gelu_bits == PUBLISHED_GELU_BITS:
            return self._stored(node)
        return scale

    def _stored(self, node: RealNode) -> float:
        return self.state.scale(f"{self.by_node[node.name]}.act_scaling_factor")

    def _check_softmax(self, softmax: str) -> None:
        """Refuse probabilities whose width is not the published network's."""
        name, expected = f"{self.by_node[softmax]}.act_scaling_factor", 2.0 ** -(self.softmax_bits - 1)
        if self.state.scale(name) != expected:
            raise FileError(
                f"{self.state.path}: {name} is {self.state.scale(name):g}, expected {expected:g} for "
                f"{self.softmax_bits} bits"
            )

    def constant(self, node: RealNode, low: int, high: int) -> AnyArray:
        value = np.rint(np.asarray(node.params["value"], np.float64) / self.scale(node))
        if node.name.rpartition(".")[2] in TOKENS and not ((value >= low) & (value <= high)).all():
            worst = float(value.ravel()[np.argmax(np.abs(value))])
            raise FileError(
                f"{self.state.path}: {node.name} reaches {worst:.0f} at the scale of what it stands beside, outside "
                f"[{low}, {high}]"
            )
        return np.clip(value, low, high)

    def linear(self, node: RealNode, x_scale: float) -> LinearLayer:
        weight, bias = (np.asarray(node.params[key]) for key in ("weight", "bias"))
        key = "conv_scaling_factor" if node.name.endswith(CONVOLUTION) else "fc_scaling_factor"
        return LinearLayer(weight, bias.astype(np.int32), self.state.scales(f"{node.name}.{key}", len(weight)))

    def layernorm(self, node: RealNode) -> Affine:
        bias = np.asarray(node.params["beta"])
        return Affine(bias, self.state.scales(f"{node.name}.norm_scaling_factor", len(bias)))

    def gelu(self, node: RealNode, scale: float, dialect: Dialect) -> IntegerGelu:
        clamp = {"lam": UNCLAMPED} if dialect.gelu is Gelu.LAMBDA_SHIFTGELU else {}
        return IntegerGelu({**gelu_parameters(scale, dialect), **clamp})


def dequantized(
    checkpoint: Checkpoint, config: dict[str, Any], dialect: Dialect
) -> tuple[RealGraph, Statistics, dict[str, AnyArray]]:
    """The real-valued network that the integers of a quantization-aware checkpoint stand for, its scales, and those of its
    weights by node, from which the same integers are lowered again: where training goes on.

    Raises as `import_checkpoint`.
    """
    graph = import_checkpoint(checkpoint, config, dialect)
    state = State(checkpoint.path, checkpoint.tensors, network_of(config).structure)
    net = network_of(config).build(dimensions_of(config), state.weights(config))
    source = StoredIntegers(state, config, dialect)
    statistics, weights = Statistics(PUBLISHED), dict[str, AnyArray]()
    nodes = []
    for node in net.nodes:
        integer = graph.by_name[node.name]
        if node.op in (*OWN_SCALE, "normalize") and node.kind != CLASS_LOGITS:
            statistics.scales[node.name] = source.scale(node)
        if node.op == "gelu":
            statistics.gelus[node.name] = source.gelu(node, float(np.asarray(graph.scales[integer.inputs[0]])), dialect)
        real = dict(node.params)
        if node.op == "linear":
            scale = weights[node.name] = np.asarray(integer.scales["weight"], np.float64)
            real["weight"] = node.params["weight"] * scale[:, None]
            real["bias"] = node.params["bias"] * np.asarray(integer.scales["bias"], np.float64)
        elif node.op == "layernorm":
            scale = np.asarray(integer.scales["bias"], np.float64)
            real["gamma"] = scale * (2**30 / math.sqrt(len(scale)))
            real["beta"] = (node.params["beta"] + 0.5) * scale  # the middle of what is floored to it
        nodes.append(replace(node, params=real))
    return RealGraph(nodes), statistics, weights
