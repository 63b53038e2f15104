"""Exponentials in words: shift_exp, shiftmax, masked_shiftmax and the GELUs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...arith import INT32_MAX, ExpSum, HalfBit, Overflow
from ...dialects import Dialect
from ...ops.shift_exp import steps as shift_exp_steps
from ...ops.shiftmax import exponential_sum
from .element import Element, Line


def _exponential(x: int, x0: int, n: int, dialect: Dialect, arm: str = "") -> Iterator[Line]:
    steps = {key: int(value[0]) for key, value in shift_exp_steps(np.array([x], np.int64), x0, n, dialect).items()}
    t, q, r = steps["log2"], steps["quotient"], steps["remainder"]
    full = x + (x >> 1) - (x >> 4)
    note = f"floored at n * x0 = {n * x0:,}" if t != full else "x * log2(e), log2(e) ~ 1.4375"
    yield Line(f"{arm}t", f"{x} + ({x} >> 1) - ({x} >> 4)", t, 0, note)
    yield Line(f"{arm}q", f"{t} // {x0}, {dialect.quotient}", q)
    yield Line(f"{arm}r", f"{t} - {q} * {x0}", r)
    if dialect.half_bit is HalfBit.KEPT:
        how = f"(({r} - 2 * {x0}) << ({n} - {q})) >> 1"
    else:
        how = f"(({r} >> 1) - {x0}) << ({n} - {q})"
    value = steps["out"]
    real = f"{value / (-x0 * 2.0**n):.6g}" if value.bit_length() < 1000 else f"2**{value.bit_length() - n}"
    yield Line(f"{arm}e", how, value, 0, f"exp ~ {real}")


def _reciprocal(total: int, unbounded: int, dialect: Dialect, how: str) -> Iterator[Line]:
    rule = "saturates at 2**31 - 1" if dialect.exp_sum is ExpSum.SATURATE else "wraps to 32 bits"
    yield Line("sum", how, total, 0, rule if total != unbounded else "")
    yield Line("f", f"(2**31 - 1) // {total:,}", INT32_MAX // total)


def _share_of(e: int, f: int, b: int, dialect: Dialect, name: str) -> Iterator[Line]:
    shift = 31 - b + 1
    product = e * f
    note = ""
    if dialect.overflow is Overflow.WRAP32:
        wrapped = (product + 2**31) % 2**32 - 2**31
        note = "wraps to 32 bits" if wrapped != product else ""
        product = wrapped
    yield Line("e * f", f"{e:,} * {f:,}", product, shift, note)
    yield Line(name, f"e * f >> {shift}", product >> shift, b - 1, f"{(product >> shift) / 2 ** (b - 1):.6g}")


def shiftmax(x: Element) -> Iterator[Line]:
    row, p = x.row(), {key: x.param(key) for key in ("x0", "n", "b")}
    steps = {key: value.reshape(-1) for key, value in x.steps().items()}
    top, own = int(row.max()), int(row[x.at[-1]])
    yield Line("x", x.source, own)
    yield Line("max", f"of the row's {len(row)} elements", top)
    yield Line("x - max", f"{own} - {top}", own - top)
    exponential = list(_exponential(own - top, p["x0"], p["n"], x.dialect))
    yield from exponential
    unbounded = sum(int(e) for e in steps["exp"])
    yield from _reciprocal(int(steps["sum"][0]), unbounded, x.dialect, f"sum of the row's {len(row)} exponentials")
    yield from _share_of(exponential[-1].value, int(steps["factor"][0]), p["b"], x.dialect, "out")


def masked_shiftmax(x: Element) -> Iterator[Line]:
    row, p = x.row(), {key: x.param(key) for key in ("x0", "n", "b")}
    i, j = x.at[-2:]
    regions = np.asarray(x.node.params["regions"])[x.at[-4]]
    seen = regions == regions[i]
    top, own = int(row[seen].max()), int(row[j])
    yield Line("x", x.source, own)
    yield Line("region", f"of token {i}", int(regions[i]))
    note = "" if seen[j] else f"not seen by token {i}"
    yield Line("its region", f"of token {j}", int(regions[j]), 0, note)
    yield Line("max", f"of the {seen.sum()} tokens of region {regions[i]}", top)
    if seen[j]:
        yield Line("x - max", f"{own} - {top}", own - top)
        exponential = list(_exponential(own - top, p["x0"], p["n"], x.dialect))
        yield from exponential
        e = exponential[-1].value
    else:
        e = -p["x0"]
        yield Line("e", "the exponential of the floor n * x0: -x0", e)
    exponentials = shift_exp_steps(row[seen] - top, p["x0"], p["n"], x.dialect)["out"]
    unbounded = sum(int(e) for e in exponentials) - p["x0"] * int((~seen).sum())
    total = int(exponential_sum(np.array([[unbounded]], object), x.dialect, x.node.name)[0, 0])
    yield from _reciprocal(total, unbounded, x.dialect, f"sum of the row's {len(row)} exponentials")
    yield from _share_of(e, INT32_MAX // total, p["b"], x.dialect, "out")


def gelu(x: Element) -> Iterator[Line]:
    p = {key: x.param(key) for key in ("x0", "n", "b")}
    row, own = x.row(), x.input()
    g = own
    yield Line("x", x.source, own)
    if "lam" in x.node.params:
        lam = x.param("lam")
        row, g = np.clip(row, -lam, lam), min(max(own, -lam), lam)
        yield Line("g", f"clamp x to [-{lam}, {lam}]", g)
    top = int(row.max())
    yield Line("max", f"of the row's {len(row)} elements", top)
    yield Line("g - max" if "lam" in x.node.params else "x - max", f"{g} - {top}", g - top)
    own_lines = list(_exponential(g - top, p["x0"], p["n"], x.dialect))
    yield from own_lines
    top_lines = list(_exponential(-top, p["x0"], p["n"], x.dialect, "max "))
    yield from top_lines
    steps = {key: value.reshape(-1) for key, value in x.steps().items()}
    e, e_top = own_lines[-1].value, top_lines[-1].value
    total = int(np.broadcast_to(steps["sum"], row.shape)[x.at[-1]])
    yield from _reciprocal(total, e + e_top, x.dialect, f"{e:,} + {e_top:,}")
    yield from _share_of(e, INT32_MAX // total, p["b"], x.dialect, "sigmoid")
    out = int(steps["out"][x.at[-1]])
    yield Line("out", f"{own} * sigmoid", out, p["b"] - 1)


def shift_exp(x: Element) -> Iterator[Line]:
    yield Line("x", x.source, x.input())
    yield from _exponential(x.input(), x.param("x0"), x.param("n"), x.dialect)
