"""I-ViT's quantization-aware checkpoints: their integers and scales, used unchanged.

A state dict of the published networks contains, in addition to training data, ``*.weight_integer`` and ``*.bias_integer``,
the scales of weights (``*.fc_scaling_factor``, ``*.conv_scaling_factor``, ``*.norm_scaling_factor``) and those of
activations (``*.act_scaling_factor``). Nothing is calibrated or rounded again. Multipliers are computed from the
scales in float64, with the target scale first rounded to float32, as in the published code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .._version import NUMERICS
from ..arith import I8, I32, AnyArray, Format, Gelu, Overflow, Scale
from ..dialects import Dialect, gelu_parameters
from ..engine.graph import Graph
from ..errors import BoundError, FileError, IntsimError
from ..nets import blocks, swin
from ..nets.dimensions import SegmenterConfig
from ..nets.networks import dimensions_of, network_of, parameters_of
from ..nets.real import CLASS_LOGITS, RealGraph, RealNode
from ..nets.swin import SwinConfig, regions
from ..ops import REGISTRY
from ..ops.masked_shiftmax import visible
from ..ops.shiftgelu import UNCLAMPED
from .calibrate import Statistics
from .checkpoint import Checkpoint
from .containers import CheckpointTensor
from .ivit_names import module_of, modules
from .lower import OWN_SCALE, Affine, IntegerGelu, LinearLayer, lower
from .recipe import PUBLISHED, WIDEST

INTEGERS = ".weight_integer"
LOG2_E, MASKED = 1.4375, 100  # of the published exponential; what is subtracted from masked logits
PUBLISHED_GELU_BITS = 8
CONVOLUTION = "patch_embed.proj"
TOKENS = ("cls_token", "dist_token", "cls_emb")  # rounded at the scale of the tensor that they are joined to
MASK_PRODUCT = "decoder.masks"
NORMS = ("norm", "norm1", "norm2", "decoder_norm", "mask_norm")
TRANSPOSED = ("decoder.proj_patch", "decoder.proj_classes")  # parameters [in, out] in the original, linear layers here


def is_quantized(tensors: Mapping[str, CheckpointTensor]) -> bool:
    """Whether these are the tensors of a quantization-aware checkpoint."""
    return any(name.endswith(INTEGERS) for name in tensors)


def import_checkpoint(checkpoint: Checkpoint, config: dict[str, Any], dialect: Dialect) -> Graph:
    """The integer network of a quantization-aware checkpoint: in dialect ``ivit`` bit-exact with the published modules,
    where those are exact in float64.

    Raises FileError naming a tensor that is missing, has the wrong shape or is outside its format, BoundError naming a node
    that could overflow.
    """
    state = _State(checkpoint.path, checkpoint.tensors, network_of(config).structure)
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
    return _State(checkpoint.path, checkpoint.tensors, "").scale(f"{first}.act_scaling_factor")


class _State:
    """The tensors of a checkpoint, each checked when it is read; `structure` names the keys that determine them."""

    def __init__(self, path: Path, tensors: Mapping[str, CheckpointTensor], structure: str) -> None:
        self.path, self.tensors, self.structure = path, tensors, structure

    def read(self, name: str) -> AnyArray:
        """A tensor's values."""
        tensor = self.tensors.get(name)
        if tensor is None:
            layer = name.rpartition(".")[0]
            known = any(other.startswith(f"{layer}.") for other in self.tensors)
            check = (
                "" if known or not layer or not self.structure else f"; check {self.structure} against the trained network"
            )
            raise FileError(f"{self.path}: {name} is missing; the configuration requires it{check}")
        value = tensor.read()
        if value.dtype.kind not in "fiu" or not np.isfinite(value).all():
            raise FileError(f"{self.path}: {name} holds values that are not finite real numbers")
        return value

    def shaped(self, name: str, shape: tuple[int, ...]) -> AnyArray:
        """The values of a tensor that must have a shape."""
        value = self.read(name)
        if value.shape != shape:
            raise FileError(f"{self.path}: {name} is {list(value.shape)}, the configuration requires {list(shape)}")
        return value

    def integers(self, name: str, shape: tuple[int, ...], fmt: Format) -> AnyArray:
        """The values of a tensor that must be integers within a format, whatever their stored type."""
        value = self.shaped(name, shape)
        wrong = (value != np.rint(value)) | (value < fmt.lo) | (value > fmt.hi)
        if wrong.any():
            place = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise FileError(
                f"{self.path}: {name}{list(place)} = {value[place]:.10g} is not an integer of {fmt} [{fmt.lo}, {fmt.hi}]"
            )
        return value.astype(fmt.dtype)

    def scale(self, name: str) -> float:
        """The scale of an activation."""
        value = self.read(name)
        if value.size != 1 or not value.item() > 0:
            raise FileError(
                f"{self.path}: {name} is {value.ravel()[:3].tolist()}; expected one scale above 0: was this layer "
                "calibrated?"
            )
        return float(value.item())

    def scales(self, name: str, channels: int) -> AnyArray:
        """The scales of a layer, one per channel; those of a layer norm are negative where its gamma is."""
        value = self.read(name).astype(np.float64).ravel()
        if len(value) != channels:
            raise FileError(f"{self.path}: {name} has {len(value)} values, expected {channels}, one per channel")
        wrong = value == 0 if name.endswith("norm_scaling_factor") else value <= 0
        if wrong.any():
            channel = int(np.argmax(wrong))
            raise FileError(f"{self.path}: {name} of channel {channel} is {value[channel]:g}, which is not a scale")
        return value

    def weights(self, config: Mapping[str, Any]) -> dict[str, AnyArray]:
        """The parameters of the network by the names of float tensors: integers where stored, reals elsewhere."""
        expected, found = parameters_of(config), {}
        for name, shape in expected.items():
            layer, _, part = name.rpartition(".")
            if part in ("weight", "bias") and _is_norm(layer):
                found[name] = self.integers(f"{layer}.bias_integer", shape, I32) if part == "bias" else np.zeros(shape)
            elif name in TRANSPOSED:
                found[name] = self.integers(f"{name}{INTEGERS}", shape[::-1], I8).T
            elif part in ("weight", "bias"):
                found[name] = self.integers(f"{name}_integer", shape, I8 if part == "weight" else I32)
            else:
                found[name] = self.shaped(name, shape).astype(np.float64)
        for name in sorted(self.tensors):
            layer = name.removesuffix(INTEGERS)
            if layer != name and f"{layer}.weight" not in expected and layer not in expected:
                raise FileError(
                    f"{self.path}: {name} is not part of the configured network; check {self.structure} against the "
                    "trained network"
                )
        return found

    def check_windows(self, config: Mapping[str, Any]) -> None:
        """Refuse tables of indices and masks for windows other than the configured ones."""
        dimensions = dimensions_of(config)
        for stage in dimensions.stages if isinstance(dimensions, SwinConfig) else ():
            displacements = np.arange((2 * stage.window - 1) ** 2)[:, None]
            index = REGISTRY["relative_positions"].ref(displacements, size=stage.window)[0]
            for j in range(stage.depth):
                block = f"{stage.name}.blocks.{j}"
                self._check_equal(f"{block}.attn.relative_position_index", index, lambda value: value)
                if stage.shift and j % 2:
                    apart = ~visible(regions(stage.grid, stage.window, stage.shift))
                    self._check_equal(f"{block}.attn_mask", apart, lambda value: value != 0)

    def _check_equal(self, name: str, expected: AnyArray, meaning: Callable[[AnyArray], AnyArray]) -> None:
        if name in self.tensors and not np.array_equal(meaning(self.read(name)), expected):
            raise FileError(
                f"{self.path}: {name} does not match the configuration; check img_size and window_size against the trained "
                "network"
            )


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


def _is_norm(layer: str) -> bool:
    return layer.rpartition(".")[2] in NORMS


class StoredIntegers:
    """The `ParameterSource` of a quantization-aware checkpoint."""

    norm_advice = ""
    vanishing = True

    def __init__(self, state: _State, config: Mapping[str, Any], dialect: Dialect) -> None:
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
    state = _State(checkpoint.path, checkpoint.tensors, network_of(config).structure)
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
