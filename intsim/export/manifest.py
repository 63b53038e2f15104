"""The manifest of an export: what every file in it is, by which layout, and its SHA-256 (docs/manifest-v1.schema.json)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import resources
from ..arith import format_named
from ..errors import FileError, IntsimError
from .layout import Layout
from .sources import file_sha256, stem
from .stored import Stored

SCHEMA, VERSION, NAME = "intsim-manifest", 1, "manifest.json"


@dataclass(frozen=True)
class Entry:
    """One tensor in one encoding: how it is stored, its files in order, and the SHA-256 of each."""

    name: str
    stored: Stored
    encoding: str
    files: tuple[str, ...]
    sha256: tuple[str, ...] = ()
    values_sha256: str = ""

    @property
    def stem(self) -> str:
        """Its files' name without an ending."""
        return stem(self.name)


@dataclass(frozen=True)
class Manifest:
    """A manifest that was read and found well formed."""

    path: Path
    entries: tuple[Entry, ...]
    packages: tuple[tuple[str, str], ...]  # file and SHA-256

    def checked(self) -> None:
        """FileError unless every file beside the manifest is there and has the SHA-256 it says."""
        for name, sha256 in self._files():
            path = self.path.parent / name
            if not path.is_file():
                raise FileError(f"{path}: is missing, but {self.path.name} lists it; export again")
            if file_sha256(path) != sha256:
                raise FileError(
                    f"{path}: its SHA-256 is not the one in {self.path.name}; it was altered. Export again, or read a "
                    f"device's own values with --manifest {self.path}"
                )

    def _files(self) -> Iterator[tuple[str, str]]:
        for entry in self.entries:
            yield from zip(entry.files, entry.sha256, strict=True)
        yield from self.packages


def read(path: str | Path) -> Manifest:
    """The manifest in a file, or in a folder; a FileError says what is wrong with it."""
    path = Path(path) / NAME if Path(path).is_dir() else Path(path)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileError(f"{path}: there is no such manifest; 'intsim export' writes one") from None
    except (ValueError, RecursionError):
        raise FileError(f"{path}: is not JSON; export again") from None
    validate(record, path)
    try:
        layout = Layout.of(record["layout"], str(record["layout"]["name"]))
        entries = tuple(_entry(tensor, layout) for tensor in record["tensors"])
    except (IntsimError, ValueError) as error:
        raise FileError(f"{path}: {error}") from None
    return Manifest(path, entries, tuple((p["file"], p["sha256"]) for p in record["packages"]))


def _entry(tensor: dict[str, Any], layout: Layout) -> Entry:
    stored = Stored(layout, tuple(tensor["shape"]), format_named(tensor["format"]))
    files = tuple(file["file"] for file in tensor["files"])
    sha256 = tuple(file["sha256"] for file in tensor["files"])
    return Entry(tensor["name"], stored, tensor["encoding"], files, sha256, tensor["values_sha256"])


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
