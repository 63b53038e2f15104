"""Learned steps as integers: the `ParameterSource` from which the ordinary lowering makes the graph of a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ..arith import AnyArray, Gelu
from ..dialects import Dialect, gelu_of_x0
from ..errors import IntsimError
from ..nets.real import RealNode
from ..ops.shiftgelu import UNCLAMPED
from ..quantization.calibrate import Statistics
from ..quantization.lower import IntegerGelu, LinearLayer
from ..quantization.rounding import Rounded, fit

SPAN = 60.0  # steps are between 2**-SPAN and 2**SPAN


class StepLost(IntsimError):
    """A step has trained to 0, to infinity, or to no number."""


@dataclass(frozen=True)
class Slope:
    """A GELU in training: the slope of its sigmoid, the gain of its result, and the clamp in real numbers, if it has one."""

    slope: float
    gain: float
    clamp: float | None = None


@dataclass(frozen=True)
class Steps:
    """What is learned besides weights, by node: the step of its result, those of its weights per channel, and its GELU."""

    results: Mapping[str, float] = field(default_factory=dict)
    weights: Mapping[str, AnyArray] = field(default_factory=dict)
    gelus: Mapping[str, Slope] = field(default_factory=dict)


class Learned(Rounded):
    """Parameters rounded at steps that are learned; where a node has none, at those of the calibration."""

    def __init__(self, statistics: Statistics, steps: Steps) -> None:
        super().__init__(statistics)
        self.steps = steps

    def scale(self, node: RealNode) -> float:
        if node.name in self.steps.results:
            return self.steps.results[node.name]
        stored = self.statistics.scales.get(node.name)  # of pixels, in a checkpoint that has its own
        return super().scale(node) if stored is None else stored

    def linear(self, node: RealNode, x_scale: float) -> LinearLayer:
        if node.name not in self.steps.weights:
            return super().linear(node, x_scale)
        scale, top = self.steps.weights[node.name], self.statistics.weights.hi
        weight, bias = (np.asarray(node.params[key], np.float64) for key in ("weight", "bias"))
        integers = np.clip(np.rint(weight / scale[:, None]), -top, top).astype(np.int8)
        return LinearLayer(integers, fit(np.rint(bias / (x_scale * scale)), f"{node.name}: bias"), scale)

    def gelu(self, node: RealNode, scale: float, dialect: Dialect) -> IntegerGelu:
        own = self.steps.gelus[node.name]
        x0 = min(int(np.rint(-1 / (own.slope * scale))), -1)
        clamp = {}
        if dialect.gelu is Gelu.LAMBDA_SHIFTGELU:
            real = np.inf if own.clamp is None else own.clamp
            clamp = {"lam": int(np.clip(np.rint(real / scale), 1, UNCLAMPED))}
        return IntegerGelu({**gelu_of_x0(x0, dialect), **clamp}, own.gain)


def require_steps(logarithms: Mapping[str, AnyArray], what: Callable[[str], str] = lambda name: name) -> None:
    """Raise StepLost naming the first node of which a step (its base-2 logarithm) is out of range."""
    for name, value in logarithms.items():
        wrong = ~(np.abs(value) <= SPAN)  # true for NaN, too
        if wrong.any():
            worst = float(np.ravel(value)[np.argmax(np.ravel(wrong))])
            became = "no number" if np.isnan(worst) else "0" if worst < 0 else "infinity"
            raise StepLost(f"{what(name)} has trained to {became}; resume from the last checkpoint at a lower learning rate")
