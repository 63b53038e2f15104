"""NumPy's functions on arrays without values, by name: those that are no single operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..symbols import NotTraceable
from .array_methods import ArrayMethods
from .array_types import BOOLEAN, PYTHON, REMEDY, WIDEST

if TYPE_CHECKING:
    from .arrays import TypedArray

# Functions that only move elements, and take one array or several.
MOVING = (
    "reshape", "transpose", "swapaxes", "moveaxis", "roll", "flip", "repeat", "tile", "squeeze", "expand_dims", "ravel",
    "broadcast_to", "atleast_1d", "atleast_2d", "rot90", "fliplr", "flipud", "diagonal",
)  # fmt: skip
JOINING = ("concatenate", "stack", "vstack", "hstack", "column_stack", "dstack")
PARTING = ("split", "array_split", "hsplit", "vsplit")


def _negative(x: TypedArray) -> TypedArray:
    return x._called("subtract", [x._operand(0), (x.cells, x.type)])


def _absolute(x: TypedArray) -> TypedArray:
    if x.type is not PYTHON and x.dtype.kind != "i":
        return x
    below = _negative(x)
    return x._called("maximum", [(x.cells, x.type), (below.cells, below.type)])


def _inverted(x: TypedArray) -> TypedArray:
    if x.type == BOOLEAN:
        return x._made(x.of.each("logical_not", x.cells), BOOLEAN)
    most = -1 if x.type is PYTHON or x.dtype.kind == "i" else int(np.iinfo(x.dtype).max)
    return x._called("subtract", [x._operand(most), (x.cells, x.type)])


def _sign(x: TypedArray) -> TypedArray:
    return _where(x > 0, 1, _where(x < 0, -1, 0)).astype(x.dtype)


def _remainder(a: TypedArray, b: TypedArray) -> TypedArray:
    found = a - a // b * b
    return found if found.type is PYTHON else _where(b == 0, 0, found).astype(found.dtype)


def _fmod(a: TypedArray, b: TypedArray) -> TypedArray:
    """The remainder of C, which has the sign of the dividend."""
    found = _remainder(a, b)
    exchanged = (found != 0) & ((a < 0) != (b < 0))
    return _where(exchanged, found - b, found).astype(found.dtype)


def _power(a: TypedArray, b: TypedArray) -> TypedArray:
    count = int(b._known("it raises to the power"))
    if count < 0:
        raise ValueError("integers to negative integer powers are not allowed")
    result = a._made(*a._operand(1)) if not count else a
    for _ in range(count - 1):
        result = result * a
    return result


def _where(condition: Any, a: Any, b: Any) -> TypedArray:
    own: Any = next(x for x in (condition, a, b) if isinstance(x, ArrayMethods))
    chosen = own._made(*own._operand(condition)).astype(bool)
    (left, first), (right, second) = own._operand(a), own._operand(b)
    shared = own._common(first, second)
    if shared != BOOLEAN:
        left, right = own._cast(left, first, shared), own._cast(right, second, shared)
    made: TypedArray = own._made(own.of.each("select", chosen.cells, left, right), WIDEST if shared is PYTHON else shared)
    return made


def _filled(x: TypedArray, value: Any, dtype: Any = None, shape: Any = None, **_: Any) -> TypedArray:
    sides = x.shape if shape is None else tuple(np.atleast_1d(shape))
    out = np.empty(sides, object)
    held = x._made(*x._operand(value)).astype(dtype or x.dtype)
    for index in np.ndindex(*out.shape):
        out[index] = held.cells.item() if held.size == 1 else np.broadcast_to(held.cells, out.shape)[index]
    return x._made(out, np.dtype(dtype or x.dtype))


def _array_where(x: TypedArray, *args: Any) -> TypedArray:
    if len(args) != 2:
        raise NotTraceable(f"it looks for elements by their values{REMEDY}")
    return _where(x, *args)


def _padded(x: TypedArray, widths: Any, mode: str, value: Any) -> TypedArray:
    if mode != "constant":
        raise NotTraceable(f"it pads with mode {mode!r}, which is not traced{REMEDY}")
    (held,) = x._made(*x._operand(value)).astype(x.dtype).cells.reshape(-1)
    return x._made(np.pad(x.cells, widths, constant_values=held), x.type)


def _product(a: TypedArray, b: TypedArray) -> TypedArray:
    shared = a._common(a.type, b.type) or WIDEST
    left, right = (x.astype(shared).cells for x in (a, b))
    flat = (left.ndim == 1, right.ndim == 1)
    left, right = left[None] if flat[0] else left, right[:, None] if flat[1] else right
    out = a.of.product(left, right)
    out = out[..., 0, :] if flat[0] else out
    return a._held(out[..., 0] if flat[1] else out, shared)


ONE: dict[str, Callable[[TypedArray], TypedArray]] = {
    "negative": _negative,
    "positive": lambda x: x,
    "absolute": _absolute,
    "invert": _inverted,
    "logical_not": lambda x: _inverted(x.astype(bool)),
    "sign": _sign,
    "square": lambda x: x * x,
}
TWO: dict[str, Callable[[TypedArray, TypedArray], TypedArray]] = {
    "remainder": _remainder,
    "fmod": _fmod,
    "power": _power,
    "matmul": _product,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "where": _array_where,
    "clip": lambda x, *args, **options: x.clip(
        *args, **{{"a_min": "min", "a_max": "max"}.get(key, key): value for key, value in options.items()}
    ),
    "sum": lambda x, *args, **options: x.sum(*args, **options),
    "max": lambda x, *args, **options: x.max(*args, **options),
    "min": lambda x, *args, **options: x.min(*args, **options),
    "amax": lambda x, *args, **options: x.max(*args, **options),
    "amin": lambda x, *args, **options: x.min(*args, **options),
    "argmax": lambda x, *args, **options: x.argmax(*args, **options),
    "any": lambda x, *args, **options: x.any(*args, **options),
    "all": lambda x, *args, **options: x.all(*args, **options),
    "cumsum": lambda x, *args, **options: x.cumsum(*args, **options),
    "dot": lambda a, b: _product(a, a._made(*a._operand(b))),
    "zeros_like": lambda x, **options: _filled(x, 0, **options),
    "ones_like": lambda x, **options: _filled(x, 1, **options),
    "empty_like": lambda x, **options: _filled(x, 0, **options),
    "full_like": _filled,
    "copy": lambda x: x.copy(),
    "shape": lambda x: x.shape,
    "ndim": lambda x: x.ndim,
    "size": lambda x: x.size,
    "array_equal": lambda a, b: (a == b).all(),
    "pad": lambda x, widths, mode="constant", constant_values=0: _padded(x, widths, mode, constant_values),
}
