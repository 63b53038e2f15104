"""Expressions computed in torch: the closed set of integer operations on tensors of any device, exact by the proven bounds.

Elements are int32 where an operation's arguments and result fit it, and int64 elsewhere. Products of matrices, for which
torch has no fast integers, are computed in float32 or float64 where no sum of magnitudes can pass the integers that these
represent exactly, whatever the order of additions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..arith import I32, I64
from ..errors import IntsimError
from ..symbols.expression import CONSTANT, INPUT, Expression, in_order

SHIFTS = ("left_shift", "right_shift")
FLOATS = {torch.float32: 1 << 24, torch.float64: 1 << 53}  # up to which every integer has a representation
MOVES = ("reshape", "transpose", "slice", "concatenate", "repeat", "gather", "bounded")


class TooWide(IntsimError):
    """An intermediate value may need more than 64 bits, which tensors do not have."""


def evaluate(roots: Iterable[Expression], inputs: Mapping[str, Tensor], device: torch.device) -> list[Tensor]:
    """The values of expressions from those of the inputs by name; every value is released after its last use.

    Raises TooWide where 64 bits are not enough.
    """
    roots = list(roots)
    nodes = list(in_order(roots))
    last = {id(arg): node for node in nodes for arg in node.args}
    kept = {id(root) for root in roots}
    values: dict[int, Tensor] = {}
    for node in nodes:
        if node.kind == INPUT:
            value = inputs[node.name]
        elif node.kind == CONSTANT:
            value = _constant(node, device)
        else:
            value = _computed(node, [values[id(arg)] for arg in node.args], device)
        values[id(node)] = value
        for arg in node.args:
            if last[id(arg)] is node and id(arg) not in kept:
                values.pop(id(arg), None)
    return [values[id(root)] for root in roots]


def _constant(node: Expression, device: torch.device) -> Tensor:
    assert node.value is not None
    if not I64.holds(node.lo, node.hi):
        raise TooWide(f"the constant {node.hi} passes 64 bits")
    if node.scalar is not None:  # one value in memory, whatever its shape
        one = torch.tensor(bool(node.lo) if node.boolean else node.lo, device=device)
        return one.expand(node.shape)
    return torch.from_numpy(node.value.copy()).to(device)


def _computed(node: Expression, arguments: list[Tensor], device: torch.device) -> Tensor:
    fixed = dict(node.attributes)
    if node.kind == "index":
        return torch.arange(node.hi + 1, device=device)[: int(arguments[0])].reshape(node.shape)
    if node.kind == "matmul":
        return _product(node, *arguments)
    if node.kind in MOVES:
        return OPERATIONS[node.kind](*arguments, **fixed)
    if not node.boolean or not all(arg.boolean for arg in node.args):
        width = _width(node)
        arguments = [x if x.dtype in (torch.bool, width) else x.to(width) for x in arguments]
    return OPERATIONS[node.kind](*arguments, **fixed)


def _width(node: Expression) -> torch.dtype:
    """The type in which an operation is exact: the narrowest that holds its arguments and its result."""
    shifts = node.kind in SHIFTS and node.args[1].hi > 31
    if not shifts and all(I32.holds(x.lo, x.hi) for x in (node, *node.args)):
        return torch.int32
    if all(I64.holds(x.lo, x.hi) for x in (node, *node.args)):
        return torch.int64
    raise TooWide(f"an intermediate value ({node.kind}) may reach [{node.lo}, {node.hi}], which passes 64 bits")


def _product(node: Expression, a: Tensor, b: Tensor) -> Tensor:
    """A product of matrices; in floating point where every sum of magnitudes is proved to be exact there."""
    most = node.args[0].magnitude * node.args[1].magnitude * int(node.args[0].shape[-1])
    whole = torch.int32 if I32.holds(node.lo, node.hi) else torch.int64
    for real, limit in FLOATS.items():
        rounded = real is torch.float32 and torch.get_float32_matmul_precision() != "highest"
        if most <= limit and not rounded:
            return torch.matmul(a.to(real), b.to(real)).to(whole)
    if not I64.holds(-most, most):
        raise TooWide(f"a product of matrices may reach {most}, which passes 64 bits")
    return torch.matmul(a.to(torch.int64), b.to(torch.int64)).to(whole)


def _quotient(a: Tensor, b: Tensor) -> Tensor:
    return torch.div(a, torch.where(b == 0, 1, b), rounding_mode="floor")  # a divisor of 0 is refused beside


def _right_shift(a: Tensor, b: Tensor) -> Tensor:
    return a >> b.clamp(max=torch.iinfo(a.dtype).bits - 1)


def _left_shift(a: Tensor, b: Tensor) -> Tensor:
    bits = torch.iinfo(a.dtype).bits
    return torch.where(b < bits, a << b.clamp(max=bits - 1), 0)


def _slice(x: Tensor, starts: tuple[int, ...], stops: tuple[int, ...]) -> Tensor:
    return x[tuple(slice(start, stop) for start, stop in zip(starts, stops, strict=True))]


def _whole(x: Tensor) -> Tensor:
    return x.to(torch.int32) if x.dtype is torch.bool else x


OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "add": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "floor_divide": _quotient,
    "left_shift": _left_shift,
    "right_shift": _right_shift,
    "minimum": torch.minimum,
    "maximum": torch.maximum,
    "bitwise_and": torch.bitwise_and,
    "bitwise_or": torch.bitwise_or,
    "bitwise_xor": torch.bitwise_xor,
    "less": torch.lt,
    "less_equal": torch.le,
    "equal": torch.eq,
    "logical_not": torch.logical_not,
    "integer": _whole,
    "select": torch.where,
    "sum": lambda x, axis: x.sum(dim=axis, dtype=x.dtype),
    "max": lambda x, axis: x.amax(dim=axis),
    "argmax": lambda x, axis: x.argmax(dim=axis),
    "reshape": lambda x, shape: x.reshape(shape),
    "transpose": lambda x, axes: x.permute(axes),
    "slice": _slice,
    "concatenate": lambda *xs, axis: torch.cat(xs, dim=axis),
    "repeat": lambda x, count, axis: x.repeat_interleave(count, dim=axis),
    "gather": lambda table, index: table[index.to(torch.int64)],
    "bounded": lambda x, lo, hi: x,
}
