"""`prove_op`: a function computes the same results as an operator for all inputs, or a call on which it does not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arith import I64
from ..dialects import Dialect
from ..errors import IntsimError
from ..ops import REGISTRY, Op
from ..proving.arrays import traced
from ..proving.cells import Elements
from ..proving.elementwise import is_elementwise
from ..proving.equality import DIFFERENT, EQUAL, equality
from ..proving.question import Question
from ..proving.traces import PRIMITIVES, Traces
from ..symbols import Expression, NotTraceable
from .refuting import refute

ROW = 4  # elements of the longest row, unless an operator is element by element
LONGEST = 64
SECONDS = 60.0
SPLIT = 64  # values of a plain parameter that are taken one by one where a function decides by it


class Undecided(IntsimError):
    """Neither proved nor refuted within the time limit; the text says what was proved until then."""


@dataclass(frozen=True)
class Proof:
    """What was proved: `function` is `op` in `dialect` for `scope`, in words; `how`, for every length of a row; `seconds`.

    `remark` says where the function may differ outside of what was proved: on arrays of narrower types.
    """

    function: str
    op: str
    dialect: str | None
    scope: str
    how: tuple[str, ...]
    seconds: float
    remark: str = ""

    def __str__(self) -> str:
        dialect = f" in dialect {self.dialect}" if self.dialect else ""
        text = f"proved: {self.function} is {self.op}{dialect} for {self.scope} ({'; '.join(dict.fromkeys(self.how))})"
        return f"{text}; {self.remark}" if self.remark else text


def prove_op(
    op: str | Op,
    function: Callable[..., Any],
    dialect: Dialect | str | None = None,
    *,
    ranges: Mapping[str, Any] | None = None,
    row: int | None = None,
    lengths: Mapping[str, int] | None = None,
    seconds: float = SECONDS,
    ports: bool = False,
) -> Proof:
    """Prove that `function` and the operator's reference agree for all inputs; raise a Counterexample where they do not.

    `op` is an operator, or ``round_shift``, ``saturate`` or ``divide`` of `intsim.arith`. `function` is called like the
    operator, without the dialect: with arrays that have no values, of int64 as the reference computes (with `ports` in the
    types of the operator's ports, as `check_op` passes them), and plain parameters as Python integers. It may use NumPy and
    Python's operators, but not decide by values of arrays; results wrap in their type, as in NumPy.

    `ranges` gives inputs and parameters by name, as ``(lowest, highest)``, a range, one integer, or an array for a parameter
    of every channel; by default all that the operator takes. An operator that is element by element, as the function must
    then be, is proved as a whole, any other for rows of 1 to `row` elements (by default 4). `lengths` sets other axes, by
    the names that docs/proofs.md lists. Calls that the reference refuses, or of which 64 bits do not hold the result, are
    not part of the claim.

    Returns the Proof. Raises Counterexample with the smallest call found on which they differ, as `check_op` does; Undecided
    where `seconds` are not enough; IntsimError for invalid arguments, for a function that cannot be traced, and without the
    extra ``prove``.
    """
    __tracebackhide__ = True
    question = Question(op.name if isinstance(op, Op) else op, dialect, ranges or {}, lengths)
    if not callable(function):
        raise IntsimError(f"{question.op}: {function!r} is not callable")
    if row is not None and (type(row) is not int or not 1 <= row <= LONGEST):
        raise IntsimError(f"{question.op}: row={row!r}: an integer from 1 to {LONGEST} is expected")
    if not seconds > 0:
        raise IntsimError(f"{question.op}: seconds={seconds!r}: a number above 0 is expected")
    return _Prover(question, function, seconds, ports).proof(row)


class _Prover:
    def __init__(self, question: Question, function: Callable[..., Any], seconds: float, ports: bool) -> None:
        self.question, self.function, self.seconds, self.ports = question, function, seconds, ports
        self.name = getattr(function, "__qualname__", None) or getattr(function, "name", None) or repr(function)
        self.start = time.monotonic()

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.start

    def proof(self, longest: int | None) -> Proof:
        """The proof for rows up to a length."""
        __tracebackhide__ = True
        question = self.question
        whole = longest is None and question.whole()
        rows = question.rows(1 if whole else longest or ROW)
        how: list[str] = []
        elementwise = whole and question.op in REGISTRY
        for row in rows:
            for values in self.cases(row):
                how.append(self.answered(row, values, rows))
                elementwise = elementwise and self.is_elementwise(values)
        dialect = question.dialect.name if question.dialect else None
        scope = question.scope(rows, elementwise)
        return Proof(self.name, question.op, dialect, scope, tuple(how), self.spent, self.remark(rows[0]))

    def cases(self, row: int) -> Iterator[dict[str, int]]:
        """No value for plain parameters, or every value of those by which the function decides."""
        waiting: list[dict[str, int]] = [{}]
        while waiting:
            values = waiting.pop(0)
            traces = self.question.traces(row, values)
            try:
                self.returned(traces)
            except NotTraceable as error:
                sizes = {
                    name: hi - lo
                    for name, (lo, hi) in traces.ranges.items()
                    if name not in traces.shapes and 0 < hi - lo < SPLIT
                }
                if "of a parameter" not in str(error) or not sizes:
                    raise IntsimError(f"{self.name}: {error}") from None
                name = min(sizes, key=lambda key: sizes[key])
                lo, hi = traces.ranges[name]
                waiting = [{**values, name: value} for value in range(lo, hi + 1)] + waiting
                continue
            yield values

    def returned(
        self, traces: Traces, shape: tuple[int, ...] | None = None, ports: bool | None = None
    ) -> tuple[Elements | str, list[Expression]]:
        """The elements of what the function returns, or what is wrong with it; the conditions with which it raises."""
        arrays, params, raises = traces.arrays(self.types(traces, self.ports if ports is None else ports))
        if self.question.op in PRIMITIVES:  # all by position
            arrays, params = [*arrays, *params.values()], {}
        try:
            return traced(self.function, traces.cells, arrays, params, shape), raises
        except NotTraceable:
            raise
        except Exception as error:
            said = f"{self.name} raised {type(error).__name__} while it was traced: {error}"
            raise IntsimError(f"{said}; it cannot be traced, and check_op can test it") from error

    def types(self, traces: Traces, ports: bool) -> dict[str, np.dtype[Any]]:
        """The types of the arrays."""
        types = {name: np.dtype(np.int64) for name in traces.shapes}
        if ports and self.question.op in REGISTRY:
            operator = REGISTRY[self.question.op]
            formats = {name: operator.port(i) for i, name in enumerate(traces.names)}
            formats |= {name: param.fmt for name, param in operator.params.items() if name in traces.shapes}
            types |= {name: fmt.dtype for name, fmt in formats.items() if fmt is not I64}
        return types

    def reference(self, traces: Traces) -> Elements:
        """The elements of the reference's result; those that 64 bits do not hold are assumed not to be."""
        try:
            due = traces.reference()
        except NotTraceable as error:
            raise IntsimError(f"{self.question.op}: its equation cannot be traced for these ranges: {error}") from None
        except ValueError as error:
            raise IntsimError(f"{self.question.op}: the reference refuses every call in these ranges: {error}") from None
        cells = traces.cells
        for x in due.flat:
            for refused in ((x, cells.constant(I64.lo)), (cells.constant(I64.hi), x)):
                cells.assumed.append(cells.op("less", *refused))
        return due

    def answered(self, row: int, values: Mapping[str, int], rows: list[int]) -> str:
        """How it was proved for rows of one length. Raises Counterexample or Undecided where it was not."""
        __tracebackhide__ = True
        question, traces = self.question, self.question.traces(row, values)
        due = self.reference(traces)
        got, raises = self.returned(traces, due.shape)
        if isinstance(got, str):
            refute(question, traces, self.function, self.name, {}, self.ports)
            raise IntsimError(f"{self.name}: {got}")
        outcome = equality(traces.cells, list(due.flat), list(got.flat), self.seconds - self.spent, raises)
        if outcome.verdict == EQUAL:
            return outcome.how
        why = f"no answer within {self.seconds:g} s"
        if outcome.verdict == DIFFERENT:
            refute(question, traces, self.function, self.name, outcome.inputs, self.ports)
            why = "traced and called they differ, so that nothing is claimed"
        before = [length for length in rows if length < row]
        proved = f"; proved before: {question.scope(before)}" if before else ""
        raise Undecided(f"unknown: whether {self.name} is {question.op} was not decided for rows of {row}: {why}{proved}")

    def is_elementwise(self, values: Mapping[str, int]) -> bool:
        """Whether the function is element by element."""
        two = self.question.traces(2, values)
        try:
            got, _ = self.returned(two, tuple(two.reference().shape))
        except (IntsimError, NotTraceable):
            return False
        return not isinstance(got, str) and is_elementwise(two, got)

    def remark(self, row: int) -> str:
        """What arrays in the types of the ports, as `check_op` passes them, may change."""
        if self.ports or self.question.op in PRIMITIVES or self.question.moves:
            return ""
        traces = self.question.traces(row)
        try:
            (wide, _), (narrow, raises) = self.returned(traces), self.returned(traces, ports=True)
        except (IntsimError, NotTraceable):
            return ""
        if isinstance(wide, str) or isinstance(narrow, str) or wide.shape != narrow.shape:
            return ""
        if not raises and all(a is b for a, b in zip(wide.flat, narrow.flat, strict=True)):
            return ""
        types = self.types(traces, ports=True)
        named = ", ".join(f"{name} {types[name]}" for name in traces.names)
        return f"with arrays of the ports' types ({named}) it may compute something else: prove that with ports=True"
