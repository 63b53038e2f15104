"""The named steps of an equation at one element: for operators that have no steps in words."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from ...arith import IntArray
from ...engine.graph import operator
from .element import Element, Line

STEP = re.compile(r"^ *(\w+) = (\S.*?)(?:  +.*)?$")


def named_steps(x: Element) -> Iterator[Line]:
    """The inputs at this element, then every named step, with the line of the operator's docstring that defines it."""
    op = operator(x.node)
    written = _written(op.__doc__ or "")
    for position, name in enumerate(op.inputs):
        if _has(x.inputs[position], x.place(position)):
            yield Line(name, x.named(position), x.input(position))
    steps = op.intermediates(list(x.inputs), dict(x.node.params), x.dialect)
    for name, value in steps.items():
        array = np.asarray(value)
        place = _place(array, steps["out"].shape, x.at)
        how = written.get(name, "the result" if name == "out" else "a step of the equation")
        if place is None:
            yield Line(name, how, int(array.flat[0]), 0, f"the first of {list(array.shape)}")
        else:
            yield Line(name, how, int(array[place]))


def _written(docstring: str) -> dict[str, str]:
    """The right-hand sides of a docstring's lines ``name = ...``."""
    return {match[1]: match[2] for line in docstring.splitlines() if (match := STEP.match(line))}


def _has(array: IntArray, at: tuple[int, ...]) -> bool:
    return len(at) == array.ndim and all(i < n for i, n in zip(at, array.shape, strict=True))


def _place(step: IntArray, shape: tuple[int, ...], at: tuple[int, ...]) -> tuple[int, ...] | None:
    """Where a step has the value for an element of the result; None where its shape does not tell."""
    if step.ndim > len(shape):
        return None
    own = shape[len(shape) - step.ndim :]
    index = at[len(shape) - step.ndim :]
    if not all(side in (1, whole) for side, whole in zip(step.shape, own, strict=True)):
        return None
    return tuple(0 if side == 1 else i for side, i in zip(step.shape, index, strict=True))
