"""Rows are shared among threads: each is computed once, whoever calls, and whether workers sleep, wait or are busy."""

from __future__ import annotations

import ast
import multiprocessing
import threading
import time
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

import intsim
from intsim import ops
from intsim.arith import IntArray
from intsim.kernels import crew, threads
from intsim.kernels.crew import own_rows
from intsim.kernels.threads import over_rows

ROWS = 40


def _count(crew: int, start: int, stop: int, seen: IntArray, one: IntArray, bad: int, raising: int, work: int) -> int:
    stop = own_rows(crew, start, stop)
    for row in range(start, stop):
        if row >= bad:
            return row
        if row >= raising:
            raise ValueError("no")
        total = 0
        for i in range(work):
            total = total * 31 + i
        seen[row] += one[0] + min(total & 1, 0)
    return -1


njit: Any = numba.njit(nogil=True)
COUNT = njit(_count)


def count(bad: int = ROWS, raising: int = ROWS, work: int = 100) -> tuple[int, list[int]]:
    """What `over_rows` returns, and how often each row was computed."""
    seen = np.zeros(ROWS, np.int64)
    return over_rows(COUNT, ROWS, seen, np.ones(1, np.int8), bad, raising, work), seen.tolist()


@pytest.mark.parametrize("number", [1, 2, 3, 7, ROWS, 100])
@pytest.mark.parametrize("pause", [0, 2 * threads.AWAKE])
def test_each_row_is_computed_once(number: int, pause: float) -> None:
    with threads.limited_to(number):
        for work in (0, 100, 20_000):
            for _ in range(20):
                assert count(work=work) == (-1, [1] * ROWS)
                time.sleep(pause)  # after which workers sleep


@pytest.mark.parametrize("number", [1, 2, 3, 7])
def test_the_first_row_without_a_result_is_returned(number: int) -> None:
    with threads.limited_to(number):
        for bad in range(ROWS):
            returned, seen = count(bad=bad)
            assert returned == bad
            assert seen[:bad] == [1] * bad


@pytest.mark.parametrize("number", [2, 3, 7])
def test_an_exception_of_any_part_is_raised_and_the_next_call_works(number: int) -> None:
    with threads.limited_to(number):
        for raising in range(ROWS):
            with pytest.raises((ValueError, RuntimeError), match=r"^no$|an exception in another thread"):
                count(raising=raising)
            assert count() == (-1, [1] * ROWS)


def test_many_callers_at_once() -> None:
    wrong = []

    def caller(number: int) -> None:
        with threads.limited_to(number):
            wrong.extend(result for _ in range(300) if (result := count(work=number * 50)) != (-1, [1] * ROWS))

    callers = [threading.Thread(target=caller, args=(number,)) for number in (1, 2, 2, 3, 3, 8, 8, 64)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert not wrong


def _in_a_child(results: Any) -> None:
    with threads.limited_to(3):
        results.put(count())


def test_a_forked_process_has_workers_of_its_own() -> None:
    with threads.limited_to(3):
        count()
    fork = multiprocessing.get_context("fork")
    results: Any = fork.SimpleQueue()
    child = fork.Process(target=_in_a_child, args=(results,))
    child.start()
    child.join(60)
    assert results.get() == (-1, [1] * ROWS)


def test_a_crew_holds_the_arguments_of_every_kernel_and_says_when_not() -> None:
    many = tuple(np.zeros(1, np.int8) for _ in range(crew.LARGEST // 56 + 1))  # seven words an array

    def _many(crew: int, start: int, stop: int, arrays: tuple[IntArray, ...]) -> int:
        return own_rows(crew, start, stop)

    with threads.limited_to(2), pytest.raises(Exception, match=f"its arguments take more than {crew.LARGEST} bytes"):
        over_rows(njit(_many), 2, many)


def test_every_kernel_that_gets_rows_shares_them() -> None:
    """A kernel without the first statement would compute all rows itself."""
    package = Path(intsim.__file__).parent
    found = 0
    for path in sorted([*(package / "kernels").glob("*.py"), *(package / "ops").glob("*.py")]):
        tree = ast.parse(path.read_text())
        kernels = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "over_rows":
                name = ast.unparse(node.args[0])
                body = [s for s in kernels[name].body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
                assert ast.unparse(body[0]) == "stop = own_rows(crew, start, stop)", f"{path}: {name}"
                found += 1
    assert found > 20


def test_without_a_compiler_one_thread_computes_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "compiles", lambda: False)
    monkeypatch.setattr(threads, "_team", None)
    x = np.arange(12, dtype=np.int8).reshape(4, 3)
    with threads.limited_to(3):
        assert ops.argmax(x).tolist() == [2] * 4
