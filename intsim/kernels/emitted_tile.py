"""A tile of sums as LLVM code, which keeps all sums in vector registers and reads each operand once.

It takes the place of `tile.tiles` in forms with a dot-product instruction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from llvmlite import ir
from numba import types

from ..arith import IntArray
from ..arith.jit import intrinsic, overload
from .emitted_epilogue import finish
from .emitting import I32, I64, emit_call, everywhere, named
from .epilogue import Epilogue
from .forms import Form, PlainWords
from .tile import tiles

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
        for i in range(0, rows, form.rows):
            again, whole = resumed[i // form.rows] != 0, finishing and i + form.rows <= rows
            if vectors == 1:
                _emitted(form, 1, left, i, panels, panel, again, sums, whole, epilogue, bias, out, row + i)
            elif vectors == 2:
                _emitted(form, half, left, i, panels, panel, again, sums, whole, epilogue, bias, out, row + i)
            else:
                _emitted(form, full, left, i, panels, panel, again, sums, whole, epilogue, bias, out, row + i)

    return dispatch


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
) -> Any:
    """The tile as LLVM vectors: ``rows x vectors`` registers of sums, one loop over the groups of the depth."""
    wide = vectors.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = named(NAMES, signature, arguments, context, builder)
        code = TileCode(form.instance_class, wide, builder)
        a, b, c = values["left"], values["panels"], values["sums"]
        tile_row, panel = (values[name].value for name in ("tile_row", "panel"))
        sums_at = c.at(tile_row)
        registers = code.sums(
            a.at(tile_row), a.stride(), b.at(panel), b.length(1), sums_at, c.stride(), values["resumed"].value
        )
        with builder.if_else(values["finishing"].value) as (finished, stored):
            with finished:
                first = builder.mul(panel, ir.Constant(I64, code.columns))
                finish(code, registers, values["epilogue"], values["bias"], values["out"], values["row"].value, first)
            with stored:
                code.store(registers, sums_at, c.stride())
        return context.get_dummy_value()

    arguments = (form, vectors, left, tile_row, panels, panel, resumed, sums, finishing, epilogue, bias, out, row)
    return types.void(*arguments), generate


NAMES = "form vectors left tile_row panels panel resumed sums finishing epilogue bias out row"


class TileCode:
    """Emits the code of one tile."""

    def __init__(self, form: type[Form], vectors: int, builder: Any) -> None:
        self.form, self.builder, self.vectors = form, builder, vectors
        self.rows, self.columns, self.lanes, *_ = form.SIZES
        self.vector = ir.VectorType(I32, self.lanes)

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
    ) -> list[list[ir.Value]]:
        """Emit the loop; the registers of sums by row and vector. `groups` is at least 1; sums are `resumed` from `c`."""
        builder = self.builder
        entry, again = builder.block, builder.append_basic_block("again")
        loop, done = builder.append_basic_block("groups"), builder.append_basic_block("summed")
        builder.cbranch(resumed, again, loop)
        builder.position_at_end(again)
        kept = [[builder.load(at, align=1) for at in row] for row in self._sums_at(c, c_stride)]
        builder.branch(loop)
        builder.position_at_end(loop)
        zero = ir.Constant(self.vector, [0] * self.lanes)
        group = builder.phi(I64)
        before = [[builder.phi(self.vector) for _ in range(self.vectors)] for _ in range(self.rows)]
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
        following = builder.add(group, ir.Constant(I64, 1))
        for block, value in ((entry, ir.Constant(I64, 0)), (again, ir.Constant(I64, 0)), (loop, following)):
            group.add_incoming(value, block)
        for row, first, sums in zip(before, kept, after, strict=True):
            for phi, start, value in zip(row, first, sums, strict=True):
                for block, incoming in ((entry, zero), (again, start), (loop, value)):
                    phi.add_incoming(incoming, block)
        builder.cbranch(builder.icmp_signed("<", following, groups), loop, done)
        builder.position_at_end(done)
        return after

    def store(self, sums: list[list[ir.Value]], c: ir.Value, c_stride: ir.Value) -> None:
        """Store all sums."""
        for row, targets in zip(sums, self._sums_at(c, c_stride), strict=True):
            for value, at in zip(row, targets, strict=True):
                self.builder.store(value, at, align=1)

    def _sums_at(self, c: ir.Value, c_stride: ir.Value) -> list[list[ir.Value]]:
        """Pointers to the stored vectors of sums, by row and vector."""
        rows = (self.builder.add(c, self.builder.mul(c_stride, ir.Constant(I64, i))) for i in range(self.rows))
        steps = [ir.Constant(I64, 4 * self.lanes * v) for v in range(self.vectors)]
        return [[self.at(self.builder.add(row, step), self.vector) for step in steps] for row in rows]
