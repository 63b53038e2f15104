"""The steps of every operator in words: how one element came to be, from the inputs of its row.

`TRACERS` maps an operator to a generator of `Line`s, the last one the result. They follow the operators' references.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arith import INT32_MAX, ExpSum, HalfBit, Overflow, Sqrt, round_shift, signed
from .dialects import Dialect
from .graph import Node, operator
from .ops.shift_exp import steps as shift_exp_steps

TERMS = 6  # of a long sum, so many terms are shown by themselves


@dataclass(frozen=True)
class Line:
    """One step: its name, the calculation in words and numbers, the result, and the binary point's place from the right."""

    name: str
    how: str
    value: int
    point: int = 0
    note: str = ""

    def hexadecimal(self) -> str:
        """Two's complement, in as many digits as it takes to whole bytes."""
        bits = width(self.value)
        return f"0x{self.value & ((1 << bits) - 1):0{bits // 4}x}"

    def binary(self) -> str:
        """Two's complement in groups of four bits, counted from the binary point, which is shown where there is one."""
        bits = max(width(self.value), self.point + 1 + -(self.point + 1) % 8)
        digits = f"{self.value & ((1 << bits) - 1):0{bits}b}"
        whole, fraction = (digits[: -self.point], digits[-self.point :]) if self.point else (digits, "")
        head = len(whole) % 4
        groups = ([whole[:head]] if head else []) + [whole[i : i + 4] for i in range(head, len(whole), 4)]
        text = "_".join(groups)
        return f"{text}.{'_'.join(fraction[i : i + 4] for i in range(0, len(fraction), 4))}" if fraction else text

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "name": self.name,
            "how": self.how,
            "value": self.value,
            "hex": self.hexadecimal(),
            "binary": self.binary(),
            "point": self.point,
            "note": self.note,
        }


def width(value: int) -> int:
    """The bits a value takes in two's complement, filled up to whole bytes."""
    needed = (value if value >= 0 else ~value).bit_length() + 1
    return -(-needed // 8) * 8


@dataclass(frozen=True)
class Element:
    """One element of a node: the node, its inputs, where, and the dialect."""

    node: Node
    inputs: list[NDArray]
    at: tuple[int, ...]
    dialect: Dialect

    def input(self, position: int = 0) -> int:
        """The input's value at the same place."""
        return int(self.inputs[position][self.at])

    def row(self, position: int = 0) -> NDArray:
        """The input's row of this element, int64."""
        return np.asarray(self.inputs[position][self.at[:-1]], np.int64)

    def param(self, key: str) -> int:
        """A parameter: of this channel where there is one a channel."""
        value = self.node.params[key]
        return int(value[self.at[-1]]) if isinstance(value, np.ndarray) else int(value)

    @property
    def source(self) -> str:
        """The first input's name and the element's place in it."""
        return f"{self.node.inputs[0]}[{','.join(map(str, self.at))}]"

    def steps(self) -> Mapping[str, NDArray]:
        """The reference's intermediates of this row."""
        op = operator(self.node)
        return op.intermediates([x[self.at[:-1]][None] for x in self.inputs], dict(self.node.params), self.dialect)


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
    said = "inside" if result == value else "saturates"
    return Line("out", f"clamp to [{fmt.lo:,}, {fmt.hi:,}]", result, 0, said)


def _requant(x: Element) -> Iterator[Line]:
    yield Line("acc", x.source, x.input())
    lines = list(_rescaled(x.input(), x.param("m"), x.param("e"), x.dialect.requant_rounding))
    yield from lines
    yield _saturated(lines[-1].value, x.param("b"))


def _residual_add(x: Element) -> Iterator[Line]:
    arms = []
    for position, arm in enumerate("ac"):
        place = f"{x.node.inputs[position]}[{','.join(map(str, x.at))}]"
        yield Line(arm, place, x.input(position))
        lines = list(
            _rescaled(x.input(position), x.param(f"m{arm}"), x.param(f"e{arm}"), x.dialect.requant_rounding, f"{arm} ")
        )
        yield from lines
        arms.append(lines[-1].value)
    yield Line("sum", f"{arms[0]:,} + {arms[1]:,}", sum(arms))
    yield _saturated(sum(arms), x.param("b"))


# --- sums of products -----------------------------------------------------------------------------------------------


def _products(left: NDArray, right: NDArray, words: tuple[str, str]) -> Iterator[Line]:
    terms = left * right
    order = np.argsort(-np.abs(terms), kind="stable")
    shown = np.sort(order[:TERMS])
    for k in shown:
        yield Line(f"term {int(k)}", f"{words[0]}[{int(k)}] * {words[1]}[{int(k)}] = {left[k]} * {right[k]}", int(terms[k]))
    if len(terms) > TERMS:
        rest = int(terms.sum()) - int(terms[shown].sum())
        yield Line("the rest", f"{len(terms) - len(shown)} smaller terms", rest)
    yield Line("dot", f"sum of {len(terms)} products", int(terms.sum()))


def _linear(x: Element) -> Iterator[Line]:
    weight, bias = np.asarray(x.node.params["weight"], np.int64)[x.at[-1]], x.param("bias")
    lines = list(_products(x.row(), weight, ("x", "weight")))
    yield from lines
    yield Line("bias", f"of channel {x.at[-1]}", bias)
    yield Line("out", f"{lines[-1].value:,} + {bias:,}", lines[-1].value + bias)


def _matmul(x: Element) -> Iterator[Line]:
    a = x.row(0)
    b = np.asarray(x.inputs[1][x.at[:-2]], np.int64)
    column = b[x.at[-1]] if x.node.params["transpose_b"] else b[:, x.at[-1]]
    lines = list(_products(a, column, ("a", "b")))
    yield from lines[:-1]
    yield Line("out", lines[-1].how, lines[-1].value)


# --- exponentials ---------------------------------------------------------------------------------------------------


def _exponential(x: int, x0: int, n: int, dialect: Dialect, arm: str = "") -> Iterator[Line]:
    found = {key: int(value[0]) for key, value in shift_exp_steps(np.array([x], np.int64), x0, n, dialect).items()}
    t, q, r = found["log2"], found["quotient"], found["remainder"]
    full = x + (x >> 1) - (x >> 4)
    note = f"floored at n * x0 = {n * x0:,}" if t != full else "x * log2(e), log2(e) ~ 1.4375"
    yield Line(f"{arm}t", f"{x} + ({x} >> 1) - ({x} >> 4)", t, 0, note)
    yield Line(f"{arm}q", f"{t} // {x0}, {dialect.quotient}", q)
    yield Line(f"{arm}r", f"{t} - {q} * {x0}", r)
    if dialect.half_bit is HalfBit.KEPT:
        how = f"(({r} - 2 * {x0}) << ({n} - {q})) >> 1"
    else:
        how = f"(({r} >> 1) - {x0}) << ({n} - {q})"
    value = found["out"]
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


def _shiftmax(x: Element) -> Iterator[Line]:
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


def _gelu(x: Element) -> Iterator[Line]:
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


def _shift_exp(x: Element) -> Iterator[Line]:
    yield Line("x", x.source, x.input())
    yield from _exponential(x.input(), x.param("x0"), x.param("n"), x.dialect)


# --- the others -----------------------------------------------------------------------------------------------------


def _layernorm(x: Element) -> Iterator[Line]:
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


def _argmax(x: Element) -> Iterator[Line]:
    row = np.asarray(x.inputs[0][x.at], np.int64)
    best = int(row.argmax())
    for k in np.argsort(-row, kind="stable")[:TERMS]:
        yield Line(f"class {int(k)}", "the largest" if k == best else "", int(row[k]))
    ties = int((row == row[best]).sum())
    yield Line("out", "the class with the largest value", best, 0, f"{ties} tie; the lowest index wins" if ties > 1 else "")


def _input_lut(x: Element) -> Iterator[Line]:
    pixel, channel = x.input(), x.at[-1]
    yield Line("pixel", x.source, pixel)
    table = np.asarray(x.node.params["table"])
    yield Line("out", f"table[{channel}][{pixel}]", int(table[channel, pixel]))


TRACERS: dict[str, Callable[[Element], Iterator[Line]]] = {
    "requant": _requant,
    "residual_add": _residual_add,
    "linear": _linear,
    "matmul": _matmul,
    "shift_exp": _shift_exp,
    "shiftmax": _shiftmax,
    "shiftgelu": _gelu,
    "lambda_shiftgelu": _gelu,
    "layernorm": _layernorm,
    "argmax": _argmax,
    "input_lut": _input_lut,
}
