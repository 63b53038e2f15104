"""Verifying a set: its index, and every golden file down to the values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..cluster import Work, parallel
from ..errors import FileError
from ..storage.golden_file import open_golden
from .index import index_files, read_index
from .making import DIGESTS, VALUES, file_of


@dataclass(frozen=True)
class Fault:
    """A picture whose golden file is not what the index says, and why."""

    name: str
    reason: str


def verify(
    folder: str | Path, *, cluster: str = "local", progress: Callable[[str], None] = lambda name: None
) -> list[Fault]:
    """What is wrong with a set: golden files that are missing, damaged, or of other content than the index has, and files
    that it does not have. `progress(name)` is called with every picture. Raises FileError where the index cannot be used.
    """
    folder = Path(folder)
    index = read_index(folder)
    entries = [entry for entry in index.pictures if not entry.error]
    tasks = [(str((folder / file_of(e.name, index.level)).resolve()), e.content_sha256, e.digests) for e in entries]
    faults = []
    for done in parallel(Work(_do, _begin), tasks, cluster):
        reason = done.error or done.value
        if reason:
            faults.append(Fault(entries[done.index].name, reason))
        progress(entries[done.index].name)
    known = {file_of(entry.name, index.level) for entry in entries} | {path.name for path in index_files(folder)}
    files = (path for suffix in (VALUES, DIGESTS) for path in folder.rglob(f"*{suffix}"))
    strange = (path.relative_to(folder).as_posix() for path in files)
    faults += [Fault(name, "is not in the index") for name in strange if name not in known]
    return sorted(faults, key=lambda fault: fault.name)


def _begin() -> None:
    return None


def _do(state: None, task: tuple[str, str, tuple[str, ...]]) -> str:
    """Why a golden file is not what the index says; "" where it is."""
    path, content, digests = Path(task[0]), task[1], tuple(task[2])
    try:
        with open_golden(path) as found:
            if found.content_sha256 != content:
                return "is of other content than the index says"
            if tuple(tensor.sha256 for tensor in found.tensors.values()) != digests:
                return "lists other hashes of tensors than the index"
            for tensor in found.tensors.values():
                tensor.verified()
    except FileError as error:
        return str(error).removeprefix(f"{path}: ")
    return ""
