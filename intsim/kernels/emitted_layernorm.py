"""Layer norm and its requantization as LLVM code, for the choices of `layernorm_rows.normalise_rows`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils as _cgutils

from ..arith import IntArray
from ..arith.jit import intrinsic, overload
from .emitted_scaling import Arithmetic, Constants, Pair
from .emitting import I32, I64, Value, choices, emit_call, everywhere, named, pointer
from .forms import Form, PlainWords
from .layernorm_rows import moments, normalise_rows, plain_moments, plain_normalise_rows
from .scaling import Scaling

cgutils: Any = _cgutils  # its functions have no types
I16 = ir.IntType(16)
PAIRED = {16: "llvm.x86.avx512.pmaddw.d.512", 8: "llvm.x86.avx2.pmadd.wd"}  # by lanes, where an instruction does it
ROWS = 4  # normalised at once, so that constants are read once for them


@overload(moments)
def _moments(form: Any, x: Any) -> Callable[[Form, IntArray], tuple[int, int]]:
    if form.instance_class is PlainWords:
        return lambda form, x: plain_moments(x, 0)
    words = 2 * form.instance_class.SIZES[2]

    def whole(form: Form, x: IntArray) -> tuple[int, int]:
        groups = len(x) // words
        total, squares = plain_moments(x, groups * words)
        if groups == 0:
            return total, squares
        first, second = _moments_of(form, x, groups)
        return total + first, squares + second

    return whole


@overload(normalise_rows)
def _normalise_rows(
    form: Any, x: Any, means: Any, factors: Any, bias: Any, scaling: Any, out: Any
) -> Callable[[Form, IntArray, IntArray, IntArray, IntArray, Scaling, IntArray], None]:
    if form.instance_class is PlainWords:
        return lambda form, x, means, factors, bias, scaling, out: plain_normalise_rows(
            x, means, factors, bias, scaling, out, 0, 0
        )
    lanes = form.instance_class.SIZES[2]

    def whole(
        form: Form, x: IntArray, means: IntArray, factors: IntArray, bias: IntArray, scaling: Scaling, out: IntArray
    ) -> None:
        groups, rows = x.shape[1] // lanes, x.shape[0]
        if not scaling.quick or groups == 0:
            plain_normalise_rows(x, means, factors, bias, scaling, out, 0, 0)
            return
        whole_rows = rows // ROWS * ROWS
        for row in range(0, whole_rows, ROWS):
            _normalise(form, ROWS, x, row, means, factors, bias, scaling, out, groups)
        for row in range(whole_rows, rows):
            _normalise(form, 1, x, row, means, factors, bias, scaling, out, groups)
        if groups * lanes < x.shape[1]:
            plain_normalise_rows(x, means, factors, bias, scaling, out, 0, groups * lanes)

    return whole


@intrinsic()
def _moments_of(typing_context: Any, form: Any, x: Any, groups: Any) -> Any:
    """The sum of elements and that of their squares, over pairs of vectors: two elements make one lane."""
    lanes = form.instance_class.SIZES[2]
    vector, wide, words = ir.VectorType(I32, lanes), ir.VectorType(I64, lanes // 2), ir.VectorType(I16, 2 * lanes)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> ir.Value:
        row = Value(signature.args[1], arguments[1], context, builder)
        arithmetic, narrow = Arithmetic(builder, lanes), ir.VectorType(row.element, 2 * lanes)
        total, squares = cgutils.alloca_once(builder, vector), cgutils.alloca_once(builder, wide)
        for room in (total, squares):
            builder.store(ir.Constant(room.type.pointee, [0] * room.type.pointee.count), room)
        start, low = row.start(), ir.Constant(wide, [(1 << 32) - 1] * wide.count)
        with cgutils.for_range(builder, arguments[2], intp=I64) as group:
            value = arithmetic.load(start, builder.mul(group.index, I64(2 * lanes)), narrow)
            value = value if narrow == words else builder.sext(value, words)
            sums = _paired(builder, value, ir.Constant(words, [1] * words.count))
            builder.store(builder.add(builder.load(total), sums), total)
            both = builder.bitcast(_paired(builder, value, value), wide)  # at most 2**31, without a sign
            more = builder.add(builder.and_(both, low), builder.lshr(both, arithmetic.half))
            builder.store(builder.add(builder.load(squares), more), squares)
        first = emit_call(builder, f"llvm.vector.reduce.add.v{lanes}i32", I32, builder.load(total))
        second = emit_call(builder, f"llvm.vector.reduce.add.v{lanes // 2}i64", I64, builder.load(squares))
        return context.make_tuple(builder, signature.return_type, (builder.sext(first, I64), second))

    both: Any = types.Tuple
    return both((types.int64, types.int64))(form, x, types.int64), generate


def _paired(builder: Any, a: ir.Value, b: ir.Value) -> ir.Value:
    """Products of words, each even one plus the odd one that follows, as i32 modulo 2**32."""
    lanes = a.type.count // 2
    vector = ir.VectorType(I32, lanes)
    if lanes in PAIRED:
        return emit_call(builder, PAIRED[lanes], vector, a, b)
    sixteen = ir.Constant(vector, [16] * lanes)
    even, odd = [], []
    for value in (builder.bitcast(a, vector), builder.bitcast(b, vector)):
        even.append(builder.ashr(builder.shl(value, sixteen), sixteen))
        odd.append(builder.ashr(value, sixteen))
    return builder.add(builder.mul(*even), builder.mul(*odd))


@intrinsic(prefer_literal=True)
def _normalise(
    typing_context: Any,
    form: Any,
    count: Any,
    x: Any,
    row: Any,
    means: Any,
    factors: Any,
    bias: Any,
    scaling: Any,
    out: Any,
    groups: Any,
) -> Any:
    """Normalise and requantize `count` rows from `row` on, over whole vectors of columns."""
    lanes, rows = form.instance_class.SIZES[2], count.literal_value
    vector = ir.VectorType(I32, lanes)
    names = "form count x row means factors bias scaling out groups"

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = named(names, signature, arguments, context, builder)
        arithmetic = Arithmetic(builder, lanes)
        lines = [builder.add(values["row"].value, ir.Constant(I64, i)) for i in range(rows)]
        centres, by = ([_scalar(builder, values[name].start(), line) for line in lines] for name in ("means", "factors"))
        centres = [everywhere(builder, mean, lanes) for mean in centres]
        by = [everywhere(builder, builder.sext(factor, I64), lanes // 2) for factor in by]
        narrow, element = ir.VectorType(values["x"].element, lanes), values["out"].element
        starts, ends = ([values[name].at(line) for line in lines] for name in ("x", "out"))

        def emit(high: bool) -> None:
            constants = Constants(arithmetic, values["scaling"], high)
            biases, one = values["bias"].start(), ir.Constant(arithmetic.wide, [1] * (lanes // 2))
            with cgutils.for_range(builder, values["groups"].value, intp=I64) as group:
                first = builder.mul(group.index, ir.Constant(I64, lanes))
                offset = arithmetic.load(biases, first, vector)
                odd = builder.lshr(builder.bitcast(offset, arithmetic.wide), arithmetic.half)
                offsets = (offset, builder.bitcast(odd, vector))
                loaded = constants.at(first)
                for start, end, mean, factor in zip(starts, ends, centres, by, strict=True):
                    centred = builder.sub(builder.sext(arithmetic.load(start, first, narrow), vector), mean)
                    halves = (builder.ashr(builder.mul(half, factor), one) for half in arithmetic.pair(centred))
                    # Only the low half of each i64 counts from here on, and there the sum fits.
                    shifted = (
                        builder.bitcast(builder.add(builder.bitcast(half, vector), more), arithmetic.wide)
                        for half, more in zip(halves, offsets, strict=True)
                    )
                    value = arithmetic.rescaled_pair(Pair(*map(arithmetic.extended, shifted)), loaded)
                    value = builder.trunc(arithmetic.clamped(value, constants.limits), ir.VectorType(element, lanes))
                    builder.store(value, arithmetic.pointer(end, first, value.type), align=1)

        for high in choices(builder, values["scaling"].field("high").value):
            emit(high)
        return context.get_dummy_value()

    return types.void(form, count, x, row, means, factors, bias, scaling, out, groups), generate


def _scalar(builder: Any, start: ir.Value, index: ir.Value) -> ir.Value:
    """Element `index` of an array of i32."""
    return builder.load(pointer(builder, builder.add(start, builder.mul(index, ir.Constant(I64, 4))), I32))
