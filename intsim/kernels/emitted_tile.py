"""A tile of sums as LLVM code, which keeps all sums in vector registers and reads each operand once.

It takes the place of `tile.tiles` in forms with a dot-product instruction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from llvmlite import ir
from numba import types

from ..arith import IntArray
from ..arith.jit import intrinsic, overload
from .emitted_epilogue import Room, Rows, finish
from .emitting import I32, I64, emit_call, everywhere, named
from .epilogue import Epilogue
from .forms import Form, PlainWords
from .tile import tiles

Sums: TypeAlias = list[list[ir.Value]]  # registers by row and vector
Tiles: TypeAlias = Callable[
    [Form, IntArray, int, IntArray, int, int, IntArray, IntArray, bool, Epilogue, IntArray, IntArray, int], None
]


def dot(form: type[Form], builder: Any, sums: ir.Value, left: ir.Value, right: ir.Value) -> ir.Value:
    """Emit ``sums + left . right`` for vectors of i32 lanes; each lane contains a group of bytes or words.

    From version 22 on, LLVM declares the intrinsics of x86 with bytes and words; it converts the older i32 declaration.
    """
    if I32.width != form.OPERAND:
        operand = ir.VectorType(ir.IntType(form.OPERAND), I32.width // form.OPERAND * sums.type.count)
        left, right = builder.bitcast(left, operand), builder.bitcast(right, operand)
    if form.SUMS:
        return emit_call(builder, form.INSTRUCTION, sums.type, sums, left, right)
    return builder.add(sums, emit_call(builder, form.INSTRUCTION, sums.type, left, right))


@overload(tiles)
def _tiles(
    form: Any,
    left: Any,
    rows: Any,
    panels: Any,
    panel: Any,
    vectors: Any,
    resumed: Any,
    sums: Any,
    finishing: Any,
    epilogue: Any,
    bias: Any,
    out: Any,
    row: Any,
) -> Tiles:
    if form.instance_class is PlainWords:
        return tiles
    full = form.instance_class.SIZES[1] // form.instance_class.SIZES[2]
    half = min(full, 2)

    def dispatch(  # with the loop inside, as a call with so many arguments costs as much as part of a tile
        form: Form,
        left: IntArray,
        rows: int,
        panels: IntArray,
        panel: int,
        vectors: int,
        resumed: IntArray,
        sums: IntArray,
        finishing: bool,
        epilogue: Epilogue,
        bias: IntArray,
        out: IntArray,
        row: int,
    ) -> None:
        _around(form, 1)
        for i in range(0, rows, form.rows):
            again, end = resumed[i // form.rows] != 0, row + rows - 1
            if vectors == 1:
                _emitted(form, 1, left, i, panels, panel, again, sums, finishing, epilogue, bias, out, row + i, end)
            elif vectors == 2:
                _emitted(form, half, left, i, panels, panel, again, sums, finishing, epilogue, bias, out, row + i, end)
            else:
                _emitted(form, full, left, i, panels, panel, again, sums, finishing, epilogue, bias, out, row + i, end)
        _around(form, 0)

    return dispatch


@intrinsic(prefer_literal=True)
def _around(typing_context: Any, form: Any, begins: Any) -> Any:
    """What comes before the tiles of a block, or after them."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        code = tile_code(form.instance_class, 1, builder)
        (code.begin if begins.literal_value else code.end)()
        return context.get_dummy_value()

    return types.void(form, begins), generate


@intrinsic(prefer_literal=True)
def _emitted(
    typing_context: Any,
    form: Any,
    vectors: Any,
    left: Any,
    tile_row: Any,
    panels: Any,
    panel: Any,
    resumed: Any,
    sums: Any,
    finishing: Any,
    epilogue: Any,
    bias: Any,
    out: Any,
    row: Any,
    last: Any,
) -> Any:
    """The tile as LLVM vectors: ``rows x vectors`` registers of sums, one loop over the groups of the depth."""
    wide = vectors.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = named(NAMES, signature, arguments, context, builder)
        code = tile_code(form.instance_class, wide, builder)
        a, b, c = values["left"], values["panels"], values["sums"]
        tile_row, panel = (values[name].value for name in ("tile_row", "panel"))
        sums_at = c.at(tile_row)
        registers = code.sums(
            a.at(tile_row), a.stride(), b.at(panel), b.length(1), sums_at, c.stride(), values["resumed"].value
        )
        with builder.if_else(values["finishing"].value) as (finished, stored):
            with finished:
                first, row, last = builder.mul(panel, I64(code.columns)), values["row"].value, values["last"].value
                for line, part in code.parts(registers):
                    rows = Rows(builder.add(row, I64(line)), last)
                    start = builder.add(sums_at, builder.mul(c.stride(), I64(line)))
                    finish(
                        code, part, values["epilogue"], values["bias"], values["out"], rows, first, Room(start, c.stride())
                    )
            with stored:
                code.store(registers, sums_at, c.stride())
        return context.get_dummy_value()

    arguments = (form, vectors, left, tile_row, panels, panel, resumed, sums, finishing, epilogue, bias, out, row, last)
    return types.void(*arguments), generate


NAMES = "form vectors left tile_row panels panel resumed sums finishing epilogue bias out row last"


class TileCode:
    """Emits the code of one tile."""

    def __init__(self, form: type[Form], vectors: int, builder: Any) -> None:
        self.form, self.builder, self.vectors = form, builder, vectors
        self.rows, self.columns, self.lanes, *_ = form.SIZES
        self.vector = ir.VectorType(I32, self.lanes)

    def begin(self) -> None:
        """Emit what must come before any tile."""

    def end(self) -> None:
        """Emit what must come after the last."""

    def parts(self, sums: Sums) -> Iterable[tuple[int, Sums]]:
        """The sums in as many rows as are finished at once, with the index of the first."""
        return [(0, sums)]

    def at(self, address: ir.Value, kind: ir.Type) -> ir.Value:
        """The address as a pointer to `kind`."""
        return self.builder.inttoptr(address, kind.as_pointer())

    def spread(self, address: ir.Value) -> ir.Value:
        """32 bits of a left-hand row, broadcast to every lane."""
        return everywhere(self.builder, self.builder.load(self.at(address, I32), align=1), self.lanes)

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
        """Emit the loop; the registers of sums by row and vector. `groups` is at least 1; sums are `resumed` from `c`."""
        builder = self.builder
        entry, again = builder.block, builder.append_basic_block("again")
        loop, done = builder.append_basic_block("groups"), builder.append_basic_block("summed")
        builder.cbranch(resumed, again, loop)
        builder.position_at_end(again)
        kept = [[builder.load(at, align=1) for at in row] for row in self._sums_at(c, c_stride)]
        first = self.registers(kept)
        builder.branch(loop)
        builder.position_at_end(loop)
        zero = ir.Constant(self.vector, [0] * self.lanes)
        group = builder.phi(I64)
        before = [[builder.phi(self.vector) for _ in row] for row in first]
        after = self.multiplied(before, a, a_stride, b, group)
        following = builder.add(group, ir.Constant(I64, 1))
        for block, value in ((entry, ir.Constant(I64, 0)), (again, ir.Constant(I64, 0)), (loop, following)):
            group.add_incoming(value, block)
        for row, start, sums in zip(before, first, after, strict=True):
            for phi, resumed_at, value in zip(row, start, sums, strict=True):
                for block, incoming in ((entry, zero), (again, resumed_at), (loop, value)):
                    phi.add_incoming(incoming, block)
        builder.cbranch(builder.icmp_signed("<", following, groups), loop, done)
        builder.position_at_end(done)
        return self.by_rows(after)

    def registers(self, sums: Sums) -> Sums:
        """The accumulators of sums by row and vector."""
        return sums

    def by_rows(self, registers: Sums) -> Sums:
        """The sums by row and vector of accumulators."""
        return registers

    def multiplied(self, before: Sums, a: ir.Value, a_stride: ir.Value, b: ir.Value, group: ir.Value) -> Sums:
        """The accumulators after one group of the depth."""
        builder = self.builder
        here = builder.add(b, builder.mul(group, ir.Constant(I64, 4 * self.columns)))
        right = [
            builder.load(self.at(builder.add(here, ir.Constant(I64, 4 * self.lanes * v)), self.vector), align=1)
            for v in range(self.vectors)
        ]
        after = []
        for i, row in enumerate(before):
            start = builder.add(a, builder.mul(a_stride, ir.Constant(I64, i)))
            left = self.spread(builder.add(start, builder.mul(group, ir.Constant(I64, 4))))
            after.append([dot(self.form, builder, sums, left, right[v]) for v, sums in enumerate(row)])
        return after

    def store(self, sums: Sums, c: ir.Value, c_stride: ir.Value) -> None:
        """Store sums, all of them or those of the first rows."""
        for row, targets in zip(sums, self._sums_at(c, c_stride), strict=False):
            for value, at in zip(row, targets, strict=True):
                self.builder.store(value, at, align=1)

    def _sums_at(self, c: ir.Value, c_stride: ir.Value) -> list[list[ir.Value]]:
        """Pointers to the stored vectors of sums, by row and vector."""
        rows = (self.builder.add(c, self.builder.mul(c_stride, ir.Constant(I64, i))) for i in range(self.rows))
        steps = [ir.Constant(I64, 4 * self.lanes * v) for v in range(self.vectors)]
        return [[self.at(self.builder.add(row, step), self.vector) for step in steps] for row in rows]


class MatrixTileCode(TileCode):
    """A tile by products of 2 x 8 by 8 x 2 bytes, whose accumulators hold two columns of two rows."""

    def registers(self, sums: Sums) -> Sums:
        return [
            [self._halves(upper, lower, half) for upper, lower in zip(*sums[row : row + 2], strict=True) for half in (0, 2)]
            for row in range(0, self.rows, 2)
        ]

    def by_rows(self, registers: Sums) -> Sums:
        pairs = [list(zip(row[::2], row[1::2], strict=True)) for row in registers]
        return [[self._halves(left, right, half) for left, right in row] for row in pairs for half in (0, 2)]

    def _halves(self, a: ir.Value, b: ir.Value, half: int) -> ir.Value:
        """Two lanes of each of two vectors, from lane `half` on."""
        order = [half, half + 1, half + 4, half + 5]
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, 4), order))

    def multiplied(self, before: Sums, a: ir.Value, a_stride: ir.Value, b: ir.Value, group: ir.Value) -> Sums:
        builder, bytes_ = self.builder, ir.VectorType(ir.IntType(8), 16)
        here = builder.add(b, builder.mul(group, ir.Constant(I64, 8 * self.columns)))
        right = [
            builder.load(self.at(builder.add(here, ir.Constant(I64, 16 * pair)), bytes_), align=1)
            for pair in range(2 * self.vectors)
        ]
        after = []
        for i, row in enumerate(before):
            pair: ir.Value = ir.Constant(ir.VectorType(I64, 2), ir.Undefined)
            for lane in range(2):
                start = builder.add(a, builder.mul(a_stride, ir.Constant(I64, 2 * i + lane)))
                at = self.at(builder.add(start, builder.mul(group, ir.Constant(I64, 8))), I64)
                pair = builder.insert_element(pair, builder.load(at, align=1), ir.Constant(I32, lane))
            left = builder.bitcast(pair, bytes_)
            after.append(
                [
                    emit_call(builder, self.form.INSTRUCTION, self.vector, sums, left, column)
                    for sums, column in zip(row, right, strict=True)
                ]
            )
        return after


def tile_code(form: type[Form], vectors: int, builder: Any) -> TileCode:
    """The emitter of a form's tiles."""
    from .emitted_amx import AmxTileCode

    kind = AmxTileCode if form.MATRICES else MatrixTileCode if form.SIZES[3] == 8 else TileCode
    return kind(form, vectors, builder)
