"""Rules that all explain a tensor: are they one and the same at this node, or do other inputs tell them apart?

Proved where the solver is installed and decides within seconds, for the parameters of the node and the bounds of its inputs;
tried on random inputs within these bounds otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..engine.graph import CONSTANT, INPUT, Graph, Node
from ..errors import IntsimError
from ..proving.choices import Side, compared, questions_of
from ..proving.equality import EQUAL
from ..proving.trials import tried
from ..rules import Computation, Rule, computation_of
from .reasons import Candidate, Explanation, Sameness

OTHERS = 4  # rules beside the first that are looked into
SECONDS, ROW = 4.0, 2  # for one of them; the longest row that is asked about


def told_apart(graph: Graph, explanations: Sequence[Explanation]) -> list[Explanation]:
    """The explanations, their further rules each with what is known of it and the first one."""
    return [_told_apart(graph, explanation) for explanation in explanations]


def _told_apart(graph: Graph, explanation: Explanation) -> Explanation:
    if len(explanation.fits) < 2 or not _is_one_rule(explanation.fits[0]):
        return explanation
    first, *others = explanation.fits
    node = graph.by_name[first.broken[0].node]
    if node.op in (INPUT, CONSTANT):
        return explanation
    known = []
    for other in others[:OTHERS]:
        if _is_one_rule(other) and other.broken[0].node == node.name:
            other = replace(other, same=sameness(graph, node, first.broken[0].rule, other.broken[0].rule))
        known.append(other)
    return replace(explanation, fits=(first, *known, *others[OTHERS:]))


def _is_one_rule(candidate: Candidate) -> bool:
    return len(candidate.broken) == 1 and not candidate.says and candidate.region is None


def sameness(graph: Graph, node: Node, a: Rule, b: Rule) -> Sameness | None:
    """What is known of two rules at a node; None where nothing is."""
    changed = [rule.alter(computation_of(graph, node)) for rule in (a, b)]
    if _alike(*changed):
        return Sameness(True, 0, 0)
    try:
        trial = tried(graph, node, a.alter, b.alter, tensors=2)
    except (ValueError, MemoryError):
        return None
    proved = not trial.differing and _is_proved(graph, node, a, b)
    return Sameness(proved, trial.tried, trial.differing)


def _alike(a: Computation, b: Computation) -> bool:
    """Whether two computations are one."""
    if (a.op, a.dialect.choices(), a.deviations.keys()) != (b.op, b.dialect.choices(), b.deviations.keys()):
        return False
    for key, value in a.deviations.items():
        plain = isinstance(value, int | str) and value == b.deviations[key]
        if not plain and value is not b.deviations[key]:
            return False
    return a.params.keys() == b.params.keys() and all(np.array_equal(a.params[key], b.params[key]) for key in a.params)


def _is_proved(graph: Graph, node: Node, a: Rule, b: Rule) -> bool:
    """Whether both are the same for all inputs of the node, as a whole."""
    start, sides = time.monotonic(), (Side(a.name, a.alter), Side(b.name, b.alter))
    try:
        for question, channels in questions_of(graph, node):
            length = graph.tensors[node.inputs[0]].shape[-1]
            if not question.whole() and length > ROW:
                return False
            left = SECONDS - (time.monotonic() - start)
            if left <= 0 or compared(question, *sides, ROW, left, False, channels).verdict != EQUAL:
                return False
    except IntsimError:  # not traceable, or no solver
        return False
    return True
