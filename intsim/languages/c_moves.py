"""Movements as indices: where an element of a result comes from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..symbols import Expression
from ..symbols.sizes import Size, smallest
from .c_terms import Index, Term, ctype

if TYPE_CHECKING:
    from .c_form import CForm


def _reshape(form: CForm, x: Expression, index: Index) -> Term:
    return form.value(x.args[0], form.reshaped(index, x.shape, x.args[0].shape))


def _transpose(form: CForm, x: Expression, index: Index) -> Term:
    places = dict(zip(x.attribute("axes"), index, strict=True))
    return form.value(x.args[0], tuple(places[axis] for axis in range(len(index))))


def _slice(form: CForm, x: Expression, index: Index) -> Term:
    moved = []
    for at, start in zip(index, x.attribute("starts"), strict=True):
        if not isinstance(start, Size) and start == 0:
            moved.append(at)
        elif at.text == "0":
            moved.append(form.length(start))
        else:
            moved.append(Term(f"{at.wrapped} + {form.length(start).wrapped}", at.level, atom=False))
    return form.value(x.args[0], tuple(moved))


def _concatenate(form: CForm, x: Expression, index: Index) -> Term:
    axis, before = x.attribute("axis"), 0
    at = index[axis]
    texts: list[str] = []
    for i, arg in enumerate(x.args):
        start = form.length(before)
        shifted = at if i == 0 else Term(f"{at.wrapped} - {start.wrapped}", at.level, atom=False)
        value = form.value(arg, (*index[:axis], shifted, *index[axis + 1 :]))
        before = arg.shape[axis] if i == 0 else before + arg.shape[axis]
        last = i == len(x.args) - 1
        texts.append(value.wrapped if last else f"{at.wrapped} < {form.length(before).wrapped} ? {value.wrapped} : ")
    return Term("".join(texts), max(at.level for at in index), atom=False)


def _repeat(form: CForm, x: Expression, index: Index) -> Term:
    axis = x.attribute("axis")
    at, count = index[axis], form.length(x.attribute("count"))
    divided = Term(f"{at.wrapped} / {count.wrapped}", at.level, atom=False)
    return form.value(x.args[0], (*index[:axis], divided, *index[axis + 1 :]))


def _gather(form: CForm, x: Expression, index: Index) -> Term:
    table, places = x.args
    count = len(places.shape)
    place = form.value(places, index[:count])
    row = form.variable("size_t", "row", f"(size_t){place.wrapped}", place.level)
    if not places.hi < smallest(table.shape[0]):
        form.put(place.level, f"if ({row.text} >= {form.extent(table.shape[0])}) return INTSIM_SHAPE;")
    return form.value(table, (row, *index[count:]))


MOVES: dict[str, Callable[[CForm, Expression, Index], Term]] = {
    "reshape": _reshape,
    "transpose": _transpose,
    "slice": _slice,
    "concatenate": _concatenate,
    "repeat": _repeat,
    "gather": _gather,
    "index": lambda form, x, index: Term(f"({ctype(x)}){index[0].wrapped}", index[0].level),
}
