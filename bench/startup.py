"""Measure the start-up time of the command line: help, the first demo (nothing compiled yet), and later demos.

    python bench/startup.py

The first demo starts with an empty cache folder. Every run is a new process; help and later demos are medians of five.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

CALL = "from intsim.cli.main import main; main(prog_name='intsim')"


def seconds(cache: str, *arguments: str) -> float:
    environment = os.environ | {"NUMBA_CACHE_DIR": cache}
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", CALL, *arguments], env=environment, capture_output=True, check=True)
    return time.perf_counter() - begun


def main() -> None:
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryDirectory() as out:
        print(f"intsim --help        {statistics.median(seconds(cache, '--help') for _ in range(5)):.2f} s")
        print(f"intsim demo, first   {seconds(cache, 'demo', '-o', out):.1f} s")
        print(f"intsim demo, later   {statistics.median(seconds(cache, 'demo', '-o', out) for _ in range(5)):.2f} s")


if __name__ == "__main__":
    main()
