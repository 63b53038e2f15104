"""A layout applied to one tensor: packs values into beats, and unpacks beats into values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..arith import AnyArray, Format, IntArray, first_index, signed
from ..errors import IntsimError
from .layout import BeatLayout

BLOCK = 1 << 18  # elements packed at a time
TOO_MANY = 1 << 40  # elements of a stream, more than any machine can hold


@dataclass(frozen=True)
class Packing:
    """A layout applied to a tensor of one shape and format.

    `element` is the format of an element in a beat, `lanes` the number of elements per beat, `beat` the bits per beat,
    `shape` the tensor's own shape, `arranged` its shape in the stream, with axes moved and cut into blocks.
    """

    layout: BeatLayout
    shape: tuple[int, ...]
    fmt: Format

    def __post_init__(self) -> None:
        axes, tile, where = self.layout.axes, self.layout.tile, f"layout {self.layout.name}"
        if axes is not None and len(axes) != len(self.shape):
            raise IntsimError(f"{where}: its axes {list(axes)} do not cover a tensor of shape {list(self.shape)}")
        if len(tile) > len(self.shape):
            raise IntsimError(f"{where}: its tile {list(tile)} has more axes than a tensor of shape {list(self.shape)}")
        if len(self.layout.pitch) >= max(len(self.shape), 1):
            raise IntsimError(
                f"{where}: its pitch {list(self.layout.pitch)} has no axis in a tensor of shape {list(self.shape)}"
            )
        for stride, inner in zip(self.strides, self.extents[1:], strict=False):
            if stride < inner:
                raise IntsimError(f"{where}: a pitch of {stride} is less than the {inner} elements that it steps over")
        if self.bits * self.lanes > self.beat:
            elements = f"{self.lanes} elements" if self.layout.lanes else "an element"
            raise IntsimError(f"{where}: a beat of {self.beat} bits does not hold {elements} of {self.bits} bits")
        if self.beats * self.lanes >= TOO_MANY:
            raise self.too_large(f"{list(self.shape)}")
        if self.bits == 64 and self.element.lo == 0:
            raise IntsimError(f"{where}: an unsigned element has at most 63 bits")
        if not self.element.holds(self.layout.pad, self.layout.pad):
            raise IntsimError(f"{where}: its padding {self.layout.pad} does not fit {self.element}")

    @cached_property
    def bits(self) -> int:
        """Bits per element."""
        return self.layout.bits or self.fmt.bits

    @cached_property
    def element(self) -> Format:
        """The format of an element."""
        is_signed = self.layout.signed if self.layout.signed is not None else self.fmt.lo < 0
        return signed(self.bits) if is_signed else Format(f"u{self.bits}", 0, (1 << self.bits) - 1)

    @cached_property
    def dtype(self) -> np.dtype:
        """The narrowest NumPy type that holds an element."""
        unsigned = (np.dtype(kind) for kind in ("u1", "u2", "u4", "u8"))
        return self.element.dtype if self.element.lo else next(d for d in unsigned if 8 * d.itemsize >= self.bits)

    @cached_property
    def beat(self) -> int:
        """Bits per beat."""
        return self.layout.beat or -(-self.bits * (self.layout.lanes or 1) // 8) * 8

    @cached_property
    def lanes(self) -> int:
        """Elements per beat."""
        if self.layout.lanes is not None:
            return self.layout.lanes
        return max(self.layout.beat // self.bits, 1) if self.layout.beat else 1

    @cached_property
    def moved(self) -> tuple[int, ...]:
        """The tensor's shape with its axes in storage order."""
        return self.shape if self.layout.axes is None else tuple(self.shape[axis] for axis in self.layout.axes)

    @property
    def free(self) -> int:
        """The number of leading axes, which are not cut into blocks."""
        return len(self.shape) - len(self.layout.tile)

    @cached_property
    def filled(self) -> tuple[int, ...]:
        """`moved`, padded to whole blocks."""
        blocks = zip(self.moved[self.free :], self.layout.tile, strict=True)
        return (*self.moved[: self.free], *(-(-n // t) * t for n, t in blocks))

    @cached_property
    def strides(self) -> tuple[int, ...]:
        """Elements of the stream from one index to the next along every axis of `moved`, where there are no blocks."""
        strides = [1]
        pitches = (*[None] * (len(self.moved) - 1 - len(self.layout.pitch)), *self.layout.pitch)
        for size, pitch in zip(reversed(self.moved[1:]), reversed(pitches), strict=True):
            strides.insert(0, pitch or strides[0] * size)
        return tuple(strides[: len(self.moved)])

    @cached_property
    def extents(self) -> tuple[int, ...]:
        """Elements of the stream from the first to the last of every axis of `moved` and all axes after it."""
        reach = [(n - 1) * stride for n, stride in zip(self.moved, self.strides, strict=True)]
        return tuple(sum(reach[axis:]) + 1 for axis in range(len(reach)))

    @cached_property
    def arranged(self) -> tuple[int, ...]:
        """The shape of the stream: the free axes, the number of blocks along each tiled axis, the axes within a block.

        With a pitch it is flat.
        """
        if self.layout.pitch:
            return (self.count,)
        blocks = zip(self.filled[self.free :], self.layout.tile, strict=True)
        return (*self.filled[: self.free], *(n // t for n, t in blocks), *self.layout.tile)

    @cached_property
    def count(self) -> int:
        """Elements of the stream, without the padding of the last beat."""
        if self.layout.pitch:
            return self.moved[0] * self.strides[0]
        return math.prod(self.filled)

    @cached_property
    def beats(self) -> int:
        """Beats of the stream."""
        return -(-self.count // self.lanes)

    def too_large(self, name: str) -> IntsimError:
        """The error for a tensor `name` whose stream does not fit in memory."""
        count = self.beats * self.lanes
        return IntsimError(f"{name}: layout {self.layout.name} gives a stream of {count:,} elements, more than memory holds")

    def parts(self) -> Iterator[tuple[int, int]]:
        """For every file, its first beat and the beat after its last."""
        size = self.layout.lines or self.beats
        for start in range(0, self.beats, size):
            yield start, min(start + size, self.beats)

    def arrange(self, values: IntArray, name: str = "the tensor") -> IntArray:
        """The tensor in the shape `arranged`, int64. An IntsimError names the first value that does not fit an element."""
        wide = np.asarray(values).astype(np.int64, copy=False)
        if misfit := self.misfit(wide):
            at, value = misfit
            remedy = "a sign" if value < 0 <= self.element.lo else "more bits"
            raise IntsimError(f"{name}{at} = {value} does not fit {self.element}; give it {remedy}")
        return self._placed(wide, self.layout.pad)

    def _placed(self, values: IntArray, pad: int) -> IntArray:
        """Values of any type in the shape `arranged`, with blocks, rows and planes filled up by `pad`."""
        moved = values if self.layout.axes is None else values.transpose(self.layout.axes)
        if self.layout.pitch:
            stream = np.full(self.count, pad, values.dtype)
            self._strided(stream)[...] = moved
            return stream
        if not self.layout.tile:
            return moved
        whole = np.full(self.filled, pad, values.dtype)
        whole[tuple(slice(n) for n in self.moved)] = moved
        free, k = self.free, len(self.layout.tile)
        cuts = zip(self.filled[free:], self.layout.tile, strict=True)
        cut = whole.reshape(*self.filled[:free], *(n for size, tile in cuts for n in (size // tile, tile)))
        order = (*range(free), *range(free, free + 2 * k, 2), *range(free + 1, free + 2 * k, 2))
        return cut.transpose(order)

    def occupied(self, beats: range) -> NDArray[np.bool_]:
        """Which lanes of a range of beats hold an element of the tensor, and no padding: [beats, lanes]."""
        placed = self._placed(np.ones(self.shape, np.bool_), 0).reshape(-1)
        part = placed[beats.start * self.lanes : beats.stop * self.lanes]
        return np.concatenate([part, np.zeros(len(beats) * self.lanes - len(part), np.bool_)]).reshape(-1, self.lanes)

    def misfit(self, values: IntArray) -> tuple[list[int], int] | None:
        """The index and value of the first value that does not fit an element; None if all fit."""
        outside = (values < self.element.lo) | (values > self.element.hi)
        if not outside.any():
            return None
        at = first_index(outside)
        return at, int(values[tuple(at)])

    def put_back(self, stream: AnyArray) -> AnyArray:
        """The tensor from the elements of the stream, of the same type; padding is dropped without being checked."""
        free, k = self.free, len(self.layout.tile)
        values = stream.reshape(-1)[: self.count].reshape(self.arranged)
        if self.layout.pitch:
            values = self._strided(values).copy()
        elif k:
            order = (*range(free), *(axis for i in range(k) for axis in (free + i, free + k + i)))
            values = values.transpose(order).reshape(self.filled)[tuple(slice(n) for n in self.moved)]
        values = values.reshape(self.moved)
        return values if self.layout.axes is None else np.ascontiguousarray(values.transpose(np.argsort(self.layout.axes)))

    def _strided(self, stream: AnyArray) -> AnyArray:
        """The elements of a contiguous stream with a pitch, as a view in the shape `moved`."""
        steps = tuple(stride * stream.itemsize for stride in self.strides)
        return np.lib.stride_tricks.as_strided(np.ascontiguousarray(stream), self.moved, steps)

    def restore(self, stream: IntArray) -> IntArray:
        """The tensor in its own format's type, or in the stream's type if the format does not hold the values."""
        values = self.put_back(stream)
        fits = self.fmt.holds(int(values.min()), int(values.max()))
        return np.ascontiguousarray(values.astype(self.fmt.dtype if fits else values.dtype))

    def stream(self, values: IntArray, name: str = "the tensor") -> IntArray:
        """The elements in storage order, int64 [beats, lanes], with the last beat padded."""
        flat = self.arrange(values, name).reshape(-1)
        if padding := self.beats * self.lanes - self.count:
            flat = np.concatenate([flat, np.full(padding, self.layout.pad, np.int64)])
        return flat.reshape(self.beats, self.lanes)

    def pack(self, stream: IntArray) -> NDArray[np.uint8]:
        """Elements [beats, lanes] as the bytes of each beat, lowest first: u8 [beats, beat // 8]."""
        lanes = stream if self.layout.first == "low" else stream[:, ::-1]
        octets = np.zeros((len(lanes), self.beat // 8), np.uint8)
        if self.bits % 8 == 0:
            width = self.bits // 8
            little = np.ascontiguousarray(lanes).astype("<i8").view(np.uint8).reshape(len(lanes), self.lanes, 8)
            octets[:, : self.lanes * width] = little[:, :, :width].reshape(len(lanes), -1)
            return octets
        step = max(BLOCK // self.lanes, 1)
        for start in range(0, len(lanes), step):
            part = np.ascontiguousarray(lanes[start : start + step]).astype("<i8")
            each = np.unpackbits(part.view(np.uint8).reshape(len(part), self.lanes, 8), axis=-1, bitorder="little")
            joined = each[:, :, : self.bits].reshape(len(part), -1)
            packed = np.packbits(joined, axis=-1, bitorder="little")
            octets[start : start + step, : packed.shape[1]] = packed
        return octets

    def unpack(self, octets: IntArray) -> IntArray:
        """The elements, int64 [beats, lanes], from the bytes of each beat, lowest first."""
        out = np.empty((len(octets), self.lanes), np.int64)
        step = max(BLOCK // self.lanes, 1)
        for start in range(0, len(octets), step):
            part = octets[start : start + step]
            little = np.zeros((len(part), self.lanes, 8), np.uint8)
            if self.bits % 8 == 0:
                width = self.bits // 8
                little[:, :, :width] = part[:, : self.lanes * width].reshape(len(part), self.lanes, width)
            else:
                each = np.unpackbits(np.ascontiguousarray(part), axis=-1, bitorder="little")[:, : self.lanes * self.bits]
                packed = np.packbits(each.reshape(len(part), self.lanes, self.bits), axis=-1, bitorder="little")
                little[:, :, : packed.shape[-1]] = packed
            out[start : start + step] = little.view("<i8").reshape(len(part), self.lanes)
        if self.element.lo < 0 and self.bits < 64:
            half = 1 << (self.bits - 1)
            out = (out ^ half) - half
        return out if self.layout.first == "low" else out[:, ::-1]
