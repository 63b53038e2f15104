"""``intsim run``: label a picture, or classify it, or compute the output of any other graph."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from ..errors import FileError
from ._common import (
    check_target,
    files_of,
    input_option,
    json_option,
    load_model,
    model_option,
    output_option,
    picture_argument,
    read_given,
    read_picture,
    require_labels,
    resize_option,
    shown,
    threads_option,
)
from ._output import put_json, say
from ._progress import announce_compiling, progress

if TYPE_CHECKING:
    from ..arith import IntArray
    from ..engine.graph import Graph
    from ..engine.inputs import Inputs

TOP = 5


@click.command("run", epilog="Example: intsim run street.png -o labels.png")
@picture_argument
@input_option
@model_option
@output_option("Label picture (PNG, pixel value = class); of other graphs the output as .npy.", "labels.png")
@click.option("--overlay", type=click.Path(path_type=Path), default=None, help="Picture for people.  [default: next to -o]")
@click.option(
    "--top", type=click.IntRange(min=1), default=TOP, show_default=True, help="Number of classes shown for a classifier."
)
@resize_option
@threads_option
@json_option
def command(
    picture: Path | None,
    arrays: tuple[str, ...],
    model: Path | None,
    output: Path,
    overlay: Path | None,
    top: int,
    resize: bool,
    threads: int | None,
    as_json: bool,
) -> None:
    """Label every pixel of PICTURE and write the labels and an overlay. With a classifier: show the top classes.

    A picture of another size than the model's is labelled by sliding windows, merged in integers, as by eval; with --resize
    it is scaled to the model's size, and the labels to its own. Of a graph that takes arrays (--input) or does not label,
    the shape, range and SHA-256 of the output are shown, and -o writes it.
    """
    from ..engine.classes import classifies, labels_pixels

    graph = load_model(model)
    if not graph.takes_picture or (arrays and not classifies(graph) and not labels_pixels(graph)):
        _refuse("the model neither labels pixels nor classifies pictures", "overlay", "top")
        _tensor(graph, picture, arrays, model, output, resize, threads, as_json)
        return
    for target in (output, overlay):
        if target is not None and target.suffix.lower() not in ("", ".png"):
            raise FileError(f"{target}: pictures are written as PNG; give it the suffix .png")
    source = picture or Path(arrays[0] if arrays else "")
    if classifies(graph):
        _refuse("the model is a classifier, which does not label pixels; --json prints its classes", "output", "overlay")
    else:
        _refuse("the model labels pixels and is not a classifier", "top")
        require_labels(graph, model)
        check_target(output, picture, model, *files_of(arrays))
        overlay = overlay or output.with_name(f"{output.stem}_overlay.png")
        check_target(overlay, picture, model, output, *files_of(arrays))
    if overlay is None:  # of a classifier
        _classes(graph, source, _run(graph, read_given(picture, arrays, graph, resize), threads), top, as_json)
        return
    from ..measurement.windows import label, labels_at, trained_stride
    from ..storage.pictures import read_picture as read

    image = read(picture) if picture is not None else read_given(None, arrays, graph, resize)[graph.input.name]
    size = image.shape[:2]
    if resize and picture is not None:
        labels = labels_at(_run(graph, read_picture(picture, graph, True), threads), size)
    elif size == graph.tensors[graph.input.name].shape[:2]:
        labels = _run(graph, image, threads)
    else:
        announce_compiling()
        labels = label(graph, image, trained_stride(graph), threads)
    _labels(graph, source, image, labels, output, overlay, as_json)


def _run(graph: Graph, given: Inputs, threads: int | None) -> IntArray:
    """The output of the graph, with a progress bar."""
    from ..engine.interpreter import run

    announce_compiling()
    with progress("running", len(graph.nodes)) as step:
        return run(graph, given, progress=step, threads=threads)


def _tensor(
    graph: Graph,
    picture: Path | None,
    arrays: tuple[str, ...],
    model: Path | None,
    output: Path,
    resize: bool,
    threads: int | None,
    as_json: bool,
) -> None:
    """Show the output of a graph that neither labels nor classifies, and write it where -o names a file."""
    from ..engine.graph import digest
    from ..storage.files import replacing

    asked = click.get_current_context().get_parameter_source("output") is ParameterSource.COMMANDLINE
    if asked and output.suffix != ".npy":
        raise FileError(f"{output}: the output of this model is an array, written as .npy; give it the suffix .npy")
    if asked:
        check_target(output, picture, model, *files_of(arrays))
    value = _run(graph, read_given(picture, arrays, graph, resize), threads)
    if asked:
        import numpy as np

        with replacing(output) as temporary, temporary.open("wb") as stream:
            np.save(stream, value, allow_pickle=False)
    name, fmt = graph.output.name, str(graph.tensors[graph.output.name].fmt)
    low, high, sha256 = int(value.min()), int(value.max()), digest(value)
    if as_json:
        record = {"output": name, "shape": list(value.shape), "format": fmt, "min": low, "max": high, "sha256": sha256}
        put_json({**record, "file": str(output) if asked else None}, None)
        return
    say(f"{name}: {fmt} {' x '.join(map(str, value.shape)) or '1'}, {low:,} to {high:,}, SHA-256 {sha256}")
    if asked:
        say(f"output: {shown(output)}")


def _refuse(why: str, *keys: str) -> None:
    """Refuse options that do not apply to the model."""
    context = click.get_current_context()
    for option in context.command.params:
        if option.name in keys and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{option.opts[0]}: {why}")


def _labels(
    graph: Graph, picture: Path, image: IntArray, labels: IntArray, output: Path, overlay: Path, as_json: bool
) -> None:
    """Write the labels and the overlay, and print the share of each class."""
    import numpy as np

    from ..engine.classes import class_names
    from ..storage.pictures import palette_of, write_labels, write_overlay

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
    say(f"{shown(picture)}: {shares}")
    say(f"labels: {output}   overlay: {overlay}")


def _classes(graph: Graph, picture: Path, logits: IntArray, top: int, as_json: bool) -> None:
    """Print the top classes of a classifier."""
    from ..engine.classes import ranking

    found = ranking(graph, logits, top)
    if as_json:
        put_json({"picture": str(picture), "classes": [asdict(ranked) for ranked in found]}, None)
        return
    say(f"{shown(picture)}: {found[0].name}\n")
    width = max(len(ranked.name) for ranked in found)
    say(f"  {'class':<{width}}  {'index':>5}  {'logit (i32)':>12}  {'real value':>15}  {'softmax':>7}")
    for ranked in found:
        name = f"{ranked.name:<{width}}"
        say(f"  {name}  {ranked.index:>5}  {ranked.logit:>12,}  {ranked.value:>15.4f}  {ranked.probability:>7.1%}")
