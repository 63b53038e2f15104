"""Layout faults: right values in the wrong place, or interpreted in the wrong way.

`LAYOUT_FAULTS` are those that can be applied to any tensor by name; `diagnose` finds the one that turns an expected tensor
into the device's, including permutations of an axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from ..arith import Format, IntArray, wrap

BEATS = range(2, 65)
TILES = (2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True)
class Diagnosis:
    """A layout fault found: its `name`, the one in `LAYOUT_FAULTS` where it is one of them, and a sentence."""

    name: str
    says: str


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


def diagnose(expected: IntArray, device: IntArray, fmt: Format) -> Diagnosis | None:
    """The layout fault that turns `expected` into `device`, or None. Tensors of different sizes have none."""
    if expected.size != device.size or expected.size < 2:
        return None
    diagnosis = next(_interpretations(expected.reshape(-1), device.reshape(-1), fmt), None)
    if diagnosis is None and same_values(expected, device):
        diagnosis = next(_orders(expected, device), None)
    return diagnosis or _shifted(expected, device)


def same_values(expected: IntArray, device: IntArray) -> bool:
    """Whether both contain the same values in any order."""
    if int(expected.min()) != int(device.min()) or int(expected.max()) != int(device.max()):
        return False
    return bool(np.array_equal(np.sort(expected, axis=None), np.sort(device, axis=None)))


def _interpretations(expected: IntArray, device: IntArray, fmt: Format) -> Iterator[Diagnosis]:
    """The elements in their places, each interpreted in the wrong way."""
    differs = expected != device
    a, b = expected[differs].astype(np.int64), device[differs].astype(np.int64)
    bits = fmt.bits
    if not len(a) or bits > 32:
        return
    if fmt.lo < 0 and np.array_equal(a & ((1 << bits) - 1), b):
        yield Diagnosis("unsigned", f"signed values were read as unsigned: every negative one is 2**{bits} too high")
    if fmt.lo < 0 and np.array_equal(wrap(a + (1 << (bits - 1)), fmt), wrap(b, fmt)) and differs.all():
        yield Diagnosis("offset-binary", f"every value is offset by 2**{bits - 1}: the sign bit is inverted")
    a, b = expected.astype(np.int64), device.astype(np.int64)
    if fmt.dtype.itemsize > 1 and np.array_equal(byte_swap(a, fmt), b):
        yield Diagnosis("byte-swap", "the bytes of every element are swapped: the other endianness")
    if np.array_equal(nibble_swap(a, fmt), b):
        yield Diagnosis("nibble-swap", "the two 4-bit halves of every byte are exchanged")
    if np.array_equal(-a, b):
        yield Diagnosis("negated", "every value has the other sign")


def _orders(expected: IntArray, device: IntArray) -> Iterator[Diagnosis]:
    """The same values in another order."""
    flat = device.reshape(-1)
    unnamed: list[Diagnosis] = []  # orders without a name come last
    if expected.shape != device.shape and np.array_equal(expected.reshape(-1), flat):
        yield Diagnosis("reshape", f"the values are in order, with the shape {list(device.shape)}")
    if expected.shape == device.shape:
        for axis in range(expected.ndim):
            order = _order_along(expected, device, axis)
            if order is not None:
                found = _permutation(order, axis, expected.shape)
                if not found.name.startswith("order-"):
                    yield found
                unnamed.append(found)
    if 2 <= expected.ndim <= 5:
        for axes in permutations(range(expected.ndim)):
            if list(axes) != sorted(axes) and np.array_equal(expected.transpose(axes).reshape(-1), flat):
                last_two = list(axes) == [*range(expected.ndim - 2), expected.ndim - 1, expected.ndim - 2]
                name = "transpose" if last_two else f"axes {list(axes)}"
                yield Diagnosis(name, f"the tensor is transposed: it is stored in the order of axes {list(axes)}")
    for beat in BEATS:
        if expected.size % beat == 0 and np.array_equal(expected.reshape(-1, beat)[:, ::-1].reshape(-1), flat):
            name = "reverse-beats" if beat == 4 else f"reverse-beats:{beat}"
            yield Diagnosis(name, f"every {beat} consecutive elements are in reverse order: the order within a beat")
    if expected.ndim >= 2:
        yield from _tiled(expected, flat)
    for step in (1, -1):
        if np.array_equal(np.roll(expected.reshape(-1), step), flat):
            yield Diagnosis(f"roll:{step}", "every element is one place too " + ("late" if step > 0 else "early"))
    yield from unnamed


def _tiled(expected: IntArray, flat: IntArray) -> Iterator[Diagnosis]:
    rows, columns = expected.shape[-2:]
    for t in TILES:
        for c in TILES:
            if rows % t or columns % c or (t == rows and c == columns):
                continue
            cut = expected.reshape(-1, rows // t, t, columns // c, c)
            if np.array_equal(cut.swapaxes(2, 3).reshape(-1), flat):
                yield Diagnosis(f"tiled:{t}x{c}", f"the values are stored tile by tile, {t} x {c} each")
            if np.array_equal(cut.transpose(0, 3, 1, 2, 4).reshape(-1), flat):
                yield Diagnosis(
                    f"tiled:{t}x{c}:columns", f"the values are stored in tiles of {t} x {c}, column of tiles first"
                )


def _order_along(expected: IntArray, device: IntArray, axis: int) -> IntArray | None:
    """The order of the slices along `axis` that turns `expected` into `device`, or None."""
    a = np.ascontiguousarray(np.moveaxis(expected, axis, 0).astype(np.int64)).reshape(expected.shape[axis], -1)
    b = np.ascontiguousarray(np.moveaxis(device, axis, 0).astype(np.int64)).reshape(expected.shape[axis], -1)
    places: dict[bytes, list[int]] = {}
    for i, part in enumerate(a):
        places.setdefault(part.tobytes(), []).append(i)
    order = np.empty(len(b), np.int64)
    for i, part in enumerate(b):
        sources = places.get(part.tobytes())
        if not sources:
            return None
        place = sources.index(i) if i in sources else 0  # equal slices stay in place
        order[i] = sources.pop(place)
    return order


def _permutation(order: IntArray, axis: int, shape: tuple[int, ...]) -> Diagnosis:
    """A permutation along one axis, by its usual name where it has one."""
    n = len(order)
    back = len(shape) - axis  # 1: columns, 2: rows, 3: heads
    kind = {1: "column", 2: "row", 3: "head"}.get(back, f"axis-{axis} slice") if len(shape) > 1 else "element"
    moved = np.flatnonzero(order != np.arange(n))
    if back == 3 and n >= 2 and np.array_equal(order, [1, 0, *range(2, n)]):
        return Diagnosis("swap-heads", "heads 0 and 1 are exchanged")
    if len(moved) == 2:
        return Diagnosis(f"swap-{kind}s:{moved[0]},{moved[1]}", f"{kind}s {moved[0]} and {moved[1]} are exchanged")
    if np.array_equal(order, np.arange(n)[::-1]):
        name = "reverse-tokens" if back == 2 else f"reverse-{kind}s"
        return Diagnosis(name, f"the {kind}s are in reverse order")
    step = int(order[0])
    if np.array_equal(order, np.roll(np.arange(n), -step)):
        by = step if step <= n // 2 else step - n
        late = f"{abs(by)} place{'s' if abs(by) > 1 else ''} too {'early' if by > 0 else 'late'}"
        return Diagnosis(f"roll-{kind}s:{-by}", f"every {kind} is {late}, the last ones wrap around")
    for groups in range(2, n):
        if n % groups == 0 and np.array_equal(order, np.arange(n).reshape(groups, -1).T.reshape(-1)):
            return Diagnosis(
                f"interleave-{kind}s:{groups}", f"the {kind}s of {groups} groups of {n // groups} are interleaved"
            )
    for size in (size for size in range(n // 2, 1, -1) if n % size == 0):
        blocks = order.reshape(-1, size)
        if np.array_equal(blocks - blocks[:, :1], np.broadcast_to(np.arange(size), blocks.shape)):
            where = (blocks[:, 0] // size).tolist()
            if math.prod(blocks[:, 0] % size == 0):
                return Diagnosis(f"blocks-{kind}s:{size}", f"blocks of {size} {kind}s are in the order {_short(where)}")
    return Diagnosis(f"order-{kind}s", f"the {kind}s are in the order {_short(order.tolist())}")


def _short(order: list[int]) -> str:
    return str(order) if len(order) <= 16 else f"[{', '.join(map(str, order[:12]))}, ...]"


def _shifted(expected: IntArray, device: IntArray) -> Diagnosis | None:
    """Rows or elements off by one, without those at the end."""
    if expected.shape != device.shape:
        return None
    if expected.ndim >= 2 and expected.shape[-2] >= 3:
        if np.array_equal(expected[..., :-1, :], device[..., 1:, :]):
            return Diagnosis("shift-row", "every row is one place too late: off by one row")
        if np.array_equal(expected[..., 1:, :], device[..., :-1, :]):
            return Diagnosis("shift-row:-1", "every row is one place too early: off by one row")
    a, b = expected.reshape(-1), device.reshape(-1)
    for step, direction in ((1, "late"), (-1, "early")):
        shifted = (a[:-1], b[1:]) if step > 0 else (a[1:], b[:-1])
        if len(a) >= 3 and np.array_equal(*shifted):
            return Diagnosis(f"shift-element:{step}", f"every element is one place too {direction}: off by one element")
    return None
