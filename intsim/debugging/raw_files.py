"""Raw files of a device: binary, hexadecimal and decimal numbers, as a map's layout describes them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..arith import Format, IntArray
from ..errors import FileError, IntsimError
from ..testbench import Packing
from ..testbench.encodings import ENCODINGS, read_words, words
from .compare import Sliceable
from .dump_map import DumpLayout

# The encoding where the map gives none; raw for any other suffix.
BY_SUFFIX = {".hex": "hex", ".mem": "hex", ".txt": "text", ".dec": "text", ".bits": "bits"}


@dataclass(frozen=True)
class Raw:
    """A raw file whose size agrees with its layout: shape and type in the node's order, and how to read it."""

    shape: tuple[int, ...]
    dtype: np.dtype
    load: Callable[[], Sliceable]


def open_raw(path: Path, layout: DumpLayout, shape: tuple[int, ...], fmt: Format) -> Raw:
    """The tensor of a node of `shape` and `fmt` in a raw file. An IntsimError says why the file cannot contain it."""
    device, axes = layout.device_shape(shape), layout.beats.axes
    if math.prod(device) != math.prod(shape):
        raise IntsimError(f"the map says {list(device)}, the node is {list(shape)}")
    if axes is None and device != shape:
        shape = device  # as many elements in another shape: reported as misshapen
    elif axes is not None and layout.node_shape(device) != shape:
        raise IntsimError(f"the map says {list(device)} with axes {list(axes)}, the node is {list(shape)}")
    encoding = layout.encoding or BY_SUFFIX.get(path.suffix, "raw")
    packing = layout.packing(shape, fmt, encoding)
    if encoding == "hex" and layout.hex_first is not None:
        return Raw(shape, packing.dtype, lambda: _hex_of_any_width(path, layout, shape, fmt))
    if encoding == "raw":
        size, wanted = path.stat().st_size, packing.beats * packing.beat // 8
        if size != wanted:
            raise IntsimError(f"it has {size} bytes; {packing.count} elements of {packing.element} are {wanted}")
        plain = packing.lanes == 1 and packing.bits == packing.beat == 8 * packing.dtype.itemsize
        if plain and not layout.moves and not _unsigned_64(layout, packing):
            dtype = packing.dtype.newbyteorder(">" if packing.layout.endian == "big" else "<")
            return Raw(shape, packing.dtype, lambda: np.memmap(path, dtype, "r", shape=shape))
    read = ENCODINGS[encoding].read
    return Raw(shape, packing.dtype, lambda: _restored(path, layout, packing, read(path, packing, packing.beats)))


def _hex_of_any_width(path: Path, layout: DumpLayout, shape: tuple[int, ...], fmt: Format) -> IntArray:
    """Hexadecimal words without beats of a fixed width: the longest word has all its digits, others may lack leading zeros.

    Where all words begin with 0x it is a prefix, otherwise the x is an unknown digit.
    """
    numbers = [word.replace("_", "").lower() for _, word in words(path) if not word.startswith("@")]
    prefixed = all(word.startswith("0x") for word in numbers)
    digits = max((len(word) - 2 * prefixed for word in numbers), default=1)
    try:
        packing = layout.packing(shape, fmt, "hex", max(digits, 1))
    except IntsimError as error:
        raise FileError(f"{path}: words of {digits:,} digits: {error}") from None
    return _restored(path, layout, packing, read_words(path, packing, packing.beats, 16, exact=False, prefixed=prefixed))


def _restored(path: Path, layout: DumpLayout, packing: Packing, stream: IntArray) -> IntArray:
    """The tensor of the elements of a file, in their own type."""
    values = packing.put_back(stream)
    if _unsigned_64(layout, packing) and int(values.min()) < 0:
        raise FileError(f"{path}: an unsigned value is above 2**63 - 1, which no node's format holds")
    return values.astype(packing.dtype)


def _unsigned_64(layout: DumpLayout, packing: Packing) -> bool:
    """Whether elements are unsigned 64-bit integers, which are read as signed ones."""
    return layout.beats.signed is False and packing.bits == 64
