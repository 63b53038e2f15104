"""Rows of logits: which tokens see each other, and logits of 16 bits as bytes, of which only the last 256 values differ.

Below its floor the exponential is the same for all differences to the maximum of the row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..arith import IntArray
from ..arith.jit import kernel, overload


class Mask(NamedTuple):
    """Which tokens see each other: those of the same region; of a token that is not seen the exponential is `floor`."""

    regions: IntArray  # i8 [tokens, and what fills the last chunk]
    floor: int
    whole: bool  # whether all tokens are in one region; `regions` is not read then


@kernel
def no_mask() -> Mask:
    """All tokens see each other."""
    return Mask(np.zeros(1, np.int8), 0, True)


@kernel
def maximum(row: IntArray) -> int:
    """The largest element."""
    largest = row[0]  # kept in its type, so that the loop is vectorized
    for j in range(len(row)):
        largest = row[j] if row[j] > largest else largest
    return int(largest)


def logits_room(near: IntArray, room: IntArray) -> IntArray:
    """A buffer for logits of the type of `room`: `near`, if that is i8, or another of its shape."""
    return near if near.dtype == room.dtype else np.empty(near.shape, room.dtype)


@overload(logits_room)
def _logits_room(near: Any, room: Any) -> Callable[[IntArray, IntArray], IntArray]:
    if near.dtype == room.dtype:
        return lambda near, room: near
    return lambda near, room: np.empty(near.shape, room.dtype)


def logits_as_bytes(logits: IntArray, rows: int, tokens: int, first: int, mask: Mask, near: IntArray) -> None:
    """Make `near` [., whole chunks] the first rows of logits as `bytes_of_rows`, filled with -128.

    The rows belong to the tokens from `first` on.
    """
    if logits.dtype == near.dtype:
        near[:rows, tokens:] = -128
    elif mask.whole:
        bytes_of_rows(logits, rows, tokens, near)
    else:
        _seen_bytes(logits, rows, tokens, first, mask.regions, near)


@overload(logits_as_bytes)
def _logits_as_bytes(logits: Any, rows: Any, tokens: Any, first: Any, mask: Any, near: Any) -> Callable[..., None]:
    if logits.dtype == near.dtype:  # they are in `near` already

        def filled(logits: IntArray, rows: int, tokens: int, first: int, mask: Mask, near: IntArray) -> None:
            for i in range(rows):
                for j in range(tokens, near.shape[1]):
                    near[i, j] = -128

        return filled

    def narrowed(logits: IntArray, rows: int, tokens: int, first: int, mask: Mask, near: IntArray) -> None:
        if mask.whole:
            bytes_of_rows(logits, rows, tokens, near)
        else:
            _seen_bytes(logits, rows, tokens, first, mask.regions, near)

    return narrowed


@kernel
def _seen_bytes(x: IntArray, rows: int, tokens: int, first: int, regions: IntArray, out: IntArray) -> None:
    """`bytes_of_rows` where a token sees only those of its region; what it does not see is undefined."""
    for i in range(rows):
        row, target, own = x[i], out[i], regions[first + i]
        largest = np.int16(-32768)
        for j in range(tokens):
            largest = row[j] if row[j] > largest and regions[j] == own else largest
        top = int(largest)
        for j in range(tokens):
            target[j] = min(max(int(row[j]) - top + 127, -128), 127)


@kernel
def bytes_of_rows(x: IntArray, rows: int, tokens: int, out: IntArray) -> None:
    """Compute ``out = 127 - min(max(x) - x, 255)`` for the tokens of the first rows: i8, with differences up to 255."""
    for i in range(rows):
        row, target = x[i], out[i]
        largest = row[0]  # kept in its type, so that the loop is vectorized
        for j in range(tokens):
            largest = row[j] if row[j] > largest else largest
        top = int(largest)
        lowest, shift = np.int16(max(top - 255, -32768)), 127 - top
        for j in range(tokens):
            value = row[j] if row[j] > lowest else lowest
            target[j] = int(value) + shift
