"""``intsim stimulus``: tensors for single nodes that show the mistakes that a picture does not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._common import json_option, model_behind_option
from ._common import shown as printed
from ._output import put_json, put_rich, say
from ._progress import announce_compiling, progress

if TYPE_CHECKING:
    from rich.console import Console

    from ..measurement.stimulus import Stimuli


@click.command("stimulus", epilog="Example: intsim stimulus golden.h5 '*.norm1.requant' -o stimuli")
@click.argument("golden", type=click.Path(path_type=Path))
@click.argument("nodes", nargs=-1, metavar="[NODE]...")
@model_behind_option
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("stimuli"), show_default=True, help="Folder.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Of the random values.")
@json_option
def command(golden: Path, nodes: tuple[str, ...], model: Path | None, output: Path, seed: int, as_json: bool) -> None:
    """Find values for the inputs of single nodes that show the mistakes that GOLDEN's picture, or other inputs, do not.

    NODE are names or globs; without any, all nodes are tried. Each file written is a golden file of a node's inputs and its
    output: 'intsim export' writes it for a bench, and 'intsim diff' judges the answer. Mistakes that no input of a node
    shows, with the parameters that it has, are counted with the reason.
    """
    from ..engine.names import chooses, require_matches
    from ..errors import FileError, IntsimError, UnmatchedGlob
    from ..measurement.exposure import exposure
    from ..measurement.stimulus import save, stimuli_beyond
    from ..storage.golden_file import open_golden
    from ..storage.input_files import recorded_inputs
    from ..storage.model_file import model_behind

    if output.exists() and not output.is_dir():
        raise FileError(f"{output}: is a file; name a folder")
    with open_golden(golden) as reference:
        graph = model_behind(reference, model)
        inputs = recorded_inputs(reference, graph)
    try:
        require_matches(nodes, graph.by_name)
    except UnmatchedGlob as error:
        raise IntsimError(str(error)) from None
    chosen = [node for node in graph.nodes if chooses(nodes, node.name)]
    if not any(node.inputs for node in chosen):
        raise IntsimError(f"{', '.join(node.name for node in chosen)}: no inputs to drive; name nodes that compute")
    announce_compiling()
    with progress("breaking rules at", None) as step:
        seen = exposure(graph, inputs, names={node.name for node in chosen}, progress=step)
    with progress("driving", None) as step:
        found = stimuli_beyond(graph, seen, seed, progress=step)
    if found.exposed:
        output.mkdir(parents=True, exist_ok=True)
    before = {path.name for path in output.iterdir()} if output.exists() else set()
    paths = save(graph, found, output)
    if others := sorted(before - {path.name for path in paths}):
        say(f"intsim: {printed(output)} also holds {len(others)} files of before, such as {others[0]}", err=True)
    if as_json:
        put_json({**found.record(), "folder": str(output)}, None)
        return
    what = "the picture shows" if graph.takes_picture else "the inputs show"
    put_rich(lambda console: _render(console, found, what), None)
    if paths:
        say(f"{printed(output)}: {len(paths)} files, one per stimulus, such as {printed(paths[0].name)}")


def _render(console: Console, found: Stimuli, what: str) -> None:
    from rich.table import Table

    seen = found.seen
    console.print(
        f"of {seen.counted + seen.equivalent:,} mistakes we know {what} {seen.counted - seen.unseen:,}, and "
        f"stimuli for single nodes {found.exposed:,} more; {found.never:,} show on no input of their nodes"
        + (f", and for {found.unfound:,} no stimulus was found" if found.unfound else "")
        + f" ({found.share:.1%} of what can be shown is)\n",
        highlight=False,
        soft_wrap=True,
    )
    table = Table(box=None, header_style="bold", padding=(0, 1), show_edge=False)
    table.add_column("operator", no_wrap=True)
    for title in ("nodes", "unseen", "stimuli", "exposed", "never", "not found"):
        table.add_column(title, justify="right", no_wrap=True)
    for op in dict.fromkeys(node.op for node in found.nodes):
        nodes = [node for node in found.nodes if node.op == op]
        never, unfound = sum(len(node.never) for node in nodes), sum(len(node.unfound) for node in nodes)
        exposed, files = sum(node.exposed for node in nodes), sum(len(node.stimuli) for node in nodes)
        table.add_row(op, *(f"{n:,}" for n in (len(nodes), exposed + never + unfound, files, exposed, never, unfound)))
    console.print(table)
