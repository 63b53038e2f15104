"""A diff as one self-contained HTML page: it loads nothing from the network or from other files."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from ..._version import __version__
from ...arith import IntArray
from ...storage.files import replacing
from ...storage.templates import template, with_policy
from ..compare import Comparison, axis_names
from ..result import MATCH, Diff, NodeDiff
from . import words
from .words import Finding

TEMPLATE = "page.html.j2"
# From none to the largest share: a sequential scale from pale to dark red, of even steps in lightness.
SCALE = ((255, 245, 240), (254, 187, 161), (251, 106, 74), (203, 24, 29), (103, 0, 13))
TIMES = " \N{MULTIPLICATION SIGN} "
CELL = 4  # least width of a heat map's cell, in pixels


def write_html(path: str | Path, diff: Diff) -> None:
    """Write the page to `path`, atomically."""
    page = template(__package__, TEMPLATE, markup=True).render(
        diff=diff,
        headline=words.headline(diff),
        compared=words.compared(diff),
        conversions=words.conversions(diff),
        unfollowed=words.unfollowed(diff),
        findings=[_finding(finding) for finding in words.findings(diff)],
        sections=_sections(diff),
        rows=[_row(node, diff) for node in diff.nodes],
        shown_on=words.shown_on(diff),
        blindness=words.blindness(diff) if diff.identical or diff.exposure else "",
        shown=[(*row, f"{1 - row[3] / row[2]:.1%}" if row[2] else "") for row in diff.exposure.by_operator()]
        if diff.exposure
        else [],
        states={state: sum(words.state(node, diff) == state for node in diff.nodes) for state in LEGEND},
        legend=LEGEND,
        version=__version__,
    )
    with replacing(path) as temporary:
        temporary.write_text(with_policy(page), encoding="utf-8", errors="backslashreplace")  # file names need not be text


LEGEND = {
    "culprit": "wrong by itself",
    "symptom": "shows a culprit that the dump leaves out",
    "differs": "differs",
    "inherited": "differs, but only propagates an error",
    "other-inputs": "right, but of other inputs than those dumped",
    "layout": "stored in another layout",
    "unusable": "of another shape or type, or not readable",
    "match": "identical",
    "missing": "not in the dump",
    "extra": "not in the golden file",
    "absent": "in neither file",
}


def _finding(finding: Finding) -> dict[str, Any]:
    node, comparison, explanation = finding.node, finding.comparison, finding.explanation
    first = comparison.first
    largest = max(b.count for b in comparison.histogram)
    return {
        "name": finding.culprit,
        "seen_at": node.name if node.name != finding.culprit else "",
        "operator": f"{finding.op}, {comparison.fmt}, {TIMES.join(map(str, comparison.shape))}",
        "explained": _with_code(explanation.sentence()) if explanation else "",
        "fits": bool(explanation and explanation.fits),
        "equivalent": [c.label(node.name) for c in explanation.fits[1:]] if explanation else [],
        "layout": node.layout.says if node.layout else "",
        "expected": "expected" if node.isolated else "golden",
        "first": first and {"index": first.index, "golden": _value(first.golden, first), "dut": _value(first.dut, first)},
        "wrong": f"{comparison.differing:,} of {comparison.total:,} elements ({words.share(comparison.share)})",
        "errors": words.errors(comparison, node.op),
        "where": words.where(comparison),
        "worst": words.worst(comparison),
        "segment": finding.segment,
        "histogram": [
            {"label": str(b), "count": b.count, "width": 100 * b.count / largest, "high": b.lo > 0}
            for b in comparison.histogram
        ],
        "heat": _heat(comparison),
        "axes": _axes(comparison.shape),
        "largest": words.share(float(comparison.heat.max())) if comparison.heat is not None else "",
    }


def _axes(shape: tuple[int, ...]) -> list[str]:
    """The axes that run down and across a heat map."""
    names = axis_names(shape)
    return names[:2] if names[-1] == "channel" else ["", *names][-2:]


def _with_code(sentence: str) -> Markup:
    """A sentence with its words in backquotes as code."""
    parts = sentence.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))


def _value(value: int, first: Any) -> str:
    return f"{value:,} ({first.hexadecimal(value)})"


def _heat(comparison: Comparison) -> str:
    """The heat map as a PNG in a data URL."""
    if comparison.heat is None:
        return ""
    shares = comparison.heat / comparison.heat.max()
    zoom = [max(CELL, 288 // n) for n in shares.shape]
    picture = Image.fromarray(_coloured(shares).repeat(zoom[0], axis=0).repeat(zoom[1], axis=1))
    png = io.BytesIO()
    picture.save(png, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()


def _coloured(shares: IntArray) -> IntArray:
    stops = np.linspace(0, 1, len(SCALE))
    channels = [np.interp(shares, stops, [color[i] for color in SCALE]) for i in range(3)]
    colors: IntArray = np.stack(channels, axis=-1).round().astype(np.uint8)
    return colors


def _sections(diff: Diff) -> list[dict[str, Any]]:
    """The whole graph, part by part, one cell per node."""
    states = {node.name: words.state(node, diff) for node in diff.nodes}
    culprits = set(diff.culprits or ())
    sections: list[dict[str, Any]] = []
    for node in diff.order:
        title = _part(node["name"])
        if not sections or sections[-1]["title"] != title:
            sections.append({"title": title, "cells": []})
        state = "culprit" if node["name"] in culprits else states.get(node["name"], "absent")
        sections[-1]["cells"].append({"name": node["name"], "op": node["op"], "state": state})
    return sections


def _part(name: str) -> str:
    """``encoder.blocks.0`` for nodes inside a block, the first word of the name for others."""
    words_of = name.split(".")
    numbered = next((i for i, word in enumerate(words_of) if word.isdecimal()), None)
    return ".".join(words_of[: numbered + 1]) if numbered is not None else words_of[0]


def _row(node: NodeDiff, diff: Diff) -> dict[str, Any]:
    comparison = node.best_comparison
    differing = comparison is not None and comparison.differing > 0
    return {
        "name": node.name,
        "op": node.op,
        "shape": TIMES.join(map(str, node.shape)),
        "format": str(node.fmt or ""),
        "state": words.state(node, diff),
        "differing": f"{comparison.differing:,}" if comparison and differing else "0" if node.accumulated == MATCH else "",
        "total": f"{node.total:,}",
        "share": words.share(comparison.share) if comparison and differing else "",
        "mean": f"{comparison.mean_of_differing:+.2f}" if comparison and differing else "",
        "remark": node.remark,
    }
