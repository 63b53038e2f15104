"""The index of a golden set: which pictures, what of which model, and the hash of every tensor.

``set.json`` is JSON in canonical form with the keys of `SetIndex`, and ``index_sha256``, the SHA-256 of all others in that
form. Nothing in it depends on where, when or on how many machines the set was made. A shard's index is
``set.I-of-N.json``; `merge` joins them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..engine.graph import hash_of
from ..errors import FileError, IntsimError, printable
from ..storage.files import replacing, require_file

FORMAT, VERSION = "intsim-set", 1
INDEX = "set.json"
SHARD = re.compile(r"set\.(\d+)-of-(\d+)\.json")
LARGEST = 1 << 31  # bytes of an index that is read
HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Entry:
    """One picture: its name in the set (``NAME.h5`` is its golden file), the hash of its pixels, that of the golden file's
    content, and those of its tensors in the order of the set's `tensors`; or why there is none (`error`).
    """

    name: str
    image_sha256: str = ""
    content_sha256: str = ""
    digests: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class SetIndex:
    """The index of a set, or of one of its shards (`shard` is (I, N)). `pictures` are in the order of their names."""

    model_sha256: str
    dialect: str
    numerics: str
    level: str
    layers: tuple[str, ...]
    tensors: tuple[str, ...]
    pictures: tuple[Entry, ...]
    shard: tuple[int, int] = (1, 1)

    @property
    def failed(self) -> tuple[Entry, ...]:
        """The pictures that could not be used."""
        return tuple(entry for entry in self.pictures if entry.error)

    @property
    def sha256(self) -> str:
        """The hash of the index."""
        return hash_of(self._content())

    def _content(self) -> dict[str, Any]:
        pictures = [
            {"name": e.name, "error": e.error}
            if e.error
            else {
                "name": e.name,
                "image_sha256": e.image_sha256,
                "content_sha256": e.content_sha256,
                "digests": list(e.digests),
            }
            for e in self.pictures
        ]
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        plain = {key: list(value) if isinstance(value, tuple) else value for key, value in own.items()}
        return {"schema": FORMAT, "version": VERSION, **plain, "pictures": pictures}

    def record(self) -> dict[str, Any]:
        """As plain data, with its hash."""
        return {**self._content(), "index_sha256": self.sha256}

    def write(self, folder: Path) -> Path:
        """Write it in the folder of the set; returns its path."""
        first, count = self.shard
        path = folder / (INDEX if count == 1 else f"set.{first}-of-{count}.json")
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(self.record(), sort_keys=True, separators=(",", ":")) + "\n", encoding="utf-8")
        return path


def index_files(folder: Path) -> list[Path]:
    """The index of a set, or those of its shards."""
    if (folder / INDEX).is_file():
        return [folder / INDEX]
    return sorted(path for path in folder.glob("set.*-of-*.json") if SHARD.fullmatch(path.name))


def read_index(path: str | Path) -> SetIndex:
    """The index of a set, from its file or its folder.

    Raises FileError for one that is missing, is of shards that are not merged, is not a set's, or was altered.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / INDEX).is_file():
            shards = index_files(path)
            hint = "; its shards are not merged: intsim set merge" if shards else ""
            raise FileError(f"{path}: is a folder, not a file, and has no {INDEX}{hint}")
        path = path / INDEX
    require_file(path, "the index of a set")
    if path.stat().st_size > LARGEST:
        raise FileError(f"{path}: has {path.stat().st_size:,} bytes, more than any index")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["schema"] != FORMAT:
            raise ValueError("another schema")
        if found["version"] != VERSION:
            raise FileError(f"{path}: is version {found['version']} of a set, this intsim reads version {VERSION}")
        index = _parsed(found)
    except FileError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise FileError(f"{path}: is not the index of a set") from None
    if index.sha256 != found.get("index_sha256"):
        raise FileError(f"{path}: does not match its own hash; it was altered, make it again with intsim golden")
    return index


def _parsed(found: dict[str, Any]) -> SetIndex:
    pictures = []
    for entry in found["pictures"]:
        name, error = str(entry["name"]), str(entry.get("error", ""))
        parts = Path(name).parts
        if not parts or Path(name).is_absolute() or ".." in parts:
            raise ValueError("a name outside the set")
        if not error and not all(HASH.fullmatch(entry[key]) for key in ("image_sha256", "content_sha256")):
            raise ValueError("no hash")
        pictures.append(
            Entry(name, error=error)
            if error
            else Entry(name, entry["image_sha256"], entry["content_sha256"], tuple(map(str, entry["digests"])))
        )
    first, count = found["shard"]
    texts = {key: str(found[key]) for key in ("model_sha256", "dialect", "numerics", "level")}
    layers, tensors = tuple(map(str, found["layers"])), tuple(map(str, found["tensors"]))
    return SetIndex(**texts, layers=layers, tensors=tensors, pictures=tuple(pictures), shard=(int(first), int(count)))


def merge(folder: str | Path) -> SetIndex:
    """Join the shards in a folder to one set, and write its index.

    Raises FileError where there are none, and IntsimError where one is missing, two overlap, or they are of different
    models, dialects, versions or levels.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileError(f"{folder}: " + ("is not a folder" if folder.exists() else "no such folder"))
    paths = sorted(path for path in folder.glob("set.*-of-*.json") if SHARD.fullmatch(path.name))
    if not paths:
        raise FileError(f"{folder}: has no shards to merge")
    shards = [read_index(path) for path in paths]
    _require_alike(paths, shards)
    count = shards[0].shard[1]
    numbers = [index.shard[0] for index in shards]
    if missing := sorted(set(range(1, count + 1)) - set(numbers)):
        raise IntsimError(f"{folder}: shard {missing[0]} of {count} is missing; make it, then merge")
    entries: dict[str, Entry] = {}
    for path, index in zip(paths, shards, strict=True):
        for entry in index.pictures:
            if entry.name in entries:
                raise IntsimError(
                    f"{path}: {printable(entry.name)} is in another shard, too; were they made of other folders?"
                )
            entries[entry.name] = entry
    first = shards[0]
    tensors = next((index.tensors for index in shards if index.tensors), ())
    joined = SetIndex(
        first.model_sha256,
        first.dialect,
        first.numerics,
        first.level,
        first.layers,
        tensors,
        tuple(entries[name] for name in sorted(entries)),
    )
    joined.write(folder)
    for path in paths:
        path.unlink()
    return joined


def _require_alike(paths: Sequence[Path], shards: Sequence[SetIndex]) -> None:
    words = {
        "model_sha256": "model",
        "dialect": "dialect",
        "numerics": "version of intsim's arithmetic",
        "level": "level",
        "layers": "choice of layers",
    }
    for path, index in zip(paths, shards, strict=True):
        for key, word in words.items():
            if getattr(index, key) != getattr(shards[0], key):
                raise IntsimError(f"{path}: is of another {word} than {paths[0].name}; merge shards of one set")
        if index.shard[1] != shards[0].shard[1]:
            raise IntsimError(f"{path}: is one of {index.shard[1]} shards, {paths[0].name} one of {shards[0].shard[1]}")
        if index.tensors and index.tensors != next(i.tensors for i in shards if i.tensors):
            raise IntsimError(f"{path}: has other tensors than {paths[0].name}; merge shards of one set")
