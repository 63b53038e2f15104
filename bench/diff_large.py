"""Measure the time of `intsim diff` beyond reading, and its memory, on two golden files of about SIZE megabytes on disk.

    python bench/diff_large.py [SIZE]

Files of increasing size are written to a temporary folder from the attention of a random S/16 at 512x512. One process reads
every value of both files with h5py, another runs `intsim diff` on them. Both run five times in turn; medians are reported.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from intsim.dialects import ISEGMENTER
from intsim.quantization import quantize_weights
from intsim.quantization.synth import preset, random_picture, random_weights
from intsim.storage.golden_file import golden

READ = """
import sys, h5py
for path in sys.argv[1:]:
    with h5py.File(path, rdcc_nbytes=0) as file:
        for name in file:
            file[name][()]
"""
DIFF = """
import re, sys
from intsim.cli.main import main
try:
    main(args=["diff", *sys.argv[1:]], prog_name="intsim")
finally:  # not ru_maxrss, which counts the parent before exec
    print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1], file=sys.stderr)
"""
RUNS = 5


def timed(code: str, *args: Path) -> tuple[float, str]:
    """The run time of a Python program in a new process, in seconds, and its stderr."""
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True, check=True)
    return time.perf_counter() - begun, done.stderr


def main() -> None:
    """Print one line per size."""
    largest = float(sys.argv[1]) if len(sys.argv) > 1 else 100.0
    config = preset("seg-s16-mask@512", 150)
    picture = random_picture(config, 1)
    graph = quantize_weights(random_weights(config, 0), config, [picture], ISEGMENTER, "random")
    with tempfile.TemporaryDirectory() as folder:
        for blocks in (2, 4, 8):
            a, b = (Path(folder) / name for name in ("a.h5", "b.h5"))
            golden(graph, picture, a, "boundary", [f"encoder.blocks.{i}.attn.*" for i in range(blocks)])
            b.write_bytes(a.read_bytes())
            size = a.stat().st_size / 1e6
            reading, comparing, memory = [], [], ""
            for _ in range(RUNS):
                reading.append(timed(READ, a, b)[0])
                seconds, memory = timed(DIFF, a, b)
                comparing.append(seconds)
            read, compared = statistics.median(reading), statistics.median(comparing)
            times = f"reading {read:.2f} s, diff {compared:.2f} s, {compared - read:+.2f} s beyond reading"
            print(f"{size:6.1f} MB each: {times}, peak {int(memory) / 1e3:.0f} MB", flush=True)
            if size > largest:
                return


if __name__ == "__main__":
    main()
