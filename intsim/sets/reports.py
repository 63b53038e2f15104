"""A comparison of sets on the terminal, as one HTML page with a matrix of nodes and pictures, and as JUnit XML."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import numpy as np
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .._version import __version__
from ..debugging.reports.junit import write_xml
from ..errors import printable
from ..storage.files import replacing
from ..storage.templates import template, with_policy
from .comparing import Culprit, PictureDiff, SetDiff

TEMPLATE = "matrix.html.j2"
SHOWN = 12  # culprits, and pictures with an error, on the terminal
CELL = 14  # pixels of a cell of the matrix, at most
WIDEST = 1600  # pixels of the matrix
# Of the matrix: right, inherits an error, wrong, not compared.
RIGHT, INHERITED, WRONG, UNKNOWN = (222, 240, 230), (245, 165, 36), (192, 16, 72), (207, 212, 220)


def headline(found: SetDiff) -> str:
    """The outcome in one sentence."""
    total = len(found.pictures)
    failed = sum(bool(picture.error) for picture in found.pictures)
    differing = sum(not picture.identical and not picture.error for picture in found.pictures)
    pictures = f"{total:,} picture{'s' if total != 1 else ''}"
    if found.identical:
        return f"identical: {pictures}, {sum(p.compared for p in found.pictures):,} tensors"
    said = f"{differing:,} of {pictures} differ{'s' if differing == 1 else ''}"
    return said + (f", {failed:,} could not be compared" if failed else "")


def left_out(found: SetDiff) -> str:
    """What was not compared, in one sentence; "" where nothing was left out."""
    rest = len(found.index.pictures) - len(found.index.failed) - len(found.pictures)
    said = [f"{rest:,} pictures of the set have no dump"] if rest else []
    if missing := sum(picture.missing for picture in found.pictures):
        said.append(f"{missing:,} tensors are not in the dumps")
    if found.extra:
        said.append(f"{len(found.extra):,} other files: {', '.join(map(printable, found.extra[:3]))}")
    return "; ".join(said)


def render(console: Console, found: SetDiff) -> None:
    """Write the report to `console`."""
    console.print(
        f"[bold {'green' if found.identical else 'red'}]{escape(headline(found))}[/]", highlight=False, soft_wrap=True
    )
    if rest := left_out(found):
        console.print(f"[dim]{escape(rest)}[/]", highlight=False, soft_wrap=True)
    culprits = found.culprits()
    if culprits:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for head in (
            "culprit" if found.isolated else "first wrong node",
            "rule" if found.isolated else "",
            "pictures",
            "smallest",
            "elements",
            "first",
        ):
            table.add_column(head, justify="right" if head in ("pictures", "elements") else "left", overflow="fold")
        for culprit in culprits[:SHOWN]:
            table.add_row(*map(escape, _cells(culprit)))
        console.print(table)
        if len(culprits) > SHOWN:
            console.print(f"[dim]and {len(culprits) - SHOWN} more; the JSON and the HTML have all[/]", highlight=False)
    elif not found.identical and found.isolated:
        console.print("no node is wrong by itself", highlight=False)
    failed = [picture for picture in found.pictures if picture.error]
    for picture in failed[:SHOWN]:
        console.print(f"{escape(printable(picture.name))}: {escape(picture.error)}", highlight=False, soft_wrap=True)


def _cells(culprit: Culprit) -> tuple[str, ...]:
    return (
        culprit.node,
        culprit.rule,
        f"{len(culprit.pictures):,}",
        printable(culprit.smallest),
        "" if culprit.differing is None else f"{culprit.differing:,}",
        culprit.place,
    )


def write_junit(path: str | Path, found: SetDiff) -> None:
    """Write JUnit XML to `path`, one test case a picture."""
    bad = sum(not picture.identical for picture in found.pictures)
    suite = xml.Element(
        "testsuite", name="intsim diff", tests=str(len(found.pictures)), failures=str(bad), errors="0", skipped="0"
    )
    for picture in found.pictures:
        group, _, name = printable(picture.name).rpartition("/")
        case = xml.SubElement(suite, "testcase", classname=group or "set", name=name, time="0")
        if not picture.identical:
            failure = xml.SubElement(case, "failure", message=_message(picture))
            lines = [
                f"{w.node}: {w.differing if w.differing is not None else '?'} elements {w.rule} {w.place}".rstrip()
                for w in picture.wrong
            ]
            failure.text = "\n".join(lines)
    suites = xml.Element("testsuites", tests=str(len(found.pictures)), failures=str(bad))
    suites.append(suite)
    write_xml(path, suites)


def _message(picture: PictureDiff) -> str:
    if picture.error:
        return picture.error
    culprits = [f"{w.node} ({w.rule})" if w.rule else w.node for w in picture.wrong if w.culprit]
    if culprits:
        return f"wrong by itself: {', '.join(culprits)}"
    return f"first wrong: {picture.wrong[0].node}" if picture.wrong else "the dump is stored in another way"


def write_html(path: str | Path, found: SetDiff) -> None:
    """Write one self-contained HTML page to `path`: culprits, and a matrix of pictures and the nodes that are wrong."""
    order = {name: i for i, name in enumerate(found.index.tensors)}
    counts = found.counts()
    nodes = sorted(counts, key=lambda name: order.get(name, len(order)))
    page = template(__package__, TEMPLATE, markup=True).render(
        found=found,
        headline=headline(found),
        rest=left_out(found),
        culprits=[
            dict(zip(("node", "rule", "pictures", "smallest", "elements", "place"), _cells(c), strict=True))
            for c in found.culprits()
        ],
        nodes=[{"name": name, "count": counts[name]} for name in nodes],
        matrix=_matrix(found, nodes) if nodes else None,
        failed=[picture for picture in found.pictures if picture.error],
        version=__version__,
    )
    with replacing(path) as temporary:
        temporary.write_text(with_policy(page), encoding="utf-8", errors="backslashreplace")


def _matrix(found: SetDiff, nodes: list[str]) -> dict[str, Any]:
    """The matrix as a picture: a row a node, a column a picture."""
    cells = np.full((len(nodes), len(found.pictures), 3), RIGHT, np.uint8)
    rows = {name: i for i, name in enumerate(nodes)}
    for column, picture in enumerate(found.pictures):
        if picture.error:
            cells[:, column] = UNKNOWN
        for wrong in picture.wrong:
            cells[rows[wrong.node], column] = WRONG if wrong.culprit or not found.isolated else INHERITED
    size = max(1, min(CELL, WIDEST // len(found.pictures)))
    image = Image.fromarray(cells).resize((len(found.pictures) * size, len(nodes) * CELL), Image.Resampling.NEAREST)
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return {
        "data": base64.b64encode(stream.getvalue()).decode(),
        "width": image.width,
        "height": image.height,
        "row": CELL,
        "column": size,
        "names": [printable(picture.name) for picture in found.pictures],
    }
