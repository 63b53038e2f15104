"""How one value was computed, as a table: every step in decimal, hexadecimal and binary."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..rules import abridged
from .core import Trace


def render(console: Console, found: Trace, holder: str = "the file holds") -> None:
    """Write the table of a trace's steps to `console`; `holder` names the origin of a value that differs from them."""
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
    for rule, value in found.under.items():
        console.print(f"\n[cyan]{escape(rule)}[/] gives {value:,}", highlight=False, soft_wrap=True)
    if not found.agrees:
        console.print(
            f"\n[bold red]different[/]: {holder} {found.recorded:,} here, the steps give {found.value:,}",
            highlight=False,
            soft_wrap=True,
        )
        if found.explained_by:
            rules = " or ".join(abridged(found.explained_by))
            console.print(f"all values of the node are those of {escape(rules)}", highlight=False, soft_wrap=True)
