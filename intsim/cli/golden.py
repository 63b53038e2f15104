"""``intsim golden``: every tensor of a run, bit-exact, in one HDF5 file."""

from __future__ import annotations

from pathlib import Path

import click

from ._common import (
    check_target,
    files_of,
    input_option,
    json_option,
    load_model,
    model_option,
    output_option,
    picture_argument,
    put_json,
    read_given,
    resize_option,
    shown,
    threads_option,
)
from ._progress import announce_compiling, progress


@click.command("golden", epilog="Example: intsim golden street.png --level full --layers 'encoder.blocks.0.*' -o block0.h5")
@picture_argument
@input_option
@model_option
@output_option("Golden file (HDF5).", "golden.h5")
@click.option(
    "--level",
    type=click.Choice(["boundary", "full", "steps", "digest"]),
    default="boundary",
    show_default=True,
    help="boundary: 8- and 16-bit tensors; full: i32 accumulators too; steps: inside operators too; digest: hashes only.",
)
@click.option(
    "--layers",
    multiple=True,
    metavar="GLOB",
    help="Only nodes whose name matches; '!GLOB' excludes nodes; may be repeated.",
)
@resize_option
@threads_option
@json_option
def command(
    picture: Path | None,
    arrays: tuple[str, ...],
    model: Path | None,
    output: Path,
    level: str,
    layers: tuple[str, ...],
    resize: bool,
    threads: int | None,
    as_json: bool,
) -> None:
    """Run the model on PICTURE, or on arrays, and write its golden file."""
    from ..storage.golden_file import golden, open_golden

    check_target(output, picture, model, *files_of(arrays))
    graph = load_model(model)
    given = read_given(picture, arrays, graph, resize)
    announce_compiling()
    with progress("writing", len(graph.nodes)) as step:
        content = golden(graph, given, output, level, layers, threads=threads, progress=step)
    with open_golden(output) as written:
        tensors, left_out = len(written.tensors), len(written.left_out)
    size = output.stat().st_size
    if as_json:
        record = {"path": str(output), "level": level, "tensors": tensors, "left_out": left_out, "bytes": size}
        put_json({**record, "content_sha256": content}, None)
        return
    click.echo(f"{shown(output)}: {tensors} tensors at level {level}, {left_out} nodes left out, {size / 1e6:.2f} MB")
    click.echo(f"content hash {content}")
