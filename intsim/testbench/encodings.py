"""How beats, or elements, are written into files, and read again.

`ENCODINGS` has them by name. ``hex`` and ``bits`` are what `$readmemh` and `$readmemb` read: one beat a line, its highest
digit first. ``raw`` is the beats' bytes. ``text`` is decimal, one beat a line, for `$fscanf` and `scanf`. ``c`` is a header
with one array of elements. ``npy`` and ``npz`` hold elements under the axes of the stream, for Python on the other side.

Reading is suspicious: sizes are compared before anything is allocated, and what cannot be read is named by file and line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..arith import IntArray, first_index
from ..errors import FileError
from ..storage import npy
from .stored import Packing

NPZ_NAME = "tensors.npz"
A_LINE = 12  # numbers of a C array
C_LOWEST = {-(1 << (bits - 1)): f"INT{bits}_MIN" for bits in (32, 64)}  # C has no literal for these
DIGITS = {2: re.compile("[01]+"), 16: re.compile("[0-9a-f]+")}
NUMBER = re.compile("[+-]?(0[xX][0-9a-fA-F]{1,32}|[0-9]{1,32})")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
COMMENT = re.compile(r"//[^\n]*|#[^\n]*|/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True)
class Encoding:
    """A kind of file: its name and ending, what it is for, and both directions. `by_beats`: whether it holds beats, which
    may be spread over several files; otherwise `write` and `read` take all elements as the stream's axes arrange them.
    """

    name: str
    suffix: str
    says: str
    write: Callable[[Path, IntArray, Packing], None]
    read: Callable[[Path, Packing, int], IntArray]
    by_beats: bool = True


# --- beats ------------------------------------------------------------------------------------------------------------


def _write_raw(path: Path, stream: IntArray, stored: Packing) -> None:
    octets = stored.pack(stream)
    (octets if stored.layout.endian == "little" else octets[:, ::-1]).tofile(path)


def _read_raw(path: Path, stored: Packing, beats: int) -> IntArray:
    width, held = stored.beat // 8, path.stat().st_size
    if held != beats * width:
        said = "the dump is truncated" if held < beats * width else "it holds more than this tensor, or wider beats"
        raise FileError(f"{path}: holds {held:,} bytes, {beats:,} beats of {width} are {beats * width:,}; {said}")
    octets = np.fromfile(path, np.uint8).reshape(beats, width)
    return stored.unpack(octets if stored.layout.endian == "little" else octets[:, ::-1])


def _write_hex(path: Path, stream: IntArray, stored: Packing) -> None:
    digits = stored.pack(stream)[:, ::-1].tobytes().hex()
    step = stored.beat // 4
    path.write_text("".join(f"{digits[i : i + step]}\n" for i in range(0, len(digits), step)), encoding="ascii")


def _read_hex(path: Path, stored: Packing, beats: int) -> IntArray:
    return read_words(path, stored, beats, 16)


def _write_bits(path: Path, stream: IntArray, stored: Packing) -> None:
    digits = np.unpackbits(stored.pack(stream)[:, ::-1], axis=-1) + ord("0")
    lines = np.concatenate([digits, np.full((len(digits), 1), ord("\n"), np.uint8)], axis=1)
    path.write_bytes(lines.astype(np.uint8).tobytes())


def _read_bits(path: Path, stored: Packing, beats: int) -> IntArray:
    return read_words(path, stored, beats, 2)


def read_words(path: Path, stored: Packing, beats: int, base: int, exact: bool = True, prefixed: bool = False) -> IntArray:
    """Beats written as words of digits: comments, underscores and addresses in order are what simulators write, too.

    Where `exact`, a word has all the digits of its beat, or of the bits that elements take: a shorter one was cut off.
    0x is a prefix where all words are `prefixed`, or where a word has more digits than its beat.
    """
    octets = np.empty((beats, stored.beat // 8), np.uint8)
    found = 0
    kind, per_digit = ("hexadecimal", 4) if base == 16 else ("binary", 1)
    digits, fewer = (-(-bits // per_digit) for bits in (stored.beat, stored.lanes * stored.bits))
    for line, word in tokens(path):
        if word.startswith("@"):
            _same_place(path, line, word, found)
            continue
        bare = word.replace("_", "").lower()
        if base == 16 and bare.startswith("0x") and (prefixed or len(bare) > digits):
            bare = bare[2:]
        if found == beats:
            raise FileError(f"{path}:{line}: a word more than the {beats:,} beats that are due")
        if not DIGITS[base].fullmatch(bare):
            raise FileError(f"{path}:{line}: {_stray(bare, base)}")
        if len(bare) > digits or (exact and len(bare) not in (digits, fewer)):
            cut = "; the dump is truncated, or lacks leading zeros" if len(bare) < digits else ""
            raise FileError(f"{path}:{line}: {len(bare)} digits, a beat of {stored.beat} bits has {digits}{cut}")
        octets[found] = np.frombuffer(int(bare, base).to_bytes(stored.beat // 8, "little"), np.uint8)
        found += 1
    if found < beats:
        raise FileError(f"{path}: holds {found:,} {kind} words, {beats:,} beats are due; the dump is truncated")
    return stored.unpack(octets)


def _stray(word: str, base: int) -> str:
    if unknown := re.search("[xz]", word):
        return f"{word[:40]!r} has unknown bits ({unknown.group()}); the device never drove them"
    if not word:
        return "a word without digits"
    stray = next(c for c in word if not DIGITS[base].fullmatch(c))
    return f"{stray!r} is no {'hexadecimal' if base == 16 else 'binary'} digit, in {word[:40]!r}"


def _same_place(path: Path, line: int, word: str, found: int) -> None:
    try:
        place = int(word[1:].replace("_", ""), 16)
    except ValueError:
        raise FileError(f"{path}:{line}: {word[:40]!r} is no address") from None
    if place != found:
        raise FileError(f"{path}:{line}: jumps to address {place:#x}, beat {found} is due; dump the beats in order")


def _write_text(path: Path, stream: IntArray, stored: Packing) -> None:
    path.write_text("".join(" ".join(map(str, line)) + "\n" for line in stream.tolist()), encoding="ascii")


def read_text(path: Path, stored: Packing, beats: int) -> IntArray:
    due = beats * stored.lanes
    values: list[int] = []
    for line, word in tokens(path):
        if len(values) == due:
            raise FileError(f"{path}:{line}: a value more than the {due:,} that are due")
        values.append(_decimal(path, line, word, stored))
    if len(values) < due:
        raise FileError(f"{path}: holds {len(values):,} values, {due:,} are due; the dump is truncated")
    return np.array(values, np.int64).reshape(beats, stored.lanes)


def _decimal(path: Path, line: int, word: str, stored: Packing) -> int:
    if not NUMBER.fullmatch(word):
        raise FileError(f"{path}:{line}: {word[:40]!r} is no decimal number")
    value = int(word, 16 if "x" in word.lower() else 10)
    if not stored.element.holds(value, value):
        raise FileError(f"{path}:{line}: {value} does not fit {stored.element}")
    return value


def tokens(path: Path) -> Iterator[tuple[int, str]]:
    """The words of a text file with their line numbers, without comments and commas."""
    for number, line in enumerate(_plain(path).splitlines(), 1):
        for word in line.replace(",", " ").split():
            yield number, word


def _plain(path: Path) -> str:
    """A text file without its comments; every line stays where it is."""
    try:
        text = path.read_bytes().removeprefix(BYTE_ORDER_MARK).decode("ascii")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise FileError(f"{path}:{line}: is not plain text; the bytes of beats are read with the format raw") from None
    if "/" not in text and "#" not in text:
        return text
    return COMMENT.sub(lambda comment: " " + "\n" * comment.group().count("\n"), text)


# --- elements ---------------------------------------------------------------------------------------------------------


def _write_npy(path: Path, values: IntArray, stored: Packing) -> None:
    with path.open("wb") as file:
        np.save(file, values.astype(stored.dtype))


def _read_npy(path: Path, stored: Packing, beats: int) -> IntArray:
    with path.open("rb") as stream:
        header = npy.header(stream, path.stat().st_size)
    if header.problem:
        raise FileError(f"{path}: {header.problem}")
    _same_shape(path, header.shape, header.dtype, stored)
    return _held(path, np.load(path, allow_pickle=False), stored)


def npz_member(path: Path, key: str, stored: Packing) -> IntArray:
    """The elements of one tensor in an ``.npz``."""
    header = npy.member_header(path, key)
    if header is None:
        raise FileError(f"{path}: holds no {key}")
    if header.problem:
        raise FileError(f"{path}: {key}: {header.problem}")
    _same_shape(path, header.shape, header.dtype, stored)
    return _held(path, npy.member(path, key), stored)


def npz_value(stored: Packing, values: IntArray, name: str) -> IntArray:
    """A tensor as an ``.npz`` holds it."""
    return stored.arrange(values, name).astype(stored.dtype)


def _same_shape(path: Path, shape: Sequence[int], dtype: np.dtype, stored: Packing) -> None:
    if dtype.kind not in "iu":
        raise FileError(f"{path}: holds {dtype}, integers are due")
    if tuple(shape) != stored.arranged:
        raise FileError(f"{path}: its shape is {list(shape)}, {list(stored.arranged)} is due")


def _held(path: Path, values: IntArray, stored: Packing) -> IntArray:
    outside = (values < stored.element.lo) | (values > stored.element.hi)
    if outside.any():
        at = first_index(outside)
        raise FileError(f"{path}: {at} = {values[tuple(at)]} does not fit {stored.element}")
    return values.astype(np.int64)


def _write_c(path: Path, values: IntArray, stored: Packing) -> None:
    name = f"{identifier(path.stem)}_values"
    kind = f"{'' if stored.element.lo else 'u'}int{8 * stored.dtype.itemsize}_t"
    flat = values.reshape(-1).tolist()
    said = f"{stored.fmt} {' x '.join(map(str, stored.shape))}, layout {stored.layout.name}"
    lines = [f"/* {path.stem}: {plain(said)}; generated by intsim. */", "#pragma once", "#include <stdint.h>", ""]
    macro = name.upper()
    lines += [f"#define {macro}_COUNT {len(flat)}", f"#define {macro}_RANK {len(stored.shape)}"]
    lines += [f"#define {macro}_DIM{axis} {n}" for axis, n in enumerate(stored.shape)]
    lines += ["", f"static const {kind} {name}[{macro}_COUNT] = {{"]
    lines += ["    " + ", ".join(map(_literal, flat[i : i + A_LINE])) + "," for i in range(0, len(flat), A_LINE)]
    path.write_text("\n".join([*lines, "};", ""]), encoding="ascii")


def _literal(value: int) -> str:
    """A C literal: INT64_MIN and its kind have none, and beyond 32 bits a suffix is due."""
    if value in C_LOWEST:
        return C_LOWEST[value]
    return str(value) if abs(value) < 1 << 31 else f"{value}LL"


def _read_c(path: Path, stored: Packing, beats: int) -> IntArray:
    text = _plain(path)
    first, last = text.find("{"), text.find("}")
    if not 0 <= first < last:
        raise FileError(f"{path}: holds no array between braces; the header is truncated")
    lowest = {word: value for value, word in C_LOWEST.items()}
    values = []
    for line, row in enumerate(text[first + 1 : last].splitlines(), text.count("\n", 0, first) + 1):
        for word in row.replace(",", " ").split():
            bare = str(lowest[word]) if word in lowest else word.rstrip("uUlL")
            values.append(_decimal(path, line, bare, stored))
    if len(values) != stored.count:
        raise FileError(f"{path}: holds {len(values):,} values, {stored.count:,} are due")
    return np.array(values, np.int64)


def plain(text: str) -> str:
    """Text as any source file takes it, in a comment or between quotes: printable ASCII, what is not becomes ``?``."""
    return re.sub(r"[^ -~]|[\"\\*]", "?", text)


def identifier(name: str) -> str:
    """`name` as C, Verilog and VHDL take one: letters, digits and single underscores, a letter first."""
    word = re.sub("_+", "_", re.sub(r"\W", "_", name)).strip("_")
    return word if word[:1].isalpha() else f"n_{word}"


ENCODINGS = {
    encoding.name: encoding
    for encoding in (
        Encoding("hex", ".hex", "hexadecimal words for $readmemh, one beat a line", _write_hex, _read_hex),
        Encoding("bits", ".bits", "binary words for $readmemb, one beat a line", _write_bits, _read_bits),
        Encoding("raw", ".bin", "the beats' bytes", _write_raw, _read_raw),
        Encoding("text", ".txt", "decimal numbers for $fscanf, one beat a line", _write_text, read_text),
        Encoding("c", ".h", "a C header with one array", _write_c, _read_c, by_beats=False),
        Encoding("npy", ".npy", "a NumPy array", _write_npy, _read_npy, by_beats=False),
    )
}
FORMATS = (*ENCODINGS, "npz")
