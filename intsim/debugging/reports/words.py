"""The texts that the reports share."""

from __future__ import annotations

from dataclasses import dataclass

from ...engine.graph import INPUT
from ...engine.inputs import records_picture
from ...engine.names import TensorName
from ..compare import Comparison, axis_names
from ..feeds import GOLDEN
from ..reasons import Explanation
from ..region import Region
from ..result import DIFFER, EXTRA, MATCH, MISSING, UNJUDGED, Diff, NodeDiff

CONVERSIONS = 3  # sentences shown of what was converted
ENTRIES = 3  # of a map
UNFOLLOWED = 3  # sentences on consequences that a dump lacks
BLIND = "'intsim score' counts the mistakes that would look the same on {}"
ALSO = 4  # rules that are named beside the first that explains a tensor


@dataclass(frozen=True)
class Finding:
    """One wrong tensor: its record, its comparison with the expected values, its explanation."""

    node: NodeDiff
    comparison: Comparison
    explanation: Explanation | None
    op: str

    @property
    def culprit(self) -> str:
        """The faulty node."""
        return self.explanation.culprit if self.explanation else self.node.name

    @property
    def segment(self) -> str:
        """The nodes that the verdict covers, where it is more than this one, and the golden values used."""
        verdict = self.node.verdict
        if verdict is None or (len(verdict.segment) < 2 and not verdict.golden_inputs):
            return ""
        texts = []
        if len(verdict.segment) > 1:
            texts.append(f"{', '.join(verdict.segment)}: recomputed from {', '.join(verdict.feeds)}")
        if verdict.golden_inputs:
            before = "" if self.explanation and self.explanation.fits else ": the fault may be before them"
            texts.append(f"golden values replaced {', '.join(verdict.golden_inputs)}, missing from the dump{before}")
        return "; ".join(texts)


def shown_on(diff: Diff) -> str:
    """What the tensors were computed from."""
    inputs = [node for node in diff.order if node["op"] == INPUT]
    return "these inputs" if inputs and not any(map(records_picture, inputs)) else "this picture"


def also(explanation: Explanation, tensor: str, diff: Diff) -> str:
    """The other rules that reproduce the tensor, the first `ALSO` of them by name, and what is known of each; "" where there
    are none.
    """
    labels = [candidate.label(tensor) for candidate in explanation.fits[1:]]
    more = len(labels) - ALSO
    named = [*labels[:ALSO], *([f"{more} more"] if more > 0 else [])]
    if not named:
        return ""
    if len(named) == 1:
        only = explanation.fits[1].same
        return f"{named[0]} gives the same values on {shown_on(diff)}" + (f"; it {only.says}" if only is not None else "")
    said = f"{', '.join(named[:-1])} and {named[-1]} give the same values on {shown_on(diff)}"
    known = [(c.label(tensor), c.same.says) for c in explanation.fits[1 : ALSO + 1] if c.same is not None]
    by_words: dict[str, list[str]] = {}
    for label, words in known:
        by_words.setdefault(words, []).append(label)
    return "; ".join([said, *(f"{_both(names)} {words}" for words, names in by_words.items())])


def _both(names: list[str]) -> str:
    """Names in a sentence that goes on in the singular."""
    return f"{', '.join(names[:-1])} and {names[-1]} each" if len(names) > 1 else names[0]


def findings(diff: Diff) -> list[Finding]:
    """The tensors to show in full: the culprits of an isolated diff; of any other diff, the first that differs."""
    listed = []
    ops = {node["name"]: node["op"] for node in diff.order}
    for node in diff.nodes:
        comparison = node.comparison
        if diff.culprits is not None:
            comparison = node.verdict.comparison if node.verdict and node.isolated == DIFFER else None
        if comparison is not None and comparison.differing:
            explanation = next((e for e in diff.explanations if e.tensor == node.name), None)
            culprit = explanation.culprit if explanation else node.name
            listed.append(Finding(node, comparison, explanation, ops.get(TensorName(culprit).node, node.op)))
    return listed if diff.culprits is not None else listed[:1]


def headline(diff: Diff) -> str:
    """The outcome in one line."""
    wrong = diff.differing
    if diff.identical:
        return "identical"
    if not diff.compared:
        return f"nothing could be compared: {_count(len(diff.unusable), 'tensor')} of the dump could not be used"
    if not wrong and diff.conventions and not (diff.complete and diff.only_golden):
        return f"right values in another convention: {'; '.join(c.says for c in diff.conventions)}"
    if not wrong and diff.unmatched:
        which = f"{', '.join(diff.unmatched[:3])}{', ...' if len(diff.unmatched) > 3 else ''}"
        open_ones = _count(len(diff.unmatched), "tensor")
        return f"identical where it can be compared: {open_ones} of the dump could be missing ones, but equal none: {which}"
    if not wrong:
        return f"incomplete: the dump lacks {_count(len(diff.only_golden), 'tensor')}"
    if all(state(node, diff) == "layout" for node in wrong):
        return f"right values in another layout: {_count(len(wrong), 'tensor')}"
    if diff.unusable and all(node in diff.unusable or state(node, diff) == "layout" for node in wrong):
        return f"identical where it can be compared: {_count(len(diff.unusable), 'tensor')} of the dump could not be used"
    if diff.culprits is None:
        return f"different: first at {diff.first.name if diff.first else wrong[0].name}"
    if not diff.culprits:
        judged = any(node.isolated in (MATCH, DIFFER) for node in wrong)
        note = "but no node is wrong by itself" if judged else "none of which can be judged by itself"
        return f"different: {_count(len(wrong), 'tensor')}, {note}"
    named = ", ".join(diff.culprits[:3]) + (", ..." if len(diff.culprits) > 3 else "")
    if _only_seen(diff):
        return f"different: first seen in {named}, judged from golden values"
    return f"different: {_count(len(diff.culprits), 'culprit')}: {named}"


def unfollowed(diff: Diff) -> list[str]:
    """Of which tensors the consequences are not in the dump, one sentence each, the first `UNFOLLOWED` of them."""
    return [_unfollowed(diff, feed, others) for feed, others in list(diff.unfollowed.items())[:UNFOLLOWED]]


def _unfollowed(diff: Diff, feed: str, others: list[str]) -> str:
    nodes = [node for node in diff.nodes if node.verdict and feed in node.verdict.feeds and node.isolated == MATCH]
    listed = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
    follow = f"{listed} {'follows' if len(others) == 1 else 'follow'}"
    if any(node.other_inputs.get(feed, GOLDEN) != GOLDEN for node in nodes):
        return f"{feed} is not of the run of what comes after it: {follow} from what it should be, not from what was dumped"
    propagated = [node.name for node in nodes if node.name not in others and node.accumulated == DIFFER]
    simulated = f"simulated only in part, as in {propagated[0]}" if propagated else "not simulated"
    why = "either golden values replaced them, or the dumped one is of another run"
    return f"the consequences of {feed} were {simulated}: {follow} from the golden one, not from the dumped one; {why}"


def _only_seen(diff: Diff) -> bool:
    """Whether golden values stood in for what the device did not dump, and nothing explains what is wrong: the fault may be
    in anything before.
    """
    wrong = [node for node in diff.nodes if node.isolated == DIFFER]
    explained = {e.tensor for e in diff.explanations if e.fits}
    return all(node.verdict and node.verdict.golden_inputs and node.name not in explained for node in wrong)


def compared(diff: Diff) -> str:
    """What was compared, and what was not."""
    elements = sum(node.total for node in diff.compared)
    text = f"{_count(len(diff.compared), 'tensor')}, {elements:,} elements compared"
    if unusable := diff.unusable:
        text += f"; {len(unusable)} could not be used ({unusable[0].name}: {unusable[0].remark})"
    for names, where in ((diff.only_golden, "golden file"), (diff.only_dut, "dump")):
        if names:
            text += f"; {len(names)} only in the {where} ({names[0]}{', ...' if len(names) > 1 else ''})"
    unjudged = [node for node in diff.nodes if node.isolated == UNJUDGED and node not in diff.unusable]
    if unjudged:
        text += f"; {len(unjudged)} could not be judged by themselves ({unjudged[0].name}: {unjudged[0].remark})"
    return text


def blindness(diff: Diff) -> str:
    """How many mistakes would look the same, where that is known, or how to know it."""
    scored = diff.exposure
    if scored is None:
        return BLIND.format(shown_on(diff))
    compared = {node.name for node in diff.compared}
    missing = sum(node.name not in compared for node in scored.nodes)
    least = f"at least {scored.unseen:,}" if missing else f"{scored.unseen:,}"
    without = f", and more since {_count(missing, 'tensor')} could not be compared" if missing else ""
    return f"of {scored.counted:,} mistakes we know, {least} would look the same on {shown_on(diff)}{without}"


def conversions(diff: Diff) -> list[str]:
    """What was read from the dump as something else than plain integers, the first `CONVERSIONS` of them."""
    matches = [f"{match.source} is {match.node}" + ("" if match.equal else " (alike)") for match in diff.matches]
    if matches:
        listed = ", ".join(matches[:CONVERSIONS]) + (", ..." if len(matches) > CONVERSIONS else "")
        matches = [f"names: {_count(len(matches), 'tensor')} matched by what they hold: {listed}"]
    more = len(diff.conversions) - CONVERSIONS
    shown = [f"converted: {text}" for text in diff.conversions[:CONVERSIONS]]
    if diff.differing:
        shown = [
            f"convention: {convention.says}; undone before the device was judged" for convention in diff.conventions
        ] + shown
    return matches + shown + ([f"and {more} more"] if more > 0 else [])


def map_entries(diff: Diff) -> list[str]:
    """The entries of a map with which tensors in another layout would be read in order, the first `ENTRIES` of them."""
    entries = [node.map_entry for node in diff.nodes if node.map_entry and node.bad]
    more = len(entries) - ENTRIES
    return entries[:ENTRIES] + ([f"# and {more} more tensors; the JSON report has the entry of each"] if more > 0 else [])


def errors(comparison: Comparison, op: str = "") -> str:
    """The differences of the wrong elements, in LSB; class numbers have none."""
    if op == "argmax":
        return f"class numbers from {comparison.lowest:+,} to {comparison.highest:+,} off"
    mean = comparison.mean_of_differing
    span = f"{comparison.lowest:+,} to {comparison.highest:+,} LSB"
    if comparison.lowest == comparison.highest:
        return f"each by {comparison.lowest:+,} LSB"
    sided = ", all of one sign" if comparison.one_sided else ""
    return f"{span}, {mean:+.2f} on average{sided}"


def where(comparison: Comparison) -> str:
    """The region of the wrong elements; "" where it is the whole tensor."""
    region = Region.of_counts(comparison.by_axis).roughly()
    return "" if region.whole else str(region)


def worst(comparison: Comparison) -> list[str]:
    """The positions with the most wrong elements, along every axis on which they are not evenly spread."""
    lines = []
    for axis, name in enumerate(axis_names(comparison.shape)):
        places = comparison.worst(axis)
        counts = comparison.by_axis[axis]
        if len(set(counts[counts > 0].tolist())) > 1:
            listed = ", ".join(f"{place} ({count:,})" for place, count in places)
            lines.append(f"{name}s {listed}")
    return lines


def share(value: float) -> str:
    """A share in per cent: never 0 % of something, nor 100 % of less than all."""
    if 0 < value < 0.0001:
        return "<0.01%"
    return ">99.99%" if 0.9999 < value < 1 else f"{value:.2%}"


def state(node: NodeDiff, diff: Diff) -> str:
    """The state of a tensor in one word, by which the reports colour it."""
    if node.isolated == DIFFER:
        return "culprit" if TensorName(node.name).node in (diff.culprits or ()) else "symptom"
    if node.other_inputs:
        return "other-inputs"
    if node.accumulated == DIFFER:
        return "inherited" if node.isolated is not None else "differs"
    if node.accumulated == MISSING:
        return "missing"
    if node.layout is not None:
        return "layout"
    return node.accumulated if node.accumulated in (MATCH, EXTRA) else "unusable"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
