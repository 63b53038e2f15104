"""`check_op`: does a function do what an operator does?"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from .failures import Counterexample, Fault, judged
from .shrinking import shrunk

SHRINKING = 100  # calls Hypothesis tries once it has found a counterexample
SEED = 8  # of the search; one program and one version of Hypothesis try the same calls everywhere


def check_op(
    op: str | Op,
    function: Callable,
    dialect: Dialect | str | None,
    *,
    tolerance: int = 0,
    examples: int = 200,
    refusals: bool = False,
    shape: tuple[int, ...] | None = None,
    columns: int | None = None,
    **fixed: Any,
) -> None:
    """Search a call at which `function` and the operator's reference differ; the smallest one is raised as a Counterexample.

    `function` is called like the operator, without the dialect: ``function(x, x0=-20, n=15, b=16)``, with NumPy arrays in
    the types of the operator's ports, which it may alter, and returns integers of the right shape. An element may be off by
    `tolerance`. `examples` calls are tried, the same ones every time. Parameters in `fixed` are held (``x0=-20``), `shape`
    is that of the first input, `columns` its last axis alone. Calls the reference refuses are tried only with `refusals`:
    then `function` must raise a ValueError, too. `dialect` is None for operators that speak none.

    Raises IntsimError where these words make no sense, or leave no call to try.
    """
    __tracebackhide__ = True
    domain = Domain.of(op, dialect, shape, columns, fixed)
    if not callable(function):
        raise IntsimError(f"{domain.op.name}: {function!r} is no function to be checked")
    for key, value, least in (("tolerance", tolerance, 0), ("examples", examples, 1)):
        if type(value) is not int or value < least:
            raise IntsimError(f"{domain.op.name}: {key}={value!r}: a whole number from {least} is due")
    failure = _searched(domain, function, tolerance, examples, refusals)
    if failure is not None:
        raise failure


class _FoundError(Exception):
    """Tells Hypothesis that a call is a counterexample."""


class _Enough(BaseException):
    """Tells Hypothesis to stop."""


def _searched(domain: Domain, function: Callable, tolerance: int, examples: int, refusals: bool) -> Counterexample | None:
    faults: list[Fault] = []
    refused: list[str] = []
    tried = since = 0

    @seed(SEED)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=True,
        phases=(Phase.generate, Phase.shrink),
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    @given(calls(domain, wild=refusals))
    def search(call: Call) -> None:
        nonlocal tried, since
        since += bool(faults)
        if since > SHRINKING:
            raise _Enough
        if not call.accepted and not (refusals and call.refusal):
            refused.append(call.refusal or f"{call}: 64 bits do not hold what it gives")
            reject()
        tried += 1
        if (fault := judged(call, function, tolerance)) is not None:
            faults.append(fault)
            raise _FoundError

    with _no_folder():
        try:
            search()
        except (_FoundError, _Enough, Unsatisfiable):
            pass
        except Flaky:
            return faults[-1].counterexample(function, "Called again with the same arguments, it gave something else.")
    if faults:
        return _smallest(faults[-1], domain, function, tolerance, refusals).counterexample(function)
    if not tried:
        raise IntsimError(f"the reference refuses every call that was tried: {refused[-1]}")
    return None


def _smallest(fault: Fault, domain: Domain, function: Callable, tolerance: int, refusals: bool) -> Fault:
    """The fault at the smallest call that has one."""

    def fails(call: Call) -> bool:
        tried = call.accepted or (refusals and bool(call.refusal))
        return tried and judged(call, function, tolerance) is not None

    kept = frozenset(domain.shape or () if domain.columns is None else (domain.columns,))
    smallest = shrunk(fault.call, fails, domain.fixed, kept)
    return judged(smallest, function, tolerance) or fault


@contextmanager
def _no_folder() -> Iterator[None]:
    """Within: what Hypothesis keeps on disk, it keeps in a folder that vanishes."""
    before = getattr(configuration, "__hypothesis_home_directory", None)
    with tempfile.TemporaryDirectory(prefix="intsim-") as folder:
        configuration.set_hypothesis_home_dir(folder)
        try:
            yield
        finally:
            configuration.set_hypothesis_home_dir(before)
