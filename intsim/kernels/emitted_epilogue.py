"""Epilogues as LLVM code on the registers of a tile: bias, multiplication, shift, residual sum, saturation and store.

A vector of i32 is multiplied as two vectors of i64, its even and its odd lanes: the processors multiply those without moving
them. Only `quick` epilogues are emitted: rounding adds one constant before the shift, and every result before saturation
fits i32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types

from ..arith import IntArray
from ..arith.jit import intrinsic
from .emitted_tile import I32, I64, TileCode, emit_call
from .epilogue import Added, Epilogue, Scaled, Summed
from .forms import Form, PlainWords


def dispatch(kind: type[Form]) -> Callable[..., int]:
    """The implementation of `epilogue.finished_tiles` for a form."""
    if kind is PlainWords:
        return lambda form, left, rows, panels, panel, columns, epilogue, bias, out, row: 0
    full = kind.SIZES[1] // kind.SIZES[2]
    half = min(full, 2)

    def tiles(
        form: Form,
        left: IntArray,
        rows: int,
        panels: IntArray,
        panel: int,
        columns: int,
        epilogue: Epilogue,
        bias: IntArray,
        out: IntArray,
        row: int,
    ) -> int:
        first = panel * form.columns
        width = min(columns - first, form.columns)
        vectors = width // form.lanes
        if not epilogue.quick or width % form.lanes or vectors == 3:
            return 0
        whole = rows // form.rows * form.rows
        for tile in range(0, whole, form.rows):
            if vectors == full:
                _emitted(form, full, left, tile, panels, panel, first, epilogue, bias, out, row + tile)
            elif vectors == half:
                _emitted(form, half, left, tile, panels, panel, first, epilogue, bias, out, row + tile)
            else:
                _emitted(form, 1, left, tile, panels, panel, first, epilogue, bias, out, row + tile)
        return whole

    return tiles


@intrinsic(prefer_literal=True)
def _emitted(
    typing_context: Any,
    form: Any,
    vectors: Any,
    left: Any,
    tile: Any,
    panels: Any,
    panel: Any,
    first: Any,
    epilogue: Any,
    bias: Any,
    out: Any,
    row: Any,
) -> Any:
    """One tile and its epilogue; `tile` is its first row in `left`, `row` in `out`, `first` its first column."""
    wide = vectors.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = dict(zip(NAMES, signature.args, strict=True))
        values = dict(zip(NAMES, arguments, strict=True))
        code = TileCode(form.instance_class, wide, builder)
        a, a_stride, _ = code.matrix(context, kinds["left"], values["left"], values["tile"])
        b, _, groups = code.matrix(context, kinds["panels"], values["panels"], values["panel"])
        sums = code.sums(a, a_stride, b, groups)
        reader = _Reader(context, builder)
        finish = EMITTED[epilogue.instance_class](code, reader, kinds["epilogue"], values["epilogue"])
        finish.into(kinds["out"], values["out"], values["row"], values["first"])
        biases = reader.array(kinds["bias"], values["bias"])
        for v in range(wide):
            finish.column(sums, v, biases)
        return context.get_dummy_value()

    return types.void(form, vectors, left, tile, panels, panel, first, epilogue, bias, out, row), generate


NAMES = ("form", "vectors", "left", "tile", "panels", "panel", "first", "epilogue", "bias", "out", "row")


class _Reader:
    """Reads the fields of named tuples and the addresses of arrays."""

    def __init__(self, context: Any, builder: Any) -> None:
        self.context, self.builder = context, builder

    def field(self, kind: Any, value: ir.Value, name: str) -> tuple[Any, ir.Value]:
        """The type and the value of a field."""
        at = kind.fields.index(name)
        return kind.types[at], self.builder.extract_value(value, at)

    def array(self, kind: Any, value: ir.Value) -> ir.Value:
        """The address of the first element of an array."""
        return self.builder.ptrtoint(self.context.make_array(kind)(self.context, self.builder, value).data, I64)

    def stride(self, kind: Any, value: ir.Value) -> ir.Value:
        """The stride of the first axis in bytes."""
        return self.builder.extract_value(self.context.make_array(kind)(self.context, self.builder, value).strides, 0)


class Pair(NamedTuple):
    """The even and the odd lanes of a vector of i32, sign-extended to i64."""

    even: ir.Value
    odd: ir.Value


class _Constants(NamedTuple):
    """Multiplier, rounding term and shift of the lanes of one vector."""

    m: Pair
    add: Pair
    e: Pair


class Arithmetic:
    """Emits the arithmetic of epilogues on vectors of i32 lanes."""

    def __init__(self, builder: Any, lanes: int) -> None:
        self.builder, self.lanes = builder, lanes
        self.vector, self.wide = ir.VectorType(I32, lanes), ir.VectorType(I64, lanes // 2)
        self.half = ir.Constant(self.wide, [32] * (lanes // 2))

    def load(self, address: ir.Value, index: ir.Value, kind: ir.Type, size: int) -> ir.Value:
        """A vector of `kind` at element `index` of an array whose elements have `size` bytes."""
        at = self.builder.add(address, self.builder.mul(index, ir.Constant(I64, size)))
        return self.builder.load(self.builder.inttoptr(at, kind.as_pointer()), align=1)

    def pair(self, value: ir.Value) -> Pair:
        """Both halves of a vector of i32."""
        both = self.builder.bitcast(value, self.wide)
        return Pair(
            self.builder.ashr(self.builder.shl(both, self.half), self.half),
            self.builder.ashr(both, self.half),
        )

    def split(self, value: ir.Value) -> Pair:
        """Both halves of a vector of as many i64 lanes."""
        orders = ([2 * i + half for i in range(self.lanes // 2)] for half in (0, 1))
        return Pair(*(self._shuffled(value, order) for order in orders))

    def splat(self, scalar: ir.Value) -> Pair:
        """One i64 in every lane."""
        first = self.builder.insert_element(ir.Constant(self.wide, ir.Undefined), scalar, ir.Constant(I32, 0))
        lanes = self._shuffled(first, [0] * (self.lanes // 2))
        return Pair(lanes, lanes)

    def _shuffled(self, value: ir.Value, order: list[int]) -> ir.Value:
        return self.builder.shuffle_vector(value, value, ir.Constant(ir.VectorType(I32, len(order)), order))

    def rescaled(self, value: Pair, by: _Constants) -> Pair:
        """``(value * m + add) >> e``."""
        return Pair(
            *(
                self.builder.ashr(self.builder.add(self.builder.mul(lanes, m), add), e)
                for lanes, m, add, e in zip(value, *by, strict=True)
            )
        )

    def joined(self, value: Pair) -> ir.Value:
        """The vector of i32 whose lanes fit i32."""
        low = self.builder.and_(value.even, ir.Constant(self.wide, [0xFFFFFFFF] * (self.lanes // 2)))
        return self.builder.bitcast(self.builder.or_(low, self.builder.shl(value.odd, self.half)), self.vector)

    def clamped(self, value: ir.Value, lo: ir.Value, hi: ir.Value) -> ir.Value:
        """Saturated to ``[lo, hi]``, vectors of i32."""
        name = f"v{self.lanes}i32"
        return emit_call(
            self.builder,
            f"llvm.smin.{name}",
            self.vector,
            emit_call(self.builder, f"llvm.smax.{name}", self.vector, value, lo),
            hi,
        )

    def limit(self, scalar: ir.Value) -> ir.Value:
        """An i64 scalar in every i32 lane."""
        narrow = self.builder.trunc(scalar, I32)
        first = self.builder.insert_element(ir.Constant(self.vector, ir.Undefined), narrow, ir.Constant(I32, 0))
        return self._shuffled(first, [0] * self.lanes)


class _Finish:
    """Emits one epilogue. A subclass computes the values of a vector from its sums."""

    def __init__(self, code: TileCode, reader: _Reader, kind: Any, value: ir.Value) -> None:
        self.code, self.builder, self.reader = code, code.builder, reader
        self.arithmetic = Arithmetic(code.builder, code.lanes)
        self.kind, self.value = kind, value
        self.prepare()

    def prepare(self) -> None:
        """Load what is the same for all columns."""

    def into(self, kind: Any, value: ir.Value, row: ir.Value, first: ir.Value) -> None:
        """Where results go: the rows of `value` from `row` on, and its columns from `first` on."""
        self.out, self.out_stride = self.reader.array(kind, value), self.reader.stride(kind, value)
        self.row, self.first = row, first
        self.element = ir.IntType(kind.dtype.bitwidth)

    def column(self, sums: Sequence[Sequence[ir.Value]], v: int, biases: ir.Value) -> None:
        """Finish and store vector `v` of every row."""
        index = self.builder.add(self.first, ir.Constant(I64, v * self.code.lanes))
        bias = self.arithmetic.load(biases, index, self.arithmetic.vector, 4)
        constants = self.constants(index)
        for i, row in enumerate(sums):
            line = self.builder.add(self.row, ir.Constant(I64, i))
            value = self.finished(self.builder.add(row[v], bias), constants, line, index)
            size = self.element.width // 8
            at = self._address(self.out, self.out_stride, line, index, size)
            if self.element.width < 32:
                value = self.builder.trunc(value, ir.VectorType(self.element, self.code.lanes))
            self.builder.store(value, self.builder.inttoptr(at, value.type.as_pointer()), align=1)

    def _address(self, base: ir.Value, stride: ir.Value, line: ir.Value, index: ir.Value, size: int) -> ir.Value:
        column = self.builder.mul(index, ir.Constant(I64, size))
        return self.builder.add(base, self.builder.add(self.builder.mul(line, stride), column))

    def constants(self, index: ir.Value) -> Any:
        """Load what is the same for all rows of a vector of columns."""

    def finished(self, value: ir.Value, constants: Any, line: ir.Value, index: ir.Value) -> ir.Value:
        """The result of one vector, i32."""
        return value


class _Scaled(_Finish):
    """`Scaled`: constants per column."""

    def prepare(self) -> None:
        kind, value = self.reader.field(self.kind, self.value, "scaling")
        self.arrays = {name: self.reader.array(*self.reader.field(kind, value, name)) for name in ("m", "add", "e")}
        self.lo, self.hi = self._limits(kind, value)

    def _limits(self, kind: Any, value: ir.Value) -> tuple[ir.Value, ir.Value]:
        lo, hi = (self.reader.field(kind, value, name)[1] for name in ("lo", "hi"))
        return self.arithmetic.limit(lo), self.arithmetic.limit(hi)

    def constants(self, index: ir.Value) -> _Constants:
        arithmetic, double = self.arithmetic, ir.VectorType(I64, self.code.lanes)
        m = arithmetic.pair(arithmetic.load(self.arrays["m"], index, arithmetic.vector, 4))
        add, e = (arithmetic.split(arithmetic.load(self.arrays[name], index, double, 8)) for name in ("add", "e"))
        return _Constants(m, add, e)

    def finished(self, value: ir.Value, constants: Any, line: ir.Value, index: ir.Value) -> ir.Value:
        arithmetic = self.arithmetic
        return arithmetic.clamped(
            arithmetic.joined(arithmetic.rescaled(arithmetic.pair(value), constants)), self.lo, self.hi
        )


class _Added(_Scaled):
    """`Added`: both arms have one multiplier for all columns."""

    def prepare(self) -> None:
        super().prepare()
        self.own = self._arm("arm")
        self.others = self._arm("other_arm")
        kind, value = self.reader.field(self.kind, self.value, "other")
        self.other, self.other_stride = self.reader.array(kind, value), self.reader.stride(kind, value)
        self.narrow = ir.VectorType(ir.IntType(kind.dtype.bitwidth), self.code.lanes)
        self.sum_lo, self.sum_hi = self._limits(*self.reader.field(self.kind, self.value, "arm"))

    def _arm(self, name: str) -> _Constants:
        kind, value = self.reader.field(self.kind, self.value, name)
        scalars = []
        for field in ("m", "add", "e"):
            array_kind, array = self.reader.field(kind, value, field)
            pointer = self.builder.inttoptr(
                self.reader.array(array_kind, array), ir.IntType(array_kind.dtype.bitwidth).as_pointer()
            )
            scalar = self.builder.load(pointer)
            scalars.append(self.builder.sext(scalar, I64) if scalar.type.width < I64.width else scalar)
        return _Constants(*(self.arithmetic.splat(scalar) for scalar in scalars))

    def finished(self, value: ir.Value, constants: Any, line: ir.Value, index: ir.Value) -> ir.Value:
        arithmetic = self.arithmetic
        own = arithmetic.rescaled(arithmetic.pair(super().finished(value, constants, line, index)), self.own)
        size = self.narrow.element.width // 8
        at = self._address(self.other, self.other_stride, line, index, size)
        other = self.builder.load(self.builder.inttoptr(at, self.narrow.as_pointer()), align=1)
        wide = arithmetic.rescaled(arithmetic.pair(self.builder.sext(other, arithmetic.vector)), self.others)
        total = Pair(*(self.builder.add(a, b) for a, b in zip(own, wide, strict=True)))
        return arithmetic.clamped(arithmetic.joined(total), self.sum_lo, self.sum_hi)


EMITTED: dict[type, type[_Finish]] = {Summed: _Finish, Scaled: _Scaled, Added: _Added}
