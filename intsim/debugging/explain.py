"""Explanation: which rule a device broke.

A reason is a rule and a region: what the device did, and where. A wrong tensor is looked at for values that were never
written or belong to another place. Then it is computed again under every single rule of the catalogue, at its own node and
at every node of its segment, and under pairs of rules where no single one fits. A rule that reproduces every element of the
device is a reason, and so is one that reproduces every element of the region that is wrong. Rules that act row by row are
tried on a sample of rows first. Where nothing fits, what is known is said, and nothing is called a reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations, islice

import numpy as np

from ..arith import IntArray
from ..engine.graph import Graph
from ..rules import Bit, Rule, bit_rule, catalogue
from ..storage.golden_file import GoldenFile
from . import movement
from .dumps import Dump
from .feeds import golden_value, value_of
from .isolate import Verdict
from .misread import misread
from .movement import Movement
from .reasons import Candidate, Explanation
from .region import Region
from .segment import Attempt, Broken, Segment, feeds_of
from .solving import solved

BEST = 3
HONEST = 0.5  # of the wrong elements a rule must reproduce to be named where none explains all
EVIDENCE = 8  # wrong elements in a region that a rule must reproduce: fewer could be chance
LATE = ("input_bits", "input_saturates")  # the same as an accumulator that is too short, which is likelier
OTHERS = 64  # tensors of the same shape whose values are looked for
PAIRS, FEW_PAIRS = 2000, 200  # at most so many pairs are tried; the fewer where each takes long
SMALL = 1 << 18  # elements


def explain(graph: Graph, golden: GoldenFile, dump: Dump, verdict: Verdict) -> Explanation:
    """Explain a wrong verdict of `isolate`; the tensors that this needs are read from the files again."""
    device = value_of(dump.tensors[verdict.name], graph, verdict.name)
    feeds = feeds_of(graph, golden, dump, verdict)
    if device is None or feeds is None:
        return Explanation(verdict.name, (), (), 0)
    nodes = [graph.by_name[name] for name in verdict.segment]
    search = _Search(Segment(graph, nodes, feeds, device), dump)
    fits = search.explained(golden, verdict)
    best = [] if fits else search.nearest()
    known = "" if fits else search.known()
    if known and len(nodes) > 1:
        known += f"; the fault is in one of {', '.join(verdict.segment)}, of which the last alone was dumped"
    return Explanation(verdict.name, tuple(fits), tuple(best), search.tried, known)


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
    rules = [Broken(node.name, rule) for node in (last, *segment.nodes[:-1]) for rule in catalogue(graph, node)]
    return sorted(rules, key=lambda broken: broken.rule.key in LATE) + bits


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

    def __init__(self, whole: Segment, dump: Dump) -> None:
        self.whole, self.sample, self.dump = whole, whole.sampled(), dump
        self.region = Region.around(whole.wrong)
        self.tried = 0
        self.near: list[tuple[float, Attempt]] = []
        self.partial: list[Attempt] = []  # rules that reproduce all wrong elements tried, and change right ones
        self.single: dict[bytes, Broken] = {}  # one rule per distinct outcome

    def explained(self, golden: GoldenFile, verdict: Verdict) -> list[Candidate]:
        """The reasons of the first kind of which there is one, the likeliest first."""
        expected, device, name = self.whole.expected, self.whole.device, verdict.name
        blank = movement.constant(expected, device, self.region)
        fits = self.fitting([(broken,) for broken in _single(self.whole.graph, self.whole)])
        if blank is not None:
            return [self.moved(name, blank), *fits]
        if fits:
            return fits
        if verdict.diagnosis is not None:
            return [self.moved(name, Movement(verdict.diagnosis.name, ""))]
        if found := movement.repeated(expected, device, self.region):
            return [self.moved(name, found)]
        for other in movement.of_another(device, self.region, self._others(golden, name)):
            return [self.moved(name, other)]
        for found in misread(self.whole, self._before(golden, name)):
            return [self.moved(name, found)]
        if fits := self.regional():
            return fits
        if found := solved(self.whole, self.region):
            return [self.moved(name, found)]
        return self.fitting(self.pairs())

    def moved(self, name: str, found: Movement) -> Candidate:
        """A movement as a reason: it reproduces every element."""
        rule = Rule(found.name, None, lambda computation: computation)
        return replace(self.candidate((Broken(name, rule),), self.whole.device), says=found.says)

    def _others(self, golden: GoldenFile, name: str) -> Iterator[tuple[str, IntArray]]:
        """Other tensors of the same shape: those it is computed from, then those of the golden file."""
        yield from self.whole.feeds.items()
        shape = self.whole.device.shape
        alike = (other for other, record in golden.tensors.items() if record.shape == shape and other != name)
        for other in islice(alike, OTHERS):
            if (values := golden_value(golden, other)) is not None:
                yield other, values

    def _before(self, golden: GoldenFile, name: str) -> Iterator[tuple[str, IntArray]]:
        """The tensors before this one, the nearest first: the device's own where it dumped them, else the golden ones."""
        graph, nodes = self.whole.graph, [node.name for node in self.whole.graph.nodes]
        shapes = {(feed.shape, feed.dtype) for feed in self.whole.feeds.values()}
        for other in reversed(nodes[: nodes.index(name)]):
            tensor = graph.tensors[other]
            if (tensor.shape, tensor.fmt.dtype) in shapes:
                dumped = self.dump.tensors.get(other)
                values = value_of(dumped, graph, other) if dumped is not None else golden_value(golden, other)
                if values is not None:
                    yield other, values

    def regional(self) -> list[Candidate]:
        """The rules that reproduce every element of the region that is wrong, where it is a part of the tensor."""
        if self.region.whole or np.count_nonzero(self.whole.wrong) < EVIDENCE:
            return []
        fits = []
        for attempt in self.partial:
            value = self.whole.under(attempt)
            if value is not None and self._agrees(value, self.region):
                region = self.region.widened(partial(self._agrees, value))
                fits.append(replace(self.candidate(attempt, self.whole.device), region=region))
        return fits

    def _agrees(self, value: IntArray, region: Region) -> bool:
        return np.array_equal(region.of(value), region.of(self.whole.device))

    def known(self) -> str:
        """Where the tensor is wrong, and by how much, in a few words."""
        error = self.whole.device[self.whole.wrong].astype(np.int64) - self.whole.expected[self.whole.wrong]
        lowest, highest = int(error.min()), int(error.max())
        by = f"by {lowest:+,} LSB" if lowest == highest else f"by {lowest:+,} to {highest:+,} LSB"
        region = self.region.roughly()
        return f"it is wrong {'' if region.whole else 'in '}{region}, {by}"

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
            equal = value == segment.device
            self.near.append((float(np.mean(equal)), attempt))
            if len(attempt) == 1 and equal[segment.wrong].all():
                self.partial.append(attempt)
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
        """The attempts that reproduce the most elements, if more than the reference does and half of the wrong ones."""
        self.near.sort(key=lambda item: -item[0])
        candidates: list[Candidate] = []
        for _, attempt in self.near[: 4 * BEST]:
            value = self.whole.under(attempt)
            if value is not None:
                candidates.append(self.candidate(attempt, value))
        better = [c for c in candidates if c.reproduced > c.total - c.wrong and c.wrong_reproduced >= HONEST * c.wrong]
        return sorted(better, key=lambda c: -c.reproduced)[:BEST]

    def candidate(self, attempt: Attempt, value: IntArray) -> Candidate:
        """How well a computed tensor reproduces the device's."""
        equal = value == self.whole.device
        wrong = self.whole.wrong
        both = int(np.count_nonzero(equal & wrong))
        return Candidate(attempt, int(np.count_nonzero(equal)), equal.size, both, int(np.count_nonzero(wrong)))


def _independent(a: Broken, b: Broken) -> bool:
    """Whether two rules can be broken at once: not two values of one choice or parameter."""
    return a.node != b.node or a.rule.key != b.rule.key
