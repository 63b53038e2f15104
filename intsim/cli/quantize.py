"""``intsim quantize``: a float checkpoint becomes an integer model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ..errors import FileError, IntsimError
from ._common import (
    announce_compiling,
    check_target,
    dialect_option,
    height_and_width,
    load_dialect,
    load_model,
    output_option,
    progress,
    resize_option,
)

if TYPE_CHECKING:
    from ..engine.graph import Graph
    from ..quantization import Checkpoint, Recipe
    from ..quantization.ivit_records import ModuleComparison
    from ..quantization.sensitivity import Noise

BESIDE = "<beside the model>"
DIFFERENT = 1
GUESSED_SIZE = ", img_size"  # among the assumptions
NOISIEST = 5  # tensors that are told when there is a report


@click.command(
    "quantize",
    epilog="Example: intsim quantize scenes.safetensors --config scenes.json --calibrate street.png -o scenes.h5",
)
@click.argument("files", nargs=-1, required=True, metavar="CHECKPOINT [PICTURE]...", type=click.Path(path_type=Path))
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=None,
    help="Configuration.  [default: that of --model, else beside CHECKPOINT (its name with .json or .yml, variant.yml)]",
)
@click.option(
    "--calibrate",
    multiple=True,
    metavar="PICTURE...",
    type=click.Path(path_type=Path),
    help="Calibration pictures, at least one.",
)
@click.option("--size", metavar="WxH", default=None, help="Picture size of the model; position embeddings are resized.")
@click.option(
    "--observer",
    "observers",
    multiple=True,
    metavar="[GLOB=]KIND",
    help="Ranges by minmax, mse or percentile:P, of 8-bit tensors or of those that GLOB names.  [default: minmax]",
)
@click.option(
    "--bits",
    "widths",
    multiple=True,
    metavar="KIND=N",
    help="Width of weight, activation, residual or masks.  [default: 8, 8, 16, 16]",
)
@click.option("--lam", default="search", show_default=True, help="Clamp of the GELUs: search, off, or an integer.")
@click.option(
    "--class-norm",
    type=click.Choice(["calibrated", "none"]),
    default=None,
    help="The L2 norm of class features.  [default: calibrated where trained with it]",
)
@click.option("--fold-norm", is_flag=True, help="Fold the affine part of layer norms into the next linear layers.")
@click.option(
    "--report",
    is_flag=False,
    flag_value=BESIDE,
    default=None,
    metavar="[FILE]",
    help="Signal to quantization noise of every tensor: .html, .svg or .json.  [by itself: MODEL_report.html]",
)
@click.option(
    "--report-on",
    multiple=True,
    metavar="PICTURE",
    type=click.Path(path_type=Path),
    help="Pictures for the report.  [default: those of calibration]",
)
@dialect_option
@resize_option
@click.option("-m", "--model", type=click.Path(path_type=Path), default=None, help="Model whose configuration to take.")
@output_option("Model file (HDF5).", "model.h5")
def command(
    files: tuple[Path, ...],
    config: Path | None,
    calibrate: tuple[Path, ...],
    size: str | None,
    observers: tuple[str, ...],
    widths: tuple[str, ...],
    lam: str,
    class_norm: str | None,
    fold_norm: bool,
    report: str | None,
    report_on: tuple[Path, ...],
    dialect: str,
    resize: bool,
    model: Path | None,
    output: Path,
) -> int:
    """Quantize CHECKPOINT with one or more pictures, named by --calibrate or after it.

    CHECKPOINT is the original Segmenter's checkpoint.pth with its variant.yml beside it, a checkpoint of mmsegmentation or
    of timm's ViT, DeiT or Swin (these need the extra torch), or a safetensors or .npz file with the names of one of them.

    A quantization-aware checkpoint of I-ViT has its integers and scales already: they are taken as they stand, without a
    picture, and in dialect ivit unless another one is named.
    """
    from ..nets.networks import built, dimensions_of
    from ..quantization import Checkpoint, calibrated, config_beside, folds_class_norm, integer_form, lowered
    from ..quantization.ivit import is_quantized
    from ..quantization.report import check_format
    from ..quantization.sensitivity import agreement, sensitivity
    from ..storage.pictures import read_picture

    checkpoint, further = _checkpoint_first(files)
    paths = [*calibrate, *further]
    config = config or (config_beside(checkpoint) if model is None else None)
    check_target(output, checkpoint, config, model, *paths, *report_on)
    page = output.with_name(f"{output.stem}_report.html") if report == BESIDE else Path(report) if report else None
    if page is not None:
        check_format(page)
        check_target(page, checkpoint, config, model, output, *paths, *report_on)
    elif report_on:
        raise click.UsageError("--report-on goes with --report")
    opened = Checkpoint.open(checkpoint)
    if is_quantized(opened.tensors):
        return _take(opened, paths, config, model, dialect, output)
    if not paths:
        raise IntsimError(
            f"{checkpoint}: a float checkpoint; quantize needs at least one picture to calibrate on: --calibrate PICTURE"
        )
    recipe = _recipe(observers, widths, lam, class_norm, fold_norm)
    rules = load_dialect(dialect)
    settings, origin = _settings(opened, config, model, size)
    weights = opened.weights(settings)
    sides = dimensions_of(settings)
    try:
        pictures = [read_picture(path, sides.height, sides.width, resize) for path in paths]
        others = [read_picture(path, sides.height, sides.width, resize) for path in report_on] or pictures
    except IntsimError as error:
        guessed = "; that size is a guess, --size says another" if GUESSED_SIZE in origin else ""
        raise type(error)(f"{error}{guessed}") from None
    announce_compiling()
    net, trained = integer_form(weights, settings, pictures, recipe), built(settings, weights)
    with progress("calibrating", 2 * len(pictures) * len(net.nodes)) as step:
        statistics = calibrated(net, pictures, rules, recipe, step)
    graph = lowered(net, statistics, rules, settings, pictures, opened.sha256)
    measured = []
    if page is not None:
        with progress("measuring", len(others) * len(net.nodes)) as step:
            measured = sensitivity(net, graph, others, trained, step)
    _save(graph, output, page, measured)
    alike = agreement(trained, statistics, graph, pictures)
    norm = ", L2 class norm folded in" if folds_class_norm(settings, recipe) else ""
    click.echo(f"{output}: {len(graph.nodes)} nodes, dialect {rules.name}, calibrated on {len(pictures)} picture(s){norm}")
    click.echo(f"content hash {graph.content_hash}")
    if trained.classifies:
        click.echo(f"top class as in real numbers on {alike:.0%} of the calibration pictures")
    else:
        click.echo(f"labels as in real numbers on {alike:.1%} of the calibration pixels")
    click.echo(f"configuration: {origin}")
    if page is not None:
        click.echo(f"report: {page}; signal to noise by itself, the {NOISIEST} lowest:")
        for tensor in sorted(measured, key=lambda tensor: math.inf if tensor.own is None else tensor.own)[:NOISIEST]:
            click.echo(f"  {tensor.own or 0:5.1f} dB  {tensor.name}")
    return 0


# What a quantized checkpoint leaves nothing to choose of: it says how a network is quantized, or re-quantized.
_CHOSEN = {
    "size": "--size",
    "observers": "--observer",
    "widths": "--bits",
    "lam": "--lam",
    "class_norm": "--class-norm",
    "fold_norm": "--fold-norm",
    "report": "--report",
    "report_on": "--report-on",
    "resize": "--resize",
}


def _take(
    checkpoint: Checkpoint, pictures: list[Path], config: Path | None, model: Path | None, dialect: str, output: Path
) -> int:
    """The model of a quantized checkpoint; the exit code."""
    from ..dialects import IVIT
    from ..quantization.ivit import import_checkpoint
    from ..quantization.ivit_records import compare_recording, is_recorded, unknown_modules
    from ..storage.model_file import save

    given = click.get_current_context().get_parameter_source
    said = [key for key in _CHOSEN if given(key) is ParameterSource.COMMANDLINE]
    if pictures or said:
        option = "--calibrate" if pictures else _CHOSEN[said[0]]
        raise IntsimError(
            f"{checkpoint.path}: is quantized already; its integers and scales are taken as they stand: leave {option} out"
        )
    rules = load_dialect(dialect if given("dialect") is ParameterSource.COMMANDLINE else "ivit")
    settings, origin = _settings(checkpoint, config, model, None)
    announce_compiling()
    graph = import_checkpoint(checkpoint, settings, rules)
    recorded = is_recorded(checkpoint)
    found = compare_recording(checkpoint, settings, rules) if recorded and rules == IVIT else []
    save(graph, output)
    click.echo(
        f"{output}: {len(graph.nodes)} nodes, dialect {rules.name}, integers and scales as they stand in the checkpoint"
    )
    click.echo(f"content hash {graph.content_hash}")
    click.echo(f"configuration: {origin}")
    if recorded and rules != IVIT:
        click.echo("recorded modules: not compared, they speak dialect ivit")
    return _tell_recorded(found, unknown_modules(checkpoint, settings)) if found else 0


def _tell_recorded(modules: list[ModuleComparison], unknown: list[str]) -> int:
    """What of a recording is reproduced; whether anything is not."""
    same = [module for module in modules if module.same]
    size = sum(module.total for module in modules if module.differing is not None)
    click.echo(f"recorded modules: {len(same)} of {len(modules)} bit-exact, {size:,} integers compared")
    if wrong := next((module for module in modules if not module.same), None):
        how = (
            f"has more or fewer elements than {wrong.total:,}"
            if wrong.differing is None
            else f"differs in {wrong.differing:,} of {wrong.total:,} elements"
        )
        click.echo(f"the first other one: {wrong.module} ({wrong.node} here) {how}")
    if unknown:
        click.echo(f"not compared, no modules of this network: {', '.join(unknown)}")
    return DIFFERENT if len(same) < len(modules) else 0


def _save(graph: Graph, output: Path, page: Path | None, measured: list[Noise]) -> None:
    """Write the model and its report: both, or neither."""
    from ..quantization.report import rendered
    from ..storage.files import replacing
    from ..storage.model_file import save

    if page is None:
        save(graph, output)
        return
    with replacing(page) as temporary:
        temporary.write_text(rendered(page.suffix, graph, measured), encoding="utf-8")
        save(graph, output)


def _recipe(observers: tuple[str, ...], widths: tuple[str, ...], lam: str, class_norm: str | None, fold: bool) -> Recipe:
    from ..quantization.recipe import Recipe, observers_of, widths_of

    general, by_glob = observers_of(observers)
    clamp: str | int = int(lam) if lam.isdecimal() else lam
    return Recipe(general, by_glob, widths_of(widths), clamp, class_norm, fold)


def _settings(
    checkpoint: Checkpoint, config: Path | None, model: Path | None, size: str | None
) -> tuple[dict[str, Any], str]:
    """The configuration, and where it comes from: a file, a model, the checkpoint itself or its shapes."""
    from ..quantization import at_size, read_config

    if config is not None:
        settings, origin = read_config(config), str(config)
    elif model is not None:
        settings, origin = load_model(model).config, f"that of {model}"
    elif own := checkpoint.own_config():
        settings, origin = own
    else:
        raise FileError(
            f"{checkpoint.path}: its configuration is not beside it, as {checkpoint.path.stem}.json or variant.yml; name it "
            "with --config, or with --model a model of the same network"
        )
    settings = checkpoint.completed(settings)
    if size is None:
        return settings, origin
    return at_size(settings, *height_and_width(size, "--size")), origin.partition(GUESSED_SIZE)[0]


def _checkpoint_first(files: tuple[Path, ...]) -> tuple[Path, list[Path]]:
    """``--calibrate A B`` leaves B among the arguments: of several the one with a checkpoint's suffix is the checkpoint."""
    from ..quantization.containers import CHECKPOINT_SUFFIXES

    checkpoint = next((path for path in files if path.suffix in CHECKPOINT_SUFFIXES), files[0])
    return checkpoint, [path for path in files if path is not checkpoint]
