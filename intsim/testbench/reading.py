"""Reads a folder of files of a test bench as tensors: an export, or a device's dump in the layout of an export."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..arith import IntArray
from ..engine.graph import digest
from ..engine.interpreter import Progress
from ..errors import FileError
from ..storage.npy import member_header
from . import manifest, sources
from .encodings import ENCODINGS, npz_member
from .layout import BeatLayout
from .manifest import Manifest, ManifestEntry, file_names, numbered
from .sources import stem
from .words import Remark, silent
from .writing import packing_of


@dataclass(frozen=True)
class DumpFolder:
    """A folder of files and what each file is. `exported`: an export, whose values must match the manifest's hashes."""

    folder: Path
    entries: tuple[ManifestEntry, ...]
    exported: bool

    @property
    def files(self) -> list[Path]:
        """Every file that may be in the folder."""
        return [self.folder / name for entry in self.entries for name in entry.files]

    def tensors(
        self, progress: Progress = lambda name: None, remark: Remark = silent
    ) -> tuple[dict[str, IntArray], list[str]]:
        """The tensors by name, and the names of missing ones. A FileError names the file, and the line of text files.

        Padding and unused bits are not read. Values that do not fit the node's format are kept. `remark` takes a sentence
        about each file whose numbers were converted.
        """
        tensors, missing = {}, []
        for entry in self.entries:
            progress(entry.name)
            if self._is_present(entry):
                tensors[entry.name] = self._read(entry, remark)
            else:
                missing.append(entry.name)
        if not tensors:
            raise FileError(f"{self.folder}: contains none of the expected files, such as {self.entries[0].files[0]}")
        return tensors, missing

    def _is_present(self, entry: ManifestEntry) -> bool:
        """Whether a tensor's files exist. FileError if only some do, one is not a regular file, or there are too many."""
        paths = [self.folder / name for name in entry.files]
        for path in paths:
            if os.path.lexists(path) and not path.is_file():
                raise FileError(f"{path}: is not a regular file")
        existing = [path for path in paths if path.is_file()]
        if existing and entry.encoding == "npz" and member_header(paths[0], stem(entry.name)) is None:
            return False
        if existing and len(existing) < len(paths):
            missing = min(set(paths) - set(existing))
            raise FileError(f"{missing}: is missing; {entry.name} takes {len(paths)} files")
        if existing and entry.packing.layout.lines is not None and entry.encoding in ENCODINGS:
            extra = self.folder / numbered(entry.name, len(paths), ENCODINGS[entry.encoding].suffix)
            if os.path.lexists(extra):
                raise FileError(f"{extra}: is one file too many; {entry.name} takes {len(paths)}")
        return bool(existing)

    def _read(self, entry: ManifestEntry, remark: Remark) -> IntArray:
        packing, paths = entry.packing, [self.folder / name for name in entry.files]
        try:
            if entry.encoding == "npz":
                stream = npz_member(paths[0], stem(entry.name), packing, remark)
            elif ENCODINGS[entry.encoding].by_beats:
                parts = zip(paths, packing.parts(), strict=True)
                read = ENCODINGS[entry.encoding].read
                stream = np.concatenate([read(path, packing, range(*part), remark) for path, part in parts])
            else:
                stream = ENCODINGS[entry.encoding].read(paths[0], packing, range(packing.beats), remark)
            value = packing.restore(stream)
        except MemoryError:
            raise packing.too_large(entry.name) from None
        if self.exported and digest(value) != entry.values_sha256:
            raise FileError(f"{self.folder}: {entry.name} does not match its SHA-256 in the manifest, which was altered")
        return value


def read_export(folder: str | Path, encoding: str | None = None) -> DumpFolder:
    """An export, described by its own manifest. Files and values must match the SHA-256 in it.

    `encoding` selects one encoding of tensors that were exported in several.
    """
    own = manifest.read(folder)
    own.checked()
    return DumpFolder(own.path.parent, _by_name(own, encoding), exported=True)


def read_dump(folder: str | Path, manifest_path: str | Path, encoding: str | None = None) -> DumpFolder:
    """A device's dump with the file names and the layout of an export. No hash is compared, and tensors may be missing."""
    return DumpFolder(_folder(folder), _by_name(manifest.read(manifest_path), encoding), exported=False)


def read_dump_like(folder: str | Path, source: str | Path, layout: BeatLayout, encoding: str) -> DumpFolder:
    """A device's dump of tensors of a golden or model file, with the file names that `export` would give."""
    path = _folder(folder)
    entries = []
    with sources.open_source(source) as opened:
        for tensor in opened.tensors:
            if encoding == "npz" or any(path.glob(f"{stem(tensor.name)}*")):
                packing = packing_of(tensor, layout)
                entries.append(ManifestEntry(tensor.name, packing, encoding, file_names(tensor.name, packing, encoding)))
    if not entries:
        raise FileError(f"{folder}: no file in it is named after a tensor of {source}, such as NODE.hex")
    return DumpFolder(path, tuple(entries), exported=False)


def _folder(folder: str | Path) -> Path:
    path = Path(folder)
    if not path.exists():
        raise FileError(f"{folder}: no such folder")
    if not path.is_dir():
        raise FileError(f"{folder}: is a file; name the folder it is in")
    return path


def _by_name(described: Manifest, encoding: str | None) -> tuple[ManifestEntry, ...]:
    """One entry per tensor: the one with the requested encoding, or the first."""
    entries: dict[str, ManifestEntry] = {}
    for entry in described.entries:
        if encoding in (None, entry.encoding):
            entries.setdefault(entry.name, entry)
    if not entries:
        content = ", ".join(dict.fromkeys(entry.encoding for entry in described.entries)) or "packages only"
        raise FileError(f"{described.path}: describes no tensor{f' as {encoding}' if encoding else ''}; it has {content}")
    return tuple(entries.values())
