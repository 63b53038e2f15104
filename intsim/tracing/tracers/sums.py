"""Multipliers, shifts and sums in words: requant, residual_add, linear, matmul, layernorm, mean."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ...arith import IntArray, Overflow, Sqrt, round_divide, round_shift, signed
from .element import TERMS, Element, Line

# --- multiply, shift, round, saturate -------------------------------------------------------------------------------


def _rescaled(value: int, m: int, e: int, mode: str, arm: str = "") -> Iterator[Line]:
    product = value * m
    yield Line(f"{arm}product", f"{value:,} * {m:,}", product, e, f"m * 2**-e = {m * 2.0**-e:.6g}")
    floor, rest = product >> e, product & ((1 << e) - 1)
    half = 1 << (e - 1)
    where = "a tie" if rest == half else "above half" if rest > half else "below half" if rest else "whole"
    rounded = int(round_shift(product, e, mode))
    yield Line(f"{arm}rounded", f"product / 2**{e}, {mode}", rounded, 0, f"{product / 2**e:.6g}; floor {floor}, {where}")


def _saturated(value: int, bits: int) -> Line:
    fmt = signed(bits)
    result = min(max(value, fmt.lo), fmt.hi)
    note = "inside" if result == value else "saturates"
    return Line("out", f"clamp to [{fmt.lo:,}, {fmt.hi:,}]", result, 0, note)


def requant(x: Element) -> Iterator[Line]:
    yield Line("acc", x.source, x.input())
    lines = list(_rescaled(x.input(), x.param("m"), x.param("e"), x.dialect.requant_rounding))
    yield from lines
    yield _saturated(lines[-1].value, x.param("b"))


def residual_add(x: Element) -> Iterator[Line]:
    arms = []
    for position, arm in enumerate("ac"):
        yield Line(arm, x.named(position), x.input(position))
        lines = list(
            _rescaled(x.input(position), x.param(f"m{arm}"), x.param(f"e{arm}"), x.dialect.requant_rounding, f"{arm} ")
        )
        yield from lines
        arms.append(lines[-1].value)
    yield Line("sum", f"{arms[0]:,} + {arms[1]:,}", sum(arms))
    yield _saturated(sum(arms), x.param("b"))


# --- sums -----------------------------------------------------------------------------------------------------------


def _products(left: IntArray, right: IntArray, words: tuple[str, str]) -> Iterator[Line]:
    terms = left * right
    order = np.argsort(-np.abs(terms), kind="stable")
    shown = np.sort(order[:TERMS])
    for k in shown:
        yield Line(f"term {int(k)}", f"{words[0]}[{int(k)}] * {words[1]}[{int(k)}] = {left[k]} * {right[k]}", int(terms[k]))
    if len(terms) > TERMS:
        rest = int(terms.sum()) - int(terms[shown].sum())
        yield Line("the rest", f"{len(terms) - len(shown)} smaller terms", rest)
    yield Line("dot", f"sum of {len(terms)} products", int(terms.sum()))


def linear(x: Element) -> Iterator[Line]:
    weight, bias = np.asarray(x.node.params["weight"], np.int64)[x.at[-1]], x.param("bias")
    lines = list(_products(x.row(), weight, ("x", "weight")))
    yield from lines
    yield Line("bias", f"of channel {x.at[-1]}", bias)
    yield Line("out", f"{lines[-1].value:,} + {bias:,}", lines[-1].value + bias)


def matmul(x: Element) -> Iterator[Line]:
    a = x.row(0)
    b = np.asarray(x.inputs[1][x.at[:-2]], np.int64)
    column = b[x.at[-1]] if x.node.params["transpose_b"] else b[:, x.at[-1]]
    lines = list(_products(a, column, ("a", "b")))
    yield from lines[:-1]
    yield Line("out", lines[-1].how, lines[-1].value)


def layernorm(x: Element) -> Iterator[Line]:
    steps = {key: value.reshape(-1) for key, value in x.steps().items()}
    n, own = len(steps["centred"]), x.input()
    total, mean, y = int(steps["sum"][0]), int(steps["mean"][0]), int(steps["centred"][x.at[-1]])
    std, f, half = int(steps["std"][0]), int(steps["factor"][0]), int(steps["half"][x.at[-1]])
    yield Line("x", x.source, own)
    yield Line("sum", f"of the row's {n} elements", total)
    yield Line("mean", f"{total:,} / {n}, {x.dialect.mean_rounding}", mean, 0, f"{total / n:.6g}")
    yield Line("y", f"{own:,} - {mean:,}", y)
    variance = int(steps["variance"][0])
    yield Line("variance", "sum of the row's y * y", variance, 0, f"{x.dialect.variance}")
    root = f"the true root is {math.isqrt(max(variance, 0)):,}" if x.dialect.sqrt is Sqrt.NEWTON10 else ""
    yield Line("std", f"isqrt({variance:,}), {x.dialect.sqrt}", std, 0, root)
    yield Line("f", f"(2**31 - 1) // {std:,}", f)
    yield Line("y * f", f"{y:,} * {f:,}", y * f, 1, "wraps to 32 bits" if x.dialect.overflow is Overflow.WRAP32 else "")
    yield Line("half", f"y * f / 2, {x.dialect.layernorm_half}", half, 30, f"{half / 2**30:.6g} in units of 2**30")
    bias = x.param("bias")
    yield Line("bias", f"of channel {x.at[-1]}", bias, 30)
    yield Line("out", f"{half:,} + {bias:,}", int(steps["out"][x.at[-1]]), 30)


def mean(x: Element) -> Iterator[Line]:
    column = np.asarray(x.inputs[0][x.at[:-1]], np.int64)[:, x.at[-1]]
    total, n = int(column.sum()), len(column)
    place = ",".join([*map(str, x.at[:-1]), ":", str(x.at[-1])])
    yield Line("sum", f"{x.node.inputs[0]}[{place}], {n} tokens", total)
    rounded = int(round_divide(total, n, x.dialect.mean_rounding))
    yield Line("out", f"{total:,} / {n}, {x.dialect.mean_rounding}", rounded, 0, f"{total / n:.6g}")
