"""Where a value came from that was only moved."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...arith import IntArray
from ...engine.graph import Node, operator
from .element import Line


def moved(node: Node, inputs: Sequence[IntArray], at: tuple[int, ...]) -> Line:
    """Where a value came from: the operator moves the elements' numbers instead of their values."""
    start, places = 1, []
    for x in inputs:
        places.append(np.arange(start, start + x.size, dtype=np.int64).reshape(x.shape))
        start += x.size
    integers = {key: value for key, value in node.params.items() if isinstance(value, int)}
    place = int(operator(node).steps(*places, **integers)["out"][at])
    if place == 0:
        return Line("padding", "a zero added to fill whole patches", 0)
    for name, x, numbers in zip(node.inputs, inputs, places, strict=True):
        if numbers.flat[0] <= place <= numbers.flat[-1]:
            source = np.unravel_index(place - int(numbers.flat[0]), x.shape)
            place_name = f"{name}[{','.join(str(int(i)) for i in source)}]"
            return Line("moved", f"from {place_name}", int(x[source]))
    raise AssertionError(f"{node.name}: place {place} is in none of its inputs")
