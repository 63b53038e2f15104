"""Tracing: an operator's equation called with symbols."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..arith import I64, Format, IntArray, TensorBound
from ..dialects import Dialect, resolve
from .build import Expressions
from .equation import Equation
from .expression import Expression, in_order
from .symbol import NotTraceable, Symbol, Tape

__all__ = ["NotTraceable", "Traced", "inferred", "trace"]


@dataclass(frozen=True)
class Traced:
    """The expressions of one call of an operator.

    `inputs` are what the call is given, by name: its arguments, and those parameters that are not constants. `steps` are the
    named steps of the equation, the last one ``out``. A `refusal` that is true anywhere is a call that the operator refuses.
    """

    op: str
    dialect: Dialect | None
    inputs: dict[str, Expression]
    steps: dict[str, Expression]
    refusals: tuple[Expression, ...]
    build: Expressions = field(repr=False)  # of its expressions

    @property
    def out(self) -> Expression:
        """The result."""
        return self.steps["out"]


def trace(
    operator: Equation,
    tensors: Sequence[TensorBound],
    params: Mapping[str, Any],
    dialect: Dialect | str | None = None,
    given: Collection[str] = (),
) -> Traced:
    """The expressions of an operator for arguments of these shapes and bounds.

    A parameter that is a `TensorBound` is an input, too, and so is an array that is among those `given`; other arrays are
    constants, and an integer is part of the equation. The bounds of the result are those that the operator's own ``infer``
    proves, where they are tighter.

    Raises NotTraceable where the equation does what symbols cannot follow, ValueError where arguments do not match.
    """
    rules = None if dialect is None else resolve(dialect)
    found = traced(operator, tensors, params, rules, given)
    proved = _proved(operator, tensors, params, rules)
    if proved is None:
        return found
    build, steps, out = found.build, dict(found.steps), found.out
    steps["out"] = build("bounded", out, lo=proved.lo, hi=proved.hi)
    refusals = (build.replaced(refusal, out, steps["out"]) for refusal in found.refusals)
    left = tuple(refusal for refusal in refusals if refusal.scalar != 0)
    return replace(found, steps=steps, refusals=left)


def traced(
    operator: Equation,
    tensors: Sequence[TensorBound],
    params: Mapping[str, Any],
    rules: Dialect | None,
    given: Collection[str] = (),
    build: Expressions | None = None,
) -> Traced:
    """As `trace`, with the bounds that follow from the operations alone; the expressions are those of `build`, if given."""
    tape = Tape()
    tape.build = build or tape.build
    if rules is None and operator.choices:
        raise ValueError(f"{operator.name}: an operator with choices needs a dialect")
    inputs: dict[str, Expression] = {}

    def argument(name: str, bound: TensorBound) -> Symbol:
        inputs[name] = tape.build.input(name, bound.shape, bound.lo, bound.hi)
        return tape.symbol(inputs[name])

    def parameter(name: str, value: Any) -> Any:
        if isinstance(value, TensorBound):
            return argument(name, value)
        array = np.asarray(value)
        if name in given and array.ndim:
            return argument(name, TensorBound(array.shape, I64, int(array.min()), int(array.max())))
        return int(array) if array.ndim == 0 else tape.symbol(tape.build.constant(array))

    names = list(operator.inputs)
    if operator.variadic:
        names = [f"{names[0]}{i}" for i in range(len(tensors))]
    arguments = [argument(name, bound) for name, bound in zip(names, tensors, strict=True)]
    found = operator.steps(*arguments, **{key: parameter(key, value) for key, value in params.items()}, dialect=rules)
    require_steps(operator.name, found)
    steps = {name: tape.expression(value) for name, value in found.items()}
    refusals = tuple(refusal for refusal in dict.fromkeys(tape.refusals) if refusal.scalar != 0)
    return Traced(operator.name, rules, inputs, steps, refusals, tape.build)


def require_steps(name: str, found: object) -> None:
    """Raise ValueError where an equation does not give its steps by name, the last one ``out``."""
    if not isinstance(found, dict) or list(found)[-1:] != ["out"]:
        raise ValueError(f"{name}: its steps return {type(found).__name__}, expected a dict of which the last key is 'out'")


def inferred(
    operator: Equation, tensors: Sequence[TensorBound], params: Mapping[str, Any], dialect: Dialect | None, fmt: Format
) -> TensorBound:
    """Shape and bounds of an operator's result, in the format `fmt`, from its equation.

    Raises ValueError where the equation cannot be traced, or where an intermediate value may pass 64 bits.
    """
    try:
        found = traced(operator, tensors, params, dialect)
    except NotTraceable as error:
        raise ValueError(f"its equation cannot be traced, so its bounds are not known: {error}; give it infer=") from None
    roots = [*found.steps.values(), *found.refusals]
    names = {id(x): name for name, x in found.steps.items()}
    for x in in_order(roots):
        if not I64.holds(x.lo, x.hi):
            step = names.get(id(x), f"an intermediate value ({x.kind})")
            raise ValueError(f"{step} may reach [{x.lo}, {x.hi}], which passes 64 bits; saturate or limit it before")
    return TensorBound(tuple(int(side) for side in found.out.shape), fmt, found.out.lo, found.out.hi)


def _proved(operator: Equation, tensors: Sequence[TensorBound], params: Mapping[str, Any], dialect: Dialect | None) -> Any:
    """What the operator itself proves of its result; None where a parameter is not known."""
    if any(isinstance(value, TensorBound) for value in params.values()):
        return None
    values: dict[str, int | IntArray] = {
        key: int(value) if np.ndim(value) == 0 else np.asarray(value) for key, value in params.items()
    }
    bound = operator.output(list(tensors), values, dialect)
    return bound.settled(operator.overflow(dialect))
