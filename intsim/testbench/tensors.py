"""Writes tensors by name to one file, in the form in which ``intsim diff`` reads a device's dump."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..arith import IntArray
from ..errors import FileError
from ..storage import new_hdf5, npy
from ..storage.files import replacing


def write_tensors(path: str | Path, tensors: Mapping[str, IntArray]) -> None:
    """Write an ``.npz`` or an HDF5 file (``.h5``) atomically; keys are the tensors' names."""
    path = Path(path)
    if path.suffix == ".npz":
        with replacing(path) as temporary:
            npy.write(temporary, tensors)
    elif path.suffix in (".h5", ".hdf5"):
        with new_hdf5.writing(path, size=sum(value.nbytes for value in tensors.values())) as file:
            for name, value in tensors.items():
                new_hdf5.store(file, name, value)
    else:
        raise FileError(f"{path}: tensors are written as .npz or .h5; name one of these")
