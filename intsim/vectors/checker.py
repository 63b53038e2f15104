"""A device's answers against the reference: what passes by flag, and where the first difference of a case is.

Every answer is computed here anew; a file's own expectations are believed only where they say the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engine.graph import Node
from ..errors import FileError
from ..ops._op import REGISTRY
from ..tracing.tracers import TRACERS, Element, Line
from .document import INVALID, Answer, Case, Document, checked, parse
from .flags import NOTES
from .generator import VECTOR_LEVELS, generate

ANSWERS, EXPECTATIONS = "got", "expect"  # what was held against the reference
SHOWN = 40  # characters of a whole answer


@dataclass(frozen=True)
class Failure:
    """A case that differs: where (None: the shape or the refusal does), what the device has there, and what is due."""

    case: Case
    index: tuple[int, ...] | None
    got: Any
    due: Any
    differing: int
    elements: int
    says: str
    trace: tuple[Line, ...] = ()

    @property
    def bugs(self) -> list[str]:
        """What goes wrong in such cases."""
        return [NOTES[flag]["bug"] for flag in self.case.flags if flag in NOTES]

    def record(self) -> dict[str, Any]:
        """As plain data for ``--json``."""
        return {
            "case": self.case.id,
            "flags": list(self.case.flags),
            "note": self.case.note,
            "index": list(self.index) if self.index is not None else None,
            "got": self.got,
            "due": self.due,
            "differing": self.differing,
            "elements": self.elements,
            "says": self.says,
            "bugs": self.bugs,
            "trace": [line.record() for line in self.trace],
        }


@dataclass(frozen=True)
class Report:
    """What a file of answers is worth; `flags` counts, by flag, the cases and those that passed."""

    name: str
    document: Document
    held: str
    flags: dict[str, tuple[int, int]]
    failures: tuple[Failure, ...]
    missing: tuple[int, ...] = ()  # cases that were made with the others and are not there

    @property
    def agrees(self) -> bool:
        """Whether all cases are there and right."""
        return not self.failures and not self.missing

    def bug(self, failure: Failure) -> str:
        """What goes wrong in cases like a failure's: in the words of that of its flags which passes least."""
        known = [flag for flag in failure.case.flags if flag in NOTES]
        if not known:
            return ""
        return NOTES[min(known, key=lambda flag: self.flags[flag][1] / self.flags[flag][0])]["bug"]

    @property
    def passed(self) -> int:
        """The cases without a difference."""
        return len(self.document.cases) - len(self.failures)

    def record(self) -> dict[str, Any]:
        """As plain data for ``--json``."""
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
        }


def check(text: str, name: str) -> Report:
    """The report on a document with a device's answers, or on its own expectations where it has none.

    A FileError says what is missing or damaged: answers to some cases only, an expectation the reference does not confirm.
    """
    given = parse(text, name)
    unanswered = [case.id for case in given.cases if case.got is None]
    if len(unanswered) < len(given.cases):
        if unanswered:
            raise FileError(f"{name}: case {unanswered[0]} has no got, others have; a device answers every case")
        held = ANSWERS
    elif all(case.due is not None for case in given.cases):
        held = EXPECTATIONS
    else:
        first = next(case.id for case in given.cases if case.due is None)
        some = any(case.due is not None for case in given.cases)
        said = f"case {first} has neither got nor expect" if some else "holds questions only"
        raise FileError(f"{name}: {said}; the device adds got to every case")
    document = checked(given, name)
    missing = _missing(document) if held == ANSWERS else ()
    found = {case.id: failure for case in document.cases if (failure := _failure(document, case)) is not None}
    flags: dict[str, tuple[int, int]] = {}
    for case in document.cases:
        for flag in case.flags:
            cases, passed = flags.get(flag, (0, 0))
            flags[flag] = cases + 1, passed + (case.id not in found)
    return Report(name, document, held, flags, tuple(found.values()), missing)


def _missing(document: Document) -> tuple[int, ...]:
    """The ids of cases that `generate` makes and the document lacks, where it is of such cases and stems from no model."""
    if document.model is not None or document.level not in VECTOR_LEVELS or document.seed < 0:
        return ()
    made = {
        case.id: json.dumps(case.args)
        for case in generate(document.op, document.dialect, document.level, document.seed).cases
    }
    if any(made.get(case.id) != json.dumps(case.args) for case in document.cases):
        return ()
    return tuple(sorted(made.keys() - {case.id for case in document.cases}))


def _failure(document: Document, case: Case) -> Failure | None:
    """The first difference of a case, or None."""
    if case.got is None:
        return None
    due, got = case.due, case.got
    if INVALID in (due, got):
        says = "is answered, and must be refused as invalid" if due == INVALID else "is refused, and must be answered"
        return None if due == got else Failure(case, None, _brief(got), _brief(due), 1, 1, f"out {says}")
    if isinstance(due, list) is not isinstance(got, list) and not (isinstance(due, int) and type(got) is int):
        says = f"out is {_shown(got)}, {'nested lists' if isinstance(due, list) else 'an integer'} or {INVALID!r} is due"
        return Failure(case, None, _brief(got), _brief(due), 1, 1, says)
    shapes = _shape(due), _shape(got)
    expected, given = (list(_elements(value, len(shapes[0]))) for value in (due, got))
    if shapes[0] != shapes[1] or [at for at, _ in expected] != [at for at, _ in given]:
        says = (
            f"out has the shape {_brief(str(shapes[1]))}, due is {shapes[0]}"
            if shapes[0] != shapes[1]
            else "out has rows of several lengths"
        )
        return Failure(case, None, "a list", "a list", len(expected), len(expected), says)
    differing = [
        (at, is_, should)
        for (at, should), (_, is_) in zip(expected, given, strict=True)
        if type(is_) is not int or is_ != should
    ]
    if not differing:
        return None
    at, is_, should = differing[0]
    where = f"out[{','.join(map(str, at))}]" if at else "out"
    says = f"{where} is {_shown(is_)}, due {should}" + ("" if type(is_) is int else ", an integer")
    return Failure(case, at, _brief(is_), should, len(differing), len(expected), says, _trace(document, case, at))


def _elements(value: Answer, depth: int, at: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Every element of lists nested `depth` deep, with its place."""
    if depth and isinstance(value, list):
        for i, part in enumerate(value):
            yield from _elements(part, depth - 1, (*at, i))
    else:
        yield at, value


def _shape(value: Answer) -> list[int]:
    """The lengths of nested lists, each list's by its first element."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return shape


def _brief(value: Any) -> int | str:
    """What is shown of an answer: a number as it is, anything else as the beginning of its text."""
    if type(value) is int and value.bit_length() < 4 * SHOWN:
        return value
    text = "a list" if isinstance(value, list) else "an object" if isinstance(value, dict) else _text(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} ..."


def _text(value: Any) -> str:
    """A scalar as text; an integer of thousands of digits by its size alone."""
    return f"an integer of {value.bit_length()} bits" if type(value) is int else str(value)


def _shown(value: Any) -> str:
    """An answer in a sentence: text between quotes."""
    return repr(_brief(value)) if isinstance(value, str) else str(_brief(value))


def _trace(document: Document, case: Case, at: tuple[int, ...]) -> tuple[Line, ...]:
    """The arithmetic behind one element, where the operator has a tracer."""
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
