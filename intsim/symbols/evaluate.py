"""Evaluating expressions in NumPy: int64 where the bounds prove that it suffices, Python integers elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ..arith import I64, AnyArray
from .expression import CONSTANT, INPUT, Expression, in_order
from .operations import OPERATIONS


def evaluate(roots: Iterable[Expression], inputs: Mapping[str, AnyArray]) -> list[AnyArray]:
    """The values of expressions, given those of the inputs by name. KeyError names an input that is missing."""
    roots = list(roots)
    values: dict[Expression, AnyArray] = {}
    for node in in_order(roots):
        values[node] = computed(node, [values[arg] for arg in node.args], inputs)
    return [values[root] for root in roots]


def computed(node: Expression, arguments: list[AnyArray], inputs: Mapping[str, AnyArray] | None = None) -> AnyArray:
    """The value of one expression from those of its arguments."""
    if node.kind == CONSTANT:
        assert node.value is not None
        return node.value
    if node.kind == INPUT:
        value = np.asarray((inputs or {})[node.name])
        if value.shape != node.shape:
            raise ValueError(f"{node.name} is {list(value.shape)}, expected {list(node.shape)}")
        return value.astype(np.int64)
    fits = all(I64.holds(x.lo, x.hi) for x in (node, *node.args))
    given = arguments if fits else [value if value.dtype == bool else value.astype(object) for value in arguments]
    result = np.asarray(OPERATIONS[node.kind].compute(*given, **dict(node.attributes)))
    if node.boolean:
        return result.astype(bool, copy=False)
    return result.astype(np.int64, copy=False) if I64.holds(node.lo, node.hi) else result
