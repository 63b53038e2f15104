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
    return f".{name}.{platform.node()}-{os.getpid()}.{_started(os.getpid())}-"


def _temporary(folder: Path, name: str) -> Iterator[tuple[Path, bool]]:
    """The temporary files and folders for `name`, and whether each was left by a process of this machine that was killed."""
    writer = re.compile(rf"\.{re.escape(name)}\.(.*)-(\d+)(?:\.(\d*))?-[^-]*{re.escape(PART)}")
    for found in os.listdir(folder) if folder.is_dir() else ():  # which may be thousands: golden sets
        if found.startswith(f".{name}.") and (match := writer.fullmatch(found)):
            node, process, started = match.groups()
            yield folder / found, node == platform.node() and not _runs(int(process), started or "")


def _remove(leftovers: Iterable[Path]) -> None:
    for entry in leftovers:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def _runs(process: int, started: str) -> bool:
    """Whether a process runs that is not another one under the same number."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # another user's
    return not started or _started(process) in ("", started)


def _started(process: int) -> str:
    """When a process was started, in the kernel's ticks; "" where the system does not say."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary file next to `path`, renamed to `path` when the block succeeds and deleted when it fails."""
    target = writable(path)
    try:
        _remove(path for path, left in _temporary(target.parent, target.name) if left)
        handle, name = tempfile.mkstemp(prefix=_prefix(target.name), suffix=PART, dir=target.parent)
    except OSError as error:
        raise FileError(f"{path}: cannot create a file there ({error.strerror}); choose another folder") from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_mask())  # mkstemp creates private files; give this one the default permissions
        temporary.replace(target)
    except OSError as error:
        raise _disk_full_named(path, error) from None
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder_replacing(folder: str | Path, marker: str, owned: Callable[[Path], Iterable[str]]) -> Iterator[Path]:
    """A temporary folder whose files move into `folder` when the block succeeds; deleted when it fails.

    `folder` must be new, empty, or contain the file `marker`; then the files that `owned(marker)` names, those in folders
    of it by their paths, are replaced. So is what a killed process has left of its files.
    """
    target = Path(os.path.realpath(folder))
    if target.exists() and not target.is_dir():
        raise FileError(f"{folder}: is a file; name a folder")
    if not target.parent.is_dir():
        raise FileError(f"{folder}: its folder {Path(folder).parent} does not exist; create it first")
    others = dict(pair for parent in (target, target.parent) for pair in _temporary(parent, target.name))
    leftovers = [path for path, left in others.items() if left]
    ours = {marker, *owned(target / marker)} if (target / marker).is_file() else set()
    for left in leftovers:  # a process that was killed while its files moved had moved all but the marker at most
        with suppress(FileError):
            ours |= {marker, *owned(left / marker)} if (left / marker).is_file() else set()
    existing, foreign, irregular = _sorted_out(target, ours, {path.name for path in others})
    if irregular:
        raise FileError(f"{folder}: its entry {irregular[0]} is not a file; name a new folder")
    if foreign:
        raise FileError(f"{folder}: contains {min(foreign)}, which would be mixed with the new files; name a new folder")
    new = not target.exists()
    try:  # inside an existing folder, since that folder may be a file system of its own
        parent = target.parent if new else target
        temporary = Path(tempfile.mkdtemp(prefix=_prefix(target.name), suffix=PART, dir=parent))
    except OSError as error:
        raise FileError(f"{folder}: cannot create files there ({error.strerror}); choose another folder") from None
    try:
        yield temporary
        if new:
            temporary.chmod(0o777 & ~_mask())  # mkdtemp creates private folders
            temporary.rename(target)
        else:
            _move(temporary, target, marker, existing)
        _remove(leftovers)
    except OSError as error:
        raise _disk_full_named(folder, error) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _move(temporary: Path, target: Path, marker: str, existing: set[str]) -> None:
    """Move the files of a folder into another one, the marker last, and remove what is left of those `existing` there."""
    files = (entry.relative_to(temporary).as_posix() for entry in temporary.rglob("*") if not entry.is_dir())
    written = sorted(files, key=lambda name: (name == marker, name))
    for name in written:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (temporary / name).replace(target / name)
    for name in existing - set(written):
        (target / name).unlink()
    for parent in sorted({parent for name in existing for parent in Path(name).parents if parent.name}, reverse=True):
        with suppress(OSError):  # it is not empty
            (target / parent).rmdir()


def _mask() -> int:
    """The permissions that new files do not get."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sorted_out(folder: Path, ours: set[str], ignored: set[str], within: str = "") -> tuple[set[str], list[str], list[str]]:
    """What a folder contains besides what is `ignored`, by paths: files that are `ours`, others, and what has a name of ours
    and is no file.
    """
    existing: set[str] = set()
    others: list[str] = []
    irregular: list[str] = []
    for entry in sorted(folder.iterdir()) if folder.exists() else ():
        name = f"{within}{entry.name}"
        if name in ignored:
            continue
        if name in ours:
            if entry.is_file():
                existing.add(name)
            else:
                irregular.append(name)
        elif entry.is_dir() and not entry.is_symlink() and any(own.startswith(f"{name}/") for own in ours):
            inside = _sorted_out(entry, ours, ignored, f"{name}/")
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
        link = f"leads to {target}; " if path.is_symlink() else ""
        raise FileError(f"{path}: {link}its folder {target.parent if link else path.parent} {problem}")
    if target.exists() and not target.is_file():
        raise FileError(f"{path}: is not a regular file and cannot be replaced atomically; name a new one")
    return target


def require_room(path: str | Path, size: int) -> None:
    """FileError unless the `size` bytes that are needed in any case can be written next to `path`, into one file."""
    room = shutil.disk_usage(writable(path).parent).free
    with suppress(ImportError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        room = room if limit == resource.RLIM_INFINITY else min(room, limit)
    _require(path, size, room)


def require_room_for_files(folder: Path, size: int) -> None:
    """FileError unless the `size` bytes of several files that are needed in any case can be written into `folder`."""
    _require(folder, size, shutil.disk_usage(folder).free)


def _require(path: str | Path, size: int, room: int) -> None:
    if room < size:
        raise FileError(f"{path}: needs at least {size:,} bytes, but only {room:,} are free; nothing was changed")
