"""What lengths have to be, derived from a trace: those that are summed, and those that have to go together."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from ..symbols import Expression
from ..symbols.expression import CONSTANT, INPUT, in_order
from ..symbols.sizes import Size, product
from .c_form import CForm
from .c_terms import factors


def sides(order: list[Expression]) -> list[Expression]:
    """The expressions of all lengths."""
    return [side.expression for x in order for side in x.shape if isinstance(side, Size)]


def is_product(side: Expression) -> bool:
    """Whether a length is a product of arguments and numbers, or a sum of them: nothing that a cast to 32 bits cuts."""
    return all(x.kind in (INPUT, CONSTANT, "multiply", "add") for x in in_order([side]))


def summed(x: Expression) -> list[int]:
    """The lengths that a reduction runs over."""
    if x.kind in ("sum", "max", "argmax"):
        return [x.args[0].shape[x.attribute("axis")]]
    return [x.args[0].shape[-1]] if x.kind == "matmul" else []


def mismatches(form: CForm, x: Expression) -> Iterator[str]:
    """When the lengths of a call do not suit a movement."""
    if x.kind == "reshape":
        due, found = (_factors(shape) for shape in (x.shape, x.args[0].shape))
        if due != found:
            yield " != ".join(form.extent(product(shape)) for shape in (x.shape, x.args[0].shape))
    if x.kind == "slice":
        for start, stop, side in zip(x.attribute("starts"), x.attribute("stops"), x.args[0].shape, strict=True):
            if isinstance(start, Size) and isinstance(stop, Size) and start.expression.kind == stop.expression.kind == INPUT:
                yield f"{form.extent(start)} >= {form.extent(stop)}"
                yield f"{form.extent(stop)} > {form.extent(side)}"


def _factors(shape: tuple[int, ...]) -> tuple[int, list[int]]:
    """The number, and the lengths by their identity, of which a number of elements is the product."""
    found = [factor for side in shape if isinstance(side, Size) for factor in factors(side.expression)]
    numbers = [side for side in shape if not isinstance(side, Size)] + [x.scalar for x in found if x.scalar is not None]
    return prod(numbers), sorted(id(x) for x in found if x.scalar is None)
