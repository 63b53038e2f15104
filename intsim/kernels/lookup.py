"""Lookup of rows of i8 in tables of 256 entries.

On processors that permute bytes across vectors (AVX-512 VBMI), whole chunks of a row are looked up at once, by the LLVM code
of `emitted_lookup`, with the table in registers. Such a table is split into planes, one per byte of its entries. The caller
looks up the rest of the row element by element; on other processors that is the whole row.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..arith import IntArray
from .isa import Isa, chosen, features

CHUNK = 64  # elements of one vector of bytes


class Lookup(NamedTuple):
    """The lookup method for rows; kernels are compiled once per class."""

    chunk: int  # elements looked up at once


class PlainLookup(Lookup):
    """Looks up element by element."""


class VbmiLookup(Lookup):
    """Looks up 64 elements at once: ``vpermi2b`` reads a pair of registers, a blend selects between two pairs."""


def lookup() -> Lookup:
    """The lookup method of the chosen instruction set."""
    vbmi = chosen() is Isa.VNNI and "avx512vbmi" in features()
    return VbmiLookup(CHUNK) if vbmi else PlainLookup(1)


def planes(table: IntArray) -> IntArray:
    """The bytes of a table of integers as planes, lowest byte first: u8 [bytes per entry, 256]."""
    little = table.astype(table.dtype.newbyteorder("<"))
    return np.ascontiguousarray(little.view(np.uint8).reshape(len(table), -1).T)


def sum_chunks(how: Lookup, x: IntArray, top: int, exponentials: IntArray) -> tuple[int, int]:
    """``sum(exponentials[top - x])`` over the whole chunks of `x` (i8), and the number of elements summed.

    `exponentials` is a table of i32, as planes.
    """
    return 0, 0


def map_chunks(how: Lookup, x: IntArray, top: int, table: IntArray, out: IntArray) -> int:
    """Compute ``out = table[top - x]`` over the whole chunks of `x` (i8); the number of elements computed.

    The elements of `table` and `out` are bytes or words; those of `out` are not wider than those of `table`.
    """
    return 0
