"""The stages between float weights and an integer graph: integer form, calibration, lowering; and all of them in turn."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._version import NUMERICS
from ..arith import AnyArray
from ..dialects import Dialect
from ..engine.graph import Graph, digest
from ..engine.interpreter import Progress
from ..errors import IntsimError
from ..nets.networks import SEGMENTER, built, network_of
from ..nets.real import RealGraph
from ..nets.segmenter import CLASS_FEATURES, MASK, SegmenterConfig, segmenter
from .bias_correction import corrected
from .calibrate import Statistics, calibrate
from .equalization import equalized
from .fold import fold_norms
from .heads import split_heads
from .lower import lower
from .recipe import CALIBRATED, NONE, PER_HEAD, Recipe
from .rounding import Rounded


def quantize_weights(
    weights: dict[str, AnyArray],
    config: dict[str, Any],
    pictures: list[AnyArray],
    dialect: Dialect,
    checkpoint_sha256: str,
    recipe: Recipe | None = None,
    progress: Progress = lambda name: None,
) -> Graph:
    """An integer network from float weights and one or more calibration pictures (u8 [H, W, 3]).

    Raises IntsimError naming layer and channel where a parameter cannot be quantized, BoundError where the result could
    overflow. `progress(name)` is called when a real-valued node has run.
    """
    recipe = recipe or Recipe()
    net = integer_form(weights, config, pictures, recipe)
    statistics = calibrated(net, pictures, dialect, recipe, progress)
    return lowered(net, statistics, dialect, config, pictures, checkpoint_sha256, progress=progress)


def calibrated(
    net: RealGraph, pictures: list[AnyArray], dialect: Dialect, recipe: Recipe, progress: Progress = lambda name: None
) -> Statistics:
    """What lowering needs to know of `net` (as `integer_form` gives it), from pictures."""
    with np.errstate(all="ignore"):  # what leaves float64 is refused by name
        return calibrate(net, pictures, dialect, recipe, progress)


def lowered(
    net: RealGraph,
    statistics: Statistics,
    dialect: Dialect,
    config: dict[str, Any],
    pictures: list[AnyArray],
    checkpoint_sha256: str,
    weights: str | None = None,
    progress: Progress = lambda name: None,
) -> Graph:
    """The integer graph, its biases corrected where the recipe says so, with a record of where it comes from: checkpoint and
    which of its sets of weights where one was named, pictures, recipe.
    """
    provenance = {
        "intsim": NUMERICS,
        "checkpoint_sha256": checkpoint_sha256,
        **({"weights": weights} if weights is not None else {}),
        "calibration_sha256": [digest(picture) for picture in pictures],
        "recipe": statistics.recipe.record(),
    }
    with np.errstate(all="ignore"):
        graph = lower(net, Rounded(statistics), dialect, config, provenance)
        return corrected(net, graph, pictures, progress) if statistics.recipe.correct_bias else graph


def integer_form(
    weights: dict[str, AnyArray], config: dict[str, Any], pictures: list[AnyArray], recipe: Recipe
) -> RealGraph:
    """The real-valued network as lowering takes it: without L2 norms, and where the recipe says so with layer norms folded,
    channels equalized, and attention head by head.
    """
    if recipe.class_norm == CALIBRATED and not folds_class_norm(config, recipe):
        raise IntsimError(
            "class norm: this network has none to calibrate; expected a mask decoder trained with L2 normalisation, and "
            '"l2_norm": true in its configuration'
        )
    net = built(config, weights)
    if network_of(config) is SEGMENTER and net.normalised:
        gain: float | AnyArray = class_gain(net, pictures) if folds_class_norm(config, recipe) else 1.0
        net = segmenter(SegmenterConfig.of(config), weights, class_gain=gain)
    net = fold_norms(net) if recipe.fold_norm else net
    with np.errstate(all="ignore"):  # what leaves float64 is refused by name in calibration
        net = equalized(net, pictures, recipe.equalize) if recipe.equalize else net
    return split_heads(net) if recipe.logits_scale == PER_HEAD else net


def folds_class_norm(config: dict[str, Any], recipe: Recipe) -> bool:
    """Whether the network was trained with an L2 norm of class features that goes into the masks' requantization."""
    if network_of(config) is not SEGMENTER:
        return False
    dimensions = SegmenterConfig.of(config)
    return dimensions.l2_norm and dimensions.decoder == MASK and recipe.class_norm != NONE


def class_gain(published: RealGraph, pictures: list[AnyArray]) -> AnyArray:
    """What stands for the L2 norm of each class's feature [K]: the mean of its inverse over the pictures."""
    with np.errstate(all="ignore"):
        features = [published.tensors(picture, [CLASS_FEATURES])[CLASS_FEATURES] for picture in pictures]
        gain: AnyArray = np.mean([1 / np.linalg.norm(feature, axis=-1) for feature in features], axis=0)
    if not np.isfinite(gain).all():
        raise IntsimError(f"{CLASS_FEATURES}: the feature of class {int(np.argmin(np.isfinite(gain)))} has norm 0")
    return gain
