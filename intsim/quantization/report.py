"""Reports of the noise of every tensor: a picture (SVG), a page with picture and table (HTML), or data (JSON)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from .._version import __version__
from ..engine.graph import CONSTANT, Graph
from ..errors import FileError
from ..storage.templates import template, with_policy
from .recipe import from_table
from .sensitivity import Noise
from .trials import Trial

REPORT_SUFFIXES = (".html", ".svg", ".json")
LEFT, TOP, WIDTH, HEIGHT = 52, 14, 1060, 320  # of the plot area, in pixels
NAMED = 4  # how many of the noisiest tensors the picture names


def check_format(path: Path) -> None:
    """Raise FileError unless the suffix is that of a report format."""
    if path.suffix.lower() not in REPORT_SUFFIXES:
        raise FileError(f"{path}: a report is written as {', '.join(REPORT_SUFFIXES)}; give it one of these suffixes")


def rendered(suffix: str, graph: Graph, tensors: Sequence[Noise], choices: Sequence[Trial] = ()) -> str:
    """The report in the format of a suffix; a picture has no place for `choices`."""
    if suffix.lower() == ".json":
        record = {"model_sha256": graph.content_hash, "tensors": [noise.record() for noise in tensors]}
        text = json.dumps({**record, "choices": [trial.record() for trial in choices]}, indent=2)
    else:
        picture = template(__package__, "sensitivity.svg.j2", markup=True).render(**_geometry(tensors))
        text = picture
        if suffix.lower() == ".html":
            rows = [_row(noise) for noise in tensors]
            page = template(__package__, "sensitivity.html.j2", markup=True).render(
                picture=Markup(picture),
                rows=rows,
                choices=[{"name": t.choice, "sqnr": _formatted(t.sqnr), "same": _share(t.agreement)} for t in choices],
                name=graph.config.get("name", "model"),
                dialect=graph.dialect.name,
                recipe=_recipe(graph),
                content=graph.content_hash[:16],
                version=__version__,
            )
            text = with_policy(page)
    return text + "\n"


def _recipe(graph: Graph) -> str:
    departures = from_table(graph.provenance["recipe"]).departures()
    return json.dumps(departures) if departures else "the default"


def _row(noise: Noise) -> dict[str, Any]:
    return {
        "name": noise.name,
        "op": noise.op,
        "format": str(noise.fmt),
        "sqnr": _formatted(noise.sqnr),
        "own": _formatted(noise.own),
        "bar": round(min(max(noise.own or 0.0, 0.0), 80.0) / 80.0 * 160) if noise.own is not None else 160,
        "clipped": f"{noise.clipped:.2%}" if noise.clipped else "",
    }


def _share(agreement: float | None) -> str:
    return "" if agreement is None else f"{agreement:.2%}"


def _formatted(decibels: float | None) -> str:
    return "exact" if decibels is None else f"{decibels:.1f}"


def _geometry(tensors: Sequence[Noise]) -> dict[str, Any]:
    """The layout of the picture: tensors from left to right, decibels upwards."""
    shown = [noise for noise in tensors if noise.sqnr is not None or noise.own is not None]
    values = [value for noise in shown for value in (noise.sqnr, noise.own) if value is not None]
    low = 10 * int(min([*values, 0.0]) // 10)
    high = 10 * int(-(-max([*values, 10.0]) // 10))
    step = WIDTH / max(len(shown), 1)

    def x(index: float) -> float:
        return round(LEFT + step * (index + 0.5), 1)

    def y(decibels: float) -> float:
        return round(TOP + HEIGHT * (high - decibels) / (high - low), 1)

    bands, start = [], 0
    for number, (label, members) in enumerate(groupby(shown, key=_band)):
        size = len(list(members))
        left, width = round(LEFT + step * start, 1), round(step * size, 1)
        bands.append(
            {"x": left, "width": width, "label": label, "shaded": number % 2 == 1, "middle": x(start + size / 2 - 0.5)}
        )
        start += size
    noisiest = sorted((n for n in shown if n.own is not None), key=lambda n: n.own or 0.0)[:NAMED]
    return {
        "left": LEFT, "top": TOP, "width": WIDTH, "height": HEIGHT,
        "lines": [{"y": y(value), "label": value} for value in range(low, high + 1, 10)],
        "bands": bands,
        "path": [(x(i), y(noise.sqnr)) for i, noise in enumerate(shown) if noise.sqnr is not None and noise.op != CONSTANT],
        "dots": [
            {"x": x(i), "y": y(noise.own), "name": noise.name, "own": _formatted(noise.own), "sqnr": _formatted(noise.sqnr)}
            for i, noise in enumerate(shown) if noise.own is not None
        ],
        "named": [
            {"name": n.name, "own": _formatted(n.own), "x": x(shown.index(n)), "y": y(n.own or 0.0), "number": k + 1}
            for k, n in enumerate(noisiest)
        ],
    }  # fmt: skip


def _band(noise: Noise) -> str:
    """The part of the network that a tensor belongs to: its block, or encoder or decoder."""
    parts = noise.name.split(".")
    return f"{parts[0]} block {parts[2]}" if parts[1:2] == ["blocks"] else parts[0]
