"""`check_op`: does a function compute the same results as an operator?"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ..dialects import Dialect
from ..errors import IntsimError
from ..ops import Op
from ._hypothesis import (
    Flaky,
    HealthCheck,
    Phase,
    Unsatisfiable,
    Verbosity,
    configuration,
    given,
    reject,
    seed,
    settings,
)
from .arguments import Domain, calls
from .calls import Call
from .failures import Fault, judged, name_of
from .shrinking import shrunk

SHRINKING = 100  # calls Hypothesis tries after it has found a counterexample
Judge = Callable[[Call], Fault | None]
SEED = 8  # of the search; the same program and Hypothesis version try the same calls on every machine


def check_op(
    op: str | Op,
    function: Callable[..., Any],
    dialect: Dialect | str | None,
    *,
    tolerance: int = 0,
    examples: int = 200,
    refusals: bool = False,
    shape: tuple[int, ...] | None = None,
    columns: int | None = None,
    **fixed: Any,
) -> None:
    """Search for a call on which `function` and the operator's reference differ; raise the smallest as a Counterexample.

    `function` is called like the operator, without the dialect: ``function(x, x0=-20, n=15, b=16)``. It gets NumPy arrays in
    the types of the operator's ports, which it may modify, and returns integers of the expected shape. Every element may
    differ by up to `tolerance`. `examples` calls are tried, the same ones every time. `fixed` gives parameters a fixed value
    (``x0=-20``), or those that a device supports (``b={8, 16}``, ``x0=range(-64, 0)``; values of the first input, by its
    name, ``x=range(-128, 128)``); `shape` is the shape of the first input, `columns` only the length of its last axis. Calls
    that the reference refuses are tried only with `refusals`; `function` must then raise a ValueError, too. `dialect` is
    None for operators that use none.

    Raises IntsimError if an argument is invalid, or if the reference refuses every call tried.
    """
    __tracebackhide__ = True
    domain = Domain.of(op, dialect, shape, columns, fixed)
    if not callable(function):
        raise IntsimError(f"{domain.op.name}: {function!r} is not callable")
    for key, value, least in (("tolerance", tolerance, 0), ("examples", examples, 1)):
        if type(value) is not int or value < least:
            raise IntsimError(f"{domain.op.name}: {key}={value!r}: an integer of at least {least} is expected")
    fault = searched(domain, partial(judged, function=function, tolerance=tolerance), examples, refusals)
    if fault is not None:
        raise fault.counterexample(name_of(function))


@dataclass
class Tally:
    """How many calls a search tried, and how many it left out because the reference refuses them."""

    tried: int = 0
    refused: int = 0


class _FoundError(Exception):
    """Reports a counterexample to Hypothesis."""


class _Stop(BaseException):
    """Stops Hypothesis."""


def _is_tried(call: Call, refusals: bool) -> bool:
    """Whether the reference's outcome can be compared: a result that fits 64 bits or, with `refusals`, a refusal."""
    return call.accepted or (refusals and bool(call.refusal))


def searched(
    domain: Domain,
    judge: Judge,
    examples: int,
    refusals: bool = False,
    tally: Tally | None = None,
    number: int = SEED,
) -> Fault | None:
    """The fault that `judge` finds on the smallest of so many calls, those that follow from the seed `number`; None where it
    finds none. Counts them in `tally`.
    """
    faults: list[Fault] = []
    last = ""
    since = 0
    tally = Tally() if tally is None else tally

    @seed(number)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=number == SEED,
        phases=(Phase.generate, Phase.shrink),
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    @given(calls(domain, wild=refusals))
    def search(call: Call) -> None:
        nonlocal last, since
        since += bool(faults)
        if since > SHRINKING:
            raise _Stop
        if not _is_tried(call, refusals):
            last = call.refusal or f"{call}: its result does not fit 64 bits"
            tally.refused += 1
            reject()
        tally.tried += 1
        if (fault := judge(call)) is not None:
            faults.append(fault)
            raise _FoundError

    with _no_folder():
        try:
            search()
        except (_FoundError, _Stop, Unsatisfiable):
            pass
        except Flaky:
            return replace(faults[-1], remark="Called again with the same arguments, it returned a different result.")
    if faults:
        return _smallest(faults[-1], domain, judge, refusals)
    if not tally.tried:
        raise IntsimError(f"the reference refuses every call tried: {last}")
    return None


def _smallest(fault: Fault, domain: Domain, judge: Judge, refusals: bool) -> Fault:
    """The fault of the smallest call that has one."""

    def fails(call: Call) -> bool:
        return _is_tried(call, refusals) and judge(call) is not None

    kept = frozenset(domain.shape or () if domain.columns is None else (domain.columns,))
    unchanged = {**domain.fixed, **{key: fault.call.params[key] for key in domain.allowed}}
    smallest = shrunk(fault.call, fails, unchanged, kept)
    return judge(smallest) or fault


@contextmanager
def _no_folder() -> Iterator[None]:
    """A context in which Hypothesis keeps its files in a temporary folder."""
    previous = getattr(configuration, "__hypothesis_home_directory", None)
    with tempfile.TemporaryDirectory(prefix="intsim-") as folder:
        configuration.set_hypothesis_home_dir(folder)
        try:
            yield
        finally:
            configuration.set_hypothesis_home_dir(previous)
