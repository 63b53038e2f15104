"""The probabilities of a row, 64 elements at once, as LLVM code for AVX-512 VBMI.

A probability is bits 16 to 31 of the product of two i32, shifted further for fewer bits, so that products of words suffice:
with ``e = 2**16 * eh + el`` and ``f = 2**16 * fh + fl``, modulo 2**16,

    (e * f) >> 16  =  ((el * fl) >> 16) + el * fh + eh * fl
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils as _cgutils

from ..arith import IntArray
from ..arith.jit import intrinsic, overload
from .emitted_exponentials import half_of
from .emitted_lookup import BYTES, Planes
from .emitting import I32, I64, Value, choices, each, emit_call, everywhere, named, pointer
from .exponentials import Exponentials, Softmax, plain_probabilities, row_probabilities
from .lookup import CHUNK, Lookup, PlainLookup

cgutils: Any = _cgutils  # its functions have no types
HALF = CHUNK // 2
WORDS = ir.VectorType(ir.IntType(16), HALF)
PACK = "llvm.x86.avx512.packuswb.512"


@overload(row_probabilities)
def _row_probabilities(
    how: Any,
    room: Any,
    start: Any,
    count: Any,
    tokens: Any,
    softmax: Any,
    low: Any,
    high: Any,
    counts: Any,
) -> Callable[..., None]:
    if how.instance_class is PlainLookup:
        return lambda how, room, start, count, tokens, softmax, low, high, counts: plain_probabilities(
            room, start, count, tokens, softmax, low, high, counts
        )

    def whole(
        how: Lookup,
        room: Exponentials,
        start: int,
        count: int,
        tokens: int,
        softmax: Softmax,
        low: IntArray,
        high: IntArray,
        counts: IntArray,
    ) -> None:
        _probabilities(room, start, count, softmax.shift, low, high, counts)

    return whole


@intrinsic(prefer_literal=True)
def _probabilities(
    typing_context: Any, room: Any, start: Any, count: Any, shift: Any, low: Any, high: Any, counts: Any
) -> Any:
    """Store the probabilities, or their low bytes and, where a row splits, its high ones, and count them."""
    names = "room start count shift low high counts"

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = named(names, signature, arguments, context, builder)
        emitted = _Probabilities(builder, values)
        for single in choices(builder, builder.icmp_signed("==", emitted.chunks, ir.Constant(I64, 1))):
            with cgutils.for_range(builder, values["count"].value, intp=I64) as row:
                if low.dtype.bitwidth == 16:
                    emitted.row(row.index, False, single)
                else:
                    for split in choices(builder, emitted.splits(row.index)):
                        emitted.row(row.index, split, single)
        return context.get_dummy_value()

    return types.void(room, types.int64, types.int64, types.int64, low, high, counts), generate


class _Probabilities:
    """Emits the probabilities of a row."""

    def __init__(self, builder: Any, values: dict[str, Value]) -> None:
        self.builder, self.values, self.code = builder, values, Planes(builder)
        room = values["room"]
        self.e, self.factors, self.split_flags = (room.field(name) for name in ("e", "factors", "splits"))
        self.chunks = builder.udiv(self.e.length(1), ir.Constant(I64, CHUNK))
        further = builder.trunc(builder.sub(values["shift"].value, ir.Constant(I64, 16)), WORDS.element)
        self.by = everywhere(builder, further, HALF)

    def splits(self, row: ir.Value) -> ir.Value:
        """Whether a row has high bytes."""
        at = pointer(self.builder, self.split_flags.at(row), BYTES.element)
        return self.builder.icmp_unsigned("!=", self.builder.load(at), ir.Constant(BYTES.element, 0))

    def row(self, row: ir.Value, split: bool, single: bool) -> None:
        builder, code = self.builder, self.code
        line = builder.add(self.values["start"].value, row)
        e_at, low_at, high_at = self.e.at(row), self.values["low"].at(line), self.values["high"].at(line)
        f = builder.load(pointer(builder, self.factors.at(row), I32))
        word = WORDS.element
        f_low = everywhere(builder, builder.trunc(f, word), HALF)
        f_high = everywhere(builder, builder.trunc(builder.lshr(f, ir.Constant(I32, 16)), word), HALF)
        count = cgutils.alloca_once(builder, I64)
        builder.store(ir.Constant(I64, 0), count)
        with each(builder, None if single else self.chunks) as chunk:
            halves = [self._shares(e_at, chunk, half, f_low, f_high) for half in range(2)]
            if self.values["low"].element == word:
                for half, p in enumerate(halves):
                    code.store(low_at, half_of(builder, chunk, self.chunks, 0, half), builder.bitcast(p, BYTES))
            else:
                lows = (builder.and_(p, ir.Constant(WORDS, [255] * HALF)) for p in halves)
                code.store(low_at, chunk, emit_call(builder, PACK, BYTES, *lows))
            if split:
                highs = (builder.lshr(p, ir.Constant(WORDS, [8] * HALF)) for p in halves)
                packed = emit_call(builder, PACK, BYTES, *highs)
                code.store(high_at, chunk, packed)
                some = builder.bitcast(builder.icmp_unsigned("!=", packed, ir.Constant(BYTES, [0] * CHUNK)), I64)
                builder.store(builder.add(builder.load(count), emit_call(builder, "llvm.ctpop.i64", I64, some)), count)
        builder.store(builder.load(count), pointer(builder, self.values["counts"].at(line), I64))

    def _shares(self, e_at: ir.Value, chunk: ir.Value, half: int, f_low: ir.Value, f_high: ir.Value) -> ir.Value:
        """The probabilities of half a chunk, as words."""
        builder = self.builder
        e = [
            builder.bitcast(self.code.load(e_at, half_of(builder, chunk, self.chunks, word, half)), WORDS)
            for word in range(2)
        ]
        product = builder.add(_high_words(builder, e[0], f_low), builder.mul(e[0], f_high))
        product = builder.add(product, builder.mul(e[1], f_low))
        return builder.ashr(product, self.by)


def _high_words(builder: Any, a: ir.Value, b: ir.Value) -> ir.Value:
    """The high words of products of unsigned words."""
    wide = ir.VectorType(I32, HALF)
    product = builder.mul(builder.zext(a, wide), builder.zext(b, wide))
    return builder.trunc(builder.lshr(product, ir.Constant(wide, [16] * HALF)), WORDS)
