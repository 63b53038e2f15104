"""Lookup of 64 elements at once as LLVM code, with the table in registers: `lookup.sum_chunks` and `lookup.map_chunks`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils as _cgutils

from ..arith import IntArray
from ..arith.jit import intrinsic, overload
from .emitted_tile import emit_call
from .lookup import CHUNK, Lookup, PlainLookup, map_chunks, sum_chunks

cgutils: Any = _cgutils  # its functions have no types
BYTE, I64 = ir.IntType(8), ir.IntType(64)
BYTES, INTS = ir.VectorType(BYTE, CHUNK), ir.VectorType(ir.IntType(32), CHUNK // 4)
PARTS = 4  # registers per plane of 256 entries


@overload(sum_chunks)
def _sum_chunks(
    how: Any, x: Any, top: Any, exponentials: Any
) -> Callable[[Lookup, IntArray, int, IntArray], tuple[int, int]]:
    if how.instance_class is PlainLookup:
        return lambda how, x, top, exponentials: (0, 0)

    def whole(how: Lookup, x: IntArray, top: int, exponentials: IntArray) -> tuple[int, int]:
        chunks = len(x) // how.chunk
        return _sum(x, top, exponentials, chunks), chunks * how.chunk

    return whole


@overload(map_chunks)
def _map_chunks(
    how: Any, x: Any, top: Any, table: Any, out: Any
) -> Callable[[Lookup, IntArray, int, IntArray, IntArray], int]:
    if how.instance_class is PlainLookup:
        return lambda how, x, top, table, out: 0

    def whole(how: Lookup, x: IntArray, top: int, table: IntArray, out: IntArray) -> int:
        chunks = len(x) // how.chunk
        _map(x, top, table, out, chunks)
        return chunks * how.chunk

    return whole


@intrinsic()
def _sum(typing_context: Any, x: Any, top: Any, exponentials: Any, chunks: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> ir.Value:
        x_at, table_at = (_data(context, builder, signature.args[i], arguments[i]) for i in (0, 2))
        code = _Planes(builder)
        code.load_planes(table_at, 4)
        ones = ir.Constant(INTS, [0x01010101] * INTS.count)
        sums = [cgutils.alloca_once_value(builder, ir.Constant(INTS, [0] * INTS.count)) for _ in range(4)]
        with cgutils.for_range(builder, arguments[3], intp=I64) as loop:
            index = code.differences(x_at, loop.index, arguments[1])
            for plane, total in enumerate(sums):
                entries = builder.bitcast(code.find(plane, index), INTS)
                more = emit_call(builder, "llvm.x86.avx512.vpdpbusd.512", INTS, builder.load(total), entries, ones)
                builder.store(more, total)
        whole = ir.Constant(I64, 0)
        for plane, total in enumerate(sums):
            lanes = emit_call(builder, "llvm.vector.reduce.add.v16i32", ir.IntType(32), builder.load(total))
            whole = builder.add(whole, builder.shl(builder.zext(lanes, I64), ir.Constant(I64, 8 * plane)))
        return whole

    return types.int64(x, types.int64, exponentials, types.int64), generate


@intrinsic()
def _map(typing_context: Any, x: Any, top: Any, table: Any, out: Any, chunks: Any) -> Any:
    words, wide = table.dtype.bitwidth == 16, out.dtype.bitwidth == 16

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x_at, table_at, out_at = (_data(context, builder, signature.args[i], arguments[i]) for i in (0, 2, 3))
        code = _Planes(builder)
        if words:
            code.load_words(table_at)
        else:
            code.load_planes(table_at, 1)
        with cgutils.for_range(builder, arguments[4], intp=I64) as loop:
            index = code.differences(x_at, loop.index, arguments[1])
            if wide:
                low, high = (code.find(plane, code.spread(index)) for plane in (0, 1))
                first = builder.shl(loop.index, ir.Constant(I64, 1))
                for half, pairs in enumerate(code.zipped(low, high)):
                    code.store(out_at, builder.add(first, ir.Constant(I64, half)), pairs)
            else:
                code.store(out_at, loop.index, code.find(0, index))
        return context.get_dummy_value()

    return types.void(x, types.int64, table, out, types.int64), generate


def _data(context: Any, builder: Any, kind: Any, value: Any) -> ir.Value:
    """The address of the first element of an array."""
    return builder.ptrtoint(context.make_array(kind)(context, builder, value).data, I64)


class _Planes:
    """Emits lookups in planes that are in registers."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder
        self.registers: list[list[ir.Value]] = []

    def load_planes(self, table_at: ir.Value, count: int) -> None:
        """Load a table that is stored as planes."""
        for plane in range(count):
            self.registers.append([self.load(table_at, plane * PARTS + part) for part in range(PARTS)])

    def load_words(self, table_at: ir.Value) -> None:
        """Load a table of words as a plane of low bytes and a plane of high bytes."""
        pairs = [(self.load(table_at, 2 * part), self.load(table_at, 2 * part + 1)) for part in range(PARTS)]
        for byte in range(2):
            order = list(range(byte, 2 * CHUNK, 2))
            self.registers.append([self._shuffle(first, second, order) for first, second in pairs])

    def at(self, address: ir.Value, chunk: ir.Value | int) -> ir.Value:
        """A pointer to one chunk of bytes."""
        chunk = ir.Constant(I64, chunk) if isinstance(chunk, int) else chunk
        offset = self.builder.mul(chunk, ir.Constant(I64, CHUNK))
        return self.builder.inttoptr(self.builder.add(address, offset), BYTES.as_pointer())

    def load(self, address: ir.Value, chunk: ir.Value | int) -> ir.Value:
        return self.builder.load(self.at(address, chunk), align=1)

    def store(self, address: ir.Value, chunk: ir.Value, value: ir.Value) -> None:
        self.builder.store(value, self.at(address, chunk), align=1)

    def differences(self, x_at: ir.Value, chunk: ir.Value, top: ir.Value) -> ir.Value:
        """``top - x`` modulo 256 for one chunk of x."""
        byte = self.builder.trunc(top, BYTE)
        first = self.builder.insert_element(ir.Constant(BYTES, ir.Undefined), byte, ir.Constant(ir.IntType(32), 0))
        tops = self._shuffle(first, first, [0] * CHUNK)
        return self.builder.sub(tops, self.load(x_at, chunk))

    def find(self, plane: int, index: ir.Value) -> ir.Value:
        """The entries of a plane: two registers contain the entries of the lower 128 indices, two those of the upper."""
        a, b, c, d = self.registers[plane]
        lower = emit_call(self.builder, "llvm.x86.avx512.vpermi2var.qi.512", BYTES, a, index, b)
        upper = emit_call(self.builder, "llvm.x86.avx512.vpermi2var.qi.512", BYTES, c, index, d)
        is_upper = self.builder.icmp_signed("<", index, ir.Constant(BYTES, [0] * CHUNK))
        return self.builder.select(is_upper, upper, lower)

    def spread(self, index: ir.Value) -> ir.Value:
        """The elements reordered, so that `zipped` returns them in consecutive order."""
        eighths = [0, 4, 1, 5, 2, 6, 3, 7]
        return self._shuffle(index, index, [8 * eighth + i for eighth in eighths for i in range(8)])

    def zipped(self, low: ir.Value, high: ir.Value) -> list[ir.Value]:
        """Low and high bytes interleaved: a vector from the lower eight bytes of every 128 bits, and one from the upper."""
        halves = [[16 * lane + 8 * half + i for lane in range(4) for i in range(8)] for half in (0, 1)]
        return [self._shuffle(low, high, [i for k in half for i in (k, k + CHUNK)]) for half in halves]

    def _shuffle(self, a: ir.Value, b: ir.Value, order: list[int]) -> ir.Value:
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(order)), order))
