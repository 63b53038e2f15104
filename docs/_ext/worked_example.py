"""The worked example of an operator: the last call in its docstring, its named steps, and one element step by step."""

from __future__ import annotations

import doctest
from dataclasses import dataclass
from typing import Any

import numpy as np

from intsim import ops
from intsim.arith import IntArray, TensorBound
from intsim.dialects import ISEGMENTER, Dialect, resolve
from intsim.engine.graph import Node
from intsim.ops import Op
from intsim.tracing.tracers import Line, lines_of

SHORT = 24  # elements of a step that are shown


@dataclass(frozen=True)
class Example:
    """A call of an operator, its arrays in the formats of its ports: the text with the printed result, what it computes."""

    text: str
    op: Op
    names: tuple[str, ...]
    inputs: list[IntArray]
    params: dict[str, Any]
    dialect: Dialect | None

    @property
    def bound(self) -> TensorBound:
        """Shape, format and proven bounds of the result, for any inputs of these shapes."""
        full = [TensorBound.full(x.shape, self.op.port(i)) for i, x in enumerate(self.inputs)]
        return self.op.output(full, self.params, self.dialect).settled(self.op.overflow(self.dialect))

    def steps(self) -> dict[str, IntArray]:
        """Every named step of the equation."""
        return self.op.intermediates(self.inputs, self.params, self.dialect)

    def trace(self) -> tuple[tuple[int, ...], tuple[Line, ...]]:
        """The index of the last element of the result, and its computation step by step."""
        out = np.asarray(self.steps()["out"])
        node = Node(self.op.name, self.op.name, self.names, self.params)
        at = tuple(n - 1 for n in out.shape)
        # Operators without a choice never ask for their dialect.
        lines = tuple(lines_of(node, self.inputs, at, self.dialect or ISEGMENTER))
        if lines[-1].value != int(out[at]):
            raise AssertionError(f"{self.op.name}: the trace gives {lines[-1].value}, the steps give {int(out[at])}")
        return at, lines


class _Recorder:
    """Stands in for `intsim.ops`, and keeps the arguments of the last call."""

    def __init__(self) -> None:
        self.call: tuple[Op, tuple[Any, ...], dict[str, Any]] | None = None

    def __getattr__(self, name: str) -> Any:
        op: Op = getattr(ops, name)

        def called(*args: Any, **kwargs: Any) -> IntArray:
            self.call = op, args, kwargs
            return op(*args, **kwargs)

        return called


def example(op: Op) -> Example:
    """The example in the docstring of `op`; a ValueError where it has none that calls it."""
    examples = doctest.DocTestParser().get_examples(str(op.__doc__))
    recorder = _Recorder()
    names: dict[str, Any] = {}
    for step in examples:
        exec(compile(step.source, op.name, "single" if step.want == "" else "exec"), names)
        if "ops" in names:
            names["ops"] = recorder
    if recorder.call is None or recorder.call[0] is not op:
        raise ValueError(f"{op.name}: the docstring has no example that calls it")
    _, args, kwargs = recorder.call
    given = op.signature.bind(*args, **kwargs)
    given.apply_defaults()
    arguments = dict(given.arguments)
    dialect = resolve(arguments.pop("dialect")) if op.choices else arguments.pop("dialect", None)
    ports = list(op.inputs)
    raw = list(arguments.pop(ports[0])) if op.variadic else [arguments.pop(name) for name in ports]
    inputs = [np.asarray(x).astype(op.port(i).dtype) for i, x in enumerate(raw)]
    params = {name: op.checked_param(name, value) for name, value in arguments.items()}
    names_of = tuple(f"{ports[0]}{i}" for i in range(len(raw))) if op.variadic else tuple(ports)
    text = "".join(f">>> {s.source}{s.want}" for s in examples)
    return Example(text.rstrip(), op, names_of, inputs, params, dialect)


def brief(value: Any) -> str:
    """A step's value in one line; of a long one the beginning, and its shape."""
    array = np.asarray(value)
    if array.size <= SHORT:
        return str(array.tolist())
    shown = ", ".join(str(int(v)) for v in array.ravel()[:8])
    return f"{shown}, ... (shape {list(array.shape)})"
