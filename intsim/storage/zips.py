"""Members of a zip archive as streams that inflate no more than is asked for.

`zipfile` inflates bz2 and LZMA in whole pieces, of which a hundred bytes can become a gigabyte before any header is seen.
"""

from __future__ import annotations

import bz2
import copy
import io
import lzma
import struct
import zipfile
import zlib
from typing import Any, BinaryIO

PIECE = 1 << 14  # compressed bytes that are read at once


class _Inflated(io.RawIOBase):
    """What a decompressor makes of a stream of compressed bytes, up to the size that the archive states."""

    def __init__(self, packed: BinaryIO, decompressor: Any, info: zipfile.ZipInfo) -> None:
        self.packed, self.decompressor, self.info = packed, decompressor, info
        self.left, self.checksum = info.file_size, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        wanted, data = min(len(buffer), self.left), b""
        while wanted and not data:
            if self.decompressor.eof:
                raise EOFError("it ends early")
            more = self.packed.read(PIECE) if self.decompressor.needs_input else b""
            if self.decompressor.needs_input and not more:
                raise EOFError("it ends early")
            data = self.decompressor.decompress(more, wanted)
        buffer[: len(data)] = data
        self.left, self.checksum = self.left - len(data), zlib.crc32(data, self.checksum)
        if data and not self.left and self.checksum != self.info.CRC:
            raise zipfile.BadZipFile("its checksum is another one")
        return len(data)


def opened(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
    """A stream of a member. Raises what `zipfile` raises, also for methods of compression that are not bounded here."""
    if info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return archive.open(info)  # type: ignore[return-value]
    if info.compress_type not in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        raise NotImplementedError(f"its method of compression, {info.compress_type}, is not supported")
    stored = copy.copy(info)
    stored.compress_type, stored.file_size = zipfile.ZIP_STORED, info.compress_size
    stored.CRC = None  # type: ignore[assignment]  # of the packed bytes there is none
    packed: Any = archive.open(stored)
    decompressor = bz2.BZ2Decompressor() if info.compress_type == zipfile.ZIP_BZIP2 else _lzma(packed, info.file_size)
    return _Inflated(packed, decompressor, info)  # type: ignore[return-value]


def _lzma(packed: BinaryIO, size: int) -> lzma.LZMADecompressor:
    """The decompressor that the first bytes of a member describe; its dictionary is never larger than the member."""
    head = packed.read(9)  # a version, the size of what follows, one byte of three numbers, the size of the dictionary
    if len(head) < 9:
        raise EOFError("it ends early")
    length, numbers, dictionary = struct.unpack("<2xHBI", head)
    if length != 5 or numbers >= 9 * 5 * 5:
        raise zipfile.BadZipFile("its LZMA header is damaged")
    lengths = {"lc": numbers % 9, "lp": numbers // 9 % 5, "pb": numbers // 45}
    limit = max(min(dictionary, size), 4096)
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA1, "dict_size": limit, **lengths}])
