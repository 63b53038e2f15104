"""Decimal numbers in text files: whole ones, also written as reals, and real numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import numpy as np

from ..arith import FloatArray, IntArray
from ..errors import FileError
from .packing import Packing
from .words import NOT_DRIVEN, Remark, require_count, silent, words

WHOLE_NUMBER = re.compile("[+-]?(0[xX][0-9a-fA-F]{1,32}|[0-9]{1,32})")
REAL_NUMBER = re.compile(r"[+-]?([0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?")


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
                what = "is not a whole number; dump the integers, or say that the values are scaled"
                raise FileError(f"{self.path}:{line}: {word[:40]} {what}")
            value = int(real)
            self.reals += 1
        else:
            raise FileError(f"{self.path}:{line}: {word[:40]!r} is not a decimal number")
        if not self.packing.element.holds(value, value):
            digits = "; digits in two's complement are read with the encoding hex" if "x" in word.lower() else ""
            raise FileError(f"{self.path}:{line}: {word[:40]} does not fit {self.packing.element}{digits}")
        return value

    def told(self, remark: Remark) -> None:
        """Say whether reals were read."""
        if self.reals:
            remark(f"{self.path.name}: {self.reals:,} whole numbers are written as reals")


def has_reals(path: Path) -> bool:
    """Whether a text has a number that is not written as a whole one."""
    return any(REAL_NUMBER.fullmatch(word) and not WHOLE_NUMBER.fullmatch(word) for _, word in words(path))


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
    require_count(path, len(values), expected, "value")
    if unknown:
        occupied = packing.occupied(beats).reshape(-1)
        for place, line, word in unknown:
            if occupied[place]:
                raise FileError(f"{path}:{line}: {word!r} is an unknown value; the device never drove it")
    return values
