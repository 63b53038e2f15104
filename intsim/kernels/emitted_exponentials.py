"""The exponentials of a row, 64 elements at once, as LLVM code for AVX-512 VBMI."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils as _cgutils

from ..arith import IntArray
from ..arith.jit import intrinsic, overload
from .emitted_lookup import BYTES, Planes
from .emitting import I32, I64, Value, choices, each, emit_call, everywhere, named
from .exponentials import Exponentials, Softmax, plain_exponentials, row_exponentials
from .logits import Mask
from .lookup import CHUNK, Lookup, PlainLookup

cgutils: Any = _cgutils  # its functions have no types
INTS = ir.VectorType(I32, CHUNK // 4)
DOT = "llvm.x86.avx512.vpdpbusd.512"


@overload(row_exponentials)
def _row_exponentials(
    how: Any, x: Any, start: Any, count: Any, tokens: Any, first: Any, mask: Any, softmax: Any, room: Any, low: Any
) -> Callable[..., None]:
    if how.instance_class is PlainLookup:
        return lambda how, x, start, count, tokens, first, mask, softmax, room, low: plain_exponentials(
            x, start, count, tokens, first, mask, softmax, room
        )
    in_order = low.dtype.bitwidth == 16  # bytes are packed in the order in which they were unpacked

    def whole(
        how: Lookup,
        x: IntArray,
        start: int,
        count: int,
        tokens: int,
        first: int,
        mask: Mask,
        softmax: Softmax,
        room: Exponentials,
        low: IntArray,
    ) -> None:
        if len(softmax.planes) == 3:
            _exponentials(x, start, count, tokens, first, mask, softmax, room, 3, in_order)
        else:
            _exponentials(x, start, count, tokens, first, mask, softmax, room, 4, in_order)

    return whole


@intrinsic(prefer_literal=True)
def _exponentials(
    typing_context: Any,
    x: Any,
    start: Any,
    count: Any,
    tokens: Any,
    first: Any,
    mask: Any,
    softmax: Any,
    room: Any,
    planes: Any,
    in_order: Any,
) -> Any:
    """Store the exponentials as words, the low ones and behind them the high ones, and their sums."""
    names = "x start count tokens first mask softmax room planes in_order"
    wide, ordered = planes.literal_value, in_order.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = named(names, signature, arguments, context, builder)
        emitted = _Exponentials(builder, values, wide, ordered)
        for single in choices(builder, builder.icmp_signed("==", emitted.chunks, ir.Constant(I64, 1))):
            for whole in choices(builder, values["mask"].field("whole").value):
                emitted.rows(masked=not whole, single=single)
        return context.get_dummy_value()

    return types.void(x, types.int64, types.int64, types.int64, types.int64, mask, softmax, room, planes, in_order), generate


class _Exponentials:
    """Emits the exponentials of a row."""

    def __init__(self, builder: Any, values: dict[str, Value], count: int, ordered: bool) -> None:
        self.builder, self.values, self.count, self.ordered = builder, values, count, ordered
        self.code = Planes(builder)
        self.code.load_planes(values["softmax"].field("planes").start(), count)
        self.chunks = builder.udiv(values["x"].length(1), ir.Constant(I64, CHUNK))
        self.e, self.totals = values["room"].field("e"), values["room"].field("totals").start()
        self.regions = values["mask"].field("regions").start()

    def rows(self, masked: bool, single: bool) -> None:
        """Emit all rows; `single`: of one chunk each."""
        with cgutils.for_range(self.builder, self.values["count"].value, intp=I64) as row:
            self._row(row.index, masked, None if single else self.chunks)

    def _row(self, row: ir.Value, masked: bool, chunks: ir.Value | None) -> None:
        builder, code = self.builder, self.code
        line = builder.add(self.values["start"].value, row)
        row_at, e_at = self.values["x"].at(line), self.e.at(row)
        own = None
        if masked:
            own_at = builder.add(self.regions, builder.add(self.values["first"].value, line))
            own = everywhere(builder, builder.load(builder.inttoptr(own_at, BYTES.element.as_pointer())), CHUNK)
        lowest = ir.Constant(BYTES, [-128] * CHUNK)
        tops = cgutils.alloca_once(builder, BYTES)
        builder.store(lowest, tops)
        with each(builder, chunks) as chunk:
            value = code.load(row_at, chunk)
            if own is not None:
                value = builder.select(self._seen(own, chunk), value, lowest)
            builder.store(emit_call(builder, "llvm.smax.v64i8", BYTES, builder.load(tops), value), tops)
        top = builder.sext(emit_call(builder, "llvm.vector.reduce.smax.v64i8", BYTES.element, builder.load(tops)), I64)
        sums = [cgutils.alloca_once(builder, INTS) for _ in range(self.count)]
        for total in sums:
            builder.store(ir.Constant(INTS, [0] * INTS.count), total)
        with each(builder, chunks) as chunk:
            index = code.differences(row_at, chunk, top)
            found = [code.find(plane, index) for plane in range(self.count)]
            if own is not None:
                found = self._masked(found, own, chunk)
            self._add(found, sums)
            if self.ordered:
                found = [code.spread(entries) for entries in found]
            found += [ir.Constant(BYTES, [0] * CHUNK)] * (4 - len(found))
            for word in range(2):
                for half, pairs in enumerate(code.zipped(found[2 * word], found[2 * word + 1])):
                    code.store(e_at, half_of(builder, chunk, self.chunks, word, half), pairs)
        total = self._whole(sums)
        if own is None:
            total = builder.sub(total, self._filling(top))
        at = builder.add(self.totals, builder.mul(row, ir.Constant(I64, 8)))
        builder.store(total, builder.inttoptr(at, I64.as_pointer()))

    def _seen(self, own: ir.Value, chunk: ir.Value) -> ir.Value:
        return self.builder.icmp_unsigned("==", self.code.load(self.regions, chunk), own)

    def _masked(self, found: list[ir.Value], own: ir.Value, chunk: ir.Value) -> list[ir.Value]:
        """The bytes of exponentials: `floor` for tokens that are not seen, 0 behind the last token."""
        builder, seen = self.builder, self._seen(own, chunk)
        lanes = builder.add(
            everywhere(builder, builder.mul(chunk, ir.Constant(I64, CHUNK)), CHUNK),
            ir.Constant(ir.VectorType(I64, CHUNK), list(range(CHUNK))),
        )
        inside = builder.icmp_signed("<", lanes, everywhere(builder, self.values["tokens"].value, CHUNK))
        floor, nothing = self.values["mask"].field("floor").value, ir.Constant(BYTES, [0] * CHUNK)
        result = []
        for plane, entries in enumerate(found):
            byte = builder.trunc(builder.lshr(floor, ir.Constant(I64, 8 * plane)), BYTES.element)
            entries = builder.select(seen, entries, everywhere(builder, byte, CHUNK))
            result.append(builder.select(inside, entries, nothing))
        return result

    def _add(self, found: list[ir.Value], sums: list[ir.Value]) -> None:
        ones = ir.Constant(INTS, [0x01010101] * INTS.count)
        for entries, total in zip(found, sums, strict=True):
            before, groups = self.builder.load(total), self.builder.bitcast(entries, INTS)
            self.builder.store(emit_call(self.builder, DOT, INTS, before, groups, ones), total)

    def _whole(self, sums: list[ir.Value]) -> ir.Value:
        """The sum of all lanes, i64; those of two planes together fit i32."""
        builder, whole = self.builder, ir.Constant(I64, 0)
        for word in range(2):
            both = builder.load(sums[2 * word])
            if 2 * word + 1 < len(sums):
                high = builder.load(sums[2 * word + 1])
                both = builder.add(both, builder.shl(high, ir.Constant(INTS, [8] * INTS.count)))
            lanes = emit_call(builder, "llvm.vector.reduce.add.v16i32", I32, both)
            whole = builder.add(whole, builder.shl(builder.zext(lanes, I64), ir.Constant(I64, 16 * word)))
        return whole

    def _filling(self, top: ir.Value) -> ir.Value:
        """What the elements behind the last token, -128, added to the sum."""
        builder = self.builder
        missing = builder.sub(self.values["x"].length(1), self.values["tokens"].value)
        index = builder.mul(builder.add(top, ir.Constant(I64, 128)), ir.Constant(I64, 4))
        at = builder.add(self.values["softmax"].field("exponentials").start(), index)
        each = builder.sext(builder.load(builder.inttoptr(at, I32.as_pointer())), I64)
        return builder.mul(missing, each)


def half_of(builder: Any, chunk: ir.Value, chunks: ir.Value, word: int, half: int) -> ir.Value:
    """The index, in chunks of bytes, of half of the low (0) or high (1) words of a chunk of exponentials."""
    first = builder.add(chunk, builder.mul(chunks, ir.Constant(I64, word)))
    return builder.add(builder.shl(first, ir.Constant(I64, 1)), ir.Constant(I64, half))
