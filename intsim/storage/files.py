"""Files written whole or not at all: beside the target first, renamed when they are complete."""

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
    """A temporary file beside `path` that takes its place when the block ends well, and vanishes when it does not."""
    target = writable(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    except OSError as error:
        raise FileError(f"{path}: no file can be written there ({error.strerror}); choose another folder") from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp's files are private; an ordinary new file is not
        temporary.replace(target)
    except OSError as error:
        raise _explained(path, error) from None
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder_replacing(folder: str | Path, marker: str, owned: Callable[[Path], Iterable[str]]) -> Iterator[Path]:
    """A temporary folder whose files move into `folder` when the block ends well, and vanish when it does not.

    `folder` is new, empty, or holds the file `marker`: then what `owned` of it names is ours, and is replaced.
    """
    target = Path(os.path.realpath(folder))
    if target.exists() and not target.is_dir():
        raise FileError(f"{folder}: is a file; name a folder")
    if not target.parent.is_dir():
        raise FileError(f"{folder}: its folder {Path(folder).parent} does not exist; make it first")
    held = {entry.name for entry in target.iterdir()} if target.exists() else set()
    ours = {marker, *owned(target / marker)} if marker in held else set()
    if folders := [name for name in ours & held if not (target / name).is_file()]:
        raise FileError(f"{folder}: {folders[0]} in it is no file; name a new folder")
    if held - ours:
        raise FileError(f"{folder}: holds {min(held - ours)}, which would be mixed with what is written; name a new folder")
    new = not target.exists()
    try:  # inside the folder where there is one: it may be a file system of its own
        made = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent if new else target))
    except OSError as error:
        raise FileError(f"{folder}: no files can be written there ({error.strerror}); choose another folder") from None
    try:
        yield made
        target.mkdir(exist_ok=True)
        written = sorted(made.iterdir(), key=lambda entry: entry.name == marker)  # what describes the others, last
        for entry in written:
            entry.replace(target / entry.name)
        for name in ours & held - {entry.name for entry in written}:
            (target / name).unlink()
    except OSError as error:
        raise _explained(folder, error) from None
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _explained(path: str | Path, error: OSError) -> OSError | FileError:
    """A disk that is full as a line that names the file; any other error as it is."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return error
    said = os.strerror(error.errno)  # what HDF5 says takes several lines
    return FileError(f"{path}: could not be written whole ({said}); nothing was changed")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def writable(path: str | Path) -> Path:
    """Where a file written to `path` will stand, links followed; FileError where there can be none."""
    path = Path(path)
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise FileError(f"{path}: is a folder; name a file in it")
    if not target.parent.is_dir():
        missing = "is not a folder" if target.parent.exists() else "does not exist; make it first"
        raise FileError(f"{path}: its folder {path.parent} {missing}")
    if target.exists() and not target.is_file():
        raise FileError(f"{path}: is not an ordinary file; files are written whole and then renamed, name a new one")
    return target


def require_room(path: str | Path, size: int) -> None:
    """FileError unless `size` bytes may be written beside `path`: HDF5 does not survive a disk that is full at the wrong
    moment.
    """
    room = shutil.disk_usage(writable(path).parent).free
    with suppress(ImportError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        room = room if limit == resource.RLIM_INFINITY else min(room, limit)
    if room < size:
        raise FileError(f"{path}: takes up to {size:,} bytes, and there is room for {room:,}; nothing was changed")
