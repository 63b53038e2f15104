"""``intsim campaign``: random calls and graphs computed twice, here or on a cluster; what differs is kept."""

from __future__ import annotations

from pathlib import Path

import click

from ._common import DIFFERENT, cluster_option, json_option, require_extra, shown
from ._output import put_json, say
from ._progress import announce_compiling, progress


@click.command("campaign", epilog="Example: intsim campaign --seeds 0-99 --device ./my-device --only requant -o failures")
@click.option("--seeds", default="0-9", show_default=True, metavar="FIRST-LAST", help="Each makes other calls and graphs.")
@click.option("--only", "operators", multiple=True, metavar="OP", help="Calls of this operator alone; may be repeated.")
@click.option(
    "--examples", type=click.IntRange(min=1), default=50, show_default=True, help="Calls an operator, dialect and seed."
)
@click.option(
    "--device", default="", metavar="COMMAND", help="Reads vectors, writes answers; instead of intsim's fast forms."
)
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path),
    default="failures",
    show_default=True,
    help="Folder of failures.",
)
@cluster_option
@json_option
def command(
    seeds: str, operators: tuple[str, ...], examples: int, device: str, folder: Path, cluster: str, as_json: bool
) -> int:
    """Compute random calls and graphs twice: fast and fused against the reference, or a device against it.

    A device reads the questions of 'intsim vectors gen' on its standard input and writes them with its answers. Every
    failure is shrunk and kept in a folder: the call in Python and as vectors, a graph as a model file and its picture. Exit
    code 1: something differs.
    """
    require_extra("hypothesis", "testing")
    from ..cluster import require_cluster
    from ..dialects import DIALECTS
    from ..ops import REGISTRY
    from ..sets.campaign import campaign

    first, _, last = seeds.partition("-")
    if not (first.isdecimal() and (last or first).isdecimal() and int(first) <= int(last or first)):
        raise click.UsageError(f"--seeds {seeds!r}: FIRST-LAST is expected, as in 0-99")
    require_cluster(cluster)
    announce_compiling()
    numbers = range(int(first), int(last or first) + 1)
    names = operators or tuple(REGISTRY)
    each = sum(len(DIALECTS) if name in REGISTRY and REGISTRY[name].choices else 1 for name in names)
    with progress("campaign", len(numbers) * (each + (not device and not operators)), timed=True) as step:
        found = campaign(
            numbers, folder, operators=operators, examples=examples, device=device, cluster=cluster, progress=step
        )
    if as_json:
        put_json(found.record(), None)
        return DIFFERENT if found.failures else 0
    for failure in found.failures:
        where = f" in {failure.dialect}" if failure.dialect else ""
        say(f"{failure.what}{where}, seed {failure.seed}: {shown(failure.file)}")
    left = f", {found.unsupported:,} not supported by the device" if found.unsupported else ""
    graphs = f" and {found.graphs:,} graphs" if found.graphs else ""
    say(f"{found.calls:,} calls{graphs} computed twice{left}: {len(found.failures):,} failures")
    return DIFFERENT if found.failures else 0
