"""Conventions by which a device stores tensors: byte order, signs, the order of tokens, heads and axes, padding, batches.

`convention` finds one by its name, as a map gives it (``byte-swap``, ``class-token-last:257``, ``batch:4:1``). Each says
which stored shapes it fits and restores the tensor. `recognize` finds those that a whole dump follows.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np

from ..arith import Format, IntArray, wrap
from ..errors import IntsimError
from ..rules.layout_faults import byte_swap

Shape = tuple[int, ...]
Restore = Callable[[IntArray, Format, Shape], IntArray]
MULTIPLES = (4, 8, 16, 32, 64, 128)  # up to which dimensions are padded
LARGEST = 1 << 20  # of a convention's numbers
MOST_PADDING = 16  # times the elements of a tensor that its padded form may have


@dataclass(frozen=True)
class Convention:
    """One convention: its `name` and, after colons, its numbers; what is said of tensors; which stored shapes it fits, given
    the right one; and the tensor from what is stored, of a format and a shape.
    """

    name: str
    says: str
    fits: Callable[[Shape, Shape], bool]
    restore: Restore
    numbers: tuple[int, ...] = ()

    @property
    def key(self) -> str:
        """The convention as a map names it."""
        return ":".join([self.name, *map(str, self.numbers)])


def convention(text: str) -> Convention:
    """The convention that a map calls `text`; an IntsimError lists all."""
    name, *given = text.split(":")
    made = MADE.get(name)
    numbers = [int(number) for number in given if re.fullmatch(r"\d{1,9}", number)]
    if made is None or len(numbers) != len(given) or len(numbers) != made[1] or not _sensible(name, numbers):
        known = ", ".join(":".join([name, *NUMBERS.get(name, ())]) for name in MADE)
        raise IntsimError(f"convention {text!r} is not one of: {known}; INDEX counts from 0, the others from 1")
    return made[0](*numbers)


def _sensible(name: str, numbers: list[int]) -> bool:
    """Whether numbers are ones that a convention can have: an index below the count, others from 1."""
    if name == "batch":
        return 0 <= numbers[1] < numbers[0] <= LARGEST
    return all(1 <= number <= LARGEST for number in numbers)


# --- values -----------------------------------------------------------------------------------------------------------


def _same(stored: Shape, shape: Shape) -> bool:
    return stored == shape


def _byte_swap() -> Convention:
    return Convention(
        "byte-swap",
        "byte-swapped: the other endianness",
        _same,
        lambda x, fmt, shape: byte_swap(x.astype(np.int64), fmt) if fmt.dtype.itemsize > 1 else x,
    )


def _offset_binary() -> Convention:
    return Convention(
        "offset-binary",
        "in offset binary: the sign bit is inverted",
        _same,
        lambda x, fmt, shape: wrap(x.astype(np.int64) + (1 << fmt.bits - 1), fmt),
    )


def _sign_and_magnitude() -> Convention:
    def restore(x: IntArray, fmt: Format, shape: Shape) -> IntArray:
        low = x.astype(np.int64) & (1 << fmt.bits) - 1
        magnitude = low & (1 << fmt.bits - 1) - 1
        negative = np.where(magnitude == 0, fmt.lo, -magnitude)  # the lowest number has no form but that of minus zero
        return np.where(low >> fmt.bits - 1 == 1, negative, magnitude)

    return Convention("sign-and-magnitude", "stored as sign and magnitude, not in two's complement", _same, restore)


# --- order ------------------------------------------------------------------------------------------------------------


def _on_tokens(name: str, says: str, change: Callable[[IntArray, int], IntArray], tokens: int) -> Convention:
    """A change along every axis as long as there are tokens."""

    def restore(x: IntArray, fmt: Format, shape: Shape) -> IntArray:
        for axis, length in enumerate(x.shape):
            if length == tokens:
                x = change(x, axis)
        return x

    return Convention(name, says, lambda stored, shape: stored == shape and tokens in shape, restore, (tokens,))


def _moved(name: str, says: str, order: Callable[[int], tuple[int, ...]], least: int, most: int = 8) -> Convention:
    """Axes in another order: `order` gives, for so many axes, the right axis that each stored one is."""

    def fits(stored: Shape, shape: Shape) -> bool:
        return least <= len(shape) <= most and stored == tuple(shape[axis] for axis in order(len(shape)))

    def restore(x: IntArray, fmt: Format, shape: Shape) -> IntArray:
        return x.transpose(np.argsort(order(len(shape))))

    return Convention(name, says, fits, restore)


def _swapped(axes: int) -> tuple[int, ...]:
    return (*range(axes - 3), axes - 2, axes - 3, axes - 1)


def _heads_reversed() -> Convention:
    return Convention(
        "heads-reversed",
        "stored with their heads in reverse order",
        lambda stored, shape: stored == shape and len(shape) > 2,
        lambda x, fmt, shape: np.flip(x, -3),
    )


# --- more than the tensor ---------------------------------------------------------------------------------------------


def _padded(name: str, says: str, axes: tuple[int, ...], multiple: int) -> Convention:
    def padded(shape: Shape) -> Shape:
        return tuple(
            -(-length // multiple) * multiple if i - len(shape) in axes else length for i, length in enumerate(shape)
        )

    def fits(stored: Shape, shape: Shape) -> bool:
        enough = len(shape) >= -min(axes) and stored != shape
        return enough and stored == padded(shape) and prod(stored) <= MOST_PADDING * prod(shape)

    return Convention(
        name,
        says.format(multiple),
        fits,
        lambda x, fmt, shape: x[tuple(slice(0, length) for length in shape)],
        (multiple,),
    )


def _batch(count: int, index: int) -> Convention:
    says = f"of a batch of {count}, in which the golden file's picture is number {index}"
    return Convention(
        "batch",
        says,
        lambda stored, shape: stored == (count, *shape) and index < count,
        lambda x, fmt, shape: x[index],
        (count, index),
    )


def _squeezed() -> Convention:
    def fits(stored: Shape, shape: Shape) -> bool:
        return stored != shape and [n for n in stored if n > 1] == [n for n in shape if n > 1]

    return Convention(
        "length-1-axes",
        "stored with other axes of length 1",
        fits,
        lambda x, fmt, shape: x.reshape(shape),
    )


NUMBERS = {
    "class-token-last": ("TOKENS",),
    "tokens-reversed": ("TOKENS",),
    "padded-rows": ("MULTIPLE",),
    "padded-columns": ("MULTIPLE",),
    "padded-matrices": ("MULTIPLE",),
    "batch": ("COUNT", "INDEX"),
}
# By name: what makes it of its numbers, and how many these are.
MADE: dict[str, tuple[Callable[..., Convention], int]] = {
    "byte-swap": (_byte_swap, 0),
    "offset-binary": (_offset_binary, 0),
    "sign-and-magnitude": (_sign_and_magnitude, 0),
    "class-token-last": (
        partial(
            _on_tokens,
            "class-token-last",
            "stored with the class token last",
            lambda x, axis: np.roll(x, 1, axis),
        ),
        1,
    ),
    "tokens-reversed": (
        partial(
            _on_tokens, "tokens-reversed", "stored with their tokens in reverse order", lambda x, axis: np.flip(x, axis)
        ),
        1,
    ),
    "heads-reversed": (_heads_reversed, 0),
    "heads-after-tokens": (
        partial(_moved, "heads-after-tokens", "stored token by token, the heads of each together", _swapped, 3),
        0,
    ),
    "columns-first": (partial(_moved, "columns-first", "stored column by column", _swapped, 3, 3), 0),
    "axes-reversed": (
        partial(
            _moved,
            "axes-reversed",
            "stored with all axes reversed (axes [1, 0] of matrices), as Fortran, Julia and MATLAB do",
            lambda axes: tuple(reversed(range(axes))),
            2,
        ),
        0,
    ),
    "channels-first": (
        partial(
            _moved, "channels-first", "stored with their channels first", lambda axes: (axes - 1, *range(axes - 1)), 3, 3
        ),
        0,
    ),
    "padded-rows": (partial(_padded, "padded-rows", "padded to a multiple of {} rows", (-2,)), 1),
    "padded-columns": (partial(_padded, "padded-columns", "padded to a multiple of {} columns", (-1,)), 1),
    "padded-matrices": (partial(_padded, "padded-matrices", "padded to multiples of {} rows and columns", (-2, -1)), 1),
    "batch": (_batch, 2),
    "length-1-axes": (_squeezed, 0),
}
