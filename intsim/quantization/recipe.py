"""Quantization recipes: all choices between a float checkpoint and an integer model, as data.

The published recipe is symmetric min-max ranges from calibration, 8-bit weights and activations, 16 bits on the residual
stream and for the masks. The default keeps more of a real network's accuracy at the same cost (docs/accuracy.md): logits of
16 bits at the resolution that softmax needs, GELUs fitted to what they see, channels that share their eight bits fairly, and
biases that cancel the mean error of integers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from typing import Any

from ..arith import Gelu
from ..dialects import Dialect
from ..errors import IntsimError
from ..nets.real import ACTIVATION, LOGITS, MASKS, RESIDUAL
from ..ops.shiftgelu import UNCLAMPED

MIN_MAX, MSE, PERCENTILE = "minmax", "mse", "percentile"
DEFAULT_PERCENTILE = 99.99
OBSERVERS = f"{MIN_MAX}, {MSE}, or {PERCENTILE}:P with P from 50 to 100, as in {PERCENTILE}:{DEFAULT_PERCENTILE}"

WEIGHT = "weight"
# The default widths, which are also the largest that the operators accept.
WIDTHS: Mapping[str, int] = {WEIGHT: 8, ACTIVATION: 8, LOGITS: 16, RESIDUAL: 16, MASKS: 16}
WIDEST = 32  # bits: accumulators
NARROW = 8  # bits: the general observer applies up to this width; wider tensors have room for their extremes

SEARCH, OFF = "search", "off"
SOFTMAX, OBSERVED = "softmax", "observed"
PER_TENSOR, PER_HEAD = "tensor", "head"
FITTED, PUBLISHED_FORM = "fitted", "published"
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


CHOICES: Mapping[str, tuple[str | bool, ...]] = {
    "logits_range": (SOFTMAX, OBSERVED),
    "logits_scale": (PER_TENSOR, PER_HEAD),
    "gelu": (FITTED, PUBLISHED_FORM),
    "correct_bias": (True, False),
    "fold_norm": (True, False),
}


@dataclass(frozen=True)
class Recipe:
    """All choices of quantization.

    `observer` chooses the range of every tensor of 8 bits or fewer; wider ones keep their extremes. `observers` (a glob of
    node names or a kind of tensor, to an observer) takes precedence, for any tensor; that of kind weight is for every
    channel. `widths` are bits by kind of tensor: weight, activation, logits (of attention), residual, masks.

    `logits_range` is how the scale of what goes into a softmax is chosen: ``softmax``, for what softmax sees of it, or
    ``observed``, as for other tensors. `logits_scale` is one per ``tensor``, or one per ``head``, for which the nodes of
    attention exist once per head; logits of 16 bits have room for all heads and do not need it. `gelu` is ``fitted`` (the
    slope of each GELU's sigmoid and the gain of its result with the least squared error) or ``published`` (1.702 and 1).
    `correct_bias` cancels the mean error of every channel of a linear layer by its bias. `equalize` is the strength, from 0
    (off) to 1, at which channels before linear layers are made alike.

    `lam` is ``search`` (the clamp of each GELU with the least squared error), ``off``, or one integer for all. `class_norm`
    is how the L2 norm of class features is replaced: ``calibrated``, ``none`` (omitted), or None for calibrated where the
    network was trained with it. `fold_norm` moves the affine part of layer norms into the linear layers that follow.
    """

    observer: Observer = Observer()
    observers: Mapping[str, Observer] = field(default_factory=dict)
    widths: Mapping[str, int] = field(default_factory=lambda: dict(WIDTHS))
    logits_range: str = SOFTMAX
    logits_scale: str = PER_TENSOR
    gelu: str = FITTED
    correct_bias: bool = True
    equalize: float = 0.5
    lam: str | int = SEARCH
    class_norm: str | None = None
    fold_norm: bool = False

    def __post_init__(self) -> None:
        for kind, bits in self.widths.items():
            if kind not in WIDTHS:
                raise IntsimError(f"there is no kind of tensor {kind!r}; the kinds are {', '.join(WIDTHS)}")
            if isinstance(bits, bool) or not isinstance(bits, int) or not 2 <= bits <= WIDTHS[kind]:
                raise IntsimError(f"{kind} tensors have 2 to {WIDTHS[kind]} bits, not {bits}")
        object.__setattr__(self, "widths", {**WIDTHS, **self.widths})
        if self.lam not in (SEARCH, OFF) and not (isinstance(self.lam, int) and 1 <= self.lam <= UNCLAMPED):
            raise IntsimError(f"lam is {SEARCH}, {OFF}, or a whole number from 1 to {UNCLAMPED}, not {self.lam!r}")
        if isinstance(self.equalize, bool) or not isinstance(self.equalize, (int, float)) or not 0 <= self.equalize <= 1:
            raise IntsimError(f"equalize is a number from 0 (off) to 1, not {self.equalize!r}")
        for key, allowed in CHOICES.items():
            if getattr(self, key) not in allowed:
                raise IntsimError(f"{key} is {' or '.join(map(_shown, allowed))}, not {_shown(getattr(self, key))}")
        if self.class_norm not in (None, CALIBRATED, NONE):
            raise IntsimError(f"class_norm is {CALIBRATED} or {NONE}, not {self.class_norm!r}")

    def with_choices(self, choices: Mapping[str, Any]) -> Recipe:
        """The recipe with some choices changed: widths and observers by kind or name, other choices by their key."""
        merged: dict[str, Any] = {
            key: {**getattr(self, key), **value} if key in ("observers", "widths") else value
            for key, value in choices.items()
        }
        return replace(self, **merged)

    def replaced(self, **choices: Any) -> Recipe:
        """The recipe with choices replaced as a whole."""
        return replace(self, **choices)

    def observer_of(self, name: str, kind: str, bits: int) -> Observer:
        """The observer of a tensor of `bits` bits: one for its name has precedence over one for its kind."""
        for glob, observer in self.observers.items():
            if glob not in WIDTHS and fnmatchcase(name, glob):
                return observer
        if kind in self.observers:
            return self.observers[kind]
        return self.observer if bits <= NARROW else Observer()

    def range_for_softmax(self, name: str) -> bool:
        """Whether the scale of a softmax's input is chosen for what softmax sees, not by an observer of its own."""
        return self.logits_range == SOFTMAX and not any(glob == LOGITS or fnmatchcase(name, glob) for glob in self.observers)

    def needs_gelu_inputs(self, dialect: Dialect) -> bool:
        """Whether the integer form of GELUs depends on what they see."""
        return self.gelu == FITTED or (self.lam == SEARCH and dialect.gelu is Gelu.LAMBDA_SHIFTGELU)

    def record(self) -> dict[str, Any]:
        """All choices as plain data, for the model file; `from_table` reads them."""
        return {f.name: _as_plain_data(getattr(self, f.name)) for f in fields(self)}

    def departures(self) -> dict[str, Any]:
        """The differences from the default recipe as plain data."""
        default = Recipe().record()
        return {key: value for key, value in self.record().items() if value != default[key]}


PUBLISHED = Recipe(widths={LOGITS: 8}, logits_range=OBSERVED, gelu=PUBLISHED_FORM, correct_bias=False, equalize=0.0)
RECIPES: Mapping[str, Recipe] = {"default": Recipe(), "published": PUBLISHED}


PLAIN = tuple(f.name for f in fields(Recipe) if f.name not in ("observer", "observers", "widths"))


def _shown(value: object) -> str:
    """A value of a choice as a configuration file has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


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


OWN_OPTIONS = {
    "observer": "is chosen apart, for all tensors",
    "observers": "are chosen apart, by kind of tensor or by name",
    "widths": "are chosen apart, as KIND=BITS",
}


def choices_of(texts: Iterable[str]) -> dict[str, Any]:
    """Parse ``KEY=VALUE``: choices of a recipe that are neither observers nor widths."""
    choices: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if key in OWN_OPTIONS:
            raise IntsimError(f"choice {text!r}: {key} {OWN_OPTIONS[key]}")
        if key not in PLAIN or not equals:
            raise IntsimError(f"choice {text!r}: expected KEY=VALUE; the keys are {', '.join(PLAIN)}")
        choices[key] = parsed(value)
    return choices


def parsed(text: str) -> Any:
    """A value as a configuration file has it: true, false, a number, or text."""
    if text in ("True", "False"):
        return text == "True"
    try:
        return json.loads(text)
    except ValueError:
        return text


def from_table(table: Mapping[str, Any], base: Recipe | None = None) -> Recipe:
    """A recipe from plain data with keys of `Recipe`, as `Recipe.record` gives them; what it lacks is as in `base`."""
    known = [f.name for f in fields(Recipe)]
    for key, value in table.items():
        if key not in known:
            raise IntsimError(f"recipe: unknown key {key!r}; the keys are {', '.join(known)}")
        if key in ("observers", "widths") and not isinstance(value, Mapping):
            raise IntsimError(f"recipe: {key} is a table, not {value!r}")
        if key == "observer" and not isinstance(value, str):
            raise IntsimError(f"recipe: observer is text, not {value!r}")
    choices = dict(table)
    if "observer" in choices:
        choices["observer"] = Observer.of(choices["observer"])
    if "observers" in choices:
        choices["observers"] = {glob: Observer.of(kind) for glob, kind in choices["observers"].items()}
    return (base or Recipe()).with_choices(choices)


def widths_of(texts: Iterable[str]) -> dict[str, int]:
    """Parse ``KIND=BITS``: widths by kind of tensor."""
    widths = {}
    for text in texts:
        kind, _, bits = text.partition("=")
        if not bits.isdecimal():
            raise IntsimError(f"width {text!r}: expected KIND=BITS, as in residual=8; the kinds are {', '.join(WIDTHS)}")
        widths[kind] = int(bits)
    return widths
