"""Expressions as standard ONNX operators on integers.

Integer Div of ONNX truncates, Mod with fmod = 0 follows the divisor, shifts are unsigned. So a floor is written as a Div of
what is not negative: of the dividend where its bounds say so, of the dividend plus a multiple of the divisor where that fits
64 bits, and else of the dividend minus its Mod, which is exact for any sign.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from ..arith import I32, I64, AnyArray
from ..errors import IntsimError
from ..symbols import OPERATIONS, Expression
from ..symbols.expression import CONSTANT, INPUT, in_order

OPSET = 18
BIAS = 62  # of dividends: 2**62, a multiple of every power of two below
POWERS = np.array([1 << i for i in range(63)], np.int64)


class Body:
    """The operators of one function, in order, and its constants; `wide` bodies compute in int64, others in int32.

    In a `narrow` one no value passes 32 bits, quotients and powers of two included.
    """

    def __init__(self, roots: dict[str, Expression], narrow: bool = False) -> None:
        self.nodes: list[NodeProto] = []
        self.names: dict[Expression, str] = {}
        self.constants: dict[Any, str] = {}
        order = list(in_order(roots.values()))
        self.wide = not all(I32.holds(node.lo, node.hi) for node in order if node.kind != CONSTANT or node.boolean)
        self.wide = self.wide or any(node.kind in ("left_shift", "right_shift", "floor_divide") for node in order)
        self.wide = self.wide and not narrow
        for node in order:
            if not I64.holds(node.lo, node.hi):
                raise IntsimError(f"{node.kind} may reach [{node.lo}, {node.hi}], which 64 bits do not hold")
        self.repeated = {arg for node in order for arg in node.args if not _repeats(node)} | set(roots.values())
        for node in order:
            self.names[node] = self.written(node)
        for name, root in roots.items():
            self.emit("Cast", self.names[root], out=name, to=carrier(root))
        used = {name for node in self.nodes for name in node.input} | set(roots)
        self.nodes = [node for node in self.nodes if node.output[0] in used]

    # --- the text -------------------------------------------------------------------------------------------------------

    def emit(self, op: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        """One operator; its output is `out`, or has a new name."""
        out = out or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [out], **attributes))
        return out

    def array(self, value: AnyArray, dtype: Any) -> str:
        """A constant array, once."""
        array = np.ascontiguousarray(value, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.constants:
            self.constants[key] = self.emit("Constant", value=numpy_helper.from_array(array))
        return self.constants[key]

    @property
    def dtype(self) -> Any:
        """The type that the body computes in."""
        return np.int64 if self.wide else np.int32

    def number(self, value: int) -> str:
        """A constant number."""
        return self.array(np.asarray(value), self.dtype)

    def sides(self, values: Any) -> str:
        """A shape, or axes."""
        return self.array(np.asarray(values), np.int64)

    # --- expressions ----------------------------------------------------------------------------------------------------

    def written(self, node: Expression) -> str:
        """The name of the tensor that holds an expression, once its operators are written."""
        if node.kind == INPUT:
            return self.emit("Cast", node.name, to=TensorProto.INT64 if self.wide else TensorProto.INT32)
        if node.kind == CONSTANT:
            assert node.value is not None
            once = node.scalar is not None and node not in self.repeated
            value = np.asarray(node.scalar) if once else node.value
            return self.array(value, np.bool_ if node.boolean else self.dtype)
        return FORMS[node.kind](self, node, *(self.names[arg] for arg in node.args))

    def power(self, exponent: Expression) -> str:
        """``2**exponent``, which is looked up."""
        if exponent.scalar is not None:
            return self.number(1 << exponent.scalar)
        return self.emit("Gather", self.array(POWERS[: 63 if self.wide else 31], self.dtype), self.names[exponent])

    def lesser(self, a: str, b: str, then: str, otherwise: str) -> str:
        """`then` where ``a < b``. Min and Max of int64 are avoided: onnxruntime 1.31 compares 32 bits of them."""
        if self.wide:
            return self.emit("Where", self.emit("Less", a, b), then, otherwise)
        return self.emit("Min" if then == a else "Max", a, b)

    def floor(self, a: Expression, name: str, divisor: str, largest: int, power: bool) -> str:
        """``floor(a / divisor)`` for a positive divisor up to `largest`; a `power` of two has a multiple that is known."""
        if a.lo >= 0:
            return self.emit("Div", name, divisor)
        if not self.wide:
            return self.corrected("Greater", name, divisor)
        bias = 1 << BIAS
        if power and largest <= bias and a.lo >= -bias and a.hi < bias:
            lifted = self.emit("Div", self.emit("Add", name, self.number(bias)), divisor)
            return self.emit("Sub", lifted, self.emit("Div", self.number(bias), divisor))
        rest = self.emit("Mod", name, divisor)
        return self.emit("Div", self.emit("Sub", name, rest), divisor)

    def corrected(self, wrong: str, a: str, divisor: str) -> str:
        """``floor(a / divisor)``: the quotient, or one less where its product with the divisor is on the `wrong` side.

        Right where Div truncates, as the standard says, and where it floors.
        """
        quotient = self.emit("Div", a, divisor)
        beyond = self.emit(wrong, self.emit("Mul", quotient, divisor), a)
        return self.emit("Sub", quotient, self.emit("Cast", beyond, to=TensorProto.INT32))


def _repeats(node: Expression) -> bool:
    """Whether an operation gives its result even if its constants of one value are given as one number."""
    varying = [arg.shape for arg in node.args if arg.scalar is None]
    return OPERATIONS[node.kind].elementwise and bool(varying) and np.broadcast_shapes(*varying) == node.shape


def carrier(root: Expression) -> int:
    """The type of a tensor between operators: int32, or int64 where it may not fit."""
    return int(TensorProto.INT32 if I32.holds(root.lo, root.hi) else TensorProto.INT64)


def _plain(op: str) -> Callable[..., str]:
    return lambda body, node, *args: body.emit(op, *args)


def _right_shift(body: Body, node: Expression, a: str, e: str) -> str:
    value, exponent = node.args
    return body.floor(value, a, body.power(exponent), 1 << exponent.hi, power=True)


def _floor_divide(body: Body, node: Expression, a: str, b: str) -> str:
    dividend, divisor = node.args
    if divisor.lo > 0:
        return body.floor(dividend, a, b, divisor.hi, power=False)
    if divisor.hi < 0 and not body.wide:
        return body.emit("Div", a, b) if dividend.hi <= 0 else body.corrected("Less", a, b)
    if divisor.hi < 0:  # floor(a / b) = floor(-a / -b)
        zero = body.number(0)
        minus, positive = body.emit("Sub", zero, a), body.emit("Sub", zero, b)
        if dividend.hi <= 0:
            return body.emit("Div", minus, positive)
        rest = body.emit("Mod", minus, positive)
        return body.emit("Div", body.emit("Sub", minus, rest), positive)
    safe = body.emit("Where", body.emit("Equal", b, body.number(0)), body.number(1), b)  # 0 is refused beside
    rest = body.emit("Mod", a, safe)
    return body.emit("Div", body.emit("Sub", a, rest), safe)


def _and(body: Body, node: Expression, a: str, b: str) -> str:
    if node.boolean:
        return body.emit("And", a, b)
    for mask, other in ((node.args[1], a), (node.args[0], b)):
        if mask.scalar is not None and mask.scalar >= 0 and mask.scalar & (mask.scalar + 1) == 0:
            return body.emit("Mod", other, body.number(mask.scalar + 1))
    raise IntsimError("bitwise_and with anything but 2**k - 1 has no form of its own in ONNX")


def _or(body: Body, node: Expression, a: str, b: str) -> str:
    if node.boolean:
        return body.emit("Or", a, b)
    raise IntsimError("bitwise_or of integers has no form of its own in ONNX")


def _xor(body: Body, node: Expression, a: str, b: str) -> str:
    if node.boolean:
        return body.emit("Xor", a, b)
    for bit, other, expression in ((node.args[1], a, node.args[0]), (node.args[0], b, node.args[1])):
        value = bit.scalar
        if value is not None and value > 0 and value & (value - 1) == 0 and 0 <= expression.lo <= expression.hi < 2 * value:
            return body.emit("Mod", body.emit("Add", other, body.number(value)), body.number(2 * value))
    raise IntsimError("bitwise_xor with anything but the highest bit has no form of its own in ONNX")


def _along(op: str, axes_as_input: bool) -> Callable[..., str]:
    def form(body: Body, node: Expression, x: str) -> str:
        axis = node.attribute("axis") - len(node.args[0].shape)  # from the end, so that leading axes do not matter
        if op == "ArgMax":
            found = body.emit(op, x, axis=axis, keepdims=0)
            return found if body.wide else body.emit("Cast", found, to=TensorProto.INT32)
        return (
            body.emit(op, x, body.sides([axis]), keepdims=0) if axes_as_input else body.emit(op, x, axes=[axis], keepdims=0)
        )

    return form


def _reshape(body: Body, node: Expression, x: str) -> str:
    (source,) = node.args
    if source.kind in ("sum", "max") and _restores(source, node.shape):
        axis = source.attribute("axis") - len(source.args[0].shape)
        return body.emit("Unsqueeze", x, body.sides([axis]))
    return body.emit("Reshape", x, body.sides(node.shape))


def _restores(reduced: Expression, shape: tuple[int, ...]) -> bool:
    """Whether a shape has the axis back that was summed, with length 1."""
    axis = reduced.attribute("axis")
    return shape == (*reduced.shape[:axis], 1, *reduced.shape[axis:])


def _slice(body: Body, node: Expression, x: str) -> str:
    (source,) = node.args
    cut = [
        (axis, start, stop)
        for axis, (start, stop) in enumerate(zip(node.attribute("starts"), node.attribute("stops"), strict=True))
        if (start, stop) != (0, source.shape[axis])
    ]
    axes, starts, stops = (list(part) for part in zip(*cut, strict=True))
    return body.emit("Slice", x, body.sides(starts), body.sides(stops), body.sides(axes))


def _repeat(body: Body, node: Expression, x: str) -> str:
    (source,), axis, count = node.args, node.attribute("axis"), node.attribute("count")
    apart = body.emit("Unsqueeze", x, body.sides([axis + 1]))
    wide = (*source.shape[: axis + 1], count, *source.shape[axis + 1 :])
    return body.emit("Reshape", body.emit("Expand", apart, body.sides(wide)), body.sides(node.shape))


FORMS: dict[str, Callable[..., str]] = {
    "add": _plain("Add"),
    "subtract": _plain("Sub"),
    "multiply": _plain("Mul"),
    "floor_divide": _floor_divide,
    "left_shift": lambda body, node, a, e: body.emit("Mul", a, body.power(node.args[1])),
    "right_shift": _right_shift,
    "minimum": lambda body, node, a, b: body.lesser(a, b, a, b),
    "maximum": lambda body, node, a, b: body.lesser(a, b, b, a),
    "bitwise_and": _and,
    "bitwise_or": _or,
    "bitwise_xor": _xor,
    "less": _plain("Less"),
    "less_equal": _plain("LessOrEqual"),
    "equal": _plain("Equal"),
    "logical_not": _plain("Not"),
    "integer": lambda body, node, x: body.emit("Cast", x, to=TensorProto.INT64 if body.wide else TensorProto.INT32),
    "select": _plain("Where"),
    "sum": _along("ReduceSum", axes_as_input=True),
    "max": _along("ReduceMax", axes_as_input=True),
    "argmax": _along("ArgMax", axes_as_input=False),
    "matmul": _plain("MatMul"),
    "reshape": _reshape,
    "transpose": lambda body, node, x: body.emit("Transpose", x, perm=list(node.attribute("axes"))),
    "slice": _slice,
    "concatenate": lambda body, node, *xs: body.emit("Concat", *xs, axis=node.attribute("axis")),
    "repeat": _repeat,
    "gather": lambda body, node, table, index: body.emit("Gather", table, index, axis=0),
    "bounded": lambda body, node, x: x,
}
