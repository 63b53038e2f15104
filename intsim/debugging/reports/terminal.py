"""A diff on the terminal: what is wrong and why, then a table of the tensors."""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..compare import Comparison
from ..result import Diff, NodeDiff
from . import words
from .words import Finding

SHADES = " ░▒▓█"
STYLES = {
    "culprit": "bold red",
    "symptom": "red",
    "differs": "red",
    "inherited": "yellow",
    "other-inputs": "blue",
    "layout": "magenta",
    "unusable": "bold magenta",
    "missing": "dim",
    "extra": "cyan",
    "match": "green",
}
MAP_ROWS, MAP_COLUMNS = 10, 48
FULL = 5  # findings that are shown in full
INHERITED = 6  # rows of tensors that only propagate an error


def render(console: Console, diff: Diff) -> None:
    """Write the report to `console`."""
    colour = "green" if diff.identical else "red"
    headline = words.headline(diff) + (f": {words.compared(diff)}" if diff.identical else "")
    title, colon, rest = headline.partition(":")
    console.print(f"[bold {colour}]{title}[/]{colon}{escape(rest)}", highlight=False, soft_wrap=True)
    for line in words.unfollowed(diff):
        console.print(escape(line), highlight=False, soft_wrap=True)
    for line in words.conversions(diff):
        console.print(f"[dim]{escape(line)}[/]", highlight=False, soft_wrap=True)
    if diff.identical:
        console.print(f"[dim]{words.blindness(diff)}[/]", highlight=False, soft_wrap=True)
        return
    if not diff.differing and diff.conventions:
        console.print(escape(words.compared(diff)), highlight=False, soft_wrap=True)
        return
    findings = words.findings(diff)
    for finding in findings[:FULL]:
        _finding(console, finding, diff)
    for finding in findings[FULL:]:
        explained = f": {finding.explanation.sentence()}" if finding.explanation else ""
        console.print(f"\n[bold]{escape(finding.culprit)}[/]{escape(explained)}", highlight=False, soft_wrap=True)
    console.print()
    _table(console, diff)
    if entries := words.map_entries(diff):
        console.print("to read these tensors in order, put this into a map (map.toml):", soft_wrap=True)
        for entry in entries:
            console.print(escape(entry), highlight=False, soft_wrap=True)
    wrong = [node for node in diff.compared if node.bad]
    console.print(f"{len(wrong)} of {escape(words.compared(diff))}", highlight=False, soft_wrap=True)


def _finding(console: Console, finding: Finding, diff: Diff) -> None:
    node, comparison = finding.node, finding.comparison
    shape = " x ".join(map(str, node.shape))
    console.print(f"\n[bold red]{escape(finding.culprit)}[/]", highlight=False, soft_wrap=True)
    lines = [("operator", f"{finding.op}, {comparison.fmt} {shape}")]
    if finding.culprit != node.name:
        lines = [("operator", finding.op), ("seen at", f"{node.name}, {comparison.fmt} {shape}")]
    if finding.explanation is not None:
        lines.append(("rule", finding.explanation.sentence()))
        if also := words.also(finding.explanation, node.name, diff):
            lines.append(("also", also))
    if node.layout is not None:
        lines.append(("layout", node.layout.says))
    if first := comparison.first:
        expected, actual = (f"{value} ({first.hexadecimal(value)})" for value in (first.golden, first.dut))
        source = "expected" if node.isolated else "golden"
        lines.append(("first", f"index {first.index}: {source} {expected}, dut {actual}"))
    wrong = f"{comparison.differing:,} of {comparison.total:,} ({words.share(comparison.share)})"
    lines.append(("wrong", f"{wrong}, {words.errors(comparison, node.op)}"))
    if where := words.where(comparison):
        lines.append(("where", where))
    lines += [("worst" if i == 0 else "", text) for i, text in enumerate(words.worst(comparison))]
    if finding.segment:
        lines.append(("covers", finding.segment))
    for title, text in lines:
        console.print(f"  [cyan]{title:<9}[/]{escape(text)}", highlight=False, soft_wrap=True)
    _pictures(console, comparison)


def _pictures(console: Console, comparison: Comparison) -> None:
    """The histogram of differences, and next to it the heat map of the last two axes."""
    bars = []
    largest = max(b.count for b in comparison.histogram)
    for part in sorted(comparison.histogram, key=lambda b: -b.count)[:MAP_ROWS]:
        bars.append((part.lo, f"{part!s:>14} {part.count:>9,} {'█' * max(1, round(16 * part.count / largest))}"))
    left = [text for _, text in sorted(bars)]
    right = _heat(comparison)
    console.print(
        f"  [cyan]{'LSB':<9}[/]{'histogram':<42}heat map, rows down, columns across", highlight=False, soft_wrap=True
    )
    for i in range(max(len(left), len(right))):
        bar = left[i] if i < len(left) else ""
        heat = f"│{right[i]}│" if i < len(right) else ""
        console.print(f"   {bar:<48}[red]{heat}[/]", highlight=False, soft_wrap=True)


def _heat(comparison: Comparison) -> list[str]:
    heat = comparison.heat
    if heat is None:
        return []
    cut = [
        np.linspace(0, n, min(n, limit) + 1).astype(int)
        for n, limit in zip(heat.shape, (MAP_ROWS, MAP_COLUMNS), strict=True)
    ]
    rows = np.maximum.reduceat(heat, cut[0][:-1], axis=0)
    cells = np.maximum.reduceat(rows, cut[1][:-1], axis=1)
    levels = np.ceil(cells / cells.max() * (len(SHADES) - 1)).astype(int)
    return ["".join(SHADES[level] for level in row) for row in levels]


def _table(console: Console, diff: Diff) -> None:
    table = Table(box=None, header_style="bold", padding=(0, 1), show_edge=False)
    table.add_column("node", no_wrap=True)
    table.add_column("")
    for title in ("differing", "of", "share", "mean LSB"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    rows = [node for node in diff.nodes if node.bad or node.other_inputs]
    inherited = [node for node in rows if words.state(node, diff) == "inherited"]
    for node in inherited[INHERITED:]:
        rows.remove(node)
    for node in rows:
        table.add_row(*_row(node, diff))
    console.print(table)
    if len(inherited) > INHERITED:
        more = f"and {len(inherited) - INHERITED} more that only propagate an error"
        console.print(f"[dim]{more}; the JSON and HTML reports list them[/]", highlight=False, soft_wrap=True)


def _row(node: NodeDiff, diff: Diff) -> list[str]:
    state = words.state(node, diff)
    style = STYLES[state]
    comparison = node.best_comparison
    if comparison is None:
        counts = ["?", f"{node.total:,}", "", ""]
    else:
        mean = f"{comparison.mean_of_differing:+.2f}" if comparison.differing else ""
        counts = [f"{comparison.differing:,}", f"{comparison.total:,}", words.share(comparison.share), mean]
    return [escape(node.name), f"[{style}]{state}[/]", *counts, escape(node.remark)]
