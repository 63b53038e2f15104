"""Folders of a reference in another language: C, C for DPI with its package, SystemVerilog functions, or JavaScript."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .._version import __version__
from ..dialects import DIALECTS, Dialect
from ..engine.graph import Graph
from ..errors import IntsimError
from ..ops import REGISTRY
from ..storage.files import file_sha256, folder_replacing
from .c_library import CLibrary
from .c_network import CNetwork
from .c_operator import suffix_of
from .dpi import dpi_files
from .js_library import JsLibrary
from .sv_form import CORES, package

C, DPI, SV, JS = "c", "dpi", "sv", "js"
LANGUAGES = (C, DPI, SV, JS)
MANIFEST = "reference.json"


@dataclass(frozen=True)
class Reference:
    """What was written: file names, functions or operators, and of a network the bytes of its memory and its weights."""

    folder: Path
    files: tuple[str, ...]
    ops: tuple[str, ...]
    dialects: tuple[str, ...]
    arena: int | None = None
    weights: int | None = None


def write_reference(
    language: str,
    folder: str | Path,
    graph: Graph | None = None,
    dialects: Sequence[Dialect] = (),
    ops: Sequence[str] = (),
    arena: int | None = None,
    image: bool | None = None,
) -> Reference:
    """Write operators (`ops`, or all) in some dialects (or all), with a `graph` its network, to a new or own folder.

    `arena` limits the network's memory in bytes; `image` decides whether its weights are a binary file, as they are by
    default where they are large. Raises IntsimError for an operator that has no form, a graph together with operators or
    dialects, and a folder with files of others.
    """
    for op in ops if language != SV else ():  # which has cores of its own
        if op not in REGISTRY:
            raise IntsimError(f"there is no operator {op!r}; there are: {', '.join(sorted(REGISTRY))}")
    if graph is not None and (ops or dialects or language != C):
        raise IntsimError("a network in C has its own operators and dialect; name none, and the language c")
    rules = list(dialects) or list(DIALECTS.values())
    size = weights = None
    files: dict[str, str | bytes]
    if graph is not None:
        network = CNetwork(graph, arena, image)
        files, chosen, rules = network.files(), tuple(network.library.ops), [graph.dialect]
        size, weights = network.arena, len(network.bytes)
    elif language == SV:
        chosen = tuple(ops) or tuple(CORES)
        files = {f"intsim_{suffix_of(d)}_pkg.sv": package(d, chosen) for d in rules}
        if len(files) < len(rules):
            raise IntsimError("two of the dialects have one name in identifiers; rename one")
    elif language == JS:
        modules = JsLibrary(list(ops) or list(REGISTRY), rules)
        files, chosen = dict(modules.files()), tuple(modules.ops)
    else:
        library = CLibrary(list(ops) or list(REGISTRY), rules)
        files, chosen = dict(library.files(dpi=language == DPI)), tuple(library.ops)
        if language == DPI:
            files |= dpi_files(library)
    names = tuple(files)
    with folder_replacing(folder, MANIFEST, _own_files) as target:
        for name, text in files.items():
            (target / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        listed = [{"file": name, "sha256": file_sha256(target / name)} for name in names]
        record = {
            "format": "intsim-reference",
            "version": 1,
            "intsim": __version__,
            "language": language,
            "dialects": [d.name for d in rules],
            "operators": list(chosen),
            "model_sha256": graph.content_hash if graph is not None else None,
            "arena_bytes": size,
            "weights_bytes": weights,
            "files": listed,
            "built": sorted(_built(names)),  # what make leaves beside them
        }
        (target / MANIFEST).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return Reference(Path(folder), names, chosen, tuple(d.name for d in rules), size, weights)


def _built(names: Iterable[str]) -> set[str]:
    """What the Makefile builds from files of these names."""
    stems = {name.removesuffix(".c") for name in names if name.endswith(".c")}
    programs = {stem for stem in stems if stem.startswith("selftest_") or stem == "run"}
    return {f"{stem}.o" for stem in stems} | programs | {"libintsim.a", "libintsim_dpi.so"}


def _own_files(manifest: Path) -> Iterable[str]:
    """The files that an earlier reference wrote."""
    try:
        record = json.loads(manifest.read_text(encoding="utf-8"))
        if record["format"] != "intsim-reference":
            raise ValueError
        return [*(str(entry["file"]) for entry in record["files"]), *map(str, record.get("built", []))]
    except (ValueError, KeyError, TypeError, OSError):
        raise IntsimError(f"{manifest}: is not what 'intsim export' wrote; name a new folder") from None
