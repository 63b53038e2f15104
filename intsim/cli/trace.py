"""``intsim trace``: how one value came to be, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._common import check_target, json_option, model_behind, model_behind_option, output_option, put_json, put_rich

if TYPE_CHECKING:
    from rich.console import Console

    from ..trace import Trace

DIFFERENT = 1


@click.command("trace", epilog="Example: intsim trace golden.h5 encoder.blocks.0.attn.softmax --at 0,3,17")
@click.argument("golden", type=click.Path(path_type=Path))
@click.argument("node")
@click.option("--at", "place", required=True, metavar="I,J,...", help="The element; negative numbers count from the end.")
@model_behind_option
@output_option("Report file.", None)
@json_option
def command(golden: Path, node: str, place: str, model: Path | None, output: Path | None, as_json: bool) -> int:
    """Show the arithmetic behind one element of NODE, in decimal, hexadecimal and binary with the binary point.

    The inputs are those in GOLDEN; what it leaves out is recomputed. On a device's dump the trace starts from the device's
    own inputs. Exit code 1 says that the file holds another value than the steps give.
    """
    from ..golden import opened
    from ..trace import trace

    try:
        index = [int(number) for number in place.split(",")]
    except ValueError:
        raise click.UsageError(f"--at {place!r} is not a list of whole numbers like 3,17") from None
    if output is not None:
        check_target(output, golden, model)
    graph = model_behind(golden, model)
    with opened(golden) as reference:
        found = trace(graph, reference, node, index)
    if as_json:
        put_json(found.record(), output)
    else:
        put_rich(lambda console: _table(console, found), output)
    return 0 if found.agrees else DIFFERENT


def _table(console: Console, found: Trace) -> None:
    from rich.markup import escape
    from rich.table import Table

    where = f"{found.node}[{','.join(map(str, found.index))}]"
    real = f" = {found.value * found.scale:.6g} (scale {found.scale:.6g})" if found.scale is not None else ""
    console.print(
        f"[bold]{escape(where)}[/] = [bold]{found.value:,}[/]{real}, {found.op}\n", highlight=False, soft_wrap=True
    )
    table = Table(box=None, header_style="bold", padding=(0, 1), show_edge=False)
    table.add_column("step", style="cyan", no_wrap=True)
    table.add_column("how", overflow="fold")
    for title in ("decimal", "hex", "binary"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("", style="dim", overflow="fold")
    for line in found.lines:
        table.add_row(
            escape(line.name), escape(line.how), f"{line.value:,}", line.hexadecimal(), line.binary(), escape(line.note)
        )
    console.print(table, highlight=False)
    if not found.agrees:
        console.print(
            f"\n[bold red]different[/]: the file holds {found.recorded:,} here, the steps give {found.value:,}",
            highlight=False,
            soft_wrap=True,
        )
