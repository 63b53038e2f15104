"""The smallest call that shows an error: cut from what the device recorded or, where a rule tells what it does, computed.

Every cut is verified. Of what was recorded one is kept where the reference on the cut inputs gives the cut of its own
result, and the device's values differ there; where a rule is known, it must give these values, too. Beyond that a rule
must err.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..arith import Format, IntArray, first_index
from ..rules import Rule
from ..testing.calls import Call
from ..testing.shrinking import shrunk
from .axes import Axes, Places
from .case import RECORDED, RULE, SHORT, Reproduction
from .device import RuledDevice

FEW = 4096  # elements of a call up to which places are left out one by one
BUDGET = 400  # calls tried so
EVERY_START = 4  # lengths up to which a run may begin anywhere


@dataclass(frozen=True)
class Observation:
    """What was seen of a node: its call, the device's values in the format `fmt`, and the rules that give all of them.

    `formats` are those of the inputs; `own`: the values are the device's own, and not computed by the rules. `why` and
    `notes` are sentences.
    """

    call: Call
    found: IntArray
    fmt: Format
    formats: tuple[Format, ...]
    node: str
    rules: tuple[Rule, ...] = ()
    own: bool = True
    why: str = ""
    notes: tuple[str, ...] = ()


def smallest(seen: Observation) -> Reproduction:
    """The smallest call found that shows what was observed."""
    made = Reproduction(
        seen.call, seen.found, seen.fmt, seen.node, seen.why, RECORDED if seen.own else RULE, notes=seen.notes
    )
    try:
        search = _Search(seen, Axes.of(seen.call))
    except ValueError:  # no form serves the call: it stays as it is
        return made
    places = search.recorded()
    if places is not None:
        part = search.axes.cut(places)
        found = search.found(places)
        made = replace(made, call=part, found=found, place=search.place(places))
    if search.device is None:
        return replace(made, notes=(*made.notes, *_unconfirmed(seen, made, search.longest(places or {}), False)))
    if places is not None and search.longest(places) <= SHORT:
        return made
    fewer = search.ruled()
    if fewer is None or (places is not None and search.longest(fewer) >= search.longest(places)):
        return replace(made, notes=(*made.notes, *_unconfirmed(seen, made, search.longest(places or {}), fewer is not None)))
    made = search.by_rule(fewer)
    return replace(made, notes=(*made.notes, *_seen(seen), *_long(search.longest(fewer))))


def _seen(seen: Observation) -> Iterator[str]:
    """The first wrong element that the device recorded."""
    if seen.own:
        index = tuple(first_index(seen.found != seen.call.expected))
        expected, found = int(seen.call.expected[index]), int(seen.found[index])
        where = f"element {[int(i) for i in index]} of {list(seen.found.shape)}"
        yield f"In what it recorded, {where} is the first wrong one: expected {expected:,}, found {found:,}."


def _long(longest: int) -> Iterator[str]:
    if longest > SHORT:
        yield f"It has an axis of {longest}: no shorter one was found on which the fault shows."


def _unconfirmed(seen: Observation, made: Reproduction, longest: int, confirmed: bool) -> Iterator[str]:
    """What is not known where no rule gives the device's values on a smaller call."""
    if confirmed:
        yield from _long(longest)
        return
    if made.call.inputs[0].size < seen.call.inputs[0].size:
        yield (
            "No rule is known that gives these values on this call alone: they were cut from those of the whole tensor, and "
            "a device whose error depends on the place, or on what it computed before, may be right here."
        )
    if longest > SHORT:
        yield f"It has an axis of {longest}: the elements of the result depend on all elements along it."


class _Search:
    """Cuts of one observation."""

    def __init__(self, seen: Observation, axes: Axes) -> None:
        self.seen, self.axes = seen, axes
        self.device = RuledDevice(seen.rules, axes, seen.formats, seen.fmt) if seen.rules else None
        self.expected = seen.call.expected
        self.first = axes.places_of(int(np.argmax((self.expected != seen.found).ravel())))

    def found(self, places: Places) -> IntArray:
        """The device's values of a cut, in the shape of its result."""
        values = self.axes.of_result(self.seen.found, places)
        return np.ascontiguousarray(values.reshape(self.axes.cut(places).expected.shape))

    def place(self, places: Places) -> str:
        """Which element of the whole tensor the first wrong one of a cut is."""
        shape = self.expected.shape
        flat = self.axes.of_result(np.arange(self.expected.size, dtype=np.int64).reshape(shape), places).ravel()
        wrong = self.axes.of_result(self.seen.found != self.expected, places).ravel()
        index = np.unravel_index(int(flat[int(np.argmax(wrong))]), shape)
        return f"element {[int(i) for i in index]} of {list(shape)}"

    # --- what was recorded ----------------------------------------------------------------------------------------------

    def is_recorded(self, places: Places) -> bool:
        """Whether a cut of what was recorded is a call of its own that shows the error."""
        part = self.axes.cut(places)
        if not part.accepted:
            return False
        due, found = self.axes.of_result(self.expected, places), self.axes.of_result(self.seen.found, places)
        if (
            due.size != part.expected.size
            or not np.array_equal(due.ravel(), part.expected.ravel())
            or np.array_equal(due, found)
        ):
            return False
        if self.device is None:
            return True
        theirs = self.device.result(part, places)
        return theirs is not None and np.array_equal(theirs.ravel(), found.ravel())

    def recorded(self) -> Places | None:
        """The smallest cut of what was recorded; None where not even the whole is a call that rules confirm."""
        places = self._lowered({}, self.is_recorded, self.axes.of_the_result)
        return places if places or self.is_recorded({}) else None

    def _lowered(self, places: Places, holds: Callable[[Places], bool], names: list[str]) -> Places:
        """Fewer places along one axis after the other, the fewest first."""
        for name in names:
            for run in self._runs(name, self.axes.lengths[name]):
                tried = {**places, name: run}
                if holds(tried):
                    places = tried
                    break
        return places

    def _runs(self, name: str, length: int) -> Iterator[tuple[int, ...]]:
        """Runs of places, short ones first: at the first wrong element, at the beginning, where inputs are large."""
        at = self.first.get(name, 0)
        count = 1
        while count < length:
            starts = [at // count * count, at, at - count + 1, 0]
            starts += range(at - count + 1, at) if count <= EVERY_START else ()
            for start in dict.fromkeys(min(max(start, 0), length - count) for start in starts):
                yield tuple(range(start, start + count))
            if name not in self.axes.of_the_result:
                yield tuple(sorted(self._largest(name)[:count]))
            count *= 2

    def _largest(self, name: str) -> list[int]:
        """The places along an axis of the inputs, those of the largest numbers first."""
        for x, axes in zip(self.axes.call.inputs, self.axes.inputs, strict=True):
            if name in axes:
                axis = axes.index(name)
                most = np.abs(x.astype(np.int64)).max(axis=tuple(i for i in range(x.ndim) if i != axis))
                return [int(i) for i in np.argsort(-most, kind="stable")]
        return list(range(self.axes.lengths[name]))

    # --- what a rule gives ----------------------------------------------------------------------------------------------

    def errs(self, places: Places) -> bool:
        """Whether the rules give another result than the reference on a cut."""
        return self._differs(self.axes.cut(places), places)

    def _differs(self, call: Call, places: Places | None) -> bool:
        if self.device is None or not call.accepted:
            return False
        found = self.device.result(call, places)
        return found is not None and not np.array_equal(found, call.expected)

    def longest(self, places: Places) -> int:
        """The length of the longest axis of the inputs of a cut, without those that are never cut."""
        return max((n for x in self.axes.sides(places) for n in x), default=1)

    def ruled(self) -> Places | None:
        """The smallest cut on which the rules err; None where they do not err on the whole."""
        places = self._fewest(self._lowered({}, self.errs, self.axes.names))
        return places if self.errs(places) else None

    def by_rule(self, places: Places) -> Reproduction:
        """A cut on which the rules err, with the numbers nearest to 0 on which they do, and what they give for them."""
        assert self.device is not None
        call = small = self.axes.cut(places)
        if self._differs(call, None):  # the rules need nothing of the whole node
            extents = frozenset(n for x in (*call.inputs, *call.params.values()) for n in np.shape(x))
            small = shrunk(call, lambda smaller: self._differs(smaller, None), call.params, extents)
        found = self.device.result(small, places if small is call else None)
        assert found is not None
        seen = self.seen
        return Reproduction(small, found, seen.fmt, seen.node, seen.why, RULE, notes=seen.notes)

    def _fewest(self, places: Places) -> Places:
        """Places left out along every axis, half of them first, as long as the rules still err."""
        left = BUDGET if sum(x.size for x in self.axes.cut(places).inputs) <= FEW else 0
        for name in self.axes.names:
            own = list(places.get(name, range(self.axes.lengths[name])))
            count = len(own) // 2
            while count and left > 0:
                start = 0
                while start < len(own) and len(own) > 1 and left > 0:
                    fewer = own[:start] + own[start + count :]
                    left -= 1
                    if fewer and self.errs({**places, name: tuple(fewer)}):
                        own = fewer
                    else:
                        start += count
                count //= 2
            places = {**places, name: tuple(own)}
        return places
