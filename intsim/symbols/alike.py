"""Whether two traces wrote down the same equation: that of an operator for other lengths and parameters has to be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .expression import Expression, in_order
from .sizes import Size


def alike(a: Sequence[Expression], b: Sequence[Expression]) -> bool:
    """Whether expressions are the same operations on the same inputs, whatever the examples of their sizes are."""
    return _written(a) == _written(b)


def _written(roots: Sequence[Expression]) -> tuple[list[int], list[Any]]:
    """The numbers of the roots, and every expression in order, its arguments and sizes by their numbers."""
    numbers: dict[Expression, int] = {}
    lines: list[Any] = []

    def number(root: Expression) -> int:
        for x in in_order([root]):
            if x not in numbers:
                attributes = tuple((key, plain(value)) for key, value in x.attributes)
                value = None if x.value is None else x.lo if x.scalar is not None else x.value.tolist()
                lines.append((x.kind, x.name, tuple(numbers[arg] for arg in x.args), attributes, value))
                numbers[x] = len(numbers)
        return numbers[root]

    def plain(value: Any) -> Any:
        if isinstance(value, Size):
            return "size", number(value.expression)
        return tuple(map(plain, value)) if isinstance(value, tuple) else value

    return [number(root) for root in roots], lines
