"""The manifest of an export: what every file in it is, by which layout, and its SHA-256 (docs/manifest-v1.schema.json)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import resources
from ..arith import format_named
from ..errors import FileError, IntsimError
from ..storage.files import file_sha256
from .encodings import ENCODINGS, NPZ_NAME
from .layout import BeatLayout
from .sources import stem
from .stored import Packing

SCHEMA, VERSION, NAME = "intsim-manifest", 1, "manifest.json"


@dataclass(frozen=True)
class ManifestEntry:
    """One tensor in one encoding: how it is stored, and its files in order."""

    name: str
    stored: Packing
    encoding: str
    files: tuple[str, ...]
    values_sha256: str = ""


@dataclass(frozen=True)
class Manifest:
    """A manifest that was read and found well formed."""

    path: Path
    entries: tuple[ManifestEntry, ...]
    files: tuple[tuple[str, int, str], ...]  # the name, bytes and SHA-256 of every file, packages too

    def checked(self) -> None:
        """FileError unless every file beside the manifest is there and has the SHA-256 it says."""
        for name, size, sha256 in dict.fromkeys(self.files):
            path = self.path.parent / name
            if not path.is_file():
                raise FileError(f"{path}: is missing, but {self.path.name} lists it; export again")
            if path.stat().st_size != size or file_sha256(path) != sha256:
                raise FileError(
                    f"{path}: its SHA-256 is not the one in {self.path.name}; it was altered. Export again, or read a "
                    f"device's own values with --manifest {self.path}"
                )


def read(path: str | Path) -> Manifest:
    """The manifest in a file, or in a folder; a FileError says what is wrong with it."""
    path = Path(path) / NAME if Path(path).is_dir() else Path(path)
    if path.suffix != ".json":
        said = "is a file; name the folder it is in" if path.exists() else "there is no such folder"
        raise FileError(f"{path}: {said}, or its {NAME}")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileError(f"{path}: there is no such manifest; 'intsim export' writes one") from None
    except (ValueError, RecursionError):
        raise FileError(f"{path}: is not JSON; export again") from None
    validate(record, path)
    try:
        layout = BeatLayout.of(record["layout"], str(record["layout"]["name"]))
        entries = tuple(_entry(tensor, layout) for tensor in record["tensors"])
    except (IntsimError, ValueError) as error:
        raise FileError(f"{path}: {error}") from None
    if len({(entry.name, entry.encoding) for entry in entries}) < len(entries):
        raise FileError(f"{path}: lists a tensor twice in one encoding; it was altered, export again")
    files = [file for tensor in record["tensors"] for file in tensor["files"]] + record["packages"]
    return Manifest(path, entries, tuple((file["file"], file["bytes"], file["sha256"]) for file in files))


def _entry(tensor: dict[str, Any], layout: BeatLayout) -> ManifestEntry:
    name, encoding = tensor["name"], tensor["encoding"]
    stored = Packing(layout, tuple(tensor["shape"]), format_named(tensor["format"]))
    said = {key: tensor[key] for key in geometry(stored)}
    files = tuple(file["file"] for file in tensor["files"])
    if said != geometry(stored) or files != file_names(name, stored, encoding, len(files)):
        raise IntsimError(f"{name}: its beats or files are not those of its shape and layout; it was altered, export again")
    return ManifestEntry(name, stored, encoding, files, tensor["values_sha256"])


def geometry(stored: Packing) -> dict[str, Any]:
    """What a manifest says of a tensor's beats."""
    return {
        "element": str(stored.element),
        "lanes": stored.lanes,
        "beat": stored.beat,
        "beats": stored.beats,
        "arranged": list(stored.arranged),
    }


def file_names(name: str, stored: Packing, encoding: str, most: int | None = None) -> tuple[str, ...]:
    """The files of a tensor: one, or as many numbered ones as the layout's `lines` take, one more than `most` at most."""
    if encoding == "npz":
        return (NPZ_NAME,)
    suffix = ENCODINGS[encoding].suffix
    if stored.layout.lines is None or not ENCODINGS[encoding].by_beats:
        return (stem(name) + suffix,)
    count = -(-stored.beats // stored.layout.lines)
    return tuple(numbered(name, i, suffix) for i in range(count if most is None else min(count, most + 1)))


def numbered(name: str, number: int, suffix: str) -> str:
    """One of several files of a tensor."""
    return f"{stem(name)}-{number:03d}{suffix}"


def validate(record: Any, path: Path) -> None:
    """FileError unless plain data is a manifest by the schema."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    schema = json.loads(resources.manifest_schema().read_text(encoding="utf-8"))
    if isinstance(record, dict) and record.get("schema") == SCHEMA and record.get("version") != VERSION:
        raise FileError(f"{path}: manifest version {record.get('version')}; this intsim reads version {VERSION}")
    error = best_match(Draft202012Validator(schema).iter_errors(record))
    if error is not None:
        where = ".".join(str(part) for part in error.absolute_path)
        raise FileError(f"{path}: {f'{where}: ' if where else ''}{error.message.splitlines()[0][:120]}; it is no manifest")
