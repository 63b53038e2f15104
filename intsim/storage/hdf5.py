"""HDF5 with suspicion: what model and golden files share.

Opening a file never follows a soft or external link, never loads a filter plugin, and never believes a declared size: all
of it is checked before the first value is read.
"""

from __future__ import annotations

import io
import json
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np

from ..arith import IntArray
from ..errors import FileError
from .files import replacing, require_room

Kind = TypeVar("Kind")

PLAIN_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
DEFLATE_LIMIT = 1040  # deflate cannot expand a byte to more than 1032
CHUNK_BYTES = 1 << 20
LEAST_ROOM = 1 << 20  # for what HDF5 writes beside the values
LEVEL = 4  # of gzip; what each level costs and saves is in docs/performance.md
FILTERS = {"compression": "gzip", "compression_opts": LEVEL, "shuffle": True, "track_times": False}


@contextmanager
def writing(path: str | Path, chunk_cache: int | None = None, size: int = 0) -> Iterator[h5py.File]:
    """A new HDF5 file that replaces `path` when complete, given room for `size` bytes. Order is kept, no times are written.

    With a `chunk_cache` of 0 bytes every chunk is written when it is put, wherever it was deflated.
    """
    require_room(path, size + LEAST_ROOM)
    # The 1.10 format indexes a lone chunk for nothing; the older one spends kilobytes a dataset.
    options = {"track_order": True, "libver": ("v110", "v110"), "rdcc_nbytes": chunk_cache}
    with replacing(path) as temporary, h5py.File(temporary, "w", **options) as file:
        yield file


@contextmanager
def reading(path: str | Path, kind: str, version: int) -> Iterator[tuple[h5py.File, dict[str, h5py.Dataset]]]:
    """An intsim file of one kind, opened and searched: the file, and its datasets by path. Raises FileError."""
    with _opened(Path(path), f"an {kind} file is due") as file:
        with damage_named(Path(path), TypeError, ValueError):
            _check_header(file, Path(path), kind, version)
            datasets = _datasets(file, Path(path), deepest=1)
        yield file, datasets


@contextmanager
def reading_any(path: str | Path) -> Iterator[tuple[h5py.File, dict[str, h5py.Dataset]]]:
    """Any HDF5 file, opened and searched with the same suspicion: its datasets by path, groups joined by ``/``."""
    with _opened(Path(path), "an HDF5 file is due") as file:
        with damage_named(Path(path), TypeError, ValueError):
            datasets = _datasets(file, Path(path), deepest=32)
        yield file, datasets


@contextmanager
def _opened(path: Path, due: str) -> Iterator[h5py.File]:
    if not path.exists():
        raise FileError(f"{path}: there is no such file")
    if path.is_dir():
        raise FileError(f"{path}: is a folder, not a file")
    try:
        # Values are read once, in whole chunks: a cache a dataset would only hold what nobody asks for again.
        file = h5py.File(path, "r", rdcc_nbytes=0)
    except OSError as error:
        if isinstance(error, PermissionError):
            raise FileError(f"{path}: may not be read (permission denied)") from None
        raise FileError(f"{path}: not an HDF5 file, or a truncated one; {due}") from None
    with file:
        yield file


def _check_header(file: h5py.File, path: Path, kind: str, version: int) -> None:
    found = file.attrs.get("format")
    if not isinstance(found, str) or found != kind:
        said = f"its format is {found!r}" if isinstance(found, str) else "it says no format"
        raise FileError(f"{path}: not an {kind} file ({said})")
    stated = file.attrs.get("version")
    if not isinstance(stated, np.integer) or stated != version:
        raise FileError(f"{path}: {kind} version {stated}; this intsim reads version {version}, a whole number")


@contextmanager
def damage_named(path: str | Path, *more: type[Exception]) -> Iterator[None]:
    """Within: what h5py raises on damage becomes one line that names the file; `more` are kinds it raises, too."""
    try:
        yield
    except Exception as error:
        if isinstance(error, FileError) or not isinstance(error, (OSError, RuntimeError, KeyError, *more)):
            raise
        raise FileError(f"{path}: damaged ({str(error).splitlines()[0]}); make it again") from None


class Values:
    """A dataset read part by part; a FileError names the file and the tensor where that fails."""

    def __init__(self, dataset: h5py.Dataset, path: Path, name: str) -> None:
        self.dataset, self.path, self.name = dataset, path, name
        self.shape: tuple[int, ...] = dataset.shape
        self.dtype: np.dtype = dataset.dtype
        self.chunks: tuple[int, ...] | None = dataset.chunks

    def __getitem__(self, part: Any) -> IntArray:
        try:
            return np.asarray(self.dataset[part])
        except (OSError, RuntimeError, KeyError) as error:
            raise FileError(f"{self.path}: {self.name} is damaged ({str(error).splitlines()[0]}); make it again") from None


def _datasets(
    group: h5py.Group, path: Path, deepest: int, prefix: str = "", seen: frozenset[int] = frozenset()
) -> dict[str, h5py.Dataset]:
    """All datasets below `group`, every link and size checked."""
    found: dict[str, h5py.Dataset] = {}
    here = h5py.h5o.get_info(group.id).addr
    if here in seen:
        raise FileError(f"{path}: {prefix} leads back to a group it lies in; it is damaged")
    for name in group:
        if not isinstance(name, str):
            raise FileError(f"{path}: a name in it, {name!r}, is not text; it is damaged")
        where = prefix + name
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise FileError(f"{path}: {where} is a soft or external link; intsim follows none, copy the data into the file")
        item = group[name]
        if isinstance(item, h5py.Dataset):
            _check_storage(item, path, where)
            found[where] = item
        elif isinstance(item, h5py.Group) and deepest > 0:
            found |= _datasets(item, path, deepest - 1, f"{where}/", seen | {here})
        else:
            raise FileError(f"{path}: {where} is neither a dataset nor a group of datasets")
    return found


def _check_storage(dataset: h5py.Dataset, path: Path, where: str) -> None:
    if dataset.is_virtual or dataset.external:
        raise FileError(f"{path}: {where} keeps its values in other files; intsim opens none, copy the data into the file")
    if dataset.shape is None or dataset.dtype.hasobject:
        return  # no values, or strings and ragged rows, which nobody reads
    plist = dataset.id.get_create_plist()
    filters = {plist.get_filter(i)[0] for i in range(plist.get_nfilters())}
    if filters - PLAIN_FILTERS:
        raise FileError(f"{path}: {where} uses an HDF5 filter beyond gzip, shuffle and fletcher32; write it with plain h5py")
    declared = math.prod(dataset.shape) * dataset.dtype.itemsize
    held = dataset.id.get_storage_size() * (DEFLATE_LIMIT if filters else 1)
    if declared > held or dataset.id.get_storage_size() > path.stat().st_size:
        shape = list(dataset.shape)
        raise FileError(f"{path}: {where} declares {shape} {dataset.dtype}, more than the file can hold; it is damaged")


def store(group: h5py.Group, name: str, array: IntArray) -> h5py.Dataset:
    """Write an array: gzip and shuffle, chunks of at most a megabyte along the first axis, the same bytes every time."""
    chunk = chunk_shape(array)
    if chunk is None:
        return group.create_dataset(name, data=array, track_times=False)
    return group.create_dataset(name, data=np.ascontiguousarray(array), chunks=chunk, **FILTERS)


def chunk_shape(array: IntArray) -> tuple[int, ...] | None:
    """The chunks `store` cuts an array into; None for small ones, which are written plainly."""
    if array.ndim == 0 or array.nbytes < 512:
        return None
    row_bytes = max(array.nbytes // len(array), 1)
    return (min(max(CHUNK_BYTES // row_bytes, 1), len(array)), *array.shape[1:])


def create_chunked(group: h5py.Group, name: str, array: IntArray) -> h5py.Dataset:
    """The dataset `store` would make, its chunks still to be put."""
    return group.create_dataset(name, array.shape, array.dtype, chunks=chunk_shape(array), **FILTERS)


def put_chunk(dataset: h5py.Dataset, first: int, data: bytes | IntArray) -> None:
    """Put the chunk whose first row is `first` in its place: already deflated, or the rows as they are."""
    if isinstance(data, bytes):
        dataset.id.write_direct_chunk((first, *[0] * (dataset.ndim - 1)), data)
    else:
        dataset[first : first + len(data)] = data


def chunk_of(array: IntArray, first: int, rows: int) -> bytes | IntArray:
    """Rows of an array as one chunk for `put_chunk`: deflated, where that gives what HDF5 itself would write.

    In the caller's thread, which is what makes it worth while: HDF5 deflates in one thread alone.
    """
    return deflated(array, first, rows) if deflates_alike() else np.ascontiguousarray(array[first : first + rows])


def deflated(array: IntArray, first: int, rows: int) -> bytes:
    """One chunk of an array as HDF5's own filters would write it: shuffled, deflated, the last one filled with zeros."""
    part = np.ascontiguousarray(array[first : first + rows])
    octets = np.zeros((rows * part[0].size, part.itemsize), np.uint8)
    octets[: part.size] = part.reshape(-1, 1).view(np.uint8)
    return zlib.compress(octets.T.tobytes(), LEVEL)


@cache
def deflates_alike() -> bool:
    """Whether Python's zlib writes the same bytes as the one HDF5 was built with, so that chunks may be deflated outside."""
    sample = np.cumsum(np.arange(1 << 15) % 1009 % 13, dtype=np.int16)
    with h5py.File(io.BytesIO(), "w") as file:  # a file without a name: several threads may ask at once
        _, raw = store(file, "probe", sample).id.read_direct_chunk((0,))
    return raw == deflated(sample, 0, len(sample))


def store_json(group: h5py.Group, name: str, content: Any) -> None:
    """Write plain data as a JSON text dataset."""
    store(group, name, np.frombuffer(json.dumps(content).encode(), np.uint8))


def load_json(datasets: dict[str, h5py.Dataset], name: str, path: str | Path) -> Any:
    """Read what `store_json` wrote; FileError where it is missing or not JSON."""
    if name not in datasets:
        raise FileError(f"{path}: its dataset {name!r} is missing")
    try:
        return json.loads(np.asarray(datasets[name][()]).tobytes())
    except (ValueError, TypeError, RecursionError):
        raise FileError(f"{path}: its dataset {name!r} is not JSON text; the file is damaged") from None


def text_attribute(file: h5py.File, name: str, path: str | Path) -> str:
    """A root attribute holding text; FileError where it is missing or something else."""
    value = file.attrs.get(name)
    if not isinstance(value, str):
        raise FileError(f"{path}: its attribute {name!r} is missing or damaged")
    return value


def json_attribute(file: h5py.File, name: str, path: str | Path, kind: type[Kind]) -> Kind:
    """A root attribute holding a JSON value of one kind; FileError where it is missing or anything else."""
    text = text_attribute(file, name, path)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind):
        raise FileError(f"{path}: its attribute {name!r} is missing or damaged")
    return value
