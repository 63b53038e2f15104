"""Within which bounds two choices are the same: the interval of one input, or the magnitude of several, up to the first
call on which they differ.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arith import I64
from ..errors import IntsimError
from ..symbols import Expression, NotTraceable
from .cells import Elements
from .equality import DIFFERENT, EQUAL, Outcome, equality
from .question import Question
from .samples import evaluated
from .solver import UNKNOWN
from .traces import Traces

if TYPE_CHECKING:
    from .choices import Side

GROWTH = (1 << 10, 1 << 14, 1 << 18, 1 << 22)  # values computed around the middle before the solver is asked
Call = Mapping[str, int]
Interval = tuple[int, int]


def both(traces: Traces, a: Side, b: Side) -> tuple[Elements, Elements]:
    """The elements of both results. IntsimError where one cannot be traced or is refused."""
    found = []
    for side in (a, b):
        try:
            found.append(traces.reference(side.alter))
        except NotTraceable as error:
            raise IntsimError(f"{side.name}: {error}; it cannot be traced, and 'intsim vectors' tests it") from None
        except (ValueError, KeyError) as error:
            raise IntsimError(f"{side.name}: the operator refuses every such call: {error}") from None
    if found[0].shape != found[1].shape:
        raise IntsimError(f"{b.name}: the result is {list(found[1].shape)}, with {a.name} {list(found[0].shape)}")
    return found[0], found[1]


def outcome_of(traces: Traces, a: Side, b: Side, seconds: float) -> Outcome:
    left, right = both(traces, a, b)
    return equality(traces.cells, list(left.flat), list(right.flat), seconds)


def results(traces: Traces, a: Side, b: Side, call: Call) -> tuple[int | None, int | None]:
    """The results of both at the first element where they differ."""
    left, right = both(traces, a, b)
    inputs = {}
    for x in traces.cells.inputs.values():
        value = call.get(x.name, min(max(0, x.lo), x.hi))
        inputs[x] = np.array([value], np.int64 if I64.holds(x.lo, x.hi) else object)
    found = evaluated([*left.flat, *right.flat], inputs)
    for x, y in zip(left.flat, right.flat, strict=True):
        if int(found[x][0]) != int(found[y][0]):
            return int(found[x][0]), int(found[y][0])
    return None, None


def bounds_of(
    question: Question, row: int, a: Side, b: Side, call: Call, seconds: float
) -> tuple[Call, Interval | None] | None:
    """The call nearest to 0 on which both differ, and the interval before it, of one input that is element by element; the
    largest magnitude of all inputs within which they are the same elsewhere. None where the time is not enough.
    """
    start = time.monotonic()
    traces = question.traces(row)
    inputs = list(traces.cells.inputs.values())
    single = inputs[0] if len(inputs) == 1 else None
    if single is not None:
        name = next(iter(traces.shapes))
        return _interval(question, row, a, b, name, call.get(single.name, 0), seconds)
    arrays = [name for name in traces.names if traces.ranges[name][0] <= 0 <= traces.ranges[name][1]]
    most = max(max(abs(end) for end in traces.ranges[name]) for name in arrays) if arrays else 0
    least, found = -1, dict(call)
    if not arrays:
        return None
    while most - least > 1:  # the same within `least`, different within `most`
        middle = (least + most) // 2
        outcome = _limited(
            question, row, a, b, dict.fromkeys(arrays, (-middle, middle)), seconds - (time.monotonic() - start)
        )
        if outcome.verdict == UNKNOWN:
            return None
        if outcome.verdict == EQUAL:
            least = middle
        else:
            found = dict(outcome.inputs)
            reached = max((abs(value) for key, value in found.items() if key.partition("[")[0] in arrays), default=middle)
            most = min(middle, reached)
    return found, (-least, least) if least >= 0 else None


def _limited(question: Question, row: int, a: Side, b: Side, limits: Mapping[str, Interval], seconds: float) -> Outcome:
    """The outcome within narrower ranges."""
    narrower = {
        name: (max(lo, limits[name][0]), min(hi, limits[name][1])) if name in limits else (lo, hi)
        for name, (lo, hi) in question.ranges.items()
    }
    asked = Question(question.op, question.dialect, {**narrower, **question.fixed}, question.lengths)
    return outcome_of(asked.traces(row), a, b, seconds)


def _interval(
    question: Question, row: int, a: Side, b: Side, name: str, shown: int, seconds: float
) -> tuple[Call, Interval | None] | None:
    """The largest interval around the value nearest to 0 in which both are the same, and the nearest value outside."""
    start = time.monotonic()
    lo, hi = question.ranges[name]
    middle = min(max(0, lo), hi)
    traces = question.traces(row)
    left, right = both(traces, a, b)
    (x,) = traces.cells.inputs.values()
    wrong = [
        traces.cells.op("logical_not", traces.cells.op("equal", p, q)) for p, q in zip(left.flat, right.flat, strict=True)
    ]
    ends = []
    for sign, end in ((1, hi), (-1, lo)):
        place = _first(wrong, x, middle, end, sign)
        if place is None and (end - middle) * sign > GROWTH[-1]:
            place = _bisected(question, row, a, b, name, (middle, end, sign), shown, seconds - (time.monotonic() - start))
            if place == UNKNOWN:
                return None
        ends.append(place)
    above, below = ends
    nearest = min((place for place in ends if isinstance(place, int)), key=lambda place: abs(place - middle))
    call = {x.name: nearest}
    if nearest == middle:
        return call, None
    return call, (lo if below is None else int(below) + 1, hi if above is None else int(above) - 1)


def _first(wrong: list[Expression], x: Expression, middle: int, end: int, sign: int) -> int | None:
    """The nearest value on one side on which a condition holds, of those that are computed."""
    before = 0 if sign > 0 else 1
    for count in GROWTH:
        last = min(count, (end - middle) * sign)
        if last < before:
            break
        values = middle + sign * np.arange(before, last + 1, dtype=np.int64)
        found = evaluated(wrong, {x: values})
        differs = np.zeros(len(values), bool)
        for condition in wrong:
            differs |= found[condition]
        if differs.any():
            return int(values[int(np.argmax(differs))])
        before = last + 1
    return None


def _bisected(
    question: Question, row: int, a: Side, b: Side, name: str, side: tuple[int, int, int], shown: int, seconds: float
) -> Any:
    """The nearest value on one side on which both differ, by the solver; None where there is none."""
    start = time.monotonic()
    middle, end, sign = side
    least, most = GROWTH[-1], (end - middle) * sign + 1
    known = (shown - middle) * sign
    most = min(most, known) if known > 0 else most
    differs = known > 0
    while most - least > 1 or not differs:
        half = (least + most) // 2 if differs else (end - middle) * sign
        near, far = middle + sign * least, middle + sign * half
        outcome = _limited(
            question, row, a, b, {name: (min(near, far), max(near, far))}, seconds - (time.monotonic() - start)
        )
        if outcome.verdict == UNKNOWN:
            return UNKNOWN
        if outcome.verdict == DIFFERENT:
            most, differs = (next(iter(outcome.inputs.values())) - middle) * sign, True
        elif differs:
            least = half
        else:
            return None
    return middle + sign * most
