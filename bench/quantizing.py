"""Measure the time and peak memory of quantizing a large checkpoint with one picture, and the size of the result.

    python bench/quantizing.py [PRESET ...]

A random float32 checkpoint of each preset is quantized by `intsim quantize` in a new process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from intsim.quantization.synth import preset, random_picture, random_weights

START = [sys.executable, "-c", "from intsim.cli.main import main; main(prog_name='intsim')"]


def made(name: str, folder: Path) -> None:
    """A random checkpoint, its configuration, and a picture."""
    config = preset(name)
    save_file({key: value.astype(np.float32) for key, value in random_weights(config, 0).items()}, folder / "c.safetensors")
    (folder / "c.json").write_text(json.dumps(config))
    Image.fromarray(random_picture(config, 0)).save(folder / "picture.png")


def main() -> None:
    for name in sys.argv[1:] or ["seg-s16-mask@512", "seg-b16-mask@512"]:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            subprocess.run(
                [sys.executable, __file__, "--make", name, folder], check=True
            )  # in another process: its memory is not counted
            begun = time.perf_counter()
            command = [*START, "quantize", "c.safetensors", "--calibrate", "picture.png", "-o", "q.h5"]
            done = subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(done.pid, 0)
            seconds = time.perf_counter() - begun
            if status:
                raise SystemExit(f"{name}: intsim quantize failed")
            before, after = ((place / file).stat().st_size for file in ("c.safetensors", "q.h5"))
            print(
                f"{name}: {seconds:.1f} s, {usage.ru_maxrss / 1e6:.2f} GB; {before / 1e6:.1f} MB of float32 to "
                f"{after / 1e6:.1f} MB, {before / after:.2f} times smaller"
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        made(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
