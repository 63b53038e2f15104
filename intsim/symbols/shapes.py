"""The axes of an operator's arrays, by which one function serves all calls: lengths that are arguments.

The first axis of the first array takes all leading axes of a call together. An operator names its axes (`Op.forms`); one
that does not has rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isqrt, prod
from typing import Any, Protocol

import numpy as np

from .equation import Equation, Parameter


@dataclass(frozen=True)
class Form:
    """One function of an operator: the axes of its arrays, and the parameters that are `fixed`, or products of lengths.

    `suffix` is in the function's name. With `spread` the second array is repeated along the leading axes of the first, of
    which the first two axes take all together.
    """

    shapes: Mapping[str, tuple[str, ...]]
    suffix: str = ""
    fixed: Mapping[str, int | str] = field(default_factory=dict)
    spread: bool = False
    wrong: tuple[str, ...] = ()  # what lengths must not be, in C
    plane: bool = False  # an array of two axes is one plane of one channel


def form(suffix: str = "", fixed: Mapping[str, int | str] | None = None, **shapes: str) -> Form:
    """A form by the axes of each array: ``form(x="rows inputs", weight="outputs inputs", bias="outputs")``."""
    return Form({name: tuple(axes.split()) for name, axes in shapes.items()}, suffix, fixed or {})


class Formed(Equation, Protocol):
    """An operator with the axes of its arrays."""

    def forms(self, count: int = 2) -> tuple[Form, ...]:
        """Its functions; of a variadic operator, the one for `count` arrays."""


def rows_form(inputs: Iterable[str], params: Mapping[str, Parameter]) -> Form:
    """The function of an operator on rows, which is that of operators that do not name their axes."""
    shapes: dict[str, tuple[str, ...]] = dict.fromkeys(inputs, ("rows", "columns"))
    return Form(shapes | {key: ("columns",) for key, param in params.items() if 1 in param.ndim})


def stepped(operator: Equation, name: str) -> bool:
    """Whether a parameter may be one value for all channels, so that its function takes a step of 0 or 1."""
    return name in operator.params and set(operator.params[name].ndim) == {0, 1}


def form_of_call(
    operator: Formed, shapes: Sequence[tuple[int, ...]], params: Mapping[str, Any]
) -> tuple[Form, dict[str, int]]:
    """The function that serves a call, and its lengths, given the shapes of the inputs. ValueError where none does."""
    reason = ValueError("no function")
    plain = {key: int(value) for key, value in params.items() if np.ndim(value) == 0}
    for form in operator.forms(len(shapes)):
        if any(isinstance(due, int) and key != "axis" and plain.get(key, 0) != due for key, due in form.fixed.items()):
            continue
        names = (name for name in form.shapes if name not in operator.params)
        known = dict(zip(names, shapes, strict=True))
        known |= {name: np.shape(params[name]) for name in form.shapes if name in operator.params}
        try:
            return form, lengths_of_call(operator, form, known, plain)
        except ValueError as error:
            reason = error
    raise reason


def _solve(equations: list[tuple[str, int]], known: dict[str, int]) -> None:
    """Lengths from what products of them are."""
    waiting = list(equations)
    while waiting:
        left = []
        for axis, side in waiting:
            factors = axis.split("*")
            unknown = [factor for factor in factors if factor not in known and not factor.isdigit()]
            others = prod(int(factor) if factor.isdigit() else known.get(factor, 1) for factor in factors)
            if unknown and others < 1:
                raise ValueError(f"{axis} has a length of 0")
            if len(unknown) == 1:
                known[unknown[0]] = side // others
            elif len(unknown) == 2 and unknown[0] == unknown[1]:
                known[unknown[0]] = isqrt(side // others)
            elif unknown:
                left.append((axis, side))
        if len(left) == len(waiting):
            raise ValueError(f"the lengths {', '.join(axis for axis, _ in left)} are not determined")
        waiting = left


def lengths_of_call(
    operator: Equation, form: Form, shapes: Mapping[str, tuple[int, ...]], params: Mapping[str, int]
) -> dict[str, int]:
    """The lengths of a call, by name, given the shapes of its arrays. ValueError where they do not go together."""
    equations: list[tuple[str, int]] = []
    leading: dict[str, tuple[int, ...]] = {}
    for name, shape in shapes.items():
        if stepped(operator, name) and not shape:
            continue
        axes = form.shapes[name]
        sides: tuple[int, ...]
        if "axis" in form.fixed:  # what is before the axis, the axis, what is behind
            at = len(shape) + params["axis"]
            if not 0 <= at < len(shape):
                raise ValueError(f"axis {params['axis']} is not an axis of {list(shape)}")
            sides = (prod(shape[:at]), shape[at], prod(shape[at + 1 :]))
        elif form.plane and len(shape) == 2:
            sides = (1, *shape, 1)
        else:
            rest = len(axes) - 1
            if len(shape) < rest or (name in operator.params and len(shape) != len(axes)):
                raise ValueError(f"{name} has {len(shape)} axes, expected {' x '.join(axes)}")
            before = shape[: len(shape) - rest]
            if form.spread and not leading:
                equations.append((f"{axes[0]}*{axes[1]}", prod(before) * shape[len(shape) - rest]))
                sides, axes = tuple(shape[len(shape) - rest + 1 :]), axes[2:]
                leading["spread"] = shape
                equations += zip(axes, sides, strict=True)
                continue
            if form.spread and name not in operator.params and shape != leading["spread"][-len(shape) :]:
                raise ValueError(f"{list(shape)} is not repeated along {list(leading['spread'])}")
            if leading.setdefault(axes[0], before) != before:
                raise ValueError(f"arrays with the leading axes {list(leading[axes[0]])} and {list(before)}")
            sides = (prod(before), *shape[len(shape) - rest :])
        equations += zip(axes, sides, strict=True)
    named = {part for axes in form.shapes.values() for axis in axes for part in axis.split("*")}
    if "axis" in form.fixed:
        others = {
            tuple(side for i, side in enumerate(shape) if i != len(shape) + params["axis"]) for shape in shapes.values()
        }
        if len(others) != 1:
            raise ValueError("arrays differ along other axes, too")
    found = {name: int(value) for name, value in params.items() if name in named}
    equations += [(axis, int(params[key])) for key, axis in form.fixed.items() if isinstance(axis, str)]
    _solve(equations, found)
    for axis, side in equations:
        if prod(int(part) if part.isdigit() else found[part] for part in axis.split("*")) != side:
            raise ValueError(f"{axis} is not {side} in all arrays")
    return found
