"""From a checkpoint file to an integer model: checkpoint, configuration, weights, calibration, lowering, report."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ..arith import AnyArray
from ..dialects import ISEGMENTER, IVIT, Dialect, resolve
from ..engine.graph import Graph
from ..errors import AlreadyQuantized, ConfigurationNotFound, IntsimError, PicturesMissing
from ..nets.networks import built, dimensions_of
from ..storage.files import replacing
from ..storage.model_file import load, save
from ..storage.pictures import check_presentation, read_picture
from .checkpoint import Checkpoint
from .configuration import at_size, config_beside, read_config
from .ivit import coarse_masks, import_checkpoint, is_quantized
from .ivit_records import ModuleComparison, compare_recording, is_recorded, unknown_modules
from .published_config import configuration_in, is_configuration
from .recipe import Recipe
from .report import rendered
from .sensitivity import Noise, agreement, sensitivity
from .stages import calibrated, folds_class_norm, integer_form, lowered, quantize_weights
from .synth import preset as configuration_of_preset
from .synth import random_picture, random_weights, require_feasible
from .trials import Judge, Trial, bought, mirrored, number_of_trials, reversions, without_effect
from .trials import search as best_recipes

GUESSED_SIZE = ", img_size"  # among what was taken for granted
Picture = str | Path | AnyArray
Progress = Callable[[str, int], Callable[[str], None]]  # of a stage and its number of steps: what to call at each step


def _silent(stage: str, steps: int) -> Callable[[str], None]:
    return lambda name: None


@dataclass(frozen=True)
class Quantized:
    """An integer model, and what there is to report about how it was made.

    `configuration` is that of the network, `origin` says where it came from, `remarks` which weights were taken where there
    was a choice, and what was taken off their names. From a float checkpoint: `agreement` is the
    share of calibration pixels (of a classifier: pictures) with the label of the float network, None for an encoder without
    labels, of which `features` is the signal-to-noise ratio in decibels; `noise` the signal-to-noise
    ratio of every tensor and `choices` what each choice of the recipe bought, where a report was asked for, `trials` what a
    search tried, the best first, `class_norm_folded` whether an L2 norm went into the integers. From a
    quantized checkpoint: `modules` compares a recording of its modules, where the file has one, `unknown_modules` are those
    the network does not have, `not_compared` that the recording is of another dialect.
    """

    graph: Graph
    configuration: dict[str, Any]
    origin: str
    remarks: tuple[str, ...] = ()
    pictures: int = 0
    agreement: float | None = None
    features: float | None = None
    classifies: bool = False
    class_norm_folded: bool = False
    noise: list[Noise] = field(default_factory=list)
    choices: list[Trial] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    modules: list[ModuleComparison] = field(default_factory=list)
    unknown_modules: list[str] = field(default_factory=list)
    not_compared: bool = False

    @property
    def reproduced(self) -> bool:
        """Whether every recorded module gives its recorded integers."""
        return all(module.same for module in self.modules)

    def save(self, path: str | Path, report: str | Path | None = None) -> None:
        """Write the model file to `path` and, if named, the report (``.html``, ``.svg`` or ``.json``): both or neither."""
        if report is None:
            save(self.graph, path)
            return
        with replacing(report) as temporary:
            temporary.write_text(rendered(Path(report).suffix, self.graph, self.noise, self.choices), encoding="utf-8")
            save(self.graph, path)


def quantize(
    checkpoint: str | Path,
    pictures: Sequence[Picture] = (),
    *,
    config: str | Path | dict[str, Any] | None = None,
    model: str | Path | Graph | None = None,
    weights: str | None = None,
    settings: Mapping[str, Any] | None = None,
    size: tuple[int, int] | None = None,
    recipe: Recipe | None = None,
    dialect: Dialect | str | None = None,
    resize: bool = False,
    search: float | None = None,
    fixed: Collection[str] = (),
    report: bool = False,
    report_pictures: Sequence[Picture] = (),
    progress: Progress = _silent,
) -> Quantized:
    """Make an integer model from a checkpoint: Segmenter's own, mmsegmentation's, timm's, or one of I-ViT.

    A float checkpoint needs calibration `pictures` (files, or u8 [H, W, 3]); `resize` scales them to the network's size. The
    network's dimensions come from `config` (a file or a table), the configuration of `model`, a file next to the checkpoint,
    or the shapes of its tensors; `settings` are keys of it that are set, whatever it says. `weights` names one of several
    sets of weights in the file, such as ``model_ema``; None takes the network's own, never an average. `size` (height,
    width) is the picture size of the model where it is not that of training. `recipe` has every choice of quantization; with
    `search` others are tried for so many seconds, all choices but those in `fixed`, and the best is taken. `dialect` those
    of the arithmetic (``isegmenter`` where None; of a quantized checkpoint ``ivit``). `report` measures the noise of every
    tensor and what each choice of the recipe buys, on `report_pictures` or those of calibration. A quantization-aware
    checkpoint of I-ViT keeps its integers and scales, and takes no pictures, recipe, size or report.

    Raises AlreadyQuantized, PicturesMissing, ConfigurationNotFound, FileError for what is wrong with a file, IntsimError
    naming layer and channel where a parameter cannot be quantized, BoundError where the result could overflow.
    """
    opened = Checkpoint.open(checkpoint, weights)
    if is_quantized(opened.tensors):
        asked = {
            "pictures": pictures,
            "size": size,
            "recipe": recipe,
            "search": search is not None,
            "report": report or report_pictures,
            "resize": resize,
        }
        if in_vain := [name for name, value in asked.items() if value]:
            raise AlreadyQuantized(opened.path, in_vain[0])
        return _take(opened, config, model, settings, resolve(dialect or IVIT), progress)
    if not pictures:
        raise PicturesMissing(opened.path)
    rules, recipe = resolve(dialect or ISEGMENTER), recipe or Recipe()
    settings, origin = configuration_of(opened, config, model, size, settings)
    tensors, remarks = opened.weights(settings), opened.remarks
    if (resized := opened.resized(settings)) is not None:
        remarks = (*remarks, resized)
    images = images_of(pictures, settings, resize, origin)
    others = images_of(report_pictures, settings, resize, origin) or images
    build = partial(_quantized_by, tensors, settings, images, rules)
    tried: list[Trial] = []
    if search is not None:
        frozen = frozenset(fixed) | without_effect(recipe)
        judge, step = Judge(tensors, settings, mirrored(images)), progress("searching", number_of_trials(frozen))
        tried = best_recipes(judge, build, recipe, frozen, search, step)
        recipe = tried[0].recipe
    net, trained = integer_form(tensors, settings, images, recipe), built(settings, tensors)
    step = progress("calibrating", 3 * len(images) * len(net.nodes))
    statistics = calibrated(net, images, rules, recipe, step)
    graph = lowered(net, statistics, rules, settings, images, opened.sha256, weights, step)
    noise, choices = list[Noise](), list[Trial]()
    if report:
        noise = sensitivity(net, graph, others, trained, progress("measuring", len(others) * len(net.nodes)))
        step = progress("comparing recipes", len(reversions(recipe)) + 2)
        choices = bought(Judge(tensors, settings, others), build, recipe, graph, step)
    return Quantized(
        graph,
        settings,
        origin,
        remarks=remarks,
        pictures=len(images),
        agreement=agreement(trained, statistics, graph, images),
        features=Judge(tensors, settings, images).trial("", recipe, graph).sqnr if trained.encodes else None,
        classifies=trained.classifies,
        class_norm_folded=folds_class_norm(settings, recipe),
        noise=noise,
        choices=choices,
        trials=tried,
    )


def _quantized_by(
    weights: dict[str, AnyArray], config: dict[str, Any], pictures: list[AnyArray], dialect: Dialect, recipe: Recipe
) -> Graph:
    """The integer network of a recipe that is tried."""
    return quantize_weights(weights, config, pictures, dialect, "", recipe)


def _take(
    checkpoint: Checkpoint,
    config: str | Path | dict[str, Any] | None,
    model: str | Path | Graph | None,
    given: Mapping[str, Any] | None,
    dialect: Dialect,
    progress: Progress,
) -> Quantized:
    """The model of a quantized checkpoint, and its recording compared, which is in dialect ``ivit``."""
    settings, origin = configuration_of(checkpoint, config, model, None, given)
    if settings.get("l2_norm"):  # as trained before quantization, for which there are no integers
        settings = {**settings, "l2_norm": False}
    progress("importing", 1)
    graph, recorded = import_checkpoint(checkpoint, settings, dialect), is_recorded(checkpoint)
    remarks = checkpoint.remarks + coarse_masks(graph)
    if not recorded or dialect != IVIT:
        return Quantized(graph, settings, origin, remarks, not_compared=recorded)
    modules, unknown = compare_recording(checkpoint, settings, dialect), unknown_modules(checkpoint, settings)
    return Quantized(graph, settings, origin, remarks, modules=modules, unknown_modules=unknown)


def configuration_of(
    checkpoint: Checkpoint,
    config: str | Path | dict[str, Any] | None,
    model: str | Path | Graph | None,
    size: tuple[int, int] | None,
    given: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], str]:
    """The configuration of a checkpoint's network, and where it comes from: a file, a model, the checkpoint or its shapes.
    Keys that are `given` are set in it.

    Raises ConfigurationNotFound where none of them has it.
    """
    if config is None and model is None:
        config = config_beside(checkpoint.path)
    if isinstance(config, dict):
        settings, origin = config, "given"
    elif config is not None and checkpoint.transformers and is_configuration(Path(config)):
        settings, origin = configuration_in(Path(config), checkpoint.tensors)
    elif config is not None:
        settings, origin = read_config(config), str(config)
    elif model is not None:
        graph = model if isinstance(model, Graph) else load(model)
        settings, origin = graph.config, "that of a model" if isinstance(model, Graph) else f"that of {model}"
    elif own := checkpoint.own_config(given):
        settings, origin = own
    else:
        raise ConfigurationNotFound(checkpoint.path)
    settings = checkpoint.completed({**settings, **(given or {})})
    if given:
        origin = f"{origin}; set: {', '.join(sorted(given))}"
        dimensions_of(settings)
        check_presentation(settings)
    if size is None:
        return settings, origin
    return at_size(settings, *size), origin.partition(GUESSED_SIZE)[0]


def images_of(pictures: Sequence[Picture], settings: dict[str, Any], resize: bool, origin: str) -> list[AnyArray]:
    """Pictures of the network's size; where that size is a guess, the message says so."""
    sides = dimensions_of(settings)
    try:
        return [
            read_picture(picture, sides.height, sides.width, resize) if isinstance(picture, (str, Path)) else picture
            for picture in pictures
        ]
    except IntsimError as error:
        if GUESSED_SIZE not in origin:
            raise
        raise IntsimError(f"{error}; that size is a guess, give another") from None


def synth(
    preset: str | dict[str, Any], *, classes: int | None = None, seed: int = 0, dialect: Dialect | str = ISEGMENTER
) -> Graph:
    """A model with random weights, for bring-up and benchmarks.

    `preset` is a name such as ``seg-s16-mask@512`` or ``swin-t@224``, with so many `classes`, or a configuration.
    """
    settings = configuration_of_preset(preset, classes) if isinstance(preset, str) else preset
    require_feasible(settings)
    weights, picture = random_weights(settings, seed), random_picture(settings, seed)
    return quantize_weights(weights, settings, [picture], resolve(dialect), f"random, seed {seed}")
