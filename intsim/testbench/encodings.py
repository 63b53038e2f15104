"""Writing beats or elements to files, and reading them back.

`ENCODINGS` maps names to encodings. ``hex`` and ``bits`` are for `$readmemh` and `$readmemb`: one beat per line, highest
digit first. ``raw`` is the bytes of the beats. ``text`` is decimal, one beat per line, for `$fscanf` and `scanf`. ``c`` is a
header with one array of elements. ``npy`` and ``npz`` are arrays of elements with the axes of the stream.

Files are not trusted: sizes are checked before memory is allocated, and errors name the file and the line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..arith import IntArray
from ..errors import FileError
from ..storage import npy
from .packing import Packing

NPZ_NAME = "tensors.npz"
PER_LINE = 12  # numbers of a C array
C_LOWEST = {-(1 << (bits - 1)): f"INT{bits}_MIN" for bits in (32, 64)}  # C has no literal for these
BASES = {2: "binary", 16: "hexadecimal"}
DIGITS = {2: re.compile("[01]+"), 16: re.compile("[0-9a-f]+")}
NUMBER = re.compile("[+-]?(0[xX][0-9a-fA-F]{1,32}|[0-9]{1,32})")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
COMMENT = re.compile(r"//[^\n]*|#[^\n]*|/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True)
class Encoding:
    """An encoding: its name, file suffix and description, and functions for both directions.

    `by_beats`: the file has beats, and a tensor may be split over several files. Otherwise `write` and `read` convert all
    elements at once, in the shape of the stream.
    """

    name: str
    suffix: str
    description: str
    write: Callable[[Path, IntArray, Packing], None]
    read: Callable[[Path, Packing, int], IntArray]
    by_beats: bool = True


# --- beats ------------------------------------------------------------------------------------------------------------


def _write_raw(path: Path, stream: IntArray, packing: Packing) -> None:
    _file_order(packing.pack(stream), packing).tofile(path)


def _read_raw(path: Path, packing: Packing, beats: int) -> IntArray:
    width, size = packing.beat // 8, path.stat().st_size
    expected = beats * width
    if size != expected:
        reason = "the dump is truncated" if size < expected else "it contains more than this tensor, or wider beats"
        raise FileError(f"{path}: has {size:,} bytes, expected {expected:,} ({beats:,} beats of {width}); {reason}")
    return packing.unpack(_file_order(np.fromfile(path, np.uint8).reshape(beats, width), packing))


def _file_order(octets: NDArray[np.uint8], packing: Packing) -> NDArray[np.uint8]:
    """Bytes of beats, lowest first, in the order of a raw file; or the reverse."""
    return octets if packing.layout.endian == "little" else octets[:, ::-1]


def _write_hex(path: Path, stream: IntArray, packing: Packing) -> None:
    digits = packing.pack(stream)[:, ::-1].tobytes().hex()
    step = packing.beat // 4
    path.write_text("".join(f"{digits[i : i + step]}\n" for i in range(0, len(digits), step)), encoding="ascii")


def _read_hex(path: Path, packing: Packing, beats: int) -> IntArray:
    return read_words(path, packing, beats, 16)


def _write_bits(path: Path, stream: IntArray, packing: Packing) -> None:
    digits = np.unpackbits(packing.pack(stream)[:, ::-1], axis=-1) + ord("0")
    lines = np.concatenate([digits, np.full((len(digits), 1), ord("\n"), np.uint8)], axis=1)
    path.write_bytes(lines.astype(np.uint8).tobytes())


def _read_bits(path: Path, packing: Packing, beats: int) -> IntArray:
    return read_words(path, packing, beats, 2)


def read_words(path: Path, packing: Packing, beats: int, base: int, exact: bool = True, prefixed: bool = False) -> IntArray:
    """Read beats written as words of digits. Comments, underscores and addresses in order are accepted, as simulators
    write them.

    If `exact`, a word must have all digits of its beat, or of the bits that the elements take; a shorter word is an error.
    0x is a prefix if all words are `prefixed`, or if the word has more digits than its beat.
    """
    octets = np.empty((beats, packing.beat // 8), np.uint8)
    count = 0
    per_digit = 4 if base == 16 else 1
    digits, fewer = (-(-bits // per_digit) for bits in (packing.beat, packing.lanes * packing.bits))
    for line, word in words(path):
        if word.startswith("@"):
            _check_address(path, line, word, count)
            continue
        bare = word.replace("_", "").lower()
        if base == 16 and bare.startswith("0x") and (prefixed or len(bare) > digits):
            bare = bare[2:]
        if count == beats:
            raise FileError(f"{path}:{line}: more words than the {beats:,} expected beats")
        if not DIGITS[base].fullmatch(bare):
            raise FileError(f"{path}:{line}: {_invalid_digits(bare, base)}")
        if len(bare) > digits or (exact and len(bare) not in (digits, fewer)):
            reason = "; the dump is truncated, or leading zeros are missing" if len(bare) < digits else ""
            raise FileError(f"{path}:{line}: {len(bare)} digits, a beat of {packing.beat} bits has {digits}{reason}")
        octets[count] = np.frombuffer(int(bare, base).to_bytes(packing.beat // 8, "little"), np.uint8)
        count += 1
    _require_count(path, count, beats, f"{BASES[base]} words")
    return packing.unpack(octets)


def _require_count(path: Path, count: int, expected: int, unit: str) -> None:
    if count != expected:
        reason = "; the dump is truncated" if count < expected else ""
        raise FileError(f"{path}: has {count:,} {unit}, expected {expected:,}{reason}")


def _invalid_digits(word: str, base: int) -> str:
    """Why a word is not a number."""
    if unknown := re.search("[xz]", word):
        return f"{word[:40]!r} has unknown bits ({unknown.group()}); the device never drove them"
    if not word:
        return "a word without digits"
    invalid = next(c for c in word if not DIGITS[base].fullmatch(c))
    return f"{invalid!r} is not a {BASES[base]} digit, in {word[:40]!r}"


def _check_address(path: Path, line: int, word: str, beat: int) -> None:
    """A FileError unless the word is the address of the next beat."""
    try:
        address = int(word[1:].replace("_", ""), 16)
    except ValueError:
        raise FileError(f"{path}:{line}: {word[:40]!r} is not an address") from None
    if address != beat:
        raise FileError(f"{path}:{line}: jumps to address {address:#x}, expected beat {beat}; dump the beats in order")


def _write_text(path: Path, stream: IntArray, packing: Packing) -> None:
    path.write_text("".join(" ".join(map(str, line)) + "\n" for line in stream.tolist()), encoding="ascii")


def _read_text(path: Path, packing: Packing, beats: int) -> IntArray:
    expected = beats * packing.lanes
    values: list[int] = []
    for line, word in words(path):
        if len(values) == expected:
            raise FileError(f"{path}:{line}: more values than the expected {expected:,}")
        values.append(_decimal(path, line, word, packing))
    _require_count(path, len(values), expected, "values")
    return np.array(values, np.int64).reshape(beats, packing.lanes)


def _decimal(path: Path, line: int, word: str, packing: Packing) -> int:
    if not NUMBER.fullmatch(word):
        raise FileError(f"{path}:{line}: {word[:40]!r} is not a decimal number")
    value = int(word, 16 if "x" in word.lower() else 10)
    if not packing.element.holds(value, value):
        raise FileError(f"{path}:{line}: {value} does not fit {packing.element}")
    return value


def words(path: Path) -> Iterator[tuple[int, str]]:
    """The words of a text file with their line numbers, without comments and commas."""
    return _words(_without_comments(path))


def _words(text: str, first_line: int = 1) -> Iterator[tuple[int, str]]:
    for line, row in enumerate(text.splitlines(), first_line):
        for word in row.replace(",", " ").split():
            yield line, word


def _without_comments(path: Path) -> str:
    """A text file without its comments; line numbers do not change."""
    try:
        text = path.read_bytes().removeprefix(BYTE_ORDER_MARK).decode("ascii")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise FileError(f"{path}:{line}: is not plain text; use the format raw for the bytes of beats") from None
    if "/" not in text and "#" not in text:
        return text
    return COMMENT.sub(lambda comment: " " + "\n" * comment.group().count("\n"), text)


# --- elements ---------------------------------------------------------------------------------------------------------


def _write_npy(path: Path, values: IntArray, packing: Packing) -> None:
    with path.open("wb") as file:
        np.save(file, values.astype(packing.dtype))


def _read_npy(path: Path, packing: Packing, beats: int) -> IntArray:
    with path.open("rb") as stream:
        header = npy.header(stream, path.stat().st_size)
    _check_header(header, f"{path}", packing)
    return _fitting(np.load(path, allow_pickle=False), f"{path}", packing)


def npz_member(path: Path, key: str, packing: Packing) -> IntArray:
    """The elements of one tensor in an ``.npz``."""
    header = npy.member_header(path, key)
    if header is None:
        raise FileError(f"{path}: has no array {key}")
    _check_header(header, f"{path}: {key}", packing)
    return _fitting(npy.member(path, key), f"{path}: {key}", packing)


def npz_value(packing: Packing, values: IntArray, name: str) -> IntArray:
    """A tensor as the array that an ``.npz`` contains."""
    return packing.arrange(values, name).astype(packing.dtype)


def _check_header(header: npy.Header, where: str, packing: Packing) -> None:
    if header.problem:
        raise FileError(f"{where}: {header.problem}")
    if header.dtype.kind not in "iu":
        raise FileError(f"{where}: has {header.dtype} values, expected integers")
    if tuple(header.shape) != packing.arranged:
        raise FileError(f"{where}: its shape is {list(header.shape)}, expected {list(packing.arranged)}")


def _fitting(values: IntArray, where: str, packing: Packing) -> IntArray:
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


def _read_c(path: Path, packing: Packing, beats: int) -> IntArray:
    text = _without_comments(path)
    first, last = text.find("{"), text.find("}")
    if not 0 <= first < last:
        raise FileError(f"{path}: has no array between braces; the header is truncated")
    lowest = {word: value for value, word in C_LOWEST.items()}
    values = []
    for line, word in _words(text[first + 1 : last], text.count("\n", 0, first) + 1):
        bare = str(lowest[word]) if word in lowest else word.rstrip("uUlL")
        values.append(_decimal(path, line, bare, packing))
    _require_count(path, len(values), packing.count, "values")
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
