"""The steps of every operator in words: how one element is computed from the inputs of its row.

`TRACERS` maps an operator to a generator of `Line`s, the last one the result. They follow the operators' references. An
operator of another package has the named steps of its equation (`named_steps`).
Operators that only move values have no tracer: `movement.moved` shows where a value came from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ...arith import IntArray
from ...dialects import Dialect
from ...engine.graph import Node, operator
from . import choosing, exponentials, sums
from .element import Element, Line
from .equation import named_steps
from .movement import moved

TRACERS: dict[str, Callable[[Element], Iterator[Line]]] = {
    "requant": sums.requant,
    "residual_add": sums.residual_add,
    "linear": sums.linear,
    "matmul": sums.matmul,
    "layernorm": sums.layernorm,
    "mean": sums.mean,
    "shift_exp": exponentials.shift_exp,
    "shiftmax": exponentials.shiftmax,
    "masked_shiftmax": exponentials.masked_shiftmax,
    "shiftgelu": exponentials.gelu,
    "lambda_shiftgelu": exponentials.gelu,
    "argmax": choosing.argmax,
    "input_lut": choosing.input_lut,
}

__all__ = ["TRACERS", "Element", "Line", "lines_of"]


def lines_of(node: Node, inputs: Sequence[IntArray], at: tuple[int, ...], dialect: Dialect) -> Iterator[Line]:
    """The steps to one element of a node, given its inputs."""
    if node.op in TRACERS:
        return TRACERS[node.op](Element(node, inputs, at, dialect))
    if operator(node).moves:
        return iter((moved(node, inputs, at),))
    return named_steps(Element(node, inputs, at, dialect))
