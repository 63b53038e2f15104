"""New HDF5 files on disks that may fill: the library is left in order, and what it says is the disk's own error."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py

from .files import replacing


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
