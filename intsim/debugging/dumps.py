"""What a device dumped: the DUT side of a diff.

A dump is a golden file of intsim, any HDF5 file, a ``.npz``, a folder of ``.npy``, or a folder of raw files described by a
map (`dump_map`). Tensors are found by node name: a group or folder separator counts as a dot, so ``encoder/pos_embed.npy``
is ``encoder.pos_embed``. Values are read when they are asked for; nothing is unpickled and no link is followed. Real numbers
that are all whole are taken as integers, and those that are integers times their scale where a map or the caller says so.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from ..arith import Format, IntArray, Scale
from ..engine.names import TensorName
from ..errors import FileError, IntsimError, printable
from ..storage import hdf5, npy
from ..storage.files import require_file, same_file
from ..storage.golden_writer import FORMAT, VERSION
from ..storage.reals import unscaled, whole
from .compare import Sliceable
from .dump_layout import DumpLayout
from .dump_map import DumpMap
from .raw_files import open_raw

HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf", ".he5")
MAP_NAME = "map.toml"  # the map that a folder may contain
ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")  # with members, and without any
KINDS = "a golden file, an HDF5 file, an .npz, a folder of .npy, or a folder of raw files with a map"


class Expected(NamedTuple):
    """What a node's tensor should be; `scale` is None where it has none."""

    shape: tuple[int, ...]
    fmt: Format
    scale: Scale | None


Nodes = Mapping[str, Expected | None]  # by name; None where they are not known


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
    note: str = ""  # why its shape is not the node's, where its size tells
    certain: float | None = None  # up to which integer its real numbers are precise; None: as its type


@dataclass(frozen=True)
class Dump:
    """An open dump: its tensors by node name, and the names in it that are not of a node.

    `conversions` are sentences about numbers that were not stored as plain integers, by the device's name; they are added
    when the values are read.
    """

    path: Path
    kind: str
    tensors: Mapping[str, DumpedTensor]
    foreign: list[str]
    model_sha256: str = ""  # of the model and picture it was made from, where recorded
    image_sha256: str = ""
    conversions: dict[str, str] = field(default_factory=dict)
    unnamed: Mapping[str, DumpedTensor] = field(default_factory=dict)  # by source: what has no node's name, and no entry


@contextmanager
def open_dump(path: str | Path, nodes: Nodes, map_path: str | Path | None = None, *, scaled: bool = False) -> Iterator[Dump]:
    """Open the dump at `path`. `nodes` are the expected shapes and formats by name; `map_path` maps names and layouts.

    `scaled`: real numbers in it are integers times their scale, unless the map says otherwise.

    Raises FileError for a missing or invalid dump or map. What is wrong with a single tensor is that tensor's `problem`.
    """
    path = Path(path)
    if path.suffix == ".toml" and map_path is None:
        path, map_path = path.parent, path
    if path.is_dir() and map_path is None and os.path.lexists(path / MAP_NAME):
        map_path = path / MAP_NAME
    mapping = DumpMap.load(map_path) if map_path is not None else None
    if path.is_dir():
        items = list(_folder(path, mapping))
        kind = "folder of raw files" if mapping else "folder of .npy files"
        yield _dump(path, kind, items, mapping, nodes, scaled)
    elif _is_zip(path) or path.suffix == ".npz":
        yield _dump(path, ".npz file", list(_npz(path)), mapping, nodes, scaled)
    elif path.suffix == ".npy":
        raise FileError(f"{path}: is one tensor; name the folder it is in, where each file has the name of its node")
    else:
        with hdf5.reading_any(path) as (file, datasets):
            with hdf5.damage_named(path, TypeError, ValueError):
                ours = _is_golden(file, path)
                keys = ("model_sha256", "image_sha256") if ours else ("model_sha256",) if "runtime" in file.attrs else ()
                hashes = {key: hdf5.text(file.attrs.get(key)) for key in keys}
                items = [_dataset(name, d, path) for name, d in datasets.items() if not (ours and name == "graph")]
            known = {key: value for key, value in hashes.items() if value is not None}
            yield _dump(path, "golden file" if ours else "HDF5 file", items, mapping, nodes, scaled, **known)


def _is_golden(file: h5py.File, path: Path) -> bool:
    """Whether an HDF5 file is a golden file; a FileError for other files of intsim and other versions of golden files."""
    declared = hdf5.text(file.attrs.get("format"))
    if declared == FORMAT and (version := file.attrs.get("version")) != VERSION:
        raise FileError(f"{path}: {FORMAT} version {version}; this intsim reads version {VERSION}, a whole number")
    if declared is not None and declared.startswith("intsim-") and declared != FORMAT:
        raise FileError(f"{path}: its format is {declared!r}; expected a device's dump: {KINDS}")
    return bool(declared == FORMAT)


def _dump(
    path: Path,
    kind: str,
    items: list[DumpedTensor],
    mapping: DumpMap | None,
    nodes: Nodes,
    scaled: bool,
    **hashes: str,
) -> Dump:
    """The items of a dump under their nodes' names."""
    if mapping is not None and (unused := mapping.unused([item.source for item in items])):
        raise FileError(f"{mapping.path}: {unused[0]!r} matches nothing in {path}")
    tensors: dict[str, DumpedTensor] = {}
    foreign: list[str] = []
    unnamed: dict[str, DumpedTensor] = {}
    conversions: dict[str, str] = {}
    for item in items:
        entry = mapping.entry(item.source) if mapping else None
        name = entry.node_of(item.source) if entry else item.source.removesuffix(".npy").replace("/", ".")
        if TensorName(name).node not in nodes or (item.path and not entry):
            foreign.append(printable(f"{item.source} ({name})" if entry else item.source))
            if not entry:
                unnamed[foreign[-1]] = item
        elif name in tensors:
            raise FileError(f"{path}: both {tensors[name].source} and {item.source} are {name}; map each to its own node")
        else:
            expected = nodes.get(name)
            real = entry.layout.scaled or scaled if entry else scaled
            arranged = _arranged(item, entry.layout, expected, conversions, scaled) if entry else item
            tensors[name] = replace(_integers(_unbatched(arranged, expected), expected, real, conversions), name=name)
    return Dump(path, kind, tensors, foreign, conversions=conversions, unnamed=unnamed, **hashes)


def _integers(item: DumpedTensor, expected: Expected | None, scaled: bool, conversions: dict[str, str]) -> DumpedTensor:
    """An item whose real numbers are read as integers; NotWhole where one is none."""
    values = item.values
    if values is None or item.dtype.kind != "f" or expected is None:
        return item
    scale = expected.scale
    if scaled and scale is None:
        return replace(item, problem="its values are real numbers, and its node has no scale to divide them by")

    def converted() -> IntArray:
        numbers = np.asarray(values()[()])
        if not scaled or scale is None:
            result = whole(numbers, item.source)
            how = f"whole numbers stored as {item.dtype}"
        else:
            result = unscaled(numbers, scale, item.source, item.certain)
            how = f"real numbers ({item.dtype}), divided by the scale of the node"
        conversions[item.source] = f"{item.source}: {how}"
        return result

    return replace(item, dtype=np.dtype(np.int64), values=converted)


def _arranged(
    item: DumpedTensor, layout: DumpLayout, expected: Expected | None, conversions: dict[str, str], scaled: bool
) -> DumpedTensor:
    """An item with its values in the order of axes of its node. `scaled`: numbers written as reals are scaled ones."""
    values = item.values
    try:
        if item.path is not None:
            if expected is None:
                return replace(item, problem="its node is not in the golden file, so its shape is not known")
            remark = partial(conversions.__setitem__, item.source)
            raw = open_raw(item.path, layout, expected.shape, expected.fmt, remark, scaled=scaled)
            item = replace(item, shape=raw.shape, dtype=raw.dtype, values=raw.load, certain=raw.certain, note=raw.note)
            return _restored(item, layout, expected)
        if values is None or not (layout.moves or layout.shape):
            return _restored(item, layout, expected)
        stored = layout.stored_shape(item.shape)
        shape = expected.shape if expected and layout.beats.pitch else layout.node_shape(stored)
        packing = layout.array_packing(shape, math.prod(stored))
    except IntsimError as error:
        return replace(item, problem=str(error))
    item = replace(item, shape=shape, values=lambda: layout.put_back(packing, np.asarray(values()[()])))
    return _restored(item, layout, expected)


def _restored(item: DumpedTensor, layout: DumpLayout, expected: Expected | None) -> DumpedTensor:
    """An item with the map's conventions undone."""
    values = item.values
    if not layout.conventions or values is None:
        return item
    if expected is None:
        return replace(item, problem="its node is not in the golden file, so its conventions cannot be undone")
    try:
        layout.restored(np.empty(item.shape, np.int8), expected.fmt, expected.shape)
    except IntsimError as error:
        return replace(item, problem=str(error))
    return replace(
        item,
        shape=expected.shape,
        dtype=np.dtype(np.int64) if item.dtype.kind in "iu" else item.dtype,
        values=lambda: layout.restored(np.asarray(values()[()]), expected.fmt, expected.shape),
    )


def _unbatched(item: DumpedTensor, expected: Expected | None) -> DumpedTensor:
    """An item without the leading axes of length 1 that its node does not have: a batch of one picture."""
    values, shape = item.values, expected[0] if expected else item.shape
    extra = len(item.shape) - len(shape)
    if extra <= 0 or item.shape != (1,) * extra + shape:
        return item
    return replace(item, shape=shape, values=values and (lambda: np.asarray(values()[()]).reshape(shape)))


# --- HDF5, .npz and .npy ----------------------------------------------------------------------------------------------


def _dataset(name: str, dataset: h5py.Dataset | str, path: Path) -> DumpedTensor:
    if isinstance(dataset, str):
        return DumpedTensor(name, problem=f"it {dataset}")
    if dataset.shape is not None:
        values = hdf5.Values(dataset, path, name)
        return DumpedTensor(name, dataset.shape, dataset.dtype, lambda: values)
    sha256, shape = hdf5.text(dataset.attrs.get("sha256")), dataset.attrs.get("shape")  # level digest
    if sha256 is None or not isinstance(shape, np.ndarray):
        return DumpedTensor(name, (), dataset.dtype, None, problem="it has no values")
    return DumpedTensor(name, tuple(int(size) for size in shape), dataset.dtype, None, sha256)


def _npz(path: Path) -> Iterator[DumpedTensor]:
    arrays = npy.members(path)
    if not arrays:
        raise FileError(f"{path}: contains no array; expected one per node, saved by numpy.savez")
    for key, header in arrays.items():
        yield DumpedTensor(key, header.shape, header.dtype, partial(npy.member, path, key), problem=header.problem)


def _folder(folder: Path, mapping: DumpMap | None) -> Iterator[DumpedTensor]:
    maps = [folder / MAP_NAME, *([mapping.path] if mapping else [])]
    files = sorted(p for p in folder.rglob("*") if _may_be_dumped(p) and not any(same_file(p, m) for m in maps))
    if not files:
        raise FileError(f"{folder}: the folder is empty; expected {KINDS}")
    if mapping is None and not any(p.suffix == ".npy" for p in files):
        raise FileError(f"{folder}: holds no .npy file; raw files need a map ({MAP_NAME} in the folder)")
    for path in files:
        source = path.relative_to(folder).as_posix()
        if not path.is_file():
            links_to = "is a link to nothing" if path.is_symlink() and not path.exists() else "is not a regular file"
            yield DumpedTensor(source, problem=f"it {links_to}")
        elif path.suffix == ".npy":
            with path.open("rb") as stream:
                header = npy.header(stream, path.stat().st_size)
            yield DumpedTensor(source, header.shape, header.dtype, partial(_mapped, path), problem=header.problem)
        else:
            yield DumpedTensor(source, path=path)


def _may_be_dumped(path: Path) -> bool:
    """Whether a path in the folder of a dump is meant to be a tensor: all but folders, these too where they are named so."""
    return not path.is_dir() or path.suffix == ".npy"


def _mapped(path: Path) -> Sliceable:
    try:
        value: Sliceable = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise FileError(f"{path}: not a readable .npy ({error})") from None
    return value


def _is_zip(path: Path) -> bool:
    require_file(path, KINDS)
    with path.open("rb") as stream:
        return stream.read(4) in ZIP_STARTS
