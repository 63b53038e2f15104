"""Inputs read from the wrong place: another tensor's buffer, or the row, column or head next to the right one.

A device that computes a node rightly from the wrong values is found by computing it from them. This is how a ping-pong
buffer that is read a step early looks, and a position embedding or a table that is off by a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ..arith import IntArray
from .compare import axis_names
from .movement import Movement
from .segment import Segment

EVIDENCE = 16  # wrong elements that must be reproduced: fewer could be chance
CANDIDATES = 24  # other tensors that are tried for each input


def misread(segment: Segment, others: Iterable[tuple[str, IntArray]]) -> Iterator[Movement]:
    """The inputs with which the segment gives the device's values: displaced by one place, or those of `others`, by name."""
    if np.count_nonzero(segment.wrong) < EVIDENCE:
        return
    for name, value in segment.feeds.items():
        for displaced, how in _displaced(value):
            if _gives(segment, name, displaced):
                yield Movement(f"misread:{name}", f"the output is computed with {name} {how}")
    tried = 0
    for other, values in others:
        for name, value in segment.feeds.items():
            if other == name or values.shape != value.shape or values.dtype != value.dtype or tried >= CANDIDATES:
                continue
            tried += 1
            if _gives(segment, name, values):
                why = "as where a buffer is read too early or too late"
                yield Movement(f"computed-from:{other}", f"the output is computed from {other} in place of {name}, {why}")


def _gives(segment: Segment, name: str, value: IntArray) -> bool:
    try:
        computed = Segment(segment.graph, segment.nodes, {**segment.feeds, name: value}, segment.device)
    except ValueError:
        return False
    return not computed.wrong.any()


def _displaced(value: IntArray) -> Iterator[tuple[IntArray, str]]:
    """A tensor whose places along one axis hold what belongs to the place before or after, with how that is said."""
    names = axis_names(value.shape)
    for axis, length in enumerate(value.shape):
        if length < 2:
            continue
        place = np.arange(length)
        for step, said in ((-1, "before"), (1, "after")):
            for ends, first in ((np.clip(place + step, 0, length - 1), ""), ((place + step) % length, ", around the ends")):
                yield value.take(ends, axis=axis), f"read from the {names[axis]} {said} its own{first}"
