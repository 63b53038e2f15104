"""What is raised where numbers differ: the call, the first wrong element, and the steps that lead to the right one."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arith import I64, IntArray, first_index
from ..dialects import ISEGMENTER
from ..engine.graph import Node
from ..tracing.core import Trace, moved
from ..tracing.table import render
from ..tracing.tracers import TRACERS, Element
from .calls import Call

WIDTH = 240  # of a table of steps, which is not filled up to it


class Difference(AssertionError):
    """Values that are not those due. `expected` and `got` hold them, `index` is the first element that differs (None: the
    values could not be compared).
    """

    def __init__(self, text: str, expected: Any, got: Any, index: tuple[int, ...] | None) -> None:
        super().__init__(text)
        self.expected, self.got, self.index = expected, got, index


class Counterexample(Difference):
    """The smallest call found at which a function does not do what its operator does: `call`, and its `arguments` by name.
    `expected` is None where the reference refuses the call, `got` is None where the function raised.
    """

    def __init__(self, text: str, call: Call, expected: IntArray | None, got: Any, index: tuple[int, ...] | None) -> None:
        super().__init__(text, expected, got, index)
        self.call, self.arguments = call, call.arguments


@dataclass(frozen=True)
class Fault:
    """What is wrong with a function at a call: in words, what it returned, the first wrong element, what it raised."""

    call: Call
    problem: str
    got: Any = None
    index: tuple[int, ...] | None = None
    cause: Exception | None = None

    def counterexample(self, function: Callable, remark: str = "") -> Counterexample:
        """The fault as it is raised."""
        call = self.call
        spoken = f" in dialect {call.dialect.name}" if call.dialect is not None else ""
        name = getattr(function, "__qualname__", None) or getattr(function, "name", None) or repr(function)
        parts = [f"{name} is not {call.op}{spoken}", f"    {call}", self.problem]
        if self.index is not None:
            parts.append(steps(call, self.index))
        text = "\n\n".join([*parts, remark] if remark else parts)
        found = Counterexample(text, call, None if call.refusal else call.due, self.got, self.index)
        found.__cause__ = self.cause
        return found


def judged(call: Call, function: Callable, tolerance: int) -> Fault | None:
    """What is wrong with what `function` makes of a call; None where it is right, or refuses what the reference refuses."""
    refusal = call.refusal
    wanted = f"; due is a ValueError, as the reference says: {refusal}" if refusal else ""
    try:
        got = call.apply(function)
    except Exception as error:  # noqa: BLE001  whatever it raises is what is wrong with it
        if refusal and isinstance(error, ValueError):
            return None
        return Fault(call, f"it raised {type(error).__name__}: {error}{wanted}", cause=error)
    if refusal:
        return Fault(call, f"it returned {_kind(got)}{wanted}", got)
    problem, index = difference(call.due, got, tolerance)
    if not problem:
        return None
    if index is not None and np.array_equal(np.asarray(got), call.inputs[0]):
        problem += "; the function returned its input as it was"
    return Fault(call, problem, got, index)


def difference(due: IntArray, got: Any, tolerance: int) -> tuple[str, tuple[int, ...] | None]:
    """What is wrong with `got` in words, "" where nothing is, and the first element that differs."""
    try:
        values = np.asarray(got)
    except ValueError:
        return f"it returned {_kind(got)}; an array of integers is due", None
    whole = values.dtype.kind in "iu" or (
        values.dtype == object and got is not None and all(isinstance(v, (int, np.integer)) for v in values.flat)
    )
    if not whole:
        return f"it returned {_kind(got)}; integers are due", None
    if values.shape != due.shape:
        return f"its shape is {list(values.shape)}, due is {list(due.shape)}", None
    apart = _apart(values, due)
    wrong = apart > tolerance
    if not wrong.any():
        return "", None
    index = tuple(first_index(wrong))
    place = f"out[{', '.join(map(str, index))}]" if index else "out"
    differing, within = int(wrong.sum()), f" by more than {tolerance}" if tolerance else ""
    count = f"{differing:,} of {due.size:,} elements differ{within}"
    return f"{place} is {int(values[index])}, due {int(due[index])}; {count}", index


def _apart(values: IntArray, due: IntArray) -> IntArray:
    """How far two arrays are apart, exactly: in Python integers where 64 bits might not do."""
    half = I64.hi // 2
    if values.dtype != object and all(-half <= int(end) <= half for x in (values, due) for end in (x.min(), x.max())):
        return np.asarray(np.abs(values.astype(np.int64) - due.astype(np.int64)))
    return np.asarray(abs(values.astype(object) - due.astype(object)))


def _kind(got: Any) -> str:
    """What was returned, in a word or two."""
    if isinstance(got, (np.ndarray, np.generic)):
        return f"{got.dtype} {list(got.shape)}" if got.shape else str(got.dtype)
    return "None" if got is None else f"a {type(got).__name__}"


def steps(call: Call, index: Sequence[int]) -> str:
    """The reference's steps to one element of a call, as `intsim trace` shows them."""
    names = list(call.operator.inputs)
    if call.operator.variadic:
        names = [f"{names[0]}[{i}]" for i in range(len(call.inputs))]
    node, at, inputs = Node("out", call.op, tuple(names), call.params), tuple(index), list(call.inputs)
    if call.op in TRACERS:
        lines = tuple(TRACERS[call.op](Element(node, inputs, at, call.dialect or ISEGMENTER)))
    else:
        lines = (moved(node, inputs, at),)
    return table(Trace("out", call.op, at, None, lines, None))


def table(trace: Trace) -> str:
    """A trace as `intsim trace` prints it."""
    from rich.console import Console

    text = io.StringIO()
    render(Console(file=text, width=WIDTH, force_terminal=False, color_system=None), trace)
    return "\n".join(line.rstrip() for line in text.getvalue().rstrip("\n").splitlines())
