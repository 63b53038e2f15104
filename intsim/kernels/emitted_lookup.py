"""Lookup of 64 elements at once as LLVM code, with the table in registers: `lookup.map_chunks`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils as _cgutils

from ..arith import IntArray
from ..arith.jit import intrinsic, overload
from .emitting import I64, emit_call
from .lookup import CHUNK, Lookup, PlainLookup, map_chunks

cgutils: Any = _cgutils  # its functions have no types
BYTE = ir.IntType(8)
BYTES = ir.VectorType(BYTE, CHUNK)
PARTS = 4  # registers per plane of 256 entries


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
def _map(typing_context: Any, x: Any, top: Any, table: Any, out: Any, chunks: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x_at, table_at, out_at = (data(context, builder, signature.args[i], arguments[i]) for i in (0, 2, 3))
        code = Planes(builder)
        code.load_planes(table_at, 1)
        with cgutils.for_range(builder, arguments[4], intp=I64) as loop:
            code.store(out_at, loop.index, code.find(0, code.differences(x_at, loop.index, arguments[1])))
        return context.get_dummy_value()

    return types.void(x, types.int64, table, out, types.int64), generate


def data(context: Any, builder: Any, kind: Any, value: Any) -> ir.Value:
    """The address of the first element of an array."""
    return builder.ptrtoint(context.make_array(kind)(context, builder, value).data, I64)


class Planes:
    """Emits lookups in planes that are in registers."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder
        self.registers: list[list[ir.Value]] = []

    def load_planes(self, table_at: ir.Value, count: int) -> None:
        """Load a table that is stored as planes."""
        for plane in range(count):
            self.registers.append([self.load(table_at, plane * PARTS + part) for part in range(PARTS)])

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
