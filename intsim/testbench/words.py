"""Numbers in text files, as simulators and languages write them: `$writememh` and `$writememb`, VHDL, printf, NumPy.

Digits that are not driven (x and z of Verilog, and u, w and - of VHDL) have no value. They are refused in an element, with
their line, and ignored where there is none: in padding, in whole beats of padding, in unused high bits. The weak h and l of
VHDL are 1 and 0. Address blocks may come in any order, as long as they cover the words once.

Files are not trusted: the number of words is checked before memory is allocated, and errors name the file and the line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import numpy as np

from ..arith import FloatArray, IntArray
from ..errors import FileError
from .packing import Packing

Remark = Callable[[str], None]  # takes a sentence about what was converted

BASES = {2: "binary", 16: "hexadecimal"}
BITS = {2: 1, 16: 4}  # of a digit
DIGITS = {2: re.compile("[01]+"), 16: re.compile("[0-9a-f]+")}
UNKNOWN = {2: re.compile("[01xzuw-]+"), 16: re.compile("[0-9a-fxzuw-]+")}
NOT_DRIVEN = re.compile("[xzuw-]")
WEAK = str.maketrans("lh", "01")
WIDEST_EXTENSION = 128  # bits of a word that holds one sign-extended element

WHOLE_NUMBER = re.compile("[+-]?(0[xX][0-9a-fA-F]{1,32}|[0-9]{1,32})")
REAL_NUMBER = re.compile(r"[+-]?([0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?")
LONE_AT = re.compile(r"@[ \t]+")  # some tools want a blank after it
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
COMMENT = re.compile(r"//[^\n]*|#[^\n]*|/\*.*?\*/", re.DOTALL)


def silent(sentence: str) -> None:
    """A `Remark` that says nothing."""


def words(path: Path) -> Iterator[tuple[int, str]]:
    """The words of a text file with their line numbers, without comments and commas."""
    return words_of(without_comments(path))


def words_of(text: str, first_line: int = 1) -> Iterator[tuple[int, str]]:
    """The words of a text with their line numbers; commas separate words, too, and ``@ 10`` is ``@10``."""
    for line, row in enumerate(text.splitlines(), first_line):
        for word in LONE_AT.sub("@", row.replace(",", " ")).split():
            yield line, word


def without_comments(path: Path) -> str:
    """A text file without its comments; line numbers do not change."""
    try:
        text = path.read_bytes().removeprefix(BYTE_ORDER_MARK).decode("ascii")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise FileError(f"{path}:{line}: is not plain text; use the format raw for the bytes of beats") from None
    if "/" not in text and "#" not in text:
        return text
    return COMMENT.sub(lambda comment: " " + "\n" * comment.group().count("\n"), text)


def require_count(path: Path, count: int, expected: int, unit: str) -> None:
    """FileError unless a file has as many words as expected."""
    if count != expected:
        reason = "; the dump is truncated" if count < expected else ""
        raise FileError(f"{path}: has {count:,} {unit}, expected {expected:,}{reason}")


# --- words of digits --------------------------------------------------------------------------------------------------


@dataclass
class _Beats:
    """The beats of a file in the order of its words."""

    octets: IntArray  # u8 [beats, bytes per beat], lowest first
    count: int = 0
    blocks: list[tuple[int, int, int]] = field(default_factory=list)  # address, first beat, line
    unknown: list[tuple[int, int, str, int]] = field(default_factory=list)  # beat, line, word, its unknown bits
    extended: int = 0  # words with more digits than a beat: one sign-extended element each


def read_words(
    path: Path,
    packing: Packing,
    beats: range,
    base: int,
    remark: Remark = silent,
    *,
    exact: bool = True,
    prefixed: bool = False,
) -> IntArray:
    """The elements of a file of `beats` of the stream, written as words of digits: int64 [beats, lanes].

    If `exact`, a word must have all digits of its beat, or of the bits that the elements take; a shorter word is an error.
    0x is a prefix if all words are `prefixed`, or if the word has more digits than its beat. Where a beat is one element, a
    word may be longer if it is the element with its sign extended.
    """
    found = _Beats(np.zeros((len(beats), packing.beat // 8), np.uint8))
    digits, fewer = (-(-bits // BITS[base]) for bits in (packing.beat, packing.lanes * packing.bits))
    for line, word in words(path):
        if word.startswith("@"):
            found.blocks.append((_address(path, line, word), found.count, line))
            continue
        bare = word.replace("_", "").lower()
        if base == 16 and bare.startswith("0x") and (prefixed or len(bare) > digits):
            bare = bare[2:]
        if found.count == len(beats):
            raise FileError(f"{path}:{line}: more words than the {len(beats):,} expected beats")
        unknown = 0
        if not DIGITS[base].fullmatch(bare):
            bare, unknown = _known(path, line, word, bare.translate(WEAK), base)
        value = int(bare, base)
        if len(bare) > digits and packing.lanes == 1 and BITS[base] * len(bare) <= WIDEST_EXTENSION:
            value, unknown = _narrowed(path, line, word, (value, unknown), BITS[base] * len(bare), packing)
            found.extended += 1
        elif len(bare) > digits or (exact and len(bare) not in (digits, fewer)):
            reason = "; the dump is truncated, or leading zeros are missing" if len(bare) < digits else ""
            raise FileError(f"{path}:{line}: {len(bare)} digits, a beat of {packing.beat} bits has {digits}{reason}")
        if unknown:
            found.unknown.append((found.count, line, word[:40], unknown))
        found.octets[found.count] = np.frombuffer(value.to_bytes(packing.beat // 8, "little"), np.uint8)
        found.count += 1
    require_count(path, found.count, len(beats), f"{BASES[base]} words")
    order = _order(path, found)
    _require_driven(path, packing, beats, found, order)
    if found.extended:
        remark(
            f"{path.name}: {found.extended:,} words are longer than an element; each is its element with the sign extended"
        )
    if order is None:
        return packing.unpack(found.octets)
    remark(f"{path.name}: its {len(found.blocks):,} address blocks were put in order")
    placed = np.empty_like(found.octets)
    placed[order] = found.octets
    return packing.unpack(placed)


def _known(path: Path, line: int, word: str, bare: str, base: int) -> tuple[str, int]:
    """The digits of a word with 0 for those that are not driven, and the bits of these."""
    if not UNKNOWN[base].fullmatch(bare):
        if not bare:
            raise FileError(f"{path}:{line}: a word without digits")
        invalid = next(c for c in bare if not UNKNOWN[base].fullmatch(c))
        raise FileError(f"{path}:{line}: {invalid!r} is not a {BASES[base]} digit, in {word[:40]!r}")
    digit = f"{base - 1:x}"
    unknown = int("".join(digit if NOT_DRIVEN.match(c) else "0" for c in bare), base)
    return NOT_DRIVEN.sub("0", bare), unknown


def _narrowed(path: Path, line: int, word: str, bits: tuple[int, int], width: int, packing: Packing) -> tuple[int, int]:
    """The value and unknown bits of an element in a word of `width` bits, which must be its sign extension."""
    value, unknown = bits
    signed = packing.element.lo < 0
    own = packing.bits - signed  # the bits above it are all equal to the sign, or zero
    above = (1 << width - own) - 1
    if not any((value >> own ^ sign) & ~(unknown >> own) & above == 0 for sign in ((0, above) if signed else (0,))):
        raise FileError(
            f"{path}:{line}: {word[:40]!r} has more digits than a beat of {packing.beat} bits, "
            f"and is not an element of {packing.element} with its sign extended"
        )
    low = (1 << packing.beat) - 1
    return value & low, unknown & low


def _address(path: Path, line: int, word: str) -> int:
    try:
        return int(word[1:].replace("_", ""), 16)
    except ValueError:
        raise FileError(f"{path}:{line}: {word[:40]!r} is not an address") from None


def _order(path: Path, found: _Beats) -> IntArray | None:
    """The place of every word by its address, from the lowest address on; None where the words are in order."""
    if not found.blocks:
        return None
    starts = found.blocks if found.blocks[0][1] == 0 else [(0, 0, 1), *found.blocks]
    ends = [*(first for _, first, _ in starts[1:]), found.count]
    blocks = sorted(
        (address, first, end, line) for (address, first, line), end in zip(starts, ends, strict=True) if end > first
    )
    order = np.empty(found.count, np.int64)
    lowest = following = blocks[0][0] if blocks else 0
    for address, first, end, line in blocks:
        if address < following:
            raise FileError(f"{path}:{line}: address {address:#x} is written twice")
        if address > following:
            gap = f"{following:#x}" if address == following + 1 else f"{following:#x} to {address - 1:#x}"
            raise FileError(f"{path}:{line}: jumps to address {address:#x}, but nothing is written to {gap}")
        order[first:end] = np.arange(address - lowest, address - lowest + end - first)
        following = address + end - first
    return None if np.array_equal(order, np.arange(found.count)) else order


def _require_driven(path: Path, packing: Packing, beats: range, found: _Beats, order: IntArray | None) -> None:
    """A FileError for the first word with an unknown bit in an element."""
    if not found.unknown:
        return
    occupied = packing.occupied(beats)
    for beat, line, word, unknown in found.unknown:
        lanes = occupied[beat if order is None else order[beat]]
        if int.from_bytes(packing.pack(-lanes.astype(np.int64)[None])[0].tobytes(), "little") & unknown:
            digit = NOT_DRIVEN.search(word.lower().translate(WEAK))
            named = f" ({digit.group()})" if digit else ""
            raise FileError(f"{path}:{line}: {word!r} has unknown bits{named}; the device never drove them")


# --- decimal numbers --------------------------------------------------------------------------------------------------


@dataclass
class Decimals:
    """Reads decimal numbers one by one, and counts those that were written as reals."""

    path: Path
    packing: Packing
    reals: int = 0

    def number(self, line: int, word: str) -> int:
        """A whole number, possibly written as a real; a FileError if it is none, or does not fit an element."""
        if WHOLE_NUMBER.fullmatch(word):
            value = int(word, 16 if "x" in word.lower() else 10)
        elif REAL_NUMBER.fullmatch(word):
            real = Decimal(word)
            if real != real.to_integral_value():
                raise FileError(f"{self.path}:{line}: {word[:40]} is not a whole number; dump the integers")
            value = int(real)
            self.reals += 1
        else:
            raise FileError(f"{self.path}:{line}: {word[:40]!r} is not a decimal number")
        if not self.packing.element.holds(value, value):
            raise FileError(f"{self.path}:{line}: {word[:40]} does not fit {self.packing.element}")
        return value

    def told(self, remark: Remark) -> None:
        """Say whether reals were read."""
        if self.reals:
            remark(f"{self.path.name}: {self.reals:,} whole numbers are written as reals")


def read_decimals(path: Path, packing: Packing, beats: range, remark: Remark = silent) -> IntArray:
    """The elements of `beats` of the stream, written as decimal numbers: int64 [beats, lanes]."""
    decimals = Decimals(path, packing)
    values = _read_numbers(path, packing, beats, decimals.number)
    decimals.told(remark)
    return np.array(values, np.int64).reshape(len(beats), packing.lanes)


def read_reals(path: Path, packing: Packing, beats: range) -> FloatArray:
    """The real numbers of `beats` of the stream, float64 [beats, lanes]."""

    def number(line: int, word: str) -> float:
        if not REAL_NUMBER.fullmatch(word):
            raise FileError(f"{path}:{line}: {word[:40]!r} is not a decimal number")
        return float(word)

    return np.array(_read_numbers(path, packing, beats, number), np.float64).reshape(len(beats), packing.lanes)


Number = TypeVar("Number", int, float)


def _read_numbers(path: Path, packing: Packing, beats: range, number: Callable[[int, str], Number]) -> list[Number]:
    """The numbers of a file; those that are not known are 0 in padding, and refused in an element."""
    expected = len(beats) * packing.lanes
    values: list[Number] = []
    unknown: list[tuple[int, int, str]] = []
    for line, word in words(path):
        if len(values) == expected:
            raise FileError(f"{path}:{line}: more values than the expected {expected:,}")
        if NOT_DRIVEN.fullmatch(word.lower()):
            unknown.append((len(values), line, word))
            values.append(0)
        else:
            values.append(number(line, word))
    require_count(path, len(values), expected, "values")
    if unknown:
        occupied = packing.occupied(beats).reshape(-1)
        for place, line, word in unknown:
            if occupied[place]:
                raise FileError(f"{path}:{line}: {word!r} is an unknown value; the device never drove it")
    return values
