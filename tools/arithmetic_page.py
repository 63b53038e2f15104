"""Write the generated parts of docs/arithmetic.md, and its pictures; with --check, report what is not current.

    python tools/arithmetic_page.py [--check]

The operators come from the docstrings of intsim/ops and the dialects from intsim/dialects.py; the pictures are drawn from
what intsim computes. The parts stand between ``<!-- begin NAME`` and ``<!-- end NAME -->``; the rest is written by hand.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from intsim import dialects, ops
from intsim.arith import I64, Format, IntArray, Overflow, Rounding, divide, isqrt, overflow, round_shift
from intsim.dialects import CHOICES, DIALECTS, ISEGMENTER, Dialect
from intsim.ops import REGISTRY, Op
from intsim.ops.shiftmax import exponential_sum

ROOT = Path(__file__).parent.parent
PAGE, PICTURES = ROOT / "docs" / "arithmetic.md", ROOT / "docs" / "pictures"
WIDTH = 125

# --- operators --------------------------------------------------------------------------------------------------------

LABELS = ("Arguments", "Result", "Scale", "Conditions", "Note", "Source")
READING_ORDER = (
    *("requant", "residual_add", "linear", "matmul", "layernorm", "mean", "shift_exp", "shiftmax", "masked_shiftmax"),
    *("shiftgelu", "lambda_shiftgelu", "input_lut", "argmax"),
    *("patches", "concat", "slice", "heads", "merge_heads", "tokens", "grid", "windows", "merge_windows", "roll"),
    *("merge_patches", "relative_positions", "upsample_nearest"),
)  # operators that are not in it come last, by name


@dataclass(frozen=True)
class Description:
    """A module docstring of intsim/ops in its parts."""

    call: str
    summary: str
    formula: str
    paragraphs: dict[str, str]

    @classmethod
    def of(cls, op: Op) -> Description:
        """The description of an operator; a ValueError where its docstring has another shape."""
        head, *blocks = str(op.__doc__).partition("\n>>>")[0].strip("\n").split("\n\n")
        call, _, summary = head.partition(": ")
        if call != call_of(op):
            raise ValueError(f"{op.name}: the docstring starts with {call!r}, expected {call_of(op)!r}")
        formula = "" if not blocks[0].startswith("    ") else re.sub("^    ", "", blocks.pop(0), flags=re.MULTILINE)
        parts = re.split(r"^([A-Z]\w+): ", blocks[0], flags=re.MULTILINE)
        paragraphs = {label: text.strip() for label, text in zip(parts[1::2], parts[2::2], strict=True)}
        ordered = [label for label in LABELS if label in paragraphs]
        if len(blocks) != 1 or parts[0] or list(paragraphs) != ordered or ordered[:2] != ["Arguments", "Result"]:
            raise ValueError(f"{op.name}: expected paragraphs {', '.join(LABELS)}, not {', '.join(paragraphs)}")
        return cls(call, summary, formula, paragraphs)


def call_of(op: Op) -> str:
    """The call as the docstring must show it: formats of the inputs, and of parameters that are always arrays."""
    formats = {name: "" if fmt is I64 else f" {fmt}" for name, fmt in op.inputs.items()}
    formats |= {name: "" if 0 in param.ndim else f" {param.fmt}" for name, param in op.params.items()}
    names = [name for name in op.signature.parameters if name != "dialect"]
    stars = {name: "*" for name in op.inputs if op.variadic}
    return f"{op.name}({', '.join(stars.get(name, '') + name + formats[name] for name in names)})"


def power(value: int) -> str:
    """An integer as people write it: large ones as a power of two."""
    if abs(value) > 1 << 15:
        for offset in (0, 1):
            if (abs(value) + offset).bit_count() == 1:
                written = f"2**{(abs(value) + offset).bit_length() - 1}" + " - 1" * offset
                return written if value > 0 else f"-{written}"
    return str(value)


def ranges(op: Op) -> str:
    """The values that an operator accepts for its parameters."""

    def accepted(name: str, fmt: Format) -> str:
        if fmt.name != "integer":
            return f"`{name}` {fmt}"
        return f"`{name}` 0 or 1" if (fmt.lo, fmt.hi) == (0, 1) else f"`{power(fmt.lo)} <= {name} <= {power(fmt.hi)}`"

    return ", ".join(accepted(name, param.fmt) for name, param in op.params.items())


def bullet(label: str, text: str) -> str:
    """One item of the list under an operator."""
    return f"- **{label}:** " + text.replace("\n", "\n  ")


def operator(op: Op) -> str:
    """The section of an operator."""
    description = Description.of(op)
    items = {"Arguments": "", "Ranges": ranges(op), **dict.fromkeys(LABELS[1:4], "")}
    items["Choices"] = ", ".join(f"[`{key}`](#{key})" for key in op.choices)
    items |= dict.fromkeys(LABELS[4:], "") | description.paragraphs
    lines = [f"#### {op.name}", "", f"`{description.call}`: {description.summary}", ""]
    if description.formula:
        lines += ["```text", description.formula, "```", ""]
    return "\n".join([*lines, *(bullet(label, text) for label, text in items.items() if text)])


def operators() -> str:
    """The sections of all operators, in reading order."""
    position = {name: i for i, name in enumerate(READING_ORDER)}
    ordered = sorted(REGISTRY.values(), key=lambda op: (position.get(op.name, len(position)), op.name))
    groups = {
        "Arithmetic": ([op for op in ordered if not op.moves], ""),
        "Data movement": (
            [op for op in ordered if op.moves],
            "These operators only move values. They take any integer format; format, bounds and scale of their input do\n"
            "not change, except that the bounds of `patches` include the zeros it adds. Formulas leave out the axes that\n"
            "do not change.",
        ),
    }
    sections = []
    for heading, (members, introduction) in groups.items():
        index = " · ".join(f"[{op.name}](#{op.name})" for op in members)
        sections += [f"### {heading}", *([introduction] if introduction else []), wrapped(index), *map(operator, members)]
    return "\n\n".join(sections)


def wrapped(text: str) -> str:
    """`text` in lines of at most `WIDTH` characters."""
    lines = [""]
    for word in text.split(" "):
        if len(lines[-1]) + len(word) >= WIDTH:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return "\n".join(lines)


# --- drawing ----------------------------------------------------------------------------------------------------------

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


# --- pictures ---------------------------------------------------------------------------------------------------------

ROUNDINGS = {
    Rounding.FLOOR: "towards minus infinity, as `>>` does",
    Rounding.TRUNC: "towards zero, as division in C does",
    Rounding.HALF_UP: "to the nearest integer, ties towards plus infinity",
    Rounding.HALF_EVEN: "to the nearest integer, ties to the even neighbour",
    Rounding.HALF_AWAY: "to the nearest integer, ties away from zero",
}


def rounding(mode: Rounding) -> str:
    ticks = numbers(-2, -1, 0, 1, 2)
    panel = Panel((-2.9, 2.9), (-3.4, 3.4), "p / 2**e", "", ticks, numbers(*range(-3, 4)), str(mode), 120, 141, left=24)
    panel.line([(-3, -3), (3, 3)], "real")
    panel.staircase(lambda p: round_shift(p, 8, mode), 256, "a")
    return figure(f"The rounding {mode}", panel)


def each(key: str) -> list[Dialect]:
    """The default dialect with each value of a choice."""
    return [ISEGMENTER.replace(**{key: value}) for value in CHOICES[key]]


def sqrt() -> str:
    top = 8
    ticks = {float(k): f"10{exponent(k)}" if k else "1" for k in range(0, top + 1)}
    panel = Panel((0, top), (0, 4), "v", "isqrt(v, S)", {k: t for k, t in ticks.items() if k % 2 == 0}, ticks | {})
    panel.y_ticks = {k: t for k, t in ticks.items() if k <= 4}
    v = np.unique(np.round(10 ** np.linspace(0, top, 400)).astype(np.int64))
    for kind, mode in (("b", "floor"), ("a", "newton10")):
        roots = isqrt(v, mode)
        panel.line([(math.log10(a), math.log10(int(r))) for a, r in zip(v.tolist(), roots, strict=True)], kind)
    panel.label(0.4, 1.95, "newton10", "a code")
    panel.label(2.2, 0.75, "floor", "b code")
    return figure("The square roots newton10 and floor", panel)


def variance() -> str:
    y = np.arange(0, 8200, 8)
    rows = np.repeat(y[:, None], 384, axis=1)
    rows[:, ::2] *= -1
    wide = 1 << 32
    ticks = {k: f"{k} · 2³²" if k > 1 else ("2³²" if k else "0") for k in range(0, 7)}
    panel = Panel((0, 8192), (0, 6), "|x - mean| of each of 384 channels", "v", numbers(0, 2048, 4096, 6144, 8192), ticks)
    panel.left = 50
    for kind, dialect in zip("ab", each("variance")[:2], strict=True):
        v = ops.layernorm.steps(rows, np.zeros(384, np.int64), dialect.replace(overflow="exact"))["variance"][:, 0]
        panel.broken([(float(a), int(b) / wide) for a, b in zip(y, v, strict=True)], kind)
    panel.label(5500, 3.35, "exact", "a code", "end")
    panel.label(6150, 1.2, "wrap32", "b code", "start")
    return figure("The variances exact and wrap32", panel)


def compared(panel: Panel, x: Sequence[float], first: Sequence[float], second: Sequence[float]) -> None:
    """Two choices at the same points: a dot for the first, a ring around it for the second."""
    for place, y in zip(x, second, strict=True):
        panel.circle((place, float(y)), "ring b", 4.6)
    for place, y in zip(x, first, strict=True):
        panel.circle((place, float(y)), "dot a", 2.6)


def layernorm_half() -> str:
    product = np.arange(-7, 8)
    panel = Panel((-7.6, 7.6), (-4.6, 4), "y · f", "y · f / 2", numbers(*range(-6, 7, 2)), numbers(-4, -2, 0, 2, 4))
    panel.line([(-9, -4.5), (9, 4.5)], "real")
    floor, trunc = (divide(product, 2, dialect.layernorm_half) for dialect in each("layernorm_half"))
    compared(panel, product.tolist(), floor.tolist(), trunc.tolist())
    panel.circle((-6.6, 3.05), "dot a", 2.6)
    panel.label(-6.2, 2.9, "floor", "a code")
    panel.circle((-6.6, 2.05), "ring b", 4.6)
    panel.label(-6.2, 1.9, "trunc", "b code")
    return figure("The halvings floor and trunc of layernorm", panel)


def exponentials(key: str, x: IntArray, x0: int, n: int = 15) -> list[list[float]]:
    """shift_exp under each value of a choice, in units of exp(0)."""
    return [[float(e) / (-x0 << n) for e in ops.shift_exp.ref(x, x0=x0, n=n, dialect=d)] for d in each(key)]


def quotient() -> str:
    x = np.arange(-40, 41)
    reals = (x / 20).tolist()
    panel = Panel((-2, 2), (0, 8), "s · x", "shift_exp(x)", numbers(-2, -1, 0, 1, 2), numbers(0, 2, 4, 6, 8))
    floor, trunc = exponentials("quotient", x, -20)
    panel.line(zip(reals, floor, strict=True), "a")
    panel.line([(r, t) for r, t in zip(reals, trunc, strict=True) if r >= 0], "b")
    panel.line([(r, math.exp(r)) for r in np.linspace(-2, 2.1, 83)], "real")
    panel.label(1.22, 4.6, "floor", "a code", "end")
    panel.label(1.62, 2.6, "trunc", "b code")
    panel.label(-1.95, 0.75, "exp(s · x) dotted", "soft")
    return figure("The quotients floor and trunc of shift_exp", panel)


def half_bit() -> str:
    x = np.arange(-16, 1)
    panel = Panel((-16.6, 0.6), (0, 1.05), "x, with x0 = -5", "shift_exp(x)", numbers(*range(-16, 1, 4)), numbers(0, 0.5, 1))
    panel.line([(r, math.exp(r / 5)) for r in np.linspace(-17, 1, 91)], "real")
    kept, dropped = exponentials("half_bit", x, -5)
    compared(panel, x.tolist(), kept, dropped)
    panel.circle((-15.4, 0.93), "dot a", 2.6)
    panel.label(-14.9, 0.907, "kept", "a code")
    panel.circle((-15.4, 0.81), "ring b", 4.6)
    panel.label(-14.9, 0.787, "dropped", "b code")
    panel.label(-15.65, 0.67, "exp(s · x) dotted", "soft")
    return figure("The half bit of shift_exp, kept and dropped", panel)


def x0_rounding() -> str:
    panels = []
    for kind, dialect in zip("ab", each("x0_rounding"), strict=True):
        ticks = numbers(0, 1, 2, 3, 4, 5)
        panel = Panel((0, 5.4), (-6.6, 0), "1 / s", "x0", ticks, numbers(*range(-6, 1)), str(dialect.x0_rounding), 190, 190)
        panel.left = 28
        panel.line([(0, 0), (7, -7)], "real")

        def x0(p: IntArray, dialect: Dialect = dialect) -> IntArray:
            return np.array([dialects.exponential_x0(128 / int(v) if v else math.inf, dialect) for v in p])

        panel.staircase(x0, 128, kind)
        panels.append(panel)
    return figure("x0 by floor and by trunc", *panels)


def exp_sum() -> str:
    half = 1 << 31
    total = (np.arange(0, 350) << 25) + 1
    ticks = {-1.0: "-2³¹", 0.0: "0", 1.0: "2³¹"}
    panel = Panel((0, 5.4), (-1.15, 1.3), "sum of the exponentials", "S", {}, ticks)
    panel.x_ticks = {0.0: "0", 1.0: "2³¹", 2.0: "2³²", 3.0: "3 · 2³¹", 4.0: "2³³", 5.0: "5 · 2³¹"}
    for kind, dialect in zip("ab", each("exp_sum"), strict=True):
        s = exponential_sum(total, dialect, "S")
        panel.broken([(int(a) / half, int(b) / half) for a, b in zip(total, s, strict=True)], kind)
    panel.label(5.3, 1.08, "saturate", "a code", "end")
    panel.label(2.35, 0.12, "wrap32", "b code")
    return figure("The sum of exponentials, saturated and wrapped", panel)


def overflows() -> str:
    half = 1 << 31
    x = sorted({*(k << 25 for k in range(-128, 129)), -half - 1, -half, half - 1, half})
    ticks = {-1.0: "-2³¹", 0.0: "0", 1.0: "2³¹"}
    panels = []
    for rule, kind in zip((Overflow.EXACT, Overflow.WRAP32, Overflow.FORBID), "abc", strict=True):
        panel = Panel((-2, 2), (-2, 2), "exact value", "result", ticks, ticks, str(rule), 150, 150, left=38)
        points = []
        for value in x:
            try:
                points.append((value / half, int(overflow(np.array([value]), rule, "x")[0]) / half))
            except ValueError:
                continue
        panel.broken(points, kind)
        if rule is Overflow.FORBID:
            panel.circle(points[0], f"dot {kind}")
            panel.circle(points[-1], f"dot {kind}")
            panel.label(-1.2, -1.05, "error", "soft", "end")
            panel.label(1.2, 0.9, "error", "soft")
        panels.append(panel)
    return figure("An i32 intermediate under exact, wrap32 and forbid", *panels)


def gelus(panel: Panel, curves: dict[str, tuple[str, Callable[[IntArray], IntArray], float]], x: IntArray, s: float) -> None:
    """Curves of GELU operators on one row `x` at scale `s`: their function, and the scale of its result."""
    for kind, call, scale in curves.values():
        panel.line(zip((x * s).tolist(), (call(x) * scale).tolist(), strict=True), kind)
    panel.line(zip((x * s).tolist(), ops.shiftgelu.real(x * s).tolist(), strict=True), "real")


def gelu_panel() -> Panel:
    return Panel((-4, 4), (-2.2, 4), "s · x", "output", numbers(-4, -2, 0, 2, 4), numbers(-2, 0, 2, 4))


def gelu() -> str:
    s = 20 / 127
    lam = round(6 / s)
    x, given = np.arange(-127, 128), dialects.gelu_parameters(s, ISEGMENTER)
    panel, scale = gelu_panel(), s / 128
    curves = {
        "shiftgelu": ("b", lambda x: ops.shiftgelu.ref(x, **given, dialect=ISEGMENTER), scale),
        "lambda": ("a", lambda x: ops.lambda_shiftgelu.ref(x, **given, lam=lam, dialect=ISEGMENTER), scale),
    }
    gelus(panel, curves, x, s)
    panel.label(-3.9, 0.3, "lambda_shiftgelu", "a code")
    panel.label(-2.3, -1.5, "shiftgelu", "b code")
    panel.label(-3.9, 3.5, "GELU dotted", "soft")
    return figure("shiftgelu and lambda_shiftgelu in a row with one value of 20", panel)


def softmax_n() -> str:
    x = np.arange(-280, 1)
    panel = Panel(
        (-14, 0),
        (-18, 1),
        "s · (x - max)",
        "log2 of the exponential",
        numbers(*range(-14, 1, 2)),
        numbers(*range(-16, 1, 4)),
    )
    for kind, n, place in (("b", 4, (-13.9, -3.4)), ("c", 8, (-13.9, -7.4)), ("a", 15, (-13.9, -14.4))):
        e = ops.shift_exp.ref(x, x0=-20, n=n, dialect=ISEGMENTER)
        panel.line([(int(a) / 20, math.log2(int(b) / (20 << n))) for a, b in zip(x, e, strict=True)], kind)
        panel.label(*place, f"n = {n}", f"{kind} code")
    panel.line([(-14, -14 * math.log2(math.e)), (0, 0)], "real")
    return figure("The exponential of shiftmax at n = 4, 8 and 15", panel)


def softmax_bits() -> str:
    d = np.arange(-80, 81)
    rows = np.stack([np.minimum(0, -d), np.minimum(0, d)], axis=-1)
    panel = Panel(
        (-4, 4),
        (0, 1.05),
        "difference of two logits",
        "probability",
        numbers(-4, -2, 0, 2, 4),
        numbers(0, 0.25, 0.5, 0.75, 1),
    )
    for kind, b, place in (("b", 3, (1.6, 0.66)), ("c", 5, (2.25, 0.79)), ("a", 16, (1.35, 0.93))):
        p = ops.shiftmax.ref(rows, x0=-20, n=15, b=b, dialect=ISEGMENTER)[:, 1]
        panel.line(zip((d / 20).tolist(), (p / 2 ** (b - 1)).tolist(), strict=True), kind)
        panel.label(*place, f"b = {b}", f"{kind} code", "end" if b == 16 else "start")
    return figure("A probability of shiftmax in 3, 5 and 16 bits", panel)


def gelu_n() -> str:
    s, x = 1 / 20, np.arange(-120, 121)
    panel = gelu_panel()
    curves = {
        str(n): (kind, lambda x, n=n: ops.shiftgelu.ref(x, x0=-12, n=n, b=8, dialect=ISEGMENTER), s / 128)
        for kind, n in (("b", 8), ("c", 16), ("a", 23))
    }
    gelus(panel, curves, x, s)
    panel.label(-2.5, -1.75, "n = 8", "b code")
    panel.label(-3.7, -0.45, "n = 16", "c code")
    panel.label(-3.9, 0.25, "n = 23", "a code")
    return figure("shiftgelu at n = 8, 16 and 23", panel)


def gelu_bits() -> str:
    s, x = 1 / 20, np.arange(-80, 81)
    panel = gelu_panel()
    curves = {
        str(b): (kind, lambda x, b=b: ops.shiftgelu.ref(x, x0=-12, n=23, b=b, dialect=ISEGMENTER), s / 2 ** (b - 1))
        for kind, b in (("b", 2), ("c", 4), ("a", 8))
    }
    gelus(panel, curves, x, s)
    panel.label(3.2, 1.15, "b = 2", "b code")
    panel.label(3.2, 2.3, "b = 4", "c code")
    panel.label(3.2, 3.45, "b = 8", "a code", "end")
    return figure("shiftgelu at b = 2, 4 and 8", panel)


CHOICE_PICTURES: dict[str, tuple[Callable[[], str], str]] = {
    "sqrt": (
        sqrt,
        "`newton10` starts from `2**16` and has not come down to small roots in ten steps; `floor` is the true root.",
    ),
    "variance": (
        variance,
        "`wrap32` loses the multiples of `2**32`, so that rows that vary more seem to vary less. `wrap16` does, too, and a "
        "row whose sum passes i16 has a mean that is off by a multiple of `2**16 / n`.",
    ),
    "layernorm_half": (layernorm_half, "The two differ by 1 where the product is negative and odd."),
    "quotient": (quotient, "The two differ for x > 0 only, which shift_exp meets in a GELU whose row maximum is negative."),
    "half_bit": (
        half_bit,
        "Where the remainder is odd, dropping its half bit first lowers the exponential by `2**(n - q - 1)`.",
    ),
    "x0_rounding": (x0_rounding, "The two differ only where 1/s is an integer: `trunc` is then lower by 1."),
    "exp_sum": (exp_sum, "Above `2**31 - 1` a saturated sum stays, and a wrapped one becomes negative or small."),
    "overflow": (overflows, "`exact` keeps the value in 64 bits, `wrap32` keeps its low 32 bits, and `forbid` refuses it."),
    "softmax_n": (softmax_n, "The exponential cannot fall below `2**-n` of the row maximum (s = 1/20; exp is dotted)."),
    "softmax_bits": (
        softmax_bits,
        "A probability is a multiple of `2**-(b-1)`, rounded down (two logits, s = 1/20, n = 15).",
    ),
    "gelu_n": (gelu_n, "A small n makes the sigmoid 1/2 far below the row maximum, here 6 (s = 1/20; GELU is dotted)."),
    "gelu_bits": (gelu_bits, "The sigmoid is a multiple of `2**-(b-1)`, rounded down (s = 1/20, n = 23; GELU is dotted)."),
    "gelu": (
        gelu,
        "One value of 20 in a row makes shiftgelu x/2 for the whole row; the clamp of lambda_shiftgelu prevents that.",
    ),
}


def roundings() -> str:
    """The pictures of the rounding modes."""
    shown = [f"![{mode}](pictures/rounding_{mode}.svg)" for mode in ROUNDINGS]
    said = [f"- `{mode}`: {text}" for mode, text in ROUNDINGS.items()]
    note = "A dot is a value that belongs to the step, a ring one that does not; the dotted line is the exact quotient."
    return "\n".join([*shown, "", *said, "", note])


# --- dialects ---------------------------------------------------------------------------------------------------------


def meanings() -> dict[str, str]:
    """What each choice decides, from the docstring of `Dialect`."""
    lines = dict(re.findall(r"^    (\w+): (.+)$", str(Dialect.__doc__), flags=re.MULTILINE))
    if list(lines) != list(CHOICES):
        raise ValueError(f"Dialect: the docstring explains {', '.join(lines)}, expected {', '.join(CHOICES)}")
    return lines


def choices() -> str:
    """The table of the dialects, and the picture of each choice."""
    sources = dict(re.findall(r"^    ([\w-]+) +(.+)$", str(dialects.__doc__), flags=re.MULTILINE))
    if list(sources) != list(DIALECTS):
        raise ValueError(f"dialects: the docstring lists {', '.join(sources)}, expected {', '.join(DIALECTS)}")
    rows = [
        "| choice | " + " | ".join(f"`{name}`" for name in DIALECTS) + " |",
        "|---" * (len(DIALECTS) + 1) + "|",
        "| | " + " | ".join(sources.values()) + " |",
    ]
    for key in CHOICES:
        values = " | ".join(f"`{dialect.choices()[key]}`" for dialect in DIALECTS.values())
        rows.append(f"| [`{key}`](#{key}) | {values} |")
    sections = ["\n".join(rows)]
    for key, meaning in meanings().items():
        allowed = CHOICES[key]
        listed = ", ".join(f"`{value}`" for value in allowed if isinstance(value, str))
        whole = [value for value in allowed if isinstance(value, int)]
        listed = ", ".join(filter(None, [listed, f"{whole[0]} to {whole[-1]}" if whole else ""]))
        lines = [f"### {key}", "", f"{meaning[0].upper()}{meaning[1:]}. Values: {listed}.", ""]
        if key in CHOICE_PICTURES:
            lines += [f"![{key}](pictures/{key}.svg)", "", CHOICE_PICTURES[key][1]]
        else:
            lines += ["[Pictures of the roundings](#1-numbers)"]
        sections.append("\n".join(lines))
    return "\n\n".join(sections)


# --- the page ---------------------------------------------------------------------------------------------------------


def pictures() -> dict[Path, str]:
    """Every picture by its path."""
    drawn = {PICTURES / f"rounding_{mode}.svg": rounding(mode) for mode in ROUNDINGS}
    return drawn | {PICTURES / f"{key}.svg": draw() for key, (draw, _) in CHOICE_PICTURES.items()}


def page(text: str) -> str:
    """The page with its generated parts written anew."""
    for name, part in {"roundings": roundings, "operators": operators, "dialects": choices}.items():
        pattern = rf"(<!-- begin {name}\b[^\n]*-->\n).*?(<!-- end {name} -->)"
        text, found = re.subn(pattern, lambda match, part=part: f"{match[1]}\n{part()}\n\n{match[2]}", text, flags=re.DOTALL)
        if found != 1:
            raise ValueError(f"{PAGE.name}: expected one part {name!r}, not {found}")
    return text


def outdated() -> dict[Path, str]:
    """The files that are not current, with the text they should have."""
    wanted = {PAGE: page(PAGE.read_text(encoding="utf-8")), **pictures()}
    return {path: text for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text}


def main() -> None:
    """Write what is not current, or report it."""
    check = "--check" in sys.argv[1:]
    changed = outdated()
    for path, text in changed.items():
        print(f"{path.relative_to(ROOT)} {'is not current; run tools/arithmetic_page.py' if check else 'written'}")
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    sys.exit(bool(changed) and check)


if __name__ == "__main__":
    main()
