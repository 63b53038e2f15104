"""``intsim run``: a picture in, labels out."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import FileError
from ._common import (
    announce_compiling,
    check_target,
    class_names,
    json_option,
    load_segmenter,
    model_option,
    output_option,
    progress,
    put_json,
    read_picture,
    resize_option,
    threads_option,
)


@click.command("run", epilog="Example: intsim run street.png -o labels.png")
@click.argument("picture", type=click.Path(path_type=Path))
@model_option
@output_option("Label picture (PNG, pixel value = class).", "labels.png")
@click.option("--overlay", type=click.Path(path_type=Path), default=None, help="Picture for people.  [default: beside -o]")
@resize_option
@threads_option
@json_option
def command(
    picture: Path, model: Path | None, output: Path, overlay: Path | None, resize: bool, threads: int | None, as_json: bool
) -> None:
    """Label every pixel of PICTURE; write the labels and an overlay."""
    import numpy as np

    from ..pictures import palette_of, write_labels, write_overlay
    from ..run import run

    for target in (output, overlay):
        if target is not None and target.suffix.lower() not in ("", ".png"):
            raise FileError(f"{target}: pictures are written as PNG; give it the suffix .png")
    check_target(output, picture, model)
    overlay = overlay or output.with_name(f"{output.stem}_overlay.png")
    check_target(overlay, picture, model, output)
    graph = load_segmenter(model)
    image = read_picture(picture, graph, resize)
    announce_compiling()
    with progress("running", len(graph.nodes)) as step:
        labels = run(graph, image, progress=step, threads=threads)

    names = class_names(graph)
    palette = palette_of(graph.config, len(names))
    write_labels(output, labels, palette)
    write_overlay(overlay, image, labels, palette, names)

    counts = np.bincount(labels.ravel(), minlength=len(names)).tolist()
    classes = [
        {"index": i, "name": names[i], "pixels": pixels, "share": pixels / labels.size}
        for i, pixels in enumerate(counts)
        if pixels
    ]
    if as_json:
        put_json({"labels": str(output), "overlay": str(overlay), "classes": classes}, None)
        return
    shares = ", ".join(f"{c['name']} {c['share']:.1%}" for c in sorted(classes, key=lambda c: -c["pixels"]))
    click.echo(f"{picture}: {shares}")
    click.echo(f"labels: {output}   overlay: {overlay}")
