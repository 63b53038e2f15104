"""The manifest of an export describes every file: content, layout and SHA-256 (docs/manifest-v1.schema.json)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import resources
from ..arith import format_named
from ..errors import FileError, IntsimError
from ..storage.files import file_sha256, require_file
from .encodings import ENCODINGS, NPZ_NAME
from .layout import BeatLayout
from .packing import Packing
from .sources import stem

SCHEMA, VERSION, NAME = "intsim-manifest", 1, "manifest.json"


@dataclass(frozen=True)
class ManifestEntry:
    """One tensor in one encoding: its packing, and its files in order."""

    name: str
    packing: Packing
    encoding: str
    files: tuple[str, ...]
    values_sha256: str = ""


@dataclass(frozen=True)
class Manifest:
    """A manifest that was read and validated."""

    path: Path
    entries: tuple[ManifestEntry, ...]
    files: tuple[tuple[str, int, str], ...]  # name, bytes and SHA-256 of every file, including packages

    def checked(self) -> None:
        """FileError unless every listed file exists next to the manifest and has the listed size and SHA-256."""
        for name, size, sha256 in dict.fromkeys(self.files):
            path = self.path.parent / name
            if not path.is_file():
                raise FileError(f"{path}: is missing, but {self.path.name} lists it; export again")
            if path.stat().st_size != size or file_sha256(path) != sha256:
                raise FileError(
                    f"{path}: its SHA-256 is not the one in {self.path.name}; the file was altered. Export again, or read "
                    "the folder as a device's dump described by this manifest"
                )


def read(path: str | Path) -> Manifest:
    """The manifest in a file or folder; a FileError if it is not valid."""
    path = Path(path) / NAME if Path(path).is_dir() else Path(path)
    if path.suffix != ".json":
        problem = "is a file; name the folder it is in" if path.exists() else "no such folder; name a folder"
        raise FileError(f"{path}: {problem}, or its {NAME}")
    if path.exists():
        require_file(path, "a manifest")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileError(f"{path}: no such manifest; 'intsim export' writes one") from None
    except (ValueError, RecursionError):
        raise FileError(f"{path}: is not valid JSON; export again") from None
    validate(record, path)
    try:
        layout = BeatLayout.of(record["layout"], str(record["layout"]["name"]))
        entries = tuple(_entry(tensor, layout) for tensor in record["tensors"])
    except (IntsimError, ValueError) as error:
        raise FileError(f"{path}: {error}") from None
    if len({(entry.name, entry.encoding) for entry in entries}) < len(entries):
        raise FileError(f"{path}: lists a tensor twice in one encoding; the manifest was altered, export again")
    files = [file for tensor in record["tensors"] for file in tensor["files"]] + record["packages"]
    return Manifest(path, entries, tuple((file["file"], file["bytes"], file["sha256"]) for file in files))


def _entry(tensor: dict[str, Any], layout: BeatLayout) -> ManifestEntry:
    name, encoding = tensor["name"], tensor["encoding"]
    packing = Packing(layout, tuple(tensor["shape"]), format_named(tensor["format"]))
    expected = geometry(packing)
    files = tuple(file["file"] for file in tensor["files"])
    if {key: tensor[key] for key in expected} != expected or files != file_names(name, packing, encoding, len(files)):
        raise IntsimError(
            f"{name}: its beats or files do not match its shape and layout; the manifest was altered, export again"
        )
    return ManifestEntry(name, packing, encoding, files, tensor["values_sha256"])


def geometry(packing: Packing) -> dict[str, Any]:
    """A manifest's fields about the beats of a tensor."""
    return {
        "element": str(packing.element),
        "lanes": packing.lanes,
        "beat": packing.beat,
        "beats": packing.beats,
        "arranged": list(packing.arranged),
    }


def file_names(name: str, packing: Packing, encoding: str, most: int | None = None) -> tuple[str, ...]:
    """The file names of a tensor: one, or numbered ones if the layout sets `lines`; `most` + 1 names at most."""
    if encoding == "npz":
        return (NPZ_NAME,)
    suffix = ENCODINGS[encoding].suffix
    if packing.layout.lines is None or not ENCODINGS[encoding].by_beats:
        return (stem(name) + suffix,)
    count = -(-packing.beats // packing.layout.lines)
    return tuple(numbered(name, i, suffix) for i in range(count if most is None else min(count, most + 1)))


def numbered(name: str, number: int, suffix: str) -> str:
    """The name of one of several files of a tensor."""
    return f"{stem(name)}-{number:03d}{suffix}"


def validate(record: Any, path: Path) -> None:
    """FileError unless the record is valid according to the schema."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    schema = json.loads(resources.manifest_schema().read_text(encoding="utf-8"))
    if isinstance(record, dict) and record.get("schema") == SCHEMA and record.get("version") != VERSION:
        raise FileError(f"{path}: manifest version {record.get('version')}; this intsim reads version {VERSION}")
    error = best_match(Draft202012Validator(schema).iter_errors(record))
    if error is not None:
        where = ".".join(str(part) for part in error.absolute_path)
        message = error.message.splitlines()[0][:120]
        raise FileError(f"{path}: {f'{where}: ' if where else ''}{message}; the file is not a valid manifest")
