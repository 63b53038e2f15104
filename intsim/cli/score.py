"""``intsim score``: which mistakes a picture's tensors would show, and pictures that show more."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._common import check_target, inputs_of, json_option, model_behind_option, output_option, read_picture
from ._common import shown as printed
from ._output import put_json, put_rich, say
from ._progress import announce_compiling, progress

if TYPE_CHECKING:
    from rich.console import Console

    from ..measurement.exposure import Exposure

COMMONEST = 12  # unseen mistakes that are listed


@click.command("score", epilog="Example: intsim score golden.h5 --search 20 --pictures stimuli")
@click.argument("golden", type=click.Path(path_type=Path))
@model_behind_option
@click.option("--search", type=click.IntRange(min=1), metavar="N", help="Try N made pictures, too.")
@click.option("--among", type=click.Path(path_type=Path), metavar="FOLDER", help="Try the pictures in a folder, too.")
@click.option("--keep", type=click.IntRange(min=1), metavar="N", help="Choose N pictures at most.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the made pictures.")
@click.option(
    "--pictures",
    type=click.Path(path_type=Path),
    default=Path("stimuli"),
    show_default=True,
    help="Folder for the pictures found by --search.",
)
@output_option("Report file.", None)
@json_option
def command(
    golden: Path,
    model: Path | None,
    search: int | None,
    among: Path | None,
    keep: int | None,
    seed: int,
    pictures: Path,
    output: Path | None,
    as_json: bool,
) -> None:
    """Count the mistakes that a device could make without a wrong tensor on GOLDEN's picture.

    Every rule that diff knows is broken at every node, alone, on the node's right inputs. What gives the right tensor all
    the same would pass unseen. With --search, pictures are made that drive the network to its ends; those that show more
    are written to a folder, for golden files of their own. With --among, those of a folder are chosen from that show more.
    The picture that shows most is listed first, then the one that adds most to it.
    """
    from PIL import Image

    from ..errors import FileError, IntsimError
    from ..measurement.exposure import exposure
    from ..measurement.search import searched, stimuli
    from ..storage.files import replacing
    from ..storage.golden_file import open_golden
    from ..storage.input_files import recorded_inputs
    from ..storage.model_file import model_behind

    if output is not None:
        check_target(output, golden, model)
    if among is not None and not among.is_dir():
        raise FileError(f"{among}: is no folder; name one with pictures")
    if pictures.exists() and not pictures.is_dir():
        raise FileError(f"{pictures}: is a file; name a folder")
    with open_golden(golden) as reference:
        graph = model_behind(reference, model)
        inputs = recorded_inputs(reference, graph)
        content = reference.content_sha256
    if not graph.takes_picture and (search or among is not None):
        option = "--search" if search else "--among"
        raise IntsimError(f"{option} tries pictures, and the model takes {inputs_of(graph)}; see 'intsim stimulus'")
    given = {path.name: read_picture(path, graph, resize=False) for path in _pictures_in(among)}
    height, width = graph.tensors[graph.input.name].shape[:2] if graph.takes_picture else (1, 1)
    made = stimuli(height, width, search or 0, seed)

    announce_compiling()
    with progress("breaking rules at", None) as step:
        found = replace(exposure(graph, inputs, progress=step), golden_sha256=content)
    with progress("trying", None) as step:
        found, chosen = searched(graph, found, chain(given.items(), made), most=keep, progress=step)
    places = {one.name: among / one.name if among and one.name in given else pictures / f"{one.name}.png" for one in chosen}
    for one in chosen:
        if one.name not in given:
            pictures.mkdir(parents=True, exist_ok=True)
            with replacing(places[one.name]) as temporary:
                Image.fromarray(one.image).save(temporary, format="PNG")
    if as_json:
        record = found.record()
        record["stimuli"] = [{"file": places[one.name].name, "exposes": one.exposes} for one in chosen]
        put_json(record, output)
        return
    what = "this picture" if graph.takes_picture else "these inputs"
    put_rich(lambda console: _render(console, found, what), output)
    for one in chosen:
        say(f"{printed(places[one.name])}: exposes {one.exposes:,} more")


def _pictures_in(folder: Path | None) -> list[Path]:
    """The files of a folder that Pillow takes for pictures, by name."""
    from PIL import Image

    known = Image.registered_extensions()
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in known and p.is_file()) if folder is not None else []


def _render(console: Console, found: Exposure, what: str) -> None:
    from rich.table import Table

    over = f"{found.pictures} pictures" if found.pictures > 1 else what
    same = f"{found.unseen:,} would look the same on {over}"
    never = f"; {found.equivalent:,} more show on no input of their nodes" if found.equivalent else ""
    console.print(
        f"of {found.counted:,} mistakes we know, {same} ({found.share:.1%} exposed){never}\n",
        highlight=False,
        soft_wrap=True,
    )
    table = Table(box=None, header_style="bold", padding=(0, 1), show_edge=False)
    table.add_column("operator", no_wrap=True)
    for title in ("nodes", "mistakes", "unseen", "exposed"):
        table.add_column(title, justify="right", no_wrap=True)
    for op, nodes, counted, unseen in found.by_operator():
        share = f"{1 - unseen / counted:.1%}" if counted else ""
        table.add_row(op, f"{nodes:,}", f"{counted:,}", f"{unseen:,}", share)
    console.print(table)
    commonest = Counter(f"{node.op} {name}" for node in found.nodes for name in node.unseen).most_common(COMMONEST)
    if commonest:
        listed = ", ".join(f"{name} ({count})" for name, count in commonest)
        console.print(f"\nmost often unseen: {listed}", highlight=False, soft_wrap=True)
