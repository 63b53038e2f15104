"""What a golden file and a dump tell of one node: the device's inputs, what it made of them, the rule that explains it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..arith import IntArray
from ..debugging.core import expected_tensors, require_same_model
from ..debugging.dumps import Dump, open_dump
from ..debugging.explain import explain, reconciled
from ..debugging.isolate import Verdict, isolate
from ..debugging.matching import matched
from ..debugging.reasons import Explanation
from ..debugging.recognize import recognized
from ..debugging.segment import Attempt, feeds_of
from ..debugging.straighten import straightened
from ..engine.graph import CONSTANT, INPUT, Graph, Node
from ..engine.names import TensorName
from ..errors import IntsimError, UnknownNode
from ..ops import REGISTRY
from ..rules import Bit, computation_of, compute
from ..storage.golden_file import GoldenFile, open_golden
from ..storage.model_file import model_behind
from ..testing.calls import Call
from .case import format_of
from .shrink import Observation

Progress = Callable[[str], None]


def observed(
    golden: str | Path,
    dut: str | Path,
    node: str | None = None,
    model: str | Path | Graph | None = None,
    *,
    map_path: str | Path | None = None,
    scaled: bool = False,
    progress: Progress = lambda name: None,
) -> Observation:
    """What a dump shows of a node that is wrong by itself, or of the first one that is.

    Raises UnknownNode, and IntsimError where no node is wrong, where this one is right or cannot be judged, and where its
    fault is known to be in one of several nodes alone.
    """
    with open_golden(golden) as reference:
        graph = model_behind(reference, model)
        if node is not None and node not in graph.by_name:
            raise UnknownNode(node)
        with open_dump(dut, expected_tensors(reference, graph), map_path, scaled=scaled) as dump:
            require_same_model(reference, dump)
            dump, _, _ = matched(reference, dump)
            dump, _ = recognized(reference, dump)
            straight, _ = straightened(reference, dump, expected_tensors(reference, graph))
            verdicts = isolate(graph, reference, straight, progress)
            return _Judged(graph, reference, straight, verdicts, progress).of(node)


class _Judged:
    """A dump of which every node was judged."""

    def __init__(
        self, graph: Graph, reference: GoldenFile, dump: Dump, verdicts: Mapping[str, Verdict], progress: Progress
    ) -> None:
        self.graph, self.reference, self.dump, self.verdicts, self.progress = graph, reference, dump, verdicts, progress
        self.wrong = [verdict for verdict in verdicts.values() if verdict.wrong and not TensorName(verdict.name).step]

    def of(self, name: str | None) -> Observation:
        """What is known of a node, or of the first culprit."""
        if name is None:
            if not self.wrong:
                raise IntsimError(f"{self.dump.path}: no node is wrong by itself; there is nothing to reproduce")
            verdict = self.wrong[0]
            explanation = self._explained([verdict])[0]
            return self._seen(verdict, explanation, explanation.culprit)
        own = self.verdicts.get(name)
        if own is not None and own.wrong:
            explanation = self._explained([own])[0]
            if explanation.culprit != name:
                raise IntsimError(f"{name}: is wrong because of {explanation.culprit}, which was not dumped; name that node")
            return self._seen(own, explanation, name)
        around = [verdict for verdict in self.wrong if name in verdict.segment]
        for verdict, explanation in zip(around, self._explained(around), strict=True):
            if name in _nodes(explanation):
                return self._seen(verdict, explanation, name)
        raise IntsimError(self._why_not(name, own, around))

    def _explained(self, verdicts: Sequence[Verdict]) -> list[Explanation]:
        found = []
        for verdict in verdicts:
            self.progress(verdict.name)
            found.append(explain(self.graph, self.reference, self.dump, verdict))
        return reconciled(found)

    def _why_not(self, name: str, own: Verdict | None, around: Sequence[Verdict]) -> str:
        """Why there is nothing to reproduce at a node."""
        others = ", ".join(dict.fromkeys(verdict.name for verdict in self.wrong)) or "none is"
        if self.graph.by_name[name].op in (INPUT, CONSTANT):
            return f"{name}: holds values and computes none; wrong by themselves: {others}"
        if own is None:
            if around:
                return f"{name}: was not dumped, and no rule at it explains {around[0].name}; dump it, too"
            return f"{name}: is not in the dump {self.dump.path}; dump it and its inputs"
        if own.comparison is None:
            return f"{name}: was not judged: {own.note}"
        if own.other_inputs:
            return f"{name}: is right, but computed from other values of {next(iter(own.other_inputs))} than those dumped"
        if own.dump_only:
            return f"{name}: is right in the device, and only stored in another order in the dump"
        return f"{name}: is right on the device's own inputs; wrong by themselves: {others}"

    def _seen(self, verdict: Verdict, explanation: Explanation, name: str) -> Observation:
        """What is known of the node `name` of a wrong segment."""
        node = self.graph.by_name[name]
        if node.op in (INPUT, CONSTANT):
            raise IntsimError(f"{name}: holds values and computes none; compare them with the golden file")
        feeds = feeds_of(self.graph, self.reference, self.dump, verdict)
        if feeds is None:
            raise IntsimError(f"{name}: the device's inputs have values outside their formats; dump these as they are")
        attempt = explanation.fits[0].broken if explanation.fits else ()
        guessed = [given for given in verdict.golden_inputs if self.graph.by_name[given].op != INPUT]
        if guessed and not explanation.fits:
            raise IntsimError(f"{name}: was judged only from golden values of {guessed[0]}; dump {guessed[0]}, too")
        if not explanation.fits and len([part for part in verdict.segment if self._computes(part)]) > 1:
            others = ", ".join(part for part in verdict.segment if part != name)
            raise IntsimError(
                f"{name}: the fault is in it or in {others}, which were not dumped, and no rule tells where; dump these, too"
            )
        inputs, ruled = self._computed(verdict, feeds, attempt, node)
        own = name == verdict.name
        found = np.asarray(self.dump.tensors[name].values()[()]) if own else ruled  # type: ignore[misc]
        call = Call(node.op, tuple(inputs), _params(node), self.graph.dialect if REGISTRY[node.op].choices else None)
        fmt = self.graph.tensors[name].fmt
        if not fmt.holds(int(found.min()), int(found.max())):
            fmt = format_of(found)
        rules = tuple(broken.rule for broken in attempt if broken.node == name)
        placed = any(_is_placed(rule.alter(computation_of(self.graph, node)).deviations) for rule in rules)
        told = bool(explanation.fits and explanation.fits[0].says) or placed
        notes = [f"Its inputs are golden values of {given}, which the device did not dump." for given in guessed]
        if not own:
            notes.append(f"{name} was not dumped: the rule there gives every element of {verdict.name}.")
        return Observation(
            call,
            found,
            fmt,
            tuple(self.graph.tensors[given].fmt for given in node.inputs),
            name,
            () if told else rules,
            own,
            explanation.sentence() if explanation.fits else "",
            tuple(notes),
        )

    def _computes(self, name: str) -> bool:
        return self.graph.by_name[name].op not in (INPUT, CONSTANT)

    def _computed(
        self, verdict: Verdict, feeds: dict[str, IntArray], attempt: Attempt, node: Node
    ) -> tuple[list[IntArray], IntArray]:
        """The inputs of a node of a segment under the rules before it, and what the rules at it make of them."""
        nodes = [self.graph.by_name[name] for name in verdict.segment]
        values = dict(feeds)
        for part in nodes:
            if part.op == INPUT:
                continue
            computation = computation_of(self.graph, part)
            for broken in attempt:
                computation = broken.rule.alter(computation) if broken.node == part.name else computation
            inputs = [np.asarray(part.params["value"])] if part.op == CONSTANT else [values[name] for name in part.inputs]
            values[part.name] = compute(self.graph, part, computation, inputs)
            if part is node:
                return inputs, values[part.name]
        raise AssertionError(node.name)


def _is_placed(deviations: Mapping[str, object]) -> bool:
    """Whether a fault is of one element of the whole tensor."""
    bit = deviations.get("bit")
    return isinstance(bit, Bit) and bit.index is not None


def _nodes(explanation: Explanation) -> list[str]:
    return [broken.node for broken in explanation.fits[0].broken] if explanation.fits else []


def _params(node: Node) -> dict[str, object]:
    """The parameters of a node as its operator takes them."""
    operator = REGISTRY[node.op]
    return {key: operator.checked_param(key, node.params[key]) for key in operator.params if key in node.params}
