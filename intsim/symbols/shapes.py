"""The axes of every operator's arrays, by which one function serves all calls: lengths that are arguments.

The first axis of the first array takes all leading axes of a call together. Operators that are not here have rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isqrt, prod
from typing import Any

import numpy as np

from ..ops import REGISTRY
from ..ops._op import Op


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


def _form(suffix: str = "", fixed: Mapping[str, int | str] | None = None, **shapes: str) -> Form:
    return Form({name: tuple(axes.split()) for name, axes in shapes.items()}, suffix, fixed or {})


DISPLACEMENTS = "displacements != (2 * (size_t)size - 1) * (2 * (size_t)size - 1)"


def concat_form(count: int) -> Form:
    """The function that joins so many arrays."""
    shapes = {f"x{i}": f"outer length{i} inner" for i in range(count)}
    return _form("" if count == 2 else str(count), {"axis": -2}, **shapes)


FORMS: dict[str, tuple[Form, ...]] = {
    "argmax": (_form(x="rows columns"),),
    "concat": (concat_form(2),),
    "grid": (_form(x="outer height*width channels"),),
    "heads": (_form(x="outer tokens heads*depth"),),
    "input_lut": (_form(image="pixels channels", table="channels 256"),),
    "layernorm": (_form(x="rows columns", bias="columns"),),
    "linear": (_form(x="rows inputs", weight="outputs inputs", bias="outputs"),),
    "masked_shiftmax": (_form(x="outer windows heads tokens tokens", regions="windows tokens"),),
    "matmul": (
        _form(fixed={"transpose_b": 0}, a="outer rows inner", b="outer inner columns"),
        _form("_transposed", {"transpose_b": 1}, a="outer rows inner", b="outer columns inner"),
    ),
    "mean": (_form(x="outer tokens channels"),),
    "merge_heads": (_form(x="outer heads tokens depth"),),
    "merge_patches": (_form(x="outer 2*rows 2*columns channels"),),
    "merge_windows": (_form(fixed={"height": "down*size"}, x="outer down*across size*size channels"),),
    "patches": (_form(x="outer height width channels"),),
    "relative_positions": (replace(_form(table="displacements heads"), wrong=(DISPLACEMENTS,)),),
    "requant": (_form(acc="rows channels", m="channels", e="channels"),),
    "residual_add": (
        _form(a="rows channels", c="rows channels", ma="channels", ea="channels", mc="channels", ec="channels"),
        replace(
            _form(
                "_spread",
                a="outer rows channels",
                c="rows channels",
                ma="channels",
                ea="channels",
                mc="channels",
                ec="channels",
            ),
            spread=True,
        ),
    ),
    "roll": (_form(x="outer height width channels"),),
    "shift_exp": (_form(x="count"),),
    "slice": (_form(fixed={"axis": -2}, x="outer length inner"),),
    "tokens": (_form(x="outer height width channels"),),
    "upsample_nearest": (_form(x="outer height width channels"),),
    "windows": (_form(x="outer down*size across*size channels"),),
}


def forms(op: str) -> tuple[Form, ...]:
    """The functions of an operator."""
    if op in FORMS:
        return FORMS[op]
    operator = REGISTRY[op]
    shapes: dict[str, tuple[str, ...]] = dict.fromkeys(operator.inputs, ("rows", "columns"))
    shapes |= {key: ("columns",) for key, param in operator.params.items() if 1 in param.ndim}
    return (Form(shapes),)


def stepped(operator: Op, name: str) -> bool:
    """Whether a parameter may be one value for all channels, so that its function takes a step of 0 or 1."""
    return name in operator.params and set(operator.params[name].ndim) == {0, 1}


def form_of_call(op: str, shapes: Sequence[tuple[int, ...]], params: Mapping[str, Any]) -> tuple[Form, dict[str, int]]:
    """The function that serves a call, and its lengths, given the shapes of the inputs. ValueError where none does."""
    operator, reason = REGISTRY[op], ValueError("no function")
    plain = {key: int(value) for key, value in params.items() if np.ndim(value) == 0}
    for form in [concat_form(len(shapes))] if operator.variadic else forms(op):
        if any(isinstance(due, int) and key != "axis" and plain.get(key, 0) != due for key, due in form.fixed.items()):
            continue
        names = (name for name in form.shapes if name not in operator.params)
        known = dict(zip(names, shapes, strict=True))
        known |= {name: np.shape(params[name]) for name in form.shapes if name in operator.params}
        try:
            return form, lengths_of_call(op, form, known, plain)
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


def lengths_of_call(op: str, form: Form, shapes: Mapping[str, tuple[int, ...]], params: Mapping[str, int]) -> dict[str, int]:
    """The lengths of a call, by name, given the shapes of its arrays. ValueError where they do not go together."""
    equations: list[tuple[str, int]] = []
    leading: dict[str, tuple[int, ...]] = {}
    for name, shape in shapes.items():
        if stepped(REGISTRY[op], name) and not shape:
            continue
        axes = form.shapes[name]
        sides: tuple[int, ...]
        if "axis" in form.fixed:  # what is before the axis, the axis, what is behind
            at = len(shape) + params["axis"]
            if not 0 <= at < len(shape):
                raise ValueError(f"axis {params['axis']} is not an axis of {list(shape)}")
            sides = (prod(shape[:at]), shape[at], prod(shape[at + 1 :]))
        elif op == "upsample_nearest" and len(shape) == 2:  # labels
            sides = (1, *shape, 1)
        else:
            rest = len(axes) - 1
            if len(shape) < rest or (name in REGISTRY[op].params and len(shape) != len(axes)):
                raise ValueError(f"{name} has {len(shape)} axes, expected {' x '.join(axes)}")
            before = shape[: len(shape) - rest]
            if form.spread and not leading:
                equations.append((f"{axes[0]}*{axes[1]}", prod(before) * shape[len(shape) - rest]))
                sides, axes = tuple(shape[len(shape) - rest + 1 :]), axes[2:]
                leading["spread"] = shape
                equations += zip(axes, sides, strict=True)
                continue
            if form.spread and name not in REGISTRY[op].params and shape != leading["spread"][-len(shape) :]:
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
