"""The text of TOSA in MLIR's generic form: values, constants and operations of one function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..arith import AnyArray

TYPES = {"i8": np.int8, "i16": np.int16, "i32": np.int32, "i64": np.int64, "i1": np.bool_}


class Value(NamedTuple):
    """A value of the text: its name, shape and type."""

    name: str
    shape: tuple[int, ...]
    type: str

    @property
    def tensor(self) -> str:
        """Its type in MLIR."""
        return "tensor<" + "x".join([*map(str, self.shape), self.type]) + ">"


class Text:
    """The lines of one function."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.constants: dict[Any, Value] = {}
        self.count = 0

    def new(self, shape: Sequence[int], kind: str) -> Value:
        """A value with a name of its own."""
        self.count += 1
        return Value(f"%{self.count}", tuple(shape), kind)

    def op(self, name: str, args: Sequence[Value], shape: Sequence[int], kind: str, attributes: str = "") -> Value:
        """One operation."""
        out = self.new(shape, kind)
        types = ", ".join(arg.tensor for arg in args)
        given = f" <{{{attributes}}}>" if attributes else ""
        names = ", ".join(arg.name for arg in args)
        self.lines.append(f'{out.name} = "tosa.{name}"({names}){given} : ({types}) -> {out.tensor}')
        return out

    def constant(self, array: AnyArray, kind: str) -> Value:
        """A constant, once; its bytes in hexadecimal, or one value for all elements."""
        array = np.ascontiguousarray(array, TYPES[kind])
        key = (kind, array.shape, array.tobytes())
        if key not in self.constants:
            out = self.new(array.shape, kind)
            if (array == array.flat[0]).all():
                one = array.flat[0]
                body = f"dense<{str(bool(one)).lower() if kind == 'i1' else int(one)}>"
            else:
                body = f'dense<"0x{array.tobytes().hex().upper()}">' if kind != "i1" else f"dense<{_booleans(array)}>"
            self.lines.append(f'{out.name} = "tosa.const"() <{{values = {body} : {out.tensor}}}> : () -> {out.tensor}')
            self.constants[key] = out
        return self.constants[key]

    def sides(self, values: Sequence[int]) -> tuple[str, str]:
        """A constant shape: its name and type."""
        name, rank = self.new((), "shape").name, len(values)
        dense = f"dense<{list(values)}> : tensor<{rank}xindex>" if rank else "dense<> : tensor<0xindex>"
        kind = f"!tosa.shape<{rank}>"
        self.lines.append(f'{name} = "tosa.const_shape"() <{{values = {dense}}}> : () -> {kind}')
        return name, kind

    def reshaped(self, x: Value, shape: Sequence[int]) -> Value:
        """Another shape of the same elements."""
        if tuple(shape) == x.shape:
            return x
        name, kind = self.sides(shape)
        out = self.new(shape, x.type)
        self.lines.append(f'{out.name} = "tosa.reshape"({x.name}, {name}) : ({x.tensor}, {kind}) -> {out.tensor}')
        return out

    def cast(self, x: Value, kind: str) -> Value:
        """Another type, by way of i32, from and to which all casts exist."""
        if x.type == kind:
            return x
        if "i32" not in (x.type, kind):
            x = self.op("cast", [x], x.shape, "i32")
        return self.op("cast", [x], x.shape, kind)


def _booleans(array: AnyArray) -> str:
    return str(array.tolist()).lower()
