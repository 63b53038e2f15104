"""Isolation: which nodes are wrong by themselves, and which only propagate an error.

One walk over the graph with the device's own tensors. Every tensor that the device dumped is recomputed from the device's
own inputs and compared, and the walk continues with the device's values. So an error is reported once, where it arises. A
tensor that the device did not dump (mostly accumulators) is recomputed from its nearest dumped ancestors; the verdict then
covers that segment of nodes. Only where no ancestor was dumped are values of the golden file used; once such a
verdict is wrong, the device may have had other values there, and no later verdict is based on them.

A dump need not be of one run. A tensor that does not follow from the inputs that were dumped, but does from the golden
values of some of them (or from what they should be), is right: its verdict names these inputs, and the error stays where it
arose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from ..arith import I64, IntArray
from ..engine.graph import CONSTANT, INPUT, Graph, Node, operator
from ..engine.interpreter import replay, walk
from ..engine.names import TensorName
from ..errors import GraphError
from ..rules.diagnosis import Diagnosis, diagnose
from ..storage.golden_file import GoldenFile
from .compare import Comparison, compare
from .dumps import Dump
from .feeds import DEVICE, GOLDEN, MODEL, STIMULUS, feed_value, golden_value, other_inputs, other_values, value_of


@dataclass(frozen=True)
class Verdict:
    """A dumped tensor against the result of the reference on the device's own inputs.

    `comparison` is None where it could not be judged (`note` says why). `segment` are the recomputed nodes, this one last.
    `feeds` maps each tensor they were computed from to the origin of its values: the device, the golden
    file, the model, or a stimulus.
    `diagnosis` says how the values are misplaced where they are right; `dump_only`: only in the dump, not in the device.
    `other_inputs`: the feeds of which the device had other values than those dumped, with their origin, golden or expected
    (what the reference makes of the feed's own inputs); with these values the output is right.
    """

    name: str
    comparison: Comparison | None = None
    segment: tuple[str, ...] = ()
    feeds: Mapping[str, str] = field(default_factory=dict)
    diagnosis: Diagnosis | None = None
    dump_only: bool = False
    other_inputs: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def wrong(self) -> bool:
        """Whether the device's own arithmetic is wrong here (and not only the layout of its dump, or an input in it)."""
        differs = self.comparison is not None and self.comparison.differing > 0
        return differs and not self.dump_only and not self.other_inputs

    @property
    def golden_inputs(self) -> list[str]:
        """The tensors for which golden values were used."""
        return [name for name, source in self.feeds.items() if source == GOLDEN]


@dataclass(frozen=True)
class _Held:
    """What the walk knows of a tensor: its value (None: neither read nor computed), and the segment back to the device's
    own values.

    `meant` is the value as the device should have dumped it, where only the layout of a dump may be wrong: that of the
    tensors `laid`. `expected` has the values due for dumped tensors that do not follow from their inputs: this one, or feeds
    of the segment.
    """

    value: IntArray | None
    segment: tuple[str, ...] = ()
    feeds: Mapping[str, str] = field(default_factory=dict)
    meant: IntArray | None = None
    laid: tuple[str, ...] = ()
    expected: Mapping[str, IntArray] = field(default_factory=dict)


def isolate(
    graph: Graph, golden: GoldenFile, dump: Dump, progress: Callable[[str], None] = lambda name: None
) -> dict[str, Verdict]:
    """A verdict for every tensor of `dump` that is a node of `graph` or a step inside one, in execution order."""
    walker = _Walker(graph, golden, dump)

    def visit(node: Node, inputs: list[_Held]) -> _Held:
        progress(node.name)
        return walker.visit(node, inputs)

    walk(graph, visit)
    return walker.verdicts


class _Walker:
    def __init__(self, graph: Graph, golden: GoldenFile, dump: Dump) -> None:
        self.graph, self.golden, self.dump = graph, golden, dump
        self.verdicts: dict[str, Verdict] = {}
        self.doubt = ""  # the first wrong tensor whose verdict is based on golden values: the device may have had others
        self.steps: dict[str, list[str]] = {}
        for name in dump.tensors:
            if TensorName(name).step:
                self.steps.setdefault(TensorName(name).node, []).append(name)

    def visit(self, node: Node, inputs: list[_Held]) -> _Held:
        name = node.name
        segment, feeds = self._origin(node, inputs)
        dumped = self.dump.tensors.get(name)
        device = value_of(dumped, self.graph, name) if dumped is not None else None
        if device is None and name not in self.steps and DEVICE not in feeds.values():
            substitute = golden_value(self.golden, name)
            if substitute is not None and node.op != CONSTANT:
                return _Held(substitute)
        expected, note = self._expected(node, [held.value for held in inputs])
        meant, laid = None, tuple(source for held in inputs for source in held.laid)
        due = {source: value for held in inputs for source, value in held.expected.items() if source in feeds}
        if any(held.meant is not None for held in inputs):
            meant, _ = self._expected(node, [held.value if held.meant is None else held.meant for held in inputs])
        self._judge_steps(node, inputs, segment, feeds, due)
        if device is None:
            if dumped is not None:
                self.verdicts[name] = Verdict(name, None, segment, feeds, note="its values are not available")
            substitute = golden_value(self.golden, name) if expected is None else None
            return _Held(expected, segment, feeds, meant, laid, due) if substitute is None else _Held(substitute)
        if expected is None:
            self.verdicts[name] = Verdict(name, None, segment, feeds, note=note)
            return _Held(self._usable(name, device, device))
        verdict = self._judge(node, expected, device, segment, feeds)
        if verdict.wrong and meant is not None and np.array_equal(meant, device):
            for source in laid:
                self.verdicts[source] = replace(self.verdicts[source], dump_only=True)
            verdict = replace(verdict, comparison=compare(meant, device, self.graph.tensors[name].fmt), diagnosis=None)
        if verdict.wrong:
            verdict = self._with_other_inputs(
                verdict, due, lambda values: np.array_equal(replay(self.graph, node, values), device)
            )
        if verdict.wrong and verdict.golden_inputs:
            if self.doubt:
                golden_inputs = ", ".join(verdict.golden_inputs)
                note = f"based on golden values of {golden_inputs}, which the device may not have had: {self.doubt} is wrong"
                verdict = replace(verdict, comparison=None, note=note)
            self.doubt = self.doubt or name
        self.verdicts[name] = verdict
        usable = self._usable(name, device, expected)
        wrong = verdict.wrong or bool(verdict.other_inputs)
        due = {name: expected} if wrong else {}
        if verdict.wrong and verdict.diagnosis:
            return _Held(usable, meant=expected, laid=(name,), expected=due)
        if wrong or meant is None or not laid:
            return _Held(usable, expected=due)
        return _Held(usable, meant=meant, laid=laid)  # what only moves values moves a layout on

    def _origin(self, node: Node, inputs: Sequence[_Held]) -> tuple[tuple[str, ...], dict[str, str]]:
        """The nodes recomputed up to this one, and the tensors they are computed from."""
        within: set[str] = {node.name}
        feeds: dict[str, str] = {}
        for name, held in zip(node.inputs, inputs, strict=True):
            if held.segment:
                within.update(held.segment)
                feeds |= held.feeds
            elif name in self.dump.tensors and name in self.verdicts:
                feeds[name] = DEVICE
            else:
                given = STIMULUS if self.golden.stimulus else GOLDEN
                feeds[name] = MODEL if self.graph.by_name[name].op == CONSTANT else given
        return tuple(n.name for n in self.graph.nodes if n.name in within), feeds

    def _expected(self, node: Node, inputs: list[IntArray | None]) -> tuple[IntArray | None, str]:
        if node.op == INPUT:
            given, what = golden_value(self.golden, node.name), "picture" if self.graph.takes_picture else "values"
            return given, "" if given is not None else f"the golden file has no {what} to compare it with"
        known = [value for value in inputs if value is not None]
        if len(known) < len(inputs):
            missing = [name for name, value in zip(node.inputs, inputs, strict=True) if value is None]
            return None, f"its input {missing[0]} is not known: it is in neither file, and cannot be recomputed"
        try:
            return replay(self.graph, node, known), ""
        except GraphError as error:
            return None, f"the reference rejects the device's inputs: {error}"

    def _judge(
        self, node: Node, expected: IntArray, device: IntArray, segment: tuple[str, ...], feeds: dict[str, str]
    ) -> Verdict:
        fmt = self.graph.tensors[node.name].fmt
        comparison = compare(expected, device, fmt)
        diagnosis = diagnose(expected, device, fmt) if comparison.differing else None
        return Verdict(node.name, comparison, segment, feeds, diagnosis)

    def _judge_steps(
        self,
        node: Node,
        inputs: Sequence[_Held],
        segment: tuple[str, ...],
        feeds: dict[str, str],
        due: Mapping[str, IntArray],
    ) -> None:
        """The steps inside an operator, where the device dumped any."""
        names = self.steps.get(node.name, [])
        values = [held.value for held in inputs if held.value is not None]
        if not names or len(values) < len(inputs) or node.op in (INPUT, CONSTANT):
            return
        try:
            steps = self._steps(node, values)
        except ValueError:
            return
        for name in names:
            step, dumped = steps.get(TensorName(name).step), self.dump.tensors[name]
            if step is None or dumped.values is None or dumped.shape != step.shape or dumped.dtype.kind not in "iu":
                continue
            verdict = Verdict(name, compare(step, dumped.values(), I64), segment, feeds)
            if verdict.wrong:
                verdict = self._with_other_inputs(verdict, due, partial(self._gives_step, node, name))
            self.verdicts[name] = verdict

    def _steps(self, node: Node, values: list[IntArray]) -> Mapping[str, IntArray]:
        return operator(node).intermediates(values, dict(node.params), self.graph.dialect)

    def _gives_step(self, node: Node, name: str, values: list[IntArray]) -> bool:
        dumped = self.dump.tensors[name].values
        step = self._steps(node, values).get(TensorName(name).step)
        return dumped is not None and step is not None and np.array_equal(step, dumped()[()])

    def _with_other_inputs(
        self, verdict: Verdict, due: Mapping[str, IntArray], holds: Callable[[list[IntArray]], bool]
    ) -> Verdict:
        """A wrong verdict, with the feeds of which the device had other values than it dumped, where that makes it right."""
        others = other_values(self.graph, self.golden, self.dump, verdict.feeds, due)
        values: dict[str, IntArray] = {}
        for name, origin in verdict.feeds.items() if others else ():
            value = feed_value(self.graph, self.golden, self.dump, name, origin)
            value = due.get(name) if value is None else value
            if value is None:
                return verdict
            values[name] = value
        found = other_inputs(self.graph, verdict.segment, values, others, holds)
        return replace(verdict, other_inputs=found, diagnosis=None) if found else verdict

    def _usable(self, name: str, device: IntArray, substitute: IntArray) -> IntArray:
        """The device's values where they are in the node's format, `substitute` where not: the walk continues with them."""
        fmt = self.graph.tensors[name].fmt
        return device if device.dtype == fmt.dtype and fmt.holds(int(device.min()), int(device.max())) else substitute
