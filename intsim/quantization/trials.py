"""Trials of recipes: what each choice buys on given pictures, and a search for the best combination.

A recipe is judged by the scores before the last argmax (of a classifier: by its logits, of an encoder: by its features).
Their signal-to-noise ratio against the float network moves with every small error, while labels change only where two
classes are nearly equal. What is common to all scores of a place does not count, because it cannot change a label.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arith import AnyArray
from ..engine.graph import Graph
from ..engine.interpreter import run
from ..errors import IntsimError
from ..nets.networks import built
from ..nets.real import LOGITS
from ..nets.segmenter import SCORES
from .recipe import FITTED, MSE, NARROW, OBSERVED, PER_HEAD, PER_TENSOR, PUBLISHED, SOFTMAX, WEIGHT, Observer, Recipe
from .sensitivity import integer_node

Build = Callable[[Recipe], Graph]  # the integer network of a recipe

# The values of each choice that a search tries, in this order.
CANDIDATES: tuple[tuple[str, tuple[Mapping[str, Any], ...]], ...] = (
    ("equalize", tuple({"equalize": strength} for strength in (0.0, 0.3, 0.5, 0.7))),
    ("correct_bias", ({"correct_bias": True}, {"correct_bias": False})),
    ("gelu", ({"gelu": FITTED}, {"gelu": PUBLISHED.gelu})),
    ("logits_range", ({"logits_range": SOFTMAX}, {"logits_range": OBSERVED})),
    ("logits_scale", ({"logits_scale": PER_TENSOR}, {"logits_scale": PER_HEAD})),
    ("observers", ({"observers": {WEIGHT: Observer.of(MSE)}},)),
    (
        "observer",
        tuple({"observer": Observer.of(kind)} for kind in ("minmax", "percentile:99.999", "percentile:99.99", MSE)),
    ),
    ("fold_norm", ({"fold_norm": False}, {"fold_norm": True})),
)


@dataclass(frozen=True)
class Trial:
    """A recipe that was tried: what is particular about it, its signal-to-noise ratio in decibels (None without an error),
    and the share of labels (of a classifier: of pictures) on which it agrees with the float network; None without labels.
    """

    choice: str
    recipe: Recipe
    sqnr: float | None
    agreement: float | None

    @property
    def quality(self) -> float:
        """What a search maximizes."""
        return math.inf if self.sqnr is None else self.sqnr

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return {"choice": self.choice, "sqnr_db": self.sqnr, "agreement": self.agreement}


class Judge:
    """Compares integer networks with the float network on pictures."""

    def __init__(self, weights: Mapping[str, AnyArray], config: Mapping[str, Any], pictures: Sequence[AnyArray]) -> None:
        self.pictures = pictures
        net = built(dict(config), dict(weights))
        self.encodes = net.encodes
        self.scores = net.nodes[-1].name if net.classifies or net.encodes else SCORES
        with np.errstate(all="ignore"):
            self.exact = [self._compared(net.tensors(picture, [self.scores])[self.scores]) for picture in pictures]

    def trial(self, choice: str, recipe: Recipe, graph: Graph) -> Trial:
        """The result of one recipe."""
        signal = noise = 0.0
        same = total = 0
        for picture, exact in zip(self.pictures, self.exact, strict=True):
            seen: dict[str, AnyArray] = {}
            node = integer_node(graph, self.scores)
            run(graph, picture, seen.__setitem__, nodes=[node])
            found = self._compared(seen[node] * np.asarray(graph.scales[node]))
            signal, noise = signal + float((exact**2).sum()), noise + float(((exact - found) ** 2).sum())
            labels = exact.argmax(axis=-1) == found.argmax(axis=-1)
            same, total = same + int(labels.sum()), total + labels.size
        sqnr = 10 * math.log10(signal / noise) if noise and signal else (0.0 if noise else None)
        return Trial(choice, recipe, sqnr, None if self.encodes else same / total)

    def _compared(self, scores: AnyArray) -> AnyArray:
        """What of the scores can change a label; of features all."""
        return scores if self.encodes else np.asarray(scores - scores.mean(axis=-1, keepdims=True))


def mirrored(pictures: Sequence[AnyArray]) -> list[AnyArray]:
    """The pictures and their mirror images: calibration has not seen these."""
    return [*pictures, *(np.ascontiguousarray(picture[:, ::-1]) for picture in pictures)]


def bought(
    judge: Judge, build: Build, recipe: Recipe, graph: Graph, progress: Callable[[str], None] = lambda name: None
) -> list[Trial]:
    """The recipe, then without each of its choices that the published recipe does not have, then the published one."""
    trials = [judge.trial("this recipe", recipe, graph)]
    others = {f"without {key}": without for key, without in reversions(recipe).items()}
    others |= {"published recipe": PUBLISHED} if recipe != PUBLISHED else {}
    for choice, other in others.items():
        try:
            trials.append(judge.trial(choice, other, build(other)))
        except IntsimError:  # this network needs the choice: a gamma of 0 has to be folded
            trials.append(Trial(f"{choice}: not possible", other, 0.0, None))
        progress(choice)
    return trials


def reversions(recipe: Recipe) -> dict[str, Recipe]:
    """By its name, each choice of a recipe taken back to the published one; the logits' width and range are one choice."""
    found: dict[str, Recipe] = {}
    published, own = vars(PUBLISHED), vars(recipe)
    logits = recipe.with_choices({"widths": {LOGITS: PUBLISHED.widths[LOGITS]}, "logits_range": PUBLISHED.logits_range})
    if logits != recipe:
        found["logits"] = logits
    for key, value in published.items():
        if key not in ("widths", "logits_range", "observers") and own[key] != value:
            found[key] = recipe.with_choices({key: value})
    for glob in recipe.observers:
        rest = {name: observer for name, observer in recipe.observers.items() if name != glob}
        found[f"observer of {glob}"] = recipe.replaced(observers=rest)
    return found


def search(
    judge: Judge,
    build: Build,
    recipe: Recipe,
    fixed: frozenset[str] = frozenset(),
    seconds: float = math.inf,
    progress: Callable[[str], None] = lambda name: None,
) -> list[Trial]:
    """The trials of a search from `recipe` on, the best first: one choice after the other, each at its best value so far.

    Choices in `fixed` stay as they are. No trial begins after `seconds`. The order is always the same, so that the result
    is, too, unless the time runs out.
    """
    end = time.monotonic() + seconds
    best = judge.trial("as given", recipe, build(recipe))
    trials = [best]
    progress("as given")
    for key, values in CANDIDATES:
        if key in fixed:
            continue
        start = best.recipe
        for value in values:
            tried = start.with_choices(value)
            if tried == start:
                continue
            if time.monotonic() > end:
                break
            choice = _named(value)
            try:
                trial = judge.trial(choice, tried, build(tried))
            except IntsimError:  # a combination that this network does not allow
                continue
            trials.append(trial)
            if trial.quality > best.quality:
                best = trial
            progress(choice)
    return [best, *(trial for trial in trials if trial is not best)]


def without_effect(recipe: Recipe) -> frozenset[str]:
    """The choices that need not be tried: a scale per head, where logits have room for all heads at one."""
    return frozenset({"logits_scale"} if recipe.widths[LOGITS] > NARROW else ())


def number_of_trials(fixed: frozenset[str] = frozenset()) -> int:
    """The most trials that a search makes."""
    return 1 + sum(len(values) for key, values in CANDIDATES if key not in fixed)


def _named(value: Mapping[str, Any]) -> str:
    ((key, chosen),) = value.items()
    if isinstance(chosen, Mapping):
        return ", ".join(f"{kind}={observer}" for kind, observer in chosen.items())
    return f"{key}={str(chosen).lower() if isinstance(chosen, bool) else chosen}"
