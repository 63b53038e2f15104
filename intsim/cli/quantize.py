"""``intsim quantize``: a float checkpoint becomes an integer model."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ..errors import AlreadyQuantized
from ._common import (
    DIFFERENT,
    check_target,
    dialect_option,
    height_and_width,
    load_dialect,
    output_option,
    resize_option,
    seconds,
)
from ._progress import announce_compiling, progress
from ._quantized import tell

BESIDE = "<beside the model>"
SEARCH_SECONDS = "600"
RECIPE = {"--recipe", "--choose", "--observer", "--bits", "--lam", "--class-norm", "--fold-norm"}

# The options that a quantized checkpoint leaves no choice in: they say how a network is quantized, or quantized again.
_CHOICES = {
    "calibrate": "--calibrate",
    "size": "--size",
    "observers": "--observer",
    "widths": "--bits",
    "recipe_name": "--recipe",
    "choices": "--choose",
    "search": "--search",
    "lam": "--lam",
    "class_norm": "--class-norm",
    "fold_norm": "--fold-norm",
    "report": "--report",
    "report_on": "--report-on",
    "resize": "--resize",
}


@click.command(
    "quantize",
    epilog="Example: intsim quantize scenes.safetensors --config scenes.json --calibrate street.png -o scenes.h5",
)
@click.argument("files", nargs=-1, required=True, metavar="CHECKPOINT [PICTURE]...", type=click.Path(path_type=Path))
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=None,
    help="Configuration.  [default: that of --model, else next to CHECKPOINT (its name with .json or .yml, variant.yml)]",
)
@click.option(
    "--calibrate",
    multiple=True,
    metavar="PICTURE...",
    type=click.Path(path_type=Path),
    help="Calibration pictures, at least one.",
)
@click.option("--weights", default=None, metavar="NAME", help="One of several sets of weights in CHECKPOINT: model_ema.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="One key of the configuration, whatever it says: normalization=vit, num_heads=6, ...",
)
@click.option("--size", metavar="WxH", default=None, help="Picture size of the model; position embeddings are resized.")
@click.option(
    "--observer",
    "observers",
    multiple=True,
    metavar="[GLOB=]KIND",
    help="Ranges by minmax, mse or percentile:P, for 8-bit tensors or for those that GLOB matches.  [default: minmax]",
)
@click.option(
    "--bits",
    "widths",
    multiple=True,
    metavar="KIND=N",
    help="Width of weight, activation, logits, residual or masks.  [default: 8, 8, 16, 16, 16]",
)
@click.option(
    "--recipe",
    "recipe_name",
    default="default",
    show_default=True,
    metavar="NAME|FILE",
    help="Choices of quantization: default, published, a .toml or .json file, or a model, for the recipe it was made by.",
)
@click.option(
    "--choose",
    "choices",
    multiple=True,
    metavar="KEY=VALUE",
    help="One choice of the recipe: logits_range=observed, gelu=published, correct_bias=false, ...",
)
@click.option(
    "--search",
    is_flag=False,
    flag_value=SEARCH_SECONDS,
    default=None,
    metavar="[SECONDS]",
    help="Try other choices on the calibration pictures and their mirror images, and take the best.  [without SECONDS: 600]",
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
    help="Signal-to-quantization-noise ratio of every tensor: .html, .svg or .json.  [without FILE: MODEL_report.html]",
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
@click.option("-m", "--model", type=click.Path(path_type=Path), default=None, help="Model whose configuration is used.")
@output_option("Model file (HDF5).", "model.h5")
def command(
    files: tuple[Path, ...],
    config: Path | None,
    calibrate: tuple[Path, ...],
    weights: str | None,
    settings: tuple[str, ...],
    size: str | None,
    observers: tuple[str, ...],
    widths: tuple[str, ...],
    recipe_name: str,
    choices: tuple[str, ...],
    search: str | None,
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
    of timm's ViT, DeiT or Swin (these need the extra torch), a safetensors, .npz or .onnx file with the names of one of
    them, or a folder of Hugging Face transformers.

    A quantization-aware checkpoint of I-ViT contains its integers and scales. They are taken unchanged, without a picture,
    in dialect ivit unless another one is named.
    """
    from ..quantization import config_beside
    from ..quantization.configuration import settings_of
    from ..quantization.pipeline import quantize
    from ..quantization.recipe import choices_of, observers_of, widths_of
    from ..quantization.recipe_file import recipe_named
    from ..quantization.report import check_format

    checkpoint, further = _checkpoint_first(files)
    pictures = [*calibrate, *further]
    config = config or (config_beside(checkpoint) if model is None else None)
    read = [*_read_with(checkpoint), config, model, Path(recipe_name), *pictures, *report_on]
    check_target(output, *read)
    page = output.with_name(f"{output.stem}_report.html") if report == BESIDE else Path(report) if report else None
    if page is not None:
        check_format(page)
        check_target(page, output, *read)
    elif report_on:
        raise click.UsageError("--report-on goes with --report")
    given = click.get_current_context().get_parameter_source
    chosen = [option for key, option in _CHOICES.items() if given(key) is ParameterSource.COMMANDLINE]
    observer, by_name = observers_of(observers)
    ranges = {"observers": by_name} if by_name else {}
    given_choices: dict[str, dict[str, Any]] = {
        "--observer": ranges | ({"observer": observer} if len(by_name) < len(observers) else {}),
        "--bits": {"widths": widths_of(widths)},
        "--lam": {"lam": int(lam) if lam.isdecimal() else lam},
        "--class-norm": {"class_norm": class_norm},
        "--fold-norm": {"fold_norm": fold_norm},
        "--choose": choices_of(choices),
    }
    own_choices: dict[str, Any] = {}
    for option in chosen:
        own = given_choices.get(option, {})
        if twice := own_choices.keys() & own.keys():
            raise click.UsageError(f"{option}: {min(twice)} is chosen twice; leave one of the options out")
        own_choices |= own
    recipe = recipe_named(recipe_name).with_choices(own_choices)
    announce_compiling()
    try:
        with ExitStack() as bars:

            def stage_bar(stage: str, steps: int) -> Callable[..., None]:
                bars.close()  # of the stage before
                return bars.enter_context(progress(stage, steps))

            result = quantize(
                checkpoint,
                pictures,
                config=config,
                model=model,
                weights=weights,
                settings=settings_of(settings),
                size=height_and_width(size, "--size") if size else None,
                recipe=recipe if RECIPE.intersection(chosen) else None,
                search=seconds(search, "--search") if search is not None else None,
                fixed=own_choices.keys(),
                dialect=load_dialect(dialect) if given("dialect") is ParameterSource.COMMANDLINE else None,
                resize=resize,
                report=page is not None,
                report_pictures=report_on,
                progress=stage_bar,
            )
    except AlreadyQuantized as error:
        raise AlreadyQuantized(error.checkpoint, "--calibrate" if pictures else chosen[0]) from None
    result.save(output, page)
    tell(result, output, page)
    return 0 if result.reproduced else DIFFERENT


def _read_with(checkpoint: Path) -> list[Path]:
    """The checkpoint, and what may be read beside it: the files of its folder, or configurations with fixed names."""
    if checkpoint.is_dir():
        return [checkpoint, *checkpoint.iterdir()]
    return [checkpoint, *(checkpoint.with_name(name) for name in ("config.json", "preprocessor_config.json", "variant.yml"))]


def _checkpoint_first(files: tuple[Path, ...]) -> tuple[Path, list[Path]]:
    """``--calibrate A B`` leaves B among the arguments; the file with a checkpoint's suffix is the checkpoint."""
    from ..quantization.containers import CHECKPOINT_SUFFIXES

    checkpoint = next((path for path in files if path.suffix in CHECKPOINT_SUFFIXES or path.is_dir()), files[0])
    return checkpoint, [path for path in files if path is not checkpoint]
