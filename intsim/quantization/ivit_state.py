"""The tensors of a quantization-aware checkpoint of I-ViT, checked as they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..arith import I8, I32, AnyArray, Format
from ..errors import FileError
from ..nets.networks import dimensions_of, parameters_of
from ..nets.swin import SwinConfig, regions
from ..ops import REGISTRY
from ..ops.masked_shiftmax import visible
from .containers import CheckpointTensor

INTEGERS = ".weight_integer"
NORMS = ("norm", "norm1", "norm2", "decoder_norm", "mask_norm")
TRANSPOSED = ("decoder.proj_patch", "decoder.proj_classes")  # parameters [in, out] in the original, linear layers here


class State:
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


def _is_norm(layer: str) -> bool:
    return layer.rpartition(".")[2] in NORMS
