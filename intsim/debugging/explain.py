"""Explanation: which rule a device broke.

A wrong tensor is computed again under every single rule of the catalogue, at its own node and at every node of its segment,
and under pairs of rules where no single one fits. The rules that reproduce every element of the device are reported. Rules
that act row by row are tried on a sample of rows first, and on all elements where they fit the sample.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, islice
from typing import Any

import numpy as np

from ..arith import IntArray
from ..engine.graph import Graph
from ..rules import Bit, Rule, bit_rule, catalogue
from ..storage.golden_file import GoldenFile
from .dumps import Dump
from .isolate import Verdict, value_of
from .segment import Attempt, Broken, Segment, feeds_of

BEST = 3
PAIRS, FEW_PAIRS = 2000, 200  # at most so many pairs are tried; the fewer where each takes long
SMALL = 1 << 18  # elements


@dataclass(frozen=True)
class Candidate:
    """An attempt to explain a tensor: the rules broken, and how many elements that reproduces."""

    broken: Attempt
    reproduced: int
    total: int
    wrong_reproduced: int  # of the elements that differ from the reference
    wrong: int

    @property
    def share(self) -> float:
        """The share of elements reproduced."""
        return self.reproduced / self.total

    @property
    def fits(self) -> bool:
        """Whether every element is reproduced."""
        return self.reproduced == self.total

    @property
    def name(self) -> str:
        """The rules by name."""
        return " and ".join(b.rule.name for b in self.broken)

    def label(self, tensor: str) -> str:
        """The rules by name, each with its node where that is not `tensor`."""
        return " and ".join(b.rule.name + (f" at {b.node}" if b.node != tensor else "") for b in self.broken)

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "rule": self.name,
            "nodes": [b.node for b in self.broken],
            "share": self.share,
            "reproduced": self.reproduced,
            "total": self.total,
            "share_of_differing": self.wrong_reproduced / self.wrong,
        }


@dataclass(frozen=True)
class Explanation:
    """Why a tensor is wrong: the candidates that reproduce it exactly, most likely first; where there is none, the closest.

    `tensor` is the dumped tensor, `tried` the number of alternatives that were computed.
    """

    tensor: str
    fits: tuple[Candidate, ...]
    best: tuple[Candidate, ...]
    tried: int

    @property
    def culprit(self) -> str:
        """The node whose rule was broken, of several the last; the tensor itself where nothing explains it."""
        return self.fits[0].broken[-1].node if self.fits else self.tensor

    def sentence(self) -> str:
        """The explanation in one line."""
        if self.fits:
            first = self.fits[0]
            rules = " and ".join(f"{b.rule}" + (f" at {b.node}" if b.node != self.tensor else "") for b in first.broken)
            return f"the output equals {rules} on 100% of {first.total:,} elements"
        if not self.tried:
            return "not explained: the device's inputs have values outside their formats"
        if not self.best:
            return f"no rule explains it: none of {self.tried:,} alternatives is closer than the reference"
        near = ", ".join(f"{c.name} ({c.wrong_reproduced / c.wrong:.1%})" for c in self.best)
        return f"no rule explains it; of the {self.best[0].wrong:,} wrong elements these reproduce the most: {near}"

    def record(self) -> dict[str, Any]:
        """As plain data."""
        first = self.fits[0] if self.fits else None
        return {
            "name": self.culprit,
            "tensor": self.tensor,
            "rule": first.name if first else None,
            "share": first.share if first else None,
            "reproduced": first.reproduced if first else None,
            "total": first.total if first else None,
            "nodes": [b.node for b in first.broken] if first else [],
            "equivalent": [c.record() for c in self.fits[1:]],
            "best": [c.record() for c in self.best],
            "tried": self.tried,
            "sentence": self.sentence(),
        }


def explain(graph: Graph, golden: GoldenFile, dump: Dump, verdict: Verdict) -> Explanation:
    """Explain a wrong verdict of `isolate`; the tensors that this needs are read from the files again."""
    device = value_of(dump.tensors[verdict.name], graph, verdict.name)
    feeds = feeds_of(graph, golden, dump, verdict)
    if device is None or feeds is None:
        return Explanation(verdict.name, (), (), 0)
    nodes = [graph.by_name[name] for name in verdict.segment]
    search = _Search(Segment(graph, nodes, feeds, device))
    fits = search.fitting([(broken,) for broken in _single(graph, search.whole)])
    if not fits and verdict.diagnosis is not None:
        found = Rule(verdict.diagnosis.name, None, lambda computation: computation)
        fits = [search.candidate((Broken(verdict.name, found),), device)]
    if not fits:
        fits = search.fitting(search.pairs())
    return Explanation(verdict.name, tuple(fits), tuple([] if fits else search.nearest()), search.tried)


def reconciled(explanations: Sequence[Explanation]) -> list[Explanation]:
    """The explanations of one device: of those that fit a tensor, the ones that also explain other tensors come first.

    A fault at a node that was not dumped shows in every tensor computed from it, and one fault is likelier than several.
    """
    frequency = Counter(_key(fit) for explanation in explanations for fit in explanation.fits)
    ranked = (sorted(explanation.fits, key=lambda fit: -frequency[_key(fit)]) for explanation in explanations)
    return [replace(explanation, fits=tuple(fits)) for explanation, fits in zip(explanations, ranked, strict=True)]


def _key(candidate: Candidate) -> tuple[tuple[str, str], ...]:
    return tuple((broken.node, broken.rule.name) for broken in candidate.broken)


def _single(graph: Graph, segment: Segment) -> list[Broken]:
    """Every rule at every node of a segment: those of the dumped tensor's own node first, single bits last."""
    last = segment.nodes[-1]
    bits = [Broken(last.name, bit_rule(graph, last, bit)) for bit in bits_changed(segment.expected, segment.device)]
    return [Broken(node.name, rule) for node in (last, *segment.nodes[:-1]) for rule in catalogue(graph, node)] + bits


def bits_changed(expected: IntArray, device: IntArray) -> list[Bit]:
    """The single-bit faults that turn `expected` into `device`: a bit flipped in one element or in all, or stuck."""
    bits = 8 * expected.dtype.itemsize
    if bits > 32:
        return []  # an exact accumulator, in a dialect without an overflow limit: its register has no known width
    a, b = expected.astype(np.int64), device.astype(np.int64)
    changed = a ^ b
    differing = changed[changed != 0] & ((1 << bits) - 1)
    if not len(differing) or (differing != differing[0]).any() or int(differing[0]).bit_count() != 1:
        return []
    number = int(differing[0]).bit_length() - 1
    if len(differing) == 1:
        index = tuple(int(i) for i in np.unravel_index(int(np.argmax(changed != 0)), changed.shape))
        return [Bit("bitflip", number, index)]
    if len(differing) == changed.size:
        return [Bit("bitflip", number)]
    bit = b >> number & 1
    return [Bit(f"stuck-at-{value}", number) for value in (0, 1) if (bit == value).all()]


class _Search:
    """Attempts to explain a segment: which fit, and which are close."""

    def __init__(self, whole: Segment) -> None:
        self.whole, self.sample = whole, whole.sampled()
        self.tried = 0
        self.near: list[tuple[float, Attempt]] = []
        self.single: dict[bytes, Broken] = {}  # one rule per distinct outcome

    def fitting(self, attempts: Iterable[Attempt]) -> list[Candidate]:
        """The attempts that reproduce every element; the others are recorded with the share that they reproduce."""
        fits = []
        for attempt in attempts:
            self.tried += 1
            segment = self.whole if self.sample is None or not all(b.rule.by_rows for b in attempt) else self.sample
            value = segment.under(attempt)
            if value is None:
                continue
            if len(attempt) == 1 and attempt[0].rule.by_rows:
                self.single.setdefault(value.tobytes(), attempt[0])
            self.near.append((float(np.mean(value == segment.device)), attempt))
            if np.array_equal(value, segment.device):
                if segment is not self.whole:
                    value = self.whole.under(attempt)
                if value is not None and np.array_equal(value, self.whole.device):
                    fits.append(self.candidate(attempt, value))
        return fits

    def pairs(self) -> Iterator[Attempt]:
        """Pairs of the rules that change something on their own, first those that come closest to the device."""
        order = [node.name for node in self.whole.nodes]
        limit = PAIRS if self.sample is not None or self.whole.device.size < SMALL else FEW_PAIRS
        share = {attempt: -share for share, attempt in self.near}
        singles = sorted(self.single.values(), key=lambda broken: share[(broken,)])
        ranked = sorted(combinations(range(len(singles)), 2), key=sum)
        pairs = ((singles[i], singles[k]) for i, k in ranked if _independent(singles[i], singles[k]))
        for a, b in islice(pairs, limit):
            yield (a, b) if order.index(a.node) <= order.index(b.node) else (b, a)

    def nearest(self) -> list[Candidate]:
        """The attempts that reproduce the most elements, if more than the reference does."""
        self.near.sort(key=lambda item: -item[0])
        candidates: list[Candidate] = []
        for _, attempt in self.near[: 4 * BEST]:
            value = self.whole.under(attempt)
            if value is not None:
                candidates.append(self.candidate(attempt, value))
        better = [c for c in candidates if c.reproduced > c.total - c.wrong]
        return sorted(better, key=lambda c: -c.reproduced)[:BEST]

    def candidate(self, attempt: Attempt, value: IntArray) -> Candidate:
        """How well a computed tensor reproduces the device's."""
        equal = value == self.whole.device
        wrong = self.whole.wrong
        counts = (np.count_nonzero(equal), equal.size, np.count_nonzero(equal & wrong), np.count_nonzero(wrong))
        return Candidate(attempt, *(int(count) for count in counts))


def _independent(a: Broken, b: Broken) -> bool:
    """Whether two rules can be broken at once: not two values of one choice or parameter."""
    return a.node != b.node or a.rule.key != b.rule.key
