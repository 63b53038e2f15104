"""Layout faults: right values in the wrong place, or interpreted in the wrong way.

`LAYOUT_FAULTS` are those that can be applied to any tensor by name; `diagnosis` finds the one that a device's tensor has.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..arith import Format, IntArray


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def swap_heads(x: IntArray, fmt: Format) -> IntArray:
    """The first two heads exchanged."""
    _require(x.ndim >= 3 and x.shape[0] >= 2, f"{list(x.shape)} has no heads")
    return x[[1, 0, *range(2, len(x))]]


def transpose(x: IntArray, fmt: Format) -> IntArray:
    """Rows and columns exchanged, under the old shape."""
    _require(x.ndim >= 2, f"{list(x.shape)} has no rows and columns")
    return np.ascontiguousarray(x.swapaxes(-1, -2)).reshape(x.shape)


def shift_row(x: IntArray, fmt: Format) -> IntArray:
    """Every row one place too late; the first row is zero."""
    _require(x.ndim >= 2 and x.shape[-2] >= 2, f"{list(x.shape)} has no rows to shift")
    shifted = np.zeros_like(x)
    shifted[..., 1:, :] = x[..., :-1, :]
    return shifted


def reverse_tokens(x: IntArray, fmt: Format) -> IntArray:
    """The rows in reverse order."""
    _require(x.ndim >= 2 and x.shape[-2] >= 2, f"{list(x.shape)} has no rows")
    return x[..., ::-1, :]


def reverse_beats(x: IntArray, fmt: Format) -> IntArray:
    """The four elements of every beat in reverse order."""
    _require(x.size % 4 == 0, f"{x.size} elements are not whole beats of 4")
    return x.reshape(-1, 4)[:, ::-1].reshape(x.shape)


def byte_swap(x: IntArray, fmt: Format) -> IntArray:
    """The bytes of every element in reverse order: the other endianness."""
    _require(fmt.dtype.itemsize > 1, f"{fmt} has one byte")
    return x.astype(fmt.dtype).byteswap().astype(np.int64)


def nibble_swap(x: IntArray, fmt: Format) -> IntArray:
    """The two halves of every byte exchanged."""
    raw = np.ascontiguousarray(x.astype(fmt.dtype)).view(np.uint8)
    return (raw >> 4 | raw << 4).view(fmt.dtype).reshape(x.shape).astype(np.int64)


LAYOUT_FAULTS: dict[str, Callable[[IntArray, Format], IntArray]] = {
    "swap-heads": swap_heads,
    "transpose": transpose,
    "shift-row": shift_row,
    "reverse-tokens": reverse_tokens,
    "reverse-beats": reverse_beats,
    "byte-swap": byte_swap,
    "nibble-swap": nibble_swap,
}
