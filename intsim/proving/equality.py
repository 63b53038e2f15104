"""Are two lists of elements equal for all inputs? Tried in turn, each step exact:

1. They are the same expressions: built alike, or functions of one value that agree on all of its values.
2. Sample calls tell them apart.
3. There are few calls: all are computed.
4. The solver decides.
5. The solver decides step by step: expressions that agree on all samples are proved equal one by one, from the inputs on,
   each from what is already known to be equal, which may then have any value within its bounds.

Source of the last: equivalence checking by internal equalities (Kuehlmann and Krohm, DAC 1997).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..arith import AnyArray
from ..symbols import Expression
from ..symbols.expression import CONSTANT, INPUT, in_order
from .cells import Cells
from .samples import all_calls, evaluated, samples
from .solver import UNKNOWN, Solver

TRIED, PART = 512, 1 << 16  # sample calls, calls computed at a time
FEW, MANY = 1 << 20, 1 << 24  # calls that are all computed: at once, or where the solver does not decide
FIRST = 1.0  # seconds of the solver's first attempt
# Then seconds of an intermediate equality, and of the whole with those that were found; 0: all that is left.
ROUNDS = ((1.0, 5.0), (6.0, 20.0), (60.0, 0.0))
EQUAL, DIFFERENT = "equal", "different"
ALIKE = 2  # expressions that one is compared with
PATIENCE = 6  # intermediate equalities that may stay open in a round: what depends on them would, too
HARD = ("multiply", "floor_divide")


@dataclass(frozen=True)
class Outcome:
    """`verdict`: equal, different (then `inputs` is a call that shows it) or unknown; `how` it was found."""

    verdict: str
    how: str = ""
    inputs: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0


def equality(
    cells: Cells, left: Sequence[Expression], right: Sequence[Expression], seconds: float, never: Sequence[Expression] = ()
) -> Outcome:
    """Whether elements are equal, pair by pair, for all inputs for which no assumption of `cells` is refused, and whether
    no condition of `never` holds for any of them.
    """
    return _Question(cells, left, right, seconds, never).answered()


class _Question:
    def __init__(
        self,
        cells: Cells,
        left: Sequence[Expression],
        right: Sequence[Expression],
        seconds: float,
        never: Sequence[Expression],
    ) -> None:
        self.cells, self.start, self.seconds = cells, time.monotonic(), seconds
        pairs = dict.fromkeys((a, b) for a, b in zip(left, right, strict=True) if a is not b)
        self.unequal = [*(cells.op("logical_not", cells.op("equal", a, b)) for a, b in pairs), *never]
        self.unequal = [x for x in self.unequal if x.scalar != 0]
        self.refused = [x for x in cells.assumed if x.scalar != 0]
        needed = set(in_order([*self.unequal, *self.refused]))
        self.inputs = [x for x in cells.inputs.values() if x in needed]
        self.solver: Solver | None = None
        self.open = 0  # intermediate equalities that the solver did not decide in this round

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.seconds - (time.monotonic() - self.start)

    def found(self, verdict: str, how: str, inputs: Mapping[Expression, int] | None = None) -> Outcome:
        given = {x.name: int(value) for x, value in (inputs or {}).items()}
        return Outcome(verdict, how, given, time.monotonic() - self.start)

    def answered(self) -> Outcome:
        """The answer."""
        if not self.unequal:
            return self.found(EQUAL, "the same expression")
        tried = samples(self.inputs, TRIED)
        if (shown := self.among(tried)) is not None:
            return self.found(DIFFERENT, "a sample call", shown)
        calls = 1
        for x in self.inputs:
            calls *= x.hi - x.lo + 1
        if calls <= FEW:
            return self.computed(calls)
        self.solver = Solver()
        conditions, answer = self.unequal, self.asked(self.unequal, min(FIRST, self.left))
        for step, whole in ROUNDS:
            if answer == UNKNOWN and self.left > 0:
                conditions = self.merged(conditions, tried, step)
                answer = self.asked(conditions, min(whole or self.left, self.left))
        if answer == UNKNOWN and calls <= MANY:
            return self.computed(calls)
        if isinstance(answer, str):
            return self.found(UNKNOWN, f"no answer within {self.seconds:g} s")
        return self.found(DIFFERENT, "the solver", answer) if answer is not None else self.found(EQUAL, "the solver")

    def asked(self, conditions: Sequence[Expression], seconds: float) -> Mapping[Expression, int] | str | None:
        """The solver on the question itself."""
        assert self.solver is not None
        conditions = [x for x in conditions if x.scalar != 0]
        return self.solver.satisfied(conditions, self.refused, seconds, self.inputs) if conditions else None

    def among(self, calls: Mapping[Expression, AnyArray]) -> Mapping[Expression, int] | None:
        """One of these calls that shows a difference."""
        values = evaluated([*self.unequal, *self.refused], calls)
        count = len(next(iter(calls.values()))) if calls else 1
        shown, allowed = np.zeros(count, bool), np.ones(count, bool)
        for x in self.unequal:
            shown |= values[x]
        for x in self.refused:
            allowed &= ~values[x]
        places = np.flatnonzero(shown & allowed)
        return {x: int(calls[x][places[0]]) for x in calls} if len(places) else None

    def computed(self, calls: int) -> Outcome:
        """Every call, computed."""
        for begin in range(0, calls, PART):
            shown = self.among(all_calls(self.inputs, begin, min(begin + PART, calls)))
            if shown is not None:
                return self.found(DIFFERENT, "a call", shown)
        return self.found(EQUAL, f"all {calls:,} calls computed")

    def merged(
        self, conditions: Sequence[Expression], tried: Mapping[Expression, AnyArray], seconds: float
    ) -> list[Expression]:
        """The conditions, with expressions that are proved equal in each other's place."""
        order, self.open = list(in_order(conditions)), 0
        values = evaluated(conditions, tried)
        same: dict[Expression, Expression] = {}
        known: dict[tuple[str, bytes], list[Expression]] = {}
        for node in order:
            same[node] = made = self.rebuilt(node, same)
            if node.kind in (INPUT, CONSTANT) or made.kind == CONSTANT:
                continue
            key = _signature(values[node])
            for other in known.get(key, [])[:ALIKE]:
                if other is made or self.proved(other, made, seconds):
                    same[node] = other
                    break
            else:
                known.setdefault(key, []).append(made)
        return [same[x] for x in conditions]

    def rebuilt(self, node: Expression, same: Mapping[Expression, Expression]) -> Expression:
        if node.kind in (INPUT, CONSTANT):
            return node
        args = [same[arg] for arg in node.args]
        if all(a is b for a, b in zip(args, node.args, strict=True)):
            return node
        return self.cells.op(node.kind, *args, **dict(node.attributes))

    def proved(self, a: Expression, b: Expression, seconds: float) -> bool:
        """Whether two expressions are equal whatever the values of what both depend on: first of the nearest, then of what
        is hard to compute, then of the inputs.
        """
        assert self.solver is not None
        differs = self.cells.op("logical_not", self.cells.op("equal", a, b))
        if differs.scalar is not None:
            return differs.scalar == 0
        if self.left < seconds or self.open > PATIENCE:
            return False
        both = set(in_order([a])) & set(in_order([b]))
        cuts = [both, {x for x in both if x.kind in HARD}, set()]
        for cut in dict.fromkeys(frozenset(c) for c in cuts):
            answer = self.solver.satisfied([differs], [], min(seconds, self.left), free=cut)
            if answer is None:
                return True
            if answer == UNKNOWN and cut != frozenset(both):
                break
        self.open += answer == UNKNOWN
        return False


def _signature(values: AnyArray) -> tuple[str, bytes]:
    """What is the same for expressions that agree on all samples."""
    if values.dtype == object:
        return "O", repr(values.tolist()).encode()
    return values.dtype.kind, np.ascontiguousarray(values).tobytes()
