"""Diagnosis: the layout fault that turns an expected tensor into the device's, including permutations and padding."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from ..arith import Format, IntArray, wrap
from .layout_faults import byte_swap, nibble_swap

TILES = (2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True)
class Diagnosis:
    """A layout fault found: its `name`, the one in `LAYOUT_FAULTS` where it is one of them, and a sentence.

    `keys` are the lines of a dump map's entry that describe it, "" where a map cannot.
    """

    name: str
    says: str
    keys: str = ""


def diagnose(expected: IntArray, device: IntArray, fmt: Format) -> Diagnosis | None:
    """The layout fault that turns `expected` into `device`, or None. A larger `device` may contain padding."""
    if device.size < expected.size or expected.size < 2:
        return None
    if device.size > expected.size:
        return next(_padded(expected, device.reshape(-1)), None) or _padded_axes(expected, device)
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
    width = 8 * device.dtype.itemsize
    if fmt.lo < 0 and device.dtype.kind == "u" and width > bits and np.array_equal(expected.astype(device.dtype), device):
        yield Diagnosis("unsigned", f"signed values were read as unsigned: every negative one is 2**{width} too high")
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
        keys = f"shape = {list(expected.shape)}"
        yield Diagnosis("reshape", f"the values are in order, with the shape {list(device.shape)}", keys)
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
                says = f"the tensor is transposed: it is stored in the order of axes {list(axes)}"
                if list(axes) == list(range(expected.ndim))[::-1]:
                    says += ", all of them reversed, as Fortran, Julia and MATLAB do"
                yield Diagnosis(name, says, _axes_keys(axes, expected.shape, device.shape))
    if np.array_equal(expected.reshape(-1)[::-1], flat):
        yield Diagnosis("reverse-elements", "all elements are in reverse order", 'reverse = "all"')
    for beat in _divisors(expected.size):
        if _reversed_in(expected.reshape(-1), flat, beat):
            name = "reverse-beats" if beat == 4 else f"reverse-beats:{beat}"
            says = f"every {beat} consecutive elements are in reverse order: the order within a beat"
            yield Diagnosis(name, says, f"reverse = {beat}")
    yield from _words_reversed(expected.reshape(-1), flat)
    if expected.ndim >= 2:
        yield from _tiled(expected, flat)
    for step in (1, -1):
        if np.array_equal(np.roll(expected.reshape(-1), step), flat):
            yield Diagnosis(f"roll:{step}", "every element is one place too " + ("late" if step > 0 else "early"))
    yield from unnamed


def _axes_keys(axes: Sequence[int], expected: tuple[int, ...], device: tuple[int, ...]) -> str:
    """The lines of a map for another order of axes, with the shape where the device's array has another one."""
    stored = [expected[axis] for axis in axes]
    shape = "" if list(device) == stored else f"shape = {stored}\n"
    return f"{shape}axes = {list(axes)}"


def _divisors(size: int) -> list[int]:
    """The divisors of `size` but 1 and itself."""
    small = [n for n in range(2, math.isqrt(size) + 1) if size % n == 0]
    return small + [size // n for n in reversed(small) if n * n != size]


def _reversed_in(expected: IntArray, flat: IntArray, beat: int) -> bool:
    """Whether every `beat` elements are in reverse order."""
    first = np.array_equal(expected[:beat][::-1], flat[:beat])  # all the others only where the first beat is
    return first and np.array_equal(expected.reshape(-1, beat)[:, ::-1].reshape(-1), flat)


def _words_reversed(expected: IntArray, flat: IntArray) -> Iterator[Diagnosis]:
    """Words of several elements in reverse order within a beat: the elements of every word keep theirs."""
    for beat in _divisors(expected.size):
        first, words = expected[:beat], flat[:beat]
        for word in _divisors(beat):
            if not np.array_equal(first.reshape(-1, word)[::-1].reshape(-1), words):
                continue
            if np.array_equal(expected.reshape(-1, beat // word, word)[:, ::-1].reshape(-1), flat):
                says = f"the words of {word} elements are in reverse order in every beat of {beat} elements"
                yield Diagnosis(f"reverse-words:{word}/{beat}", says)


def _padded(expected: IntArray, flat: IntArray) -> Iterator[Diagnosis]:
    """Rows, planes or the whole tensor followed by padding, in a device's elements `flat`."""
    columns, rows = expected.shape[-1], expected.size // expected.shape[-1]
    if rows > 1 and (pitch := _pitch(len(flat), rows, columns)) and _holds(flat, expected, (pitch,)):
        says = f"every row of {columns} elements is followed by {pitch - columns} of padding"
        yield Diagnosis(f"row-pitch:{pitch}", says, f"pitch = [{pitch}]" if len(flat) == rows * pitch else "")
    if expected.ndim >= 3:
        height = expected.shape[-2]
        planes = rows // height
        plane = _pitch(len(flat), planes, height * columns) if planes > 1 else len(flat)
        for pitch in _row_pitches(expected, flat, plane or 0):
            if plane and _holds(flat, expected, (plane, pitch)):
                within = f", and every row by {pitch - columns}" if pitch > columns else ""
                says = f"every plane of {height} x {columns} elements is followed by padding up to {plane} elements{within}"
                keys = f"pitch = [{plane}, {pitch}]" if len(flat) == planes * plane else ""
                yield Diagnosis(f"plane-pitch:{plane},{pitch}", says, keys)
    if np.array_equal(flat[: expected.size], expected.reshape(-1)):
        yield Diagnosis("padded-end", f"the values are in order, followed by {len(flat) - expected.size:,} more elements")


def _padded_axes(expected: IntArray, device: IntArray) -> Diagnosis | None:
    """An array that is longer than the tensor along some axes, and begins with it."""
    inside = tuple(slice(n) for n in expected.shape)
    if device.ndim != expected.ndim or not np.array_equal(device[inside], expected):
        return None
    says = f"the values are the first {list(expected.shape)} of an array padded to {list(device.shape)}"
    return Diagnosis("padded-axes", says)


def _pitch(size: int, parts: int, length: int) -> int | None:
    """The elements from one of `parts` to the next in `size`; the last part may lack its padding."""
    if size % parts == 0:
        return size // parts
    return (size - length) // (parts - 1) if (size - length) % (parts - 1) == 0 else None


def _row_pitches(expected: IntArray, flat: IntArray, plane: int) -> Iterator[int]:
    """The distances of rows within a plane that its second row allows."""
    height, columns = expected.shape[-2:]
    yield columns
    if height > 1:
        second = expected.reshape(-1, columns)[1]
        for pitch in range(columns + 1, (plane - columns) // (height - 1) + 1):
            if np.array_equal(flat[pitch : pitch + columns], second):
                yield pitch


def _holds(flat: IntArray, expected: IntArray, pitches: tuple[int, ...]) -> bool:
    """Whether `flat` has the expected values at these distances of planes and rows."""
    return np.array_equal(at_pitch(flat, expected.shape, pitches), expected)


def at_pitch(flat: IntArray, shape: tuple[int, ...], pitches: tuple[int, ...]) -> IntArray:
    """The elements of a tensor of `shape` in `flat`, whose rows, or planes and rows, are `pitches` apart."""
    axes = shape[len(shape) - len(pitches) - 1 :]
    parts = math.prod(shape[: len(shape) - len(pitches) - 1]) * axes[0]
    places = np.arange(parts, dtype=np.int64)[:, None] * pitches[0]
    for size, pitch in zip(axes[1:], (*pitches[1:], 1), strict=True):
        places = (places[..., None] + np.arange(size, dtype=np.int64) * pitch).reshape(parts, -1)
    if int(places[-1, -1]) >= len(flat):
        return flat[:0]
    return flat[places].reshape(shape)


def _tiled(expected: IntArray, flat: IntArray) -> Iterator[Diagnosis]:
    rows, columns = expected.shape[-2:]
    for t in TILES:
        for c in TILES:
            if rows % t or columns % c or (t == rows and c == columns):
                continue
            cut = expected.reshape(-1, rows // t, t, columns // c, c)
            if np.array_equal(cut.swapaxes(2, 3).reshape(-1), flat):
                keys = f"tile = [{t}, {c}]"
                yield Diagnosis(f"tiled:{t}x{c}", f"the values are stored tile by tile, {t} x {c} each", keys)
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
        keys = f"reverse = {n}" if back == 1 else ""
        return Diagnosis(name, f"the {kind}s are in reverse order", keys)
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
