"""Is a result computed element by element: every element from the elements at its own place, all by one formula?"""

from __future__ import annotations

import re

import numpy as np

from ..symbols import Expression
from ..symbols.expression import INPUT, in_order
from .cells import Elements
from .traces import Traces

INDEX = re.compile(r"\[(.*)\]$")


def is_elementwise(traces: Traces, out: Elements) -> bool:
    """Whether every element of a result is the first one's formula, of the inputs at its own place and of single values."""
    first = out[(0,) * out.ndim]
    cells = traces.cells
    for index in np.ndindex(*out.shape):
        here = f"[{', '.join(map(str, index))}]"
        moved: dict[Expression, Expression] = {}
        for node in in_order([out[index]]):
            if node.kind == INPUT:
                place = INDEX.search(node.name)
                if place is not None and not here.endswith(place.group(0)[1:]):
                    return False
                moved[node] = node if place is None else _origin(traces, node)
            elif node.args:
                moved[node] = cells.op(node.kind, *(moved[arg] for arg in node.args), **dict(node.attributes))
            else:
                moved[node] = node
        if moved[out[index]] is not first:
            return False
    return True


def _origin(traces: Traces, node: Expression) -> Expression:
    """The first element of the array that an element belongs to."""
    array = traces.given[INDEX.sub("", node.name)]
    found: Expression = array[(0,) * array.ndim]
    return found
