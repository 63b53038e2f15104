"""How much a file may become when it is read: what its compressed parts declare is held against this before any is inflated.

Few bytes can stand for many: deflate writes a thousand zeros as one byte, other filters far more. Each tensor of a file may
become 64 times the file's size and 4 MiB, which a black picture's do not reach; all parameters of a model together 16 times,
where those of trained networks reach two: they are widened to int64 when bounds are proved.
"""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import h5py

from ..errors import FileError

TIMES, TIMES_PARAMETERS = 64, 16
SMALLEST = 4 << 20  # bytes by which a file counts as larger, so that small ones may hold large tensors of one value
LARGEST_JSON = 16 << 20  # bytes of JSON text, of which every one may become forty in memory

# The filters that h5py or HDF5 has built in, and how many bytes one stored byte can become. LZF copies 264 bytes by 3, n-bit
# stores one bit of at most 64, szip counts up to 64 empty blocks of 32 numbers in a few bits. Scale-offset is in CONSTANT.
BUILT_IN = {
    h5py.h5z.FILTER_DEFLATE: 1040,
    h5py.h5z.FILTER_SHUFFLE: 1,
    h5py.h5z.FILTER_FLETCHER32: 1,
    h5py.h5z.FILTER_LZF: 90,
    h5py.h5z.FILTER_NBIT: 64,
    h5py.h5z.FILTER_SZIP: 1 << 15,
}
CONSTANT = h5py.h5z.FILTER_SCALEOFFSET  # stores a chunk of equal numbers in its header alone
CONSTANT_CHUNK = 16 << 20  # bytes of such a chunk
CONSTANT_HEADER = 16  # least bytes of its header
PACKING = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_LZF, h5py.h5z.FILTER_SZIP}  # of bytes, of which one is enough
SPARE = 64  # bytes by which other filters make a chunk longer, at most
UNSEEN = 512 << 20  # bytes that HDF5 may make of a chunk at once: it inflates the stream to its end, however long it is


def require_bounded(path: Path, declared: int, what: str, times: int = TIMES) -> None:
    """FileError where `what` of a file declares more bytes than `times` its size and 4 MiB."""
    size = path.stat().st_size
    if declared > (most := times * (size + SMALLEST)):
        raise FileError(
            f"{path}: {what} would become {declared:,} bytes, more than a file of {size:,} bytes may ({most:,}); the file "
            "is damaged, or write it without compression"
        )


def declared_bytes(dataset: h5py.Dataset) -> int:
    """The bytes of the values of a dataset; 0 where it has none, or strings and rows of any length, which are never read."""
    return 0 if dataset.shape is None or dataset.dtype.hasobject else math.prod(dataset.shape) * dataset.dtype.itemsize


def unreadable(dataset: h5py.Dataset, path: Path) -> str:
    """Why a dataset is not read; "" where nothing is wrong with its storage."""
    if dataset.is_virtual or dataset.external:
        return "stores its values in other files, which are not opened; copy them into the file"
    if dataset.shape is None or dataset.dtype.hasobject:
        return ""  # no values, or strings and variable-length rows, which are never read
    pipeline = _pipeline(dataset)
    filters = set(pipeline)
    if unknown := filters - {*BUILT_IN, CONSTANT}:
        return (
            f"uses an HDF5 filter that h5py does not contain (number {min(unknown)}); write it with gzip or without a filter"
        )
    if missing := [number for number in filters if not h5py.h5z.filter_avail(number)]:
        return f"uses an HDF5 filter that this h5py was built without (number {min(missing)}); write it with gzip"
    if sum(number in PACKING for number in pipeline) > 1:
        return "is compressed more than once; write it with gzip alone"
    stored, declared = dataset.id.get_storage_size(), declared_bytes(dataset)
    held = stored * math.prod(BUILT_IN.get(number, 1) for number in filters)
    chunk = math.prod(dataset.chunks or ()) * dataset.dtype.itemsize
    if CONSTANT in filters and chunk <= CONSTANT_CHUNK:
        held = held // CONSTANT_HEADER * chunk
    if declared > held or stored > path.stat().st_size:
        cause = "the file is damaged" if stored else "its values were never written, or the file is damaged"
        return f"declares {list(dataset.shape)} {dataset.dtype}, more than the file can hold; {cause}"
    if dataset.chunks and chunk > max(TIMES << 20, declared):
        return f"has chunks of {list(dataset.chunks)}, of which each would be inflated whole; write it in smaller ones"
    return ""


def require_bounded_chunks(dataset: h5py.Dataset) -> None:
    """OSError where a deflated chunk holds more than its bytes. Only those are looked at that could become `UNSEEN`."""
    deflate = h5py.h5z.FILTER_DEFLATE
    pipeline = _pipeline(dataset)
    if deflate not in pipeline or dataset.id.get_storage_size() * BUILT_IN[deflate] <= UNSEEN:
        return
    place, size = pipeline.index(deflate), math.prod(dataset.chunks) * dataset.dtype.itemsize + SPARE
    large: list[tuple[int, ...]] = []

    def look(chunk: h5py.h5d.StoreInfo) -> None:
        if chunk.size * BUILT_IN[deflate] > UNSEEN and not chunk.filter_mask >> place & 1:
            large.append(chunk.chunk_offset)

    dataset.id.chunk_iter(look)
    for start in large:
        if not _ends_within(dataset.id.read_direct_chunk(start)[1], size):
            raise OSError("a chunk of it holds more than its size")


def _ends_within(stream: bytes, size: int) -> bool:
    """Whether what zlib packed is no longer than `size`."""
    inflater = zlib.decompressobj()
    try:
        while size >= 0 and not inflater.eof:
            part = inflater.decompress(stream, min(size + 1, 1 << 20))
            size, stream = size - len(part), inflater.unconsumed_tail
            if not part and not stream:
                return False  # it ends early
    except zlib.error:
        return False
    return size >= 0


def _pipeline(dataset: h5py.Dataset) -> list[int]:
    """The numbers of the filters of a dataset, in the order in which they are applied on writing."""
    plist = dataset.id.get_create_plist()
    return [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
