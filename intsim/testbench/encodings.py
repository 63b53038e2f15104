"""Writing beats or elements to files, and reading them back.

`ENCODINGS` maps names to encodings. ``hex`` and ``bits`` are for `$readmemh` and `$readmemb`: one beat per line, highest
digit first. ``raw`` is the bytes of the beats. ``text`` is decimal, one beat per line, for `$fscanf` and `scanf`. ``c`` is a
header with one array of elements. ``npy`` and ``npz`` are arrays of elements with the axes of the stream.

Files are not trusted: sizes are checked before memory is allocated, and errors name the file and the line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..arith import AnyArray, IntArray
from ..errors import FileError
from ..storage import npy
from ..storage.reals import whole
from .decimals import Decimals, read_decimals
from .packing import Packing
from .words import Remark, read_words, require_count, without_comments, words_of

NPZ_NAME = "tensors.npz"
PER_LINE = 12  # numbers of a C array
BLOCK = 1 << 12  # beats that are written at once
C_LOWEST = {-(1 << (bits - 1)): f"INT{bits}_MIN" for bits in (32, 64)}  # C has no literal for these


@dataclass(frozen=True)
class Encoding:
    """An encoding: its name, file suffix and description, and functions for both directions.

    `read` takes the range of beats that the file holds, and says by a `Remark` what it converted. `by_beats`: the file has
    beats, and a tensor may be split over several files. Otherwise `write` and `read` convert all elements at once, in the
    shape of the stream.
    """

    name: str
    suffix: str
    description: str
    write: Callable[[Path, IntArray, Packing], None]
    read: Callable[[Path, Packing, range, Remark], IntArray]
    by_beats: bool = True


# --- beats ------------------------------------------------------------------------------------------------------------


def _blocks(stream: IntArray) -> Iterator[IntArray]:
    """The beats of a stream, a few thousand at a time: as text each takes many times its bytes."""
    return (stream[start : start + BLOCK] for start in range(0, len(stream), BLOCK))


def _write_raw(path: Path, stream: IntArray, packing: Packing) -> None:
    with path.open("wb") as file:
        for block in _blocks(stream):
            _file_order(packing.pack(block), packing).tofile(file)


def _read_raw(path: Path, packing: Packing, beats: range, remark: Remark) -> IntArray:
    width, size = packing.beat // 8, path.stat().st_size
    expected = len(beats) * width
    if size != expected:
        reason = "the dump is truncated" if size < expected else "it contains more than this tensor, or wider beats"
        raise FileError(f"{path}: has {size:,} bytes, expected {expected:,} ({len(beats):,} beats of {width}); {reason}")
    return packing.unpack(_file_order(np.fromfile(path, np.uint8).reshape(len(beats), width), packing))


def _file_order(octets: NDArray[np.uint8], packing: Packing) -> NDArray[np.uint8]:
    """Bytes of beats, lowest first, in the order of a raw file; or the reverse."""
    return octets if packing.layout.endian == "little" else octets[:, ::-1]


def _write_hex(path: Path, stream: IntArray, packing: Packing) -> None:
    step = packing.beat // 4
    with path.open("w", encoding="ascii") as file:
        for block in _blocks(stream):
            digits = packing.pack(block)[:, ::-1].tobytes().hex()
            file.write("".join(f"{digits[i : i + step]}\n" for i in range(0, len(digits), step)))


def _read_hex(path: Path, packing: Packing, beats: range, remark: Remark) -> IntArray:
    return read_words(path, packing, beats, 16, remark)


def _write_bits(path: Path, stream: IntArray, packing: Packing) -> None:
    with path.open("wb") as file:
        for block in _blocks(stream):
            digits = np.unpackbits(packing.pack(block)[:, ::-1], axis=-1) + ord("0")
            lines = np.concatenate([digits, np.full((len(digits), 1), ord("\n"), np.uint8)], axis=1)
            file.write(lines.astype(np.uint8).tobytes())


def _read_bits(path: Path, packing: Packing, beats: range, remark: Remark) -> IntArray:
    return read_words(path, packing, beats, 2, remark)


def _write_text(path: Path, stream: IntArray, packing: Packing) -> None:
    with path.open("w", encoding="ascii") as file:
        for block in _blocks(stream):
            file.write("".join(" ".join(map(str, line)) + "\n" for line in block.tolist()))


def _read_text(path: Path, packing: Packing, beats: range, remark: Remark) -> IntArray:
    return read_decimals(path, packing, beats, remark)


# --- elements ---------------------------------------------------------------------------------------------------------


def _write_npy(path: Path, values: IntArray, packing: Packing) -> None:
    with path.open("wb") as file:
        np.save(file, values.astype(packing.dtype))


def _read_npy(path: Path, packing: Packing, beats: range, remark: Remark) -> IntArray:
    with path.open("rb") as stream:
        header = npy.header(stream, path.stat().st_size)
    _check_header(header, f"{path}", packing)
    return _fitting(np.load(path, allow_pickle=False), f"{path}", path.name, packing, remark)


def npz_member(path: Path, key: str, packing: Packing, remark: Remark) -> IntArray:
    """The elements of one tensor in an ``.npz``."""
    header = npy.member_header(path, key)
    if header is None:
        raise FileError(f"{path}: has no array {key}")
    _check_header(header, f"{path}: {key}", packing)
    return _fitting(npy.member(path, key), f"{path}: {key}", key, packing, remark)


def npz_value(packing: Packing, values: IntArray, name: str) -> IntArray:
    """A tensor as the array that an ``.npz`` contains."""
    return packing.arrange(values, name).astype(packing.dtype)


def _check_header(header: npy.Header, where: str, packing: Packing) -> None:
    if header.problem:
        raise FileError(f"{where}: {header.problem}")
    if header.dtype.kind not in "iuf":
        raise FileError(f"{where}: has {header.dtype} values, expected integers")
    if tuple(header.shape) != packing.arranged:
        raise FileError(f"{where}: its shape is {list(header.shape)}, expected {list(packing.arranged)}")


def _fitting(values: AnyArray, where: str, name: str, packing: Packing, remark: Remark) -> IntArray:
    """Elements of an array as int64: integers, or real numbers that are all whole."""
    if values.dtype.kind == "f":
        remark(f"{name}: its values are whole numbers stored as {values.dtype}")
        values = whole(values, where)
    if misfit := packing.misfit(values):
        at, value = misfit
        raise FileError(f"{where}: {at} = {value} does not fit {packing.element}")
    return values.astype(np.int64)


def _write_c(path: Path, values: IntArray, packing: Packing) -> None:
    name = f"{identifier(path.stem)}_values"
    kind = f"{'' if packing.element.lo else 'u'}int{8 * packing.dtype.itemsize}_t"
    flat = values.reshape(-1).tolist()
    about = f"{packing.fmt} {' x '.join(map(str, packing.shape))}, layout {packing.layout.name}"
    lines = [f"/* {path.stem}: {ascii_text(about)}; generated by intsim. */", "#pragma once", "#include <stdint.h>", ""]
    macro = name.upper()
    lines += [f"#define {macro}_COUNT {len(flat)}", f"#define {macro}_RANK {len(packing.shape)}"]
    lines += [f"#define {macro}_DIM{axis} {n}" for axis, n in enumerate(packing.shape)]
    lines += ["", f"static const {kind} {name}[{macro}_COUNT] = {{"]
    lines += ["    " + ", ".join(map(_literal, flat[i : i + PER_LINE])) + "," for i in range(0, len(flat), PER_LINE)]
    path.write_text("\n".join([*lines, "};", ""]), encoding="ascii")


def _literal(value: int) -> str:
    """A C literal. The lowest values have none and become macros such as INT64_MIN; values beyond 32 bits take a suffix."""
    if value in C_LOWEST:
        return C_LOWEST[value]
    return str(value) if abs(value) < 1 << 31 else f"{value}LL"


def _read_c(path: Path, packing: Packing, beats: range, remark: Remark) -> IntArray:
    text = without_comments(path)
    first, last = text.find("{"), text.find("}")
    if not 0 <= first < last:
        raise FileError(f"{path}: has no array between braces; the header is truncated")
    lowest = {word: value for value, word in C_LOWEST.items()}
    decimals, values = Decimals(path, packing), []
    for line, word in words_of(text[first + 1 : last], text.count("\n", 0, first) + 1):
        values.append(decimals.number(line, str(lowest[word]) if word in lowest else word.rstrip("uUlL")))
    require_count(path, len(values), packing.count, "value")
    decimals.told(remark)
    return np.array(values, np.int64)


def ascii_text(text: str) -> str:
    """Text that is safe in a comment or string of any source file: ``?`` replaces quotes, ``\\``, ``*`` and non-ASCII."""
    return re.sub(r"[^ -~]|[\"\\*]", "?", text)


def identifier(name: str) -> str:
    """`name` as an identifier of C, Verilog and VHDL: letters, digits and single underscores, starting with a letter."""
    word = re.sub("_+", "_", re.sub(r"\W", "_", name)).strip("_")
    return word if word[:1].isalpha() else f"n_{word}"


ENCODINGS = {
    encoding.name: encoding
    for encoding in (
        Encoding("hex", ".hex", "hexadecimal words for $readmemh, one beat per line", _write_hex, _read_hex),
        Encoding("bits", ".bits", "binary words for $readmemb, one beat per line", _write_bits, _read_bits),
        Encoding("raw", ".bin", "the bytes of the beats", _write_raw, _read_raw),
        Encoding("text", ".txt", "decimal numbers for $fscanf, one beat per line", _write_text, _read_text),
        Encoding("c", ".h", "a C header with one array", _write_c, _read_c, by_beats=False),
        Encoding("npy", ".npy", "a NumPy array", _write_npy, _read_npy, by_beats=False),
    )
}
FORMATS = (*ENCODINGS, "npz")


def least_bytes(encoding: str, packing: Packing) -> int:
    """The bytes that the files of a tensor have at least in an encoding, a member of `FORMATS`."""
    elements = math.prod(packing.arranged)
    return {
        "hex": packing.beats * (packing.beat // 4 + 1),
        "bits": packing.beats * (packing.beat + 1),
        "raw": packing.beats * packing.beat // 8,
        "text": 2 * elements,  # a digit, and what separates it from the next
        "c": 2 * elements,
    }.get(encoding, elements * packing.dtype.itemsize)
