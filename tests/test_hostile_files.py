"""Files that fight back: pipes, links to themselves, control characters, numbers without end, leftovers."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from intsim import resources
from intsim.debugging.core import diff
from intsim.engine.graph import digest
from intsim.errors import AlteredGolden, FileError, IntsimError
from intsim.storage import files, hdf5, watch
from intsim.storage.pictures import read_labels, read_picture

from checking import with_its_own_hash
from networks import TINY

Cli = Callable[..., tuple[int, str, str]]
PATCHES = "encoder.patches"
COMMANDS = [  # every command that reads a file of its own choice, with FILE for it
    "run FILE -m model.h5 -o out.png",
    "run picture.png -m FILE -o out.png",
    "golden FILE -m model.h5 -o out.h5",
    "golden picture.png -m FILE -o out.h5",
    "diff FILE golden.h5 -o out.txt",
    "diff golden.h5 FILE -o out.txt",
    "trace FILE encoder.patches --at 0,0 -o out.txt",
    "inspect -m FILE -o out.txt",
    "export FILE -o out",
    "quantize FILE --calibrate picture.png -o out.h5",
    "synth-fault FILE --node encoder.patches --rule n+1 -o out.h5",
]


@pytest.fixture(autouse=True)
def within_a_minute() -> Iterator[None]:
    """No test here may wait for ever: that is what it tests."""

    def late(number: int, frame: object) -> None:
        raise TimeoutError("it waits for ever")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def refused(cli: Cli, line: str) -> str:
    """The one line of a refusal, which leaves nothing behind."""
    before = {path: path.lstat().st_mtime_ns for path in Path().iterdir()}
    code, out, err = cli(line)
    assert (code, out) == (2, ""), err
    assert err.startswith("intsim: ")
    assert err.endswith("\n")
    assert err[:-1].isprintable(), repr(err)
    assert {path: path.lstat().st_mtime_ns for path in Path().iterdir()} == before
    return err


@pytest.mark.parametrize("line", COMMANDS)
def test_a_pipe_is_no_file(line: str, cli: Cli) -> None:
    os.mkfifo("pipe")
    assert "pipe: is not a regular file; expected " in refused(cli, line.replace("FILE", "pipe"))


@pytest.mark.parametrize("line", COMMANDS)
def test_a_link_to_itself_is_a_link_to_nothing(line: str, cli: Cli) -> None:
    Path("loop").symlink_to("loop")
    assert "loop: is a link to nothing" in refused(cli, line.replace("FILE", "loop"))


def test_a_link_to_itself_as_output_is_replaced(cli: Cli) -> None:
    Path("loop").symlink_to("loop")
    assert cli("golden picture.png -m model.h5 -o loop")[0] == 0
    assert cli("diff golden.h5 loop")[0] == 0
    assert not Path("loop").is_symlink()


@pytest.mark.parametrize("line", COMMANDS)
def test_control_characters_of_a_name_are_escaped(line: str, cli: Cli) -> None:
    name = "a\x1b[31mred\n\x07b\u202e"
    Path(name).write_bytes(b"nothing of ours")
    said = refused(cli, line.replace("FILE", f"'{name}'"))
    assert r"a\x1b[31mred\n\x07b\u202e" in said


def test_control_characters_of_names_in_a_dump_are_escaped(cli: Cli) -> None:
    with h5py.File("golden.h5") as file:
        patches = file[PATCHES][()]
    np.savez("dump.npz", **{PATCHES: patches, "evil\x1b[2J": np.zeros(3)})
    code, out, _ = cli("diff golden.h5 dump.npz")
    assert code == 0
    assert r"evil\x1b[2J" in out
    assert "\x1b" not in out


def test_a_heap_that_never_ends_is_refused(cli: Cli) -> None:
    """The free space of a heap of size 0: HDF5 looks for what follows it for ever."""
    content = bytearray(Path("golden.h5").read_bytes())
    spoilt, start = 0, content.find(b"GCOL")
    while start >= 0:
        place, end = start + 16, start + struct.unpack("<Q", content[start + 8 : start + 16])[0]
        while place + 16 <= end:
            index, _, _, size = struct.unpack("<HHIQ", content[place : place + 16])
            if index == 0:
                content[place + 8 : place + 16] = bytes(8)
                spoilt += 1
                break
            place += 16 + -(-size // 8) * 8
        start = content.find(b"GCOL", start + 4)
    assert spoilt
    Path("bad.h5").write_bytes(content)
    said = refused(cli, "diff bad.h5 golden.h5")
    assert "bad.h5: damaged, the HDF5 library does not survive reading it" in said


def heap_objects(content: bytes) -> Iterator[int]:
    """Where the objects of global heaps begin, in which text attributes lie: index, references and size, then the bytes.

    A collection is "GCOL", its version, 1, and its size; the object with index 0 is the free space at its end.
    """
    start = content.find(b"GCOL\x01")
    while start >= 0:
        place, end = start + 16, start + struct.unpack("<Q", content[start + 8 : start + 16])[0]
        while place + 16 <= end:
            yield place
            index, _, _, size = struct.unpack("<HHIQ", content[place : place + 16])
            if index == 0:
                break
            place += 16 + -(-size // 8) * 8
        start = content.find(b"GCOL\x01", start + 4)


def looping(content: bytes) -> bytes:
    """A file with one bit changed, so that an object of its heap has a size with which HDF5 does not come further."""
    first = next(heap_objects(content))
    index, _, _, size = struct.unpack("<HHIQ", content[first : first + 16])
    assert (index, size >> 11 & 1) == (1, 0)
    return content[: first + 9] + bytes([content[first + 9] ^ 8]) + content[first + 10 :]


def test_one_bit_of_the_shipped_model(cli: Cli) -> None:
    """Byte 2073, bit 3: a text attribute of the root of the file, which HDF5 looks for in the heap for ever."""
    whole = resources.model().read_bytes()
    spoilt = looping(whole)
    assert [(i, a ^ b) for i, (a, b) in enumerate(zip(whole, spoilt, strict=True)) if a != b] == [(2073, 8)]
    Path("bad.h5").write_bytes(spoilt)
    for line in ("inspect -m bad.h5", "diff golden.h5 bad.h5", "export bad.h5 -o tb"):
        begun = time.monotonic()
        assert "bad.h5: damaged, the HDF5 library does not survive reading it" in refused(cli, line)
        assert time.monotonic() - begun < 15, "two seconds of the processor, which others may use, too"


def test_a_damaged_file_beside_a_golden_file(cli: Cli) -> None:
    """The model of a golden file is looked for among the files beside it."""
    Path("a.h5").write_bytes(looping(resources.model().read_bytes()))
    code, out, _ = cli("diff golden.h5 golden.h5 --isolated")
    assert code == 0
    assert "identical" in out


def test_a_look_that_is_interrupted_leaves_no_child(golden_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(watch.selectors.DefaultSelector, "select", interrupted)
    monkeypatch.setattr(watch, "_look", lambda *_: time.sleep(60))
    children, fork = list[int](), os.fork
    monkeypatch.setattr(watch.os, "fork", lambda: children.append(child := fork()) or child)
    watch._looked.cache_clear()
    with pytest.raises(KeyboardInterrupt):
        watch.require_finite(golden_file)
    with pytest.raises(ChildProcessError):  # it has ended, and was waited for
        os.waitpid(children[-1], os.WNOHANG)


def test_a_file_is_looked_at_once_as_long_as_it_is_the_same(golden_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "g.h5"
    path.write_bytes(golden_file.read_bytes())
    watch._looked.cache_clear()
    for _ in range(3):
        with hdf5.reading_any(path):
            pass
    assert watch._looked.cache_info().misses == 1
    os.utime(path, ns=(1, 1))
    with hdf5.reading_any(path):
        pass
    assert watch._looked.cache_info().misses == 2


@pytest.mark.parametrize("text", ["a = " + "9" * 5000, "a = [" + "[" * 3000, "\xff", "x = 1e99999999"])
def test_toml_without_end(text: str, cli: Cli) -> None:
    Path("x.toml").write_bytes(text.encode("latin-1"))
    refused(cli, "diff golden.h5 golden.h5 --map x.toml")
    refused(cli, "export golden.h5 --layout x.toml -o out")
    refused(cli, "synth --dialect x.toml -o out.h5")


@pytest.mark.parametrize("text", ['{"n_cls": ' + "9" * 5000 + "}", "[" * 100_000, '{"a": 1e99999}'])
def test_json_without_end(text: str, cli: Cli) -> None:
    for name in ("c.json", "manifest.json", "vectors.json"):
        Path(name).write_text(text)
    refused(cli, "synth --config c.json -o out.h5")
    Path("dump").mkdir()
    refused(cli, "import dump --manifest manifest.json -o out.h5")
    refused(cli, "vectors score vectors.json")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_layers": 60_000, "d_model": 4, "n_heads": 1}, "720,0"),
        (
            {"image_size": [65536, 65536], "d_model": 2, "n_heads": 1},
            "67,108,864 patches; a random model has at most 32,768",
        ),
    ],
)
def test_a_network_beyond_all_measure_is_not_made(change: dict[str, object], words: str, cli: Cli) -> None:
    Path("c.json").write_text(json.dumps({**TINY, "decoder": "linear", **change}))
    assert words in refused(cli, "synth --config c.json -o out.h5")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_members_of_every_compression(method: int, golden_file: Path, tmp_path: Path) -> None:
    with h5py.File(golden_file) as file:
        np.save(tmp_path / "x.npy", file[PATCHES][()])
    with zipfile.ZipFile(tmp_path / "whole.npz", "w", method) as archive:
        archive.write(tmp_path / "x.npy", f"{PATCHES}.npy")
    whole = (tmp_path / "whole.npz").read_bytes()
    assert diff(golden_file, tmp_path / "whole.npz").identical
    for place in range(80, len(whole) - 200, max(len(whole) // 40, 1)):
        (tmp_path / "bad.npz").write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        result = diff(golden_file, tmp_path / "bad.npz")
        assert [node.name for node in result.unusable] == [PATCHES]


def test_an_empty_npz(cli: Cli) -> None:
    np.savez("empty.npz")
    assert "empty.npz: contains no array" in refused(cli, "diff golden.h5 empty.npz")


def test_an_altered_golden_file_is_refused(cli: Cli, golden_file: Path, tmp_path: Path) -> None:
    with h5py.File("golden.h5", "r+") as file:
        file[PATCHES][0, 0] ^= 1
    said = refused(cli, f"diff golden.h5 {golden_file}")
    assert f"golden.h5: {PATCHES} does not match its recorded hash; the file was altered; --force" in said
    code, _, err = cli(f"diff golden.h5 {golden_file} --force")
    assert code == 1
    assert f"warning: {PATCHES}: the golden values do not match their recorded hash" in err
    with pytest.raises(AlteredGolden):
        diff("golden.h5", golden_file)
    assert cli(f"diff {golden_file} golden.h5")[0] == 1, "a device's file may be altered by hand"


READING = [  # commands that take a golden file at its word
    "diff golden.h5 whole.h5",
    "export golden.h5 -o tb",
    "trace golden.h5 encoder.patches --at 0,0 -m model.h5",
    "score golden.h5 -m model.h5",
    "synth-fault golden.h5 --node encoder.patches --rule n+1 -m model.h5 -o fault.h5",
]


@pytest.mark.parametrize("line", READING)
def test_tensors_that_were_taken_out_are_missed(line: str, cli: Cli, golden_file: Path) -> None:
    """A file without its differing tensors must not be called identical; not even where its content hash was made anew."""
    Path("whole.h5").write_bytes(golden_file.read_bytes())
    missing = "labels is missing, and not among those that the file says it leaves out; the file was altered"
    with h5py.File("golden.h5", "r+") as file:
        del file["labels"]
    assert missing in refused(cli, line)
    with h5py.File("golden.h5", "r+") as file:
        with_its_own_hash(file)
    assert missing in refused(cli, line)


@pytest.mark.parametrize("line", READING)
def test_a_value_changed_together_with_its_hash(line: str, cli: Cli, golden_file: Path) -> None:
    Path("whole.h5").write_bytes(golden_file.read_bytes())
    with h5py.File("golden.h5", "r+") as file:
        file[PATCHES][0, 0] ^= 1
        file[PATCHES].attrs["sha256"] = digest(file[PATCHES][()])
    assert "golden.h5: does not match its own content hash; the file was altered" in refused(cli, line)


def test_an_altered_list_of_tensors_is_compared_where_that_is_asked_for(cli: Cli, golden_file: Path) -> None:
    with h5py.File("golden.h5", "r+") as file:
        del file["labels"]
    code, _, err = cli(f"diff golden.h5 {golden_file} --force")
    assert code == 0
    assert "warning: golden.h5: labels is missing, and not among those that the file says it leaves out" in err
    with pytest.raises(AlteredGolden) as caught:
        diff("golden.h5", golden_file)
    assert caught.value.tensor == ""


@pytest.mark.parametrize("level", ["boundary", "full", "steps", "digest"])
@pytest.mark.parametrize("layers", ["", "--layers 'encoder.blocks.0.*' --layers '!*norm*'"])
def test_what_a_file_says_it_leaves_out_is_not_missed(level: str, layers: str, cli: Cli) -> None:
    assert cli(f"golden picture.png -m model.h5 --level {level} {layers} -o less.h5")[0] == 0
    assert cli("diff less.h5 golden.h5")[0] == 0


def test_tensors_taken_out_of_digests_are_missed(cli: Cli) -> None:
    assert cli("golden picture.png -m model.h5 --level digest -o d.json")[0] == 0
    found = json.loads(Path("d.json").read_text())
    del found["tensors"][3]
    Path("d.json").write_text(json.dumps(found))
    assert "is missing, and not among those that the file says it leaves out" in refused(cli, "diff d.json golden.h5")


def test_an_empty_scale_is_refused(cli: Cli) -> None:
    for name in ("golden.h5", "model.h5"):
        with h5py.File(name, "r+") as file:
            found: list[h5py.Dataset] = []
            file.visititems(lambda _, item, found=found: found.append(item) if "scale" in item.attrs else None)
            del found[0].attrs["scale"]
            found[0].attrs["scale"] = np.zeros(0)
    refused(cli, "diff golden.h5 golden.h5")
    refused(cli, "inspect -m model.h5")


# --- what a killed process leaves -------------------------------------------------------------------------------------


def gone() -> int:
    """The number of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_leftovers_of_killed_processes_are_removed(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def prefix(name: str, process: int) -> str:
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: process)
            return files._prefix(name)

    dead = gone()
    left = Path(f"{prefix('out.h5', dead)}abc.part")
    left.write_bytes(b"half")
    running, other = Path(f"{prefix('out.h5', os.getppid())}abc.part"), Path(f"{prefix('o.h5', dead)}abc.part")
    elsewhere = Path(f".out.h5.another-machine-{dead}-abc.part")
    for path in (running, other, elsewhere):
        path.write_bytes(b"half")
    with pytest.raises(AssertionError, match="temporary"):  # the fixture sees those that are rightly kept
        cli("golden picture.png -m model.h5 -o out.h5")
    assert not left.exists()
    for path in (running, other, elsewhere):
        path.unlink()
    assert cli("export golden.h5 --layers 'encoder.patches' -o tb")[0] == 0
    folder = Path("tb") / f"{prefix('tb', dead)}abc.part"
    folder.mkdir()
    (folder / "x.hex").write_text("00")
    assert cli("export golden.h5 --layers 'encoder.patches' -o tb")[0] == 0
    assert not folder.exists()


def test_sigterm_leaves_no_temporary_file(golden_file: Path, tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from intsim.cli import main as cli\n"
        "from intsim.storage.files import replacing\n"
        "import click\n"
        "@click.command()\n"
        "def slow():\n"
        "    with replacing(Path('out.h5')) as temporary:\n"
        "        print('writing', flush=True)\n"
        "        time.sleep(60)\n"
        "cli.Commands.get_command = lambda *_: slow\n"
        "cli.main.main(args=['slow'])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    assert list(tmp_path.glob(".out.h5.*.part"))
    process.send_signal(signal.SIGTERM)
    begun = time.monotonic()
    assert process.wait() == 128 + signal.SIGTERM
    assert time.monotonic() - begun < 30
    assert not list(tmp_path.iterdir())


# --- pictures as cameras store them -----------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_a_picture_is_applied(orientation: int, tmp_path: Path) -> None:
    upright = np.random.default_rng(1).integers(0, 256, (4, 6, 3), np.uint8)
    undone = {
        1: lambda x: x,
        2: lambda x: x[:, ::-1],
        3: lambda x: x[::-1, ::-1],
        4: lambda x: x[::-1],
        5: lambda x: x.swapaxes(0, 1),
        6: lambda x: np.rot90(x, 1),
        7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
        8: lambda x: np.rot90(x, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(undone(upright))).save(tmp_path / "p.png", exif=exif)
    np.testing.assert_array_equal(read_picture(tmp_path / "p.png", 4, 6), upright)
    labels = upright[..., 0] % 5
    Image.fromarray(np.ascontiguousarray(undone(labels))).save(tmp_path / "l.png", exif=exif)
    np.testing.assert_array_equal(read_labels(tmp_path / "l.png", 5), labels)


def test_messages_are_one_printable_line() -> None:
    for error in (IntsimError("a\nb\x1b\u2028c"), FileError("\udcff\t")):
        assert str(error).isprintable()
    assert json.dumps(str(IntsimError("Grüße: ≤ 3"))) == json.dumps("Grüße: ≤ 3")
