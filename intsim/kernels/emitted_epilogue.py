"""Epilogues as LLVM code on the registers of a tile: bias, multiplication, shift, residual sum, saturation and store.

A vector of i32 is multiplied as two vectors of i64, its even and its odd lanes: the processors multiply those without moving
them. Only `quick` epilogues are emitted: rounding adds one constant before the shift, and every result before saturation
fits i32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from llvmlite import ir

from .emitting import I32, I64, Value, emit_call, everywhere
from .epilogue import Added, Scaled, Summed


def finish(
    code: TileShape,
    sums: Sequence[Sequence[ir.Value]],
    epilogue: Value,
    bias: Value,
    out: Value,
    row: ir.Value,
    first: ir.Value,
) -> None:
    """Emit the epilogue of a tile: `sums` by row and vector, into the rows of `out` from `row`, its columns from `first` on."""
    emitted = EMITTED[epilogue.kind.instance_class](code, epilogue, out, row, first)
    for v in range(len(sums[0])):
        emitted.column([line[v] for line in sums], v, bias.start())


class TileShape(Protocol):
    """What an epilogue needs to know of the code of a tile."""

    builder: Any
    lanes: int


class Pair(NamedTuple):
    """The even and the odd lanes of a vector of i32, sign-extended to i64."""

    even: ir.Value
    odd: ir.Value


class _Constants(NamedTuple):
    """Multiplier, rounding term and shift of the lanes of one vector."""

    m: Pair
    add: Pair
    e: Pair


class Arithmetic:
    """Emits the arithmetic of epilogues on vectors of i32 lanes."""

    def __init__(self, builder: Any, lanes: int) -> None:
        self.builder, self.lanes = builder, lanes
        self.vector, self.wide = ir.VectorType(I32, lanes), ir.VectorType(I64, lanes // 2)
        self.half = ir.Constant(self.wide, [32] * (lanes // 2))

    def pointer(self, address: ir.Value, index: ir.Value, kind: ir.VectorType) -> ir.Value:
        """A pointer to a vector at element `index` of an array."""
        at = self.builder.add(address, self.builder.mul(index, ir.Constant(I64, kind.element.width // 8)))
        return self.builder.inttoptr(at, kind.as_pointer())

    def load(self, address: ir.Value, index: ir.Value, kind: ir.VectorType) -> ir.Value:
        """The vector at element `index` of an array."""
        return self.builder.load(self.pointer(address, index, kind), align=1)

    def pair(self, value: ir.Value) -> Pair:
        """Both halves of a vector of i32."""
        both = self.builder.bitcast(value, self.wide)
        return Pair(
            self.builder.ashr(self.builder.shl(both, self.half), self.half),
            self.builder.ashr(both, self.half),
        )

    def split(self, value: ir.Value) -> Pair:
        """Both halves of a vector of as many i64 lanes."""
        orders = ([2 * i + half for i in range(self.lanes // 2)] for half in (0, 1))
        return Pair(*(self._shuffled(value, order) for order in orders))

    def splat(self, scalar: ir.Value) -> Pair:
        """One i64 in every lane."""
        lanes = everywhere(self.builder, scalar, self.lanes // 2)
        return Pair(lanes, lanes)

    def _shuffled(self, value: ir.Value, order: list[int]) -> ir.Value:
        return self.builder.shuffle_vector(value, value, ir.Constant(ir.VectorType(I32, len(order)), order))

    def rescaled(self, value: Pair, by: _Constants) -> Pair:
        """``(value * m + add) >> e``."""
        return Pair(
            *(
                self.builder.ashr(self.builder.add(self.builder.mul(lanes, m), add), e)
                for lanes, m, add, e in zip(value, *by, strict=True)
            )
        )

    def joined(self, value: Pair) -> ir.Value:
        """The vector of i32 whose lanes fit i32."""
        low = self.builder.and_(value.even, ir.Constant(self.wide, [0xFFFFFFFF] * (self.lanes // 2)))
        return self.builder.bitcast(self.builder.or_(low, self.builder.shl(value.odd, self.half)), self.vector)

    def clamped(self, value: ir.Value, lo: ir.Value, hi: ir.Value) -> ir.Value:
        """Saturated to ``[lo, hi]``, vectors of i32."""
        name = f"v{self.lanes}i32"
        return emit_call(
            self.builder,
            f"llvm.smin.{name}",
            self.vector,
            emit_call(self.builder, f"llvm.smax.{name}", self.vector, value, lo),
            hi,
        )

    def limits(self, scaling: Value) -> tuple[ir.Value, ir.Value]:
        """The ends of the format of a scaling, in every lane."""
        lo, hi = (everywhere(self.builder, self.builder.trunc(scaling.field(name).value, I32), self.lanes) for name in ("lo", "hi"))
        return lo, hi


class _Summed:
    """Emits one epilogue, here `Summed`; a subclass computes other values from the sums."""

    def __init__(self, code: TileShape, epilogue: Value, out: Value, row: ir.Value, first: ir.Value) -> None:
        self.builder, self.lanes, self.epilogue = code.builder, code.lanes, epilogue
        self.arithmetic = Arithmetic(code.builder, code.lanes)
        self.out, self.row, self.first = out, row, first
        self.prepare()

    def prepare(self) -> None:
        """Load what is the same for all columns."""

    def column(self, sums: Sequence[ir.Value], v: int, biases: ir.Value) -> None:
        """Finish and store vector `v` of every row."""
        index = self.builder.add(self.first, ir.Constant(I64, v * self.lanes))
        bias = self.arithmetic.load(biases, index, self.arithmetic.vector)
        constants = self.constants(index)
        for i, value in enumerate(sums):
            line = self.builder.add(self.row, ir.Constant(I64, i))
            result = self.finished(self.builder.add(value, bias), constants, line, index)
            narrow = ir.VectorType(self.out.element, self.lanes)
            result = result if self.out.element == I32 else self.builder.trunc(result, narrow)
            self.builder.store(result, self.arithmetic.pointer(self.out.at(line), index, narrow), align=1)

    def constants(self, index: ir.Value) -> Any:
        """Load what is the same for all rows of a vector of columns."""

    def finished(self, value: ir.Value, constants: Any, line: ir.Value, index: ir.Value) -> ir.Value:
        """The result of one vector, i32."""
        return value


class _Scaled(_Summed):
    """`Scaled`: constants per column."""

    def prepare(self) -> None:
        scaling = self.epilogue.field("scaling")
        self.arrays = {name: scaling.field(name).start() for name in ("m", "add", "e")}
        self.limits = self.arithmetic.limits(scaling)

    def constants(self, index: ir.Value) -> _Constants:
        arithmetic, double = self.arithmetic, ir.VectorType(I64, self.lanes)
        m = arithmetic.pair(arithmetic.load(self.arrays["m"], index, arithmetic.vector))
        add, e = (arithmetic.split(arithmetic.load(self.arrays[name], index, double)) for name in ("add", "e"))
        return _Constants(m, add, e)

    def finished(self, value: ir.Value, constants: Any, line: ir.Value, index: ir.Value) -> ir.Value:
        arithmetic = self.arithmetic
        return arithmetic.clamped(arithmetic.joined(arithmetic.rescaled(arithmetic.pair(value), constants)), *self.limits)


class _Added(_Scaled):
    """`Added`: both arms have one multiplier for all columns."""

    def prepare(self) -> None:
        super().prepare()
        own, other = self.epilogue.field("arm"), self.epilogue.field("other_arm")
        self.own, self.others = (
            _Constants(*(self.arithmetic.splat(arm.field(name).item()) for name in ("m", "add", "e"))) for arm in (own, other)
        )
        self.sum_limits = self.arithmetic.limits(own)
        self.other = self.epilogue.field("other")

    def finished(self, value: ir.Value, constants: Any, line: ir.Value, index: ir.Value) -> ir.Value:
        arithmetic = self.arithmetic
        own = arithmetic.rescaled(arithmetic.pair(super().finished(value, constants, line, index)), self.own)
        narrow = ir.VectorType(self.other.element, self.lanes)
        other = arithmetic.load(self.other.at(line), index, narrow)
        wide = arithmetic.rescaled(arithmetic.pair(self.builder.sext(other, arithmetic.vector)), self.others)
        total = Pair(*(self.builder.add(a, b) for a, b in zip(own, wide, strict=True)))
        return arithmetic.clamped(arithmetic.joined(total), *self.sum_limits)


EMITTED: dict[type, type[_Summed]] = {Summed: _Summed, Scaled: _Scaled, Added: _Added}
