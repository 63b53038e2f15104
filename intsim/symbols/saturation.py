"""What a saturation makes irrelevant: values above it need not be exact, and shifts beyond it need not be computed.

An exponential of a large argument may have hundreds of bits, and then a sum of it saturates at 2**31 - 1. Any other value at
least as large would do, so that the shift can stop earlier, and 64 bits are enough.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..arith import I64
from .build import Expressions
from .expression import CONSTANT, INPUT, Expression, in_order

EXACT = None  # how far an expression has to be exact: in all of its values


def limited(steps: Mapping[str, Expression]) -> dict[str, Expression]:
    """The same results, with shifts no larger than what a saturation leaves to tell."""
    order = list(in_order(steps.values()))
    needed: dict[Expression, int | None] = {}  # up to which value; what is above it may be anything above it
    for step in steps.values():
        needed[step] = EXACT
    for node in reversed(order):
        for arg, need in zip(node.args, _needs(node, needed.get(node, 0)), strict=True):
            known = needed.get(arg, 0)
            needed[arg] = EXACT if need is EXACT or known is EXACT else max(known, need)
    build, made = Expressions(), dict[Expression, Expression]()
    for node in order:
        args = [made[arg] for arg in node.args]
        need = needed[node]
        if node.kind == INPUT:
            made[node] = build.input(node.name, node.shape, node.lo, node.hi)
        elif node.kind == CONSTANT:
            made[node] = build.constant(node.value) if node.scalar is None else build.filled(_value(node), node.shape)
        else:
            if node.kind == "left_shift" and need is not EXACT and node.args[0].lo >= 1:
                args[1] = build("minimum", args[1], build.constant(need.bit_length()))
            if node.kind == "sum" and need is not EXACT and not I64.holds(node.lo, node.hi) and node.args[0].lo >= 0:
                args[0] = build("minimum", args[0], build.constant(need + 1))
            made[node] = build(node.kind, *args, **dict(node.attributes))
    return {name: made[step] for name, step in steps.items()}


def _value(node: Expression) -> int | bool:
    """What all elements of a constant are."""
    return bool(node.scalar) if node.boolean else int(node.scalar or 0)


def _needs(node: Expression, need: int | None) -> list[int | None]:
    """Up to which value every argument has to be exact, where the result has to be up to `need`."""
    args = node.args
    exact: list[int | None] = [EXACT] * len(args)
    if node.kind == "minimum":
        limits = [arg.scalar for arg in args]
        for i, limit in enumerate(limits):
            if limit is not None and limit >= 0:
                other = limit if need is EXACT else min(limit, need)
                return [EXACT if j == i else other for j in range(2)]
    if need is EXACT:
        return exact
    if node.kind in ("add", "sum") and all(arg.lo >= 0 for arg in args):
        return [need] * len(args)
    if node.kind == "maximum" and any(arg.scalar is not None and arg.scalar <= need for arg in args):
        return [need if arg.scalar is None else EXACT for arg in args]
    if node.kind == "right_shift" and args[1].scalar is not None:
        return [(need + 1) << args[1].scalar, EXACT]
    if node.kind in ("reshape", "transpose", "slice", "bounded", "max"):
        return [need]
    return exact
