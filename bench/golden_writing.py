"""Measure the cost of a golden file: each level compared with the plain run, and other chunk sizes and compressions.

    python bench/golden_writing.py [MODEL.h5]

Without a model, a random S/16 at 512x512 is used. Levels are timed in turn, in three rounds; medians are reported. For the
second table the tensors of one block are written repeatedly, in one thread, with HDF5's own filters.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np

import intsim
from intsim.dialects import ISEGMENTER
from intsim.engine.graph import Graph, digest
from intsim.kernels.threads import available
from intsim.quantization import quantize_weights
from intsim.quantization.synth import preset, random_picture, random_weights
from intsim.storage import hdf5

ROUNDS = 3
BLOCK = "encoder.blocks.5."


def model() -> Graph:
    if len(sys.argv) > 1:
        return intsim.load(sys.argv[1])
    config = preset("seg-s16-mask@512")
    return quantize_weights(random_weights(config, 0), config, [random_picture(config, 0)], ISEGMENTER, "random")


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def levels(graph: Graph, image: np.ndarray, folder: Path) -> None:
    works: dict[str, Callable[[], object]] = {
        "run, not observed": lambda: intsim.run(graph, image),
        "run, node by node": lambda: intsim.run(graph, image, lambda name, value: None),
        "golden, digest": lambda: intsim.golden(graph, image, folder / "digest.h5", "digest"),
        "golden, boundary": lambda: intsim.golden(graph, image, folder / "boundary.h5", "boundary"),
    }
    everything: list[np.ndarray] = []
    intsim.run(graph, image, lambda name, value: everything.append(value))
    with ThreadPoolExecutor(available()) as pool:
        hashing = [seconds(lambda: list(pool.map(digest, everything))) for _ in range(ROUNDS)]
    everything.clear()
    expected = intsim.run(graph, image)
    if not np.array_equal(expected, intsim.run(graph, image, lambda name, value: None)):
        raise SystemExit("the two runs differ; not timed")
    times: dict[str, list[float]] = {"SHA-256 of all": hashing} | {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            work()
            times[name].append(seconds(work))
    sizes = [int(np.prod(t.shape)) * t.fmt.dtype.itemsize for t in graph.tensors.values()]
    print(f"{len(sizes)} tensors, {sum(sizes) / 1e6:.0f} MB; the first row hashes them, on all processors\n")
    plain = statistics.median(times["run, not observed"])
    print(f"{'':<22} {'seconds':>8} {'of the plain run':>17} {'file MB':>8}")
    for name, measured in times.items():
        file = folder / f"{name.rpartition(' ')[2]}.h5"
        size = f"{file.stat().st_size / 1e6:.1f}" if file.exists() else ""
        median = statistics.median(measured)
        print(f"{name:<22} {median:>8.2f} {median / plain:>17.1f} {size:>8}")


def filters(graph: Graph, image: np.ndarray, folder: Path) -> None:
    values: dict[str, np.ndarray] = {}
    nodes = {n for n, t in graph.tensors.items() if n.startswith(BLOCK) and t.fmt.dtype.itemsize <= 2}
    intsim.run(graph, image, values.__setitem__, nodes=nodes)
    total = sum(value.nbytes for value in values.values())
    print(f"\n{len(values)} tensors of one block, {total / 1e6:.1f} MB, by HDF5 in one thread\n")
    print(f"{'compression':<12} {'chunk':>7} {'seconds':>8} {'MB':>7} {'read back, s':>13}")
    for chunk_bytes in (1 << 18, 1 << 20, 1 << 22):
        for label, options in (
            ("none", {}),
            ("lzf", {"compression": "lzf", "shuffle": True}),
            *((f"gzip {n}", {"compression": "gzip", "compression_opts": n, "shuffle": True}) for n in (1, 4, 6)),
        ):
            if chunk_bytes != hdf5.CHUNK_BYTES and label != "gzip 4":
                continue
            path = folder / "filters.h5"

            def write(path: Path = path, chunk_bytes: int = chunk_bytes, options: dict = options) -> None:
                with h5py.File(path, "w") as file:
                    for name, value in values.items():
                        rows = min(max(chunk_bytes // (value.nbytes // len(value)), 1), len(value))
                        file.create_dataset(name, data=value, chunks=(rows, *value.shape[1:]), **options)

            def read(path: Path = path) -> None:
                with h5py.File(path) as file:
                    for name in values:
                        file[name][()]

            writing = statistics.median(seconds(write) for _ in range(ROUNDS))
            reading = statistics.median(seconds(read) for _ in range(ROUNDS))
            size = path.stat().st_size / 1e6
            print(f"{label:<12} {chunk_bytes >> 10:>4} KB {writing:>8.2f} {size:>7.1f} {reading:>13.2f}")


def main() -> None:
    graph = model()
    image = np.random.default_rng(0).integers(0, 256, graph.tensors[graph.input.name].shape, np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        levels(graph, image, Path(folder))
        if any(name.startswith(BLOCK) for name in graph.tensors):
            filters(graph, image, Path(folder))


if __name__ == "__main__":
    main()
