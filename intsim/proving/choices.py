"""Two choices side by side: are an operator's results the same under both, and for which inputs exactly.

At a node of a model the parameters are the node's own, and its inputs have the bounds that the graph proves. What is element
by element is asked for every channel that has parameters of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..dialects import ISEGMENTER, Dialect
from ..engine.graph import Graph, Node
from ..errors import IntsimError
from ..ops import REGISTRY
from ..rules import Computation, Rule
from ..rules.rule import Alteration
from .bounds import bounds_of, outcome_of, results
from .equality import DIFFERENT, EQUAL
from .question import Question
from .solver import UNKNOWN


@dataclass(frozen=True)
class Side:
    """One of the choices: its words, and what it changes of the reference's computation."""

    name: str
    alter: Alteration


@dataclass(frozen=True)
class Case:
    """The calls of one question, and its answer. `channels` have these parameters; none: all do.

    `same` is the interval of the input, or the bound of the magnitude of all inputs, within which both are the same; None
    where there is no such interval or it is not known. `call` differs, with the result `a` and `b`.
    """

    question: Question
    channels: tuple[int, ...]
    rows: tuple[int, ...]
    verdict: str
    how: tuple[str, ...]
    same: tuple[int, int] | None = None
    call: Mapping[str, int] = field(default_factory=dict)
    a: int | None = None
    b: int | None = None

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "channels": list(self.channels),
            "rows": list(self.rows),
            "parameters": self.question.plain(),
            "ranges": {name: list(ends) for name, ends in self.question.ranges.items()},
            "verdict": self.verdict,
            "how": list(self.how),
            "same": list(self.same) if self.same else None,
            "call": dict(self.call),
            "a": self.a,
            "b": self.b,
        }


def side_of(settings: Sequence[str], op: str, rules: Mapping[str, Rule], dialects: Callable[[str], Dialect]) -> Side:
    """A side from ``dialect=NAME``, a choice or parameter ``KEY=VALUE``, or the name of a rule. IntsimError for any other.

    `rules` are those that a node knows by name, `dialects` gives a dialect by name.
    """
    choices: dict[str, Any] = {}
    params: dict[str, int] = {}
    named: list[Rule] = []
    base: Dialect | None = None
    for text in settings:
        key, _, value = (part.strip() for part in text.partition("="))
        if key == "dialect" and value:
            base = dialects(value)
        elif text.strip() in rules:
            named.append(rules[text.strip()])
        elif key in ISEGMENTER.choices() and value:
            choices[key] = int(value) if value.lstrip("-").isdigit() else value
        elif op in REGISTRY and key in REGISTRY[op].params and value.lstrip("-").isdigit():
            params[key] = int(REGISTRY[op].checked_param(key, int(value)))
        else:
            known = "dialect=NAME, a choice of a dialect, a parameter of the operator, or a rule of the node"
            raise IntsimError(f"{text!r} is not a choice; it is one of: {known}")

    def alter(computation: Computation) -> Computation:
        dialect = (base or computation.dialect).replace(**choices)
        changed = Computation(computation.op, {**computation.params, **params}, dialect, computation.deviations)
        for rule in named:
            changed = rule.alter(changed)
        return changed

    return Side(", ".join(settings) or "the reference", alter)


def questions_of(graph: Graph, node: Node) -> Iterator[tuple[Question, tuple[int, ...]]]:
    """What is asked of a node: a question for all channels of the same parameters, with these channels."""
    if node.op not in REGISTRY:
        raise IntsimError(f"{node.name}: is a {node.op}, which computes nothing")
    operator = REGISTRY[node.op]
    ranges: dict[str, Any] = {}
    names = list(operator.inputs)
    if operator.variadic or operator.moves:
        raise IntsimError(f"{node.name}: {node.op} only moves values, and has no choices")
    for name, source in zip(names, node.inputs, strict=True):
        bound = graph.tensors[source]
        ranges[name] = (bound.lo, bound.hi)
    split: dict[str, Any] = {}
    for name, value in node.params.items():
        array = np.asarray(value)
        if array.ndim == 1 and 0 in operator.params[name].ndim:
            split[name] = array
        else:
            ranges[name] = (int(array.min()), int(array.max())) if array.ndim else int(array)
    if not split:
        yield Question(node.op, graph.dialect, ranges), ()
        return
    groups: dict[tuple[int, ...], list[int]] = {}
    count = max(len(array) for array in split.values())
    for channel in range(count):
        groups.setdefault(tuple(int(array[channel]) for array in split.values()), []).append(channel)
    for values, channels in groups.items():
        own = {**ranges, **dict(zip(split, values, strict=True))}
        yield Question(node.op, graph.dialect, own), tuple(channels)


def compared(
    question: Question, a: Side, b: Side, row: int, seconds: float, bounds: bool = True, channels: tuple[int, ...] = ()
) -> Case:
    """Whether both are the same for all calls of a question, and where not, within which `bounds` they are."""
    start, how = time.monotonic(), list[str]()
    rows, proved = question.rows(1 if question.whole() else row), list[int]()
    for length in rows:
        outcome = outcome_of(question.traces(length), a, b, seconds - (time.monotonic() - start))
        if outcome.verdict == EQUAL:
            how.append(outcome.how)
            proved.append(length)
            continue
        told = tuple(dict.fromkeys(how))
        if outcome.verdict == UNKNOWN:
            return Case(question, channels, tuple(proved), UNKNOWN, told)
        left = seconds - (time.monotonic() - start)
        nearest = bounds_of(question, length, a, b, outcome.inputs, left) if bounds else None
        call, same = nearest if nearest is not None else (outcome.inputs, None)
        values = results(question.traces(length), a, b, call)
        return Case(question, channels, tuple(proved), DIFFERENT, told, same, call, *values)
    return Case(question, channels, tuple(rows), EQUAL, tuple(dict.fromkeys(how)))
