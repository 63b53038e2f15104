"""A tile of sums by AMX: sixteen rows by sixteen columns in each of four of its registers, 64 bytes of the depth at a time.

The layouts are those of `VnniBytes`, of which sixteen groups are one matrix; its instruction takes the groups that are left.
The sums go through memory, where the epilogue loads them four rows at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llvmlite import ir

from .emitted_tile import Sums, TileCode, dot
from .emitting import I64, cgutils, emit_call

BYTE = ir.IntType(8)
SIDE = 16  # rows of a register, each of 64 bytes
LEFT, RIGHT = 4, 5  # the registers of the operands; those below hold sums
FINISHED = 4  # rows in vector registers at once
# What the registers hold, as LDTILECFG reads it: palette 1, 14 bytes of 0, eight widths in bytes of 16 bits, eight heights.
SHAPES = bytes([1, *[0] * 15, *[64, 0] * 8, *[0] * 16, *[SIDE] * 8, *[0] * 8])


class AmxTileCode(TileCode):
    """Emits the code of one tile between `begin` and `end`, which say what the registers hold, and that they are free."""

    def begin(self) -> None:
        module, kind = self.builder.module, ir.ArrayType(BYTE, len(SHAPES))
        name = "intsim.amx.shapes"
        shapes = module.globals.get(name)
        if shapes is None:
            shapes = ir.GlobalVariable(module, kind, name)
            shapes.linkage, shapes.global_constant, shapes.align = "internal", True, 64
            shapes.initializer = ir.Constant(kind, bytearray(SHAPES))
        emit_call(self.builder, "llvm.x86.ldtilecfg", ir.VoidType(), self.builder.bitcast(shapes, BYTE.as_pointer()))

    def end(self) -> None:
        emit_call(self.builder, "llvm.x86.tilerelease", ir.VoidType())

    def sums(
        self,
        a: ir.Value,
        a_stride: ir.Value,
        b: ir.Value,
        groups: ir.Value,
        c: ir.Value,
        c_stride: ir.Value,
        resumed: ir.Value,
    ) -> Sums:
        builder, width = self.builder, I64(4 * self.columns)
        targets = [builder.add(c, I64(64 * v)) for v in range(self.vectors)]
        with builder.if_else(resumed) as (again, anew):
            with again:
                for v, target in enumerate(targets):
                    self._matrix("tileloadd64", BYTE(v), self.at(target, BYTE), c_stride)
            with anew:
                for v in range(self.vectors):
                    self._matrix("tilezero", BYTE(v))
        whole = builder.lshr(groups, I64(4))
        with cgutils.for_range(builder, whole, intp=I64) as loop:
            depth = builder.mul(loop.index, I64(64))
            self._matrix("tileloadd64", BYTE(LEFT), self.at(builder.add(a, depth), BYTE), a_stride)
            matrix = builder.add(b, builder.mul(depth, I64(self.columns)))
            for v in range(self.vectors):
                self._matrix("tileloadd64", BYTE(RIGHT), self.at(builder.add(matrix, I64(64 * v)), BYTE), width)
                emit_call(builder, self.form.MATRICES, ir.VoidType(), BYTE(v), BYTE(LEFT), BYTE(RIGHT))
        for v, target in enumerate(targets):
            self._matrix("tilestored64", BYTE(v), self.at(target, BYTE), c_stride)
        self._rest(a, a_stride, b, builder.mul(whole, I64(SIDE)), groups, c, c_stride)
        return [_Row(self, row) for row in self._sums_at(c, c_stride)]  # type: ignore[misc]

    def parts(self, sums: Sums) -> Iterator[tuple[int, Sums]]:
        for row in range(0, self.rows, FINISHED):
            yield row, [list(line) for line in sums[row : row + FINISHED]]

    def _matrix(self, name: str, *arguments: ir.Value) -> None:
        emit_call(self.builder, f"llvm.x86.{name}", ir.VoidType(), *arguments)

    def _rest(self, a: Any, a_stride: Any, b: Any, first: Any, groups: Any, c: Any, c_stride: Any) -> None:
        """Add the products of the groups from `first` on."""
        builder = self.builder
        with (
            builder.if_then(builder.icmp_signed("<", first, groups)),
            cgutils.for_range(builder, I64(self.rows), intp=I64) as rows,
        ):
            row = builder.add(c, builder.mul(rows.index, c_stride))
            left = builder.add(a, builder.mul(rows.index, a_stride))
            totals = [cgutils.alloca_once(builder, self.vector) for _ in range(self.vectors)]
            places = [self.at(builder.add(row, I64(64 * v)), self.vector) for v in range(self.vectors)]
            for total, place in zip(totals, places, strict=True):
                builder.store(builder.load(place, align=1), total)
            with cgutils.for_range_slice(builder, first, groups, I64(1), intp=I64) as (group, _):
                spread = self.spread(builder.add(left, builder.mul(group, I64(4))))
                here = builder.add(b, builder.mul(group, I64(4 * self.columns)))
                for v, total in enumerate(totals):
                    right = builder.load(self.at(builder.add(here, I64(64 * v)), self.vector), align=1)
                    builder.store(dot(self.form, builder, builder.load(total), spread, right), total)
            for total, place in zip(totals, places, strict=True):
                builder.store(builder.load(total), place, align=1)


class _Row:
    """The sums of a row, loaded when they are asked for."""

    def __init__(self, code: TileCode, places: list[ir.Value]) -> None:
        self._code, self._places = code, places

    def __iter__(self) -> Iterator[ir.Value]:
        return (self._code.builder.load(place, align=1) for place in self._places)
