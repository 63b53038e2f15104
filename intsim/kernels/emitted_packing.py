"""Packing as LLVM code: whole groups of the depth of contiguous rows of i8."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils as _cgutils

from ..arith import IntArray
from ..arith.jit import intrinsic
from .emitted_tile import dot
from .emitting import I32, I64, Value
from .forms import Form, PlainWords

cgutils: Any = _cgutils  # its functions have no types
BYTE = ir.IntType(8)


def moving(kind: type[Form]) -> Callable[..., int]:
    """The implementation of `packing.move_groups` for a form."""
    if kind is PlainWords:
        return lambda form, source, panel, corrections: 0

    def whole(form: Form, source: IntArray, panel: IntArray, corrections: IntArray) -> int:
        groups = source.shape[1] // form.group
        if groups > 0:
            _move(form, source, panel, groups)
            if form.offset != 0:
                for first in range(0, len(corrections), form.lanes):
                    _correct(form, panel, groups, first, corrections[first:])
        done: int = groups * form.group
        return done

    return whole


def interleaving(kind: type[Form]) -> Callable[..., int]:
    """The implementation of `packing.interleave_rows` for a form."""
    if kind is PlainWords:
        return lambda form, rows, panel: 0
    columns = kind.SIZES[1]
    half = columns // 2

    def whole(form: Form, rows: IntArray, panel: IntArray) -> int:
        groups = rows.shape[0] // form.group
        if rows.shape[1] == columns:
            _interleave(form, rows, panel, groups, columns)
        elif rows.shape[1] == half:
            _interleave(form, rows, panel, groups, half)
        else:
            groups = 0
        done: int = groups * form.group
        return done

    return whole


@intrinsic()
def _move(typing_context: Any, form: Any, source: Any, panel: Any, groups: Any) -> Any:
    """Move the groups of each row to its column of the panel."""
    kind = form.instance_class
    group = kind.SIZES[3]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows, to = (Value(signature.args[i], arguments[i], context, builder) for i in (1, 2))
        packed = ir.VectorType(BYTE if kind.RIGHT is np.int8 else ir.IntType(16), group)
        narrow, size = ir.VectorType(BYTE, group), group * packed.element.width // 8
        with cgutils.for_range(builder, rows.length(0), intp=I64) as row:
            row_at, column_at = rows.at(row.index), builder.add(to.start(), builder.mul(row.index, ir.Constant(I64, size)))
            with cgutils.for_range(builder, arguments[3], intp=I64) as at:
                source_at = builder.add(row_at, builder.mul(at.index, ir.Constant(I64, group)))
                value = builder.load(builder.inttoptr(source_at, narrow.as_pointer()), align=1)
                value = value if packed == narrow else builder.sext(value, packed)
                target = builder.add(column_at, builder.mul(at.index, to.stride()))
                builder.store(value, builder.inttoptr(target, packed.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(form, source, panel, types.int64), generate


@intrinsic()
def _correct(typing_context: Any, form: Any, panel: Any, groups: Any, first: Any, corrections: Any) -> Any:
    """Subtract the offset times the sums of the columns of one vector; columns that are missing in `corrections` are not."""
    kind = form.instance_class
    lanes, offset = kind.SIZES[2], kind.SIZES[4]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        columns, to = (Value(signature.args[i], arguments[i], context, builder) for i in (1, 4))
        vector = ir.VectorType(I32, lanes)
        offsets = ir.Constant(vector, [offset * 0x01010101 - (1 << 32 if offset & 0x80 else 0)] * lanes)
        total = cgutils.alloca_once(builder, vector)
        builder.store(ir.Constant(vector, [0] * lanes), total)
        start = builder.add(columns.start(), builder.mul(arguments[3], ir.Constant(I64, 4)))
        with cgutils.for_range(builder, arguments[2], intp=I64) as at:
            group_at = builder.add(start, builder.mul(at.index, columns.stride()))
            group = builder.load(builder.inttoptr(group_at, vector.as_pointer()), align=1)
            builder.store(dot(kind, builder, builder.load(total), offsets, group), total)
        room = cgutils.alloca_once(builder, vector)
        builder.store(builder.sub(ir.Constant(vector, [0] * lanes), builder.load(total)), room)
        room_at = builder.ptrtoint(room, I64)
        missing = builder.icmp_signed("<", to.length(0), ir.Constant(I64, lanes))
        with cgutils.for_range(builder, builder.select(missing, to.length(0), ir.Constant(I64, lanes)), intp=I64) as lane:
            step = builder.mul(lane.index, ir.Constant(I64, 4))
            one = builder.load(builder.inttoptr(builder.add(room_at, step), I32.as_pointer()))
            builder.store(one, builder.inttoptr(builder.add(to.start(), step), I32.as_pointer()))
        return context.get_dummy_value()

    return types.void(form, panel, types.int64, types.int64, corrections), generate


@intrinsic(prefer_literal=True)
def _interleave(typing_context: Any, form: Any, rows: Any, panel: Any, groups: Any, width: Any) -> Any:
    """Interleave the elements of as many rows as a group has, column by column."""
    kind = form.instance_class
    group, columns, wide = kind.SIZES[3], kind.SIZES[1], width.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, to = (Value(signature.args[i], arguments[i], context, builder) for i in (1, 2))
        narrow = ir.VectorType(BYTE, wide)
        packed = ir.VectorType(ir.IntType(32 // group), wide)
        with cgutils.for_range(builder, arguments[3], intp=I64) as at:
            first = builder.mul(at.index, ir.Constant(I64, group))
            parts = []
            for k in range(group):
                row_at = source.at(builder.add(first, ir.Constant(I64, k)))
                row = builder.load(builder.inttoptr(row_at, narrow.as_pointer()), align=1)
                parts.append(row if packed == narrow else builder.sext(row, packed))
            while len(parts) > 1:  # pairs of rows, then pairs of pairs, each unit twice as long
                unit = group // len(parts)
                parts = [_zipped(builder, a, b, unit) for a, b in zip(parts[::2], parts[1::2], strict=True)]
            target = builder.inttoptr(to.at(at.index), parts[0].type.as_pointer())
            builder.store(parts[0], target, align=1)
            if wide < columns:
                rest = ir.VectorType(I32, columns - wide)
                behind = builder.inttoptr(builder.add(to.at(at.index), ir.Constant(I64, 4 * wide)), rest.as_pointer())
                builder.store(ir.Constant(rest, [0] * rest.count), behind, align=1)
        return context.get_dummy_value()

    return types.void(form, rows, panel, types.int64, width), generate


def _zipped(builder: Any, a: ir.Value, b: ir.Value, unit: int) -> ir.Value:
    """Units of elements of two vectors in turn."""
    count = a.type.count
    order = [start + side * count + i for start in range(0, count, unit) for side in (0, 1) for i in range(unit)]
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, len(order)), order))
