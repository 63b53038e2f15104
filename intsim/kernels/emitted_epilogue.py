"""Epilogues as LLVM code on the registers of a tile: bias, multiplication, shift, residual sum, saturation and store.

A vector of i32 is multiplied as two vectors of i64, its even and its odd lanes: the processors multiply those without moving
them. Only `quick` epilogues are emitted: rounding adds one constant before the shift, and every result before saturation
fits i32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from llvmlite import ir

from .emitting import I32, I64, Value, cgutils, choices, emit_call, everywhere
from .epilogue import Added, Biased, Scaled, Summed
from .scaling import WORD_SHIFT


def finish(
    code: TileShape,
    registers: Sequence[Sequence[ir.Value]],
    epilogue: Value,
    bias: Value,
    out: Value,
    row: ir.Value,
    first: ir.Value,
    room: Room,
) -> None:
    """Emit the epilogue of a tile: sums by row and vector, into `out` from row `row` and column `first` on.

    Where the high words of products do not suffice, the sums go through `room`: that is rare, and code in a loop is short.
    """
    kind = EMITTED[epilogue.kind.instance_class]
    if kind is _Summed:
        kind(code, epilogue, out, row, first, high=False).tile(registers, bias.start())
        return
    for high in choices(code.builder, epilogue.field("high").value):
        emitted = kind(code, epilogue, out, row, first, high)
        if high:
            emitted.tile(registers, bias.start())
            continue
        code.store(registers, room.start, room.stride)
        with (
            cgutils.for_range(code.builder, I64(len(registers[0])), intp=I64) as vector,
            cgutils.for_range(code.builder, I64(len(registers)), intp=I64) as line,
        ):
            emitted.vector(room, line.index, vector.index, bias.start())


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


class Pair(NamedTuple):
    """The even and the odd lanes of a vector of i32, sign-extended to i64."""

    even: ir.Value
    odd: ir.Value


class Rescaling(NamedTuple):
    """Multiplier, rounding terms and shift of a vector's lanes; a result needs all bits of its product."""

    m: Pair
    add: Pair
    bit: Pair  # the lowest bit of the quotient, for ties to even: a product that has it rounds up by one more
    e: Pair
    lifted: bool  # whether the shifts of odd lanes are less by 32


class HighRescaling(NamedTuple):
    """The same where the high words of products suffice, of values shifted left first."""

    m: Pair
    add: ir.Value
    e: ir.Value
    shift: int


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
        """The low halves of i64 lanes, sign-extended.

        Where both factors are, LLVM multiplies by ``vpmuldq``, which extends them itself, and no shift remains.
        """
        return self.builder.ashr(self.builder.shl(value, self.half), self.half)

    def splat(self, scalar: ir.Value) -> Pair:
        """One i64 in every lane."""
        lanes = everywhere(self.builder, scalar, self.lanes // 2)
        return Pair(lanes, lanes)

    def _shuffled(self, value: ir.Value, order: list[int]) -> ir.Value:
        return self.builder.shuffle_vector(value, value, ir.Constant(ir.VectorType(I32, len(order)), order))

    def rescaled(self, value: ir.Value, by: Rescaling | HighRescaling) -> ir.Value:
        """``round(value * m / 2**e)`` of a vector of i32, whose results fit i32."""
        if isinstance(by, HighRescaling):
            value = self.builder.shl(value, ir.Constant(self.vector, [by.shift] * self.lanes))
        return self.rescaled_pair(self.pair(value), by)

    def rescaled_pair(self, value: Pair, by: Rescaling | HighRescaling) -> ir.Value:
        """The same of the halves of a vector, which are shifted already: ``(value * m + add) >> e``, in `Rescaling` with one
        more where the product has `bit`.
        """
        if isinstance(by, HighRescaling):
            return self._high(value, by)
        builder, halves = self.builder, []
        for lanes, m, add, bit, e in zip(value, by.m, by.add, by.bit, by.e, strict=True):
            product = builder.mul(lanes, self.extended(m))
            has = builder.icmp_unsigned("!=", builder.and_(product, bit), self._all(0))
            halves.append(builder.ashr(builder.add(builder.add(product, add), builder.zext(has, self.wide)), e))
        even, odd = halves
        return self.blended(Pair(even, odd if by.lifted else builder.shl(odd, self.half)))

    def _high(self, value: Pair, by: HighRescaling) -> ir.Value:
        """The high words of products, to which `add` and the shift are applied: the low words take no part in a carry."""
        products = [self.builder.mul(lanes, self.extended(m)) for lanes, m in zip(value, by.m, strict=True)]
        even, odd = (self.builder.bitcast(product, self.vector) for product in products)
        order = [i + 1 if i % 2 == 0 else i + self.lanes for i in range(self.lanes)]
        high = self.builder.shuffle_vector(even, odd, ir.Constant(ir.VectorType(I32, self.lanes), order))
        return self.builder.ashr(self.builder.add(high, by.add), by.e)

    def lowest(self, scaling: Value, e: Pair) -> Pair:
        """The lowest bits of quotients by ``2**e``; 0 for a scaling that rounds no ties to even."""
        odd = everywhere(self.builder, scaling.field("odd").value, self.wide.count)
        return Pair(*(self.builder.shl(odd, shift) for shift in e))

    def _all(self, value: int) -> ir.Value:
        return ir.Constant(self.wide, [value] * self.wide.count)

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
    """The constants of a `Scaling`, column by column; those of `HighRescaling` if it is `high`."""

    def __init__(self, arithmetic: Arithmetic, scaling: Value, high: bool) -> None:
        self.arithmetic, self.scaling, self.high, self.limits = arithmetic, scaling, high, _limits(scaling)
        halves, words = scaling.field("halves"), scaling.field("high_words")
        self.starts = [halves.at(ir.Constant(I64, i)) for i in range(6)]
        self.words = [words.at(ir.Constant(I64, i)) for i in range(2)]

    def at(self, index: ir.Value) -> Rescaling | HighRescaling:
        """Those of the vector of columns from `index` on."""
        arithmetic, builder = self.arithmetic, self.arithmetic.builder
        half = builder.lshr(index, ir.Constant(I64, 1))
        m = Pair(*(arithmetic.load(start, half, arithmetic.wide) for start in self.starts[:2]))
        if self.high:
            add, e = (arithmetic.load(start, index, arithmetic.vector) for start in self.words)
            return HighRescaling(m, add, e, 0)
        loaded = [arithmetic.load(start, half, arithmetic.wide) for start in self.starts[2:]]
        add, shifts = Pair(*loaded[:2]), Pair(*loaded[2:])
        lifted = Pair(shifts.even, builder.sub(shifts.odd, arithmetic.half))
        return Rescaling(m, add, arithmetic.lowest(self.scaling, shifts), lifted, lifted=True)


def _limits(scaling: Value) -> Pair:
    """The ends of the format of a scaling."""
    return Pair(*(scaling.field(name).value for name in ("lo", "hi")))


class _Summed:
    """Emits one epilogue, here `Summed`; a subclass computes other values from the sums."""

    def __init__(self, code: TileShape, epilogue: Value, out: Value, row: ir.Value, first: ir.Value, high: bool) -> None:
        self.builder, self.lanes, self.epilogue, self.high = code.builder, code.lanes, epilogue, high
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

    def vector(self, room: Room, row: ir.Value, vector: ir.Value, biases: ir.Value) -> None:
        """Finish and store one vector of the stored sums."""
        builder, arithmetic = self.builder, self.arithmetic
        offset = builder.mul(vector, I64(self.lanes))
        index, line = builder.add(self.first, offset), builder.add(self.row, row)
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

    def prepare(self) -> None:
        self.scaling = Constants(self.arithmetic, self.epilogue.field("scaling"), self.high)
        self.limits = self.scaling.limits

    def constants(self, index: ir.Value) -> Rescaling | HighRescaling:
        return self.scaling.at(index)

    def finished(self, value: ir.Value, constants: Any, line: ir.Value, index: ir.Value) -> ir.Value:
        return self.arithmetic.rescaled(value, constants)


class _Biased(_Scaled):
    """`Biased`: the arm has one multiplier for all columns, what is added is scaled."""

    def prepare(self) -> None:
        super().prepare()
        self.own, self.inner = self._arm("arm"), self.limits
        self.limits = _limits(self.epilogue.field("arm"))
        self.other = self.epilogue.field("other")

    def _arm(self, name: str) -> Rescaling | HighRescaling:
        arm, arithmetic, builder = self.epilogue.field(name), self.arithmetic, self.builder
        m, add, e = (arm.field(part).item() for part in ("m", "add", "e"))
        if self.high:
            words = builder.ashr(add, I64(32 - WORD_SHIFT)), builder.sub(e, I64(32 - WORD_SHIFT))
            add, e = (everywhere(builder, builder.trunc(word, I32), self.lanes) for word in words)
            return HighRescaling(arithmetic.splat(m), add, e, WORD_SHIFT)
        m, add, e = (arithmetic.splat(value) for value in (m, add, e))
        return Rescaling(m, add, arithmetic.lowest(arm, e), e, lifted=False)

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

    def prepare(self) -> None:
        super().prepare()
        self.others = self._arm("other_arm")

    def finished(self, value: ir.Value, constants: Any, line: ir.Value, index: ir.Value) -> ir.Value:
        other = self.arithmetic.rescaled(self._other(line, index), self.others)
        return self.builder.add(self._rescaled(value, constants, line, index), other)


EMITTED: dict[type, type[_Summed]] = {Summed: _Summed, Scaled: _Scaled, Added: _Added, Biased: _Biased}
