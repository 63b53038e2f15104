"""Tensors of a dump without a node's name, matched to nodes by what they hold, where that is unambiguous.

Equal values decide, by their hashes. What no tensor equals, since the device is wrong there or before, is matched to the one
tensor of its shape that it follows closely: by the correlation with the golden values, clearly above that with any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arith import FloatArray, IntArray
from ..engine.graph import digest
from ..errors import FileError
from ..storage.golden_file import GoldenFile, GoldenTensor
from .dumps import Dump, DumpedTensor

SAMPLE = 1 << 14  # elements that are correlated
LIKE, UNLIKE = 0.5, 0.6  # least correlation of a match; most of any other tensor, relative to it
FEWEST = 16  # elements that must be equal or alike, with so many values among them:
DISTINCT = 4


@dataclass(frozen=True)
class Match:
    """A tensor of the dump by its own name, the node that it is, and whether it equals the golden tensor."""

    source: str
    node: str
    equal: bool

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return {"source": self.source, "node": self.node, "equal": self.equal}


def matched(reference: GoldenFile, dump: Dump) -> tuple[Dump, list[Match]]:
    """The dump with the tensors that could be matched under their nodes' names, and these matches."""
    pending = {
        source: value for source, item in dump.unnamed.items() if (value := _integers(item)) is not None and _telling(value)
    }
    free = {name: record for name, record in reference.tensors.items() if name not in dump.tensors}
    found = _equal(pending, free)
    rest = {source: value for source, value in pending.items() if source not in found}
    left = {name: record for name, record in free.items() if name not in found.values()}
    alike = _alike(rest, left)
    matches = [Match(source, node, True) for source, node in found.items()]
    matches += [Match(source, node, False) for source, node in alike.items()]
    if not matches:
        return dump, []
    tensors = dict(dump.tensors)
    for match in matches:
        item, record = dump.unnamed[match.source], free[match.node]
        values = item.values
        shaped = (lambda values=values, shape=record.shape: np.asarray(values()[()]).reshape(shape)) if values else None
        tensors[match.node] = replace(item, name=match.node, shape=record.shape, values=shaped)
    sources = {match.source for match in matches}
    foreign = [name for name in dump.foreign if name not in sources]
    return replace(dump, tensors=tensors, foreign=foreign), sorted(matches, key=lambda match: list(free).index(match.node))


def _integers(item: DumpedTensor) -> IntArray | None:
    """The values of a tensor of integers; None where they cannot be read."""
    if item.problem or item.values is None or item.dtype.kind not in "iu":
        return None
    try:
        return np.asarray(item.values()[()])
    except FileError:
        return None


def _telling(value: IntArray) -> bool:
    return value.size >= FEWEST and len(np.unique(value.reshape(-1)[:SAMPLE])) >= DISTINCT


def _same_shape(stored: tuple[int, ...], record: GoldenTensor) -> bool:
    """Whether a stored shape is that of a golden tensor, possibly of a batch of one."""
    extra = len(stored) - len(record.shape)
    return extra >= 0 and stored == (1,) * extra + record.shape


def _fits(value: IntArray, record: GoldenTensor) -> bool:
    return _same_shape(value.shape, record) and record.fmt.holds(int(value.min()), int(value.max()))


def _equal(pending: Mapping[str, IntArray], free: Mapping[str, GoldenTensor]) -> dict[str, str]:
    """The node of each tensor that equals one golden tensor alone, and that no other tensor of the dump equals."""
    found: dict[str, str] = {}
    for source, value in pending.items():
        dtypes = {record.fmt.dtype for record in free.values() if _same_shape(value.shape, record)}
        hashes = {dtype: digest(value.astype(dtype)) for dtype in dtypes}
        nodes = [n for n, record in free.items() if _fits(value, record) and hashes[record.fmt.dtype] == record.sha256]
        if len(nodes) == 1:
            found[source] = nodes[0]
    return {source: node for source, node in found.items() if list(found.values()).count(node) == 1}


def _alike(pending: Mapping[str, IntArray], free: Mapping[str, GoldenTensor]) -> dict[str, str]:
    """The node of each tensor that follows one golden tensor closely, and no other nearly so."""
    profiles = {name: _profile(record.values[()]) for name, record in free.items() if record.values is not None}
    found: dict[str, str] = {}
    for source, value in pending.items():
        own = _profile(value)
        scores = {
            name: float(own @ profile)
            for name, profile in profiles.items()
            if own.shape == profile.shape and _fits(value, free[name])
        }
        best, *others = sorted(scores, key=lambda name: -scores[name]) or [""]
        if best and scores[best] >= LIKE and all(scores[name] <= UNLIKE * scores[best] for name in others):
            found[source] = best
    return {source: node for source, node in found.items() if list(found.values()).count(node) == 1}


def _profile(value: IntArray) -> FloatArray:
    """Some elements, centred and of length 1, so that two profiles multiply to their correlation."""
    flat = value.reshape(-1)
    some = flat[np.linspace(0, len(flat) - 1, min(len(flat), SAMPLE)).astype(int)].astype(np.float64)
    centred: FloatArray = some - some.mean()
    length = max(float(np.sqrt(centred @ centred)), 1e-9)
    return np.asarray(centred / length)
