"""Dumps of a device: every container, names by pattern, raw layouts, and every fault in them."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intsim.arith import Format, signed
from intsim.debugging.core import Diff, diff
from intsim.debugging.dump_map import DumpLayout, DumpMap
from intsim.debugging.raw_files import open_raw
from intsim.engine.graph import Graph, digest
from intsim.errors import FileError, IntsimError
from intsim.testbench import Packing, export, layout_named
from intsim.testbench.encodings import ENCODINGS
from intsim.testbench.tensors import write_tensors

from checking import with_its_own_hash

SOFTMAX = "encoder.blocks.0.attn.softmax"  # i16 [2, 16, 16]
LOGITS = "encoder.blocks.0.attn.logits.requant"  # i8
NORM = "encoder.blocks.0.norm1"  # i32 [16, 32]

Tensors = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def tensors(golden_file: Path) -> Tensors:
    """Every tensor of the golden file."""
    with h5py.File(golden_file) as file:
        return {name: file[name][()] for name in file if name != "graph"}


def to_hdf5(tensors: Tensors, folder: Path) -> Path:
    with h5py.File(folder / "dump.hdf5", "w") as file:
        for name, value in tensors.items():
            file[name] = value
    return folder / "dump.hdf5"


def to_npz(tensors: Tensors, folder: Path) -> Path:
    np.savez(folder / "dump.npz", **tensors)
    return folder / "dump.npz"


def to_compressed_npz(tensors: Tensors, folder: Path) -> Path:
    np.savez_compressed(folder / "dump.npz", **tensors)
    return folder / "dump.npz"


def to_npy(tensors: Tensors, folder: Path) -> Path:
    for name, value in tensors.items():
        np.save(folder / f"{name}.npy", value)
    return folder


def to_nested_npy(tensors: Tensors, folder: Path) -> Path:
    for name, value in tensors.items():
        path = folder / f"{name.replace('.', '/')}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.asfortranarray(value))
    return folder


CONTAINERS = [to_hdf5, to_npz, to_compressed_npz, to_npy, to_nested_npy]


@pytest.mark.parametrize("write", CONTAINERS)
def test_every_container(
    write: Callable[[Tensors, Path], Path], tensors: Tensors, golden_file: Path, tmp_path: Path
) -> None:
    path = write(tensors, tmp_path)
    result = diff(golden_file, path)
    assert result.identical
    assert len(result.compared) == len(tensors)
    changed = tensors | {SOFTMAX: tensors[SOFTMAX].copy()}
    changed[SOFTMAX][1, 2, 3] ^= 1
    write(changed, tmp_path)
    result = diff(golden_file, path)
    assert [node.name for node in result.differing] == [SOFTMAX]
    assert result.differing[0].comparison is not None
    assert result.differing[0].comparison.first is not None
    assert result.differing[0].comparison.first.index == [1, 2, 3]


@pytest.mark.parametrize("write", CONTAINERS)
def test_a_partial_dump_is_isolated(
    write: Callable[[Tensors, Path], Path], tensors: Tensors, golden_file: Path, graph: Graph, tmp_path: Path
) -> None:
    some = {name: tensors[name].copy() for name in ("encoder.embedded", LOGITS, SOFTMAX)}
    some[SOFTMAX][0, 0, 0] += 1
    result = diff(golden_file, write(some, tmp_path), graph, isolated=True)
    assert result.culprits == [SOFTMAX]
    assert len(result.compared) == 3
    assert len(result.only_golden) == len(tensors) - 3
    assert not diff(golden_file, write(some, tmp_path), complete=True).identical


def test_npz_has_the_bytes_of_numpy_for_any_names(tmp_path: Path) -> None:
    arrays = {"a.b": np.arange(6, dtype=np.int8).reshape(2, 3), "every": np.arange(9)[::2], "one": np.array(5, np.int16)}
    write_tensors(tmp_path / "ours.npz", arrays)
    np.savez(tmp_path / "theirs.npz", **arrays)
    assert (tmp_path / "ours.npz").read_bytes() == (tmp_path / "theirs.npz").read_bytes()
    write_tensors(tmp_path / "ours.npz", {"file": arrays["one"], "allow_pickle": arrays["every"]})
    with np.load(tmp_path / "ours.npz") as file:
        assert sorted(file) == ["allow_pickle", "file"]


def test_hdf5_groups_are_dots(tensors: Tensors, golden_file: Path, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "dump.h5", "w") as file:
        file["encoder/blocks/0/attn/softmax"] = tensors[SOFTMAX]
        file["encoder/pos_embed"] = tensors["encoder.pos_embed"]
        file["someone/elses"] = np.zeros(3)
    result = diff(golden_file, tmp_path / "dump.h5")
    assert result.identical
    assert len(result.compared) == 2
    assert result.only_dut == ["someone/elses"]


@pytest.mark.parametrize("write", CONTAINERS)
def test_a_batch_of_one(write: Callable[[Tensors, Path], Path], tensors: Tensors, golden_file: Path, tmp_path: Path) -> None:
    path = write({LOGITS: tensors[LOGITS][None], SOFTMAX: tensors[SOFTMAX][None, None]}, tmp_path)
    assert diff(golden_file, path).identical
    assert len(diff(golden_file, path).compared) == 2
    assert not diff(golden_file, write({LOGITS: tensors[LOGITS][:, :, None]}, tmp_path)).identical


def states(result: Diff) -> dict[str, str]:
    """The tensors with a state other than match and missing."""
    return {node.name: node.accumulated for node in result.nodes if node.accumulated not in ("match", "missing")}


def test_problems_are_reported_per_tensor(tensors: Tensors, golden_file: Path, graph: Graph, tmp_path: Path) -> None:
    folder = to_npy(tensors, tmp_path)
    np.save(folder / f"{SOFTMAX}.npy", tensors[SOFTMAX][:, :-1])
    np.save(folder / f"{LOGITS}.npy", tensors[LOGITS] / np.float32(3))
    np.save(folder / f"{NORM}.npy", np.array([{"a": 1}], object), allow_pickle=True)
    (folder / "encoder.input.npy").write_bytes(b"\x93NUMPY rubbish")
    (folder / "encoder.patches.npy").write_bytes((folder / "encoder.patches.npy").read_bytes()[:-7])
    (folder / "encoder.tokens.npy").unlink()
    np.save(folder / "unheard_of.npy", np.zeros(3, np.int8))
    for isolated in (False, True):
        result = diff(golden_file, folder, graph, isolated=isolated)
        assert states(result) == {
            "encoder.input": "unreadable",
            "encoder.patches": "unreadable",
            NORM: "unreadable",
            LOGITS: "mistyped",
            SOFTMAX: "misshapen",
        }
        notes = {node.name: node.remark for node in result.nodes}
        assert "truncated" in notes["encoder.patches"]
        assert "never loaded" in notes[NORM]
        assert "is not a whole number; dump the integers" in notes[LOGITS]
        assert "its shape is [2, 15, 16], expected [2, 16, 16]" in notes[SOFTMAX]
        assert result.only_golden == ["encoder.tokens"]
        assert result.only_dut == ["unheard_of.npy"]
        assert not result.identical
    assert result.culprits == [], "unreadable tensors cannot be judged, and the rest is right"


def test_a_damaged_npz_member(tensors: Tensors, golden_file: Path, tmp_path: Path) -> None:
    path = to_npz({SOFTMAX: tensors[SOFTMAX], LOGITS: tensors[LOGITS]}, tmp_path)
    raw = bytearray(path.read_bytes())
    start = raw.index(tensors[SOFTMAX].tobytes()[:64])
    raw[start + 5] ^= 0xFF
    path.write_bytes(raw)
    result = diff(golden_file, path)
    assert states(result) == {SOFTMAX: "unreadable"}
    assert "damaged" in result.differing[0].remark


def test_an_npz_that_declares_more_than_it_contains(golden_file: Path, tmp_path: Path) -> None:
    header = np.lib.format.magic(1, 0) + (lambda h: len(h).to_bytes(2, "little") + h)(
        b"{'descr': '<i2', 'fortran_order': False, 'shape': (2, 16, 16), }".ljust(117) + b"\n"
    )
    with zipfile.ZipFile(tmp_path / "dump.npz", "w") as archive:
        archive.writestr(f"{SOFTMAX}.npy", header + bytes(10))
    result = diff(golden_file, tmp_path / "dump.npz")
    assert states(result) == {SOFTMAX: "unreadable"}
    assert "truncated" in result.differing[0].remark


def test_a_transposed_tensor_of_another_shape(tensors: Tensors, golden_file: Path, tmp_path: Path) -> None:
    name = "encoder.pos_embed"
    with h5py.File(tmp_path / "dump.h5", "w") as file:
        file[name] = tensors[name].T
    result = diff(golden_file, tmp_path / "dump.h5")
    assert states(result) == {name: "misshapen"}
    assert "transposed" in result.differing[0].remark


# --- maps and raw files -----------------------------------------------------------------------------------------------

MAP = """
[defaults]
endian = "big"

[[tensor]]
device = "blk{i}/probs.bin"
node = "encoder.blocks.{i}.attn.softmax"
axes = [1, 0, 2]
tile = [4, 8]

[[tensor]]
device = "blk{i}/logits.hex"
node = "encoder.blocks.{i}.attn.logits.requant"

[[tensor]]
device = "blk{i}/{what}.txt"
node = "encoder.blocks.{i}.{what}"
bits = 32
"""


def raw_dump(tensors: Tensors, folder: Path) -> Path:
    """Two blocks as a device with 8-byte beats would dump them."""
    (folder / "map.toml").write_text(MAP)
    for i in (0, 1):
        (folder / f"blk{i}").mkdir()
        probs = tensors[f"encoder.blocks.{i}.attn.softmax"].transpose(1, 0, 2)  # tokens, heads, tokens
        padded = np.zeros((16, 4, 16), np.int16)
        padded[:, :2] = probs
        tiles = padded.reshape(16, 1, 4, 2, 8).swapaxes(2, 3)
        tiles.astype(">i2").tofile(folder / f"blk{i}/probs.bin")
        logits = tensors[f"encoder.blocks.{i}.attn.logits.requant"].reshape(-1, 4)
        lines = ["// four elements per beat, the first one in the highest digits", "@0"]
        lines += ["".join(f"{int(v) & 0xFFFF:04x}" for v in beat) for beat in logits]
        (folder / f"blk{i}/logits.hex").write_text("\n".join(lines))
        np.savetxt(folder / f"blk{i}/norm1.txt", tensors[f"encoder.blocks.{i}.norm1"], fmt="%d", delimiter=", ")
    return folder


def test_raw_files_by_a_map(tensors: Tensors, golden_file: Path, graph: Graph, tmp_path: Path) -> None:
    folder = raw_dump(tensors, tmp_path)
    for path in (folder, folder / "map.toml"):
        result = diff(golden_file, path)
        assert result.identical
        assert len(result.compared) == 6
        assert result.kind == "folder of raw files"
    probs = np.fromfile(folder / "blk1/probs.bin", ">i2")
    probs[0] += 1
    probs.tofile(folder / "blk1/probs.bin")
    result = diff(golden_file, folder, graph, isolated=True)
    assert result.culprits == ["encoder.blocks.1.attn.softmax"]


def test_a_map_with_a_layout_of_export(tensors: Tensors, golden_file: Path, tmp_path: Path) -> None:
    (tmp_path / "wide.toml").write_text("bits = 12\nsigned = false\nbeat = 64\ntile = [2, 4]\naxes = [1, 0, 2]\n")
    small = {SOFTMAX: tensors[SOFTMAX] >> 4}
    with h5py.File(golden_file) as file, h5py.File(tmp_path / "small.h5", "w") as copy:
        for name in file:
            file.copy(name, copy)
        copy.attrs.update(file.attrs)
        copy[SOFTMAX][...] = small[SOFTMAX]
        copy[SOFTMAX].attrs["sha256"] = digest(small[SOFTMAX])
        with_its_own_hash(copy)
    for layout, name in (("wide.toml", "bits"), ("axi128", "raw")):
        chosen = layout_named(str(tmp_path / layout) if "." in layout else layout)
        export(tmp_path / "small.h5", tmp_path / name, layers=[SOFTMAX], formats=[name], layout=chosen)
        folder = tmp_path / f"dump-{name}"
        folder.mkdir()
        suffix = "bits" if name == "bits" else "bin"
        shutil.copy(tmp_path / name / f"{SOFTMAX}.{suffix}", folder)
        shutil.copy(tmp_path / "wide.toml", folder)
        (folder / "map.toml").write_text(
            f'[[tensor]]\ndevice = "{{name}}.{suffix}"\nnode = "{{name}}"\nlayout = "{layout}"\n'
        )
        result = diff(tmp_path / "small.h5", folder)
        assert result.identical
        assert [node.name for node in result.compared] == [SOFTMAX]


def test_a_layout_of_export_moves_the_axes_of_an_npz(tensors: Tensors, golden_file: Path, tmp_path: Path) -> None:
    (tmp_path / "narrow.toml").write_text("beat = 32\nsigned = false\naxes = [2, 0, 1]\n")
    (tmp_path / "map.toml").write_text(f'[[tensor]]\ndevice = "sm"\nnode = "{SOFTMAX}"\nlayout = "narrow.toml"\n')
    np.savez(tmp_path / "dump.npz", sm=tensors[SOFTMAX].transpose(2, 0, 1))
    assert diff(golden_file, tmp_path / "dump.npz", map_path=tmp_path / "map.toml").identical


def test_prefixes_and_unknown_digits(tmp_path: Path) -> None:
    for words in ("0x1 0xff 0x0A 0x7f", "1 ff A 7f"):
        (tmp_path / "x.hex").write_text(words)
        assert values(tmp_path / "x.hex", "", (4,), signed(8)).tolist() == [1, -1, 10, 127]
    for words, reason in (("0012 0x12", "unknown bits"), ("0x 0x12", "a word without digits")):
        (tmp_path / "x.hex").write_text(words)
        with pytest.raises(FileError, match=reason):
            values(tmp_path / "x.hex", "", (2,), signed(16))


def layout_of(entry: str) -> DumpLayout:
    """The layout of a map's only entry, given by its keys."""
    return DumpMap.load(written(f'[[tensor]]\ndevice = "x"\nnode = "x"\n{entry}')).entries[0].layout


def values(path: Path, entry: str, shape: tuple[int, ...], fmt: Format) -> np.ndarray:
    """The tensor in a raw file that an entry of a map describes by its keys."""
    raw = open_raw(path, layout_of(entry), shape, fmt)
    tensor = np.asarray(raw.load()[()])
    assert (tensor.shape, tensor.dtype.newbyteorder("=")) == (raw.shape, raw.dtype)  # a mapped file keeps its byte order
    return tensor


FORMER_WORDS = [  # an entry in former words, the same in the present ones, the file, its content, the values
    ("order = [1, 0]", "axes = [1, 0]", "x.txt", b"0 3 1 4 2 5", [[0, 1, 2], [3, 4, 5]]),
    ('dtype = "int8"', "bits = 8\nsigned = true", "x.bin", bytes([255, 1, 2, 3, 4, 5]), [[-1, 1, 2], [3, 4, 5]]),
    ('dtype = "u8"', "bits = 8\nsigned = false", "x.bin", bytes([255, 1, 2, 3, 4, 5]), [[255, 1, 2], [3, 4, 5]]),
    ('dtype = "int4"', "bits = 4\nsigned = true", "x.bin", bytes([0x21, 0x43, 0xF5]), [[1, 2, 3], [4, 5, -1]]),
    ('dtype = "uint4"', "bits = 4\nsigned = false", "x.hex", b"1 2 3 4 5 f", [[1, 2, 3], [4, 5, 15]]),
    ('dtype = "uint4"', "bits = 4\nsigned = false", "x.hex", b"321 f54", [[1, 2, 3], [4, 5, 15]]),
    (
        'dtype = "uint4"\nnibbles = "low_first"',
        'bits = 4\nsigned = false\nfirst = "low"',
        "x.bin",
        bytes([0x21, 0x43, 0xF5]),
        [[1, 2, 3], [4, 5, 15]],
    ),
    (
        'dtype = "uint4"\nnibbles = "high_first"',
        'bits = 4\nsigned = false\nlanes = 2\nfirst = "high"',
        "x.bin",
        bytes([0x12, 0x34, 0x5F]),
        [[1, 2, 3], [4, 5, 15]],
    ),
    ('dtype = "uint64"', "bits = 64\nsigned = false", "x.bin", bytes(range(48)), None),
    ('encoding = "txt"', 'encoding = "text"', "x.bin", b"-1 1 2 3 4 5", [[-1, 1, 2], [3, 4, 5]]),
    ('encoding = "bin"', 'encoding = "raw"', "x.txt", b"\1\0\2\0\3\0\4\0\5\0\6\0", [[1, 2, 3], [4, 5, 6]]),
]


@pytest.mark.parametrize(("former", "present", "name", "content", "expected"), FORMER_WORDS)
def test_former_words_of_a_map_are_read(
    former: str, present: str, name: str, content: bytes, expected: list | None, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    old, new = (values(tmp_path / name, entry, (2, 3), signed(16)) for entry in (former, present))
    assert old.dtype == new.dtype
    assert np.array_equal(old, new)
    assert expected is None or old.tolist() == expected


@pytest.mark.parametrize(
    ("former", "present"),
    [
        ("order = [0]", "axes = [0]"),
        ('dtype = "int8"', "bits = 8"),
        ('dtype = "int8"', "signed = true"),
        ('nibbles = "low_first"', 'first = "low"'),
        ('nibbles = "low_first"', "lanes = 2"),
        ('nibbles = "low_first"', "beat = 8"),
    ],
)
def test_one_key_in_former_and_present_words_is_refused(former: str, present: str) -> None:
    old, new = former.split()[0], present.split()[0]
    for table in (
        f'[[tensor]]\ndevice = "x"\nnode = "x"\n{former}\n{present}',
        f'[defaults]\n{present}\n{former}\n[[tensor]]\ndevice = "x"\nnode = "x"',
    ):
        with pytest.raises(FileError, match=rf"{old} and {new} describe the same thing; leave out {old}"):
            DumpMap.load(written(table))


@pytest.mark.parametrize(
    ("defaults", "entry", "alone"),
    [
        ("order = [1, 0]", "axes = [0, 1]", "axes = [0, 1]"),
        ("bits = 12\nsigned = false", 'dtype = "int8"', "bits = 8\nsigned = true"),
        ('dtype = "uint16"', "bits = 8", "bits = 8\nsigned = false"),
        ("beat = 64", 'nibbles = "high_first"', 'nibbles = "high_first"'),
        ('nibbles = "high_first"', "beat = 64", "beat = 64"),
        ('nibbles = "high_first"', 'first = "low"', 'first = "low"'),
        ('layout = "axi128"', "tile = [2, 2]", "tile = [2, 2]"),
        ("tile = [2, 2]", 'layout = "axi128"', 'layout = "axi128"'),
        ('layout = "axi128"', 'encoding = "bits"', 'layout = "axi128"\nencoding = "bits"'),
        ('endian = "big"', "bits = 8", 'endian = "big"\nbits = 8'),
    ],
)
def test_an_entry_replaces_defaults_in_either_words(defaults: str, entry: str, alone: str) -> None:
    both = DumpMap.load(written(f'[defaults]\n{defaults}\n[[tensor]]\ndevice = "x"\nnode = "x"\n{entry}'))
    assert both.entries[0].layout == layout_of(alone)


def test_a_map_entry_takes_the_keys_of_a_layout(tmp_path: Path) -> None:
    """With beats of a fixed width an entry means what a layout file of the same keys means."""
    keys = 'bits = 12\nsigned = false\nbeat = 32\nfirst = "high"\nendian = "big"\naxes = [1, 0]\ntile = [2, 2]\npad = 7\n'
    (tmp_path / "own.toml").write_text(keys)
    tensor = np.arange(15).reshape(3, 5)
    packing = Packing(layout_named(str(tmp_path / "own.toml")), tensor.shape, signed(16))
    for encoding in ("hex", "bits", "raw", "text"):
        path = tmp_path / f"x.{encoding}"
        ENCODINGS[encoding].write(path, packing.stream(tensor), packing)
        assert np.array_equal(values(path, f'encoding = "{encoding}"\n{keys}', tensor.shape, signed(16)), tensor)
    (tmp_path / "x.hex").write_text((tmp_path / "x.hex").read_text().replace("00", "0", 1))
    with pytest.raises(FileError, match="7 digits, a beat of 32 bits has 8"):
        values(tmp_path / "x.hex", keys, tensor.shape, signed(16))


def test_elements_of_any_width(tmp_path: Path) -> None:
    """Elements of 10 bits in hex words of any width, of 24 bits in bytes, of 2 bits four in a byte."""
    (tmp_path / "x.hex").write_text("001 3ff 200")
    assert values(tmp_path / "x.hex", "bits = 10", (3,), signed(16)).tolist() == [1, -1, -512]
    (tmp_path / "x.hex").write_text("00401 003ff")
    assert values(tmp_path / "x.hex", "bits = 10", (3,), signed(16)).tolist() == [1, 1, -1]
    assert values(tmp_path / "x.hex", 'bits = 10\nfirst = "high"', (4,), signed(16)).tolist() == [1, 1, 0, -1]
    (tmp_path / "x.bin").write_bytes(b"\x01\x02\x03\xff\xff\xff")
    for entry in ("bits = 24", "bits = 24\nlanes = 1", "bits = 24\nbeat = 24"):
        assert values(tmp_path / "x.bin", entry, (2,), signed(32)).tolist() == [0x030201, -1]
    (tmp_path / "x.bin").write_bytes(bytes([0b11_10_01_00, 0b01]))
    assert values(tmp_path / "x.bin", "bits = 2\nsigned = false", (5,), signed(8)).tolist() == [0, 1, 2, 3, 1]


def test_unsigned_64_bits(tmp_path: Path) -> None:
    """They are read up to the highest int64, in either words of a map."""
    for content, highest in ((b"\xff" * 16, None), (b"\1" + bytes(15), 1)):
        (tmp_path / "x.bin").write_bytes(content)
        for entry in ('dtype = "uint64"', "bits = 64\nsigned = false", "bits = 64\nsigned = false\nbeat = 128"):
            if highest is None:
                with pytest.raises(FileError, match=r"above 2\*\*63 - 1"):
                    values(tmp_path / "x.bin", entry, (2,), signed(32))
            else:
                assert values(tmp_path / "x.bin", entry, (2,), signed(32)).tolist() == [1, 0]


def test_a_map_for_names_only(tensors: Tensors, golden_file: Path, tmp_path: Path) -> None:
    (tmp_path / "names.toml").write_text(
        '[[tensor]]\ndevice = "L{n}_sm"\nnode = "encoder.blocks.{n}.attn.softmax"\norder = [2, 0, 1]'
    )
    np.savez(tmp_path / "dump.npz", L0_sm=tensors[SOFTMAX].transpose(2, 0, 1), other=np.zeros(2))
    result = diff(golden_file, tmp_path / "dump.npz", map_path=tmp_path / "names.toml")
    assert result.identical
    assert [node.name for node in result.compared] == [SOFTMAX]
    assert result.only_dut == ["other"]


BAD_MAPS = [
    ("", "a map has"),
    ("[[tensor]", "not a TOML file"),
    ('[[tensor]]\ndevice = "a"', "'node' is missing"),
    ('[[tensor]]\ndevice = "a"\nnode = "b"\ncolour = 3', "unknown key 'colour'"),
    ('[[tensor]]\ndevice = "a"\nnode = "b.{i}"', "{i} is in node but not in device"),
    ('[[tensor]]\ndevice = "{1}"\nnode = "b"', "not a placeholder"),
    ('[[tensor]]\ndevice = "a"\nnode = "b"\ndtype = "float16"', "dtype = 'float16' is not one of: int4"),
    ('[[tensor]]\ndevice = "a"\nnode = "b"\nendian = "middle"', "is not one of: little, big"),
    ('[[tensor]]\ndevice = "a"\nnode = "b"\naxes = [0, 0]', "[[tensor]] 1: axes [0, 0] must name every axis"),
    ('[[tensor]]\ndevice = "a"\nnode = "b"\norder = [0, 0]', "[[tensor]] 1: order [0, 0] must name every axis"),
    ('[[tensor]]\ndevice = "a"\nnode = "b"\norder = 3', "order = 3 is not a list of whole numbers from 0"),
    ('[[tensor]]\ndevice = "a"\nnode = "b"\nnibbles = "low"', "nibbles = 'low' is not one of: low_first, high_first"),
    ('[[tensor]]\ndevice = "a"\nnode = "b"\nbits = 65', "bits = 65 is not a whole number from 1 to 64"),
    ('[[tensor]]\ndevice = "a"\nnode = "b"\nbeat = 12', "a beat of 12 bits is not a whole number of bytes"),
    ('[[tensor]]\ndevice = "a"\nnode = "b"\nsigned = 1', "signed = 1 is not true or false"),
    ('[[tensor]]\ndevice = "a"\nnode = "b"\nlines = 4', "unknown key 'lines'"),
    ('[[tensor]]\ndevice = "a"\nnode = "b"\nshape = []', "shape = [] is not a list of whole numbers from 1"),
    ('[[tensor]]\ndevice = "a"\nnode = "b"\nencoding = "c"', "encoding = 'c' is not one of: hex, bits, raw, text"),
    ('[[tensor]]\ndevice = "a"\nnode = "b"\ntile = [0]', "is not a list of whole numbers from 1"),
    ('[[tensor]]\ndevice = "nothing*"\nnode = "b"', "'nothing*' matches nothing"),
    ('[[tensor]]\ndevice = "a"\nnode = "b"\nlayout = "none"', "layout 'none' is neither a TOML file nor one of: plain"),
    ('[defaults]\nendian = "up"\n[[tensor]]\ndevice = "a"\nnode = "b"\nlayout = "axi128"', "[defaults]: endian = 'up'"),
    ('[[tensor]]\ndevice = "a"\nnode = "b"\nlayout = 3', "layout = 3 is not the name of a layout"),
    ('[[tensor]]\ndevice = "a"\nnode = "b"\nlayout = "axi128"\ntile = [2]', "leave out tile"),
    ('depth = 3\n[[tensor]]\ndevice = "a"\nnode = "b"', "unknown key 'depth'"),
]


@pytest.mark.parametrize(("text", "words"), BAD_MAPS)
def test_bad_maps(text: str, words: str, tensors: Tensors, golden_file: Path, tmp_path: Path) -> None:
    np.save(tmp_path / f"{SOFTMAX}.npy", tensors[SOFTMAX])
    (tmp_path / "map.toml").write_text(text)
    with pytest.raises(FileError) as error:
        diff(golden_file, tmp_path)
    assert words in str(error.value)
    assert "map.toml" in str(error.value)
    assert "\n" not in str(error.value)


BAD_RAW = [
    ("x.bin", b"\0" * 5, "", "it has 5 bytes; 512 elements of i16 are 1024"),
    ("x.hex", b"00xx " * 512, "", "unknown bits"),
    ("x.hex", b"0g", "", ":1: 'g' is not a hexadecimal digit"),
    ("x.hex", b"0000 @10 " + b"0000 " * 511, "", "jumps to address"),
    ("x.hex", b"@zz\n00", "", ":1: '@zz' is not an address"),
    ("x.hex", b"0000 0001", "", "has 2 hexadecimal words, expected 512"),
    ("x.hex", b"0" * 20000, "", "x.hex: words of 20,000 digits: layout of the map: "),
    ("x.txt", b"1 2 three", "", ":1: 'three' is not a decimal number"),
    ("x.txt", b"1 " * 511 + b"40000", "", ":1: 40000 does not fit i16"),
    ("x.txt", b"\xff\xfd", "", ":1: is not plain text"),
    ("x.bin", b"\0" * 1024, "shape = [4, 4]", "the map says [4, 4], the node is [2, 16, 16]"),
    ("x.bin", b"\0" * 1024, "shape = [16, 32]\naxes = [1, 0, 2]", "it has 2 axes, the map names 3: [1, 0, 2]"),
    ("x.bin", b"\0" * 1024, "axes = [0, 1]", "the map's axes [0, 1] do not name"),
    ("x.bin", b"\0" * 1024, "tile = [1, 1, 1, 1]", "more axes"),
    ("x.bin", b"\0" * 1024, "beat = 8", "a beat of 8 bits does not hold an element of 16 bits"),
]


@pytest.mark.parametrize(("name", "content", "entry", "words"), BAD_RAW)
def test_bad_raw_files(name: str, content: bytes, entry: str, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(IntsimError) as error:
        values(tmp_path / name, entry, (2, 16, 16), signed(16))
    assert words in str(error.value)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(data=st.data())
def test_raw_layouts_round_trip(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A file written from an independent description of the layout is read back unchanged, in former and present words."""
    shape = tuple(data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=3)))
    kind = data.draw(st.sampled_from(["int4", "uint4", "int8", "uint8", "int16", "int32", "uint16"]))
    bits, is_signed = int(kind.lstrip("uint")), not kind.startswith("u")
    low = -(1 << (bits - 1)) if is_signed else 0
    flat = data.draw(
        st.lists(st.integers(low, low + (1 << bits) - 1), min_size=int(np.prod(shape)), max_size=int(np.prod(shape)))
    )
    tensor = np.array(flat, np.int64).reshape(shape)
    order = data.draw(st.none() | st.permutations(range(len(shape))))
    tile = data.draw(st.lists(st.integers(1, 4), max_size=len(shape)))
    endian = data.draw(st.sampled_from(["little", "big"]))
    nibbles = data.draw(st.sampled_from(["low_first", "high_first"]))
    encoding = data.draw(st.sampled_from(["bin", "hex", "txt"]))

    stored = tensor if order is None else tensor.transpose(order)
    sequence: list[int] = []
    steps = [1] * (len(shape) - len(tile)) + list(tile)
    counts = [-(-n // t) for n, t in zip(stored.shape, steps, strict=True)]
    for block in np.ndindex(*counts):  # tile by tile, element by element
        for inner in np.ndindex(*steps):
            at = tuple(b * t + i for b, t, i in zip(block, steps, inner, strict=True))
            inside = all(i < n for i, n in zip(at, stored.shape, strict=True))
            sequence.append(int(stored[at]) if inside else 0)
    raw = [v & ((1 << bits) - 1) for v in sequence]
    path = tmp_path_factory.mktemp("raw") / f"x.{encoding}"
    if encoding == "txt":
        path.write_text(" ".join(map(str, sequence)))
    elif encoding == "hex":
        path.write_text("\n".join(f"{v:0{bits // 4}X}" for v in raw))
    elif bits == 4:
        raw += [0] * (len(raw) % 2)
        pairs = zip(raw[::2], raw[1::2], strict=True)
        path.write_bytes(bytes(a | b << 4 if nibbles == "low_first" else a << 4 | b for a, b in pairs))
    else:
        path.write_bytes(b"".join(v.to_bytes(bits // 8, endian) for v in raw))
    sign = "true" if is_signed else "false"
    former = [f'dtype = "{kind}"', f'nibbles = "{nibbles}"', f"order = {list(order or [])}"]
    present = [f"bits = {bits}\nsigned = {sign}", f"axes = {list(order or [])}"]
    if encoding == "bin":
        present.append(f'first = "{nibbles.removesuffix("_first")}"')
    for words in (former, present):
        keys = [*words, f'endian = "{endian}"', f"tile = {tile}"]
        entry = "\n".join(key for key in keys if order is not None or not key.startswith(("order", "axes")))
        assert np.array_equal(values(path, entry, shape, signed(32)), tensor)


def test_patterns() -> None:
    entry = DumpMap.load(written('[[tensor]]\ndevice = "a{x}_{y}/{x}.bin"\nnode = "n.{y}.{x}"')).entries[0]
    assert entry.match("a1_2/1.bin")
    assert entry.node_of("a1_2/1.bin") == "n.2.1"
    assert not entry.match("a1_2/3.bin"), "one placeholder means one text"
    assert not entry.match("a1/5_2/1.bin"), "a placeholder matches no slash"


def written(text: str) -> Path:
    path = Path(tempfile.mkdtemp()) / "map.toml"
    path.write_text(text)
    return path


def test_two_names_for_one_node(tensors: Tensors, golden_file: Path, tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text('[[tensor]]\ndevice = "{any}"\nnode = "encoder.pos_embed"')
    for name in ("a.npy", "b.npy"):
        np.save(tmp_path / name, tensors["encoder.pos_embed"])
    with pytest.raises(FileError, match=r"both a\.npy and b\.npy are encoder\.pos_embed"):
        diff(golden_file, tmp_path)


def test_nothing_to_compare(tensors: Tensors, golden_file: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match="the folder is empty"):
        diff(golden_file, tmp_path / "empty")
    (tmp_path / "empty/readme.md").write_text("x")
    with pytest.raises(FileError, match=r"holds no \.npy file; raw files need a map"):
        diff(golden_file, tmp_path / "empty")
    np.savez(tmp_path / "other.npz", foo=np.zeros(3, np.int8))
    with pytest.raises(IntsimError, match=r"no tensor in common.*holds foo.*names like image"):
        diff(golden_file, tmp_path / "other.npz")
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(FileError, match="name the folder"):
        diff(golden_file, tmp_path / "one.npy")
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(FileError, match=r"not a readable \.npz"):
        diff(golden_file, tmp_path / "cut.npz")
    with pytest.raises(FileError, match="no such map"):
        diff(golden_file, tmp_path, map_path=tmp_path / "none.toml")
