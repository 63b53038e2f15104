"""Epilogues as LLVM code on the registers of a tile: bias, multiplication, shift, residual sum, saturation and store.

Only `quick` epilogues are emitted: rounding adds one constant before the shift, and every result before saturation fits i32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from llvmlite import ir

from .emitted_scaling import Arithmetic, Constants, HighRescaling, Pair, Rescaling, limits_of
from .emitting import I32, I64, Value, cgutils, choices, emit_call
from .epilogue import Added, Biased, Scaled, Summed
from .scaling import WORD_SHIFT


def finish(
    code: TileShape,
    registers: Sequence[Sequence[ir.Value]],
    epilogue: Value,
    bias: Value,
    out: Value,
    rows: Rows,
    first: ir.Value,
    room: Room,
) -> None:
    """Emit the epilogue of a tile: sums by row and vector, into `rows` of `out` from column `first` on.

    Where the high words of products do not suffice, the sums go through `room`: that is rare, and code in a loop is short.
    """
    kind = EMITTED[epilogue.kind.instance_class]
    if kind is _Summed:
        kind(code, epilogue, out, rows, first, high=False).tile(registers, bias.start())
        return
    for high in choices(code.builder, epilogue.field("high").value):
        emitted = kind(code, epilogue, out, rows, first, high)
        if high:
            emitted.tile(registers, bias.start())
            continue
        code.store(registers, room.start, room.stride)
        with (
            cgutils.for_range(code.builder, I64(len(registers[0])), intp=I64) as vector,
            cgutils.for_range(code.builder, I64(len(registers)), intp=I64) as line,
        ):
            emitted.vector(room, line.index, vector.index, bias.start())


class Rows(NamedTuple):
    """The rows that a tile is stored in, from `first` on; rows behind the `last` repeat it, and are stored there, too."""

    first: ir.Value
    last: ir.Value

    def at(self, builder: Any, index: ir.Value) -> ir.Value:
        """Row `index` of the tile."""
        return emit_call(builder, "llvm.smin.i64", I64, builder.add(self.first, index), self.last)


class Room(NamedTuple):
    """Where sums can be stored: an address, and the stride of rows in bytes."""

    start: ir.Value
    stride: ir.Value


class TileShape(Protocol):
    """What an epilogue needs to know of the code of a tile."""

    builder: Any
    lanes: int

    def store(self, sums: Any, c: ir.Value, c_stride: ir.Value) -> None:
        """Store all sums."""


class _Summed:
    """Emits one epilogue, here `Summed`; a subclass computes other values from the sums."""

    def __init__(self, code: TileShape, epilogue: Value, out: Value, rows: Rows, first: ir.Value, high: bool) -> None:
        self.builder, self.lanes, self.epilogue, self.high = code.builder, code.lanes, epilogue, high
        self.arithmetic = Arithmetic(code.builder, code.lanes)
        self.out, self.rows, self.first = out, rows, first
        self.prepare()

    limits: Pair  # of the results, unless they are i32

    def prepare(self) -> None:
        """Load what is the same for all columns."""

    def tile(self, sums: Sequence[Sequence[ir.Value]], biases: ir.Value) -> None:
        """Finish and store a tile of sums, by row and vector.

        Vector after vector, so that its constants stay in registers for all rows; results take the registers of the sums.
        """
        lines = [self.rows.at(self.builder, I64(i)) for i in range(len(sums))]
        indices = [self.builder.add(self.first, ir.Constant(I64, v * self.lanes)) for v in range(len(sums[0]))]
        results: list[list[ir.Value]] = [[] for _ in sums]
        for v, index in enumerate(indices):
            bias, constants = self.arithmetic.load(biases, index, self.arithmetic.vector), self.constants(index)
            for row, result, line in zip(sums, results, lines, strict=True):
                result.append(self.finished(self.builder.add(row[v], bias), constants, line, index))
        step = max(I32.width // self.out.element.width, 1) if self.lanes == 16 else 1
        step = step if len(indices) % step == 0 else 1
        for result, line in zip(results, lines, strict=True):
            for v in range(0, len(indices), step):
                self._store(result[v : v + step], line, indices[v])

    def vector(self, room: Room, row: ir.Value, vector: ir.Value, biases: ir.Value) -> None:
        """Finish and store one vector of the stored sums."""
        builder, arithmetic = self.builder, self.arithmetic
        offset = builder.mul(vector, I64(self.lanes))
        index, line = builder.add(self.first, offset), self.rows.at(builder, row)
        sums = arithmetic.load(builder.add(room.start, builder.mul(row, room.stride)), offset, arithmetic.vector)
        value = builder.add(sums, arithmetic.load(biases, index, arithmetic.vector))
        self._store([self.finished(value, self.constants(index), line, index)], line, index)

    def _store(self, results: Sequence[ir.Value], line: ir.Value, index: ir.Value) -> None:
        element, arithmetic = self.out.element, self.arithmetic
        value = arithmetic.packed(results, element) if element != I32 else None
        if value is not None:
            value = arithmetic.clamped(value, self.limits)
        else:
            (single,) = results
            value = single if element == I32 else arithmetic.clamped(single, self.limits)
            value = value if element == I32 else self.builder.trunc(value, ir.VectorType(element, self.lanes))
        self.builder.store(value, arithmetic.pointer(self.out.at(line), index, value.type), align=1)

    def constants(self, index: ir.Value) -> Any:
        """Load what is the same for all rows of a vector of columns."""

    def finished(self, value: ir.Value, constants: Any, line: ir.Value, index: ir.Value) -> ir.Value:
        """The result of one vector, i32, before it is saturated."""
        return value


class _Scaled(_Summed):
    """`Scaled`: constants per column."""

    LIFTED = False  # whether values may be shifted left, so that the high words of their products suffice

    def prepare(self) -> None:
        self.scaling = Constants(self.arithmetic, self.epilogue.field("scaling"), self.high, self.LIFTED)
        self.limits = self.scaling.limits

    def constants(self, index: ir.Value) -> Rescaling | HighRescaling:
        return self.scaling.at(index)

    def finished(self, value: ir.Value, constants: Any, line: ir.Value, index: ir.Value) -> ir.Value:
        return self.arithmetic.rescaled(value, constants)


class _Biased(_Scaled):
    """`Biased`: the arm has one multiplier for all columns, what is added is scaled."""

    LIFTED = True

    def prepare(self) -> None:
        super().prepare()
        self.own, self.inner = self._arm("arm"), self.limits
        self.limits = limits_of(self.epilogue.field("arm"))
        self.other = self.epilogue.field("other")

    def _arm(self, name: str) -> Rescaling | HighRescaling:
        arm, arithmetic, builder = self.epilogue.field(name), self.arithmetic, self.builder
        m, add, e = (arm.field(part).item() for part in ("m", "add", "e"))
        if self.high:
            words = builder.ashr(add, I64(32 - WORD_SHIFT)), builder.sub(e, I64(32 - WORD_SHIFT))
            add, e = map(arithmetic.everywhere, words)
            return HighRescaling(arithmetic.splat(m), add, e, arithmetic.everywhere(I64(WORD_SHIFT)))
        m, add, e = (arithmetic.splat(value) for value in (m, add, e))
        return Rescaling(m, add, arithmetic.lowest(arm, e), e)

    def finished(self, value: ir.Value, constants: Any, line: ir.Value, index: ir.Value) -> ir.Value:
        return self.builder.add(self._rescaled(value, constants, line, index), self._other(line, index))

    def _rescaled(self, value: ir.Value, constants: Any, line: ir.Value, index: ir.Value) -> ir.Value:
        scaled = self.arithmetic.clamped(super().finished(value, constants, line, index), self.inner)
        return self.arithmetic.rescaled(scaled, self.own)

    def _other(self, line: ir.Value, index: ir.Value) -> ir.Value:
        """The other branch as i32."""
        value = self.arithmetic.load(self.other.at(line), index, ir.VectorType(self.other.element, self.lanes))
        return value if self.other.element == I32 else self.builder.sext(value, self.arithmetic.vector)


class _Added(_Biased):
    """`Added`: both arms have one multiplier for all columns."""

    LIFTED = False

    def prepare(self) -> None:
        super().prepare()
        self.others = self._arm("other_arm")

    def finished(self, value: ir.Value, constants: Any, line: ir.Value, index: ir.Value) -> ir.Value:
        other = self.arithmetic.rescaled(self._other(line, index), self.others)
        return self.builder.add(self._rescaled(value, constants, line, index), other)


EMITTED: dict[type, type[_Summed]] = {Summed: _Summed, Scaled: _Scaled, Added: _Added, Biased: _Biased}
