"""Defensive reading of NumPy's ``.npy`` and ``.npz``: nothing is unpickled, and declared sizes are checked."""

from __future__ import annotations

import lzma
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from ..arith import IntArray
from ..errors import FileError

UNKNOWN = np.dtype(np.int64)

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
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
        if read is None:
            return Header(problem=f"its .npy version {version} is neither 1.0 nor 2.0")
        shape, _, dtype = read(stream)
    except (ValueError, OSError, EOFError, tokenize.TokenError) as error:
        return Header(problem=f"not a readable .npy ({_reason(error)})")
    if dtype.hasobject:
        return Header(shape, dtype, "it contains Python objects, which are never loaded; save numbers")
    declared = int(np.prod(np.array(shape, object))) * dtype.itemsize
    if declared > size - stream.tell():
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
    except UNZIPPABLE as error:
        raise FileError(f"{path}: not a readable .npz file ({_reason(error)}); write it with numpy.savez") from None


def _header_in(archive: zipfile.ZipFile, name: str) -> Header:
    try:
        with archive.open(name) as stream:
            return header(stream, archive.getinfo(name).file_size)  # type: ignore[arg-type]
    except UNZIPPABLE as error:
        return Header(problem=f"it is damaged ({_reason(error)}); write it again")


def member(path: Path, key: str) -> IntArray:
    """One array of an ``.npz``."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            value: IntArray = archive[key]
            return value
    except UNZIPPABLE as error:
        raise FileError(f"{path}: {key} is damaged ({_reason(error)}); write it again") from None


def _reason(error: Exception) -> str:
    """The first line of an error's message, shortened: some messages quote many bytes."""
    return (str(error).splitlines() or [type(error).__name__])[0][:100]
