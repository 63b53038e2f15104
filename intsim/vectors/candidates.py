"""Calls of any operator, from its axes and the formats of its arguments.

Lengths, values and parameters are drawn where mistakes show: at the ends of formats, around 0, in rows of one element or of
equal ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

from ..arith import I16, I64, Format
from ..dialects import ISEGMENTER
from ..ops import Op
from ..symbols.shapes import Form
from .document import INVALID, answer
from .drafting import Draws, nested

LENGTHS = (1, 2, 3, 4, 5, 8, 16)
CANDIDATES = {1: 200, 2: 1000}  # by level
SPECIMENS = 4
KINDS = (
    ("SumEnds", "the lowest values"),
    ("SumEnds", "the highest values"),
    ("SumEnds", "both ends in turn"),
    ("AllEqualRow", "zeros"),
    ("Grid", "around zero"),
    ("Random", ""),
    ("Random", "small values"),
    ("AllNegativeRow", "below zero"),
    ("LargeMaximum", "one large value in each row"),
    ("Grid", "ascending"),
)


def specimens(op: Op) -> tuple[dict[str, Any], ...]:
    """A few calls that the operator takes, of several elements in every axis."""
    found: list[dict[str, Any]] = []
    for _, _, args in candidates(op, Draws(1), CANDIDATES[1]):
        sizes = [_elements(value) for value in args.values() if isinstance(value, list)]
        if min(sizes, default=0) > 3 and answer(op.name, args, ISEGMENTER) != INVALID:
            found.append(args)
        if len(found) == SPECIMENS:
            break
    return tuple(found)


def candidates(op: Op, draws: Draws, count: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Calls that fit the operator's axes and formats, each with its flags and a note; it may refuse some of them."""
    forms = op.forms()
    for i in range(count):
        flags, note = KINDS[i % len(KINDS)]
        form = forms[i // len(KINDS) % len(forms)]
        lengths = _lengths(form, draws, i)
        params = {key: _plain(param.fmt, draws, i) for key, param in op.params.items() if key not in form.shapes}
        params |= {key: _side(axis, lengths) if isinstance(axis, str) else axis for key, axis in form.fixed.items()}
        arrays = {name: _array(op, name, axes, lengths, draws, i) for name, axes in form.shapes.items()}
        if op.variadic:
            first = next(iter(op.inputs))
            arrays = {first: [arrays.pop(name) for name in [*arrays] if name not in op.params], **arrays}
        if max(lengths.values(), default=1) == 1:
            flags = f"SingleElement {flags}"
        yield flags, note, {**arrays, **params}


def _lengths(form: Form, draws: Draws, i: int) -> dict[str, int]:
    """A length for every axis; the first candidates have rows of one element, and of two."""
    names = dict.fromkeys(part for axes in form.shapes.values() for axis in axes for part in axis.split("*"))
    most = len(LENGTHS) - 1
    return {name: LENGTHS[min(i, 1) if i < 2 else draws.one(0, most)] for name in names if not name.isdigit()}


def _side(axis: str, lengths: dict[str, int]) -> int:
    """The length of an axis that may be a product."""
    return prod(int(part) if part.isdigit() else lengths[part] for part in axis.split("*"))


def _plain(fmt: Format, draws: Draws, i: int) -> int:
    """A parameter: anywhere in its range, at its ends, or small."""
    near = min(max(fmt.lo, 1), fmt.hi)
    choices = (draws.one(fmt.lo, fmt.hi), near, draws.one(max(fmt.lo, near - 16), min(fmt.hi, near + 16)), fmt.hi, fmt.lo)
    return choices[(i // len(KINDS)) % len(choices)]


def _array(op: Op, name: str, axes: tuple[str, ...], lengths: dict[str, int], draws: Draws, i: int) -> Any:
    """An argument of a kind, as nested lists."""
    fmt = op.params[name].fmt if name in op.params else op.port(list(op.inputs).index(name) if name in op.inputs else 0)
    fmt = I16 if fmt is I64 else fmt
    shape = tuple(_side(axis, lengths) for axis in axes)
    flat = list(_values(KINDS[i % len(KINDS)][1], fmt, prod(shape), shape[-1] if shape else 1, draws))
    return nested(flat, shape) if shape else flat[0]


def _values(kind: str, fmt: Format, count: int, row: int, draws: Draws) -> Iterator[int]:
    """The values of an argument, row by row."""
    small = max(fmt.lo, -3), min(fmt.hi, 3)
    large = draws.one(0, row - 1)
    start = draws.one(fmt.lo, fmt.hi)
    for at in range(count):
        if kind == "the lowest values":
            yield fmt.lo
        elif kind == "the highest values":
            yield fmt.hi
        elif kind == "both ends in turn":
            yield (fmt.lo, fmt.hi)[at % 2]
        elif kind == "zeros":
            yield min(max(0, fmt.lo), fmt.hi)
        elif kind == "around zero":
            yield min(max(at % 7 - 3, fmt.lo), fmt.hi)
        elif kind == "small values":
            yield draws.one(*small)
        elif kind == "below zero":
            yield draws.one(fmt.lo, max(fmt.lo, min(-1, fmt.hi)))
        elif kind == "one large value in each row":
            yield fmt.hi if at % row == large else draws.one(*small)
        elif kind == "ascending":
            yield min(start + at, fmt.hi)
        else:
            yield draws.one(fmt.lo, fmt.hi)


def _elements(value: Any) -> int:
    return sum(map(_elements, value)) if isinstance(value, list) else 1
