"""``intsim eval``: mean IoU and pixel accuracy on labelled pictures, of the integers and of the float network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .. import resources
from ._common import check_target, height_and_width, json_option, load_segmenter, model_option, output_option, threads_option
from ._output import put_json, put_rich, say
from ._progress import announce_compiling, progress

if TYPE_CHECKING:
    from rich.console import Console

    from ..measurement.evaluation import Evaluation


@click.command("eval", epilog="Example: intsim eval examples/scenes")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@model_option
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    default=None,
    help="The float checkpoint that the model was made from.  [default: found next to the model]",
)
@click.option("--integers", is_flag=True, help="Measure the integers alone, without the float network.")
@click.option(
    "--stride", metavar="WxH", default=None, help="Distance between windows.  [default: as trained, or one window]"
)
@click.option("--ignore", type=click.IntRange(0, 65535), default=None, help="Value in label maps for no class, such as 255.")
@click.option("--reduce-zero-label", is_flag=True, help="Label 0 means no class, and classes count from 1 (ADE20K).")
@threads_option
@click.option(
    "--cluster",
    default="",
    metavar="WHERE",
    help="local[:N] processes, dask:ADDRESS, slurm, or slurm:local.  [default: here]",
)
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
    cluster: str,
    output: Path | None,
    as_json: bool,
) -> None:
    """Label the pictures in DIR and compare with their label maps.

    DIR contains NAME.png and NAME_labels.png, or images/ and labels/ (or annotations/). The value of a pixel in a label map
    is its class. Pictures of another size than the model's are labelled by sliding windows, merged in integers.
    """
    from ..measurement.evaluation import samples
    from ..measurement.labelled import evaluate

    if integers and checkpoint is not None:
        raise click.UsageError("--integers measures without the checkpoint; leave --checkpoint out")
    found = samples(folder)
    if output is not None:
        check_target(output, model, checkpoint, *(path for sample in found for path in (sample.picture, sample.labels)))
    if cluster:
        from ..cluster import require_cluster

        require_cluster(cluster)
    step_size = height_and_width(stride, "--stride") if stride else None
    graph = load_segmenter(model)
    announce_compiling()
    with progress("evaluating", len(found)) as step:
        result = evaluate(
            folder,
            graph,
            model_file=model or resources.model(),
            checkpoint=checkpoint,
            integers_only=integers,
            stride=step_size,
            ignore=ignore,
            reduce_zero_label=reduce_zero_label,
            progress=step,
            threads=threads,
            cluster=cluster,
        )
    if shift := result.misnumbered:
        share, accuracy = result.shifted_accuracy(shift), result.confusions["int"].pixel_accuracy
        direction, way_out = ("lower", "missing") if shift < 0 else ("higher", "wrong here")
        fits = f"pixel accuracy would be {share:.2f} instead of {accuracy:.2f} if all labels were one {direction}"
        say(f"intsim: warning: {fits}; --reduce-zero-label may be {way_out}", err=True)
    if as_json:
        put_json({"model_sha256": graph.content_hash, **result.record()}, output)
    else:
        put_rich(lambda console: _table(console, result), output)


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
