"""Expressions: integer arrays that are not computed yet, each an operation on others, with its shape and proven bounds."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..arith import AnyArray

INPUT, CONSTANT = "input", "constant"


@dataclass(frozen=True, eq=False)
class Expression:
    """An array as an operation (`kind`) on others (`args`), with static `attributes`.

    Every element is proved to lie in ``[lo, hi]``, Python integers of any size; those of a `boolean` one are 0 and 1. An
    input has a `name`, a constant its `value`. Where every element is a `function` of the element of one other expression
    alone, and that has few values, the function is known: the other expression, and the values for each of its own from its
    `lo` to its `hi`, of which the bounds are exact. Expressions are equal where they are the same object: one trace builds
    every expression once.
    """

    kind: str
    args: tuple[Expression, ...]
    attributes: tuple[tuple[str, Any], ...]
    shape: tuple[int, ...]
    lo: int
    hi: int
    boolean: bool = False
    function: tuple[Expression, AnyArray] | None = field(default=None, repr=False)
    name: str = ""
    value: AnyArray | None = field(default=None, repr=False)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(np.prod(self.shape, dtype=object))

    @property
    def magnitude(self) -> int:
        """The largest absolute value that the bounds allow."""
        return max(abs(self.lo), abs(self.hi))

    @property
    def scalar(self) -> int | None:
        """The value of a constant of which all elements are equal; None for anything else."""
        return self.lo if self.kind == CONSTANT and self.lo == self.hi and self.size else None

    def attribute(self, key: str) -> Any:
        """The value of a static attribute."""
        return dict(self.attributes)[key]

    def __repr__(self) -> str:
        what = self.name or self.kind
        return f"<{what} {list(self.shape)} in [{self.lo}, {self.hi}]>"


def in_order(roots: Iterable[Expression], known: Container[Expression] = ()) -> Iterator[Expression]:
    """Every expression that the roots depend on, once, arguments before what uses them; not those below what is `known`."""
    done: set[int] = set()
    stack = [(root, False) for root in roots][::-1]
    while stack:
        node, ready = stack.pop()
        if id(node) in done:
            continue
        if ready:
            done.add(id(node))
            yield node
        else:
            stack.append((node, True))
            below = () if node in known else node.args
            stack += [(arg, False) for arg in reversed(below) if id(arg) not in done]
