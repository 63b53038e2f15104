"""Epilogues as LLVM code on the registers of a tile: bias, multiplication, shift, residual sum, saturation and store.

A vector of i32 is multiplied as two vectors of i64, its even and its odd lanes: the processors multiply those without moving
them. Only `quick` epilogues are emitted: rounding adds one constant before the shift, and every result before saturation
fits i32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from llvmlite import ir

from .emitting import I32, I64, Value, choices, emit_call, everywhere
from .epilogue import Added, Biased, Scaled, Summed


def finish(
    code: TileShape,
    sums: Sequence[Sequence[ir.Value]],
    epilogue: Value,
    bias: Value,
    out: Value,
    row: ir.Value,
    first: ir.Value,
) -> None:
    """Emit the epilogue of a tile: `sums` by row and vector, into `out` from row `row` and column `first` on."""
    emitted = EMITTED[epilogue.kind.instance_class]
    if emitted is _Summed:
        emitted(code, epilogue, out, row, first, ties=False).tile(sums, bias.start())
        return
    for ties in choices(code.builder, epilogue.field("ties").value):
        emitted(code, epilogue, out, row, first, ties).tile(sums, bias.start())


class TileShape(Protocol):
    """What an epilogue needs to know of the code of a tile."""

    builder: Any
    lanes: int


class Pair(NamedTuple):
    """The even and the odd lanes of a vector of i32, sign-extended to i64."""

    even: ir.Value
    odd: ir.Value


class Rescaling(NamedTuple):
    """Multiplier, rounding terms and shift of a vector's lanes; the shift of odd lanes may be less by 32 (`blended`)."""

    m: Pair
    add: Pair
    bit: Pair | None  # the lowest bit of the quotient: a product that has it rounds up by one more; None where none does
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
        return Pair(self.extended(both), self.builder.ashr(both, self.half))

    def extended(self, value: ir.Value) -> ir.Value:
        """The low halves of i64 lanes, sign-extended; a multiplication of i32 does it on its own."""
        return self.builder.ashr(self.builder.shl(value, self.half), self.half)

    def splat(self, scalar: ir.Value) -> Pair:
        """One i64 in every lane."""
        lanes = everywhere(self.builder, scalar, self.lanes // 2)
        return Pair(lanes, lanes)

    def _shuffled(self, value: ir.Value, order: list[int]) -> ir.Value:
        return self.builder.shuffle_vector(value, value, ir.Constant(ir.VectorType(I32, len(order)), order))

    def rescaled(self, value: Pair, by: Rescaling) -> Pair:
        """``(value * m + add + 1) >> e`` where the product has `bit`, and ``(value * m + add) >> e`` elsewhere."""
        builder, halves = self.builder, []
        for side, (lanes, m, add, e) in enumerate(zip(value, by.m, by.add, by.e, strict=True)):
            product = builder.mul(lanes, m)
            rounded = builder.add(product, add)
            if by.bit is not None:
                has = builder.icmp_unsigned("!=", builder.and_(product, by.bit[side]), self._all(0))
                rounded = builder.add(rounded, builder.zext(has, self.wide))
            halves.append(builder.ashr(rounded, e))
        return Pair(*halves)

    def lowest(self, scaling: Value, e: Pair) -> Pair:
        """The lowest bits of quotients by ``2**e``; 0 for a scaling that rounds no ties to even."""
        odd = everywhere(self.builder, scaling.field("odd").value, self.wide.count)
        return Pair(*(self.builder.shl(odd, shift) for shift in e))

    def _all(self, value: int) -> ir.Value:
        return ir.Constant(self.wide, [value] * self.wide.count)

    def joined(self, value: Pair) -> ir.Value:
        """The vector of i32 whose lanes fit i32."""
        return self.blended(Pair(value.even, self.builder.shl(value.odd, self.half)))

    def blended(self, value: Pair) -> ir.Value:
        """The low halves of the even lanes and the high halves of the odd ones as a vector of i32."""
        even, odd = (self.builder.bitcast(lanes, self.vector) for lanes in value)
        order = [i + self.lanes * (i % 2) for i in range(self.lanes)]
        return self.builder.shuffle_vector(even, odd, ir.Constant(ir.VectorType(I32, self.lanes), order))

    def packed(self, vectors: Sequence[ir.Value], kind: ir.IntType) -> ir.Value | None:
        """Four vectors as bytes, or two as words, saturated; None where there are no such instructions."""
        if self.lanes != 16 or len(vectors) * kind.width != I32.width:
            return None
        words = [
            emit_call(self.builder, "llvm.x86.avx512.packssdw.512", ir.VectorType(ir.IntType(16), 32), a, b)
            for a, b in zip(vectors[::2], vectors[1::2], strict=True)
        ]
        # Each pack interleaves its operands by 128 bits.
        if kind.width == 16:
            return self._ordered(words[0], [2 * lane + half for half in (0, 1) for lane in range(4)], 64)
        bytes_ = emit_call(self.builder, "llvm.x86.avx512.packsswb.512", ir.VectorType(kind, 64), *words)
        return self._ordered(bytes_, [4 * lane + part for part in range(4) for lane in range(4)], 32)

    def _ordered(self, value: ir.Value, order: list[int], bits: int) -> ir.Value:
        parts = self.builder.bitcast(value, ir.VectorType(ir.IntType(bits), 512 // bits))
        return self.builder.bitcast(self._shuffled(parts, order), value.type)

    def clamped(self, value: ir.Value, limits: Pair) -> ir.Value:
        """Saturated to the limits, i64 scalars."""
        kind = value.type
        lo, hi = (everywhere(self.builder, self.builder.trunc(limit, kind.element), kind.count) for limit in limits)
        name = f"v{kind.count}i{kind.element.width}"
        return emit_call(
            self.builder, f"llvm.smin.{name}", kind, emit_call(self.builder, f"llvm.smax.{name}", kind, value, lo), hi
        )


class Constants:
    """The constants of a `Scaling`, column by column; with `ties`, those of ties to even."""

    def __init__(self, arithmetic: Arithmetic, scaling: Value, ties: bool) -> None:
        self.arithmetic, self.scaling, self.ties, self.limits = arithmetic, scaling, ties, _limits(scaling)
        halves = scaling.field("halves")
        self.starts = [halves.at(ir.Constant(I64, i)) for i in range(6)]

    def at(self, index: ir.Value) -> Rescaling:
        """Those of the vector of columns from `index` on; the shifts of odd lanes leave the result in their high halves."""
        arithmetic, builder = self.arithmetic, self.arithmetic.builder
        half = builder.lshr(index, ir.Constant(I64, 1))
        loaded = [arithmetic.load(start, half, arithmetic.wide) for start in self.starts]
        m, add, e = (Pair(*loaded[i : i + 2]) for i in (0, 2, 4))
        bit = arithmetic.lowest(self.scaling, e) if self.ties else None
        return Rescaling(m, add, bit, Pair(e.even, builder.sub(e.odd, arithmetic.half)))


def _limits(scaling: Value) -> Pair:
    """The ends of the format of a scaling."""
    return Pair(*(scaling.field(name).value for name in ("lo", "hi")))


class _Summed:
    """Emits one epilogue, here `Summed`; a subclass computes other values from the sums."""

    def __init__(self, code: TileShape, epilogue: Value, out: Value, row: ir.Value, first: ir.Value, ties: bool) -> None:
        self.builder, self.lanes, self.epilogue, self.ties = code.builder, code.lanes, epilogue, ties
        self.arithmetic = Arithmetic(code.builder, code.lanes)
        self.out, self.row, self.first = out, row, first
        self.prepare()

    limits: Pair  # of the results, unless they are i32

    def prepare(self) -> None:
        """Load what is the same for all columns."""

    def tile(self, sums: Sequence[Sequence[ir.Value]], biases: ir.Value) -> None:
        """Finish and store a tile of sums, by row and vector.

        Vector after vector, so that its constants stay in registers for all rows; results take the registers of the sums.
        """
        lines = [self.builder.add(self.row, ir.Constant(I64, i)) for i in range(len(sums))]
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

    def prepare(self) -> None:
        self.scaling = Constants(self.arithmetic, self.epilogue.field("scaling"), self.ties)
        self.limits = self.scaling.limits

    def constants(self, index: ir.Value) -> Rescaling:
        return self.scaling.at(index)

    def finished(self, value: ir.Value, constants: Any, line: ir.Value, index: ir.Value) -> ir.Value:
        arithmetic = self.arithmetic
        return arithmetic.blended(arithmetic.rescaled(arithmetic.pair(value), constants))


class _Biased(_Scaled):
    """`Biased`: the arm has one multiplier for all columns, what is added is scaled."""

    def prepare(self) -> None:
        super().prepare()
        self.own, self.inner = self._arm("arm"), self.limits
        self.limits = _limits(self.epilogue.field("arm"))
        self.other = self.epilogue.field("other")

    def _arm(self, name: str) -> Rescaling:
        arm = self.epilogue.field(name)
        m, add, e = (self.arithmetic.splat(arm.field(part).item()) for part in ("m", "add", "e"))
        return Rescaling(m, add, self.arithmetic.lowest(arm, e) if self.ties else None, e)

    def finished(self, value: ir.Value, constants: Any, line: ir.Value, index: ir.Value) -> ir.Value:
        own = self._rescaled(value, constants, line, index)
        return self.builder.add(self.arithmetic.joined(own), self._other(line, index))

    def _rescaled(self, value: ir.Value, constants: Any, line: ir.Value, index: ir.Value) -> Pair:
        scaled = self.arithmetic.clamped(super().finished(value, constants, line, index), self.inner)
        return self.arithmetic.rescaled(self.arithmetic.pair(scaled), self.own)

    def _other(self, line: ir.Value, index: ir.Value) -> ir.Value:
        """The other branch as i32."""
        value = self.arithmetic.load(self.other.at(line), index, ir.VectorType(self.other.element, self.lanes))
        return value if self.other.element == I32 else self.builder.sext(value, self.arithmetic.vector)


class _Added(_Biased):
    """`Added`: both arms have one multiplier for all columns."""

    def prepare(self) -> None:
        super().prepare()
        self.others = self._arm("other_arm")

    def finished(self, value: ir.Value, constants: Any, line: ir.Value, index: ir.Value) -> ir.Value:
        own = self._rescaled(value, constants, line, index)
        other = self.arithmetic.rescaled(self.arithmetic.pair(self._other(line, index)), self.others)
        return self.arithmetic.joined(Pair(*(self.builder.add(a, b) for a, b in zip(own, other, strict=True))))


EMITTED: dict[type, type[_Summed]] = {Summed: _Summed, Scaled: _Scaled, Added: _Added, Biased: _Biased}
