"""Arrays without values for functions of others: they follow NumPy's rules for types, and write down what is computed.

An array has a NumPy type, and what passes it wraps, as in NumPy. A plain parameter is a Python integer: exact, and of the
type of what it meets. Where NumPy or Python would raise an error, that is written down, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..symbols import Expression
from ..symbols.symbol import BINARY, NotTraceable
from .array_functions import FUNCTIONS, JOINING, MOVING, ONE, PARTING, TWO
from .array_methods import ArrayMethods
from .array_types import BOOLEAN, PYTHON, REMEDY, WIDEST
from .cells import Cells, Elements
from .constructors import constructors

COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")
LOGICAL = ("logical_and", "logical_or")


class TypedArray(ArrayMethods, np.lib.mixins.NDArrayOperatorsMixin):
    """An array of integers (or booleans) that are not known, `cells` their expressions. Type None is a Python integer.

    `plain` is what depends on plain parameters only. Conditions with which NumPy or Python raises are added to `raises`.
    """

    symbolic = True  # `integers` lets it pass

    def __init__(
        self, of: Cells, cells: Elements, dtype: np.dtype[Any] | None, raises: list[Expression], plain: bool = False
    ) -> None:
        self.of, self.cells, self.type, self.raises, self.plain = of, cells, dtype, raises, plain or dtype is PYTHON
        self.shape, self.ndim, self.size = cells.shape, cells.ndim, cells.size

    def __repr__(self) -> str:
        return f"<{self.type or 'int'} {list(self.shape)}, not known>"

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__") and hasattr(np.ndarray, name):
            raise NotTraceable(f"it calls {name} of an array, which is not traced{REMEDY}")
        raise AttributeError(f"an array has no attribute {name!r}")

    # --- values that are needed -----------------------------------------------------------------------------------------

    def _known(self, what: str) -> Any:
        value = self.cells.item().scalar if self.size == 1 else None
        if value is None:
            raise NotTraceable(f"{what} of {'a parameter' if self.plain else 'an array'}{REMEDY}")
        return value

    def __bool__(self) -> bool:
        return bool(self._known("it decides by a value"))

    def __int__(self) -> int:
        return int(self._known("it needs the value"))

    def __index__(self) -> int:
        return int(self._known("it counts by the value"))

    def __float__(self) -> float:
        raise NotTraceable(f"it makes real numbers of integers{REMEDY}")

    def __array__(self, *args: Any, **options: Any) -> Any:
        raise NotTraceable(f"it needs the values of an array, as np.int64(x) does; use x.astype{REMEDY}")

    def item(self, *index: int) -> TypedArray:
        """One element, as a Python integer."""
        cell = self.cells.reshape(-1)[index[0]] if len(index) == 1 else self.cells[index] if index else self.cells.item()
        return self._made(np.asarray(cell, object), PYTHON)

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("an integer has no length")
        return self.shape[0]

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    # --- arithmetic -----------------------------------------------------------------------------------------------------

    def _made(self, cells: Elements, dtype: np.dtype[Any] | None, plain: bool = False) -> TypedArray:
        return TypedArray(self.of, np.asarray(cells, object), dtype, self.raises, plain)

    def _operand(self, value: Any) -> tuple[Elements, np.dtype[Any] | None]:
        """The elements of an argument, and its type."""
        if isinstance(value, TypedArray):
            return value.cells, value.type
        if isinstance(value, bool | np.bool_):
            return np.asarray(self.of.constant(bool(value)), object), BOOLEAN
        if isinstance(value, int):
            return np.asarray(self.of.constant(value), object), PYTHON
        if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.dtype == object):
            return self._joined(value)
        array = np.asarray(value)
        if array.dtype.kind not in "iub":
            raise NotTraceable(f"it computes with {array.dtype}, and only integers are traced{REMEDY}")
        cells = np.empty(array.shape, object)
        for index in np.ndindex(*array.shape):
            cells[index] = self.of.constant(array[index])
        return cells, array.dtype

    def _joined(self, values: Any) -> tuple[Elements, np.dtype[Any] | None]:
        """A list of arrays and numbers as one array."""
        parts = [self._operand(value) for value in values]
        types = [dtype for _, dtype in parts if dtype is not PYTHON]
        cells = np.stack([part for part, _ in parts]) if parts else np.empty(0, object)
        return cells, np.result_type(*types) if types else WIDEST

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        name = ufunc.__name__
        out, where, asked = options.pop("out", None), options.pop("where", True), options.pop("dtype", None)
        if method == "reduce" and name in ("add", "minimum", "maximum") and where is True:
            reduced = {"axis": 0, **{key: value for key, value in options.items() if key in ("axis", "keepdims")}}
            return getattr(self, {"add": "sum", "minimum": "min", "maximum": "max"}[name])(**reduced)
        if method != "__call__" or options or where is not True:
            raise NotTraceable(f"it calls numpy.{name}.{method} with {', '.join(options) or 'where'}{REMEDY}")
        result = self._called(name, [self._operand(value) for value in inputs])
        result = result if asked is None else result.astype(asked)
        if out is None or not out[0].ndim:  # single values are never changed in place
            return result
        out[0][...] = result
        return out[0]

    def _called(self, name: str, args: list[tuple[Elements, np.dtype[Any] | None]]) -> TypedArray:
        if name in ("divmod", "true_divide", "divide"):
            raise NotTraceable(
                f"it divides to real numbers; use //{REMEDY}" if name != "divmod" else f"it calls divmod{REMEDY}"
            )
        if name in ONE:
            return ONE[name](self._made(*args[0]))
        if name in TWO:
            a, b = (self._made(*arg) for arg in args)
            return TWO[name](a, b)
        if name not in BINARY and name != "not_equal":
            raise NotTraceable(f"it calls numpy.{name}, which is no operation on integers that is traced{REMEDY}")
        (a, left), (b, right) = args
        shared = self._common(left, right)
        if name in COMPARISONS:
            kind, exchanged = BINARY.get(name, ("equal", False))
            found = self.of.each(kind, *((b, a) if exchanged else (a, b)))
            found = self.of.each("logical_not", found) if name == "not_equal" else found
            return self._made(found, BOOLEAN, plain=left is PYTHON and right is PYTHON)
        kind, exchanged = BINARY[name]
        if name in LOGICAL:
            a, b = (self._made(x, t).astype(bool).cells for x, t in args)
            shared = BOOLEAN
        if shared == BOOLEAN:
            kind = {"add": "bitwise_or", "maximum": "bitwise_or", "multiply": "bitwise_and", "minimum": "bitwise_and"}.get(
                kind, kind
            )
            if not kind.startswith("bitwise"):
                raise TypeError(f"numpy.{name} of booleans")
            return self._made(self.of.each(kind, a, b), BOOLEAN)
        a, b = self._cast(a, left, shared), self._cast(b, right, shared)
        if kind in ("left_shift", "right_shift"):
            return self._shifted(kind, a, b, shared)
        if kind == "floor_divide":
            return self._divided(a, b, shared)
        return self._held(self.of.each(kind, a, b), shared)

    def _common(self, left: np.dtype[Any] | None, right: np.dtype[Any] | None) -> np.dtype[Any] | None:
        """The type of a result, as NumPy has it."""
        if left is PYTHON or right is PYTHON:
            other = right if left is PYTHON else left
            return WIDEST if other == BOOLEAN else other
        found = np.result_type(left, right)
        if found.kind == "f":
            raise NotTraceable(f"it mixes {left} and {right}, which makes real numbers{REMEDY}")
        return found

    def _cast(self, cells: Elements, own: np.dtype[Any] | None, to: np.dtype[Any] | None) -> Elements:
        """Elements in the type that an operation has; a Python integer that this does not hold raises OverflowError."""
        cells = self.of.each("integer", cells) if any(x.boolean for x in cells.flat) else cells
        if own is PYTHON and to is not None:
            self._raise_outside(cells, np.iinfo(to).min, np.iinfo(to).max)
        return cells

    def _raise_outside(self, cells: Elements, lo: int, hi: int) -> None:
        for x in cells.flat:
            for refused in (
                self.of.op("less", x, self.of.constant(int(lo))),
                self.of.op("less", self.of.constant(int(hi)), x),
            ):
                self._raise(refused)

    def _raise(self, refused: Expression) -> None:
        if refused.scalar != 0:
            self.raises.append(refused)

    def _held(self, cells: Elements, dtype: np.dtype[Any] | None) -> TypedArray:
        """Results in a type, of which they keep the low bits."""
        if dtype is PYTHON:
            return self._made(cells, PYTHON)
        info, out = np.iinfo(dtype), np.empty(cells.shape, object)
        low, sign = int(info.max) - int(info.min), -int(info.min)
        for index in np.ndindex(*cells.shape):
            x = cells[index]
            if x.lo < info.min or x.hi > info.max:
                x = self.of.op("bitwise_and", x, self.of.constant(low))
                if sign:
                    x = self.of.op("subtract", self.of.op("bitwise_xor", x, self.of.constant(sign)), self.of.constant(sign))
            out[index] = x
        return self._made(out, dtype)

    def _shifted(self, kind: str, a: Elements, b: Elements, dtype: np.dtype[Any] | None) -> TypedArray:
        """A shift: NumPy gives 0 (or -1) for one that is too far or negative, Python refuses a negative one."""
        zero = self.of.constant(0)
        if dtype is PYTHON:
            for x in b.flat:
                self._raise(self.of.op("less", x, zero))
            held = self.of.each("maximum", b, np.asarray(zero, object))
            return self._made(self.of.each(kind, a, held), PYTHON)
        most = self.of.constant(8 * dtype.itemsize - 1)
        out = np.empty(np.broadcast_shapes(a.shape, b.shape), object)
        for (index, x), y in zip(
            np.ndenumerate(np.broadcast_to(a, out.shape)), np.broadcast_to(b, out.shape).flat, strict=True
        ):
            held = self.of.op("minimum", self.of.op("maximum", y, zero), most)
            made = self.of.op(kind, x, held)
            far = zero
            if kind == "right_shift":
                far = self.of.op("select", self.of.op("less", x, zero), self.of.constant(-1), zero)
            inside = self.of.op("equal", y, held)
            out[index] = self.of.op("select", inside, made, far)
        return self._held(out, dtype)

    def _divided(self, a: Elements, b: Elements, dtype: np.dtype[Any] | None) -> TypedArray:
        """A floored quotient: NumPy gives 0 for a divisor of 0, Python refuses it."""
        out = self.of.each("floor_divide", a, b)
        zero = np.asarray(self.of.constant(0), object)
        by_zero = self.of.each("equal", b, zero)
        if dtype is PYTHON:
            for x in by_zero.flat:
                self._raise(x)
            return self._made(out, PYTHON)
        return self._held(self.of.each("select", by_zero, zero, out), dtype)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        name = function.__name__
        if name in MOVING:
            return self._made(function(args[0].cells, *args[1:], **options), args[0].type)
        if name in JOINING:
            parts = [self._operand(part) for part in args[0]]
            known = [dtype for _, dtype in parts if dtype is not PYTHON]
            return self._made(
                function([part for part, _ in parts], *args[1:], **options), np.result_type(*known) if known else WIDEST
            )
        if name in PARTING:
            return [self._made(part, args[0].type) for part in function(args[0].cells, *args[1:], **options)]
        if name not in FUNCTIONS:
            raise NotTraceable(f"it calls numpy.{name}, which is not traced{REMEDY}")
        first = args[0] if isinstance(args[0], TypedArray) else self._made(*self._operand(args[0])) if args else self
        return FUNCTIONS[name](first, *args[1:], **options)


def traced(
    function: Callable[..., Any],
    of: Cells,
    arrays: Sequence[TypedArray],
    params: dict[str, Any],
    shape: tuple[int, ...] | None,
) -> Elements | str:
    """The elements of what a function returns; what is wrong with it where that has another shape."""
    own = next((x for x in (*arrays, *params.values()) if isinstance(x, TypedArray)), None)
    helper = own if own is not None else TypedArray(of, np.empty(0, object), WIDEST, [])

    def convert(value: Any, dtype: Any, copies: bool) -> TypedArray | None:
        if isinstance(value, list | tuple) and any(isinstance(v, TypedArray) for v in value):
            value = helper._made(*helper._joined(value))
        if not isinstance(value, TypedArray):
            return None
        if dtype is not None and np.dtype(dtype) != value.dtype:
            return value.astype(dtype)
        return value.copy() if copies else value

    with constructors(convert):
        returned = function(*arrays, **params)
    if returned is None:
        return "it returned None; integers are expected"
    cells, _ = helper._operand(returned)
    cells = of.each("integer", cells) if cells.size and any(x.boolean for x in cells.flat) else cells
    return cells if shape is None or cells.shape == shape else f"its shape is {list(cells.shape)}, expected {list(shape)}"
