"""How one tensor of a dump is stored, as an entry of the map says."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ..arith import I64, AnyArray, Format, IntArray
from ..errors import IntsimError
from ..testbench import BeatLayout, Packing
from .conventions import Convention

OF_THE_MAP = "of the map"  # the name of a layout that an entry gives by its own keys
PLAIN = BeatLayout(OF_THE_MAP)


@dataclass(frozen=True)
class DumpLayout:
    """How a device stores one tensor: a layout, and what only a map says.

    `shape` is in the device's order of axes (None: the node's shape); `encoding` is one of `ENCODINGS` (None: by the file's
    suffix). `scaled`: its values are real numbers, each an integer times the node's scale. `real` is the type of the numbers
    of a raw file that are no integers. `reverse`: so many elements each are in reverse order; 0: all of them. `hex_first` is
    set where the elements are those of a memory, without beats of a fixed width: the end of a hex word, ``low`` or
    ``high``, at which its first element is. `conventions` are undone in their order, after all else.
    """

    beats: BeatLayout = PLAIN
    shape: tuple[int, ...] | None = None
    encoding: str | None = None
    hex_first: str | None = "low"
    scaled: bool = False
    real: str | None = None
    reverse: int | None = None
    conventions: tuple[Convention, ...] = ()

    @property
    def moves(self) -> bool:
        """Whether values are in another order than the node's."""
        return self.beats.axes is not None or bool(self.beats.tile or self.beats.pitch) or self.reverse is not None

    def node_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The node's shape of a tensor that the device stores as `shape`."""
        axes = self.beats.axes
        if axes is None:
            return shape
        if len(axes) != len(shape):
            raise IntsimError(f"it has {len(shape)} axes, the map names {len(axes)}: {list(axes)}")
        return tuple(shape[axes.index(axis)] for axis in range(len(shape)))

    def device_shape(self, node_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape in the device's order of axes, before tiling."""
        axes = self.beats.axes
        if self.shape is not None:
            return self.shape
        if axes is None:
            return node_shape
        if sorted(axes) != list(range(len(node_shape))):
            raise IntsimError(f"the map's axes {list(axes)} do not name each of the node's {len(node_shape)} axes once")
        return tuple(node_shape[axis] for axis in axes)

    def stored_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of an array of the device: its own, or the map's where that has as many elements."""
        if self.shape is None:
            return shape
        if math.prod(self.shape) != math.prod(shape):
            raise IntsimError(f"its shape is {list(shape)}, the map says {list(self.shape)}")
        return self.shape

    def array_packing(self, shape: tuple[int, ...], size: int) -> Packing:
        """The order of the `size` elements of an array of the device, for a node of `shape`."""
        beats = self.beats
        packing = Packing(BeatLayout(beats.name, axes=beats.axes, tile=beats.tile, pitch=beats.pitch), shape, I64)
        if packing.count != size:
            raise IntsimError(f"it has {size:,} elements; in this layout the node has {packing.count:,}")
        return self.checked(packing)

    def checked(self, packing: Packing) -> Packing:
        """`packing`; an IntsimError where its elements are no whole number of reversed groups."""
        if self.reverse and packing.count % self.reverse:
            raise IntsimError(f"its {packing.count:,} elements are no whole number of groups of {self.reverse:,}")
        return packing

    def restored(self, x: IntArray, fmt: Format, shape: tuple[int, ...]) -> IntArray:
        """The tensor of `shape` from what is stored by the conventions; an IntsimError where that has another shape."""
        for convention in self.conventions:
            if not convention.fits(x.shape, shape):
                raise IntsimError(f"its shape is {list(x.shape)}, which is not that of {list(shape)} {convention.says}")
            x = convention.restore(x, fmt, shape)
        return x

    def put_back(self, packing: Packing, stream: AnyArray) -> AnyArray:
        """The tensor from the elements of the stream, of any type."""
        if self.reverse is None:
            return packing.put_back(stream)
        elements = stream.reshape(-1)[: packing.count]
        return packing.put_back(elements.reshape(-1, self.reverse or len(elements))[:, ::-1])

    def packing(self, shape: tuple[int, ...], fmt: Format, encoding: str, digits: int = 1) -> Packing:
        """The layout on a node of `shape` and `fmt`; `digits` are those of a hex word of any width."""
        beats = self.beats
        if beats.lines is not None:
            raise IntsimError(f"layout {beats.name} spreads a tensor over files; 'intsim import' puts them together")
        if self.hex_first is not None:
            bits = beats.bits or 8 * fmt.dtype.itemsize
            lanes = {"raw": max(8 // bits, 1), "hex": 4 * (digits - 1) // bits + 1}.get(encoding, 1)
            beats = replace(
                beats,
                bits=bits,
                signed=fmt.dtype.kind == "i" if beats.signed is None else beats.signed,
                beat=-(-lanes * bits // 8) * 8,
                lanes=lanes,
                first=self.hex_first if encoding == "hex" else beats.first,
            )
        if beats.signed is False and (beats.bits or fmt.bits) == 64:
            beats = replace(beats, signed=True)  # int64 is the widest type here: a set sign bit is found when read
        return self.checked(Packing(beats, shape, fmt))
