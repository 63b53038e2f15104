"""Quantization recipes: all choices between a float checkpoint and an integer model, as data.

The default recipe is the published one: symmetric min-max ranges from calibration, 8-bit weights and activations, 16 bits on
the residual stream and for the masks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any

from ..errors import IntsimError
from ..nets.real import ACTIVATION, MASKS, RESIDUAL
from ..ops.shiftgelu import UNCLAMPED

MIN_MAX, MSE, PERCENTILE = "minmax", "mse", "percentile"
DEFAULT_PERCENTILE = 99.99
OBSERVERS = f"{MIN_MAX}, {MSE}, or {PERCENTILE}:P with P from 50 to 100, as in {PERCENTILE}:{DEFAULT_PERCENTILE}"

WEIGHT = "weight"
# The default widths, which are also the largest that the operators accept.
WIDTHS: Mapping[str, int] = {WEIGHT: 8, ACTIVATION: 8, RESIDUAL: 16, MASKS: 16}
NARROW = 8  # bits: the general observer applies up to this width; wider tensors have room for their extremes

SEARCH, OFF = "search", "off"
CALIBRATED, NONE = "calibrated", "none"


@dataclass(frozen=True)
class Observer:
    """How the clipping range of a tensor is chosen; for a percentile, `percent` of the values lie within it."""

    kind: str = MIN_MAX
    percent: float = 100.0

    @classmethod
    def of(cls, text: str) -> Observer:
        """Parse ``minmax``, ``mse``, ``percentile`` or ``percentile:99.9``."""
        if text in (MIN_MAX, MSE):
            return cls(text)
        match = re.fullmatch(rf"{PERCENTILE}(?::(\d+(?:\.\d+)?))?", text)
        percent = float(match[1] or DEFAULT_PERCENTILE) if match else 0.0
        if not 50 <= percent <= 100:
            raise IntsimError(f"observer {text!r} is not one of {OBSERVERS}")
        return cls(PERCENTILE, percent)

    def __str__(self) -> str:
        return f"{self.kind}:{self.percent:g}" if self.kind == PERCENTILE else self.kind


@dataclass(frozen=True)
class Recipe:
    """All choices of quantization.

    `observer` chooses the range of every tensor of 8 bits or fewer; wider ones keep their extremes. `observers` (a glob of
    node names to an observer) takes precedence, for any tensor. `widths` are bits by kind of tensor: weight, activation,
    residual, masks. `lam` is ``search`` (the clamp of each GELU with the least squared error), ``off``, or one integer
    for all. `class_norm` is how the L2 norm of class features is replaced: ``calibrated``, ``none`` (omitted), or None for
    calibrated where the network was trained with it. `fold_norm` moves the affine part of layer norms into the linear
    layers that follow.
    """

    observer: Observer = Observer()
    observers: Mapping[str, Observer] = field(default_factory=dict)
    widths: Mapping[str, int] = field(default_factory=lambda: dict(WIDTHS))
    lam: str | int = SEARCH
    class_norm: str | None = None
    fold_norm: bool = False

    def __post_init__(self) -> None:
        for kind, bits in self.widths.items():
            if kind not in WIDTHS:
                raise IntsimError(f"there is no kind of tensor {kind!r}; the kinds are {', '.join(WIDTHS)}")
            if not 2 <= bits <= WIDTHS[kind]:
                raise IntsimError(f"{kind} tensors have 2 to {WIDTHS[kind]} bits, not {bits}")
        object.__setattr__(self, "widths", {**WIDTHS, **self.widths})
        if self.lam not in (SEARCH, OFF) and not (isinstance(self.lam, int) and 1 <= self.lam <= UNCLAMPED):
            raise IntsimError(f"lam is {SEARCH}, {OFF}, or a whole number from 1 to {UNCLAMPED}, not {self.lam!r}")
        if self.class_norm not in (None, CALIBRATED, NONE):
            raise IntsimError(f"class_norm is {CALIBRATED} or {NONE}, not {self.class_norm!r}")

    def observer_of(self, name: str, bits: int) -> Observer:
        """The observer of a tensor of `bits` bits."""
        for glob, observer in self.observers.items():
            if fnmatchcase(name, glob):
                return observer
        return self.observer if bits <= NARROW else Observer()

    def departures(self) -> dict[str, Any]:
        """The differences from the default recipe as plain data, recorded in the model file."""
        default, record = Recipe(), {}
        for key in (f.name for f in fields(self)):
            value = getattr(self, key)
            if value != getattr(default, key):
                record[key] = _as_plain_data(value)
        return record


def _as_plain_data(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _as_plain_data(item) for key, item in value.items()}
    return str(value) if isinstance(value, Observer) else value


def observers_of(texts: Iterable[str]) -> tuple[Observer, dict[str, Observer]]:
    """Parse ``KIND`` and ``GLOB=KIND``: the general observer, and observers by glob."""
    general, by_glob = Observer(), {}
    for text in texts:
        glob, named, kind = text.rpartition("=")
        if named:
            by_glob[glob] = Observer.of(kind)
        else:
            general = Observer.of(kind)
    return general, by_glob


def widths_of(texts: Iterable[str]) -> dict[str, int]:
    """Parse ``KIND=BITS``: widths by kind of tensor."""
    widths = {}
    for text in texts:
        kind, _, bits = text.partition("=")
        if not bits.isdecimal():
            raise IntsimError(f"width {text!r}: expected KIND=BITS, as in residual=8; the kinds are {', '.join(WIDTHS)}")
        widths[kind] = int(bits)
    return widths
