"""NumPy's ``.npz``, and defensive reading of it and of ``.npy``: nothing is unpickled, and declared sizes are checked."""

from __future__ import annotations

import io
import lzma
import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from ..arith import IntArray
from ..errors import FileError
from . import zips
from .inflation import require_bounded

UNKNOWN = np.dtype(np.int64)
LONGEST_HEADER = 10_000  # numpy's own limit, which it applies to what it has read

# What zipfile and numpy raise on damaged archives and unknown compression methods.
UNZIPPABLE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, OSError, EOFError, ValueError, KeyError)


class Header(NamedTuple):
    """The header of an ``.npy``. If `problem` is set, its values cannot be read."""

    shape: tuple[int, ...] = ()
    dtype: np.dtype = UNKNOWN
    problem: str = ""


def header(stream: BinaryIO, size: int) -> Header:
    """The header of an ``.npy`` of `size` bytes."""
    try:
        version = np.lib.format.read_magic(stream)
        reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
        if reader is None:
            return Header(problem=f"its .npy version {version} is neither 1.0 nor 2.0")
        stated = stream.read(2 if version == (1, 0) else 4)
        length = int.from_bytes(stated, "little")
        if length > LONGEST_HEADER:
            return Header(problem=f"its header of {length:,} bytes is longer than any of numpy's")
        shape, _, dtype = reader(io.BytesIO(stated + stream.read(length)))
        start = 8 + len(stated) + length
    except (ValueError, OSError, EOFError, tokenize.TokenError) as error:
        return Header(problem=f"not a readable .npy ({_reason(error)})")
    if dtype.hasobject:
        return Header(shape, dtype, "it contains Python objects, which are never loaded; save numbers")
    declared = int(np.prod(np.array(shape, object))) * dtype.itemsize
    if declared > size - start:
        return Header(shape, dtype, f"it declares {declared} bytes and contains fewer; it is truncated")
    return Header(shape, dtype)


def members(path: Path) -> dict[str, Header]:
    """The headers of the arrays of an ``.npz`` by name; no values are read."""
    with _opened(path) as archive:
        names = [info.filename for info in archive.infolist() if info.filename.endswith(".npy")]
        return {name.removesuffix(".npy"): _header_in(archive, name) for name in names}


def member_header(path: Path, key: str) -> Header | None:
    """The header of one array of an ``.npz``; None if there is none of that name."""
    with _opened(path) as archive:
        return _header_in(archive, f"{key}.npy") if f"{key}.npy" in archive.namelist() else None


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except FileError:
        raise
    except UNZIPPABLE as error:
        raise FileError(f"{path}: not a readable .npz file ({_reason(error)}); write it with numpy.savez") from None


def _header_in(archive: zipfile.ZipFile, name: str) -> Header:
    try:
        info = archive.getinfo(name)
        with zips.opened(archive, info) as stream:
            return header(stream, info.file_size)
    except UNZIPPABLE as error:
        return Header(problem=f"it is damaged ({_reason(error)}); write it again")


def member(path: Path, key: str) -> IntArray:
    """One array of an ``.npz``. FileError where it is damaged, or would become more than the file may."""
    with _opened(path) as archive:
        name = f"{key}.npy"
        found = _header_in(archive, name)
        if found.problem:
            raise FileError(f"{path}: {key}: {found.problem}")
        require_bounded(path, math.prod(found.shape) * found.dtype.itemsize, key)
        try:
            with zips.opened(archive, archive.getinfo(name)) as stream:
                value: IntArray = np.lib.format.read_array(stream, allow_pickle=False)
                return value
        except UNZIPPABLE as error:
            raise FileError(f"{path}: {key} is damaged ({_reason(error)}); write it again") from None


def write(path: Path, arrays: Mapping[str, IntArray]) -> None:
    """Write an ``.npz`` with the bytes of `numpy.savez`, for any keys; closed also where the disk is full.

    Before NumPy 2.2, `savez` leaves an archive open that cannot be written.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for key, value in arrays.items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, value, allow_pickle=False)


def _reason(error: Exception) -> str:
    """The first line of an error's message, shortened: some messages quote many bytes."""
    return (str(error).splitlines() or [type(error).__name__])[0][:100]
