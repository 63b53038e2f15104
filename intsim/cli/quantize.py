"""``intsim quantize``: a float checkpoint becomes an integer model."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import IntsimError
from ._common import (
    announce_compiling,
    check_target,
    dialect_option,
    load_dialect,
    load_model,
    model_option,
    output_option,
    resize_option,
    status,
)


@click.command(
    "quantize",
    epilog="Example: intsim quantize scenes.safetensors --config scenes.json --calibrate street.png -o scenes.h5",
)
@click.argument("files", nargs=-1, required=True, metavar="CHECKPOINT [PICTURE]...", type=click.Path(path_type=Path))
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=None,
    help="Configuration, JSON or YAML.  [default: that of --model]",
)
@click.option(
    "--calibrate",
    multiple=True,
    metavar="PICTURE...",
    type=click.Path(path_type=Path),
    help="Calibration pictures, at least one.",
)
@dialect_option
@resize_option
@model_option
@output_option("Model file (HDF5).", "model.h5")
def command(
    files: tuple[Path, ...],
    config: Path | None,
    calibrate: tuple[Path, ...],
    dialect: str,
    resize: bool,
    model: Path | None,
    output: Path,
) -> None:
    """Quantize CHECKPOINT (safetensors, the published Segmenter's parameter names) with one or more pictures."""
    from ..nets.segmenter import SegmenterConfig
    from ..pictures import read_picture
    from ..quantize import quantize, read_checkpoint, read_config
    from ..weights import save

    checkpoint, further = _checkpoint_first(files)
    paths = [*calibrate, *further]
    check_target(output, checkpoint, config, *paths)
    if not paths:
        raise IntsimError("quantize needs at least one picture to calibrate on: --calibrate PICTURE")
    settings = read_config(config) if config else load_model(model).config
    rules = load_dialect(dialect)
    weights, sha256 = read_checkpoint(checkpoint, settings)
    size = SegmenterConfig.of(settings)
    pictures = [read_picture(path, size.height, size.width, resize) for path in paths]
    announce_compiling()
    with status("calibrating and lowering ..."):
        graph = quantize(weights, settings, pictures, rules, sha256)
    save(graph, output)
    click.echo(f"{output}: {len(graph.nodes)} nodes, dialect {rules.name}, calibrated on {len(pictures)} picture(s)")
    click.echo(f"content hash {graph.content_hash}")


def _checkpoint_first(files: tuple[Path, ...]) -> tuple[Path, list[Path]]:
    """``--calibrate A B`` leaves B among the arguments: of several the safetensors file is the checkpoint."""
    checkpoint = next((path for path in files if path.suffix == ".safetensors"), files[0])
    return checkpoint, [path for path in files if path is not checkpoint]
