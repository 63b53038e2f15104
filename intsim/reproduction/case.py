"""A reproduction: a call of one operator that shows what a device does wrong, with the device's values and those due."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..arith import I8, I16, I32, I64, U8, Format, IntArray, first_index
from ..errors import IntsimError
from ..testing.calls import Call
from ..testing.failures import steps

RECORDED, RULE = "recorded", "rule"
FORMATS = (I8, U8, I16, I32, I64)
SHORT = 16  # elements along an axis that a person reads


@dataclass(frozen=True)
class First:
    """The first wrong element: its index, what is due and what was found, and the lowest bit that is wrong."""

    index: tuple[int, ...]
    expected: int
    found: int
    bit: int

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return {**vars(self), "index": list(self.index)}


@dataclass(frozen=True, eq=False)
class Reproduction:
    """A `call` and what a device `found`, in the format `fmt`; the reference gives `expected`.

    `node` is where it was seen, `why` the rule that was broken ("" where none is known). `source`: ``recorded``, the
    values are the device's own; ``rule``, they are those of the rule that gives all values that the device has recorded,
    so that the call could be made smaller than what was recorded. `place` says which part of the device's tensor it is,
    `notes` what to know of it.
    """

    call: Call
    found: IntArray
    fmt: Format
    node: str
    why: str = ""
    source: str = RECORDED
    place: str = ""
    notes: tuple[str, ...] = ()

    @property
    def expected(self) -> IntArray:
        """The result of the reference."""
        return self.call.expected

    @cached_property
    def wrong(self) -> int:
        """How many elements differ."""
        return int(np.count_nonzero(self.found != self.expected))

    @cached_property
    def first(self) -> First:
        """The first wrong element."""
        index = tuple(int(i) for i in first_index(self.found != self.expected))
        expected, found = int(self.expected[index]), int(self.found[index])
        changed = expected ^ found
        return First(index, expected, found, (changed & -changed).bit_length() - 1)

    @cached_property
    def steps(self) -> str:
        """The reference's steps to the first wrong element, as a table."""
        return steps(self.call, self.first.index)

    def hexadecimal(self, value: int) -> str:
        """A value of the result in two's complement."""
        bits = self.fmt.bits
        return f"0x{value & (1 << bits) - 1:0{-(-bits // 4)}x}"

    def arrays(self) -> dict[str, IntArray]:
        """Inputs and parameters that are arrays, by name, in the types in which the operator takes them."""
        names = list(self.call.operator.inputs)
        if self.call.operator.variadic:
            names = [f"x{i}" for i in range(len(self.call.inputs))]
        return {
            **dict(zip(names, self.call.inputs, strict=True)),
            **{key: value for key, value in self.call.params.items() if np.ndim(value)},
        }

    def scalars(self) -> dict[str, int]:
        """Parameters that are integers, by name."""
        return {key: int(value) for key, value in self.call.params.items() if not np.ndim(value)}


def format_of(*arrays: IntArray) -> Format:
    """The narrowest format that holds arrays and is as wide as the type of the first."""
    lo, hi = min(int(x.min()) for x in arrays), max(int(x.max()) for x in arrays)
    wide = arrays[0].dtype.itemsize
    return next(fmt for fmt in FORMATS if fmt.dtype.itemsize >= wide and fmt.holds(lo, hi))


def require_comparable(call: Call, found: Any) -> IntArray:
    """A device's values for a call as integers. Raises IntsimError where none can be compared, or none is wrong."""
    if call.refusal:
        raise IntsimError(f"{call.op}: the reference refuses this call ({call.refusal}); there is no value to reproduce")
    try:
        values = np.asarray(found)
    except ValueError:
        values = np.asarray(None)
    if values.dtype.kind not in "iu":
        raise IntsimError(f"{call.op}: the device returned no array of integers; there is no element to show")
    if values.shape != call.expected.shape:
        raise IntsimError(
            f"{call.op}: the device's values have the shape {list(values.shape)}, expected {list(call.expected.shape)}; "
            "there is no element to show"
        )
    if np.array_equal(values, call.expected):
        raise IntsimError(f"{call.op}: the device's values are right; there is nothing to reproduce")
    return values
