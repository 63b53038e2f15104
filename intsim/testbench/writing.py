"""Exports a golden or model file into a folder of files for a test bench, with a manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._version import __version__
from ..engine.graph import CONSTANT, INPUT, Graph
from ..engine.interpreter import Progress
from ..engine.names import chooses, require_matches
from ..errors import IntsimError
from ..storage import npy
from ..storage.files import file_sha256, folder_replacing, require_room_for_files
from ..storage.golden_file import open_golden
from ..storage.model_file import model_behind
from . import manifest, sources
from .constants import LANGUAGES, package
from .encodings import ENCODINGS, FORMATS, NPZ_NAME, identifier, least_bytes, npz_value
from .layout import BeatLayout, layout_named
from .manifest import file_names
from .packing import Packing
from .sources import ExportSource, ExportTensor, stem


@dataclass(frozen=True)
class Exported:
    """What was written into `folder`; `record` is its manifest as plain data."""

    folder: Path
    record: dict[str, Any]

    @property
    def tensors(self) -> list[str]:
        """The names of the tensors, each once however many formats it was written in."""
        return list(dict.fromkeys(tensor["name"] for tensor in self.record["tensors"]))

    @property
    def packages(self) -> int:
        """The number of packages of constants."""
        return len(self.record["packages"])

    @property
    def size(self) -> int:
        """Bytes of all files of tensors."""
        files = {file["file"]: file["bytes"] for tensor in self.record["tensors"] for file in tensor["files"]}
        return sum(files.values())


def export(
    path: str | Path,
    folder: str | Path,
    *,
    layers: Sequence[str] = (),
    formats: Sequence[str] = ("hex",),
    packages: Sequence[str] = (),
    layout: BeatLayout | str | None = None,
    model: str | Path | Graph | None = None,
    progress: Progress = lambda name: None,
) -> Exported:
    """Write tensors of the golden or model file at `path` into `folder`, with a manifest.

    `layers` are globs of names, ``!glob`` excludes names. `formats` are members of `FORMATS`. `packages` are keys of
    `LANGUAGES`; for a golden file they need its model: `model`, the shipped one, or one next to it. `layout` is one of
    `BEAT_LAYOUTS` by name, a TOML file, or a BeatLayout. The folder must be new, empty, or contain an earlier export, which
    is replaced; it is changed only when all files are complete. `progress(name)` is called before each tensor.
    """
    layout = layout_named(layout) if isinstance(layout, str) else layout or BeatLayout()
    formats, packages = tuple(dict.fromkeys(formats)), tuple(dict.fromkeys(packages))
    for name in (*(f for f in formats if f not in FORMATS), *(p for p in packages if p not in LANGUAGES)):
        raise IntsimError(f"{name!r} is neither a format ({', '.join(FORMATS)}) nor a package ({', '.join(LANGUAGES)})")
    if not formats and not packages:
        raise IntsimError("nothing to export; name a format or a package")
    with sources.open_source(path) as source:
        tensors = sources.select_tensors(source, layers) if formats else []
        packings = {tensor.name: packing_of(tensor, layout) for tensor in tensors}
        if "c" in formats:
            _require_distinct_identifiers(tensors)
        least = sum(least_bytes(name, packing) for packing in packings.values() for name in formats)
        with folder_replacing(folder, manifest.NAME, _own_files) as target:
            require_room_for_files(target, least)
            records = []
            for tensor in tensors:
                progress(tensor.name)
                try:
                    records += _write(tensor, packings[tensor.name], formats, target)
                except MemoryError:
                    raise packings[tensor.name].too_large(tensor.name) from None
            records += _write_npz(tensors, packings, target) if "npz" in formats else []
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
                "packages": _write_packages(source, layers, packages, model, target),
            }
            (target / manifest.NAME).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return Exported(Path(folder), record)


def packing_of(tensor: ExportTensor, layout: BeatLayout) -> Packing:
    """A layout applied to a tensor; an IntsimError names a tensor that the layout does not fit."""
    try:
        return Packing(layout, tensor.shape, tensor.fmt)
    except IntsimError as error:
        raise IntsimError(f"{tensor.name}: {error}") from None


def _require_distinct_identifiers(tensors: Sequence[ExportTensor]) -> None:
    """An IntsimError if two tensors would have the same identifier in C."""
    owners: dict[str, str] = {}
    for tensor in tensors:
        word = identifier(stem(tensor.name))
        if owners.setdefault(word, tensor.name) != tensor.name:
            raise IntsimError(f"{tensor.name} and {owners[word]} would both be {word} in C; export them separately")


def _write(tensor: ExportTensor, packing: Packing, formats: Sequence[str], target: Path) -> list[dict[str, Any]]:
    """Write a tensor's files in every format but ``npz``; returns their records."""
    encodings = [name for name in formats if name in ENCODINGS]
    if not encodings:
        return []
    records, values = [], tensor.values()
    for name in encodings:
        encoding, files = ENCODINGS[name], file_names(tensor.name, packing, name)
        if encoding.by_beats:
            stream = packing.stream(values, tensor.name)
            for file, (start, stop) in zip(files, packing.parts(), strict=True):
                encoding.write(target / file, stream[start:stop], packing)
        else:
            encoding.write(target / files[0], packing.arrange(values, tensor.name), packing)
        records.append(_record(tensor, packing, name, [_file_record(target / file) for file in files]))
    return records


def _write_npz(tensors: Sequence[ExportTensor], packings: Mapping[str, Packing], target: Path) -> list[dict[str, Any]]:
    path = target / NPZ_NAME
    npy.write(
        path, {stem(tensor.name): npz_value(packings[tensor.name], tensor.values(), tensor.name) for tensor in tensors}
    )
    file = _file_record(path)
    return [_record(tensor, packings[tensor.name], "npz", [file]) for tensor in tensors]


def _write_packages(
    source: ExportSource,
    layers: Sequence[str],
    languages: Sequence[str],
    model: str | Path | Graph | None,
    target: Path,
) -> list[dict[str, Any]]:
    if not languages:
        return []
    if source.graph is not None:
        graph = source.graph
    else:
        with open_golden(source.path) as golden:
            graph = model_behind(golden, model)
    require_matches(layers, graph.by_name)
    owners: dict[str, str] = {}
    records = []
    for node in graph.nodes:
        if node.op in (INPUT, CONSTANT) or not chooses(layers, node.name):
            continue
        for language in languages:
            file, text = package(graph, node, language)
            if owners.setdefault(file, node.name) != node.name:
                raise IntsimError(f"{node.name} and {owners[file]} would both be the package {file}; rename one")
            (target / file).write_text(text, encoding="ascii", newline="\n")
            records.append({"node": node.name, "language": language, **_file_record(target / file)})
    return records


def _record(tensor: ExportTensor, packing: Packing, encoding: str, files: Sequence[dict[str, Any]]) -> dict[str, Any]:
    scale = tensor.scale.tolist() if isinstance(tensor.scale, np.ndarray) else tensor.scale
    return {
        "name": tensor.name,
        "node": tensor.node,
        "shape": list(tensor.shape),
        "format": str(tensor.fmt),
        "scale": scale,
        "values_sha256": tensor.sha256,
        "encoding": encoding,
        **manifest.geometry(packing),
        "files": list(files),
    }


def _file_record(path: Path) -> dict[str, Any]:
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": file_sha256(path)}


def _own_files(path: Path) -> list[str]:
    """The files that belong to an earlier export according to its manifest."""
    return [name for name, _, _ in manifest.read(path).files]
