"""`check_operator`: is an operator of one's own what it says: its faces, its bounds, its vectors?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from ..arith import I64, IntArray, TensorBound
from ..dialects import DIALECTS, Dialect, resolve
from ..engine.graph import Node
from ..errors import IntsimError
from ..ops import REGISTRY, Op
from ..rules import Rule, choice_rules
from ..symbols import NotTraceable, evaluate
from ..symbols.trace import traced
from ..vectors import generate, score
from ..vectors.candidates import specimens
from ..vectors.mutation import LoneOperator
from .arguments import Domain
from .calls import Call, unknown_operator
from .checking import Tally, searched
from .failures import Fault, judged

ROW = 3  # elements of the longest row for which a mutant is proved to be the same
SECONDS = 5.0  # for each proof


@dataclass(frozen=True)
class CheckedDialect:
    """What was found for one dialect (None: the operator uses none).

    `calls` were tried on each face, and the reference `refused` others on the way; where the equation is not `traced`, it
    could not be compared on symbols. `cases` are the vectors that were made; of the mutants, `killed` are shown by a vector,
    `same` are proved equal to the operator for rows of up to three elements, `open` are neither.
    """

    dialect: str | None
    calls: int
    traced: bool
    cases: int
    killed: int
    same: tuple[str, ...]
    open: tuple[str, ...]
    refused: int = 0

    def __str__(self) -> str:
        where = f" in {self.dialect}" if self.dialect else ""
        mutants = self.killed + len(self.same) + len(self.open)
        refused = f" ({self.refused} more refused)" if self.refused else ""
        text = f"{self.calls} calls{where}{refused}, {self.cases} vectors; of {mutants} mutants {self.killed} shown"
        text += f", {len(self.same)} proved the same" if self.same else ""
        text += "" if self.traced else "; the equation cannot be traced, so that it has no ONNX, no C and no proofs"
        return text + (f", open: {', '.join(self.open)}" if self.open else "")


@dataclass(frozen=True)
class CheckedOperator:
    """The outcome of `check_operator`, dialect by dialect."""

    op: str
    dialects: tuple[CheckedDialect, ...]

    @property
    def open(self) -> tuple[str, ...]:
        """The mutants that no vector shows and that are not proved the same."""
        return tuple(dict.fromkeys(name for found in self.dialects for name in found.open))

    def __str__(self) -> str:
        return "\n".join(f"{self.op}: {found}" for found in self.dialects)


def check_operator(
    op: str | Op,
    dialects: Sequence[Dialect | str] | Dialect | str | None = None,
    *,
    examples: int = 100,
    vectors: bool = True,
    shape: tuple[int, ...] | None = None,
    **fixed: Any,
) -> CheckedOperator:
    """Check an operator against itself, and raise the smallest call that shows a fault as a Counterexample.

    On `examples` calls in each of the `dialects` (None: the built-in ones where it has choices) it must hold that

    - the fast implementation gives what the reference gives,
    - every element lies within the bounds that the operator infers, for any input of its formats and for inputs within the
      call's own smallest and largest value, in the shape and the format that it says,
    - the equation run on symbols, from which C, ONNX and proofs are made, gives every step of the reference.

    Then, with `vectors`, cases are made for it, and its mutants must be shown by one of them: every other choice, every
    parameter one too high or too low, every operation of the equation done in another way. Those that are not shown are
    proved the same where Bitwuzla is installed (``intsim[prove]``); what is neither is reported as open, not raised.

    `shape` and `fixed` restrict the calls, as in `check_op`. Raises IntsimError where an argument is invalid or the
    reference refuses every call.
    """
    __tracebackhide__ = True
    name = op.name if isinstance(op, Op) else op
    if name not in REGISTRY:
        raise unknown_operator(name, sorted(REGISTRY))
    operator = REGISTRY[name]
    if type(examples) is not int or examples < 1:
        raise IntsimError(f"{name}: examples={examples!r}: an integer of at least 1 is expected")
    chosen: list[Dialect | None] = [None]
    if operator.choices:
        asked = list(DIALECTS) if dialects is None else [dialects] if isinstance(dialects, str | Dialect) else list(dialects)
        if not asked:
            raise IntsimError(f"{name}: dialects={dialects!r} names none")
        chosen = [resolve(dialect) for dialect in asked]
    return CheckedOperator(name, tuple(_checked(operator, rules, examples, vectors, shape, fixed) for rules in chosen))


def _checked(
    op: Op, dialect: Dialect | None, examples: int, vectors: bool, shape: tuple[int, ...] | None, fixed: dict[str, Any]
) -> CheckedDialect:
    __tracebackhide__ = True
    domain = Domain.of(op, dialect, shape, None, fixed)
    argument = {} if dialect is None else {"dialect": dialect}
    traceable = [True]

    def fast(call: Call) -> Fault | None:
        return judged(call, lambda *x, **p: op(*x, **p, **argument), 0)

    def expressions(call: Call) -> Fault | None:
        try:
            return _traced_wrong(op, call)
        except NotTraceable:
            traceable[0] = False
            return None

    claims = {
        "the fast implementation is not the reference": fast,
        "the bounds are not those": _out_of_bounds,
        "the equation run on symbols is not the reference": expressions,
    }
    for given in (None, 0.5):  # a scale is a real number, one per channel, or not known
        op.scale([given] * len(op.inputs), Node("out", op.name, tuple(op.inputs), _some_params(op, domain)))
    for claim, judge in claims.items():
        tally = Tally()
        fault = searched(domain, judge, examples, tally=tally)
        if fault is not None:
            raise fault.counterexample(claim, "of")
    name = dialect.name if dialect else None
    if not vectors:
        return CheckedDialect(name, tally.tried, traceable[0], 0, 0, (), (), tally.refused)
    rules = dialect or DIALECTS["isegmenter"]
    made = score(document := generate(op.name, rules, 1, 1))
    survived = [mutant.name for mutant in made.survived]
    same = tuple(_proved(op, rules, survived)) if find_spec("bitwuzla") is not None else ()
    left = tuple(mutant for mutant in survived if mutant not in same)
    cases, killed = len(document.cases), len(made.killed)
    return CheckedDialect(name, tally.tried, traceable[0], cases, killed, same, left, tally.refused)


def _some_params(op: Op, domain: Domain) -> dict[str, Any]:
    """Parameters of a call, for a node outside a graph."""
    small = {key: min(max(1, param.fmt.lo), param.fmt.hi) for key, param in op.params.items()}
    return {**small, **domain.fixed}


def _out_of_bounds(call: Call) -> Fault | None:
    """Where a result is not what the operator infers of it: shape, format, bounds."""
    op, out = call.operator, call.expected
    for bounds, given in _bounds(call):
        try:
            found = op.output(bounds, dict(call.params), call.dialect)
        except ValueError as error:
            return Fault(call, f"the reference computes it, and infer refuses it for inputs {given}: {error}")
        if tuple(found.shape) != out.shape:
            return Fault(call, f"its shape is {list(out.shape)}, inferred {list(found.shape)}", out)
        for lo, hi, what in ((found.lo, found.hi, "bounds"), (found.fmt.lo, found.fmt.hi, f"format {found.fmt}")):
            outside = (out < lo) | (out > hi)
            if outside.any():
                index = tuple(int(i) for i in np.argwhere(outside)[0])
                place = f"out[{', '.join(map(str, index))}]"
                return Fault(
                    call,
                    f"{place} is {int(out[index])}, outside the {what} [{lo}, {hi}] inferred for inputs {given}",
                    out,
                    index,
                )
    return None


def _bounds(call: Call) -> Iterator[tuple[list[TensorBound], str]]:
    """What may be known of the inputs: their formats, and the smallest and largest value of this call."""
    ports = [call.operator.port(i) for i in range(len(call.inputs))]
    formats = [I64 if port is I64 else port for port in ports]
    if not any(port is I64 for port in ports):
        yield [TensorBound.full(x.shape, fmt) for x, fmt in zip(call.inputs, formats, strict=True)], "of their formats"
    own = [TensorBound(x.shape, fmt, int(x.min()), int(x.max())) for x, fmt in zip(call.inputs, formats, strict=True)]
    yield own, "within [" + "], [".join(f"{bound.lo}, {bound.hi}" for bound in own) + "]"


def _traced_wrong(op: Op, call: Call) -> Fault | None:
    """Where the equation run on symbols gives another step than the reference."""
    bounds = [TensorBound(x.shape, I64, int(x.min()), int(x.max())) for x in call.inputs]
    try:
        found = traced(op, bounds, call.params, call.dialect)
        values = evaluate(found.steps.values(), dict(zip(found.inputs, call.inputs, strict=True)))
    except ValueError as error:
        return Fault(call, f"the reference computes it, and the equation run on symbols raises {error}")
    reference = op.intermediates(call.inputs, dict(call.params), call.dialect)
    for (name, due), value in zip(reference.items(), values, strict=True):
        wide: IntArray = np.asarray(due)
        if wide.shape != value.shape or not (wide == value).all():
            return Fault(call, f"step {name!r} differs: the reference has {wide.tolist()}, the trace {value.tolist()}")
    return None


def _proved(op: Op, dialect: Dialect, names: Sequence[str]) -> Iterator[str]:
    """The mutants that are proved to be the operator itself, with the parameters of every specimen."""
    from ..proving.choices import Side, compared
    from ..proving.equality import EQUAL
    from ..proving.question import Question

    found = list(specimens(op))
    for name in names:
        equal = bool(found)
        for args in found:
            rules: dict[str, Rule] = {rule.name: rule for rule in choice_rules(op.name, dialect)}
            rules |= {rule.name: rule for rule in LoneOperator(op.name, args, dialect).rules()}
            if name not in rules:
                continue
            plain = {key: value for key, value in args.items() if key in op.params and isinstance(value, int)}
            try:
                question = Question(op.name, dialect, plain)
                case = compared(
                    question, Side("itself", lambda c: c), Side(name, rules[name].alter), ROW, SECONDS, bounds=False
                )
            except (IntsimError, NotTraceable, ValueError):
                equal = False
                break
            equal = equal and case.verdict == EQUAL
            if not equal:
                break
        if equal:
            yield name
