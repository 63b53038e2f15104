"""``intsim synth``: a model of any dimensions with random weights."""

from __future__ import annotations

from pathlib import Path

import click

from ._common import check_target, dialect_option, load_dialect, load_model, model_option, output_option, shown
from ._output import say
from ._progress import announce_compiling, status


@click.command("synth", epilog="Example: intsim synth seg-s16-mask@512 --seed 7 -o s16.h5")
@click.argument("preset", required=False)
@click.option("--config", type=click.Path(path_type=Path), default=None, help="Configuration file instead of a preset.")
@click.option(
    "--classes", type=click.IntRange(1, 32767), default=None, help="Classes of a preset.  [default: 150, classifiers 1000]"
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of weights and picture.")
@dialect_option
@model_option
@output_option("Model file (HDF5).", "synth.h5")
def command(
    preset: str | None, config: Path | None, classes: int | None, seed: int, dialect: str, model: Path | None, output: Path
) -> None:
    """Make a model with random weights, for bring-up and benchmarks.

    PRESET is NETWORK-SIZE@SIDE, as in deit-s@224, swin-t@224, vit-b32@384 or deit-t-distilled@224, and of a Segmenter
    seg-SIZE PATCH-DECODER@SIDE without the space, as in seg-b8-mask@640x480; sizes t, s, b, l. Without one the dimensions
    come from --config, or from --model.
    """
    from ..quantization import read_config
    from ..quantization.pipeline import synth
    from ..storage.model_file import save

    check_target(output, config, model)
    if sum(source is not None for source in (preset, config, model)) > 1:
        raise click.UsageError("give one of PRESET, --config and --model; each of them gives the dimensions")
    if classes is not None and preset is None:
        raise click.UsageError("--classes goes with a PRESET")
    rules = load_dialect(dialect)
    settings = preset if preset is not None else read_config(config) if config else load_model(model).config
    announce_compiling()
    with status("making and calibrating random weights ..."):
        graph = synth(settings, classes=classes, seed=seed, dialect=rules)
        save(graph, output)
    say(f"{shown(output)}: {len(graph.nodes)} nodes, dialect {rules.name}, random weights of seed {seed}")
    say(f"content hash {graph.content_hash}")
