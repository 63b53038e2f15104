"""New HDF5 files, reproducible byte for byte, on disks that may fill: the library is left in order, and what it says is the
disk's own error.
"""

from __future__ import annotations

import io
import json
import os
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..arith import IntArray
from .files import replacing, require_room
from .inflation import BUILT_IN

LEAST_DATASET = 256  # bytes that HDF5 writes for any dataset with its attributes, besides its values
CHUNK_BYTES = 1 << 20
LEVEL = 4  # of gzip; docs/performance.md compares the levels
FILTERS = {"compression": "gzip", "compression_opts": LEVEL, "shuffle": True, "track_times": False}


@contextmanager
def writing(path: str | Path, size: int = 0, datasets: int = 0) -> Iterator[h5py.File]:
    """A new HDF5 file that replaces `path` when complete. FileError if the disk is full, and before anything is written if
    `size` bytes of values in so many `datasets` do not fit even where they compress as well as gzip can.

    Creation order is tracked, and no times are written. What is put into it is written at once.
    """
    require_room(path, size // BUILT_IN[h5py.h5z.FILTER_DEFLATE] + datasets * LEAST_DATASET)
    # The 1.10 format needs no index for a single chunk; the older one takes kilobytes per dataset.
    with replacing_hdf5(path, track_order=True, libver=("v110", "v110")) as file:
        yield file


@contextmanager
def replacing_hdf5(path: str | Path, **options: Any) -> Iterator[h5py.File]:
    """A new HDF5 file next to `path`, with `options` of h5py.File, that replaces it when complete; deleted when that fails.

    Raises FileError where the disk is full. Values are written when they are put: HDF5 keeps none back until a dataset is
    closed, when it does not survive an error of the disk.
    """
    with replacing(path) as temporary:
        try:
            file = _unbuffered(temporary, options)
            handle = file.id.get_vfd_handle()
            try:
                yield file
            except BaseException:
                _abandon(file, handle)
                raise
            file.close()
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            raise _of_the_disk(error) or error from None


def _unbuffered(path: Path, options: dict[str, Any]) -> h5py.File:
    """A new file without a cache of chunks or of parts of datasets, which h5py.File has no option for."""
    with h5py.File(path, "w", rdcc_nbytes=0, **options) as file:
        creation, access = file.id.get_create_plist(), file.id.get_access_plist()
    access.set_sieve_buf_size(0)
    return h5py.File(h5py.h5f.create(os.fsencode(path), h5py.h5f.ACC_TRUNC, fcpl=creation, fapl=access))


def _abandon(file: h5py.File, handle: int) -> None:
    """Close a file that nobody will read. HDF5 does not survive an error in closing: what is still written goes nowhere."""
    with open(os.devnull, "r+b", buffering=0) as nowhere:
        os.dup2(nowhere.fileno(), handle, inheritable=False)
    with suppress(OSError, RuntimeError):
        file.close()


def _of_the_disk(error: BaseException) -> OSError | None:
    """The system's error that an error of HDF5's tells of; h5py raises it under different types. None for any other."""
    found = re.search(r"errno = (\d+)", str(error))
    return OSError(int(found[1]), os.strerror(int(found[1]))) if found and int(found[1]) else None


def store(group: h5py.Group, name: str, array: IntArray) -> h5py.Dataset:
    """Write an array with gzip and shuffle, in chunks of at most 1 MiB along the first axis; reproducible byte for byte."""
    dataset, finish = begin(group, name, array)
    finish()
    return dataset


def begin(group: h5py.Group, name: str, array: IntArray) -> tuple[h5py.Dataset, Callable[[], None]]:
    """`store` but for the last chunk, which the function returned with the dataset writes: HDF5's chunk cache would write it
    when the dataset is closed, and its place in the file depends on what is written before.
    """
    chunk = chunk_shape(array)
    if chunk is None:
        dataset = group.create_dataset(name, array.shape, array.dtype, track_times=False)
        dataset[()] = array
        return dataset, lambda: None
    dataset = create_chunked(group, name, array)
    *before, last = range(0, len(array), chunk[0])
    for first in before:
        put_chunk(dataset, first, chunk_of(array, first, chunk[0]))
    return dataset, lambda: put_chunk(dataset, last, chunk_of(array, last, chunk[0]))


def chunk_shape(array: IntArray) -> tuple[int, ...] | None:
    """The shape of the chunks in which `store` writes an array; None for small arrays, which are written contiguously."""
    if array.ndim == 0 or array.nbytes < 512:
        return None
    row_bytes = max(array.nbytes // len(array), 1)
    return (min(max(CHUNK_BYTES // row_bytes, 1), len(array)), *array.shape[1:])


def create_chunked(group: h5py.Group, name: str, array: IntArray) -> h5py.Dataset:
    """The dataset that `store` would create, without its chunks; `put_chunk` writes them."""
    return group.create_dataset(name, array.shape, array.dtype, chunks=chunk_shape(array), **FILTERS)


def put_chunk(dataset: h5py.Dataset, first: int, data: bytes | IntArray) -> None:
    """Write the chunk that starts at row `first`: deflated bytes, or the rows themselves."""
    if isinstance(data, bytes):
        dataset.id.write_direct_chunk((first, *[0] * (dataset.ndim - 1)), data)
    else:
        dataset[first : first + len(data)] = data


def chunk_of(array: IntArray, first: int, rows: int) -> bytes | IntArray:
    """Rows of an array as one chunk for `put_chunk`: deflated if that gives the same bytes as HDF5 would write.

    This runs in the caller's thread and can therefore run in parallel; HDF5 itself deflates in one thread only.
    """
    return deflated(array, first, rows) if deflates_alike() else np.ascontiguousarray(array[first : first + rows])


def deflated(array: IntArray, first: int, rows: int) -> bytes:
    """One chunk of an array as HDF5's own filters would write it: shuffled and deflated; a last one is zero-padded."""
    part = np.ascontiguousarray(array[first : first + rows])
    octets = np.zeros((rows * part[0].size, part.itemsize), np.uint8)
    octets[: part.size] = part.reshape(-1, 1).view(np.uint8)
    return zlib.compress(octets.T.tobytes(), LEVEL)


@cache
def deflates_alike() -> bool:
    """Whether Python's zlib writes the same bytes as the zlib of HDF5, so that chunks can be deflated outside HDF5."""
    sample = np.cumsum(np.arange(1 << 15) % 1009 % 13, dtype=np.int16)
    with h5py.File(io.BytesIO(), "w") as file:  # in memory: several threads may call this at once
        dataset = create_chunked(file, "probe", sample)
        put_chunk(dataset, 0, sample)
        dataset.flush()
        _, raw = dataset.id.read_direct_chunk((0,))
    return bool(raw == deflated(sample, 0, len(sample)))


def store_json(group: h5py.Group, name: str, content: Any) -> None:
    """Write plain data as a dataset of JSON text."""
    store(group, name, np.frombuffer(json.dumps(content).encode(), np.uint8))
