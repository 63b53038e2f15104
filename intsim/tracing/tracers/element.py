"""The element that is traced, and the lines of a trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...arith import IntArray
from ...dialects import Dialect
from ...engine.graph import Node, operator

TERMS = 6  # shown individually of a long sum


@dataclass(frozen=True)
class Line:
    """One step: its name, the calculation in words and numbers, the result, and the binary point's place from the right."""

    name: str
    how: str
    value: int
    point: int = 0
    note: str = ""

    def hexadecimal(self) -> str:
        """Two's complement, in whole bytes."""
        bits = width(self.value)
        return f"0x{self.value & ((1 << bits) - 1):0{bits // 4}x}"

    def binary(self) -> str:
        """Two's complement in groups of four bits counted from the binary point, which is shown where there is one."""
        bits = max(width(self.value), self.point + 1 + -(self.point + 1) % 8)
        digits = f"{self.value & ((1 << bits) - 1):0{bits}b}"
        whole, fraction = (digits[: -self.point], digits[-self.point :]) if self.point else (digits, "")
        head = len(whole) % 4
        groups = ([whole[:head]] if head else []) + [whole[i : i + 4] for i in range(head, len(whole), 4)]
        text = "_".join(groups)
        return f"{text}.{'_'.join(fraction[i : i + 4] for i in range(0, len(fraction), 4))}" if fraction else text

    def record(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "name": self.name,
            "how": self.how,
            "value": self.value,
            "hex": self.hexadecimal(),
            "binary": self.binary(),
            "point": self.point,
            "note": self.note,
        }


def width(value: int) -> int:
    """The bits of a value in two's complement, rounded up to whole bytes."""
    needed = (value if value >= 0 else ~value).bit_length() + 1
    return -(-needed // 8) * 8


@dataclass(frozen=True)
class Element:
    """One element of a node: the node, its inputs, the element's index `at`, and the dialect."""

    node: Node
    inputs: Sequence[IntArray]
    at: tuple[int, ...]
    dialect: Dialect

    def place(self, position: int = 0) -> tuple[int, ...]:
        """The element's index in an input, which may lack leading axes."""
        return self.at[len(self.at) - self.inputs[position].ndim :]

    def input(self, position: int = 0) -> int:
        """The input's value at the same index."""
        return int(self.inputs[position][self.place(position)])

    def row(self, position: int = 0) -> IntArray:
        """The input's row that contains this element, int64."""
        return np.asarray(self.inputs[position][self.place(position)[:-1]], np.int64)

    def param(self, key: str) -> int:
        """A parameter: this channel's value where it has one per channel."""
        value = self.node.params[key]
        return int(value[self.at[-1]]) if isinstance(value, np.ndarray) else int(value)

    @property
    def source(self) -> str:
        """The first input's name and the element's index in it."""
        return self.named()

    def named(self, position: int = 0) -> str:
        """An input's name and the element's index in it."""
        return f"{self.node.inputs[position]}[{','.join(map(str, self.place(position)))}]"

    def steps(self) -> Mapping[str, IntArray]:
        """The reference's intermediates of this row."""
        op = operator(self.node)
        return op.intermediates([self.row(i)[None] for i in range(len(self.inputs))], dict(self.node.params), self.dialect)
