"""The steps of every operator in words: how one element is computed from the inputs of its row.

`TRACERS` maps an operator to a generator of `Line`s, the last one the result. They follow the operators' references.
Operators that only move values have no tracer: `intsim.tracing.core.moved` shows where a value came from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from . import choosing, exponentials, sums
from .element import Element, Line

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

__all__ = ["TRACERS", "Element", "Line"]
