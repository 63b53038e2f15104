"""Methods of arrays without values: sums and extremes, movements, single elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..symbols import Expression, NotTraceable
from .array_types import BOOLEAN, PYTHON, REMEDY, WIDEST

if TYPE_CHECKING:
    from .arrays import TypedArray
    from .cells import Cells, Elements


class ArrayMethods:
    """What `TypedArray` has beside arithmetic."""

    of: Cells
    cells: Elements
    type: np.dtype[Any] | None
    shape: tuple[int, ...]
    ndim: int
    _made: Callable[..., TypedArray]
    _held: Callable[..., TypedArray]
    _operand: Callable[..., tuple[Elements, np.dtype[Any] | None]]
    _called: Callable[..., TypedArray]
    _raise_outside: Callable[..., None]
    __index__: Callable[..., int]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy type."""
        return WIDEST if self.type is None else self.type

    def astype(self, dtype: Any, copy: bool = True, casting: str = "unsafe") -> TypedArray:
        """The elements in another type, of which they keep the low bits."""
        to = np.dtype(dtype)
        if to.kind not in "iub":
            raise NotTraceable(f"it computes with {to}, and only integers are traced{REMEDY}")
        if to == BOOLEAN:
            return (
                self._made(self.cells, BOOLEAN)
                if self.type == BOOLEAN
                else self._called("not_equal", [(self.cells, self.type), self._operand(0)])
            )
        cells = self.of.each("integer", self.cells) if any(x.boolean for x in self.cells.flat) else self.cells
        return self._held(cells, to)

    def _reduced(
        self, how: Callable[[Elements, int], Elements], axis: Any, keepdims: bool, dtype: np.dtype[Any] | None
    ) -> TypedArray:
        axes = range(self.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        cells = self.cells
        for place in sorted((int(a) % max(self.ndim, 1) for a in axes), reverse=True):
            cells = np.asarray(how(cells, place), object)
            cells = np.expand_dims(cells, place) if keepdims else cells
        return self._held(cells, dtype)

    def sum(self, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False) -> TypedArray:
        """The sum, of 64 bits unless `dtype` says otherwise."""
        own = self.dtype
        summed = np.dtype(dtype) if dtype is not None else np.dtype(np.uint64) if own.kind == "u" else WIDEST
        held = self.astype(summed)
        return held._reduced(self.of.sum, axis, keepdims, summed)

    def _extreme(self, kind: str, axis: Any, keepdims: bool, initial: Any) -> TypedArray:
        found = self._reduced(lambda cells, place: self.of.extreme(kind, cells, place), axis, keepdims, self.type)
        return found if initial is None else found._called(kind, [(found.cells, found.type), self._operand(initial)])

    def max(self, axis: Any = None, out: None = None, keepdims: bool = False, initial: Any = None) -> TypedArray:
        """The maximum."""
        return self._extreme("maximum", axis, keepdims, initial)

    def min(self, axis: Any = None, out: None = None, keepdims: bool = False, initial: Any = None) -> TypedArray:
        """The minimum."""
        return self._extreme("minimum", axis, keepdims, initial)

    def argmax(self, axis: Any = None, out: None = None, keepdims: bool = False) -> TypedArray:
        """The number of the first maximum."""
        cells = self.cells.reshape(-1) if axis is None else self.cells
        place = 0 if axis is None else axis % self.ndim
        found = self.of.first_maximum(cells, place)
        return self._made(np.expand_dims(found, place) if keepdims else found, WIDEST)

    def any(self, axis: Any = None, keepdims: bool = False) -> TypedArray:
        """Whether any element is true."""

        def how(cells: Elements, place: int) -> Elements:
            return self.of.along(cells, place, lambda a, b: self.of.op("bitwise_or", a, b))

        truth = self.astype(bool)
        return truth._made(truth._reduced(how, axis, keepdims, PYTHON).cells, BOOLEAN)

    def all(self, axis: Any = None, keepdims: bool = False) -> TypedArray:
        """Whether all elements are true."""
        outside = self.astype(bool)._called("logical_not", [self._operand(self.astype(bool))]).any(axis, keepdims)
        return outside._called("logical_not", [(outside.cells, BOOLEAN)])

    def cumsum(self, axis: Any = None, dtype: Any = None) -> TypedArray:
        """The sums up to every element."""
        flat = self.reshape(-1) if axis is None else self
        place = 0 if axis is None else axis % self.ndim
        parts = [flat._take(slice(0, i + 1), place).sum(axis=place, dtype=dtype) for i in range(flat.shape[place])]
        return self._made(np.stack([part.cells for part in parts], axis=place), parts[0].type)

    def _take(self, part: slice, axis: int) -> TypedArray:
        return self[(slice(None),) * axis + (part,)]

    def clip(self, min: Any = None, max: Any = None, out: None = None) -> TypedArray:
        """The elements between two ends."""
        found = self._made(self.cells, self.type)
        for name, end in (("maximum", min), ("minimum", max)):
            found = found if end is None else found._called(name, [(found.cells, found.type), self._operand(end)])
        return found

    def reshape(self, *shape: Any) -> TypedArray:
        """Another shape."""
        return self._made(self.cells.reshape(*shape), self.type)

    def transpose(self, *axes: Any) -> TypedArray:
        """The axes in another order."""
        return self._made(self.cells.transpose(*axes), self.type)

    def swapaxes(self, first: int, second: int) -> TypedArray:
        """Two axes exchanged."""
        return self._made(self.cells.swapaxes(first, second), self.type)

    def ravel(self) -> TypedArray:
        """All elements in one row."""
        return self.reshape(-1)

    flatten = ravel

    def squeeze(self, axis: Any = None) -> TypedArray:
        """Without axes of length 1."""
        return self._made(self.cells.squeeze(axis), self.type)

    def repeat(self, count: int, axis: int | None = None) -> TypedArray:
        """Every element so many times."""
        return self._made(self.cells.repeat(count, axis), self.type)

    def copy(self) -> TypedArray:
        """The same elements, to be changed apart."""
        return self._made(self.cells.copy(), self.type)

    def dot(self, other: Any) -> TypedArray:
        """The product of matrices or vectors."""
        return self._called("matmul", [(self.cells, self.type), self._operand(other)])

    @property
    def T(self) -> TypedArray:
        """The axes reversed."""
        return self.transpose()

    @property
    def flat(self) -> Any:
        """The elements one by one."""
        return iter(self.reshape(-1))

    def bit_length(self) -> Any:
        """Of a Python integer: known where the value is."""
        return int(self.__index__()).bit_length()

    # --- elements ---------------------------------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> TypedArray:
        keys = key if isinstance(key, tuple) else (key,)
        if any(isinstance(k, ArrayMethods) and k.type == BOOLEAN for k in keys):
            raise NotTraceable(f"it selects elements by their values; use np.where{REMEDY}")
        if any(isinstance(k, ArrayMethods) for k in keys):
            return self._looked_up(keys)
        found = self.cells[key]
        return self._made(found if isinstance(found, np.ndarray) else np.asarray(found, object), self.type)

    def _looked_up(self, keys: tuple[Any, ...]) -> TypedArray:
        """Elements by numbers that are not known, along the first axes."""
        if any(isinstance(k, slice) or k is None or k is Ellipsis for k in keys):
            raise NotTraceable(f"it mixes slices with numbers that are values{REMEDY}")
        number: TypedArray | None = None
        for k, side in zip(keys, self.shape, strict=False):
            held = self._made(*self._operand(k))
            held = self._made(
                held._made(np.vectorize(lambda x, s=side: self._within(x, s), otypes=[object])(held.cells), WIDEST).cells,
                WIDEST,
            )
            number = held if number is None else number * side + held
        assert number is not None
        rows = self.cells.reshape(-1, *self.shape[len(keys) :])
        out = np.empty((*number.shape, *rows.shape[1:]), object)
        for index in np.ndindex(*number.shape):
            found = self.of.chosen(rows, number.cells[index])
            out[index] = found if found.ndim else found.item()
        return self._made(out, self.type)

    def _within(self, x: Expression, side: int) -> Expression:
        """A number within an axis: from its end where it is negative, and an IndexError outside."""
        if x.lo < 0:
            x = self.of.op(
                "select", self.of.op("less", x, self.of.constant(0)), self.of.op("add", x, self.of.constant(side)), x
            )
        self._raise_outside(np.asarray(x, object), 0, side - 1)
        return self.of.op("minimum", self.of.op("maximum", x, self.of.constant(0)), self.of.constant(side - 1))

    def __setitem__(self, key: Any, value: Any) -> None:
        cells, own = self._operand(value)
        if own is PYTHON and self.type is not PYTHON:
            self._raise_outside(cells, int(np.iinfo(self.dtype).min), int(np.iinfo(self.dtype).max))
        held = self._made(cells, own).astype(self.dtype).cells
        if isinstance(key, ArrayMethods) and key.type == BOOLEAN:
            if held.ndim:
                raise NotTraceable(f"it sets elements that are selected by their values; use np.where{REMEDY}")
            mask = key.cells.reshape(key.shape + (1,) * (self.ndim - key.ndim))
            self.cells[...] = self.of.each("select", mask, held, self.cells)
            return
        self.cells[key] = held if held.ndim else held.item()
