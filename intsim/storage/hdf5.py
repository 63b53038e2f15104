"""Defensive HDF5 reading, shared by model and golden files; `new_hdf5` writes.

Files are not trusted: soft and external links are not followed, filter plugins are never loaded, and declared sizes are
checked against the file's size before any value is read (`inflation`). Text attributes may be strings or bytes, of any or of
fixed length.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np

from ..arith import FloatArray, IntArray, Scale
from ..errors import FileError
from . import inflation
from .files import require_file
from .watch import require_finite

Kind = TypeVar("Kind")

MOST_NAMES = 100_000  # of a file: links can multiply them


@contextmanager
def reading(path: str | Path, kind: str, version: int) -> Iterator[tuple[h5py.File, dict[str, h5py.Dataset]]]:
    """Open an intsim file of one kind and check it: the file, and its datasets by path. Raises FileError."""
    with _opened(Path(path), f"expected an {kind} file") as file:
        with damage_named(Path(path), TypeError, ValueError):
            _check_header(file, Path(path), kind, version)
            datasets = _datasets(file, Path(path))
        yield file, datasets


@contextmanager
def reading_any(path: str | Path) -> Iterator[tuple[h5py.File, dict[str, h5py.Dataset | str]]]:
    """Open any HDF5 file: the file, and its datasets by path, with groups joined by ``/``.

    What cannot be read stands there as the reason why: links, datasets that fail a check, groups that contain themselves.
    """
    with _opened(Path(path), "expected an HDF5 file") as file:
        with damage_named(Path(path), TypeError, ValueError):
            datasets = dict(_found(file, Path(path), deepest=32))
        yield file, datasets


@contextmanager
def _opened(path: Path, expected: str) -> Iterator[h5py.File]:
    require_file(path)
    require_finite(path)
    try:
        # Values are read once, in whole chunks, so a chunk cache would not help.
        file = h5py.File(path, "r", rdcc_nbytes=0)
    except OSError as error:
        if isinstance(error, PermissionError):
            raise FileError(f"{path}: cannot be read (permission denied)") from None
        raise FileError(f"{path}: not an HDF5 file, or truncated; {expected}") from None
    with file:
        yield file


def _check_header(file: h5py.File, path: Path, kind: str, version: int) -> None:
    name = text(file.attrs.get("format"))
    if name != kind:
        reason = f"its format is {name!r}" if name is not None else "its format is not stated"
        raise FileError(f"{path}: not an {kind} file ({reason})")
    stated = file.attrs.get("version")
    if not isinstance(stated, np.integer) or stated != version:
        raise FileError(f"{path}: {kind} version {stated}; this intsim reads version {version} only, stored as an integer")


@contextmanager
def damage_named(path: str | Path, *more: type[Exception]) -> Iterator[None]:
    """Turn what h5py raises on a damaged file into a FileError that names the file; `more` are further types to catch."""
    try:
        yield
    except Exception as error:
        if isinstance(error, FileError) or not isinstance(error, (OSError, RuntimeError, KeyError, *more)):
            raise
        raise _damaged(f"{path}:", error) from None


def _damaged(what: str, error: Exception) -> FileError:
    return FileError(f"{what} damaged ({str(error).splitlines()[0]}); make it again")


class Values:
    """A dataset that is read part by part, or whole by `np.asarray`; if that fails, a FileError names file and tensor."""

    def __init__(self, dataset: h5py.Dataset, path: Path, name: str) -> None:
        self.dataset, self.path, self.name = dataset, path, name
        self.shape: tuple[int, ...] = dataset.shape
        self.ndim = len(self.shape)
        self.dtype: np.dtype = dataset.dtype
        self.chunks: tuple[int, ...] | None = dataset.chunks
        self.looked_at = False

    def __getitem__(self, part: Any) -> IntArray:
        try:
            if not self.looked_at:
                inflation.require_bounded_chunks(self.dataset)
                self.looked_at = True
            return np.asarray(self.dataset[part])
        except (OSError, RuntimeError, KeyError) as error:
            raise _damaged(f"{self.path}: {self.name} is", error) from None

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> IntArray:
        return self[()].astype(dtype or self.dtype, copy=False)


def _datasets(file: h5py.File, path: Path) -> dict[str, h5py.Dataset]:
    """All datasets of a file of intsim, with every link and size checked."""
    datasets: dict[str, h5py.Dataset] = {}
    for name, item in _found(file, path, deepest=1):
        if isinstance(item, str):
            raise FileError(f"{path}: {name} {item}")
        inflation.require_bounded(path, inflation.declared_bytes(item), name)
        datasets[name] = item
    return datasets


def _found(
    group: h5py.Group,
    path: Path,
    deepest: int,
    prefix: str = "",
    seen: frozenset[int] = frozenset(),
    count: list[int] | None = None,
) -> Iterator[tuple[str, h5py.Dataset | str]]:
    """What is below `group` by its path: datasets with their sizes checked, and why anything else is not read."""
    here = h5py.h5o.get_info(group.id).addr
    count = [0] if count is None else count
    for name in group:
        count[0] += 1
        if count[0] > MOST_NAMES:
            raise FileError(f"{path}: has more than {MOST_NAMES:,} names; the file is damaged, or no dump")
        if not isinstance(name, str):
            yield f"{prefix}{name!r}", "has a name that is not text; the file is damaged"
            continue
        where = prefix + name
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            yield where, "is a soft or external link, which is not followed; copy the data into the file"
            continue
        item = group[name]
        if isinstance(item, h5py.Dataset):
            yield where, inflation.unreadable(item, path) or item
        elif not isinstance(item, h5py.Group) or deepest == 0:
            yield where, "is neither a dataset nor a group of datasets"
        elif h5py.h5o.get_info(item.id).addr in seen | {here}:
            yield where, "links back to a group that contains it; the file is damaged"
        else:
            yield from _found(item, path, deepest - 1, f"{where}/", seen | {here}, count)


def load_json(datasets: dict[str, h5py.Dataset], name: str, path: str | Path) -> Any:
    """Read what `new_hdf5.store_json` wrote; FileError if it is missing, not JSON, or too long to be parsed."""
    if name not in datasets:
        raise FileError(f"{path}: its dataset {name!r} is missing")
    if (size := inflation.declared_bytes(datasets[name])) > inflation.LARGEST_JSON:
        raise FileError(f"{path}: its dataset {name!r} is {size:,} bytes of text, more than {inflation.LARGEST_JSON:,}")
    try:
        return plain_json(Values(datasets[name], Path(path), name)[()].tobytes())
    except FileError:
        raise
    except (ValueError, TypeError, RecursionError):
        raise FileError(f"{path}: its dataset {name!r} is not JSON text; the file is damaged") from None


def plain_json(content: str | bytes) -> Any:
    """What JSON text says; a ValueError where it has numbers that are not finite, which JSON does not have."""
    return json.loads(content, parse_constant=_finite, parse_float=_finite)


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} is not a finite number")
    return value


def text_attribute(file: h5py.File, name: str, path: str | Path) -> str:
    """A root attribute that is text; FileError if it is missing or something else."""
    return _of_type(text(file.attrs.get(name)), str, name, path)


def text(value: Any) -> str | None:
    """The value of a text attribute: a string, bytes, or an array of one of them; None for anything else."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None
    return str(value) if isinstance(value, str) else None


def json_attribute(file: h5py.File, name: str, path: str | Path, kind: type[Kind]) -> Kind:
    """A root attribute that is a JSON value of one type; FileError if it is missing or anything else."""
    text = text_attribute(file, name, path)
    try:
        value = plain_json(text)
    except (ValueError, RecursionError):
        value = None
    return _of_type(value, kind, name, path)


def _of_type(value: Any, kind: type[Kind], name: str, path: str | Path) -> Kind:
    if not isinstance(value, kind):
        raise FileError(f"{path}: its attribute {name!r} is missing or damaged")
    return value


def scale_of(value: FloatArray) -> Scale:
    """A stored scale: a float if there is one per tensor, an array if there is one per channel."""
    if value.ndim > 1 or not value.size:
        raise ValueError(f"a scale of shape {list(value.shape)}")
    if not np.isfinite(value).all():
        raise ValueError("a scale that is not finite")
    return value if value.ndim else float(value)
