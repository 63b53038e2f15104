"""Writing golden files: tensors are hashed and compressed while the next ones are computed, and written in their order."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..arith import IntArray
from ..engine.graph import Graph, digest, hash_of
from ..kernels.threads import available, executor
from . import new_hdf5

FORMAT, VERSION = "intsim-golden", 1
BACKLOG = 64 << 20  # bytes of tensors that may be waiting to be written


@dataclass
class _Pending:
    """A tensor waiting to be written: its hash and range, and its compressed chunks, are computed in other threads."""

    name: str
    value: IntArray
    fmt: str
    scale: Any
    facts: Future[tuple[str, int, int]]
    chunks: dict[int, Future[bytes | IntArray]]  # by first row


class GoldenWriter:
    """Writes tensors in the order it receives them, and the content hash over all of them.

    The threads of `pool` hash and compress tensors while the next nodes are computed; the single thread of `scribe` writes
    the results to the file, in the order of the nodes.
    """

    def __init__(self, file: h5py.File, graph: Graph, values: bool, pool: Executor, scribe: Executor) -> None:
        self.file, self.graph, self.values, self.pool, self.scribe = file, graph, values, pool, scribe
        self.hashes: list[list[Any]] = []
        self.waiting: deque[tuple[int, Future[None]]] = deque()  # bytes, and the pending write
        new_hdf5.store_json(file, "graph", graph.record())

    def tensor(self, name: str, value: IntArray) -> None:
        self._take(name, value, str(self.graph.tensors[name].fmt), self.graph.scales[name])

    def step(self, name: str, value: IntArray) -> None:
        self._take(name, value.astype(np.int64), "i64", None)

    def _take(self, name: str, value: IntArray, fmt: str, scale: Any) -> None:
        chunks: dict[int, Future[bytes | IntArray]] = {}
        chunk = new_hdf5.chunk_shape(value)
        if self.values and chunk is not None:
            for first in range(0, len(value), chunk[0]):
                chunks[first] = self.pool.submit(new_hdf5.chunk_of, value, first, chunk[0])
        item = _Pending(name, value, fmt, scale, self.pool.submit(_facts, value), chunks)
        self.waiting.append((value.nbytes, self.scribe.submit(self._write, item)))
        while sum(size for size, _ in self.waiting) > BACKLOG or self._ended():
            self.waiting.popleft()[1].result()

    def _ended(self) -> bool:
        """Whether the longest waiting write has ended; where the disk is full, its error ends the run."""
        return bool(self.waiting) and self.waiting[0][1].done()

    def _write(self, item: _Pending) -> None:
        if not self.values:
            dataset = self.file.create_dataset(item.name, data=h5py.Empty(item.value.dtype), track_times=False)
        elif item.chunks:
            dataset = new_hdf5.create_chunked(self.file, item.name, item.value)
        else:
            dataset, _ = new_hdf5.begin(self.file, item.name, item.value)
        last = max(item.chunks, default=None)
        for first, data in item.chunks.items():
            if first != last:
                new_hdf5.put_chunk(dataset, first, data.result())
        sha256, low, high = item.facts.result()
        dataset.attrs["shape"] = np.asarray(item.value.shape, np.int64)
        dataset.attrs["format"] = item.fmt
        if item.scale is not None:
            dataset.attrs["scale"] = item.scale
        dataset.attrs["sha256"] = sha256
        dataset.attrs["min"], dataset.attrs["max"] = np.int64(low), np.int64(high)
        if last is not None:  # after the attributes, at the point where HDF5's chunk cache would write it
            new_hdf5.put_chunk(dataset, last, item.chunks[last].result())
        self.hashes.append([item.name, item.fmt, list(item.value.shape), sha256])

    def finish(self, level: str, layers: Sequence[str], image_sha256: str, left_out: list[str]) -> str:
        for _, written in self.waiting:
            written.result()
        attributes = self.file.attrs
        content = hash_of({"model": self.graph.content_hash, "image": image_sha256, "tensors": self.hashes})
        attributes["format"] = FORMAT
        attributes["version"] = np.int64(VERSION)
        attributes["level"] = level
        attributes["layers"] = json.dumps(list(layers))
        attributes["left_out"] = json.dumps(left_out)
        attributes["model_sha256"] = self.graph.content_hash
        attributes["image_sha256"] = image_sha256
        attributes["content_sha256"] = content
        attributes["hdf5"] = h5py.version.hdf5_version
        attributes.update(self.graph.origin())
        return content


@contextmanager
def writing_golden(path: str | Path, graph: Graph, nodes: Collection[str], values: bool) -> Iterator[GoldenWriter]:
    """A writer of the golden file at `path`, which appears there when all is written, with at least the tensors of `nodes`;
    without `values`, of hashes alone.
    """
    tensors = [graph.tensors[name] for name in nodes] if values else []
    size = sum(math.prod(tensor.shape) * tensor.fmt.dtype.itemsize for tensor in tensors)
    new_hdf5.deflates_alike()  # asked once, before threads ask: older versions of h5py do not bear files of several at once
    with (
        new_hdf5.writing(path, size=size, datasets=len(nodes)) as file,
        executor(available(), "intsim-golden") as pool,
        executor(1, "intsim-scribe") as scribe,
    ):
        yield GoldenWriter(file, graph, values, pool, scribe)


def _facts(value: IntArray) -> tuple[str, int, int]:
    """A tensor's SHA-256, smallest and largest value."""
    return digest(value), int(value.min()), int(value.max())
