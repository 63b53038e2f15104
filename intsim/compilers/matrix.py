"""What compilers make of the cases: exact, otherwise (how many, the first), or refused (why)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from ..arith import AnyArray
from ..cluster.pipes import writing_to_what_has_ended
from .cases import Case
from .executors import executor, last_line

EXACT, DIFFERS, REFUSED, CRASHED = "exact", "differs", "refused", "crashed"


@dataclass(frozen=True)
class Verdict:
    """What one runtime made of one case, and the first difference, or the reason, in words; `found`: that output."""

    runtime: str
    case: str
    subject: str
    outcome: str
    detail: str = ""
    found: AnyArray | None = field(default=None, compare=False, repr=False)

    def record(self) -> dict[str, Any]:
        """As plain data, without the values."""
        return {key: value for key, value in vars(self).items() if key != "found"}


def verdicts(cases: Iterable[Case], runtime: str, progress: Callable[[str], None] = lambda name: None) -> list[Verdict]:
    """Run cases in one runtime, in a process of its own, so that a crash is an outcome like any other."""
    found: list[Verdict] = []
    pool: ProcessPoolExecutor | None = None
    with writing_to_what_has_ended():
        for case in cases:
            if pool is None:
                pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
            arguments = (runtime, case.model.SerializeToString(), dict(case.inputs), dict(case.outputs))
            try:
                outcome, detail, values = pool.submit(_judged, *arguments).result()
            except BrokenProcessPool:
                pool, outcome, detail, values = None, CRASHED, "the process ended", None
            found.append(Verdict(runtime, case.name, case.subject, outcome, detail, values))
            progress(case.name)
        if pool is not None:
            pool.shutdown()
    return found


def _judged(
    runtime: str, model: bytes, inputs: dict[str, AnyArray], outputs: dict[str, AnyArray]
) -> tuple[str, str, AnyArray | None]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model)
        try:
            found = executor(runtime).compiled(path)(inputs)
        except Exception as error:  # noqa: BLE001  a runtime's own, of any kind
            return REFUSED, last_line(error), None
    for name, due in outputs.items():
        values = np.asarray(found[name])
        if detail := difference(values, due):
            return DIFFERS, detail, values
    return EXACT, "", None


def difference(found: AnyArray, due: AnyArray) -> str:
    """How an output differs, in words; "" where it does not. Signless types of the same width are read as what is due."""
    if found.dtype != due.dtype and found.dtype.kind in "iu" and found.itemsize == due.itemsize and due.dtype.kind in "iu":
        found = found.view(due.dtype)
    if found.shape != due.shape:
        return f"shape {list(found.shape)} instead of {list(due.shape)}"
    wrong = found != due
    if not wrong.any():
        return ""
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    return f"{int(wrong.sum())} of {wrong.size}, first {list(at)}: {found[at]} instead of {due[at]}"
