"""The errors raised for different results: the call, the first wrong element, and the steps to its expected value."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arith import I64, IntArray, first_index
from ..dialects import ISEGMENTER
from ..engine.graph import Node
from ..tracing.core import Trace
from ..tracing.table import render
from ..tracing.tracers import lines_of
from .calls import Call

MAX_WIDTH = 240  # of a table of steps, in characters


class Difference(AssertionError):
    """Values that differ from the expected ones: `expected`, `got`, and `index`, the first element that differs (None if the
    values could not be compared).
    """

    def __init__(self, text: str, expected: Any, got: Any, index: tuple[int, ...] | None) -> None:
        super().__init__(text)
        self.expected, self.got, self.index = expected, got, index


class Counterexample(Difference):
    """The smallest `call` found on which a function differs from its operator, with its `arguments` by name. `expected` is
    None if the reference refuses the call, `got` is None if the function raised an exception.
    """

    def __init__(
        self, text: str, call: Call | None, expected: IntArray | None, got: Any, index: tuple[int, ...] | None
    ) -> None:
        super().__init__(text, expected, got, index)
        self.call, self.arguments = call, call.arguments if call is not None else {}


@dataclass(frozen=True)
class Fault:
    """A function's wrong outcome on a call: its description, the value returned, the first wrong element, the exception."""

    call: Call
    problem: str
    got: Any = None
    index: tuple[int, ...] | None = None
    cause: Exception | None = None
    remark: str = ""

    def counterexample(self, name: str, claim: str = "is not") -> Counterexample:
        """The error to raise for this fault of a function of this name."""
        call = self.call
        dialect = f" in dialect {call.dialect.name}" if call.dialect is not None else ""
        parts = [f"{name} {claim} {call.op}{dialect}", f"    {call}", self.problem]
        if self.index is not None:
            parts.append(steps(call, self.index))
        text = "\n\n".join([*parts, self.remark] if self.remark else parts)
        error = Counterexample(text, call, None if call.refusal else call.expected, self.got, self.index)
        error.__cause__ = self.cause
        return error


def name_of(function: Callable[..., Any]) -> str:
    """What a function is called in a message."""
    return getattr(function, "__qualname__", None) or getattr(function, "name", None) or repr(function)


def judged(call: Call, function: Callable[..., Any], tolerance: int) -> Fault | None:
    """The fault of `function` on a call; None if its result is right, or if it refuses a call that the reference refuses."""
    refusal = call.refusal
    expectation = f"; a ValueError is expected, as from the reference: {refusal}" if refusal else ""
    try:
        got = call.apply(function)
    except Exception as error:  # noqa: BLE001  any exception of the function under test is a fault
        if refusal and isinstance(error, ValueError):
            return None
        return Fault(call, f"it raised {type(error).__name__}: {error}{expectation}", cause=error)
    if refusal:
        return Fault(call, f"it returned {_kind(got)}{expectation}", got)
    problem, index = difference(call.expected, got, tolerance)
    if not problem:
        return None
    if index is not None and np.array_equal(np.asarray(got), call.inputs[0]):
        problem += "; the function returned its input unchanged"
    return Fault(call, problem, got, index)


def difference(expected: IntArray, got: Any, tolerance: int) -> tuple[str, tuple[int, ...] | None]:
    """A description of how `got` differs, "" if it does not, and the first element that differs."""
    try:
        values = np.asarray(got)
    except ValueError:
        return f"it returned {_kind(got)}; an array of integers is expected", None
    integral = values.dtype.kind in "iu" or (
        values.dtype == object and got is not None and all(isinstance(v, (int, np.integer)) for v in values.flat)
    )
    if not integral:
        return f"it returned {_kind(got)}; integers are expected", None
    if values.shape != expected.shape:
        return f"its shape is {list(values.shape)}, expected {list(expected.shape)}", None
    wrong = _distance(values, expected) > tolerance
    if not wrong.any():
        return "", None
    index = tuple(first_index(wrong))
    place = f"out[{', '.join(map(str, index))}]" if index else "out"
    differing, within = int(wrong.sum()), f" by more than {tolerance}" if tolerance else ""
    count = f"{differing:,} of {expected.size:,} elements differ{within}"
    return f"{place} is {int(values[index])}, expected {int(expected[index])}; {count}", index


def _distance(values: IntArray, expected: IntArray) -> IntArray:
    """The exact absolute differences of two arrays, in Python integers where they might exceed 64 bits."""
    half = I64.hi // 2
    if values.dtype != object and all(-half <= int(end) <= half for x in (values, expected) for end in (x.min(), x.max())):
        return np.asarray(np.abs(values.astype(np.int64) - expected.astype(np.int64)))
    return np.asarray(abs(values.astype(object) - expected.astype(object)))


def _kind(got: Any) -> str:
    """A short description of a returned value."""
    if isinstance(got, (np.ndarray, np.generic)):
        return f"{got.dtype} {list(got.shape)}" if got.shape else str(got.dtype)
    return "None" if got is None else f"a {type(got).__name__}"


def steps(call: Call, index: Sequence[int]) -> str:
    """The reference's steps to one element of a call, as `intsim trace` shows them."""
    names = list(call.operator.inputs)
    if call.operator.variadic:
        names = [f"{names[0]}[{i}]" for i in range(len(call.inputs))]
    node, at, inputs = Node("out", call.op, tuple(names), call.params), tuple(index), list(call.inputs)
    lines = tuple(lines_of(node, inputs, at, call.dialect or ISEGMENTER))
    return table(Trace("out", call.op, at, None, lines, None))


def table(trace: Trace) -> str:
    """A trace as `intsim trace` prints it."""
    from rich.console import Console

    text = io.StringIO()
    render(Console(file=text, width=MAX_WIDTH, force_terminal=False, color_system=None), trace)
    return "\n".join(line.rstrip() for line in text.getvalue().rstrip("\n").splitlines())
