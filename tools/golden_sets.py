"""What golden files cost: beside their hashing and deflating alone, beside plain runs, and sets beside a loop of the shell.

    python tools/golden_sets.py bytes --model deit_s.h5
    python tools/golden_sets.py loop --pictures 24

`bytes` compares the time of golden files at level boundary with that of hashing and deflating the same tensors, and level
digest with plain runs, in turns in one process; `loop` a set with a loop over ``intsim golden``, and the largest memory of a
worker. Results are checked before they are timed.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import numpy as np
from PIL import Image

import intsim
from intsim.engine.graph import digest
from intsim.kernels.threads import available
from intsim.sets import golden_set, read_index
from intsim.storage import new_hdf5
from intsim.storage.golden_file import chosen_nodes, golden, open_golden

from scenes import EVAL_SEED, render


@click.group()
def main() -> None:
    """Measure what golden files cost."""


def median(function: Callable[[], object], repeats: int) -> float:
    """The median time of a call."""
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        function()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


@main.command("bytes")
@click.option("--model", type=click.Path(path_type=Path), default=None, help="By default a DeiT-S with random weights.")
@click.option("--repeats", default=5, show_default=True)
@click.option("--set", "count", default=0, help="Also a set of so many pictures.")
def by_bytes(model: Path | None, repeats: int, count: int) -> None:
    """A golden file beside its parts."""
    graph = intsim.load(model) if model else intsim.synth("deit-s@224")
    shape = graph.tensors[graph.input.name].shape
    picture = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    chosen = chosen_nodes(graph, "boundary")
    tensors: dict[str, np.ndarray] = {}
    intsim.run(graph, picture, tensors.__setitem__, nodes=chosen)
    with tempfile.TemporaryDirectory() as folder:
        path, digests = Path(folder) / "golden.h5", Path(folder) / "digest.h5"
        golden(graph, picture, path)
        with open_golden(path) as found:
            assert all(digest(tensors[name]) == tensor.sha256 for name, tensor in found.tensors.items())
        calls = {
            "plain run": lambda: intsim.run(graph, picture),
            "run of all nodes of the level": lambda: intsim.run(graph, picture, lambda *_: None, nodes=chosen),
            "hashing alone": lambda: hashed(tensors),
            "deflating alone": lambda: deflated(tensors),
            "golden file": lambda: golden(graph, picture, path),
            "digests in HDF5, of level full": lambda: golden(graph, picture, digests, "digest"),
            "digests": lambda: golden(graph, picture, digests.with_suffix(".json"), "digest"),
        }
        middle = {name: median(call, repeats) for name, call in calls.items()}
    size = sum(value.nbytes for value in tensors.values())
    print(f"{graph.config.get('name')}: {len(tensors)} tensors, {size / 1e6:.1f} MB at level boundary")
    for name, seconds in middle.items():
        print(f"{name:30} {seconds * 1e3:7.0f} ms")
    alone = middle["hashing alone"] + middle["deflating alone"]
    print(f"golden file / (hashing and deflating): {middle['golden file'] / alone:.2f}")
    print(f"digests / plain run: {middle['digests'] / middle['plain run']:.2f}")
    if not count:
        return
    with tempfile.TemporaryDirectory() as folder:
        intsim.save(graph, Path(folder) / "model.h5")
        (Path(folder) / "pictures").mkdir()
        for i in range(count):
            pixels = np.random.default_rng(i).integers(0, 256, shape).astype(np.uint8)
            Image.fromarray(pixels).save(Path(folder) / "pictures" / f"{i:04d}.png")
        for level, unit, name in (
            ("boundary", alone, "hashing and deflating"),
            ("digest", middle["plain run"], "plain runs"),
        ):
            made = golden_set([Path(folder) / "pictures"], Path(folder) / level, Path(folder) / "model.h5", level=level)
            each = made.seconds / count
            print(f"a set of {count}, level {level}: {each * 1e3:.0f} ms a picture, {each / unit:.2f} times {name} alone")


def hashed(tensors: dict[str, np.ndarray]) -> None:
    """Hash all tensors on all processors."""
    with ThreadPoolExecutor(available()) as pool:
        list(pool.map(digest, tensors.values()))


def deflated(tensors: dict[str, np.ndarray]) -> None:
    """Deflate all tensors on all processors, in the chunks of a golden file."""
    with ThreadPoolExecutor(available()) as pool:
        for value in tensors.values():
            chunk = new_hdf5.chunk_shape(value)
            if chunk is not None:
                for first in range(0, len(value), chunk[0]):
                    pool.submit(new_hdf5.chunk_of, value, first, chunk[0])


@main.command("loop")
@click.option("--pictures", "count", default=12, show_default=True)
@click.option("--set", "more", default=0, help="Also a set of so many pictures, for the memory of a worker.")
def by_loop(count: int, more: int) -> None:
    """A set beside a loop of the shell over the same pictures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pictures").mkdir()
        for i in range(max(count, more)):
            Image.fromarray(render(EVAL_SEED + i)[0]).save(folder / "pictures" / f"{i:04d}.png")
        few = sorted((folder / "pictures").iterdir())[:count]
        command = [sys.executable, "-m", "intsim", "golden"]
        subprocess.run([*command, str(few[0]), "-o", str(folder / "warm.h5")], check=True, capture_output=True)
        begun = time.perf_counter()
        for path in few:
            subprocess.run([*command, str(path), "-o", str(folder / f"{path.stem}.h5")], check=True, capture_output=True)
        loop = time.perf_counter() - begun
        begun = time.perf_counter()
        subprocess.run([*command, *map(str, few), "-o", str(folder / "set")], check=True, capture_output=True)
        own = time.perf_counter() - begun
        for entry in read_index(folder / "set").pictures:
            assert (folder / "set" / f"{entry.name}.h5").read_bytes() == (folder / f"{entry.name}.h5").read_bytes()
        print(f"{count} pictures: loop {loop:.1f} s, set {own:.1f} s, {loop / own:.1f} times as fast")
        for number in (max(1, more // 10), more) if more else ():
            paths = sorted((folder / "pictures").iterdir())[:number]
            made = golden_set(paths, folder / f"set{number}", intsim.resources.model(), cluster="local:2")
            most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            print(f"{number} pictures by two workers: {made.seconds:.0f} s, at most {most:.0f} MB a process")


if __name__ == "__main__":
    main()
