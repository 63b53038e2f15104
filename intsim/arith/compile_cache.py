"""Compiled kernels on disk, verified before any of their code is loaded.

Numba stores each compiled function as a pickle with machine code in it, and trusts what it finds: a damaged file can end in
a segmentation fault. Here every file begins with the SHA-256 of its own name and content; one that does not match is not
loaded, the kernel is compiled again, and the file replaced.
"""

from __future__ import annotations

import hashlib
import logging
import pickle
import shutil
from pathlib import Path
from typing import Any

from numba.core import caching

from .. import memory

LOG = logging.getLogger(__name__)
DIGEST = hashlib.sha256().digest_size
COMPILING = 64 << 20  # bytes that LLVM may need: it ends the process where it gets none
Base: Any = caching.IndexDataCacheFile  # a module without types


class VerifiedFiles(Base):  # type: ignore[misc]
    """The files of one function: an index of its signatures, and one file of compiled code for each."""

    def save(self, key: Any, data: Any) -> None:
        """Store an entry; a full or read-only disk costs only that the kernel is compiled again another time."""
        try:
            super().save(key, data)
        except OSError as error:
            LOG.info("a compiled kernel was not stored, and will be compiled again: %s", error)

    def _load_index(self) -> dict[Any, str]:
        memory.require(COMPILING)
        try:
            version, stamp, names = pickle.loads(_verified(Path(self._index_path)))
        except (OSError, ValueError):
            return {}
        return dict(names) if (version, stamp) == (self._version, self._source_stamp) else {}

    def _save_index(self, overloads: dict[Any, str]) -> None:
        self._write(Path(self._index_path), self._dump((self._version, self._source_stamp, overloads)))

    def _load_data(self, name: str) -> Any:
        return pickle.loads(_verified(Path(self._data_path(name))))  # an OSError means to the caller: there is none

    def _save_data(self, name: str, data: Any) -> None:
        self._write(Path(self._data_path(name)), self._dump(data))

    def _write(self, path: Path, content: bytes) -> None:
        if path.is_dir() and not path.is_symlink():  # in whose place a file cannot be put
            shutil.rmtree(path)
        with self._open_for_write(str(path)) as file:
            file.write(_digest(path, content) + content)


def _digest(path: Path, content: bytes) -> bytes:
    """The hash of a file's name and content: an entry under another one's name is none."""
    return hashlib.sha256(path.name.encode() + b"\0" + content).digest()


def _verified(path: Path) -> bytes:
    """The content of a file; an OSError where it is not what was written."""
    if not path.is_file():  # a pipe would be waited for
        raise OSError(f"{path}: is not a file")
    stored = path.read_bytes()
    content = stored[DIGEST:]
    if _digest(path, content) != stored[:DIGEST]:
        LOG.info("%s is damaged; its kernel is compiled again", path)
        raise OSError(f"{path}: damaged")
    return content


def verify(compiled: Any) -> None:
    """Let a Numba dispatcher with a cache on disk use verified files; with the compiler switched off there is none."""
    cache = getattr(compiled, "_cache", None)
    if isinstance(cache, caching.FunctionCache):
        verified = VerifiedFiles.__new__(VerifiedFiles)
        verified.__dict__.update(cache._cache_file.__dict__)
        cache._cache_file = verified
