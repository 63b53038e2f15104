"""A tile of sums as LLVM code, which keeps all sums in vector registers and reads each operand once.

It takes the place of `tile.tile_sums` in forms with a dot-product instruction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from llvmlite import ir
from numba import types

from ..arith import IntArray
from ..arith.jit import intrinsic, overload
from .forms import Form, PlainWords
from .tile import tile_sums

I32, I64 = ir.IntType(32), ir.IntType(64)
TileSums: TypeAlias = Callable[[Form, IntArray, int, IntArray, int, int, IntArray], None]


def emit_call(builder: Any, name: str, result: ir.Type, *arguments: ir.Value) -> ir.Value:
    """Emit the call of an LLVM intrinsic; the first call in a module also declares it."""
    module = builder.module
    function = module.globals.get(name) or ir.Function(module, ir.FunctionType(result, [a.type for a in arguments]), name)
    return builder.call(function, arguments)


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


@overload(tile_sums)
def _tile_sums(form: Any, left: Any, row: Any, panels: Any, panel: Any, vectors: Any, sums: Any) -> TileSums:
    if form.instance_class is PlainWords:
        return tile_sums
    full = form.instance_class.SIZES[1] // form.instance_class.SIZES[2]
    half = min(full, 2)

    def dispatch(form: Form, left: IntArray, row: int, panels: IntArray, panel: int, vectors: int, sums: IntArray) -> None:
        if vectors == 1:
            _emitted(form, 1, left, row, panels, panel, sums)
        elif vectors == 2:
            _emitted(form, half, left, row, panels, panel, sums)
        else:
            _emitted(form, full, left, row, panels, panel, sums)

    return dispatch


@intrinsic(prefer_literal=True)
def _emitted(typing_context: Any, form: Any, vectors: Any, left: Any, row: Any, panels: Any, panel: Any, sums: Any) -> Any:
    """The tile as LLVM vectors: ``rows x vectors`` registers of sums, one loop over the groups of the depth."""
    wide = vectors.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, _, left_array, row_index, panel_array, panel_index, sums_array = arguments
        _, _, left_type, _, panels_type, _, sums_type = signature.args
        code = TileCode(form.instance_class, wide, builder)
        a, a_stride, _ = code.matrix(context, left_type, left_array, row_index)
        c, c_stride, _ = code.matrix(context, sums_type, sums_array, row_index)
        b, _, groups = code.matrix(context, panels_type, panel_array, panel_index)
        code.emit(a, a_stride, b, groups, c, c_stride)
        return context.get_dummy_value()

    return types.void(form, vectors, left, row, panels, panel, sums), generate


class TileCode:
    """Emits the code of one tile."""

    def __init__(self, form: type[Form], vectors: int, builder: Any) -> None:
        self.form, self.builder, self.vectors = form, builder, vectors
        self.rows, self.columns, self.lanes, *_ = form.SIZES
        self.vector = ir.VectorType(I32, self.lanes)

    def matrix(self, context: Any, kind: Any, value: Any, index: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
        """Address of element `index` of the first axis, stride of that axis in bytes, and length of the second axis."""
        array = context.make_array(kind)(context, self.builder, value)
        strides = self.builder.extract_value(array.strides, 0)
        length = self.builder.extract_value(array.shape, 1)
        base = self.builder.ptrtoint(array.data, I64)
        return self.builder.add(base, self.builder.mul(index, strides)), strides, length

    def at(self, address: ir.Value, kind: ir.Type) -> ir.Value:
        """The address as a pointer to `kind`."""
        return self.builder.inttoptr(address, kind.as_pointer())

    def spread(self, address: ir.Value) -> ir.Value:
        """32 bits of a left-hand row, broadcast to every lane."""
        value = self.builder.load(self.at(address, I32), align=1)
        first = self.builder.insert_element(ir.Constant(self.vector, ir.Undefined), value, ir.Constant(I32, 0))
        lanes = ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, ir.Constant(self.vector, ir.Undefined), lanes)

    def sums(self, a: ir.Value, a_stride: ir.Value, b: ir.Value, groups: ir.Value) -> list[list[ir.Value]]:
        """Emit the loop; the registers of sums by row and vector. `groups` is at least 1."""
        builder = self.builder
        entry = builder.block
        loop, done = builder.append_basic_block("groups"), builder.append_basic_block("summed")
        builder.branch(loop)
        builder.position_at_end(loop)
        group = builder.phi(I64)
        group.add_incoming(ir.Constant(I64, 0), entry)
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
        group.add_incoming(following, builder.block)
        for row, sums in zip(before, after, strict=True):
            for phi, value in zip(row, sums, strict=True):
                phi.add_incoming(ir.Constant(self.vector, [0] * self.lanes), entry)
                phi.add_incoming(value, builder.block)
        builder.cbranch(builder.icmp_signed("<", following, groups), loop, done)
        builder.position_at_end(done)
        return after

    def emit(self, a: ir.Value, a_stride: ir.Value, b: ir.Value, groups: ir.Value, c: ir.Value, c_stride: ir.Value) -> None:
        """Emit the loop and the stores of the sums."""
        builder = self.builder
        for i, row in enumerate(self.sums(a, a_stride, b, groups)):
            start = builder.add(c, builder.mul(c_stride, ir.Constant(I64, i)))
            for v, value in enumerate(row):
                target = builder.add(start, ir.Constant(I64, 4 * self.lanes * v))
                builder.store(value, self.at(target, self.vector), align=1)
