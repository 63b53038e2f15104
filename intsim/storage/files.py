"""Atomic file writing: a temporary file next to the target is renamed to it when it is complete."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import FileError

PART = ".part"  # the suffix of what is not complete yet


def _prefix(name: str) -> str:
    """The beginning of the name of a temporary file for `name`: it says which process of which machine writes it."""
    return f".{name}.{platform.node()}-{os.getpid()}-"


def _remove_leftovers(folder: Path, name: str) -> None:
    """Remove temporary files for `name` whose process was killed: of this machine, and no longer running."""
    written = re.compile(rf"\.{re.escape(name)}\.{re.escape(platform.node())}-(\d+)-.*{re.escape(PART)}")
    for found in os.listdir(folder) if folder.is_dir() else ():  # which may be thousands: golden sets
        if found.startswith(f".{name}.") and (match := written.fullmatch(found)) and not _runs(int(match[1])):
            entry = folder / found
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True  # another user's
    return True


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary file next to `path`, renamed to `path` when the block succeeds and deleted when it fails."""
    target = writable(path)
    try:
        _remove_leftovers(target.parent, target.name)
        handle, name = tempfile.mkstemp(prefix=_prefix(target.name), suffix=PART, dir=target.parent)
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

    `folder` must be new, empty, or contain the file `marker`; then the files that `owned(marker)` names, those in folders
    of it by their paths, are replaced.
    """
    target = Path(os.path.realpath(folder))
    if target.exists() and not target.is_dir():
        raise FileError(f"{folder}: is a file; name a folder")
    if not target.parent.is_dir():
        raise FileError(f"{folder}: its folder {Path(folder).parent} does not exist; create it first")
    for parent in (target, target.parent):
        _remove_leftovers(parent, target.name)
    ours = {marker, *owned(target / marker)} if (target / marker).is_file() else set()
    existing, others, irregular = _sorted_out(target, ours)
    if irregular:
        raise FileError(f"{folder}: its entry {irregular[0]} is not a file; name a new folder")
    if others:
        raise FileError(f"{folder}: contains {min(others)}, which would be mixed with the new files; name a new folder")
    new = not target.exists()
    try:  # inside an existing folder, since that folder may be a file system of its own
        parent = target.parent if new else target
        temporary = Path(tempfile.mkdtemp(prefix=_prefix(target.name), suffix=PART, dir=parent))
    except OSError as error:
        raise FileError(f"{folder}: cannot create files there ({error.strerror}); choose another folder") from None
    try:
        yield temporary
        target.mkdir(exist_ok=True)
        files = (entry.relative_to(temporary).as_posix() for entry in temporary.rglob("*") if not entry.is_dir())
        written = sorted(files, key=lambda name: (name == marker, name))  # the marker last
        for name in written:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (temporary / name).replace(target / name)
        for name in existing - set(written):
            (target / name).unlink()
        for parent in sorted({parent for name in existing for parent in Path(name).parents if parent.name}, reverse=True):
            with suppress(OSError):  # it is not empty
                (target / parent).rmdir()
    except OSError as error:
        raise _disk_full_named(folder, error) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sorted_out(folder: Path, ours: set[str], within: str = "") -> tuple[set[str], list[str], list[str]]:
    """What a folder contains, by paths: files that are `ours`, others, and what has a name of ours and is no file."""
    existing: set[str] = set()
    others: list[str] = []
    irregular: list[str] = []
    for entry in sorted(folder.iterdir()) if folder.exists() else ():
        name = f"{within}{entry.name}"
        if name in ours:
            if entry.is_file():
                existing.add(name)
            else:
                irregular.append(name)
        elif entry.is_dir() and not entry.is_symlink() and any(own.startswith(f"{name}/") for own in ours):
            inside = _sorted_out(entry, ours, f"{name}/")
            existing |= inside[0]
            others += inside[1]
            irregular += inside[2]
        else:
            others.append(name)
    return existing, others, irregular


def _disk_full_named(path: str | Path, error: OSError) -> OSError | FileError:
    """A FileError that names the file if the disk is full; any other error unchanged."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return error
    reason = os.strerror(error.errno)  # HDF5's own message takes several lines
    return FileError(f"{path}: could not be written completely ({reason}); nothing was changed")


def same_file(a: Path, b: Path) -> bool:
    """Whether two paths lead to the same place; links that lead to themselves are no error."""
    return os.path.realpath(a) == os.path.realpath(b)


def require_file(path: Path, what: str = "a file") -> None:
    """FileError unless `path` is a regular file, said before anything waits for a pipe: expected is `what`."""
    if path.is_file():
        return
    if path.is_dir():
        raise FileError(f"{path}: is a folder, not {what}")
    if path.exists():
        raise FileError(f"{path}: is not a regular file; expected {what}")
    raise FileError(f"{path}: " + ("is a link to nothing" if path.is_symlink() else "no such file"))


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
