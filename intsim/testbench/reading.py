"""A folder of files for a test bench into tensors: an export, or what a device dumped in the layout of one."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..arith import IntArray
from ..engine.graph import digest
from ..errors import FileError
from ..storage.npy import member_header
from . import manifest, sources
from .encodings import ENCODINGS, npz_member
from .layout import BeatLayout
from .manifest import ManifestEntry, file_names, numbered
from .sources import stem
from .writing import placed

Progress = Callable[[str], None]


@dataclass(frozen=True)
class DumpFolder:
    """A folder of files and what each is. `exported`: it is an export, whose values must be those it says."""

    folder: Path
    entries: tuple[ManifestEntry, ...]
    exported: bool

    @property
    def files(self) -> list[Path]:
        """Every file it may hold."""
        return [self.folder / name for entry in self.entries for name in entry.files]

    def tensors(self, progress: Progress = lambda name: None) -> tuple[dict[str, IntArray], list[str]]:
        """The tensors by name, and the names of those it lacks. FileError says what is wrong with a file, and where.

        Padding, and bits that no element takes, are not looked at. Values that the node's format does not hold are kept.
        """
        tensors, missing = {}, []
        for entry in self.entries:
            progress(entry.name)
            if self._there(entry):
                tensors[entry.name] = self._read(entry)
            else:
                missing.append(entry.name)
        if not tensors:
            raise FileError(f"{self.folder}: holds none of the files that are due, such as {self.entries[0].files[0]}")
        return tensors, missing

    def _there(self, entry: ManifestEntry) -> bool:
        """Whether all files of a tensor are there; FileError where some are, or one is no file, or one too many."""
        paths = [self.folder / name for name in entry.files]
        for path in paths:
            if os.path.lexists(path) and not path.is_file():
                raise FileError(f"{path}: is not an ordinary file")
        there = [path for path in paths if path.is_file()]
        if there and entry.encoding == "npz" and member_header(paths[0], stem(entry.name)) is None:
            return False
        if there and len(there) < len(paths):
            lost = min(set(paths) - set(there))
            raise FileError(f"{lost}: is missing; {entry.name} takes {len(paths)} files")
        if there and entry.stored.layout.lines is not None and entry.encoding in ENCODINGS:
            beyond = self.folder / numbered(entry.name, len(paths), ENCODINGS[entry.encoding].suffix)
            if os.path.lexists(beyond):
                raise FileError(f"{beyond}: is one file too many; {entry.name} takes {len(paths)}")
        return bool(there)

    def _read(self, entry: ManifestEntry) -> IntArray:
        stored, paths = entry.stored, [self.folder / name for name in entry.files]
        try:
            if entry.encoding == "npz":
                stream = npz_member(paths[0], stem(entry.name), stored)
            elif ENCODINGS[entry.encoding].by_beats:
                ends = zip(paths, stored.parts(), strict=True)
                read = ENCODINGS[entry.encoding].read
                stream = np.concatenate([read(path, stored, stop - start) for path, (start, stop) in ends])
            else:
                stream = ENCODINGS[entry.encoding].read(paths[0], stored, stored.beats)
            value = stored.restore(stream)
        except MemoryError:
            raise stored.too_large(entry.name) from None
        if self.exported and digest(value) != entry.values_sha256:
            raise FileError(f"{self.folder}: {entry.name} does not come back as it was exported; the manifest was altered")
        return value


def exported(folder: str | Path, encoding: str | None = None) -> DumpFolder:
    """An export, read by its own manifest: every file must have the SHA-256 it says, and every tensor its values.

    `encoding` chooses one where a tensor was exported in several.
    """
    found = manifest.read(folder)
    found.checked()
    return DumpFolder(found.path.parent, _by_name(found, encoding), exported=True)


def dumped(folder: str | Path, manifest_path: str | Path, encoding: str | None = None) -> DumpFolder:
    """What a device dumped under the names and in the layout of an export: its values are its own, and it may lack some."""
    return DumpFolder(_folder(folder), _by_name(manifest.read(manifest_path), encoding), exported=False)


def dumped_like(folder: str | Path, source: str | Path, layout: BeatLayout, encoding: str) -> DumpFolder:
    """What a device dumped under the names that `export` gives files, of tensors of a golden or model file."""
    path = _folder(folder)
    entries = []
    with sources.open_source(source) as opened:
        for tensor in opened.tensors:
            if encoding == "npz" or any(path.glob(f"{stem(tensor.name)}*")):
                stored = placed(tensor, layout)
                entries.append(ManifestEntry(tensor.name, stored, encoding, file_names(tensor.name, stored, encoding)))
    if not entries:
        raise FileError(f"{folder}: no file there bears the name of a tensor of {source}, as NODE.hex does")
    return DumpFolder(path, tuple(entries), exported=False)


def _folder(folder: str | Path) -> Path:
    path = Path(folder)
    if not path.exists():
        raise FileError(f"{folder}: there is no such folder")
    if not path.is_dir():
        raise FileError(f"{folder}: is a file; name the folder it is in")
    return path


def _by_name(found: manifest.Manifest, encoding: str | None) -> tuple[ManifestEntry, ...]:
    """One entry a tensor: that of the encoding asked for, or the first."""
    entries: dict[str, ManifestEntry] = {}
    for entry in found.entries:
        if encoding in (None, entry.encoding):
            entries.setdefault(entry.name, entry)
    if not entries:
        held = ", ".join(dict.fromkeys(entry.encoding for entry in found.entries)) or "packages only"
        raise FileError(f"{found.path}: describes no tensor{f' as {encoding}' if encoding else ''}; it holds {held}")
    return tuple(entries.values())
