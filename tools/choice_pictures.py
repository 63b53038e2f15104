"""The pictures of rounding modes and of the choices of a dialect, drawn from what intsim computes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from intsim import dialects, ops
from intsim.arith import IntArray, Overflow, Rounding, divide, isqrt, overflow, round_shift
from intsim.dialects import CHOICES, ISEGMENTER, Dialect
from intsim.ops.shiftmax import exponential_sum

from drawing import Panel, exponent, figure, numbers

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
