"""Both directions: a golden or model file into a folder of files for a test bench, and such a folder into tensors."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..errors import FileError, IntsimError
from ..files import folder_replacing
from ..globs import chooses, require_matches
from ..graph import CONSTANT, INPUT, Graph, digest
from . import manifest, sources
from .constants import package
from .encodings import ENCODINGS, NPZ_NAME, npz_member, npz_value
from .layout import Layout
from .manifest import Entry
from .sources import Source, Tensor, file_sha256
from .stored import Stored

Progress = Callable[[str], None]


def export(
    path: str | Path,
    folder: str | Path,
    *,
    layers: Sequence[str] = (),
    formats: Sequence[str] = ("hex",),
    packages: Sequence[str] = (),
    layout: Layout | None = None,
    graph: Graph | None = None,
    progress: Progress = lambda name: None,
) -> dict[str, Any]:
    """Write tensors of the golden or model file at `path` into `folder`, with a manifest; returns the manifest.

    `layers` are globs of names, ``!glob`` leaving some out. `formats` are keys of `ENCODINGS`, and ``npz``; `packages` keys
    of `LANGUAGES`, for which a golden file takes the `graph` it was made from. The folder is new, empty, or holds an earlier
    export, which is replaced; it changes only when everything is written. `progress(name)` is called before each tensor.
    """
    layout = layout or Layout()
    with sources.opened(path) as source:
        tensors = sources.chosen(source, layers) if formats else []
        stored = {tensor.name: placed(tensor, layout) for tensor in tensors}
        with folder_replacing(folder, manifest.NAME, _own_files) as target:
            records = []
            for tensor in tensors:
                progress(tensor.name)
                records += _write(tensor, stored[tensor.name], formats, target)
            records += _write_npz(tensors, stored, target) if "npz" in formats else []
            record = {
                "schema": manifest.SCHEMA,
                "version": manifest.VERSION,
                "intsim": __version__,
                "source": {
                    "file": source.path.name,
                    "kind": source.kind,
                    "sha256": source.sha256,
                    "model_sha256": source.model_sha256,
                },
                "layout": layout.record(),
                "tensors": records,
                "packages": _write_packages(source, layers, packages, graph or source.graph, target),
            }
            (target / manifest.NAME).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def placed(tensor: Tensor, layout: Layout) -> Stored:
    """A layout on a tensor; an IntsimError names the tensor it does not fit."""
    try:
        return Stored(layout, tensor.shape, tensor.fmt)
    except IntsimError as error:
        raise IntsimError(f"{tensor.name}: {error}") from None


def _write(tensor: Tensor, stored: Stored, formats: Sequence[str], target: Path) -> list[dict[str, Any]]:
    """A tensor's files of every format but ``npz``, and their records."""
    records = []
    values = tensor.values()
    for name in (name for name in formats if name in ENCODINGS):
        encoding, files = ENCODINGS[name], file_names(tensor.stem, stored, name)
        if encoding.by_beats:
            stream = stored.stream(values, tensor.name)
            for file, (start, stop) in zip(files, stored.parts(), strict=True):
                encoding.write(target / file, stream[start:stop], stored)
        else:
            encoding.write(target / files[0], stored.arrange(values, tensor.name), stored)
        records.append(_record(tensor, stored, name, [target / file for file in files]))
    return records


def _write_npz(tensors: Sequence[Tensor], stored: dict[str, Stored], target: Path) -> list[dict[str, Any]]:
    path = target / NPZ_NAME
    arrays: dict[str, Any] = {tensor.stem: npz_value(stored[tensor.name], tensor.values()) for tensor in tensors}
    np.savez(path, **arrays)
    return [_record(tensor, stored[tensor.name], "npz", [path]) for tensor in tensors]


def _write_packages(
    source: Source, layers: Sequence[str], languages: Sequence[str], graph: Graph | None, target: Path
) -> list[dict[str, Any]]:
    if not languages:
        return []
    if graph is None or graph.content_hash != source.model_sha256:
        raise IntsimError(
            f"{source.path}: packages take the model {source.model_sha256[:12]} it was made from; name it with --model"
        )
    require_matches(layers, graph.by_name)
    made: dict[str, str] = {}
    records = []
    for node in graph.nodes:
        if node.op in (INPUT, CONSTANT) or not chooses(layers, node.name):
            continue
        for language in languages:
            file, text = package(graph, node, language)
            if made.setdefault(file, node.name) != node.name:
                raise IntsimError(f"{node.name} and {made[file]} would both be the package {file}; rename one")
            (target / file).write_text(text, encoding="ascii", newline="\n")
            records.append({"node": node.name, "language": language, **_described(target / file)})
    return records


def file_names(stem: str, stored: Stored, encoding: str) -> list[str]:
    """The files of a tensor: one, or as many numbered ones as the layout's `lines` take."""
    if encoding == "npz":
        return [NPZ_NAME]
    suffix = ENCODINGS[encoding].suffix
    if stored.layout.lines is None or not ENCODINGS[encoding].by_beats:
        return [stem + suffix]
    return [f"{stem}-{i:03d}{suffix}" for i, _ in enumerate(stored.parts())]


def _record(tensor: Tensor, stored: Stored, encoding: str, paths: Sequence[Path]) -> dict[str, Any]:
    scale = tensor.scale.tolist() if isinstance(tensor.scale, np.ndarray) else tensor.scale
    return {
        "name": tensor.name,
        "node": tensor.node,
        "shape": list(tensor.shape),
        "format": str(tensor.fmt),
        "scale": scale,
        "values_sha256": tensor.sha256,
        "encoding": encoding,
        "element": str(stored.element),
        "lanes": stored.lanes,
        "beat": stored.beat,
        "beats": stored.beats,
        "arranged": list(stored.arranged),
        "files": [_described(path) for path in paths],
    }


def _described(path: Path) -> dict[str, Any]:
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": file_sha256(path)}


def _own_files(path: Path) -> list[str]:
    """The files an earlier export says are its own."""
    found = manifest.read(path)
    return [*(name for entry in found.entries for name in entry.files), *(name for name, _ in found.packages)]


# --- back -------------------------------------------------------------------------------------------------------------


def imported(
    folder: str | Path,
    manifest_path: str | Path | None = None,
    *,
    encoding: str | None = None,
    progress: Progress = lambda name: None,
) -> tuple[dict[str, NDArray], list[str]]:
    """The tensors in a folder, by name, and the names of those it lacks.

    Without `manifest_path` the folder is an export: its own manifest describes it, and every SHA-256 must match. With one,
    it is what a device dumped under the same names and layout: its values are its own, and it may lack some. `encoding`
    chooses one where a tensor was exported in several. Padding, and bits that no element takes, are not looked at.
    """
    folder = Path(folder)
    found = manifest.read(manifest_path or folder)
    if manifest_path is None:
        folder = found.path.parent
        found.checked()
    return _collected(folder, _by_name(found, encoding), exported=manifest_path is None, progress=progress)


def imported_like(
    folder: str | Path, source: str | Path, layout: Layout, encoding: str, progress: Progress = lambda name: None
) -> tuple[dict[str, NDArray], list[str]]:
    """The tensors in a folder of files named as `export` names them, shapes and formats those of a golden or model file.

    Returns them by name; tensors without a file are left out, as the second list says.
    """
    folder = Path(folder)
    entries = []
    with sources.opened(source) as opened:
        for tensor in opened.tensors:
            if any(folder.glob(f"{tensor.stem}*")) or encoding == "npz":
                stored = placed(tensor, layout)
                entries.append(Entry(tensor.name, stored, encoding, tuple(file_names(tensor.stem, stored, encoding))))
    return _collected(folder, entries, exported=False, progress=progress)


def _by_name(found: manifest.Manifest, encoding: str | None) -> list[Entry]:
    """One entry a tensor: that of the encoding asked for, or the first."""
    entries: dict[str, Entry] = {}
    for entry in found.entries:
        if encoding in (None, entry.encoding):
            entries.setdefault(entry.name, entry)
    if not entries:
        held = ", ".join(dict.fromkeys(entry.encoding for entry in found.entries)) or "packages only"
        raise FileError(f"{found.path}: describes no tensor{f' as {encoding}' if encoding else ''}; it holds {held}")
    return list(entries.values())


def _collected(
    folder: Path, entries: Sequence[Entry], exported: bool, progress: Progress
) -> tuple[dict[str, NDArray], list[str]]:
    tensors, missing = {}, []
    for entry in entries:
        progress(entry.name)
        there = [name for name in entry.files if (folder / name).is_file()]
        if not there:
            missing.append(entry.name)
            continue
        if len(there) < len(entry.files):
            lost = min(set(entry.files) - set(there))
            raise FileError(f"{folder / lost}: is missing; {entry.name} takes {len(entry.files)} files")
        tensors[entry.name] = _read(folder, entry)
        if exported and digest(tensors[entry.name]) != entry.values_sha256:
            raise FileError(f"{folder}: {entry.name} does not come back as it was exported; the manifest was altered")
    if not tensors:
        due = entries[0].files[0] if entries else "NODE.hex"
        raise FileError(f"{folder}: holds none of the files that are due, such as {due}")
    return tensors, missing


def _read(folder: Path, entry: Entry) -> NDArray:
    stored = entry.stored
    if entry.encoding == "npz":
        return stored.restore(npz_member(folder / entry.files[0], entry.stem, stored))
    encoding = ENCODINGS[entry.encoding]
    if not encoding.by_beats:
        return stored.restore(encoding.read(folder / entry.files[0], stored, stored.beats))
    parts = [
        encoding.read(folder / file, stored, stop - start)
        for file, (start, stop) in zip(entry.files, stored.parts(), strict=True)
    ]
    return stored.restore(np.concatenate(parts))
