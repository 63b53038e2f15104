"""The exponentials and the probabilities of a row, 64 elements at once, as LLVM code for AVX-512 VBMI.

A probability is bits 16 to 31 of the product of two i32, shifted further for fewer bits, so that products of words suffice:
with ``e = 2**16 * eh + el`` and ``f = 2**16 * fh + fl``, modulo 2**16,

    (e * f) >> 16  =  ((el * fl) >> 16) + el * fh + eh * fl
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils as _cgutils

from ..arith import IntArray
from ..arith.jit import intrinsic, overload
from .emitted_lookup import BYTES, Planes, data
from .emitting import I32, I64, emit_call, everywhere
from .lookup import CHUNK, Lookup, PlainLookup
from .shiftmax_rows import Softmax, plain_exponentials, plain_probabilities, row_exponentials, row_probabilities

cgutils: Any = _cgutils  # its functions have no types
INTS, WORDS = ir.VectorType(I32, CHUNK // 4), ir.VectorType(ir.IntType(16), CHUNK // 2)
HALF = CHUNK // 2


@overload(row_exponentials)
def _row_exponentials(how: Any, row: Any, tokens: Any, top: Any, softmax: Any, e: Any, low: Any) -> Callable[..., int]:
    if how.instance_class is PlainLookup:
        return lambda how, row, tokens, top, softmax, e, low: plain_exponentials(row, tokens, top, softmax, e)
    in_order = low.dtype.bitwidth == 16  # bytes are packed in the order in which they were unpacked

    def whole(
        how: Lookup, row: IntArray, tokens: int, top: int, softmax: Softmax, e: IntArray, low: IntArray
    ) -> int:
        chunks = len(row) // CHUNK
        if len(softmax.planes) == 2:
            total = _exponentials(row, top, softmax.planes, e, chunks, 2, in_order)
        else:
            total = _exponentials(row, top, softmax.planes, e, chunks, 4, in_order)
        return total - (len(row) - tokens) * int(softmax.exponentials[top + 128])

    return whole


@overload(row_probabilities)
def _row_probabilities(
    how: Any, e: Any, tokens: Any, f: Any, softmax: Any, split: Any, low: Any, high: Any
) -> Callable[..., int]:
    if how.instance_class is PlainLookup:
        return lambda how, e, tokens, f, softmax, split, low, high: plain_probabilities(
            e, tokens, f, softmax, split, low, high
        )

    def whole(
        how: Lookup,
        e: IntArray,
        tokens: int,
        f: np.int32,
        softmax: Softmax,
        split: bool,
        low: IntArray,
        high: IntArray,
    ) -> int:
        chunks, planes = len(e) // CHUNK, len(softmax.planes)
        if split:
            if planes == 2:
                return _probabilities(e, f, softmax.shift, low, high, chunks, 2, True)
            return _probabilities(e, f, softmax.shift, low, high, chunks, 4, True)
        if planes == 2:
            return _probabilities(e, f, softmax.shift, low, high, chunks, 2, False)
        return _probabilities(e, f, softmax.shift, low, high, chunks, 4, False)

    return whole


@intrinsic(prefer_literal=True)
def _exponentials(
    typing_context: Any, row: Any, top: Any, table: Any, e: Any, chunks: Any, planes: Any, in_order: Any
) -> Any:
    """Store the exponentials as words, the low ones and behind them the high ones; their sum."""
    count, ordered = planes.literal_value, in_order.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> ir.Value:
        row_at, table_at, e_at = (data(context, builder, signature.args[i], arguments[i]) for i in (0, 2, 3))
        code = Planes(builder)
        code.load_planes(table_at, count)
        ones = ir.Constant(INTS, [0x01010101] * INTS.count)
        sums = [cgutils.alloca_once_value(builder, ir.Constant(INTS, [0] * INTS.count)) for _ in range(count)]
        for total in sums:
            builder.store(ir.Constant(INTS, [0] * INTS.count), total)
        with cgutils.for_range(builder, arguments[4], intp=I64) as loop:
            index = code.differences(row_at, loop.index, arguments[1])
            found = [code.find(plane, code.spread(index) if ordered else index) for plane in range(count)]
            for entries, total in zip(found, sums, strict=True):
                bytes_ = builder.bitcast(entries, INTS)
                more = emit_call(builder, "llvm.x86.avx512.vpdpbusd.512", INTS, builder.load(total), bytes_, ones)
                builder.store(more, total)
            for word in range(count // 2):
                for half, pairs in enumerate(code.zipped(found[2 * word], found[2 * word + 1])):
                    code.store(e_at, _half(builder, loop.index, arguments[4], word, half), pairs)
        whole = ir.Constant(I64, 0)
        for plane, total in enumerate(sums):
            lanes = emit_call(builder, "llvm.vector.reduce.add.v16i32", I32, builder.load(total))
            whole = builder.add(whole, builder.shl(builder.zext(lanes, I64), ir.Constant(I64, 8 * plane)))
        return whole

    return types.int64(row, types.int64, table, e, types.int64, planes, in_order), generate


def _half(builder: Any, chunk: ir.Value, chunks: ir.Value, word: int, half: int) -> ir.Value:
    """The index, in chunks of bytes, of half of the low (0) or high (1) words of a chunk of exponentials."""
    first = builder.add(chunk, builder.mul(chunks, ir.Constant(I64, word)))
    return builder.add(builder.shl(first, ir.Constant(I64, 1)), ir.Constant(I64, half))


@intrinsic(prefer_literal=True)
def _probabilities(
    typing_context: Any,
    e: Any,
    f: Any,
    shift: Any,
    low: Any,
    high: Any,
    chunks: Any,
    planes: Any,
    split: Any,
) -> Any:
    """Store the probabilities, or their low bytes and, if `split`, their high ones; the number of high ones that are not 0."""
    words, parted, bytes_ = planes.literal_value // 2, split.literal_value, low.dtype.bitwidth == 8

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> ir.Value:
        e_at, low_at, high_at = (data(context, builder, signature.args[i], arguments[i]) for i in (0, 3, 4))
        code = Planes(builder)
        f_low = everywhere(builder, builder.trunc(arguments[1], WORDS.element), HALF)
        f_high = everywhere(builder, builder.trunc(builder.lshr(arguments[1], ir.Constant(I32, 16)), WORDS.element), HALF)
        further = builder.trunc(builder.sub(arguments[2], ir.Constant(I64, 16)), WORDS.element)
        by, byte = everywhere(builder, further, HALF), ir.Constant(WORDS, [255] * HALF)
        count = cgutils.alloca_once(builder, I64)
        builder.store(ir.Constant(I64, 0), count)
        with cgutils.for_range(builder, arguments[5], intp=I64) as loop:
            halves = []
            for half in range(2):
                e_words = [
                    builder.bitcast(code.load(e_at, _half(builder, loop.index, arguments[5], word, half)), WORDS)
                    for word in range(words)
                ]
                product = builder.add(_high_words(builder, e_words[0], f_low), builder.mul(e_words[0], f_high))
                if words == 2:
                    product = builder.add(product, builder.mul(e_words[1], f_low))
                halves.append(builder.ashr(product, by))
            if not bytes_:
                for half, p in enumerate(halves):
                    code.store(low_at, _half(builder, loop.index, arguments[5], 0, half), builder.bitcast(p, BYTES))
            else:
                lows = (builder.and_(p, byte) for p in halves)
                code.store(low_at, loop.index, emit_call(builder, PACK, BYTES, *lows))
            if parted:
                highs = (builder.lshr(p, ir.Constant(WORDS, [8] * HALF)) for p in halves)
                packed = emit_call(builder, PACK, BYTES, *highs)
                code.store(high_at, loop.index, packed)
                some = builder.bitcast(builder.icmp_unsigned("!=", packed, ir.Constant(BYTES, [0] * CHUNK)), I64)
                builder.store(builder.add(builder.load(count), emit_call(builder, "llvm.ctpop.i64", I64, some)), count)
        return builder.load(count)

    return types.int64(e, types.int32, types.int64, low, high, types.int64, planes, split), generate


PACK = "llvm.x86.avx512.packuswb.512"


def _high_words(builder: Any, a: ir.Value, b: ir.Value) -> ir.Value:
    """The high words of products of unsigned words."""
    wide = ir.VectorType(I32, HALF)
    product = builder.mul(builder.zext(a, wide), builder.zext(b, wide))
    return builder.trunc(builder.lshr(product, ir.Constant(wide, [16] * HALF)), WORDS)
