"""The sentences the reports share."""

from __future__ import annotations

from dataclasses import dataclass

from ...engine.names import TensorName
from ..compare import Comparison, axis_names
from ..explain import Explanation
from ..result import DIFFER, MATCH, MISSING, Diff, NodeDiff


@dataclass(frozen=True)
class Finding:
    """One wrong tensor with all there is to say: its record, its comparison with what is due, its explanation."""

    node: NodeDiff
    comparison: Comparison
    explanation: Explanation | None
    op: str

    @property
    def culprit(self) -> str:
        """The node to look at."""
        return self.explanation.culprit if self.explanation else self.node.name

    @property
    def segment(self) -> str:
        """What the verdict covers, if more than this one node."""
        verdict = self.node.verdict
        if verdict is None or (len(verdict.segment) < 2 and not verdict.golden_inputs):
            return ""
        said = (
            f"{', '.join(verdict.segment)}: recomputed from {', '.join(verdict.feeds)}" if len(verdict.segment) > 1 else ""
        )
        stood_in = verdict.golden_inputs
        golden = ""
        if stood_in:
            before = "" if self.explanation and self.explanation.fits else ": the fault may lie before them"
            golden = f"golden values stood in for {', '.join(stood_in)}, which the dump lacks{before}"
        return "; ".join(text for text in (said, golden) if text)


def findings(diff: Diff) -> list[Finding]:
    """The tensors to show in full: the culprits of an isolated diff, the first that differs of any other."""
    found = []
    ops = {node["name"]: node["op"] for node in diff.order}
    for node in diff.nodes:
        comparison = node.comparison
        if diff.culprits is not None:
            comparison = node.verdict.comparison if node.verdict and node.isolated == DIFFER else None
        if comparison is not None and comparison.differing:
            explanation = next((e for e in diff.explanations if e.tensor == node.name), None)
            culprit = explanation.culprit if explanation else node.name
            found.append(Finding(node, comparison, explanation, ops.get(TensorName(culprit).node, node.op)))
    return found if diff.culprits is not None else found[:1]


def headline(diff: Diff) -> str:
    """The outcome in one line."""
    wrong = diff.differing
    if diff.identical:
        return "identical"
    if not wrong:
        return f"incomplete: the dump lacks {_count(len(diff.only_golden), 'tensor')}"
    if diff.culprits is None:
        return f"different: first at {wrong[0].name}"
    if not diff.culprits:
        judged = any(node.isolated in (MATCH, DIFFER) for node in wrong)
        said = "but no node is wrong by itself" if judged else "none of which can be judged by itself"
        return f"different: {_count(len(wrong), 'tensor')}, {said}"
    named = ", ".join(diff.culprits[:3]) + (", ..." if len(diff.culprits) > 3 else "")
    return f"different: {_count(len(diff.culprits), 'culprit')}: {named}"


def compared(diff: Diff) -> str:
    """What was compared, and what was not."""
    elements = sum(node.total for node in diff.compared)
    said = f"{_count(len(diff.compared), 'tensor')}, {elements:,} elements compared"
    for names, where in ((diff.only_golden, "golden file"), (diff.only_dut, "dump")):
        if names:
            said += f"; {len(names)} only in the {where} ({names[0]}{', ...' if len(names) > 1 else ''})"
    unjudged = [node for node in diff.nodes if node.isolated == "unjudged"]
    if unjudged:
        said += f"; {len(unjudged)} could not be judged by themselves ({unjudged[0].name}: {unjudged[0].remark})"
    return said


def inherited(diff: Diff) -> list[NodeDiff]:
    """The tensors that differ, though their own node is right."""
    return [node for node in diff.nodes if node.accumulated == DIFFER and node.isolated != DIFFER]


def errors(comparison: Comparison) -> str:
    """How the wrong elements are off, in LSB."""
    mean = comparison.mean_of_differing
    reach = f"{comparison.lowest:+,} to {comparison.highest:+,} LSB"
    if comparison.lowest == comparison.highest:
        return f"each by {comparison.lowest:+,} LSB"
    sided = ", all to one side" if comparison.one_sided else ""
    return f"{reach}, {mean:+.2f} on average{sided}"


def worst(comparison: Comparison) -> list[str]:
    """Where most wrong elements are, along every axis of more than one place."""
    said = []
    for axis, name in enumerate(axis_names(comparison.shape)):
        places = comparison.worst(axis)
        if comparison.shape[axis] > 1 and places:
            listed = ", ".join(f"{place} ({count:,})" for place, count in places)
            said.append(f"{name}s {listed}")
    return said


def share(value: float) -> str:
    """A share as people read it: never 0 % of something, nor 100 % of less than all."""
    if 0 < value < 0.0001:
        return "<0.01%"
    return ">99.99%" if 0.9999 < value < 1 else f"{value:.2%}"


def state(node: NodeDiff, diff: Diff) -> str:
    """One word for a tensor's standing, as the reports colour it."""
    if node.isolated == DIFFER:
        return "culprit" if TensorName(node.name).node in (diff.culprits or ()) else "symptom"
    if node.accumulated == DIFFER:
        return "inherited" if node.isolated is not None else "differs"
    if node.accumulated == MISSING:
        return "missing"
    return {"match": "match", "extra": "extra"}.get(node.accumulated, "unusable")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
