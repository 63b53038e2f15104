"""A look at an HDF5 file in a watched child process, before this process trusts it.

A single flipped bit can make the HDF5 library loop for ever, or crash, before any check of ours runs. The child opens the
file and walks over everything that is read of it besides the values; where it does not come back, the file is damaged.
"""

from __future__ import annotations

import os
import selectors
import signal
import warnings
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np

from ..errors import FileError

PROCESSOR_SECONDS = 2  # that the child may compute over a small file
BYTES_A_SECOND = 8 << 20  # and of a larger one, a second more; 100,000 names take 5 s and 37 MB
WALL_SECONDS = 60  # which a file on a slow disk may take


def require_finite(path: Path) -> None:
    """FileError where a look at the file does not end, or ends the process that looks."""
    state = path.stat()
    _looked(os.path.realpath(path), state.st_ino, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=1024)
def _looked(path: str, inode: int, size: int, changed: int) -> None:
    if not hasattr(os, "fork"):
        return
    end, held = os.pipe()  # the child holds the other end, so that this one is at its end when the child is
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forking with threads: the child uses nothing but HDF5, whose lock is renewed
        child = os.fork()
    if child == 0:
        _look(path, PROCESSOR_SECONDS + size // BYTES_A_SECOND)
    os.close(held)
    in_time = False
    try:
        with selectors.DefaultSelector() as watched:
            watched.register(end, selectors.EVENT_READ)
            in_time = bool(watched.select(WALL_SECONDS))
    finally:  # a command that is interrupted leaves no child that still looks
        os.close(end)
        if not in_time:
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        what = "the HDF5 library does not survive reading it" if in_time else "reading it does not end"
        raise FileError(f"{path}: damaged, {what}; make it again")


def _look(path: str, seconds: int) -> None:
    """Walk over the file in the child, and leave it; what is wrong is said by the checks that follow in the parent."""
    with suppress(BaseException):
        with suppress(ImportError):
            import resource

            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with h5py.File(path, "r", rdcc_nbytes=0) as file:
            _touch(file.id)  # `visit` leaves out where it starts
            h5py.h5o.visit(file.id, lambda name: _touch(h5py.h5o.open(file.id, name)))
    os._exit(0)


def _touch(item: h5py.h5f.FileID | h5py.h5g.GroupID | h5py.h5d.DatasetID) -> None:
    """Read what is read of an object besides its values: attributes, which may lie in heaps, and where its chunks are."""
    for i in range(h5py.h5a.get_num_attrs(item)):
        with suppress(Exception):
            attribute = h5py.h5a.open(item, index=i)
            attribute.read(np.empty(attribute.shape, attribute.dtype))
    if isinstance(item, h5py.h5d.DatasetID):
        with suppress(Exception):
            item.get_storage_size()
            item.get_num_chunks()
