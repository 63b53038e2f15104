"""Raw files of a device: binary, hexadecimal and decimal numbers, as a map's layout describes them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ..arith import U8, Format, IntArray
from ..errors import FileError, IntsimError
from ..storage.reals import SIX_DIGITS
from ..testbench import BeatLayout, Packing
from ..testbench.decimals import has_reals, read_reals
from ..testbench.encodings import ENCODINGS
from ..testbench.words import Remark, read_words, silent, words
from .compare import Sliceable
from .dump_layout import DumpLayout

TEXT_BYTES = b"0123456789abcdefABCDEFxXzZuUwW@_-+., ;:/#=\t\r\n"
# The encoding where the map gives none; raw for any other suffix.
BY_SUFFIX = {".hex": "hex", ".mem": "hex", ".txt": "text", ".dec": "text", ".bits": "bits"}


@dataclass(frozen=True)
class Raw:
    """A raw file whose size agrees with its layout: shape and type in the node's order, and how to read it."""

    shape: tuple[int, ...]
    dtype: np.dtype
    load: Callable[[], Sliceable]
    certain: float | None = None  # up to which integer real numbers written as text are precise
    note: str = ""  # why it has another shape than the node


def open_raw(
    path: Path,
    layout: DumpLayout,
    shape: tuple[int, ...],
    fmt: Format,
    remark: Remark = silent,
    *,
    scaled: bool = False,
) -> Raw:
    """The tensor of a node of `shape` and `fmt` in a raw file. An IntsimError says why the file cannot contain it.

    `remark` takes what was converted, when the file is read. `scaled`: a text with a number that is no integer has integers
    times their scale.
    """
    device, axes = layout.device_shape(shape), layout.beats.axes
    if math.prod(device) != math.prod(shape):
        raise IntsimError(f"the map says {list(device)}, the node is {list(shape)}")
    if axes is None and device != shape:
        shape = device  # as many elements in another shape: reported as misshapen
    elif axes is not None and layout.node_shape(device) != shape:
        raise IntsimError(f"the map says {list(device)} with axes {list(axes)}, the node is {list(shape)}")
    encoding = layout.encoding or BY_SUFFIX.get(path.suffix, "raw")
    packing = layout.packing(shape, fmt, encoding)
    if layout.real is not None or (encoding == "text" and (layout.scaled or (scaled and has_reals(path)))):
        return _reals(path, layout, packing, encoding)
    note = ""
    if encoding == "hex" and layout.hex_first is not None and _is_of_bytes(path, layout, packing, fmt):
        return Raw(shape, packing.dtype, lambda: _hex_of_bytes(path, layout, packing, fmt, remark))
    if not layout.moves and (found := _elements(path, packing, encoding)) > packing.count:
        note = f"it has {found:,} elements, {packing.count:,} are expected{_text_in(path, encoding)}"
        shape = (found,)  # read flat: the rows or planes may be padded
        packing = layout.packing(shape, fmt, encoding)
    if encoding == "hex" and layout.hex_first is not None:
        return Raw(shape, packing.dtype, lambda: _hex_of_any_width(path, layout, shape, fmt, remark), note=note)
    if encoding == "raw":
        size, wanted = path.stat().st_size, packing.beats * packing.beat // 8
        if size != wanted:
            what = f"{packing.count} elements of {packing.element} are {wanted}"
            raise IntsimError(f"it has {size} bytes; {what}{_text_in(path, encoding)}")
        plain = packing.lanes == 1 and packing.bits == packing.beat == 8 * packing.dtype.itemsize
        if plain and not layout.moves and not _unsigned_64(layout, packing):
            dtype = packing.dtype.newbyteorder(">" if packing.layout.endian == "big" else "<")
            return Raw(shape, packing.dtype, lambda: np.memmap(path, dtype, "r", shape=shape), note=note)
    read = ENCODINGS[encoding].read
    every = range(packing.beats)
    load = partial(_restored, path, layout, packing)
    return Raw(shape, packing.dtype, lambda: load(read(path, packing, every, remark)), note=note)


def _elements(path: Path, packing: Packing, encoding: str) -> int:
    """How many elements a file has, as far as its size or the number of its words tells; 0 where a beat has several, and
    where words have addresses, which are checked when it is read.
    """
    if packing.lanes > 1:
        return 0
    if encoding == "raw":
        elements, rest = divmod(path.stat().st_size, packing.beat // 8)
        return 0 if rest else elements
    numbers = 0
    for _, word in words(path):
        if word.startswith("@") or word.endswith(":"):
            return 0
        numbers += 1
    return numbers


def _text_in(path: Path, encoding: str) -> str:
    """A hint where a file that is read as bytes holds text."""
    if encoding != "raw":
        return ""
    with path.open("rb") as file:
        start = file.read(256)
    text = len(start) > 1 and all(byte in TEXT_BYTES for byte in start)
    return "; it looks like text: give its encoding, hex, bits or text" if text else ""


def _reals(path: Path, layout: DumpLayout, packing: Packing, encoding: str) -> Raw:
    """Real numbers, as text or as binary float32 or float64."""
    if encoding == "text":
        every = range(packing.beats)
        return Raw(
            packing.shape,
            np.dtype(np.float64),
            lambda: layout.put_back(packing, read_reals(path, packing, every)),
            SIX_DIGITS,
        )
    if encoding != "raw" or layout.real is None:
        raise IntsimError(f"real numbers are read from text and raw files, not from {encoding}")
    dtype = np.dtype(layout.real).newbyteorder(">" if layout.beats.endian == "big" else "<")
    size, wanted = path.stat().st_size, packing.count * dtype.itemsize
    if size != wanted:
        raise IntsimError(f"it has {size} bytes; {packing.count} elements of {layout.real} are {wanted}")
    return Raw(packing.shape, dtype, lambda: layout.put_back(packing, np.fromfile(path, dtype)))


def _hex_of_any_width(path: Path, layout: DumpLayout, shape: tuple[int, ...], fmt: Format, remark: Remark) -> IntArray:
    """Hexadecimal words without beats of a fixed width: the longest word has all its digits, others may lack leading zeros.

    Where all words begin with 0x it is a prefix, otherwise the x is an unknown digit. As many words as elements are one
    element each: longer ones have their sign extended, as printf writes them.
    """
    numbers = [word.replace("_", "").lower() for _, word in words(path) if not word.startswith("@")]
    prefixed = all(word.startswith("0x") for word in numbers)
    digits = max((len(word) - 2 * prefixed for word in numbers), default=1)
    if len(numbers) == math.prod(shape) > 1:
        digits = min(digits, -(-layout.packing(shape, fmt, "hex").bits // 4))
    try:
        packing = layout.packing(shape, fmt, "hex", max(digits, 1))
    except IntsimError as error:
        raise FileError(f"{path}: words of {digits:,} digits: {error}") from None
    every = range(packing.beats)
    return _restored(path, layout, packing, read_words(path, packing, every, 16, remark, exact=False, prefixed=prefixed))


def _is_of_bytes(path: Path, layout: DumpLayout, packing: Packing, fmt: Format) -> bool:
    """Whether a file of hexadecimal words has one for each byte of the elements."""
    if packing.dtype.itemsize == 1 or layout.beats.bits is not None:
        return False
    numbers = [word for _, word in words(path) if not word.startswith("@")]
    return len(numbers) == packing.count * fmt.dtype.itemsize and max(map(len, numbers)) <= 2


def _hex_of_bytes(path: Path, layout: DumpLayout, packing: Packing, fmt: Format, remark: Remark) -> IntArray:
    """Words of one byte each, as objcopy writes memories: every element is as many words as it has bytes."""
    size, endian = fmt.dtype.itemsize, layout.beats.endian
    octets = Packing(BeatLayout("bytes", bits=8, signed=False), (packing.count * size,), U8)
    values = read_words(path, octets, range(octets.beats), 16, remark, exact=False)
    remark(f"{path.name}: every word is a byte; {size} of them are an element, in the byte order {endian}")
    elements = np.frombuffer(values.astype(np.uint8).tobytes(), fmt.dtype.newbyteorder("<" if endian == "little" else ">"))
    return _restored(path, layout, packing, elements.astype(np.int64).reshape(-1, 1))


def _restored(path: Path, layout: DumpLayout, packing: Packing, stream: IntArray) -> IntArray:
    """The tensor of the elements of a file, in their own type."""
    values = layout.put_back(packing, stream)
    if _unsigned_64(layout, packing) and int(values.min()) < 0:
        raise FileError(f"{path}: an unsigned value is above 2**63 - 1, which no node's format holds")
    return values.astype(packing.dtype)


def _unsigned_64(layout: DumpLayout, packing: Packing) -> bool:
    """Whether elements are unsigned 64-bit integers, which are read as signed ones."""
    return layout.beats.signed is False and packing.bits == 64
