"""What an operator approximates, its integers beside it, and the difference, as SVG.

A plot is found by what the operator approximates (`Op.approximates`). `EXACT` are those that compute just that on their
integers, so that there is nothing to plot. Each plot sweeps one input and measures the error over the sweep.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from intsim import dialects, ops
from intsim.arith import FloatArray, dyadic
from intsim.dialects import ISEGMENTER
from intsim.ops import Op

from drawing import Panel, figure, numbers

EXACT = {"linear", "matmul", "argmax"}
SIDE = 330, 210


@dataclass(frozen=True)
class Sweep:
    """Reals and integers (times their scale) over one input, in whose unit `x` is; `setting` says which call it was."""

    x: FloatArray
    integers: FloatArray
    reals: FloatArray
    x_label: str
    y_label: str
    setting: str

    @property
    def error(self) -> FloatArray:
        """The integers minus the reals."""
        return self.integers - self.reals

    def summary(self) -> str:
        """The error over the sweep, in words."""
        rms = math.sqrt(float(np.mean(self.error**2)))
        setting = self.setting if self.setting.startswith("s =") else self.setting[0].upper() + self.setting[1:]
        return f"{setting}: over the sweep the error is at most {np.abs(self.error).max():.3g}, RMS {rms:.3g}."

    def drawn(self, name: str) -> str:
        """Values and error side by side."""
        x = float(self.x.min()), float(self.x.max())
        both = np.concatenate([self.integers, self.reals])
        values = _panel(x, both, self.x_label, self.y_label)
        values.line(_points(self.x, self.integers), "a")
        values.line(_points(self.x, self.reals), "real")
        error = _panel(x, self.error, self.x_label, "error")
        error.line(_points(self.x, self.error), "b")
        return figure(name, values, error)


def _points(x: FloatArray, y: FloatArray) -> list[tuple[float, float]]:
    return list(zip(x.tolist(), y.tolist(), strict=True))


def _panel(x: tuple[float, float], y: FloatArray, x_label: str, y_label: str) -> Panel:
    low, high = min(float(y.min()), 0.0), max(float(y.max()), 0.0)
    margin = 0.06 * ((high - low) or 1.0)
    span = low - margin, high + margin
    return Panel(x, span, x_label, y_label, numbers(*_ticks(*x)), numbers(*_ticks(*span)), "", *SIDE, left=52)


def _ticks(low: float, high: float) -> list[float]:
    """Four to nine round values within an interval."""
    step = 10.0 ** math.floor(math.log10((high - low) / 4))
    step *= max(k for k in (1, 2, 5) if (high - low) / (k * step) >= 4)
    first = math.ceil(low / step)
    return [round(k * step, 12) for k in range(first, math.floor(high / step) + 1)]


def _exp(op: Op) -> Sweep:
    x = np.arange(-120, 1)
    e = op(x, x0=-20, n=15, dialect=ISEGMENTER) / (20 << 15)
    return Sweep(x / 20, e, np.exp(x / 20), "s · x", "exp", "s = 1/20, n = 15")


def _softmax(op: Op) -> Sweep:
    d = np.arange(-120, 121)
    rows = np.stack([np.minimum(0, -d), np.minimum(0, d)], axis=-1)
    p = op(rows, **dialects.softmax_parameters(1 / 20, 2, ISEGMENTER), dialect=ISEGMENTER)[:, 1] / 2**15
    return Sweep(
        d / 20, p, ops.shiftmax.real(rows / 20)[:, 1], "difference of two logits", "softmax", "rows of 2 at s = 1/20"
    )


def _masked_softmax(op: Op) -> Sweep:
    d = np.arange(-120, 121)
    x = np.zeros((len(d), 3, 3), np.int16)
    x[:, 0, 0], x[:, 0, 1], x[:, 0, 2] = np.minimum(0, -d), np.minimum(0, d), 60
    x, regions = x[None], np.array([[0, 0, 1]])
    given = dialects.softmax_parameters(1 / 20, 3, ISEGMENTER)
    x = x.reshape(1, len(d), 3, 3)  # one window, a head for each difference
    p = op(x, regions, **given, dialect=ISEGMENTER)[0, :, 0, 1] / 2**15
    reals = op.real(x / 20, regions)[0, :, 0, 1]
    return Sweep(d / 20, p, reals, "difference of two logits", "softmax", "2 of 3 tokens are seen, s = 1/20")


def _gelu(op: Op) -> Sweep:
    s, x = 1 / 20, np.arange(-80, 81)
    given = dialects.gelu_parameters(s, ISEGMENTER) | ({"lam": 120} if "lam" in op.params else {})
    y = op(x, **given, dialect=ISEGMENTER) * s / 2 ** (given["b"] - 1)
    return Sweep(x * s, y, op.real(x * s), "s · x", "GELU", "one row from -4 to 4 at s = 1/20")


def _layernorm(op: Op) -> Sweep:
    channels = 384
    x = np.sort(np.rint(np.random.default_rng(0).normal(0, 200, channels)).astype(np.int16))
    y = op(x, np.zeros(channels, np.int32), dialect=ISEGMENTER) * math.sqrt(channels) / 2**30
    reals = op.real(x / 1.0, np.ones(channels), np.zeros(channels))
    return Sweep(x / 1.0, y, reals, "x", "layer norm", "a row of 384 normal values, deviation 200")


def _requantize(op: Op) -> Sweep:
    m, e = dyadic(1 / 50)
    acc = np.arange(-500, 501)
    out = op(acc, m=int(m), e=int(e), b=8, dialect=ISEGMENTER)
    return Sweep(acc / 1.0, out / 1.0, acc / 50, "acc", "acc / 50, in steps of the result", "factor 1/50")


def _add(op: Op) -> Sweep:
    (ma, ea), (mc, ec) = dyadic(1 / 30), dyadic(1 / 70)
    a = np.arange(-300, 301)
    c = np.full_like(a, 100)
    given = {"ma": int(ma), "ea": int(ea), "mc": int(mc), "ec": int(ec)}
    out = op(a, c, **given, b=16, dialect=ISEGMENTER)
    return Sweep(a / 1.0, out / 1.0, op.real(a / 30, c / 70), "a, with c = 100", "a / 30 + c / 70", "factors 1/30 and 1/70")


def _mean(op: Op) -> Sweep:
    total = np.arange(-12, 13)
    tokens = np.stack([total, *[np.zeros_like(total)] * 3])  # 4 tokens, a channel for each sum
    out = op(tokens, dialect=ISEGMENTER)
    return Sweep(total / 1.0, out / 1.0, op.real(tokens), "sum of 4 tokens", "mean", "4 tokens")


def _normalize(op: Op) -> Sweep:
    pixels, mean, std = np.arange(256), 0.5, 0.25
    scale = 2.0 / 127
    table = np.clip(np.rint(op.real(pixels, mean, std) / scale), -128, 127).astype(np.int8)
    out = op(pixels.reshape(1, 256, 1).astype(np.uint8), table[None])[0, :, 0] * scale
    return Sweep(pixels / 1.0, out, op.real(pixels, mean, std), "pixel", "normalised", "mean 0.5, deviation 0.25, s = 2/127")


SWEEPS: dict[str, Callable[[Op], Sweep]] = {
    "exp": _exp,
    "softmax": _softmax,
    "masked_softmax": _masked_softmax,
    "gelu": _gelu,
    "layernorm": _layernorm,
    "requantize": _requantize,
    "add": _add,
    "mean": _mean,
    "normalize": _normalize,
}


def sweep(op: Op) -> Sweep | None:
    """The sweep of an operator; None where it computes what it approximates exactly, or only moves values."""
    if op.moves or op.approximates in EXACT:
        return None
    if op.approximates not in SWEEPS:
        raise ValueError(f"{op.name}: add a sweep of {op.approximates!r} to docs/_ext/operator_plots.py, or to EXACT")
    return SWEEPS[op.approximates](op)
