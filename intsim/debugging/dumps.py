"""What a device dumped: the DUT side of a diff.

A dump is a golden file of intsim, any HDF5 file, a ``.npz``, a folder of ``.npy``, or a folder of raw files described by a
map (`dump_map`). Tensors are found by node name: a group or folder separator counts as a dot, so ``encoder/pos_embed.npy``
is ``encoder.pos_embed``. Values are read when they are asked for; nothing is unpickled and no link is followed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from ..arith import Format
from ..engine.names import TensorName
from ..errors import FileError, IntsimError
from ..storage import hdf5, npy
from ..storage.golden_file import FORMAT, VERSION
from .compare import Sliceable
from .dump_map import DumpLayout, DumpMap
from .raw_files import open_raw

HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf", ".he5")
MAP_NAME = "map.toml"  # the map that a folder may contain
ZIP_START = b"PK\x03\x04"
Expected = tuple[tuple[int, ...], Format]  # the shape and format of a node
Nodes = Mapping[str, Expected | None]  # by name; None where they are not known
KINDS = "a golden file, an HDF5 file, an .npz, a folder of .npy, or a folder of raw files with a map"


@dataclass(frozen=True)
class DumpedTensor:
    """One tensor of a dump.

    `name` is the node's name, `source` the device's own. `values` reads it (None: the dump has only its hash). `problem` is
    the reason why it cannot be read. A raw file has a `path`; its shape and type come from a map.
    """

    source: str
    shape: tuple[int, ...] = ()
    dtype: np.dtype = npy.UNKNOWN
    values: Callable[[], Sliceable] | None = None
    sha256: str = ""
    problem: str = ""
    name: str = ""
    path: Path | None = None


@dataclass(frozen=True)
class Dump:
    """An open dump: its tensors by node name, and the names in it that are not of a node."""

    path: Path
    kind: str
    tensors: Mapping[str, DumpedTensor]
    foreign: list[str]
    model_sha256: str = ""  # of the model and picture it was made from, where recorded
    image_sha256: str = ""


@contextmanager
def open_dump(path: str | Path, nodes: Nodes, map_path: str | Path | None = None) -> Iterator[Dump]:
    """Open the dump at `path`. `nodes` are the expected shapes and formats by name; `map_path` maps names and layouts.

    Raises FileError for a missing or invalid dump or map. What is wrong with a single tensor is that tensor's `problem`.
    """
    path = Path(path)
    if path.suffix == ".toml" and map_path is None:
        path, map_path = path.parent, path
    if path.is_dir() and map_path is None and (path / MAP_NAME).is_file():
        map_path = path / MAP_NAME
    mapping = DumpMap.load(map_path) if map_path is not None else None
    if path.is_dir():
        items = list(_folder(path, mapping))
        kind = "folder of raw files" if mapping else "folder of .npy files"
        yield _dump(path, kind, items, mapping, nodes)
    elif _starts_with(path, ZIP_START):
        yield _dump(path, ".npz file", list(_npz(path)), mapping, nodes)
    elif path.suffix == ".npy":
        raise FileError(f"{path}: is one tensor; name the folder it is in, where each file has the name of its node")
    else:
        with hdf5.reading_any(path) as (file, datasets):
            with hdf5.damage_named(path, TypeError, ValueError):
                ours = _is_golden(file, path)
                hashes = {key: file.attrs.get(key) for key in ("model_sha256", "image_sha256") if ours}
                items = [_dataset(name, d, path) for name, d in datasets.items() if not (ours and name == "graph")]
            known = {key: str(value) for key, value in hashes.items() if isinstance(value, str)}
            yield _dump(path, "golden file" if ours else "HDF5 file", items, mapping, nodes, **known)


def _is_golden(file: h5py.File, path: Path) -> bool:
    """Whether an HDF5 file is a golden file; a FileError for other files of intsim and other versions of golden files."""
    declared = file.attrs.get("format")
    if declared == FORMAT and (version := file.attrs.get("version")) != VERSION:
        raise FileError(f"{path}: {FORMAT} version {version}; this intsim reads version {VERSION}, a whole number")
    if isinstance(declared, str) and declared.startswith("intsim-") and declared != FORMAT:
        raise FileError(f"{path}: its format is {declared!r}; expected a device's dump: {KINDS}")
    return bool(declared == FORMAT)


def _dump(path: Path, kind: str, items: list[DumpedTensor], mapping: DumpMap | None, nodes: Nodes, **hashes: str) -> Dump:
    """The items of a dump under their nodes' names."""
    if mapping is not None and (unused := mapping.unused([item.source for item in items])):
        raise FileError(f"{mapping.path}: {unused[0]!r} matches nothing in {path}")
    tensors: dict[str, DumpedTensor] = {}
    foreign: list[str] = []
    for item in items:
        entry = mapping.entry(item.source) if mapping else None
        name = entry.node_of(item.source) if entry else item.source.removesuffix(".npy").replace("/", ".")
        if TensorName(name).node not in nodes or (item.path and not entry):
            foreign.append(f"{item.source} ({name})" if entry else item.source)
        elif name in tensors:
            raise FileError(f"{path}: both {tensors[name].source} and {item.source} are {name}; map each to its own node")
        else:
            expected = nodes.get(name)
            arranged = _arranged(item, entry.layout, expected) if entry else item
            tensors[name] = replace(_unbatched(arranged, expected), name=name)
    return Dump(path, kind, tensors, foreign, **hashes)


def _arranged(item: DumpedTensor, layout: DumpLayout, expected: Expected | None) -> DumpedTensor:
    """An item with its values in the order of axes of its node."""
    values = item.values
    try:
        if item.path is not None:
            if expected is None:
                return replace(item, problem="its node is not in the golden file, so its shape is not known")
            raw = open_raw(item.path, layout, *expected)
            return replace(item, shape=raw.shape, dtype=raw.dtype, values=raw.load)
        if values is None or not layout.moves:
            return item
        shape = layout.node_shape(item.shape)
    except IntsimError as error:
        return replace(item, problem=str(error))
    return replace(item, shape=shape, values=lambda: layout.rearranged(np.asarray(values()[()]), shape))


def _unbatched(item: DumpedTensor, expected: Expected | None) -> DumpedTensor:
    """An item without the leading axes of length 1 that its node does not have: a batch of one picture."""
    values, shape = item.values, expected[0] if expected else item.shape
    extra = len(item.shape) - len(shape)
    if extra <= 0 or item.shape != (1,) * extra + shape:
        return item
    return replace(item, shape=shape, values=values and (lambda: np.asarray(values()[()]).reshape(shape)))


# --- HDF5, .npz and .npy ----------------------------------------------------------------------------------------------


def _dataset(name: str, dataset: h5py.Dataset, path: Path) -> DumpedTensor:
    if dataset.shape is not None:
        values = hdf5.Values(dataset, path, name)
        return DumpedTensor(name, dataset.shape, dataset.dtype, lambda: values)
    sha256, shape = dataset.attrs.get("sha256"), dataset.attrs.get("shape")  # level digest
    if not isinstance(sha256, str) or not isinstance(shape, np.ndarray):
        return DumpedTensor(name, (), dataset.dtype, None, problem="it has no values")
    return DumpedTensor(name, tuple(int(size) for size in shape), dataset.dtype, None, sha256)


def _npz(path: Path) -> Iterator[DumpedTensor]:
    for key, header in npy.members(path).items():
        yield DumpedTensor(key, header.shape, header.dtype, partial(npy.member, path, key), problem=header.problem)


def _folder(folder: Path, mapping: DumpMap | None) -> Iterator[DumpedTensor]:
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not (mapping and p.resolve() == mapping.path.resolve()))
    if not files:
        raise FileError(f"{folder}: the folder is empty; expected {KINDS}")
    if mapping is None and not any(p.suffix == ".npy" for p in files):
        raise FileError(f"{folder}: holds no .npy file; raw files need a map ({MAP_NAME} in the folder)")
    for path in files:
        source = path.relative_to(folder).as_posix()
        if path.suffix == ".npy":
            with path.open("rb") as stream:
                header = npy.header(stream, path.stat().st_size)
            yield DumpedTensor(source, header.shape, header.dtype, partial(_mapped, path), problem=header.problem)
        else:
            yield DumpedTensor(source, path=path)


def _mapped(path: Path) -> Sliceable:
    try:
        value: Sliceable = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise FileError(f"{path}: not a readable .npy ({error})") from None
    return value


def _starts_with(path: Path, start: bytes) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(len(start)) == start
