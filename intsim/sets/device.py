"""A device held to the reference: vectors that it answers, and the smallest call on which it errs."""

from __future__ import annotations

import json
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from ..dialects import ISEGMENTER, Dialect
from ..errors import IntsimError
from ..ops import REGISTRY
from ..testing.calls import Call
from ..testing.shrinking import smaller_calls
from ..vectors import Case, Document, Failure, check, generate, parse
from ..vectors.document import UNSUPPORTED

DEVICE_SECONDS = 600.0
ONE = -1  # seed of a document that was not generated
ROUNDS, AT_ONCE = 60, 200  # of shrinking a device's failure, and calls in each


def judge_device(
    device: str, op: str, dialect: Dialect | None, seed: int
) -> tuple[int, int, tuple[str, dict[str, bytes]] | None]:
    """Ask a device (a command) for the answers to generated vectors of an operator: how many were compared, how many it does
    not support, and where it errs the smallest call found, in words and as files by suffix.

    Raises IntsimError where the device fails, and FileError where its answers are none.
    """
    document = generate(op, dialect or ISEGMENTER, 1, seed)
    report = check(_answered(device, document), "the device")
    left = len(report.unsupported)
    tried = len(document.cases) - left
    if not report.failures:
        return tried, left, None
    wrong = {failure.case.id for failure in report.failures}
    smallest = min((case for case in document.cases if case.id in wrong), key=lambda case: len(json.dumps(case.args)))
    call = _call(op, smallest.args, dialect)
    call = None if call is None else _shrunk(device, call)
    one = document_of([call]) if call is not None else replace(document, cases=(smallest,), seed=ONE)
    first = check(_answered(device, one), "the device").failures
    text = f"{call or smallest.args}\n\n{_shown(first[0]) if first else 'the device answers differently from call to call'}"
    return tried, left, (text, {".json": one.text().encode() + b"\n"})


def _shown(failure: Failure) -> str:
    """A failure in words: the first wrong element, and the steps to the right one."""
    steps = (f"{line.name:10} {line.value:>14}  {line.how}  {line.note}".rstrip() for line in failure.trace)
    return "\n".join([failure.says, *steps])


def _shrunk(device: str, call: Call) -> Call:
    """The smallest call found on which a device errs; it is asked about many at once."""
    for _ in range(ROUNDS):
        found = islice((smaller for smaller in smaller_calls(call, {}, frozenset()) if smaller.accepted), AT_ONCE)
        if not (tried := list(found)):
            break
        cases = parse(_answered(device, document_of(tried)), "the device").cases
        wrong = (c for c, case in zip(tried, cases, strict=True) if case.got not in (UNSUPPORTED, c.expected.tolist()))
        if (following := next(wrong, None)) is None:
            break
        call = following
    return call


def _answered(device: str, document: Document) -> str:
    """What a device writes to the questions of a document. IntsimError where it fails."""
    try:
        with tempfile.TemporaryFile("w+", encoding="utf-8") as questions:  # a pipe that is not read would end this process
            questions.write(document.text(True))
            questions.seek(0)
            command = shlex.split(device)
            done = subprocess.run(
                command, stdin=questions, capture_output=True, text=True, timeout=DEVICE_SECONDS, check=False
            )
    except (OSError, ValueError) as error:
        raise IntsimError(f"device {device!r}: cannot be run ({error})") from None
    except subprocess.TimeoutExpired:
        raise IntsimError(f"device {device!r}: has not answered within {DEVICE_SECONDS:.0f} s") from None
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise IntsimError(f"device {device!r}: failed: {said[0]}")
    return done.stdout


def document_of(calls: Sequence[Call]) -> Document:
    """Calls of one operator as a document."""
    cases = []
    for number, call in enumerate(calls):
        own = {key: value for key, value in call.arguments.items() if key != "dialect"}
        plain = {k: [x.tolist() for x in v] if isinstance(v, list) else np.asarray(v).tolist() for k, v in own.items()}
        cases.append(Case(number, (), "found by a campaign", plain, call.expected.tolist()))
    return Document(calls[0].op, calls[0].dialect or ISEGMENTER, 1, ONE, None, tuple(cases))


def _call(op: str, args: Any, dialect: Dialect | None) -> Call | None:
    """The arguments of a case as a call; None where the operator does not take them."""
    operator, given = REGISTRY[op], dict(args)
    try:
        names = list(operator.inputs)
        raw = given.pop(names[0]) if operator.variadic else [given.pop(name) for name in names]
        arrays = tuple(np.asarray(x).astype(operator.port(i).dtype) for i, x in enumerate(raw))
        params = {key: operator.checked_param(key, np.asarray(v) if isinstance(v, list) else v) for key, v in given.items()}
        call = Call(op, arrays, params, dialect)
        return call if call.accepted else None
    except (TypeError, ValueError, KeyError):
        return None
