"""The C reference: compiled, and held to the reference on conformance vectors and drawn calls."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pytest
from clibrary import Compiled
from hypothesis import given, settings

from intsim.arith import I32, I64
from intsim.dialects import DIALECTS, Dialect
from intsim.ops import REGISTRY, Op
from intsim.testing import strategies

from checking import calls_of_vectors, searching

EVERY = [(op, dialect) for op in REGISTRY.values() for dialect in (DIALECTS.values() if op.choices else [None])]
every_operator = pytest.mark.parametrize(("op", "dialect"), EVERY, ids=lambda value: getattr(value, "name", "no dialect"))
pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
OK, REFUSED, RANGE = 0, 4, 5


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    folder = tmp_path_factory.mktemp("c")
    return Compiled(folder, "gcc", "-O1", "-fsanitize=undefined", "-fno-sanitize-recover=undefined", "-static-libubsan")


def compared(compiled: Compiled, op: Op, arrays: list[Any], params: dict[str, Any], dialect: Dialect | None) -> str:
    """What the C function makes of a call: "same", "refused" as by the reference, or "not held" by 32 or 64 bits."""
    if any(x.size and not I32.holds(int(x.min()), int(x.max())) for x in arrays):
        return "not held"
    if op.variadic and len(arrays) != 2:
        return "not held"
    try:
        code, out, steps = compiled.call(op.name, arrays, params, dialect)
    except ValueError:  # shapes that do not go together, which lengths cannot say
        return "not held"
    try:
        op.ref(*arrays, **params, **({"dialect": dialect} if dialect else {}))
        due = op.intermediates(arrays, params, dialect)
    except ValueError:
        due = None
    if due is None:
        assert code != OK, "the reference refuses the call"
        return "refused"
    wide = [
        value
        for value in due.values()
        if value.dtype == object or (value.size and not I64.holds(int(value.min()), int(value.max())))
    ]
    narrow = due["out"].dtype != object and (not due["out"].size or I32.holds(int(due["out"].min()), int(due["out"].max())))
    if code in (RANGE, REFUSED) and (wide or not narrow):
        return "not held"
    assert code == OK, code
    assert np.array_equal(out, np.ravel(due["out"]))
    for name, value in steps.items():
        assert np.array_equal(value, np.ravel(due[name])), name
    return "same"


@every_operator
def test_every_vector(op: Op, dialect: Dialect | None, compiled: Compiled) -> None:
    found = [compared(compiled, op, arrays, params, dialect) for _, arrays, params in calls_of_vectors(op, dialect)]
    assert found.count("same") >= 3


@every_operator
def test_any_call(op: Op, dialect: Dialect | None, compiled: Compiled) -> None:
    @settings(searching, max_examples=20)
    @given(strategies.arguments(op.name, dialect))
    def tried(call: Any) -> None:
        compared(compiled, op, list(call.inputs), call.params, dialect)

    tried()
