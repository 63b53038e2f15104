"""Disks that fill, limits on the size of files, and what a killed process leaves: one line, and nothing half-written."""

from __future__ import annotations

import json
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

from intsim.errors import FileError
from intsim.quantization.synth import random_weights
from intsim.storage import files, new_hdf5
from intsim.storage.new_hdf5 import replacing_hdf5

from networks import TINY

Cli = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parent.parent
WRITERS = {  # commands that write, and bytes of which they need more
    "golden picture.png -m model.h5 -o out/g.h5 --level full": [40_000, 140_000],
    "golden picture.png -m model.h5 -o out/g.h5 --level digest": [9_000, 60_000],
    "golden picture.png -m model.h5 -o out/g.json --level digest": [9_000],
    "golden pictures -m model.h5 -o out/set": [9_000, 100_000],
    "quantize c.safetensors --config c.json --calibrate picture.png -o out/m.h5": [9_000, 90_000, 120_000],
    "export golden.h5 --format hex --format text -o out/tb": [9_000, 30_000],
    "export golden.h5 --format npz -o out/tb": [100_000],
    "import tb -o out/t.h5": [9_000, 50_000],
    "import tb -o out/t.npz": [9_000, 50_000],
    "vectors gen requant --dialect rtl -o out/v.json": [1_000],
    "diff golden.h5 golden.h5 --html out/r.html": [1_000, 9_000],
    "run picture.png -m model.h5 -o out/l.png": [50],
    "inspect -m model.h5 -o out/i.txt": [1_000],
}
CASES = [(line, size) for line, sizes in WRITERS.items() for size in sizes]


@pytest.fixture
def folder(cli: Cli) -> Path:
    """A folder with all that the commands read, and the empty folder `out`."""
    save_file({name: value.astype("f4") for name, value in random_weights(TINY, 1).items()}, "c.safetensors")
    Path("c.json").write_text(json.dumps(TINY))
    Path("pictures").mkdir()
    for name in ("a.png", "b.png"):
        shutil.copy("picture.png", Path("pictures") / name)
    assert cli("export golden.h5 -o tb")[0] == 0
    Path("out").mkdir()
    return Path().resolve()


def ended(line: str, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, whose files have at most `limit` bytes."""

    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [sys.executable, "-m", "intsim", *shlex.split(line)],
        capture_output=True,
        text=True,
        preexec_fn=limited,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
    )


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stderr.splitlines() if not line.startswith("Compiling integer kernels")]


def refused(done: subprocess.CompletedProcess[str], out: Path = Path("out")) -> None:
    lines = said(done)
    assert done.returncode == 2, (done.returncode, lines)
    assert len(lines) == 1, lines
    assert "could not be written completely" in lines[0] or "needs at least" in lines[0], lines
    assert str(out) in lines[0], lines
    assert [path for path in out.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(("line", "size"), CASES)
def test_a_file_that_may_not_grow(line: str, size: int, folder: Path) -> None:
    refused(ended(line, size))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A file system in memory of a number of bytes, where this process may mount one."""
    place = tmp_path / "disk"
    place.mkdir()

    def mounted(size: int) -> Path:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], capture_output=True)
        if done.returncode:
            pytest.skip("only root can mount a small file system")
        return place

    yield mounted
    if place.is_mount():
        subprocess.run(["umount", "-l", str(place)], check=True)


DISKS = [line for line in WRITERS if not line.startswith(("run", "inspect", "vectors"))]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts a file system in memory")
@pytest.mark.parametrize("line", DISKS)
def test_a_disk_that_fills(line: str, folder: Path, small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(max(WRITERS[line]) // 4096 * 4096 or 4096)
    refused(ended(line.replace("out/", f"{disk}/")), disk)


def test_what_fits_is_not_refused(folder: Path, small_disk: Callable[[int], Path]) -> None:
    """A model takes about half of what its numbers take, and needs no more room than it takes."""
    line = "quantize c.safetensors --config c.json --calibrate picture.png -o out/m.h5"
    assert ended(line).returncode == 0
    stored = Path("out/m.h5").read_bytes()
    disk = small_disk(-(-len(stored) // 4096) * 4096)
    done = ended(line.replace("out/", f"{disk}/"))
    assert done.returncode == 0, said(done)
    assert (disk / "m.h5").read_bytes() == stored


@pytest.mark.parametrize("raised", [OSError, RuntimeError, ValueError])
def test_an_error_of_the_disk_is_recognized_whatever_its_type(raised: type[Exception], tmp_path: Path) -> None:
    def writing() -> None:
        with replacing_hdf5(tmp_path / "x.h5") as file:
            file["a"] = 1
            raise raised("Can't flush (file write failed: time = now\n, errno = 28, error message = 'No space left')")

    with pytest.raises(FileError, match=r"x\.h5: could not be written completely \(No space left on device\)"):
        writing()
    assert not list(tmp_path.iterdir())


def test_the_library_is_left_in_order(tmp_path: Path) -> None:
    """After a failure no handle stays open, and the next file is written."""
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0

    def failing() -> None:
        with replacing_hdf5(tmp_path / "x.h5", track_order=True) as file:
            new_hdf5.store(file, "values", np.arange(5000))
            raise KeyError

    for _ in range(3):
        with pytest.raises(KeyError):
            failing()
    assert not before or len(os.listdir("/proc/self/fd")) == before
    with replacing_hdf5(tmp_path / "x.h5") as file:
        file["a"] = 1
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["a"][()] == 1


# --- what a killed export leaves ----------------------------------------------------------------------------------------


KILLED = """
import os, signal, sys
from pathlib import Path
from intsim.storage import files
from intsim.testbench import export
moves, real = int(sys.argv[1]), Path.replace
def replace(path, target):
    global moves
    if moves == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    moves -= 1
    return real(path, target)
Path.replace = Path.rename = replace
export("golden.h5", "tb", formats=sys.argv[2].split(","), layers=sys.argv[3].split(","))
"""


@pytest.mark.parametrize("moves", [0, 1, 2])
@pytest.mark.parametrize("target", ["new", "empty", "earlier"])
def test_a_killed_export_is_replaced(moves: int, target: str, cli: Cli) -> None:
    if target == "empty":
        Path("tb").mkdir()
    elif target == "earlier":
        assert cli("export golden.h5 --layers 'encoder.patches' --format npy -o tb")[0] == 0
    arguments = [str(moves), "hex,text", "encoder.patches,encoder.norm"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], env=environment, capture_output=True, text=True)
    whole_at_once = target == "new" and moves > 0  # a new folder appears in one step
    assert done.returncode == (0 if whole_at_once else -signal.SIGKILL), done.stderr
    hidden = [*Path().glob(".tb.*"), *Path("tb").glob(".tb.*")]
    assert bool(hidden) != whole_at_once
    for path in hidden:  # the fixture looks for these after the command
        assert path.is_dir()
    code, _, err = cli("export golden.h5 --layers 'encoder.patches' -o tb")
    assert code == 0, err
    assert sorted(path.name for path in Path("tb").iterdir()) == ["encoder.patches.hex", "manifest.json"]
    assert not list(Path().glob(".tb.*"))


def test_export_while_killed_at_any_time(cli: Cli) -> None:
    for wait in (0.7, 1.1):
        process = subprocess.Popen(
            [sys.executable, "-m", "intsim", "export", "golden.h5", "--format", "hex", "--format", "text", "-o", "tb"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
        )
        time.sleep(wait)
        process.kill()
        process.wait()
        assert cli("export golden.h5 --layers 'encoder.patches' -o tb")[0] == 0


def test_temporary_folders_of_others_hinder_nothing(cli: Cli) -> None:
    """Those of other machines may be in use, and those of running processes are: they stay, and do not count as content."""
    assert cli("export golden.h5 --layers 'encoder.patches' -o tb")[0] == 0
    others = [Path("tb") / f".tb.elsewhere-{os.getpid()}.12-abc.part", Path("tb") / f"{files._prefix('tb')}abc.part"]
    for folder in others:
        folder.mkdir()
    with pytest.raises(AssertionError, match="temporary"):  # the fixture sees those that are rightly kept
        cli("export golden.h5 --layers 'encoder.patches' -o tb")
    assert all(folder.is_dir() for folder in others)
    assert (Path("tb") / "manifest.json").is_file()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not say when a process was started")
def test_another_process_of_the_same_number_is_not_the_writer(cli: Cli) -> None:
    name = files._prefix("out.h5").replace(f".{files._started(os.getpid())}-", ".1-")
    Path(f"{name}abc.part").write_bytes(b"half")
    assert cli("golden picture.png -m model.h5 -o out.h5")[0] == 0
