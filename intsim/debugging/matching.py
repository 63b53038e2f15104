"""Tensors of a dump without a node's name, matched to nodes by what they hold, where that is unambiguous.

Equal values decide, by their hashes, as they are stored or under one convention (`conventions`). What no tensor equals,
since the device is wrong there or before, is matched to the one tensor of its shape that it follows closely: by the
correlation with the golden values, clearly above that with any other. At last, what is left alone with one missing tensor of
its shape is that one, however wrong. Whatever else could be a missing tensor is reported as open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from ..arith import AnyArray, IntArray
from ..engine.graph import digest
from ..errors import FileError
from ..storage.golden_file import GoldenFile, GoldenTensor
from .dumps import Dump, DumpedTensor
from .likeness import SAMPLE, profile
from .recognize import candidates

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


Pending = Mapping[str, IntArray]  # values by source
Free = Mapping[str, GoldenTensor]  # golden tensors that the dump lacks, by name
Pairs = dict[str, str]  # node by source
Variants = Callable[[IntArray, GoldenTensor], Iterator[IntArray]]  # what stored values may be as a golden tensor


def matched(reference: GoldenFile, dump: Dump) -> tuple[Dump, list[Match], list[str]]:
    """The dump with the tensors that could be matched under their nodes' names, these matches, and the tensors of the dump
    that could be missing ones but were not matched.
    """
    pending = {source: value for source, item in dump.unnamed.items() if (value := _integers(item)) is not None}
    free = {name: record for name, record in reference.tensors.items() if name not in dump.tensors}
    if not pending or not free:
        return dump, [], []
    conventions = [one.convention for one in candidates(reference, dump, dump.unnamed.values())]

    def restored(value: IntArray, record: GoldenTensor) -> Iterator[IntArray]:
        fitting = (one for one in conventions if one.fits(value.shape, record.shape))
        return (one.restore(value, record.fmt, record.shape) for one in fitting)

    found: dict[str, Match] = {}
    telling = {source: value for source, value in pending.items() if _telling(value)}
    _repeat(lambda some, left: _equal(some, left, _plain), telling, free, found, equal=True)
    _repeat(lambda some, left: _equal(some, left, restored), telling, free, found, equal=True)
    _repeat(_alike, telling, free, found, equal=False)
    if not found:
        return dump, [], []

    def could_be(value: IntArray, record: GoldenTensor) -> bool:
        return _could_be(value, record) or any(one.fits(value.shape, record.shape) for one in conventions)

    _repeat(lambda some, left: _left_alone(some, left, could_be), pending, free, found, equal=False)
    nodes = {match.node for match in found.values()}
    left = [record for name, record in free.items() if name not in nodes]
    rest = {source: value for source, value in pending.items() if source not in found}
    unmatched = [source for source, value in rest.items() if any(could_be(value, record) for record in left)]
    tensors = {**dump.tensors, **{m.node: _named(dump.unnamed[s], m.node, free[m.node]) for s, m in found.items()}}
    foreign = [name for name in dump.foreign if name not in found]
    order = {name: i for i, name in enumerate(free)}
    return replace(dump, tensors=tensors, foreign=foreign), sorted(found.values(), key=lambda m: order[m.node]), unmatched


def _repeat(
    step: Callable[[Pending, Free], Pairs], values: Pending, free: Free, found: dict[str, Match], equal: bool
) -> None:
    """Take a step until it finds nothing more: every match leaves less to be confused with."""
    while True:
        nodes = {match.node for match in found.values()}
        pairs = step(
            {source: value for source, value in values.items() if source not in found},
            {name: record for name, record in free.items() if name not in nodes},
        )
        if not pairs:
            return
        found |= {source: Match(source, node, equal) for source, node in pairs.items()}


def _named(item: DumpedTensor, name: str, record: GoldenTensor) -> DumpedTensor:
    """An item under a node's name; a batch of one without its axis."""
    values = item.values
    if values is None or not _same_shape(item.shape, record):
        return replace(item, name=name)
    return replace(item, name=name, shape=record.shape, values=lambda: np.asarray(values()[()]).reshape(record.shape))


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


def _could_be(value: IntArray, record: GoldenTensor) -> bool:
    """Whether values may be a golden tensor: as many as it has, of a type of its size or a wider one."""
    return value.size == prod(record.shape) and value.dtype.itemsize >= record.fmt.dtype.itemsize


def _plain(value: IntArray, record: GoldenTensor) -> Iterator[IntArray]:
    if _same_shape(value.shape, record):
        yield value


def _hash(value: AnyArray, record: GoldenTensor) -> str:
    """The hash of values in a golden tensor's format; "" where they do not fit it."""
    if not record.fmt.holds(int(value.min()), int(value.max())):
        return ""
    return digest(np.ascontiguousarray(value.reshape(record.shape).astype(record.fmt.dtype)))


def _equal(pending: Pending, free: Free, variants: Variants) -> Pairs:
    """The node of each tensor that equals one golden tensor alone, and that no other tensor of the dump equals."""
    found: Pairs = {}
    for source, value in pending.items():
        hashes: dict[tuple[Any, ...], set[str]] = {}  # by what they depend on
        nodes = []
        for name, record in free.items():
            key = record.fmt, record.shape
            if key not in hashes:
                hashes[key] = {_hash(one, record) for one in variants(value, record)}
            if record.sha256 in hashes[key]:
                nodes.append(name)
        if len(nodes) == 1:
            found[source] = nodes[0]
    return _once(found)


def _alike(pending: Pending, free: Free) -> Pairs:
    """The node of each tensor that follows one golden tensor closely, and no other nearly so."""
    profiles = {name: profile(record.values[()]) for name, record in free.items() if record.values is not None}
    found: Pairs = {}
    for source, value in pending.items():
        own = profile(value)
        scores = {name: float(own @ p) for name, p in profiles.items() if _same_shape(value.shape, free[name])}
        best, *others = sorted(scores, key=lambda name: -scores[name]) or [""]
        if best and scores[best] >= LIKE and all(scores[name] <= UNLIKE * scores[best] for name in others):
            found[source] = best
    return _once(found)


def _left_alone(pending: Pending, free: Free, could_be: Callable[[IntArray, GoldenTensor], bool]) -> Pairs:
    """The tensors that could be one missing tensor alone, which no other tensor of the dump could be."""
    found = {}
    for source, value in pending.items():
        nodes = [name for name, record in free.items() if could_be(value, record)]
        if len(nodes) == 1 and sum(could_be(other, free[nodes[0]]) for other in pending.values()) == 1:
            found[source] = nodes[0]
    return found


def _once(found: Pairs) -> Pairs:
    """Without the nodes that several tensors could be."""
    nodes = list(found.values())
    return {source: node for source, node in found.items() if nodes.count(node) == 1}
