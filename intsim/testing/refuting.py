"""The smallest call on which a function is not its operator, from one on which a solver says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..arith import I64, IntArray
from ..ops import REGISTRY
from ..proving.cells import Elements
from ..proving.question import Question
from ..proving.traces import PRIMITIVES, Traces
from .calls import Call
from .failures import Counterexample, judged, name_of
from .shrinking import shrunk


def refute(
    question: Question, traces: Traces, function: Callable[..., Any], name: str, values: Mapping[str, int], ports: bool
) -> None:
    """Raise the Counterexample of a call, made smaller; nothing where the function is right on it. `values` by element."""
    __tracebackhide__ = True
    arrays = {key: _array(cells, values) for key, cells in traces.given.items()}
    if question.op in PRIMITIVES:
        _primitive(question, function, name, {key: int(array) for key, array in arrays.items()} | question.plain())
        return
    call = _call(question, traces, arrays, ports)

    def fails(tried: Call) -> bool:
        inside = all(_within(tried, traces, key, *ends) for key, ends in traces.ranges.items())
        return inside and tried.accepted and judged(tried, function, 0) is not None

    if not fails(call):
        return
    kept = frozenset(side for array in (*call.inputs, *call.params.values()) for side in np.shape(array))
    constant = {key for key, (lo, hi) in traces.ranges.items() if lo == hi}
    unchanged = {key: value for key, value in call.params.items() if key in constant or key in question.fixed}
    smallest = call if question.moves else shrunk(call, fails, unchanged, kept)
    fault = judged(smallest, function, 0)
    if fault is not None:
        raise fault.counterexample(name_of(function))


def _within(call: Call, traces: Traces, name: str, lo: int, hi: int) -> bool:
    """Whether an argument of a call has values in its range."""
    value = call.params[name] if name in call.params else call.inputs[traces.names.index(name)]
    return lo <= int(np.min(value)) and int(np.max(value)) <= hi


def _call(question: Question, traces: Traces, arrays: Mapping[str, IntArray], ports: bool) -> Call:
    """The call of these arrays, of int64 or in the types of the ports."""
    operator = REGISTRY[question.op]
    params: dict[str, Any] = {}
    for name in operator.params:
        value = arrays[name] if name in arrays else question.fixed.get(name, traces.ranges.get(name, (0, 0))[0])
        checked = operator.checked_param(name, value)
        params[name] = checked.astype(np.int64) if isinstance(checked, np.ndarray) and not ports else checked
    types = [operator.port(i).dtype if ports and operator.port(i) is not I64 else np.int64 for i in range(len(traces.names))]
    inputs = tuple(arrays[name].astype(dtype) for name, dtype in zip(traces.names, types, strict=True))
    return Call(question.op, inputs, params, question.dialect)


def _array(cells: Elements, values: Mapping[str, int]) -> IntArray:
    """The values of an array; what is not named is the number nearest to 0."""
    out = np.zeros(cells.shape, np.int64)
    for index in np.ndindex(*cells.shape):
        x = cells[index]
        out[index] = values.get(x.name, min(max(0, x.lo), x.hi))
    return out


def _primitive(question: Question, function: Callable[..., Any], name: str, values: Mapping[str, int]) -> None:
    """Raise the Counterexample of a primitive."""
    __tracebackhide__ = True
    primitive = PRIMITIVES[question.op]
    first, *others = (values[key] for key in primitive.ranges)
    array = np.array(first, np.int64)
    due = int(primitive.body(array, *others, dialect=question.dialect))
    said = ", ".join(f"{key}={values[key]}" for key in primitive.ranges)
    dialect = f" in dialect {question.dialect.name}" if question.dialect else ""
    head = f"{name} is not {question.op}{dialect}\n\n    {question.op}({said})\n\n"
    try:
        got = int(function(array, *others))
    except Exception as error:
        text = f"{head}it raised {type(error).__name__}: {error}; expected {due}"
        raise Counterexample(text, None, np.asarray(due), None, None) from error
    if got != due:
        raise Counterexample(f"{head}out is {got}, expected {due}", None, np.asarray(due), got, ())
