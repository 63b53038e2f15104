"""Reproductions of what other judges found: answers to conformance vectors, and what runtimes make of cases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..compilers.cases import Case as CompilerCase
from ..compilers.matrix import DIFFERS, EXACT, Verdict
from ..dialects import Dialect
from ..errors import FileError, IntsimError
from ..ops import REGISTRY
from ..testing.calls import Call
from ..vectors import Report
from .case import Reproduction
from .core import of_call
from .folder import write


def of_report(report: Report) -> Iterator[tuple[str, Reproduction | str]]:
    """Every case of vectors that a device answers wrongly: a name, and the reproduction, or why there is none."""
    document = report.document
    for failure in report.failures:
        case = failure.case
        name = f"{document.op}-{document.dialect.name}-{case.id}"
        if failure.index is None:
            yield name, failure.says
            continue
        node, why = f"{document.op}, case {case.id}", case.note or report.bug(failure)
        yield (
            name,
            _made(document.op, dict(case.args), document.dialect, case.got, node, f"the case is for: {why}" if why else ""),
        )


def of_verdicts(verdicts: Iterable[Verdict], cases: Iterable[CompilerCase]) -> Iterator[tuple[str, Reproduction | str]]:
    """The first case of every operator that is not exact in a runtime: a name, and a reproduction, or why there is none."""
    known = {case.name: case for case in cases}
    told: set[tuple[str, str]] = set()
    for verdict in verdicts:
        key = verdict.runtime, verdict.subject
        if verdict.outcome == EXACT or key in told:
            continue
        told.add(key)
        name, case = f"{verdict.runtime}-{verdict.subject}", known[verdict.case]
        if verdict.outcome != DIFFERS or verdict.found is None:
            yield name, f"{verdict.outcome}: {verdict.detail}"
        elif not case.arrays:
            yield name, "a standard operator, of which intsim has no bench"
        elif len(case.outputs) > 1:
            yield name, "its result is several tensors at this width; run it at 64 bits"
        else:
            operator = REGISTRY[case.subject]
            first = (
                {next(iter(operator.inputs)): list(case.arrays)}
                if operator.variadic
                else dict(zip(operator.inputs, case.arrays, strict=True))
            )
            node = f"{verdict.runtime}, case {verdict.case}"
            yield name, _made(case.subject, {**first, **case.params}, case.dialect, verdict.found, node, "")


def write_all(found: Iterable[tuple[str, Reproduction | str]], folder: Path) -> tuple[list[str], list[str]]:
    """Write reproductions as folders in a folder; the names of these, and sentences on what has none."""
    if folder.exists() and not folder.is_dir():
        raise FileError(f"{folder}: is a file; name a folder")
    written, left = [], []
    for name, made in found:
        if isinstance(made, str):
            left.append(f"{name}: {made}")
            continue
        folder.mkdir(parents=True, exist_ok=True)
        write(made, folder / name)
        written.append(name)
    return written, left


def _made(op: str, args: dict[str, Any], dialect: Dialect | None, got: Any, node: str, why: str) -> Reproduction | str:
    """A reproduction of a call by its arguments, or why there is none."""
    operator = REGISTRY[op]
    names = list(operator.inputs)
    raw = list(args[names[0]]) if operator.variadic else [args[name] for name in names]
    if "transpose_b" in operator.params:
        args.setdefault("transpose_b", 0)
    try:
        wide = [np.asarray(x, np.int64) for x in raw]
        inputs = tuple(x.astype(_dtype(x, operator.port(i).dtype)) for i, x in enumerate(wide))
        params = {key: operator.checked_param(key, args[key]) for key in operator.params}
        return of_call(Call(op, inputs, params, dialect if operator.choices else None), np.asarray(got), node, why)
    except (IntsimError, ValueError, OverflowError) as error:
        return str(error)


def _dtype(x: np.ndarray[Any, Any], port: np.dtype[Any]) -> np.dtype[Any]:
    """The type of a port's values, or where that takes any integers 32 bits, if they hold these."""
    narrow = np.dtype(np.int32)
    fits = not x.size or (np.iinfo(narrow).min <= int(x.min()) and int(x.max()) <= np.iinfo(narrow).max)
    return narrow if port == np.dtype(np.int64) and fits else port
