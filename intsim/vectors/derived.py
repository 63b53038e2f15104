"""Cases for any operator: what operators of other packages have, which bring no maker of their own.

Of many candidates those are kept that show a mistake which no case before them shows, and a few of every kind.
"""

from __future__ import annotations

from ..ops import REGISTRY
from .candidates import CANDIDATES, candidates
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
