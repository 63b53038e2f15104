"""Lookup of rows of i8 in tables of 256 entries.

On processors that permute bytes across vectors (AVX-512 VBMI), whole chunks of a row are looked up at once, by the LLVM code
of `emitted_lookup`, with the table in registers. A table of wider entries is split into planes, one per byte. On other
processors a row is looked up element by element.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..arith import IntArray
from ..arith.jit import kernel
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
    vbmi = chosen() in (Isa.AMX, Isa.VNNI) and "avx512vbmi" in features()
    return VbmiLookup(CHUNK) if vbmi else PlainLookup(1)


def planes(table: IntArray) -> IntArray:
    """The bytes of a table of integers as planes, lowest byte first: u8 [., 256]; of i32 three where all fit 24 bits."""
    little = table.astype(table.dtype.newbyteorder("<"))
    count = 3 if table.itemsize == 4 and int(table.min()) >= 0 and int(table.max()) < 1 << 24 else table.itemsize
    return np.ascontiguousarray(little.view(np.uint8).reshape(len(table), -1).T[:count])


@kernel
def whole_chunks(columns: int) -> int:
    """The number of elements of the chunks that hold a row, on any processor."""
    return -(-columns // CHUNK) * CHUNK


def map_chunks(how: Lookup, x: IntArray, top: int, table: IntArray, out: IntArray) -> int:
    """Compute ``out = table[top - x]`` over the whole chunks of `x` (i8); the number of elements computed.

    The elements of `table` and `out` are bytes. The caller looks up the rest.
    """
    return 0
