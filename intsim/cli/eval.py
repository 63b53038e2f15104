"""``intsim eval``: mean IoU and pixel accuracy on labelled pictures, integers beside real numbers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .. import resources
from ..errors import FileError, IntsimError
from ._common import (
    announce_compiling,
    check_target,
    height_and_width,
    json_option,
    load_segmenter,
    model_option,
    output_option,
    progress,
    put_json,
    put_rich,
    threads_option,
)

if TYPE_CHECKING:
    from rich.console import Console

    from ..engine.graph import Graph
    from ..measurement.evaluation import Evaluation
    from ..nets.real import RealGraph


@click.command("eval", epilog="Example: intsim eval examples/scenes")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@model_option
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    default=None,
    help="The float checkpoint that the model was made from.  [default: found beside the model]",
)
@click.option("--integers", is_flag=True, help="Measure the integers alone, without their checkpoint.")
@click.option(
    "--stride", metavar="WxH", default=None, help="From one window to the next.  [default: as trained, or a window]"
)
@click.option("--ignore", type=click.IntRange(0, 65535), default=None, help="Value in label maps for no class, such as 255.")
@click.option("--reduce-zero-label", is_flag=True, help="Label 0 means no class, and classes count from 1 (ADE20K).")
@threads_option
@output_option("Report file.", None)
@json_option
def command(
    folder: Path,
    model: Path | None,
    checkpoint: Path | None,
    integers: bool,
    stride: str | None,
    ignore: int | None,
    reduce_zero_label: bool,
    threads: int | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Label the pictures in DIR and compare with their label maps.

    DIR holds NAME.png with NAME_labels.png beside it, or images/ with labels/ (or annotations/). The value of a label map's
    pixel is its class. Pictures of another size than the model's go through sliding windows, merged in integers.
    """
    from ..engine.classes import class_names
    from ..measurement.evaluation import evaluate, samples

    if integers and checkpoint is not None:
        raise click.UsageError("--integers leaves the checkpoint out")
    found = samples(folder)
    if output is not None:
        check_target(output, model, checkpoint, *(path for sample in found for path in (sample.picture, sample.labels)))
    step_size = height_and_width(stride, "--stride") if stride else None
    graph = load_segmenter(model)
    if step_size is None and isinstance(trained := graph.config.get("window_stride"), int) and trained > 0:
        step_size = (trained, trained)
    net = None if integers else _real_graph(graph, model or resources.model(), checkpoint)
    announce_compiling()
    with progress("evaluating", len(found)) as step:
        result = evaluate(
            graph, found, class_names(graph), net, step_size, ignore, reduce_zero_label, progress=step, threads=threads
        )
    if as_json:
        put_json({"model_sha256": graph.content_hash, **result.record()}, output)
    else:
        put_rich(lambda console: _table(console, result), output)


def _real_graph(graph: Graph, model: Path, checkpoint: Path | None) -> RealGraph:
    """The real-valued network that the model was quantized from."""
    from ..nets.segmenter import SegmenterConfig, segmenter
    from ..quantization import checkpoint_behind, read_checkpoint

    due = graph.provenance.get("checkpoint_sha256")
    named = f"{due:.12}" if re.fullmatch("[0-9a-f]{64}", str(due)) else str(due)  # of random weights it is no hash
    path = checkpoint or checkpoint_behind(due, [resources.checkpoint(), model.resolve().parent, Path.cwd()])
    if path is None:
        raise IntsimError(
            f"{model}: its checkpoint ({named}) does not lie beside it; name it with --checkpoint, or --integers "
            "measures the integers alone"
        )
    weights, sha256 = read_checkpoint(path, graph.config)
    if sha256 != due:
        raise FileError(f"{path}: is not the checkpoint that {model} was made from ({named})")
    return segmenter(SegmenterConfig.of(graph.config), weights)


def _table(console: Console, result: Evaluation) -> None:
    from rich.markup import escape
    from rich.table import Table

    record = result.record()
    measured = [key for key in ("float_bilinear", "float", "int") if record[f"miou_{key}"] is not None]
    heads = {"float_bilinear": "float, bilinear", "float": "float, nearest", "int": "integer"}
    table = Table(box=None, header_style="bold", padding=(0, 1), show_footer=False)
    table.add_column("class", no_wrap=True)
    table.add_column("pixels", justify="right")
    for key in measured:
        table.add_column(heads[key], justify="right")
    for row in record["per_class"]:
        values = [row[f"iou_{key}"] for key in measured]
        table.add_row(escape(row["name"]), f"{row['pixels']:,}", *("-" if v is None else f"{v:.4f}" for v in values))
    table.add_section()
    table.add_row("mean IoU", "", *(f"[bold]{record[f'miou_{key}']:.4f}[/]" for key in measured))
    table.add_row("pixel accuracy", "", *(f"{record[f'pixel_accuracy_{key}']:.4f}" for key in measured))
    console.print(table, highlight=False)
    alike = "" if result.agreement is None else f"; integer and float (nearest) labels agree on {result.agreement:.2%}"
    console.print(f"{result.images} picture(s), {result.pixels:,} pixels{alike}", highlight=False)
