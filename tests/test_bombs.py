"""Few bytes that stand for many: each is refused before it is inflated, in bounded memory."""

from __future__ import annotations

import io
import lzma
import struct
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from intsim.engine.graph import digest
from intsim.errors import FileError
from intsim.storage import hdf5, inflation, new_hdf5, npy, zips

from checking import with_its_own_hash

Cli = Callable[..., tuple[int, str, str]]
PATCHES = "encoder.patches"
MIB, GIB = 1 << 20, 1 << 30
MEASURED = """
import re, sys
from pathlib import Path
from intsim.cli.main import main
try:
    main(args=sys.argv[1:], prog_name="intsim")
finally:
    peak = re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())
    print(f"peak {peak[1]} kB", file=sys.stderr)
"""


def ended(line: str) -> tuple[int, str, list[str]]:
    """Exit code, standard output and errors of a command in a process of its own, within bounds of time and memory."""
    done = subprocess.run([sys.executable, "-c", MEASURED, *line.split()], capture_output=True, text=True, timeout=60)
    *said, peak = done.stderr.splitlines()
    assert int(peak.split()[1]) << 10 < 600 * MIB, f"{peak} for {said}"
    return done.returncode, done.stdout, said


def refused(line: str, words: str) -> None:
    """The command ends with one line that has `words`."""
    code, out, said = ended(line)
    assert (code, out, len(said)) == (2, "", 1), said
    assert said[0].startswith("intsim: ")
    assert words in said[0]


def zeros(file: h5py.File, where: str, shape: tuple[int, ...], twice: bool = False) -> h5py.Dataset:
    """A dataset of zeros, of which only packed chunks are ever made, in the place of another one."""
    about = dict(file[where].attrs)
    del file[where]
    chunk = (1 << 24, *(1 for _ in shape[1:]))
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk(chunk)
    for _ in range(1 + twice):
        plist.set_deflate(9)
    space = h5py.h5s.create_simple(shape)
    dataset = h5py.Dataset(h5py.h5d.create(file.id, where.encode(), h5py.h5t.NATIVE_INT8, space, plist))
    packed = zlib.compress(bytes(1 << 24), 9)
    packed = zlib.compress(packed, 9) if twice else packed
    for first in range(0, shape[0], chunk[0]):
        dataset.id.write_direct_chunk((first, *(0 for _ in shape[1:])), packed)
    dataset.attrs.update(about)
    return dataset


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("line", ["inspect -m model.h5", "run picture.png -m model.h5 -o l.png", "export model.h5 -o tb"])
def test_a_parameter_that_inflates(line: str, twice: bool, cli: Cli) -> None:
    with h5py.File("model.h5", "r+") as file:
        zeros(file, "encoder.blocks.0.attn.qkv/weight", (11 * GIB, 1), twice)
    assert Path("model.h5").stat().st_size < 13 * MIB
    refused(line, "is compressed more than once" if twice else "would become 11,811,160,064 bytes")


def test_parameters_that_inflate_together(cli: Cli) -> None:
    with h5py.File("model.h5", "r+") as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if name.endswith("/weight") else None)
        for name in names:
            zeros(file, name, (60 * MIB, 1))
    refused("inspect -m model.h5", "its parameters would become ")


@pytest.mark.parametrize(("line", "path"), [("inspect -m model.h5", "model.h5"), ("diff golden.h5 golden.h5", "golden.h5")])
@pytest.mark.parametrize(
    ("size", "words"), [(GIB, "graph would become 1,073,741,824"), (17 * MIB, "17,825,792 bytes of text")]
)
def test_a_graph_that_inflates(line: str, path: str, size: int, words: str, cli: Cli) -> None:
    with h5py.File(path, "r+") as file:
        zeros(file, "graph", (size,))
    refused(line, words)


def test_a_list_of_digests_that_is_too_long(cli: Cli) -> None:
    Path("long.json").write_bytes(b"[" + b"[]," * (6 * MIB) + b"1]")
    refused("diff long.json golden.h5", "long.json: has 18,874,371 bytes, more than any file of digests")


@pytest.mark.parametrize("line", ["export golden.h5 -o tb", "diff golden.h5 golden.h5 --isolated -m model.h5"])
def test_a_golden_tensor_that_inflates(line: str, cli: Cli) -> None:
    """All hashes of the list are right, as whoever makes such a file would see to."""
    with h5py.File("golden.h5", "r+") as file:
        shape = (4 * GIB, 1)
        zeros(file, PATCHES, shape).attrs["shape"] = shape
        with_its_own_hash(file)
    refused(line, f"{PATCHES} would become 4,294,967,296 bytes")


def test_exported_text_is_not_held_whole(cli: Cli) -> None:
    value = np.zeros((12 * MIB, 1), np.int8)
    with h5py.File("golden.h5", "r+") as file:
        about = dict(file[PATCHES].attrs) | {"shape": value.shape, "sha256": digest(value)}
        del file[PATCHES]
        file.create_dataset(PATCHES, data=value, compression="gzip").attrs.update(about)
        with_its_own_hash(file)
    code, _, said = ended(f"export golden.h5 --layers {PATCHES} -o tb")
    assert (code, said) == (0, [])
    assert (Path("tb") / f"{PATCHES}.hex").read_bytes() == b"00\n" * value.size


def test_a_dump_that_inflates_is_not_read(cli: Cli) -> None:
    """What is of another shape than the golden tensor is named, and what has no name is left alone."""
    with h5py.File("dump.h5", "w") as file:
        for name in (PATCHES, "unknown"):
            file[name] = 0
            zeros(file, name, (4 * GIB, 1))
    with h5py.File("golden.h5") as golden, h5py.File("dump.h5", "r+") as file:
        file["encoder.embedded"] = golden["encoder.embedded"][()]
    code, out, _ = cli("diff golden.h5 dump.h5")
    assert code == 1
    assert "4294967296" in out


def test_chunks_far_larger_than_their_dataset(cli: Cli) -> None:
    """Ten numbers, for which a gigabyte would be inflated."""
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((GIB,))
    plist.set_deflate(9)
    with h5py.File("golden.h5") as golden, h5py.File("dump.h5", "w") as file:
        size = golden["labels"].size
        space = h5py.h5s.create_simple((size,), (h5py.h5s.UNLIMITED,))
        h5py.h5d.create(file.id, b"labels", h5py.h5t.NATIVE_INT8, space, plist).write_direct_chunk((0,), bytes(1000))
        reason = inflation.unreadable(file["labels"], Path("dump.h5"))
    assert reason == "has chunks of [1073741824], of which each would be inflated whole; write it in smaller ones"


@pytest.mark.parametrize(
    ("where", "shape", "words"),
    [
        ("encoder.patch_embed.proj/weight", (32, 60 * MIB // 32), "x has 192 channels, weight [32, 1966080] takes 1966080"),
        ("encoder.blocks.0.attn.qkv/weight", (60 * MIB, 1), "x has 32 channels, weight [62914560, 1] takes 1"),
        ("encoder.blocks.0.attn.qkv/weight", (1, 6, 10 * MIB), "weight has 3 axes, expected 2"),
        ("encoder.blocks.0.attn.qkv/bias", (14 * MIB,), "bias has 14680064 values for 96 output channels"),
        ("encoder.norm/bias", (14 * MIB,), "bias has 14680064 values for 32 channels"),
        ("encoder.blocks.0.norm1.requant/m", (14 * MIB,), "m has 14680064 values"),
    ],
)
def test_parameters_of_other_shapes_are_not_read(where: str, shape: tuple[int, ...], words: str, cli: Cli) -> None:
    """What a node needs is known from its inputs and the shapes of its parameters: the values, which are damaged, stay."""
    with h5py.File("model.h5", "r+") as file:
        about = dict(file[where].attrs)
        del file[where]
        dataset = file.create_dataset(where, shape, np.int8, chunks=shape, compression="gzip")
        dataset.id.write_direct_chunk((0,) * len(shape), bytes(1000 << 10))  # which no inflater takes
        dataset.attrs.update(about)
    refused("inspect -m model.h5", words)


@pytest.mark.parametrize("line", ["inspect -m model.h5", "export model.h5 -o tb"])
def test_a_chunk_that_holds_far_more_than_its_bytes(line: str, cli: Cli) -> None:
    """HDF5 inflates the stream of a chunk to its end, and only then looks at how long it is."""
    where = "encoder.blocks.0.attn.qkv/weight"
    with h5py.File("model.h5", "r+") as file:
        shape, about = file[where].shape, dict(file[where].attrs)
        del file[where]
        dataset = file.create_dataset(where, shape, np.int8, chunks=shape, compression="gzip")
        dataset.id.write_direct_chunk((0, 0), zlib.compress(bytes(GIB), 1))
        dataset.attrs.update(about)
    refused(line, f"{where} is damaged (a chunk of it holds more than its size)")


def test_large_chunks_are_read(tmp_path: Path) -> None:
    value = np.random.default_rng(1).integers(-128, 128, (3, 1 << 20), np.int8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=value, chunks=(2, 1 << 20), compression="gzip", fletcher32=True, shuffle=True)
        new_hdf5.store(file, "y", value)
    with hdf5.reading_any(tmp_path / "a.h5") as (_, datasets):
        for name in "xy":
            np.testing.assert_array_equal(hdf5.Values(datasets[name], tmp_path / "a.h5", name)[1:], value[1:])


# --- archives ---------------------------------------------------------------------------------------------------------


def npz(path: str, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)


def npy_of(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def peak_of(call: Callable[[], Any]) -> int:
    """The most bytes that Python held at once during a call."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_header_without_end() -> None:
    """Version 2.0 of .npy states the size of its header in four bytes."""
    stream = io.BytesIO(b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + bytes(64 * MIB))
    found: list[npy.Header] = []
    assert peak_of(lambda: found.append(npy.header(stream, 2**33))) < MIB
    assert found[0].problem == "its header of 4,294,967,295 bytes is longer than any of numpy's"


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_is_inflated_no_further_than_it_is_read(method: int, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    npz(str(path), {"x": npy_of(np.zeros(512 * MIB, np.int8))}, method)
    assert path.stat().st_size < MIB
    assert peak_of(lambda: npy.members(path)) < 64 * MIB  # a block of bz2 is up to 46 MB
    with pytest.raises(FileError, match=r"a\.npz: x would become 536,870,912 bytes, more than a file of "):
        npy.member(path, "x")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_of_every_method_are_read(method: int, tmp_path: Path) -> None:
    value = np.random.default_rng(3).integers(-9, 9, (70, 1000), np.int16)
    npz(str(tmp_path / "a.npz"), {"x": npy_of(value), "y": npy_of(value[:0])}, method)
    np.testing.assert_array_equal(npy.member(tmp_path / "a.npz", "x"), value)
    assert npy.member(tmp_path / "a.npz", "y").shape == (0, 1000)


def test_a_method_without_bound_is_refused(tmp_path: Path) -> None:
    npz(str(tmp_path / "a.npz"), {"x": npy_of(np.zeros(3))}, zipfile.ZIP_STORED)
    whole = (tmp_path / "a.npz").read_bytes()
    directory = whole.rindex(b"PK\x01\x02")
    content = bytearray(whole)
    content[8:10] = content[directory + 10 : directory + 12] = struct.pack("<H", 93)  # Zstandard
    (tmp_path / "a.npz").write_bytes(content)
    assert "its method of compression, 93, is not supported" in npy.members(tmp_path / "a.npz")["x"].problem


def test_a_dictionary_of_lzma_is_no_larger_than_its_member(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five bytes of a member ask for a dictionary of 4 GiB."""
    npz(str(tmp_path / "a.npz"), {"x": npy_of(np.arange(1000))}, zipfile.ZIP_LZMA)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    start = 30 + struct.unpack("<H", content[26:28])[0] + struct.unpack("<H", content[28:30])[0]
    assert content[start + 2 : start + 4] == b"\x05\x00"
    content[start + 5 : start + 9] = b"\xff\xff\xff\xff"
    (tmp_path / "a.npz").write_bytes(content)
    asked: list[int] = []
    decompressor = lzma.LZMADecompressor

    def watched(*args: Any, filters: list[dict[str, int]]) -> lzma.LZMADecompressor:
        asked.append(filters[0]["dict_size"])
        return decompressor(*args, filters=filters)

    monkeypatch.setattr(lzma, "LZMADecompressor", watched)
    np.testing.assert_array_equal(npy.member(tmp_path / "a.npz", "x"), np.arange(1000))
    assert set(asked) == {8128}


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_that_is_damaged_or_ends_early(method: int, tmp_path: Path) -> None:
    content = npy_of(np.arange(5000))
    npz(str(tmp_path / "a.npz"), {"x": content}, method)
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        info = archive.getinfo("x.npy")
        info.CRC ^= 1
        with zips.opened(archive, info) as stream, pytest.raises(zipfile.BadZipFile, match="its checksum is another one"):
            stream.read()
        info.compress_size //= 2
        with zips.opened(archive, info) as stream, pytest.raises(EOFError, match="it ends early"):
            stream.read()
