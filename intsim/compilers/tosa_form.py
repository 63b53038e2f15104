"""Expressions as TOSA: MLIR text in the generic form, integers only, for Arm's reference model and compilers that read it.

TOSA's INTDIV truncates, its operands have equal ranks, its reductions keep their axis, and its products take i8 (an i16 is
two bytes of it). Values beyond 32 bits are i64, which the draft of TOSA 1.1 has and the reference model computes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..arith import I8, I16, I32, I64
from ..errors import IntsimError
from ..symbols import Expression
from ..symbols.expression import CONSTANT, INPUT, in_order
from .tosa_text import Text, Value


class TosaBody:
    """The operations of one operator, appended to a text."""

    def __init__(self, text: Text, inputs: dict[str, Value], out: Expression) -> None:
        self.text, self.inputs = text, inputs
        order = list(in_order([out]))
        for node in order:
            if not I64.holds(node.lo, node.hi):
                raise IntsimError(f"{node.kind} may reach [{node.lo}, {node.hi}], which 64 bits do not hold")
        self.type = "i32" if all(I32.holds(node.lo, node.hi) for node in order) else "i64"
        self.values: dict[Expression, Value] = {}
        for node in order:
            self.values[node] = self.written(node)
        self.out = self.values[out]

    def number(self, value: int, rank: int) -> Value:
        """A constant number with as many axes as what it is used with."""
        return self.text.constant(np.full((1,) * rank, value), self.type)

    def ranked(self, *args: Value) -> list[Value]:
        """Values with equal ranks, as operations on elements need them."""
        rank = max(len(arg.shape) for arg in args)
        return [self.text.reshaped(arg, (1,) * (rank - len(arg.shape)) + arg.shape) for arg in args]

    def elements(self, name: str, *args: Value, kind: str | None = None, attributes: str = "") -> Value:
        """An operation element by element."""
        same = self.ranked(*args)
        shape = np.broadcast_shapes(*(arg.shape for arg in same))
        return self.text.op(name, same, shape, kind or same[-1].type, attributes)

    def multiplied(self, a: Value, b: Value) -> Value:
        """A product, not shifted."""
        a, b = self.ranked(a, b)
        shift = self.text.constant(np.zeros(1, np.int8), "i8")
        return self.text.op("mul", [a, b, shift], np.broadcast_shapes(a.shape, b.shape), self.type)

    def written(self, node: Expression) -> Value:
        """The value of an expression, once its operations are written."""
        if node.kind == INPUT:
            return self.text.cast(self.inputs[node.name], self.type)
        if node.kind == CONSTANT:
            assert node.value is not None
            return self.text.constant(node.value, "i1" if node.boolean else self.type)
        form = FORMS.get(node.kind)
        if form is None:
            raise IntsimError(f"{node.kind} has no form in TOSA here")
        return form(self, node, *(self.values[arg] for arg in node.args))


def _divided(body: TosaBody, node: Expression, a: Value, b: Value) -> Value:
    dividend, divisor = node.args
    if divisor.hi < 0:  # floor(a / b) = floor(-a / -b)
        zero = body.number(0, len(a.shape))
        a, b = body.elements("sub", zero, a), body.elements("sub", zero, b)
        lowest = -dividend.hi
    elif divisor.lo > 0:
        lowest = dividend.lo
    else:
        return _divided_by_any(body, a, b)
    a, b = body.ranked(a, b)
    shape = np.broadcast_shapes(a.shape, b.shape)
    quotient = body.text.op("intdiv", [a, b], shape, body.type)
    if lowest >= 0:
        return quotient
    rest = body.elements("sub", a, body.multiplied(quotient, b))
    below = body.elements("greater", body.number(0, len(shape)), rest, kind="i1")
    one, zero = body.number(1, len(shape)), body.number(0, len(shape))
    return body.elements("sub", quotient, body.elements("select", below, one, zero))


def _divided_by_any(body: TosaBody, a: Value, b: Value) -> Value:
    """``floor(a / b)`` for a divisor of either sign; 0, which the operator refuses, is replaced by 1."""
    a, b = body.ranked(a, b)
    rank = len(a.shape)
    zero, one = body.number(0, rank), body.number(1, rank)
    b = body.elements("select", body.elements("equal", b, zero, kind="i1"), one, b)
    quotient = body.text.op("intdiv", [a, b], np.broadcast_shapes(a.shape, b.shape), body.type)
    rest = body.elements("sub", a, body.multiplied(quotient, b))
    signs = [body.elements("greater", zero, x, kind="i1") for x in (rest, b)]
    apart = body.elements("logical_xor", *signs)
    whole = body.elements("equal", rest, zero, kind="i1")
    below = body.elements("logical_and", apart, body.elements("logical_not", whole))
    return body.elements("sub", quotient, body.elements("select", below, one, zero))


def _reduced(name: str) -> Callable[..., Value]:
    def form(body: TosaBody, node: Expression, x: Value) -> Value:
        axis = node.attribute("axis")
        kept = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
        return body.text.reshaped(body.text.op(name, [x], kept, x.type, f"axis = {axis} : i32"), node.shape)

    return form


def _product(body: TosaBody, node: Expression, a: Value, b: Value) -> Value:
    """i8 by i8; of an i16 ``p = 256 * high + low``, where the low byte is stored less 128, which is its zero point."""
    left, right = node.args
    if not (I16.holds(left.lo, left.hi) and I8.holds(right.lo, right.hi)):
        raise IntsimError("a product of more than 16 by 8 bits has no form in TOSA here")
    (rows, depth), (_, columns) = a.shape[-2:], b.shape[-2:]
    batch = int(np.prod(node.shape[:-2], dtype=int))
    if len(b.shape) == 2:  # one matrix for all: the leading axes are more rows
        batch, rows = 1, batch * rows
    elif {a.shape[:-2], b.shape[:-2]} != {node.shape[:-2]}:
        raise IntsimError("a product whose leading axes are repeated has no form in TOSA here")
    a = body.text.cast(body.text.reshaped(a, (batch, rows, depth)), "i32")
    b = body.text.cast(body.text.reshaped(b, (batch, depth, columns)), "i8")

    def times(x: Value, zero_point: int) -> Value:
        points = [body.text.constant(np.full(1, zero, np.int8), "i8") for zero in (zero_point, 0)]
        return body.text.op("matmul", [body.text.cast(x, "i8"), b, *points], (batch, rows, columns), "i32")

    if I8.holds(left.lo, left.hi):
        out = times(a, 0)
    else:
        eight, flat = (body.text.constant(np.full((1, 1, 1), v), "i32") for v in (8, 128))
        high = body.text.op("arithmetic_right_shift", [a, eight], a.shape, "i32", "round = false")
        low = body.text.op("sub", [a, body.text.op("logical_left_shift", [high, eight], a.shape, "i32")], a.shape, "i32")
        low = body.text.op("sub", [low, flat], a.shape, "i32")
        upper = times(high, 0)
        upper = body.text.op("logical_left_shift", [upper, eight], upper.shape, "i32")
        out = body.text.op("add", [upper, times(low, -128)], upper.shape, "i32")
    return body.text.cast(body.text.reshaped(out, node.shape), body.type)


def _concatenated(body: TosaBody, node: Expression, *xs: Value) -> Value:
    return body.text.op("concat", xs, node.shape, xs[0].type, f"axis = {node.attribute('axis')} : i32")


def _transposed(body: TosaBody, node: Expression, x: Value) -> Value:
    order = ", ".join(map(str, node.attribute("axes")))
    return body.text.op("transpose", [x], node.shape, x.type, f"perms = array<i32: {order}>")


def _cut(body: TosaBody, node: Expression, x: Value) -> Value:
    text = body.text
    (start, kind), (size, _) = (text.sides(values) for values in (node.attribute("starts"), node.shape))
    out = text.new(node.shape, x.type)
    types = f"({x.tensor}, {kind}, {kind}) -> {out.tensor}"
    text.lines.append(f'{out.name} = "tosa.slice"({x.name}, {start}, {size}) : {types}')
    return out


def _repeated(body: TosaBody, node: Expression, x: Value) -> Value:
    """Every element so many times: an axis of length 1 behind it, repeated as a whole."""
    text, axis, count = body.text, node.attribute("axis"), node.attribute("count")
    apart = text.reshaped(x, (*x.shape[: axis + 1], 1, *x.shape[axis + 1 :]))
    times = [1] * len(apart.shape)
    times[axis + 1] = count
    name, kind = text.sides(times)
    out = text.new([side * by for side, by in zip(apart.shape, times, strict=True)], x.type)
    text.lines.append(f'{out.name} = "tosa.tile"({apart.name}, {name}) : ({apart.tensor}, {kind}) -> {out.tensor}')
    return text.reshaped(out, node.shape)


def _gathered(body: TosaBody, node: Expression, table: Value, index: Value) -> Value:
    text, count = body.text, int(np.prod(index.shape, dtype=int))
    channels = int(np.prod(table.shape[1:], dtype=int))
    values = text.cast(text.reshaped(table, (1, table.shape[0], channels)), "i32")
    places = text.cast(text.reshaped(index, (1, count)), "i32")
    out = text.op("gather", [values, places], (1, count, channels), "i32")
    return text.cast(text.reshaped(out, node.shape), body.type)


def _argmax(body: TosaBody, node: Expression, x: Value) -> Value:
    (values,) = node.args
    kind = "i8" if I8.holds(values.lo, values.hi) else "i16"
    if not I16.holds(values.lo, values.hi):
        raise IntsimError("argmax of more than 16 bits has no form in TOSA")
    found = body.text.op("argmax", [body.text.cast(x, kind)], node.shape, "i32", f"axis = {node.attribute('axis')} : i32")
    return body.text.cast(found, body.type)


def _logical(name: str) -> Callable[..., Value]:
    def form(body: TosaBody, node: Expression, a: Value, b: Value) -> Value:
        return body.elements(f"{'logical' if node.boolean else 'bitwise'}_{name}", a, b)

    return form


def _integer(body: TosaBody, node: Expression, x: Value) -> Value:
    return body.elements("select", x, body.number(1, len(x.shape)), body.number(0, len(x.shape)))


FORMS: dict[str, Callable[..., Value]] = {
    "add": lambda body, node, a, b: body.elements("add", a, b),
    "subtract": lambda body, node, a, b: body.elements("sub", a, b),
    "multiply": lambda body, node, a, b: body.multiplied(a, b),
    "floor_divide": _divided,
    "left_shift": lambda body, node, a, b: body.elements("logical_left_shift", a, b),
    "right_shift": lambda body, node, a, b: body.elements("arithmetic_right_shift", a, b, attributes="round = false"),
    "minimum": lambda body, node, a, b: body.elements("minimum", a, b),
    "maximum": lambda body, node, a, b: body.elements("maximum", a, b),
    "bitwise_and": _logical("and"),
    "bitwise_or": _logical("or"),
    "bitwise_xor": _logical("xor"),
    "less": lambda body, node, a, b: body.elements("greater", b, a, kind="i1"),
    "less_equal": lambda body, node, a, b: body.elements("greater_equal", b, a, kind="i1"),
    "equal": lambda body, node, a, b: body.elements("equal", a, b, kind="i1"),
    "logical_not": lambda body, node, x: body.elements("logical_not", x),
    "integer": _integer,
    "select": lambda body, node, c, a, b: body.elements("select", c, a, b),
    "sum": _reduced("reduce_sum"),
    "max": _reduced("reduce_max"),
    "argmax": _argmax,
    "matmul": _product,
    "repeat": _repeated,
    "gather": _gathered,
    "reshape": lambda body, node, x: body.text.reshaped(x, node.shape),
    "transpose": _transposed,
    "slice": _cut,
    "concatenate": _concatenated,
    "bounded": lambda body, node, x: x,
}
