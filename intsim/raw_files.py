"""Raw files of a device: binary, hexadecimal and decimal numbers, as a map's layout describes them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .arith import Format
from .compare import Sliceable
from .dump_map import Layout
from .errors import FileError, IntsimError

BY_SUFFIX = {".hex": "hex", ".mem": "hex", ".txt": "txt", ".dec": "txt"}  # the encoding where the map says none


@dataclass(frozen=True)
class Raw:
    """A raw file whose size agrees with its layout: shape and type in the node's order, and how to read it."""

    shape: tuple[int, ...]
    dtype: np.dtype
    load: Callable[[], Sliceable]


def read_raw(path: Path, layout: Layout, shape: tuple[int, ...], fmt: Format) -> Raw:
    """The tensor of a node of `shape` and `fmt` in a raw file. An IntsimError says why the file cannot be it."""
    kind = layout.dtype or _dtype_of(fmt)
    bits = int(kind.removeprefix("u").removeprefix("int"))
    device = layout.device_shape(shape)
    count = math.prod(layout.padded(device))
    dtype = np.dtype(kind.replace("int4", "int8"))
    if math.prod(device) != math.prod(shape):
        raise IntsimError(f"the map says {list(device)}, the node is {list(shape)}")
    if layout.order is None and device != shape:
        shape = device  # as many elements in another shape: to be told as such
    elif layout.order is not None and layout.node_shape(device) != shape:
        raise IntsimError(f"the map says {list(device)} in order {list(layout.order)}, the node is {list(shape)}")
    encoding = layout.encoding or BY_SUFFIX.get(path.suffix, "bin")
    if encoding != "bin":
        return Raw(shape, dtype, lambda: layout.arrange(_text(path, encoding, kind, bits, count, layout.endian), shape))
    held, due = path.stat().st_size, -(-count * bits // 8)
    if held != due:
        raise IntsimError(f"it holds {held} bytes; {count} elements of {kind} are {due}")
    stored = dtype.newbyteorder(">" if layout.endian == "big" else "<")
    if bits == 4:
        return Raw(shape, dtype, lambda: layout.arrange(_nibbles(path, kind, count, layout.nibbles), shape))
    if layout.moves:
        return Raw(shape, dtype, lambda: layout.arrange(np.fromfile(path, stored), shape))
    return Raw(shape, dtype, lambda: np.memmap(path, stored, "r", shape=shape))


def _dtype_of(fmt: Format) -> str:
    return str(fmt.dtype)


def _nibbles(path: Path, kind: str, count: int, first: str) -> NDArray:
    packed = np.fromfile(path, np.uint8)
    halves = [packed & 15, packed >> 4]
    values = np.stack(halves if first == "low_first" else halves[::-1], axis=1).reshape(-1)[:count].astype(np.int8)
    return values if kind == "uint4" else (values ^ 8) - 8


def _text(path: Path, encoding: str, kind: str, bits: int, count: int, endian: str) -> NDArray:
    try:
        text = path.read_text(encoding="ascii")
    except UnicodeDecodeError:
        raise FileError(f'{path}: is not text; its encoding is {encoding!r}, say encoding = "bin" in the map') from None
    words = re.sub(r"//.*|#.*|/\*.*?\*/", " ", text).replace(",", " ").split()
    read = _hexadecimal if encoding == "hex" else _decimal
    values = read(words, path, bits, endian)
    if len(values) != count:
        raise FileError(f"{path}: holds {len(values)} numbers, {count} are due")
    lowest, highest = (0, (1 << bits) - 1) if kind.startswith("u") else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    if encoding == "hex" and lowest < 0:
        values = [v - (1 << bits) if v > highest else v for v in values]
    for i, value in enumerate(values):
        if not lowest <= value <= highest:
            raise FileError(f"{path}: number {i + 1}, {value}, does not fit {kind}")
    return np.array(values, np.dtype(kind.replace("int4", "int8")))


def _decimal(words: list[str], path: Path, bits: int, endian: str) -> list[int]:
    values = []
    for i, word in enumerate(words):
        try:
            values.append(int(word, 16 if word.lower().startswith("0x") else 10))
        except ValueError:
            raise FileError(f"{path}: word {i + 1}, {word[:20]!r}, is not a decimal number") from None
    return values


def _hexadecimal(words: list[str], path: Path, bits: int, endian: str) -> list[int]:
    digits = -(-bits // 4)
    values: list[int] = []
    for i, word in enumerate(words):
        if word.startswith("@"):
            if not re.fullmatch("0+", word[1:]):
                raise FileError(f"{path}: jumps to address {word[:20]}; dump the words one after the other")
            continue
        bare = word.replace("_", "").lower().removeprefix("0x")
        if re.search("[xz]", bare):
            raise FileError(f"{path}: word {i + 1}, {word[:20]!r}, has unknown bits (x or z); the device never wrote them")
        try:
            value = int(bare, 16)
        except ValueError:
            raise FileError(f"{path}: word {i + 1}, {word[:20]!r}, is not hexadecimal") from None
        elements = max(-(-len(bare) // digits), 1)
        parts = [value >> (4 * digits * k) & ((1 << bits) - 1) for k in range(elements)]
        values += parts if endian == "little" else parts[::-1]
    return values
