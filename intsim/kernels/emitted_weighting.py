"""The sums of the few high bytes of a row of probabilities, as LLVM code: only groups that are not 0 are multiplied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils as _cgutils

from ..arith import IntArray
from ..arith.jit import intrinsic, overload
from .emitted_tile import dot
from .emitting import I32, I64, Value, emit_call, everywhere
from .forms import Form
from .weighting import high_sums

cgutils: Any = _cgutils  # its functions have no types
GROUPS = 16  # tested at once


@overload(high_sums)
def _high_sums(form: Any, high: Any, panel: Any, sums: Any) -> Callable[[Form, IntArray, IntArray, IntArray], None]:
    if not form.instance_class.SPLITS:
        return high_sums
    return lambda form, high, panel, sums: _emitted(form, high, panel, sums)


@intrinsic()
def _emitted(typing_context: Any, form: Any, high: Any, panel: Any, sums: Any) -> Any:
    kind = form.instance_class
    columns, lanes = kind.SIZES[1], kind.SIZES[2]
    vector, tested = ir.VectorType(I32, lanes), ir.VectorType(I32, GROUPS)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        left, right, out = (Value(signature.args[i], arguments[i], context, builder) for i in (1, 2, 3))
        totals = [cgutils.alloca_once(builder, vector) for _ in range(columns // lanes)]
        for total in totals:
            builder.store(ir.Constant(vector, [0] * lanes), total)
        chunk_bytes = ir.Constant(I64, 4 * GROUPS)
        with cgutils.for_range(builder, builder.udiv(left.length(0), chunk_bytes), intp=I64) as chunk:
            start = builder.add(left.start(), builder.mul(chunk.index, chunk_bytes))
            groups = builder.load(builder.inttoptr(start, tested.as_pointer()), align=1)
            some = builder.icmp_unsigned("!=", groups, ir.Constant(tested, [0] * GROUPS))
            bits = builder.zext(builder.bitcast(some, ir.IntType(GROUPS)), I64)
            pending = cgutils.alloca_once(builder, I64)
            builder.store(bits, pending)
            test, body, done = (builder.append_basic_block(name) for name in ("more", "group", "done"))
            builder.branch(test)
            builder.position_at_end(test)
            rest = builder.load(pending)
            at = builder.add(builder.mul(chunk.index, ir.Constant(I64, GROUPS)), _lowest(builder, rest))
            # Groups behind the last of the panel belong to what fills the last chunk.
            inside = builder.and_(
                builder.icmp_unsigned("!=", rest, ir.Constant(I64, 0)), builder.icmp_signed("<", at, right.length(0))
            )
            builder.cbranch(inside, body, done)
            builder.position_at_end(body)
            builder.store(builder.and_(rest, builder.sub(rest, ir.Constant(I64, 1))), pending)
            word_at = builder.add(left.start(), builder.mul(at, ir.Constant(I64, 4)))
            word = builder.load(builder.inttoptr(word_at, I32.as_pointer()), align=1)
            for v, total in enumerate(totals):
                column_at = builder.add(right.at(at), ir.Constant(I64, 4 * lanes * v))
                column = builder.load(builder.inttoptr(column_at, vector.as_pointer()), align=1)
                builder.store(dot(kind, builder, builder.load(total), everywhere(builder, word, lanes), column), total)
            builder.branch(test)
            builder.position_at_end(done)
        for v, total in enumerate(totals):
            shifted = builder.shl(builder.load(total), ir.Constant(vector, [8] * lanes))
            at = builder.add(out.start(), ir.Constant(I64, 4 * lanes * v))
            builder.store(shifted, builder.inttoptr(at, vector.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(form, high, panel, sums), generate


def _lowest(builder: Any, bits: ir.Value) -> ir.Value:
    """The index of the lowest bit that is set; 64 if none is."""
    return emit_call(builder, "llvm.cttz.i64", I64, bits, ir.Constant(ir.IntType(1), 0))
