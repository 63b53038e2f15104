"""Networks in C beside intsim's generic kernels, both on one core, and the memory that the C network needs.

    python bench/c_network.py [PRESET ...]

The labels of both are compared before anything is timed; times are medians, in turn. Needs gcc and make.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PRESETS = ("deit-t@224", "seg-s16-mask@512")
RUNS = 3
GENERIC = {"INTSIM_ISA": "generic"}


def main() -> None:
    """Print a few lines per network; in a process of its own, so that the kernels are the generic ones."""
    if not all(os.environ.get(key) == value for key, value in GENERIC.items()):
        sys.exit(subprocess.run([sys.executable, *sys.argv], env={**os.environ, **GENERIC}).returncode)
    import intsim
    from intsim.arith.jit import HAS_COMPILER
    from intsim.kernels.threads import limited_to
    from intsim.languages.reference import write_reference
    from intsim.quantization.synth import random_picture

    if not HAS_COMPILER:
        sys.exit("this measures compiled kernels, and needs Numba")

    for preset in sys.argv[1:] or PRESETS:
        graph = intsim.synth(preset)
        picture = random_picture(dict(graph.config), 1)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "c"
            written = write_reference("c", folder, graph)
            subprocess.run(["make", "-s", "run", "CFLAGS=-O3"], cwd=folder, check=True)
            (folder / "image.raw").write_bytes(picture.tobytes())
            results = intsim.run(graph, picture)
            theirs, ours = [], []
            for _ in range(RUNS):
                start = time.perf_counter()
                done = subprocess.run(["./run", "image.raw"], cwd=folder, check=True, capture_output=True, text=True)
                theirs.append(time.perf_counter() - start)
                start = time.perf_counter()
                with limited_to(1):
                    intsim.run(graph, picture)
                ours.append(time.perf_counter() - start)
            found = re.search(r"checksum (\w+)", done.stdout)
            if found is None or found[1] != checksum(results.ravel().tolist()):
                sys.exit(f"{preset}: the C network computes something else")
        seconds, own = statistics.median(theirs), statistics.median(ours)
        print(f"{preset}: {seconds:.2f} s in C at -O3, {seconds / own:.1f} times intsim's generic kernels")
        print(f"  arena {(written.arena or 0) / 1e6:.1f} MB, weights {(written.weights or 0) / 1e6:.1f} MB", flush=True)


def checksum(values: list[int]) -> str:
    """As run.c computes it."""
    total = 0
    for value in values:
        total = ((total ^ (value & 0xFFFFFFFF)) * 16777619) & 0xFFFFFFFF
    return f"{total:08x}"


if __name__ == "__main__":
    main()
