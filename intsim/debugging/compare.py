"""Exact comparison of one tensor with another, block by block, and the statistics of where and how they differ.

A tensor is anything with a shape that can be sliced along its first axis: an array, a memory map, an HDF5 dataset. One
block of each is in memory at a time. Differences are in LSB: device minus expected.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..arith import FloatArray, Format, IntArray, first_index
from .bins import BINS, Bin, binned, histogram

BLOCK_BYTES = 4 << 20
WORST = 5
HEAT_SIDE = 96  # at most so many cells of a heat map in either direction


class Sliceable(Protocol):
    """An array, a memory map, or an HDF5 dataset."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""

    @property
    def dtype(self) -> Any:
        """Its NumPy type."""

    def __getitem__(self, part: Any) -> Any:
        """A part of it as an array."""


@dataclass(frozen=True)
class Divergence:
    """The first element, in C order, at which two tensors differ."""

    index: list[int]
    golden: int
    dut: int
    fmt: Format

    def hexadecimal(self, value: int) -> str:
        """A value in two's complement, with as many digits as the format has."""
        if not self.fmt.holds(value, value):
            return f"outside {self.fmt}"
        low_bits = self.fmt.hi - self.fmt.lo
        return f"0x{value & low_bits:0{-(-low_bits.bit_length() // 4)}x}"

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "index": self.index,
            "golden": self.golden,
            "dut": self.dut,
            "golden_hex": self.hexadecimal(self.golden),
            "dut_hex": self.hexadecimal(self.dut),
        }


@dataclass(frozen=True)
class Comparison:
    """Two tensors of one shape compared.

    `mean` is the signed mean difference in LSB over all elements, `mean_of_differing` over those that differ;
    `by_axis` counts the differing elements along every axis; `heat` (rows, columns) is their share in a grid over the
    last two axes; `sha256` is the hash of the expected values.
    """

    fmt: Format
    shape: tuple[int, ...]
    differing: int
    first: Divergence | None = None
    mean: float = 0.0
    lowest: int = 0
    highest: int = 0
    histogram: tuple[Bin, ...] = ()
    by_axis: tuple[IntArray, ...] = ()
    heat: FloatArray | None = None
    sha256: str = ""

    @property
    def total(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def share(self) -> float:
        """The share of elements that differ."""
        return self.differing / self.total

    @property
    def mean_of_differing(self) -> float:
        """The signed mean difference, in LSB, of the elements that differ."""
        return self.mean * self.total / self.differing if self.differing else 0.0

    @property
    def one_sided(self) -> bool:
        """Whether all differences have one sign, and there is more than one."""
        return self.differing > 1 and (self.lowest > 0 or self.highest < 0)

    def worst(self, axis: int) -> list[tuple[int, int]]:
        """The positions along `axis` with the most differing elements, with their numbers of them, the worst first."""
        counts = self.by_axis[axis]
        order = np.argsort(-counts, kind="stable")[:WORST]
        return [(int(i), int(counts[i])) for i in order if counts[i]]

    def record(self) -> dict[str, Any]:
        """The statistics as plain data."""
        names = axis_names(self.shape)
        return {
            "differing": self.differing,
            "share": self.share,
            "mean_lsb": self.mean,
            "mean_lsb_of_differing": self.mean_of_differing,
            "lowest_lsb": self.lowest,
            "highest_lsb": self.highest,
            "one_sided": self.one_sided,
            "histogram": [{"lo": b.lo, "hi": b.hi, "count": b.count} for b in self.histogram],
            "worst": {name: [list(pair) for pair in self.worst(i)] for i, name in enumerate(names)},
        }


def axis_names(shape: tuple[int, ...]) -> list[str]:
    """The names of a tensor's axes in a report. Pictures end in an axis of 3 channels."""
    if len(shape) == 3 and shape[-1] == 3:
        return ["row", "column", "channel"]
    names = ["head", "row", "column"][-len(shape) :]
    return [f"axis {i}" for i in range(len(shape) - len(names))] + names


def compare(expected: Sliceable, device: Sliceable, fmt: Format) -> Comparison:
    """Compare `device` with `expected`, both of one shape; `fmt` is the format the values should have.

    The hash is that of the expected values in the format's type, as golden files record it ("" where they do not fit it).
    """
    tally = _Tally(fmt, tuple(expected.shape) or (1,))
    for start, a, b in _blocks(expected, device):
        tally.add(start, a, b)
    return tally.comparison()


def sha256_of(tensor: Sliceable, fmt: Format) -> str:
    """The hash a golden file records of these values, "" where they do not fit `fmt`."""
    sha = hashlib.sha256()
    for _, block, _ in _blocks(tensor, tensor):
        if not _fits(block, fmt):
            return ""
        sha.update(_bytes(block, fmt))
    return sha.hexdigest()


def _blocks(a: Sliceable, b: Sliceable) -> Iterator[tuple[int, IntArray, IntArray]]:
    """Blocks of both along the first axis, each of a few megabytes, and their first index."""
    if not a.shape:
        yield 0, np.reshape(a[()], 1), np.reshape(b[()], 1)
        return
    row_bytes = max(math.prod(a.shape[1:]) * max(a.dtype.itemsize, b.dtype.itemsize), 1)
    rows = max(BLOCK_BYTES // row_bytes, 1)
    chunks = getattr(a, "chunks", None)
    if chunks:  # whole chunks, so that none is decompressed twice
        rows = max(rows // chunks[0], 1) * chunks[0]
    for start in range(0, a.shape[0], rows):
        first = np.asarray(a[start : start + rows])
        yield start, first, first if b is a else np.asarray(b[start : start + rows])


def _fits(block: IntArray, fmt: Format) -> bool:
    return fmt.holds(int(block.min()), int(block.max()))


def _bytes(block: IntArray, fmt: Format) -> memoryview:
    return np.ascontiguousarray(block, fmt.dtype.newbyteorder("<")).data


class _Tally:
    """The statistics so far."""

    def __init__(self, fmt: Format, shape: tuple[int, ...]) -> None:
        self.fmt, self.shape = fmt, shape
        self.differing, self.total_error = 0, 0
        self.first: Divergence | None = None
        self.lowest, self.highest = 0, 0
        self.bins = np.zeros(BINS, np.int64)
        self.by_axis = [np.zeros(size, np.int64) for size in shape]
        self.heat = _Heat(shape)
        self.sha, self.fits = hashlib.sha256(), True

    def add(self, start: int, a: IntArray, b: IntArray) -> None:
        self.fits = self.fits and _fits(a, self.fmt)
        if self.fits:
            self.sha.update(_bytes(a, self.fmt))
        unequal = a != b
        count = int(np.count_nonzero(unequal))
        if not count:
            return
        if self.first is None:
            index = first_index(unequal)
            values = int(a[tuple(index)]), int(b[tuple(index)])
            self.first = Divergence([index[0] + start, *index[1:]] if index else [], *values, self.fmt)
        error = _difference(a[unequal], b[unequal])
        lowest, highest = int(error.min()), int(error.max())
        self.lowest = min(self.lowest, lowest) if self.differing else lowest
        self.highest = max(self.highest, highest) if self.differing else highest
        self.differing += count
        self.total_error += int(error.sum())
        self.bins += binned(error, lowest, highest)
        for axis, counts in enumerate(self.by_axis):
            along = np.count_nonzero(unequal, axis=tuple(other for other in range(unequal.ndim) if other != axis))
            first = start if axis == 0 else 0
            counts[first : first + len(along)] += along
        self.heat.add(start, unequal)

    def comparison(self) -> Comparison:
        total = math.prod(self.shape)
        return Comparison(
            fmt=self.fmt,
            shape=self.shape,
            differing=self.differing,
            first=self.first,
            mean=self.total_error / total,
            lowest=self.lowest,
            highest=self.highest,
            histogram=histogram(self.bins),
            by_axis=tuple(self.by_axis),
            heat=self.heat.share() if self.differing else None,
            sha256=self.sha.hexdigest() if self.fits else "",
        )


def _difference(a: IntArray, b: IntArray) -> IntArray:
    """b - a exactly: int64, or Python integers where values of uint64 are beyond it."""
    if b.dtype == np.uint64 and int(b.max()) > np.iinfo(np.int64).max:
        return np.asarray(b.astype(object) - a.astype(object))
    return np.subtract(b, a, dtype=np.int64)


class _Heat:
    """The share of differing elements in a grid over the last two axes; a picture's channels are added up."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.picture = axis_names(shape)[-1] == "channel"
        self.size = shape[:2] if self.picture else (1, *shape)[-2:]
        self.grid = min(self.size[0], HEAT_SIDE), min(self.size[1], HEAT_SIDE)
        self.counts = np.zeros(self.grid, np.int64)
        self.per_place = math.prod(shape) // math.prod(self.size)
        self.by_rows = len(shape) == 2 or self.picture  # whether blocks are cut along the rows of the heat map

    def add(self, start: int, unequal: IntArray) -> None:
        if self.picture:
            places = np.count_nonzero(unequal, axis=2)
        else:
            planes = unequal.reshape(-1, *unequal.shape[-2:]) if unequal.ndim > 1 else unequal[None, None]
            places = np.count_nonzero(planes, axis=0)
        first = start if self.by_rows else 0
        column = np.arange(self.size[1], dtype=np.int64) * self.grid[1] // self.size[1]
        row = np.arange(first, first + len(places), dtype=np.int64) * self.grid[0] // self.size[0]
        if not self.by_rows and unequal.ndim == 1:
            column = np.arange(start, start + places.shape[1], dtype=np.int64) * self.grid[1] // self.size[1]
        across = np.add.reduceat(places, np.flatnonzero(np.diff(column, prepend=-1)), axis=1)
        down = np.add.reduceat(across, np.flatnonzero(np.diff(row, prepend=-1)), axis=0)
        self.counts[row[0] : row[-1] + 1, column[0] : column[-1] + 1] += down

    def share(self) -> FloatArray:
        sizes = [
            np.bincount((np.arange(n, dtype=np.int64) * g // n).astype(np.intp), minlength=g)
            for n, g in zip(self.size, self.grid, strict=True)
        ]
        return self.counts / (np.outer(*sizes) * self.per_place)
