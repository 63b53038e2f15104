"""Real parameters rounded to integers, at the scales of a calibration.

Weights: symmetric, one scale per output channel, max|w| / 127 (the largest value of their width); the scale of a dead
channel has a lower bound (`DEAD`). Activations: one scale per tensor.
"""

from __future__ import annotations

import math

import numpy as np

from ..arith import I8, I32, AnyArray, Scale
from ..dialects import Dialect
from ..errors import IntsimError
from ..nets.real import REAL, RealNode
from .calibrate import NOTHING, Statistics
from .lower import Affine, IntegerGelu, LinearLayer
from .observers import channel_ranges
from .recipe import WEIGHT, Observer

# Lower bound of a channel's max|w|, relative to the layer's median, at which its bias and multiplier still fit.
DEAD = 2.0**-12


class Rounded:
    """The `ParameterSource` of a calibrated network."""

    norm_advice = "fold the norm into the next linear layer, where one follows"
    vanishing = False

    def __init__(self, statistics: Statistics) -> None:
        self.statistics = statistics

    def bits(self, node: RealNode) -> int:
        return self.statistics.bits(node)

    def scale(self, node: RealNode) -> float:
        if node.op == "normalize":  # covers every pixel value without clipping
            return float(np.abs(REAL["normalize"](np.arange(256)[:, None], **node.params)).max()) / I8.hi
        return self.statistics.scale(node)

    def aim(self, node: RealNode) -> float:
        return self.scale(node)

    def product(self, node: RealNode, scale: Scale) -> Scale:
        return scale

    def constant(self, node: RealNode, low: int, high: int) -> AnyArray:
        value = np.asarray(node.params["value"], np.float64)
        return np.clip(np.rint(value / self.scale(node)), low, high)

    def linear(self, node: RealNode, x_scale: float) -> LinearLayer:
        weight, bias = (np.asarray(node.params[key], np.float64) for key in ("weight", "bias"))
        observer, top = self.statistics.recipe.observers.get(WEIGHT, Observer()), self.statistics.weights.hi
        largest = channel_ranges(weight, observer, top)
        largest = np.maximum(largest, DEAD * np.median(largest))
        scale = np.where(largest > NOTHING, largest, 1.0) / top
        integers = np.clip(np.rint(weight / scale[:, None]), -top, top).astype(np.int8)
        return LinearLayer(integers, fit(np.rint(bias / (x_scale * scale)), f"{node.name}: bias"), scale)

    def layernorm(self, node: RealNode) -> Affine:
        gamma, beta = (np.asarray(node.params[key], np.float64) for key in ("gamma", "beta"))
        if (gamma == 0).any():
            channel = int(np.argmax(gamma == 0))
            raise IntsimError(f"{node.name}: gamma of channel {channel} is 0; an integer layer norm cannot scale by it")
        unit = math.sqrt(len(gamma)) / 2**30
        scale = float(gamma[0]) * unit if (gamma == gamma[0]).all() else gamma * unit
        return Affine(fit(np.floor(beta / gamma / unit), f"{node.name}: beta / gamma"), scale)

    def gelu(self, node: RealNode, scale: float, dialect: Dialect) -> IntegerGelu:
        return self.statistics.gelus[node.name]


def fit(values: AnyArray, what: str) -> AnyArray:
    """Rounded reals as i32; IntsimError naming the first channel that does not fit."""
    outside = ~(np.abs(values) <= I32.hi)  # true for NaN, too
    if outside.any():
        channel = int(np.argmax(outside))
        raise IntsimError(
            f"{what} of channel {channel} is {values[channel]:.0f} in integers, outside i32; its scale is too small"
        )
    return values.astype(np.int32)
