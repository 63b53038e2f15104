"""``intsim golden``: every tensor of a run, bit-exact, in one HDF5 file."""

from __future__ import annotations

from pathlib import Path

import click

from ._common import (
    DIFFERENT,
    check_target,
    cluster_option,
    files_of,
    input_option,
    json_option,
    load_model,
    model_option,
    read_given,
    resize_option,
    shown,
    threads_option,
)
from ._output import put_json, say
from ._progress import announce_compiling, progress


@click.command("golden", epilog="Example: intsim golden street.png --level full --layers 'encoder.blocks.0.*' -o block0.h5")
@click.argument("pictures", nargs=-1, metavar="[PICTURE | DIR]...", type=click.Path(path_type=Path))
@input_option
@model_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=None,
    help="Golden file (HDF5), or the folder of a set.  [default: golden.h5, or golden-set]",
)
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
@click.option(
    "--shard", default=None, metavar="I/N", help="Of a set: only every N-th picture from the I-th on, for job arrays."
)
@cluster_option
@threads_option
@json_option
def command(
    pictures: tuple[Path, ...],
    arrays: tuple[str, ...],
    model: Path | None,
    output: Path | None,
    level: str,
    layers: tuple[str, ...],
    resize: bool,
    shard: str | None,
    cluster: str,
    threads: int | None,
    as_json: bool,
) -> int:
    """Run the model on PICTURE, or on arrays, and write its golden file.

    Several pictures, or those in a folder, give a set: a folder with a golden file for each and an index. Run again, it
    makes what is not there yet (docs/sets.md). Exit code 1: a picture of a set could not be used.
    """
    if len(pictures) > 1 or any(path.is_dir() for path in pictures) or shard is not None:
        if arrays or threads is not None:
            raise click.UsageError(f"{'--input' if arrays else '--threads'} is of a single golden file, not of a set")
        return _set(pictures, model, output or Path("golden-set"), level, layers, resize, shard, cluster, as_json)
    picture, output = pictures[0] if pictures else None, output or Path("golden.h5")
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
        return 0
    say(f"{shown(output)}: {tensors} tensors at level {level}, {left_out} nodes left out, {size / 1e6:.2f} MB")
    say(f"content hash {content}")
    return 0


def _set(
    pictures: tuple[Path, ...],
    model: Path | None,
    output: Path,
    level: str,
    layers: tuple[str, ...],
    resize: bool,
    shard: str | None,
    cluster: str,
    as_json: bool,
) -> int:
    """Make a set, or a shard of one."""
    from .. import resources
    from ..cluster import require_cluster
    from ..sets import Entry, golden_set, picture_files
    from ..sets.making import shard_of

    if not pictures:
        raise click.UsageError("Missing argument 'DIR', or pictures: --shard is of a set")
    require_cluster(cluster)
    part = shard_of(shard or "1/1")
    announce_compiling()
    total = len(list(picture_files(pictures))[part[0] - 1 :: part[1]])
    with progress("golden files", total, timed=True) as step:

        def seen(entry: Entry) -> None:
            if entry.error:
                say(f"intsim: {entry.error}", err=True)
            step()

        made = golden_set(
            pictures,
            output,
            model or resources.model(),
            level=level,
            layers=layers,
            resize=resize,
            shard=part,
            cluster=cluster,
            progress=seen,
        )
    index, failed = made.index, len(made.index.failed)
    if as_json:
        put_json(
            {
                "path": str(made.path),
                "level": level,
                "pictures": len(index.pictures),
                "failed": failed,
                "found": made.found,
                "seconds": round(made.seconds, 3),
                "index_sha256": index.sha256,
            },
            None,
        )
    else:
        there = f", {made.found:,} of them there already" if made.found else ""
        say(f"{shown(made.path)}: {len(index.pictures) - failed:,} golden files at level {level}{there}")
        if failed:
            say(f"{failed:,} picture{'s' if failed > 1 else ''} could not be used; the index says why")
        say(f"index hash {index.sha256}")
    return DIFFERENT if failed else 0
