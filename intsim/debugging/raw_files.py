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

BY_SUFFIX = {".hex": "hex", ".mem": "hex", ".txt": "txt", ".dec": "txt", ".bits": "bits"}  # where the map says none
ENCODING = {"bin": "raw", "txt": "text"}  # the map's words for them


@dataclass(frozen=True)
class Raw:
    """A raw file whose size agrees with its layout: shape and type in the node's order, and how to read it."""

    shape: tuple[int, ...]
    dtype: np.dtype
    load: Callable[[], Sliceable]


def open_raw(path: Path, layout: DumpLayout, shape: tuple[int, ...], fmt: Format) -> Raw:
    """The tensor of a node of `shape` and `fmt` in a raw file. An IntsimError says why the file cannot be it."""
    device = layout.device_shape(shape)
    if math.prod(device) != math.prod(shape):
        raise IntsimError(f"the map says {list(device)}, the node is {list(shape)}")
    if layout.axes is None and device != shape:
        shape = device  # as many elements in another shape: to be told as such
    elif layout.axes is not None and layout.node_shape(device) != shape:
        raise IntsimError(f"the map says {list(device)} in order {list(layout.axes)}, the node is {list(shape)}")
    encoding = layout.encoding or BY_SUFFIX.get(path.suffix, "bin")
    if encoding == "hex" and layout.named is None:
        return Raw(shape, layout.stored(shape, fmt).dtype, lambda: _beats_of_any_width(path, layout, shape, fmt))
    stored = layout.stored(shape, fmt, digits=0 if encoding == "bin" else 1)
    if encoding == "bin" and path.stat().st_size != stored.beats * stored.beat // 8:
        due = f"{stored.count} elements of {stored.element} are {stored.beats * stored.beat // 8}"
        raise IntsimError(f"it holds {path.stat().st_size} bytes; {due}")
    if (
        encoding == "bin"
        and layout.dtype != "uint64"
        and stored.lanes == 1
        and stored.beat == stored.bits
        and not layout.moves
    ):
        plain = stored.dtype.newbyteorder(">" if stored.layout.endian == "big" else "<")
        return Raw(shape, stored.dtype, lambda: np.memmap(path, plain, "r", shape=shape))
    read = ENCODINGS[ENCODING.get(encoding, encoding)].read
    return Raw(shape, stored.dtype, lambda: _typed(layout, stored, read(path, stored, stored.beats)))


def _beats_of_any_width(path: Path, layout: DumpLayout, shape: tuple[int, ...], fmt: Format) -> IntArray:
    """Hexadecimal words without a beat's width: the longest word tells it, and shorter ones lack leading zeros.

    Where all words begin with 0x it is a prefix, otherwise the x is an unknown digit.
    """
    numbers = [word.replace("_", "").lower() for _, word in words(path) if not word.startswith("@")]
    prefixed = all(word.startswith("0x") for word in numbers)
    widest = max((len(word) - 2 * prefixed for word in numbers), default=1)
    stored = layout.stored(shape, fmt, max(widest, 1))
    return _typed(layout, stored, read_words(path, stored, stored.beats, 16, exact=False, prefixed=prefixed))


def _typed(layout: DumpLayout, stored: Packing, stream: IntArray) -> IntArray:
    values = stored.put_back(stream)
    if layout.dtype == "uint64" and int(values.min()) < 0:
        raise FileError("an unsigned value is above 2**63 - 1, which no node's format holds")
    return values.astype(stored.dtype)
