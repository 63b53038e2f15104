"""``intsim demo``: the main job on the shipped model and picture, on one screen."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .. import resources
from .._version import __version__
from ..errors import FileError
from ._ahead import CompiledAhead
from ._common import DIFFERENT, load_segmenter, model_option, output_option, read_picture, threads_option
from ._output import safe_console
from ._progress import announce_compiling, progress

if TYPE_CHECKING:
    from rich.console import Console

    from ..arith import IntArray
    from ..debugging.result import Diff
    from ..engine.graph import Graph


@click.command("demo", epilog="Example: intsim demo -o /tmp/first-look")
@model_option
@output_option("Folder for the results.", "out")
@threads_option
def command(model: Path | None, output: Path, threads: int | None) -> int:
    """Label the shipped street picture, write its golden file, and compare that with the shipped one.

    With another --model the picture is scaled to that model's size, and there is no shipped golden file to compare with.
    """

    from ..debugging.core import diff
    from ..engine.classes import class_names
    from ..engine.interpreter import run
    from ..storage.golden_file import golden, open_golden
    from ..storage.pictures import palette_of, write_labels, write_overlay

    if output.exists() and not output.is_dir():
        raise FileError(f"{output}: is a file; the demo needs a folder to write into")
    graph = load_segmenter(model)
    output.mkdir(parents=True, exist_ok=True)
    image = read_picture(resources.picture(), graph, resize=model is not None)
    level: str = "boundary"
    layers: tuple[str, ...] = ()
    reference = None if model else resources.golden_file()
    if reference is not None:
        with open_golden(reference) as shipped:
            level, layers = shipped.level, shipped.layers

    with CompiledAhead(model) as ahead:
        announce_compiling(ahead.start)
        target = output / "golden.h5"
        with progress("writing", len(graph.nodes)) as step:
            content = golden(graph, image, target, level, layers, threads=threads, progress=step)
        with progress("running", len(graph.nodes)) as step:
            run(graph, image, threads=threads)  # packs the weights, once per graph
            ahead.end()  # before it takes part of what is measured
            begun = time.perf_counter()
            labels = run(graph, image, progress=step, threads=threads)
            seconds = time.perf_counter() - begun

    names = class_names(graph)
    palette = palette_of(graph.config, len(names))
    write_labels(output / "labels.png", labels, palette)
    write_overlay(output / "overlay.png", image, labels, palette, names)

    console = safe_console()
    _tell(console, graph, model, output, seconds)
    _classes(console, labels, names, palette)
    if reference is None:
        console.print(f"\ncontent hash {content}; only the shipped model has a golden file to compare with")
        return 0
    result = diff(reference, target)
    _verdict(console, result, content)
    return 0 if result.identical else DIFFERENT


def _tell(console: Console, graph: Graph, model: Path | None, output: Path, seconds: float) -> None:
    from rich.markup import escape

    parameters = sum(array.size for node in graph.nodes for array in node.arrays().values())
    height, width, _ = graph.tensors[graph.input.name].shape
    name = escape(str(model or f"{graph.config.get('name', 'model')} (shipped)"))
    rows = [
        ("model", f"{name}, {parameters:,} integer parameters, dialect {escape(graph.dialect.name)}"),
        ("picture", f"{resources.picture().name}, {width} x {height} pixels"),
        ("ran", f"{len(graph.nodes)} operations in {1e3 * seconds:.0f} ms, none of them in floating point"),
        ("labels", f"{escape(str(output / 'labels.png'))}    one class index per pixel"),
        ("overlay", f"{escape(str(output / 'overlay.png'))}   the same for people"),
        ("golden file", f"{escape(str(output / 'golden.h5'))}     the tensors a device must reproduce"),
    ]
    console.print(f"[bold]intsim {__version__}[/]: integer-only segmentation, from a picture to a golden file\n")
    for title, text in rows:
        console.print(f"  [cyan]{title:<13}[/]{text}", highlight=False, soft_wrap=True)


def _classes(console: Console, labels: IntArray, names: list[str], palette: list[tuple[int, int, int]]) -> None:
    import numpy as np
    from rich.markup import escape

    counts = np.bincount(labels.ravel(), minlength=len(names))
    console.print()
    for index in np.argsort(-counts, kind="stable"):
        if counts[index]:
            r, g, b = palette[index]
            bar = "█" * max(1, round(40 * counts[index] / counts.max()))
            share = counts[index] / labels.size
            console.print(
                f"  {escape(f'{names[index]:<12}')}[rgb({r},{g},{b})]{bar}[/] {share:.1%}", highlight=False, soft_wrap=True
            )


def _verdict(console: Console, result: Diff, content: str) -> None:
    console.print()
    if result.identical:
        elements = sum(node.total for node in result.nodes)
        console.print(
            f"[bold green]bit-exact[/]: {len(result.nodes)} tensors, {elements:,} integers, as in the shipped golden file",
            highlight=False,
        )
        console.print(f"content hash {content}", highlight=False)
    else:
        console.print(
            f"[bold red]different[/] from the shipped golden file, first at {result.differing[0].name}: "
            "this build of intsim does not compute what it should; please report it",
            highlight=False,
        )
    console.print("\nnext: intsim inspect          each operation, its format and proven bounds")
    console.print("      intsim diff A B         how a device's dump B differs from golden file A")
    console.print("      intsim golden PICTURE   a golden file of your own picture")
