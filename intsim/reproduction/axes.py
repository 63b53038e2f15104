"""The axes along which a call is cut: those of the C functions (`symbols.shapes`), and those of the result.

All leading axes of a call can be cut, each by itself, and a product such as ``heads*depth`` along each of its factors. A cut
is a set of places along every axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np

from ..arith import AnyArray
from ..symbols.shapes import Form, form_of_call, lengths_of_call
from ..testing.calls import Call

Places = Mapping[str, tuple[int, ...]]  # along an axis; an axis that is left out is whole

# The axes of the result; those of the first input where an operator is not here. "+" joins, "kept" is the part of a slice.
RESULTS = {
    "argmax": "rows",
    "grid": "outer height width channels",
    "heads": "outer heads tokens depth",
    "linear": "rows outputs",
    "matmul": "outer rows columns",
    "mean": "outer channels",
    "merge_heads": "outer tokens heads*depth",
    "merge_patches": "outer rows columns 4*channels",
    "merge_windows": "outer down*size across*size channels",
    "patches": "outer down*across channels*size*size",
    "relative_positions": "heads . .",
    "slice": "outer kept inner",
    "tokens": "outer height*width channels",
    "upsample_nearest": "outer height*factor width*factor channels",
    "windows": "outer down*across size*size channels",
}
OWN_FORMS = {  # products with the slower factor first; pictures of whole patches
    "patches": Form({"x": ("outer", "down*size", "across*size", "channels")}),
    "merge_patches": Form({"x": ("outer", "rows*2", "columns*2", "channels")}),
}
COUNTED = ("heads", "height")  # parameters that are lengths, and change with them
WHOLE = ("displacements", "size", "factor")  # never cut


@dataclass(frozen=True)
class Axes:
    """A call with the axes of its arrays and of its result by name, and their lengths."""

    call: Call
    shapes: Mapping[str, tuple[str, ...]]
    result: tuple[str, ...]
    lengths: Mapping[str, int]

    @classmethod
    def of(cls, call: Call) -> Axes:
        """The axes of a call. Raises ValueError where its operator has no form that serves it."""
        given = [x.shape for x in call.inputs]
        sizes = {key: int(value) for key, value in call.params.items() if np.ndim(value) == 0}
        form, lengths = form_of_call(call.operator, given, call.params)
        if call.op in OWN_FORMS:
            with suppress(ValueError):
                lengths = lengths_of_call(call.operator, OWN_FORMS[call.op], {"x": given[0]}, sizes)
                form = OWN_FORMS[call.op]
        shapes = {name: axes[1:] if form.spread and axes[0] == "outer" else axes for name, axes in form.shapes.items()}
        names = [name for name in shapes if name not in call.operator.params]
        result = shapes[names[0]]
        if call.op == "concat":
            result = ("outer", "+".join(f"length{i}" for i in range(len(given))), "inner")
        elif call.op in RESULTS:
            result = tuple(RESULTS[call.op].split())
        whole = cls(call, shapes, result, lengths | sizes)
        if "axis" in call.params:
            return whole._around(names)
        labels = call.op == "upsample_nearest" and call.inputs[0].ndim == 2  # which have no channels
        return whole._folded() if labels else whole._leading(names)

    @property
    def inputs(self) -> list[tuple[str, ...]]:
        """The axes of every input."""
        return [axes for name, axes in self.shapes.items() if name not in self.call.operator.params]

    def _folded(self) -> Axes:
        """The call with its arrays reshaped to the axes."""
        inputs = [x.reshape(self._sides(axes)) for x, axes in zip(self.call.inputs, self.inputs, strict=True)]
        return replace(self, call=replace(self.call, inputs=tuple(inputs)))

    def _around(self, names: list[str]) -> Axes:
        """What is before and behind the axis of a call as the axes that these are."""
        shape = self.call.inputs[0].shape
        at = len(shape) + int(self.call.params["axis"])
        before = tuple(f"outer{i}" for i in range(at))
        behind = tuple(f"inner{i}" for i in range(at + 1, len(shape)))
        shapes = {name: (*before, self.shapes[name][1], *behind) for name in names}
        lengths = dict(self.lengths) | dict(zip((*before, *behind), (*shape[:at], *shape[at + 1 :]), strict=True))
        return replace(self, shapes=shapes, result=(*before, self.result[1], *behind), lengths=lengths)

    def _leading(self, names: list[str]) -> Axes:
        """The first axis of the inputs as the axes of the call that it takes together, of which there may be none."""
        first = self.shapes[names[0]][0]
        counts = [x.ndim + 1 - len(axes) for x, axes in zip(self.call.inputs, self.inputs, strict=True)]
        most = max(counts)
        own = [f"{first}{i}" for i in range(most)] if most > 1 else [first] * most
        shapes, lengths = dict(self.shapes), dict(self.lengths)
        for name, x, count in zip(names, self.call.inputs, counts, strict=True):
            lead = own[most - count :]
            lengths |= dict(zip(lead, x.shape[:count], strict=True))
            shapes[name] = (*lead, *self.shapes[name][1:])
        result = tuple(part for axis in self.result for part in (own if axis == first else [axis]))
        return replace(self, shapes=shapes, result=result, lengths=lengths)

    @property
    def names(self) -> list[str]:
        """The axes that can be cut, those of the result first."""
        parts = [
            p for axes in (self.result, *self.shapes.values()) for axis in axes for p in axis.replace("+", "*").split("*")
        ]
        scalars = {key for key, value in self.call.params.items() if np.ndim(value) == 0}
        fixed = {*WHOLE, *scalars} - set(COUNTED)
        return [name for name in dict.fromkeys(parts) if self.lengths.get(name, 1) > 1 and name not in fixed]

    @property
    def of_the_result(self) -> list[str]:
        """The axes that can be cut and that the result has, too."""
        parts = {part for axis in self.result for part in axis.replace("+", "*").split("*")}
        return [name for name in self.names if name in parts or (name == "length" and "kept" in parts)]

    def sides(self, places: Places) -> list[tuple[int, ...]]:
        """The lengths of the inputs of a cut, along every axis that can be cut."""
        kept = {name: len(at) for name, at in places.items()}
        parts = [[axis.split("*") for axis in axes] for axes in self.inputs]
        return [
            tuple(prod(kept.get(p, self._length(p)) for p in axis) for axis in axes if not set(axis) <= set(WHOLE))
            for axes in parts
        ]

    def _length(self, part: str) -> int:
        if part == "kept":
            return int(self.call.params["stop"]) - int(self.call.params["start"])
        return int(part) if part.isdigit() else sum(self.lengths[name] for name in part.split("+"))

    def _sides(self, axes: tuple[str, ...]) -> tuple[int, ...]:
        """The lengths of axes; -1 where it is not told."""
        return tuple(-1 if axis == "." else prod(self._length(part) for part in axis.split("*")) for axis in axes)

    def _places(self, part: str, places: Places) -> tuple[int, ...] | None:
        """The places along one factor of an axis, None where they are all."""
        if part == "kept":
            start, stop = int(self.call.params["start"]), int(self.call.params["stop"])
            return tuple(at - start for at in places.get("length", range(self.lengths["length"])) if start <= at < stop)
        if "+" in part:
            names = part.split("+")
            firsts = accumulate((self.lengths[name] for name in names), initial=0)
            return tuple(
                first + at
                for name, first in zip(names, firsts, strict=False)
                for at in places.get(name, range(self.lengths[name]))
            )
        return places.get(part)

    def part(self, values: AnyArray, axes: tuple[str, ...], places: Places) -> AnyArray:
        """The part of an array with these axes that a cut leaves."""
        if "." in axes:  # a side that no name tells is kept whole
            names = [axis for axis in axes if axis != "."]
            values = values.reshape(*self._sides(tuple(names)), *values.shape[len(names) :])
            for i, name in enumerate(names):
                if (at := self._places(name, places)) is not None:
                    values = values.take(at, axis=i)
            return values
        parts = [part for axis in axes for part in axis.split("*")]
        values = values.reshape([self._length(part) for part in parts])
        for i, part in enumerate(parts):
            if (at := self._places(part, places)) is not None:
                values = values.take(at, axis=i)
        ends = accumulate(len(axis.split("*")) for axis in axes)
        return values.reshape([prod(values.shape[end - len(a.split("*")) : end]) for a, end in zip(axes, ends, strict=True)])

    def cut(self, places: Places) -> Call:
        """The call that a cut leaves."""
        inputs = tuple(
            np.ascontiguousarray(self.part(x, axes, places)) for x, axes in zip(self.call.inputs, self.inputs, strict=True)
        )
        return replace(self.call, inputs=inputs, params=self.params(self.call.params, places))

    def params(self, given: Mapping[str, Any], places: Places) -> dict[str, Any]:
        """Parameters as a cut leaves them: values of its channels, lengths of its axes, the rest as it is."""
        params = dict(given)
        counts = dict(self.lengths) | {name: len(at) for name, at in places.items()}
        for key, value in given.items():
            if np.ndim(value) and key in self.shapes:
                params[key] = np.ascontiguousarray(self.part(np.asarray(value), self.shapes[key], places))
            elif key in COUNTED and self.call.op != "merge_windows" and key in places:
                params[key] = counts[key]
        if self.call.op == "merge_windows":
            params["height"] = counts["down"] * counts["size"]
        if self.call.op == "slice" and "length" in places:
            for key in ("start", "stop"):
                params[key] = sum(at < int(self.call.params[key]) for at in places["length"])
        return params

    def of_result(self, values: AnyArray, places: Places) -> AnyArray:
        """The part of the result that a cut leaves."""
        return self.part(values, self.result, places)

    def places_of(self, index: int) -> dict[str, int]:
        """The place along every axis of the result of the element with this flat index."""
        parts = [part for axis in self.result for part in axis.split("*") if part != "."]
        sides = [self._length(part) for part in parts]
        rest = self.call.expected.size // prod(sides) if "." in self.result else 1
        found: dict[str, int] = {}
        for part, at in zip(parts, np.unravel_index(index // rest, sides), strict=True):
            place = int(at)
            if part == "kept":
                found["length"] = place + int(self.call.params["start"])
            for name in part.split("+"):
                if name in self.lengths and 0 <= place < self.lengths[name]:
                    found.setdefault(name, place)
                place -= self.lengths.get(name, 0)
        return found
