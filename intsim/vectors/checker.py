"""A device's answers against the reference: what passes per flag, and the first difference of each case.

Every expected answer is computed again; a file's own expectations must agree with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engine.graph import Node
from ..errors import FileError
from ..ops import REGISTRY
from ..tracing.tracers import TRACERS, Element, Line
from .document import INVALID, UNSUPPORTED, Answer, Case, Document, checked, parse
from .flags import NOTES
from .generator import VECTOR_LEVELS, generate

ANSWERS, EXPECTATIONS = "got", "expect"  # what was compared with the reference
SHOWN = 40  # characters of an answer


@dataclass(frozen=True)
class Failure:
    """A case that differs: where (None: in its shape or refusal), the device's value there, and the expected one."""

    case: Case
    index: tuple[int, ...] | None
    got: Any
    expected: Any
    differing: int
    elements: int
    says: str
    trace: tuple[Line, ...] = ()

    @property
    def bugs(self) -> list[str]:
        """The bugs that such cases catch."""
        return [NOTES[flag]["bug"] for flag in self.case.flags if flag in NOTES]

    def record(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        return {
            "case": self.case.id,
            "flags": list(self.case.flags),
            "note": self.case.note,
            "index": list(self.index) if self.index is not None else None,
            "got": self.got,
            "due": self.expected,
            "differing": self.differing,
            "elements": self.elements,
            "says": self.says,
            "bugs": self.bugs,
            "trace": [line.record() for line in self.trace],
        }


@dataclass(frozen=True)
class Report:
    """The result for a file of answers; `flags` counts, per flag, the cases and those that passed."""

    name: str
    document: Document
    held: str
    flags: dict[str, tuple[int, int]]
    failures: tuple[Failure, ...]
    missing: tuple[int, ...] = ()  # generated with the other cases and not in the file
    unsupported: tuple[int, ...] = ()  # that the device was not made for

    @property
    def agrees(self) -> bool:
        """Whether no case is missing or wrong."""
        return not self.failures and not self.missing

    def bug(self, failure: Failure) -> str:
        """The likeliest bug behind a failure: that of its flag with the lowest share of passed cases."""
        known = [flag for flag in failure.case.flags if flag in NOTES]
        if not known:
            return ""
        return NOTES[min(known, key=lambda flag: self.flags[flag][1] / self.flags[flag][0])]["bug"]

    @property
    def passed(self) -> int:
        """The cases answered without a difference."""
        return len(self.document.cases) - len(self.failures) - len(self.unsupported)

    def record(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        return {
            "file": self.name,
            "op": self.document.op,
            "dialect": self.document.dialect.name,
            "level": self.document.level,
            "seed": self.document.seed,
            "model": self.document.model,
            "checked": self.held,
            "cases": len(self.document.cases),
            "passed": self.passed,
            "flags": {flag: {"cases": cases, "passed": passed} for flag, (cases, passed) in self.flags.items()},
            "failures": [failure.record() for failure in self.failures],
            "missing": list(self.missing),
            "unsupported": list(self.unsupported),
        }


def check(text: str, name: str) -> Report:
    """The report on a document with a device's answers, or on its own expectations where it has none.

    A FileError reports what is missing or damaged: answers to only some cases, an expectation that differs from the
    reference.
    """
    given = parse(text, name)
    unanswered = [case.id for case in given.cases if case.got is None]
    if len(unanswered) < len(given.cases):
        if unanswered:
            raise FileError(
                f"{name}: case {unanswered[0]} has no got while other cases have; the device must answer every case"
            )
        held = ANSWERS
    elif all(case.expected is not None for case in given.cases):
        held = EXPECTATIONS
    else:
        first = next(case.id for case in given.cases if case.expected is None)
        some = any(case.expected is not None for case in given.cases)
        problem = f"case {first} has neither got nor expect" if some else "contains only questions"
        raise FileError(f"{name}: {problem}; the device must add got to every case")
    unsupported = tuple(case.id for case in given.cases if case.got == UNSUPPORTED)
    if len(unsupported) == len(given.cases):
        raise FileError(f"{name}: the device supports none of its {len(unsupported)} cases; nothing was compared")
    document = checked(given, name)
    missing = _missing(document) if held == ANSWERS else ()
    failures = {case.id: failure for case in document.cases if (failure := _failure(document, case)) is not None}
    flags: dict[str, tuple[int, int]] = {}
    for case in document.cases:
        if case.id in unsupported:
            continue
        for flag in case.flags:
            cases, passed = flags.get(flag, (0, 0))
            flags[flag] = cases + 1, passed + (case.id not in failures)
    return Report(name, document, held, flags, tuple(failures.values()), missing, unsupported)


def _missing(document: Document) -> tuple[int, ...]:
    """The ids of generated cases that are not in the document; none where it has other cases or comes from a model."""
    if document.model is not None or document.level not in VECTOR_LEVELS or document.seed < 0:
        return ()
    generated = {
        case.id: json.dumps(case.args)
        for case in generate(document.op, document.dialect, document.level, document.seed, domain=document.domain).cases
    }
    if any(generated.get(case.id) != json.dumps(case.args) for case in document.cases):
        return ()
    return tuple(sorted(generated.keys() - {case.id for case in document.cases}))


def _failure(document: Document, case: Case) -> Failure | None:
    """The first difference of a case, or None."""
    if case.got is None or case.got == UNSUPPORTED:
        return None
    expected, got = case.expected, case.got
    if INVALID in (expected, got):
        says = "is answered; it must be refused as invalid" if expected == INVALID else "is refused; it must be answered"
        return None if expected == got else Failure(case, None, _brief(got), _brief(expected), 1, 1, f"out {says}")
    if isinstance(expected, list) is not isinstance(got, list) and not (isinstance(expected, int) and type(got) is int):
        wanted = "nested lists" if isinstance(expected, list) else "an integer"
        says = f"out is {_shown(got)}, expected {wanted} or {INVALID!r}"
        return Failure(case, None, _brief(got), _brief(expected), 1, 1, says)
    shapes = _shape(expected), _shape(got)
    elements, given = (list(_elements(value, len(shapes[0]))) for value in (expected, got))
    if shapes[0] != shapes[1] or [at for at, _ in elements] != [at for at, _ in given]:
        says = (
            f"out has the shape {_brief(str(shapes[1]))}, expected {shapes[0]}"
            if shapes[0] != shapes[1]
            else "out has rows of different lengths"
        )
        return Failure(case, None, "a list", "a list", len(elements), len(elements), says)
    differing = [
        (at, actual, right)
        for (at, right), (_, actual) in zip(elements, given, strict=True)
        if type(actual) is not int or actual != right
    ]
    if not differing:
        return None
    at, actual, right = differing[0]
    where = f"out[{','.join(map(str, at))}]" if at else "out"
    says = f"{where} is {_shown(actual)}, expected {right}" + ("" if type(actual) is int else ", an integer")
    return Failure(case, at, _brief(actual), right, len(differing), len(elements), says, _trace(document, case, at))


def _elements(value: Answer, depth: int, at: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Every element of lists nested `depth` deep, with its index."""
    if depth and isinstance(value, list):
        for i, part in enumerate(value):
            yield from _elements(part, depth - 1, (*at, i))
    else:
        yield at, value


def _shape(value: Answer) -> list[int]:
    """The shape of nested lists, taken from the first element of each."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return shape


def _brief(value: Any) -> int | str:
    """A short form of an answer: a number unchanged, anything else as the beginning of its text."""
    if type(value) is int and value.bit_length() < 4 * SHOWN:
        return value
    text = "a list" if isinstance(value, list) else "an object" if isinstance(value, dict) else _text(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} ..."


def _text(value: Any) -> str:
    """A scalar as text; an integer too long to show by its size."""
    return f"an integer of {value.bit_length()} bits" if type(value) is int else str(value)


def _shown(value: Any) -> str:
    """An answer within a sentence: text in quotes."""
    return repr(_brief(value)) if isinstance(value, str) else str(_brief(value))


def _trace(document: Document, case: Case, at: tuple[int, ...]) -> tuple[Line, ...]:
    """The computation of one element step by step, where the operator has a tracer."""
    if document.op not in TRACERS:
        return ()
    operator, given = REGISTRY[document.op], dict(case.args)
    names = list(operator.inputs)
    inputs = [np.asarray(given.pop(name), np.int64) for name in names]
    params = {name: np.asarray(value) if isinstance(value, list) else int(value) for name, value in given.items()}
    if "transpose_b" in operator.params:
        params.setdefault("transpose_b", 0)
    node = Node(f"case_{case.id}", document.op, tuple(names), params)
    return tuple(TRACERS[document.op](Element(node, inputs, at, document.dialect)))
