"""Cases for any operator: what operators of other packages have, which bring no maker of their own.

Of many candidates those are kept that show a mistake which no case before them shows, and a few of every kind.
"""

from __future__ import annotations

from typing import Any

from ..arith import I64
from ..errors import IntsimError
from ..ops import REGISTRY
from .candidates import CANDIDATES, candidates, specimens
from .document import INVALID, Case, answer
from .drafting import CaseDraft
from .mutation import Subject, mutants

PLAIN = 24  # cases that are kept though they show no further mistake, at most
REFUSED = 6


def cases(d: CaseDraft) -> None:
    """The cases of an operator that has no maker of its own."""
    alive = {mutant.name for mutant in mutants(d.op, d.dialect)}
    plain = refused = 0
    for flags, note, args in candidates(REGISTRY[d.op], d.draws, CANDIDATES[d.level]):
        expected = answer(d.op, args, d.dialect)
        if expected == INVALID:
            refused += 1
            if refused > REFUSED:
                continue
            flags, killed = "OutOfRange", set()
        else:
            subject = Subject(d.op, d.dialect, Case(1, (), "", args, expected))
            killed = {name for name in alive if subject.kills(name)}
            plain += not killed
            if not killed and plain > PLAIN:
                continue
        alive -= killed
        d.add(flags, note, **args)
    _out_of_range(d)
    if all(case.expected == INVALID for case in d.cases):
        raise IntsimError(f"{d.op}: the reference refuses every call that was tried: {_refusal(d)}")


def _out_of_range(d: CaseDraft) -> None:
    """Parameters and a value of the first input just outside of what the operator takes, which must be refused."""
    operator = REGISTRY[d.op]
    for good in specimens(operator)[:1]:
        for key, param in operator.params.items():
            if isinstance(good[key], int):
                d.refuse(good, {key: param.fmt.lo - 1}, {key: param.fmt.hi + 1})
        first, port = next(iter(operator.inputs)), operator.port(0)
        if port is not I64 and not operator.variadic:
            d.refuse(good, {first: _with_first(good[first], port.hi + 1)}, {first: _with_first(good[first], port.lo - 1)})


def _with_first(values: Any, value: int) -> Any:
    """Nested lists with another first element."""
    return [_with_first(values[0], value), *values[1:]] if isinstance(values, list) else value


def _refusal(d: CaseDraft) -> str:
    """Why the reference refuses the first case."""
    operator, given = REGISTRY[d.op], dict(d.cases[0].args)
    first = given.pop(next(iter(operator.inputs))) if operator.variadic else []
    try:
        operator.ref(*first, **given, dialect=d.dialect)
    except ValueError as error:
        return str(error)
    return "nothing"
