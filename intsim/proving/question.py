"""What is asked: an operator, the values of its inputs and parameters, and the lengths of its axes.

A range is given as ``(lowest, highest)``, a range, or one integer; a parameter of every channel as an array. By default an
input has all values of its port (32 bits where that takes any), a parameter all that the operator takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from ..arith import I32, I64
from ..dialects import Dialect, resolve
from ..errors import IntsimError
from ..ops import REGISTRY
from ..symbols.shapes import Form
from .elementwise import is_elementwise
from .numbers import ranges_words
from .traces import PRIMITIVES, Range, Traces

MOVED = (3, 4, 5, 2, 6)  # lengths of axes that are only moved: all different, so that no order is another by chance
# Plain parameters of what moves values, and the axis of a row where it is not the last one.
STRUCTURE = {"rows": 1, "columns": 2, "factor": 2, "size": 2, "heads": 2, "start": 1, "axis": -2, "transpose_b": 0}
ROWS = {"mean": "tokens"}
NEGATIVE = {"shift_exp": "x"}  # of which 0 is the largest value, as it is called, unless a range says otherwise


class Question:
    """An operator or a primitive of `intsim.arith` in a dialect. IntsimError where ranges or lengths are not its own."""

    def __init__(
        self, op: str, dialect: Dialect | str | None, ranges: Mapping[str, Any], lengths: Mapping[str, int] | None = None
    ) -> None:
        if op not in REGISTRY and op not in PRIMITIVES:
            raise IntsimError(f"there is no operator {op!r}; there are: {', '.join([*sorted(REGISTRY), *PRIMITIVES])}")
        self.op, self.lengths = op, dict(lengths or {})
        choices = PRIMITIVES[op].choices if op in PRIMITIVES else REGISTRY[op].choices
        if dialect is None and choices:
            raise IntsimError(f"{op}: dialect=None, but its results depend on the dialect; name one")
        self.dialect = resolve(dialect) if choices and dialect is not None else None
        self.moves = op in REGISTRY and REGISTRY[op].moves
        self.form = _form(op, ranges)
        parts = [part for axes in self.form.shapes.values() for axis in axes for part in axis.split("*")]
        self.axes = list(dict.fromkeys(part for part in parts if not part.isdigit()))
        self.fixed: dict[str, Any] = {}
        self.ranges = self._known()
        self._given(ranges)
        for key, length in self.lengths.items():
            if key not in self.axes:
                raise IntsimError(f"{op} has no axis {key!r}; its axes are: {', '.join(self.axes) or 'none'}")
            if type(length) is not int or not 1 <= length <= 64:
                raise IntsimError(f"{op}: an axis {key} of length {length!r}; an integer from 1 to 64 is expected")

    # --- ranges -----------------------------------------------------------------------------------------------------------

    def _known(self) -> dict[str, Range]:
        """The range of every input, and of every parameter that is not part of the structure."""
        if self.op in PRIMITIVES:
            return dict(PRIMITIVES[self.op].ranges)
        operator = REGISTRY[self.op]
        known = {}
        for i, name in enumerate(name for name in self.form.shapes if name not in operator.params):
            fmt = I32 if operator.port(i) is I64 else operator.port(i)
            known[name] = (fmt.lo, 0 if NEGATIVE.get(self.op) == name else fmt.hi)
        structural = {*self.form.fixed, *self.axes}
        for name, param in operator.params.items():
            if name in self.form.shapes or not (name in structural or self.moves):
                known[name] = (param.fmt.lo, param.fmt.hi)
        return known

    def _given(self, ranges: Mapping[str, Any]) -> None:
        """The ranges that are given in place of those."""
        params = REGISTRY[self.op].params if self.op in REGISTRY else {}
        allowed = list(dict.fromkeys([*self.ranges, *params]))
        for name, given in ranges.items():
            if name not in allowed:
                raise IntsimError(f"{self.op} has no {name!r}; it has: {', '.join(allowed)}")
            if isinstance(given, np.ndarray) and given.ndim:
                if name not in params:
                    raise IntsimError(f"{self.op}: {name} is an input; give its lowest and its highest value")
                try:
                    self.fixed[name] = params[name] and REGISTRY[self.op].checked_param(name, given)
                except (TypeError, ValueError) as error:
                    raise IntsimError(str(error)) from None
                self.ranges.pop(name, None)
                continue
            lo, hi = self._ends(name, given)
            fmt = params[name].fmt if name in params else None
            least, most = (fmt.lo, fmt.hi) if fmt is not None else self._port(name)
            if lo > hi:
                raise IntsimError(f"{self.op}: the range of {name} is empty; give its lowest and its highest value")
            if lo < least or hi > most:
                raise IntsimError(f"{self.op}: {name} from {lo} to {hi} is outside of [{least}, {most}], which it takes")
            self.ranges[name] = (lo, hi)

    def _port(self, name: str) -> Range:
        """What an input takes."""
        if self.op in PRIMITIVES:
            return PRIMITIVES[self.op].ranges[name]
        operator = REGISTRY[self.op]
        fmt = operator.port([n for n in self.form.shapes if n not in operator.params].index(name))
        return fmt.lo, fmt.hi

    def _ends(self, name: str, given: Any) -> Range:
        if isinstance(given, range):
            if len(given) and abs(given.step) != 1:
                raise IntsimError(f"{self.op}: {name}={given!r}: a range of consecutive integers is expected")
            return (min(given), max(given)) if len(given) else (1, 0)
        if isinstance(given, int | np.integer) and not isinstance(given, bool):
            return int(given), int(given)
        if isinstance(given, tuple | list) and len(given) == 2 and all(isinstance(v, int | np.integer) for v in given):
            return int(given[0]), int(given[1])
        raise IntsimError(f"{self.op}: {name}={given!r}: (lowest, highest), a range or an integer is expected")

    def plain(self) -> dict[str, int]:
        """Inputs and parameters of one value."""
        return {name: lo for name, (lo, hi) in self.ranges.items() if lo == hi}

    # --- calls ------------------------------------------------------------------------------------------------------------

    @property
    def row(self) -> str:
        """The axis along which a row runs."""
        return ROWS.get(self.op, next(iter(self.form.shapes.values()), ("",))[-1] if self.op in REGISTRY else "")

    def rows(self, longest: int) -> list[int]:
        """The lengths of rows to ask about, up to the longest one."""
        channels = {len(value) for value in self.fixed.values() if np.ndim(value) == 1}
        if len(channels) > 1:
            raise IntsimError(f"{self.op}: parameters of {' and '.join(map(str, sorted(channels)))} channels")
        if channels:
            return sorted(channels)
        return [1] if self.op in PRIMITIVES or self.moves else list(range(1, longest + 1))

    def _known_lengths(self, row: int) -> dict[str, int]:
        params = REGISTRY[self.op].params if self.op in REGISTRY else {}
        moved = iter(MOVED * 2)
        known = {}
        for name in self.axes:
            structural = name in params and name in STRUCTURE
            known[name] = STRUCTURE[name] if structural else next(moved) if self.moves else row if name == self.row else 1
        known |= self.lengths | {name: value for name, value in self.plain().items() if name in self.axes}
        if "displacements" in known:  # of windows of a size
            size = self.ranges.get("size", (STRUCTURE["size"],))[0]
            known["displacements"] = (2 * size - 1) ** 2
        return known

    def traces(self, row: int, values: Mapping[str, int] | None = None) -> Traces:
        """A call with rows of that length, in which some plain parameters have one value."""
        known = self._known_lengths(row)
        params = REGISTRY[self.op].params if self.op in REGISTRY else {}
        shapes: dict[str, tuple[int, ...]] = {}
        for name, axes in self.form.shapes.items():
            if name not in self.fixed and not (name in params and 0 in params[name].ndim):
                shapes[name] = tuple(_side(axis, known) for axis in axes)
        ranges = {**self.ranges, **{name: (value, value) for name, value in (values or {}).items()}}
        for key, due in self.form.fixed.items():
            if isinstance(due, str) and key not in ranges:
                ranges[key] = (_side(due, known),) * 2
        for key in params:
            if key not in ranges and key not in shapes and key not in self.fixed:
                behind = max(known.get("length", 1) - 1, 1)  # where a slice stops: before the end
                value = known.get(key, STRUCTURE.get(key, behind))
                ranges[key] = (value, value)
        return Traces(self.op, self.dialect, shapes, ranges, self.fixed)

    def whole(self) -> bool:
        """Whether the operator is element by element, so that one element stands for all."""
        if self.op in PRIMITIVES:
            return True
        two = self.traces(2)
        inputs = all(name in REGISTRY[self.op].inputs for name in two.shapes)
        return not self.moves and not self.fixed and inputs and is_elementwise(two, two.reference())

    def scope(self, rows: list[int], elementwise: bool = False) -> str:
        """Which calls these are, in words."""
        traces = self.traces(rows[-1])
        values = [ranges_words(traces.ranges)]
        values += [f"{name} as given" for name in self.fixed]
        if elementwise:
            return ", ".join(["arrays of any shape", *values])
        if self.op in PRIMITIVES:
            return ", ".join(values)
        if self.moves:
            return ", ".join([*(f"{name} {list(shape)}" for name, shape in traces.shapes.items()), *values])
        which = f"1 to {rows[-1]} elements" if rows[0] < rows[-1] else f"{rows[0]} element{'s' if rows[0] > 1 else ''}"
        return ", ".join([f"rows of {which}", *values])


def _side(axis: str, known: Mapping[str, int]) -> int:
    """The length of an axis that may be a product."""
    return prod(int(part) if part.isdigit() else known[part] for part in axis.split("*"))


def _form(op: str, ranges: Mapping[str, Any]) -> Form:
    """The axes of a call's arrays."""
    if op in PRIMITIVES:
        return Form({next(iter(PRIMITIVES[op].ranges)): ()})
    forms = REGISTRY[op].forms()
    for form in forms:
        due = {key: value for key, value in form.fixed.items() if isinstance(value, int) and key != "axis"}
        if all(ranges.get(key, value) == value for key, value in due.items()):
            return form
    return forms[0]
