"""Atomic file writing: a temporary file next to the target is renamed to it when it is complete."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import FileError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary file next to `path`, renamed to `path` when the block succeeds and deleted when it fails."""
    target = writable(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    except OSError as error:
        raise FileError(f"{path}: cannot create a file there ({error.strerror}); choose another folder") from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp creates private files; give this one the default permissions
        temporary.replace(target)
    except OSError as error:
        raise _disk_full_named(path, error) from None
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder_replacing(folder: str | Path, marker: str, owned: Callable[[Path], Iterable[str]]) -> Iterator[Path]:
    """A temporary folder whose files move into `folder` when the block succeeds; deleted when it fails.

    `folder` must be new, empty, or contain the file `marker`; then the files that `owned(marker)` names are replaced.
    """
    target = Path(os.path.realpath(folder))
    if target.exists() and not target.is_dir():
        raise FileError(f"{folder}: is a file; name a folder")
    if not target.parent.is_dir():
        raise FileError(f"{folder}: its folder {Path(folder).parent} does not exist; create it first")
    existing = {entry.name for entry in target.iterdir()} if target.exists() else set()
    ours = {marker, *owned(target / marker)} if marker in existing else set()
    if irregular := [name for name in ours & existing if not (target / name).is_file()]:
        raise FileError(f"{folder}: its entry {irregular[0]} is not a file; name a new folder")
    if others := existing - ours:
        raise FileError(f"{folder}: contains {min(others)}, which would be mixed with the new files; name a new folder")
    new = not target.exists()
    try:  # inside an existing folder, since that folder may be a file system of its own
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent if new else target))
    except OSError as error:
        raise FileError(f"{folder}: cannot create files there ({error.strerror}); choose another folder") from None
    try:
        yield temporary
        target.mkdir(exist_ok=True)
        written = sorted(temporary.iterdir(), key=lambda entry: entry.name == marker)  # the marker last
        for entry in written:
            entry.replace(target / entry.name)
        for name in ours & existing - {entry.name for entry in written}:
            (target / name).unlink()
    except OSError as error:
        raise _disk_full_named(folder, error) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _disk_full_named(path: str | Path, error: OSError) -> OSError | FileError:
    """A FileError that names the file if the disk is full; any other error unchanged."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return error
    reason = os.strerror(error.errno)  # HDF5's own message takes several lines
    return FileError(f"{path}: could not be written completely ({reason}); nothing was changed")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def writable(path: str | Path) -> Path:
    """The target of a file written to `path`, with links followed; FileError if it cannot be written."""
    path = Path(path)
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise FileError(f"{path}: is a folder; name a file in it")
    if not target.parent.is_dir():
        problem = "is not a folder" if target.parent.exists() else "does not exist; create it first"
        raise FileError(f"{path}: its folder {path.parent} {problem}")
    if target.exists() and not target.is_file():
        raise FileError(f"{path}: is not a regular file and cannot be replaced atomically; name a new one")
    return target


def require_room(path: str | Path, size: int) -> None:
    """FileError unless `size` bytes can be written next to `path`. Checked first, since HDF5 may crash on a full disk."""
    room = shutil.disk_usage(writable(path).parent).free
    with suppress(ImportError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        room = room if limit == resource.RLIM_INFINITY else min(room, limit)
    if room < size:
        raise FileError(f"{path}: needs up to {size:,} bytes, but only {room:,} are free; nothing was changed")
