"""``intsim diff``: two golden files, exactly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._common import check_target, json_option, load_model, model_option, output_option, put_json, put_rich

if TYPE_CHECKING:
    from rich.console import Console

    from ..diff import Diff

DIFFERENT = 1


@click.command("diff", epilog="Example: intsim diff golden.h5 device.h5 --json")
@click.argument("golden", type=click.Path(path_type=Path))
@click.argument("dut", type=click.Path(path_type=Path))
@model_option
@output_option("Report file.", None)
@json_option
def command(golden: Path, dut: Path, model: Path | None, output: Path | None, as_json: bool) -> int:
    """Compare the device's file DUT with GOLDEN, element by element.

    Exit code 0: identical; 1: a difference was found; 2: the files cannot be compared. With --model both files must stem
    from that model.
    """
    from ..diff import diff

    if output is not None:
        check_target(output, golden, dut, model)
    result = diff(golden, dut, load_model(model).content_hash if model else None)
    for warning in result.warnings:
        click.echo(f"intsim: warning: {warning}", err=True)
    if as_json:
        put_json(result.record(), output)
    else:
        put_rich(lambda console: _report(console, result), output)
    return 0 if result.identical else DIFFERENT


def _report(console: Console, result: Diff) -> None:
    from rich.markup import escape
    from rich.table import Table

    elements = sum(node.total for node in result.nodes)
    compared = f"{len(result.nodes)} tensors, {elements:,} elements compared"
    for side, names in (("golden file", result.only_golden), ("DUT", result.only_dut)):
        if names:
            more = ", ..." if len(names) > 1 else ""
            compared += f"; {len(names)} only in the {side} were not ({escape(names[0])}{more})"
    if result.identical:
        console.print(f"[bold green]identical[/]: {compared}", highlight=False)
        return
    first = result.differing[0]
    console.print(f"[bold red]different[/]: first at [bold]{escape(first.name)}[/]", highlight=False)
    if first.first:
        at = first.first
        golden, dut = (f"{value} ({at.hexadecimal(value)})" for value in (at.golden, at.dut))
        console.print(f"  index {at.index}: golden {golden}, dut {dut}", highlight=False)
    table = Table("node", box=None, header_style="bold", padding=(0, 2))
    for title in ("differing", "of", "share"):
        table.add_column(title, justify="right")
    table.add_column("")
    for node in result.differing:
        differing = "?" if node.differing is None else f"{node.differing:,}"
        share = "" if node.differing is None else _share(node.differing / node.total)
        table.add_row(escape(node.name), differing, f"{node.total:,}", share, escape(node.note or ""))
    console.print(table)
    console.print(f"{len(result.differing)} of {compared}", highlight=False)


def _share(share: float) -> str:
    return "<0.01%" if 0 < share < 0.0001 else f"{share:.2%}"
