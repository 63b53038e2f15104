"""Numbers in text files, as simulators and languages write them: `$writememh` and `$writememb`, VHDL, printf, NumPy.

Digits that are not driven (x and z of Verilog, and u, w and - of VHDL) have no value. They are refused in an element, with
their line, and ignored where there is none: in padding, in whole beats of padding, in unused high bits. The weak h and l of
VHDL are 1 and 0. Address blocks may come in any order, as long as they cover the words once.

Files are not trusted: the number of words is checked before memory is allocated, and errors name the file and the line.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..arith import IntArray
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

MINUS = re.compile("-[0-9a-fA-F]+")
LONE_AT = re.compile(r"@[ \t]+")  # some tools want a blank after it
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
    content = path.read_bytes()
    try:
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # what PowerShell's > writes
            content = content.decode("utf-16").encode()
        text = content.removeprefix(codecs.BOM_UTF8).decode("ascii")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise FileError(f"{path}:{line}: is not plain text; the encoding of the bytes of beats is raw") from None
    if "/" not in text and "#" not in text:
        return text
    return COMMENT.sub(lambda comment: " " + "\n" * comment.group().count("\n"), text)


def require_count(path: Path, count: int, expected: int, unit: str) -> None:
    """FileError unless a file has as many words as expected."""
    if count != expected:
        reason = "; the dump is truncated" if count < expected else ""
        raise FileError(f"{path}: has {count:,} {unit}{'' if count == 1 else 's'}, expected {expected:,}{reason}")


class _Padding:
    """Which beats hold no element; worked out when it is asked for."""

    def __init__(self, packing: Packing, beats: range) -> None:
        self.packing, self.beats = packing, beats

    @cached_property
    def occupied(self) -> NDArray[np.bool_]:
        """The beats with an element."""
        return np.asarray(self.packing.occupied(self.beats).any(axis=1))

    def covers(self, start: int, stop: int) -> bool:
        """Whether all beats from `start` to before `stop` hold padding alone."""
        return stop <= len(self.beats) and not self.occupied[start:stop].any()


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
        if found.count >= len(beats):
            if not found.blocks:
                raise FileError(f"{path}:{line}: more words than the {len(beats):,} expected beats")
            found.count += 1  # its addresses will tell what is wrong
            continue
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
    order = _order(path, packing, beats, found, base)
    _require_driven(path, packing, beats, found, order)
    if found.extended:
        remark(
            f"{path.name}: {found.extended:,} words are longer than an element; each is its element with the sign extended, "
            "or not driven above it"
        )
    if order is None:
        return packing.unpack(found.octets)
    if found.blocks:
        remark(f"{path.name}: its {len(found.blocks):,} address blocks were put in order")
    placed = np.zeros_like(found.octets)
    placed[order] = found.octets[: found.count]
    return packing.unpack(placed)


def _known(path: Path, line: int, word: str, bare: str, base: int) -> tuple[str, int]:
    """The digits of a word with 0 for those that are not driven, and the bits of these."""
    if not UNKNOWN[base].fullmatch(bare):
        if not bare:
            raise FileError(f"{path}:{line}: a word without digits")
        invalid = next(c for c in bare if not UNKNOWN[base].fullmatch(c))
        if word.endswith(":"):
            raise FileError(f"{path}:{line}: {word[:40]!r} looks like an address; write @ addresses, or none")
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
            f"and is not an element of {packing.element} with its sign extended; bits = {width} reads the whole word"
        )
    low = (1 << packing.beat) - 1
    return value & low, unknown & low


def _address(path: Path, line: int, word: str) -> int:
    try:
        return int(word[1:].replace("_", ""), 16)
    except ValueError:
        raise FileError(f"{path}:{line}: {word[:40]!r} is not an address") from None


def _order(path: Path, packing: Packing, beats: range, found: _Beats, base: int) -> IntArray | None:
    """The place of every word by its address, from the lowest address on; None where the words are in order, without holes.

    Beats without any element, padding at a pitch and at the end, need not be written. FileError where others are missing,
    and where an address is written twice.
    """
    starts = found.blocks if found.blocks and found.blocks[0][1] == 0 else [(0, 0, 1), *found.blocks]
    ends = [*(first for _, first, _ in starts[1:]), found.count]
    blocks = sorted(
        (address, first, end, line) for (address, first, line), end in zip(starts, ends, strict=True) if end > first
    )
    order = np.empty(found.count, np.int64)
    lowest = following = blocks[0][0] if blocks else 0
    padding = _Padding(packing, beats)
    for address, first, end, line in blocks:
        if address < following:
            raise FileError(f"{path}:{line}: address {address:#x} is written twice")
        if address > following and not padding.covers(following - lowest, address - lowest):
            gap = f"{following:#x}" if address == following + 1 else f"{following:#x} to {address - 1:#x}"
            raise FileError(f"{path}:{line}: jumps to address {address:#x}, but nothing is written to {gap}")
        order[first:end] = np.arange(address - lowest, address - lowest + end - first)
        following = address + end - first
    if following - lowest > len(beats) or not padding.covers(following - lowest, len(beats)):
        require_count(path, found.count, len(beats), f"{BASES[base]} word")
    return None if np.array_equal(order, np.arange(len(beats))) else order


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
            reason = "the device never drove them"
            if MINUS.fullmatch(word):
                reason += ", or - is a sign: write two's complement"
            raise FileError(f"{path}:{line}: {word!r} has unknown bits{named}; {reason}")
