"""Requantization of vectors as LLVM code: multiply, round, shift and saturate.

A vector of i32 is multiplied as two vectors of i64, its even and its odd lanes: the processors multiply those without moving
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from llvmlite import ir

from .emitting import I32, I64, Value, emit_call, everywhere


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


class HighRescaling(NamedTuple):
    """The same where the high words of products suffice, of values shifted left first."""

    m: Pair
    add: ir.Value
    e: ir.Value
    shift: ir.Value | None  # by which values are shifted left first


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

    def everywhere(self, scalar: ir.Value) -> ir.Value:
        """One i64, whose value fits i32, in every lane."""
        return everywhere(self.builder, self.builder.trunc(scalar, I32), self.lanes)

    def splat(self, scalar: ir.Value) -> Pair:
        """One i64 in every lane."""
        lanes = everywhere(self.builder, scalar, self.lanes // 2)
        return Pair(lanes, lanes)

    def _shuffled(self, value: ir.Value, order: list[int]) -> ir.Value:
        return self.builder.shuffle_vector(value, value, ir.Constant(ir.VectorType(I32, len(order)), order))

    def rescaled(self, value: ir.Value, by: Rescaling | HighRescaling) -> ir.Value:
        """``round(value * m / 2**e)`` of a vector of i32, whose results fit i32."""
        if isinstance(by, HighRescaling) and by.shift is not None:
            value = self.builder.shl(value, by.shift)
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
        return self.blended(Pair(even, builder.shl(odd, self.half)))

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
    """The constants of a `Scaling`, column by column; those of `HighRescaling` if it is `high`, which may be `lifted`."""

    def __init__(self, arithmetic: Arithmetic, scaling: Value, high: bool, lifted: bool = False) -> None:
        self.shift = arithmetic.everywhere(scaling.field("lift").value) if lifted else None
        self.arithmetic, self.scaling, self.high, self.limits = arithmetic, scaling, high, limits_of(scaling)
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
            return HighRescaling(m, add, e, self.shift)
        loaded = [arithmetic.load(start, half, arithmetic.wide) for start in self.starts[2:]]
        add, shifts = Pair(*loaded[:2]), Pair(*loaded[2:])
        return Rescaling(m, add, arithmetic.lowest(self.scaling, shifts), shifts)


def limits_of(scaling: Value) -> Pair:
    """The ends of the format of a scaling."""
    return Pair(*(scaling.field(name).value for name in ("lo", "hi")))
