"""What code that emits LLVM shares: the values of an intrinsic's arguments, and calls of LLVM's own intrinsics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba.core import cgutils as _cgutils

cgutils: Any = _cgutils  # its functions have no types

I32, I64 = ir.IntType(32), ir.IntType(64)


def emit_call(builder: Any, name: str, result: ir.Type, *arguments: ir.Value) -> ir.Value:
    """Emit the call of an LLVM intrinsic; the first call in a module also declares it."""
    module = builder.module
    function = module.globals.get(name) or ir.Function(module, ir.FunctionType(result, [a.type for a in arguments]), name)
    return builder.call(function, arguments)


def everywhere(builder: Any, scalar: ir.Value, lanes: int) -> ir.Value:
    """The scalar in every lane of a vector."""
    undefined = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, lanes), [0] * lanes))


class Value:
    """An argument: a scalar, an array, or a named tuple of values."""

    def __init__(self, kind: Any, value: ir.Value, context: Any, builder: Any) -> None:
        self.kind, self.value, self._context, self._builder = kind, value, context, builder

    def field(self, name: str) -> Value:
        """A field of a named tuple."""
        at = self.kind.fields.index(name)
        return Value(self.kind.types[at], self._builder.extract_value(self.value, at), self._context, self._builder)

    @property
    def element(self) -> ir.IntType:
        """The type of the elements of an array."""
        return ir.IntType(self.kind.dtype.bitwidth)

    def _array(self) -> Any:
        return self._context.make_array(self.kind)(self._context, self._builder, self.value)

    def start(self) -> ir.Value:
        """The address of the first element of an array."""
        return self._builder.ptrtoint(self._array().data, I64)

    def stride(self) -> ir.Value:
        """The stride of the first axis in bytes."""
        return self._builder.extract_value(self._array().strides, 0)

    def length(self, axis: int) -> ir.Value:
        """The length of an axis."""
        return self._builder.extract_value(self._array().shape, axis)

    def at(self, index: ir.Value) -> ir.Value:
        """The address of element `index` of the first axis."""
        return self._builder.add(self.start(), self._builder.mul(index, self.stride()))

    def item(self) -> ir.Value:
        """The first element of an array, as i64."""
        value = self._builder.load(self._builder.inttoptr(self.start(), self.element.as_pointer()))
        return value if self.element.width == I64.width else self._builder.sext(value, I64)


def named(names: str, signature: Any, arguments: Any, context: Any, builder: Any) -> dict[str, Value]:
    """The arguments of an intrinsic by their names, which are separated by blanks."""
    pairs = zip(names.split(), signature.args, arguments, strict=True)
    return {name: Value(kind, value, context, builder) for name, kind, value in pairs}


def pointer(builder: Any, address: ir.Value, kind: ir.Type) -> ir.Value:
    """The address as a pointer."""
    return builder.inttoptr(address, kind.as_pointer())


def choices(builder: Any, condition: ir.Value) -> Iterator[bool]:
    """True and False in turn: what is emitted meanwhile is executed where the condition is so."""
    with builder.if_else(condition) as (then, otherwise):
        with then:
            yield True
        with otherwise:
            yield False


@contextmanager
def each(builder: Any, count: ir.Value | None) -> Iterator[ir.Value]:
    """The index in a loop over so many; without a loop, if it is None, which stands for one."""
    if count is None:
        yield ir.Constant(I64, 0)
    else:
        with cgutils.for_range(builder, count, intp=I64) as loop:
            yield loop.index
