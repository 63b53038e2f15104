"""Plots as SVG, without any library: panels with axes, lines, dots and labels. Colours follow the reader's light or dark mode."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from intsim.arith import IntArray

Point = tuple[float, float]
STYLE = """\
.paper { fill: #fff } .plot { fill: #f8f9fb } .grid { stroke: #e4e7ec } .axis { stroke: #98a2b3 }
.ink { fill: #1d2129 } .soft { fill: #5d6779 } .halo { stroke: #f8f9fb; stroke-width: 3.5; paint-order: stroke }
.line { stroke-width: 2; stroke-linejoin: round; stroke-linecap: round }
.real { stroke: #475467; stroke-width: 1.5; stroke-dasharray: 0.1 4 } .ring { stroke-width: 1.6 }
.a { fill: #1f7ae0 } .b { fill: #d9480f } .c { fill: #0f8a52 } .ring { fill: #f8f9fb } .line { fill: none }
.line.a, .ring.a { stroke: #1f7ae0 } .line.b, .ring.b { stroke: #d9480f } .line.c, .ring.c { stroke: #0f8a52 }
.code { font-family: ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace }
@media (prefers-color-scheme: dark) {
.paper { fill: #14171c } .plot { fill: #1b1f26 } .grid { stroke: #2c323c } .axis { stroke: #667085 }
.ink { fill: #e6e8ec } .soft { fill: #a3adbd } .halo { stroke: #1b1f26 } .real { stroke: #c3cad6 }
.a { fill: #5aa7ff } .b { fill: #ff8a4c } .c { fill: #3ecf8e } .ring { fill: #1b1f26 } .line { fill: none }
.line.a, .ring.a { stroke: #5aa7ff } .line.b, .ring.b { stroke: #ff8a4c } .line.c, .ring.c { stroke: #3ecf8e }
}"""


def typeset(text: str) -> str:
    """`text` as XML, with signs for minus."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("-", "\N{MINUS SIGN}")


def exponent(value: int) -> str:
    """An integer in superscript."""
    return str(value).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


@dataclass
class Panel:
    """One pair of axes. Ticks map values to their labels; marks are added in data coordinates."""

    x: Point
    y: Point
    x_label: str
    y_label: str
    x_ticks: dict[float, str]
    y_ticks: dict[float, str]
    title: str = ""
    width: float = 400
    height: float = 210
    left: float = 40
    marks: list[str] = field(default_factory=list)

    def at(self, x: float, y: float) -> Point:
        """Data coordinates in pixels."""
        (x0, x1), (y0, y1) = self.x, self.y
        return (x - x0) / (x1 - x0) * self.width, (y1 - y) / (y1 - y0) * self.height

    def line(self, points: Iterable[Point], kind: str) -> None:
        """A line through `points`; what leaves the axes is cut off."""
        path = " ".join("{:.1f},{:.1f}".format(*self.at(*point)) for point in points)
        self.marks.append(f'<polyline class="line {kind}" clip-path="url(#in)" points="{path}"/>')

    def broken(self, points: Sequence[Point], kind: str) -> None:
        """A line through `points` that breaks where it falls, as a wrapped value does."""
        start = 0
        for i in range(1, len(points) + 1):
            if i == len(points) or points[i][1] < points[i - 1][1]:
                self.line(points[start:i], kind)
                start = i

    def circle(self, point: Point, kind: str, radius: float = 3) -> None:
        """A dot or a ring."""
        x, y = self.at(*point)
        self.marks.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"/>')

    def label(self, x: float, y: float, text: str, kind: str, anchor: str = "start") -> None:
        """Text on the plot, its baseline at the point."""
        place = 'x="{:.1f}" y="{:.1f}"'.format(*self.at(x, y))
        self.marks.append(f'<text class="halo {kind}" {place} text-anchor="{anchor}">{typeset(text)}</text>')

    def staircase(self, value: Callable[[IntArray], IntArray], unit: int, kind: str) -> None:
        """The steps of a function that changes at multiples of ``unit / 2`` only, evaluated at each integer ``x * unit``.

        A step ends in a dot where its end belongs to it, and in a ring where it belongs to the next step.
        """
        p = np.arange(math.ceil(self.x[0] * unit), math.floor(self.x[1] * unit) + 1)
        v = value(p)
        starts = [0, *(np.flatnonzero(np.diff(v)) + 1)]
        rings, dots = [], []
        for first, last in zip(starts, [*(i - 1 for i in starts[1:]), len(p) - 1], strict=True):
            ends = []
            for i, outside in ((first, -1), (last, 1)):
                inner = 0 < i < len(p) - 1
                closed = int(p[i]) % (unit // 2) == 0
                ends.append(((int(p[i]) + (0 if closed or not inner else outside)) / unit, float(v[i])))
                if inner:
                    (dots if closed else rings).append(ends[-1])
            self.line(ends, kind)
        for kept, shape in ((rings, "ring"), (dots, "dot")):
            for end in kept:
                self.circle(end, f"{shape} {kind}")

    def drawn(self, left: float, top: float) -> str:
        """The panel as SVG, its plot area at (left, top)."""
        w, h = self.width, self.height
        parts = [f'<g transform="translate({left:g} {top:g})">', f'<rect class="plot" width="{w:g}" height="{h:g}"/>']
        for value, text in self.x_ticks.items():
            x = self.at(value, 0)[0]
            parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y2="{h:g}"/>')
            parts.append(f'<text class="soft" x="{x:.1f}" y="{h + 14:g}" text-anchor="middle">{typeset(text)}</text>')
        for value, text in self.y_ticks.items():
            y = self.at(0, value)[1]
            parts.append(f'<line class="grid" y1="{y:.1f}" y2="{y:.1f}" x2="{w:g}"/>')
            parts.append(f'<text class="soft" x="-6" y="{y + 3.5:.1f}" text-anchor="end">{typeset(text)}</text>')
        for axis, (lo, hi) in (("x", self.x), ("y", self.y)):
            if lo < 0 < hi:
                place = self.at(0, 0)["xy".index(axis)]
                other, end = ("y", h) if axis == "x" else ("x", w)
                parts.append(f'<line class="axis" {axis}1="{place:.1f}" {axis}2="{place:.1f}" {other}2="{end:g}"/>')
        parts += self.marks
        parts.append(f'<text class="soft" x="{w:g}" y="{h + 29:g}" text-anchor="end">{typeset(self.x_label)}</text>')
        if self.title:
            parts.append(f'<text class="ink code" x="{w:g}" y="-8" text-anchor="end" font-size="12">{self.title}</text>')
        parts.append(f'<text class="soft" x="{-self.left + 6:g}" y="-8">{typeset(self.y_label)}</text>')
        return "\n".join([*parts, "</g>"]).replace("url(#in)", f"url(#in{w:g}x{h:g})")


def figure(name: str, *panels: Panel) -> str:
    """Panels side by side as one SVG."""
    shapes = []
    left = 0.0
    for panel in panels:
        shapes.append(panel.drawn(left + panel.left, 26))
        left += panel.left + panel.width + 14
    clips = "".join(
        f'<clipPath id="in{w:g}x{h:g}"><rect width="{w:g}" height="{h:g}"/></clipPath>'
        for w, h in dict.fromkeys((panel.width, panel.height) for panel in panels)
    )
    bottom = max(panel.height for panel in panels) + 64
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{left:g}" height="{bottom:g}" viewBox="0 0 {left:g} {bottom:g}"'
            f' role="img" aria-label="{name}" font-family="system-ui, \'DejaVu Sans\', sans-serif" font-size="10.5">',
            f"<style>\n{STYLE}\n</style>\n<defs>{clips}</defs>",
            '<rect class="paper" width="100%" height="100%"/>',
            *shapes,
            "</svg>\n",
        ]
    )


def numbers(*values: float) -> dict[float, str]:
    """Ticks labelled with their value."""
    return {value: f"{value:g}" for value in values}
