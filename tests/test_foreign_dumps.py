"""Dumps as simulators, languages and other tools write them: undriven bits, printed words, reals, other orders of axes."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from intsim.arith import Format, signed
from intsim.debugging.core import diff
from intsim.debugging.dump_map import DumpMap
from intsim.debugging.raw_files import open_raw
from intsim.engine.graph import Graph
from intsim.errors import FileError, IntsimError
from intsim.storage.reals import NotWhole, unscaled, whole
from intsim.testbench import BeatLayout, Packing
from intsim.testbench.encodings import ENCODINGS
from intsim.testbench.words import silent

SOFTMAX, LOGITS = "encoder.blocks.0.attn.softmax", "encoder.blocks.0.attn.logits.requant"
NORM, QKV = "encoder.blocks.0.norm1.requant", "encoder.blocks.0.attn.qkv.requant"
Cli = Callable[..., tuple[int, str, str]]


def read(path: Path, entry: str, shape: tuple[int, ...], fmt: Format, said: list[str] | None = None) -> list:
    """The tensor in a raw file that a map's entry describes."""
    map_path = path.with_name("map.toml")
    map_path.write_text(f'[[tensor]]\ndevice = "{path.name}"\nnode = "x"\n{entry}')
    remark = silent if said is None else said.append
    raw = open_raw(path, DumpMap.load(map_path).entries[0].layout, shape, fmt, remark)
    assert raw.shape == shape
    return np.asarray(raw.load()[()]).tolist()


# --- bits that carry no element ---------------------------------------------------------------------------------------

PADDED = [  # a layout, and the words of a tensor of 2 x 3 elements of 4 bits: 1 to 6
    ('beat = 16\nlanes = 3\nencoding = "hex"', ["x321", "Z654"]),  # unused high bits
    ('beat = 16\nencoding = "hex"', ["4321", "xx65"]),  # the last beat is not full
    ('beat = 16\nencoding = "hex"\nfirst = "high"', ["1234", "56uW"]),
    ('beat = 8\nlanes = 1\nencoding = "hex"', ["x1", "z2", "u3", "W4", "-5", "X6"]),
    ('beat = 8\nlanes = 2\ntile = [1, 4]\nencoding = "hex"', ["21", "x3", "54", "z6"]),  # lanes of a padded tile
    ('beat = 8\nlanes = 2\ntile = [4, 1]\nencoding = "hex"', ["41", "xx", "52", "zz", "63", "--"]),  # whole beats
    ('beat = 8\nlanes = 2\npitch = [4]\nencoding = "hex"', ["21", "x3", "54", "x6"]),
    ('beat = 8\nlanes = 2\nencoding = "bits"', ["00100001", "01000011", "0HHL0H0H"]),  # weak ones and zeros
    ('beat = 16\nlanes = 3\nencoding = "bits"', ["xxxx001100100001", "uw-Z011001010100"]),
    ('lanes = 4\nencoding = "text"', ["1 2 3 4", "5 6 x X"]),
]


@pytest.mark.parametrize(("entry", "words"), PADDED, ids=range(len(PADDED)))
def test_bits_without_an_element_may_be_unknown(entry: str, words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "x.mem"
    path.write_text("\n".join(words))
    assert read(path, entry, (2, 3), signed(4)) == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("unknown", list("xXzZuUwW-"))
@pytest.mark.parametrize(("entry", "words"), PADDED, ids=range(len(PADDED)))
def test_unknown_bits_of_an_element_are_refused_with_their_line(
    entry: str, words: list[str], unknown: str, tmp_path: Path
) -> None:
    path, text = tmp_path / "x.mem", "text" in entry
    for line in range(2):
        digits = [i for i, c in enumerate(words[line]) if c in ("123456" if "hex" in entry or text else "1")]
        if not digits:
            continue
        spoilt = [*words]
        spoilt[line] = words[line][: digits[0]] + unknown + words[line][digits[0] + 1 :]
        path.write_text("\n".join(spoilt))
        if text and unknown == "-":
            continue  # a sign
        with pytest.raises(FileError, match=rf"x\.mem:{line + 1}: .*(unknown bits|unknown value)"):
            read(path, entry, (2, 3), signed(4))


def test_import_reads_what_a_manifest_describes_with_unknown_padding(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "l.toml").write_text("beat = 128\nlanes = 7\n")
    assert cli(f"export golden.h5 --layers {QKV} --layout l.toml --format hex -o tb")[0] == 0
    path = tmp_path / "tb" / f"{QKV}.hex"
    lines = path.read_text().splitlines()
    (tmp_path / "dump").mkdir()
    target = tmp_path / "dump" / path.name
    target.write_text("\n".join("x" * 18 + line[18:] for line in lines))
    code, out, err = cli("import dump --manifest tb/manifest.json -o dut.npz")
    assert (code, err) == (0, ""), out
    assert cli("diff golden.h5 dut.npz")[0] == 0
    target.write_text("\n".join([*lines[:3], lines[3][:-1] + "x", *lines[4:]]))
    code, _, err = cli("import dump --manifest tb/manifest.json -o dut.npz")
    assert code == 2
    assert f"{QKV}.hex:4: " in err
    assert "unknown bits (x)" in err


def test_parts_of_a_tensor_know_their_padding(tmp_path: Path) -> None:
    """The last of several files: its unknown lanes are those after the tensor's end."""
    packing = Packing(BeatLayout("parts", bits=8, beat=16, lines=2), (7,), signed(8))
    path = tmp_path / "x.hex"
    path.write_text("0605 xx07")
    assert ENCODINGS["hex"].read(path, packing, range(2, 4), silent).tolist() == [[5, 6], [7, 0]]
    with pytest.raises(FileError, match="unknown bits"):
        ENCODINGS["hex"].read(path, packing, range(0, 2), silent)


def test_padding_need_not_be_written(tmp_path: Path) -> None:
    """Rows written by address leave their padding out, and the last row may end with its last element."""
    path, entry = tmp_path / "x.hex", 'beat = 8\nlanes = 1\npitch = [4]\nencoding = "hex"'
    for text in ("@0 01 02 03 @4 04 05 06", "01 02 03 xx 04 05 06", "@14 04 05 06 @10 01 02 03"):
        path.write_text(text)
        assert read(path, entry, (2, 3), signed(8)) == [[1, 2, 3], [4, 5, 6]]
    path.write_text("@0 01 02 @4 04 05 06")
    with pytest.raises(FileError, match="jumps to address 0x4, but nothing is written to 0x2 to 0x3"):
        read(path, entry, (2, 3), signed(8))
    path.write_text("01 02 03 xx 04 05")
    with pytest.raises(FileError, match="has 6 hexadecimal words, expected 8; the dump is truncated"):
        read(path, entry, (2, 3), signed(8))


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "bits", "expected"),
    [
        ("32 fffffff0 00 ffffff80 7f", 8, [50, -16, 0, -128, 127]),  # %02x
        ("0x32 0xfffffff0 0x0 0xffffff80 0x7f", 8, [50, -16, 0, -128, 127]),
        ("0032 fffffff0 0000 ffff8000 7fff", 16, [50, -16, 0, -32768, 32767]),  # %04x
        ("32 fffffffffffffff0 00 ffffffffffffff80 7f", 8, [50, -16, 0, -128, 127]),  # 64 bits
        ("00000032 fffffff0 00000000 ffffff80 0000007f", 8, [50, -16, 0, -128, 127]),  # %08x
        ("xxxxxx32 xxxxxxf0 xxxxxx00 xxxxxx80 7f", 8, [50, -16, 0, -128, 127]),  # a wider bus, its high bits not driven
    ],
)
def test_sign_extended_words(words: str, bits: int, expected: list[int], tmp_path: Path) -> None:
    path, said = tmp_path / "x.hex", []
    path.write_text(words)
    assert read(path, "", (5,), signed(bits), said) == expected
    assert "sign extended" in said[0]


@pytest.mark.parametrize("word", ["fffffe70", "000000f0", "0fffffff", "10000032", "ffffff7f"])
def test_words_that_are_no_extension_are_refused(word: str, tmp_path: Path) -> None:
    path = tmp_path / "x.hex"
    path.write_text(f"32 31\n{word}\n00 00")
    with pytest.raises(FileError, match=r"x\.hex:2: .*with its sign extended"):
        read(path, "", (5,), signed(8))


def test_a_long_word_is_still_a_beat_where_there_are_fewer_words(tmp_path: Path) -> None:
    path, said = tmp_path / "x.hex", []
    path.write_text("04030201 08070605")
    assert read(path, "", (8,), signed(8), said) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert not said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("01 02 @2 03 04", [1, 2, 3, 4]),
        ("@2 03 04 @0 01 02", [1, 2, 3, 4]),
        ("@3 04 @0 01 @2 03 @1 02", [1, 2, 3, 4]),
        ("@100 01 02 @102 03 04", [1, 2, 3, 4]),
        ("@1_02 03 04 @100 01 02", [1, 2, 3, 4]),
        ("@2 03 04 @0 01 xx", "x.hex:1: 'xx' has unknown bits"),
        ("@2 03 04 @1 01 02", "address 0x2 is written twice"),
        ("@2 03 04 @5 01 02", "jumps to address 0x5, but nothing is written to 0x4"),
        ("@2 03 04 @8 01 02", "jumps to address 0x8, but nothing is written to 0x4 to 0x7"),
        ("@2 03 04 @0 01", "jumps to address 0x2, but nothing is written to 0x1"),
        ("@0 01 02 @1 03 04 05", "address 0x1 is written twice"),
        ("@0 01 02 03", "has 3 hexadecimal words, expected 4; the dump is truncated"),
    ],
)
def test_address_blocks_in_any_order(text: str, expected: list[int] | str, tmp_path: Path) -> None:
    path = tmp_path / "x.hex"
    path.write_text(text)
    if isinstance(expected, str):
        with pytest.raises(FileError) as refused:
            read(path, "", (4,), signed(8))
        assert expected in str(refused.value)
    else:
        assert read(path, "", (4,), signed(8)) == expected


# --- reals ------------------------------------------------------------------------------------------------------------


def test_whole_numbers_written_as_reals(tmp_path: Path) -> None:
    path, said = tmp_path / "x.txt", []
    path.write_text("50.0 -5.0e+01 5.000000000000000000e+01 .0 1e2 -0.0 7.")
    assert read(path, "", (7,), signed(8), said) == [50, -50, 50, 0, 100, 0, 7]
    assert "7 whole numbers are written as reals" in said[0]


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("1.5", "1.5 is not a whole number"),
        ("1e-3", "is not a whole number"),
        ("1e999", "1e999 does not fit i8"),
        ("1e99999", "is not a decimal number"),
        ("nan", "is not a decimal number"),
        ("inf", "is not a decimal number"),
        ("128.0", "128.0 does not fit i8"),
        ("1" * 50, "does not fit i8"),
        ("1" * 90, "is not a decimal number"),
    ],
)
def test_reals_that_are_no_element(word: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text(f"1 2.0\n{word}")
    with pytest.raises(FileError, match=r"x\.txt:2: ") as refused:
        read(path, "", (3,), signed(8))
    assert reason in str(refused.value)
    assert len(str(refused.value)) < 300


def to_npz(path: Path, name: str, values: np.ndarray) -> Path:
    np.savez(path / "dump.npz", **{name: values})
    return path / "dump.npz"


def to_npy(path: Path, name: str, values: np.ndarray) -> Path:
    (path / "dump").mkdir(exist_ok=True)
    np.save(path / "dump" / f"{name}.npy", values)
    return path / "dump"


def to_hdf5(path: Path, name: str, values: np.ndarray) -> Path:
    with h5py.File(path / "dump.h5", "w") as file:
        file[name] = values
    return path / "dump.h5"


@pytest.mark.parametrize("kind", ["f2", "<f4", ">f4", "f8"])
@pytest.mark.parametrize("write", [to_npz, to_npy, to_hdf5])
def test_arrays_of_whole_reals(write: Callable[..., Path], kind: str, golden_file: Path, tmp_path: Path) -> None:
    right = golden(golden_file, LOGITS)
    result = diff(golden_file, write(tmp_path, LOGITS, right.astype(kind)))
    assert result.identical
    assert "whole numbers stored as" in result.conversions[0]
    wrong = right.astype(kind)
    wrong[1, 2, 3] += 0.5
    result = diff(golden_file, write(tmp_path, LOGITS, wrong))
    assert not result.compared
    assert [node.name for node in result.unusable] == [LOGITS]
    assert "[1, 2, 3] = " in result.unusable[0].remark
    assert "is not a whole number" in result.unusable[0].remark


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300, 2.0**63])
def test_reals_beyond_integers(bad: float) -> None:
    with pytest.raises(NotWhole, match=r"t\[1\] = "):
        whole(np.array([1.0, bad]), "t")
    with pytest.raises(NotWhole, match=r"t\[1\] = "):
        unscaled(np.array([1.0, bad]), 1.0, "t")


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_integers_times_their_scale(kind: str, graph: Graph, golden_file: Path, tmp_path: Path, cli: Cli) -> None:
    right, scale = golden(golden_file, LOGITS), graph.scales[LOGITS]
    path = to_npz(tmp_path, LOGITS, (right * np.float32(scale)).astype(kind))
    assert not diff(golden_file, path).compared, "without being told, they are no integers"
    result = diff(golden_file, path, scaled=True)
    assert result.identical
    assert "divided by the scale" in result.conversions[0]
    code, out, _ = cli(f"diff golden.h5 {shlex.quote(str(path))} --scaled --isolated")
    assert (code, out.splitlines()[1].startswith("converted: ")) == (0, True)
    (tmp_path / "map.toml").write_text(f'[[tensor]]\ndevice = "{LOGITS}"\nnode = "{LOGITS}"\nscaled = true\n')
    assert diff(golden_file, path, map_path=tmp_path / "map.toml").identical
    off = (right * np.float32(scale)).astype(kind)
    off[0, 0, 1] += 0.4 * float(np.min(scale))
    result = diff(golden_file, to_npz(tmp_path, LOGITS, off), scaled=True)
    assert "[0, 0, 1] = " in result.unusable[0].remark
    assert "is not a multiple of its scale" in result.unusable[0].remark


def test_scales_per_channel_and_numbers_that_are_too_large() -> None:
    q = np.array([[1, -2, 3], [100000, 5, -6]])
    scale = np.array([0.1, 0.02, 3e-5])
    np.testing.assert_array_equal(unscaled((q * scale).astype(np.float32), scale, "t"), q)
    with pytest.raises(NotWhole, match="too few digits"):
        unscaled(np.array([2.0**22 + 1], np.float32), 1.0, "t")
    assert unscaled(np.array([2.0**40 + 1]), 1.0, "t").tolist() == [2**40 + 1]


def test_reals_in_raw_files(golden_file: Path, graph: Graph, tmp_path: Path) -> None:
    right, scale = golden(golden_file, LOGITS), graph.scales[LOGITS]
    entry = f'[[tensor]]\ndevice = "{{name}}"\nnode = "{LOGITS}"\n'
    for name, content, keys in (
        ("a.bin", right.astype("<f4").tobytes(), 'dtype = "float32"'),
        ("a.bin", (right * scale).astype(">f8").tobytes(), 'dtype = "float64"\nendian = "big"\nscaled = true'),
        ("a.txt", " ".join(f"{v:.6g}" for v in (right * scale).reshape(-1)).encode(), "scaled = true"),
        ("a.bin", right.transpose(2, 0, 1).astype("<f4").tobytes(), 'dtype = "float32"\naxes = [2, 0, 1]'),
    ):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        (folder / name).write_bytes(content)
        (folder / "map.toml").write_text(entry + keys)
        assert diff(golden_file, folder).identical, keys


# --- layouts ----------------------------------------------------------------------------------------------------------


def golden(path: Path, name: str) -> np.ndarray:
    with h5py.File(path) as file:
        return file[name][()]


def padded(x: np.ndarray, *widths: int) -> np.ndarray:
    """An array with so many elements of rubbish after its last axes."""
    return np.pad(x, [(0, 0)] * (x.ndim - len(widths)) + [(0, n) for n in widths], constant_values=77)


LAYOUTS: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray], str]] = {
    "all reversed": (NORM, lambda x: x.reshape(-1)[::-1].reshape(x.shape), "reverse-elements"),
    "beats of 192": (QKV, lambda x: x.reshape(-1, 192)[:, ::-1].reshape(x.shape), "reverse-beats:192"),
    "beats of 2": (QKV, lambda x: x.reshape(-1, 2)[:, ::-1].reshape(x.shape), "reverse-beats:2"),
    "half of it": (QKV, lambda x: x.reshape(2, -1)[:, ::-1].reshape(x.shape), "reverse-beats:"),
    "rows reversed": (NORM, lambda x: x[:, ::-1], "reverse-columns"),
    "axes reversed": (SOFTMAX, lambda x: np.ascontiguousarray(x.transpose()), "axes [2, 1, 0]"),
    "2-D axes reversed": (NORM, lambda x: np.ascontiguousarray(x.transpose()), "transpose"),
    "flat": (SOFTMAX, lambda x: x.reshape(-1), "reshape"),
    "flat, columns first": (NORM, lambda x: x.transpose().reshape(-1), "transpose"),
    "row pitch": (NORM, lambda x: padded(x, 5), "row-pitch:"),
    "row pitch, flat": (NORM, lambda x: padded(x, 5).reshape(-1), "row-pitch:"),
    "plane pitch": (SOFTMAX, lambda x: padded(x.reshape(2, -1), 9), "plane-pitch:"),
    "plane and row pitch": (SOFTMAX, lambda x: padded(x, 3, 1), "plane-pitch:"),
}


@pytest.mark.parametrize("write", [to_npz, to_hdf5])
@pytest.mark.parametrize(("node", "store", "named"), LAYOUTS.values(), ids=LAYOUTS)
def test_a_layout_is_named_and_its_map_reads_it(
    node: str,
    store: Callable[[np.ndarray], np.ndarray],
    named: str,
    write: Callable[..., Path],
    graph: Graph,
    golden_file: Path,
    tmp_path: Path,
) -> None:
    stored = store(golden(golden_file, node))
    path = write(tmp_path, node, stored)
    reshaped = stored.shape != graph.tensors[node].shape
    for isolated in (False, True):
        result = diff(golden_file, path, graph, isolated=isolated)
        found = result.node(node)
        assert found is not None
        assert found.layout is not None
        assert found.layout.name.startswith(named)
        assert not result.identical
        if reshaped:
            assert found.differing == 0
            assert result.compared
            assert not result.culprits
            assert not result.unusable
    assert json.loads(json.dumps(result.record()))["nodes"]
    (tmp_path / "map.toml").write_text(found.map_entry)
    assert diff(golden_file, path, graph, isolated=True, map_path=tmp_path / "map.toml").identical


@pytest.mark.parametrize("suffix", ["bin", "hex", "txt"])
def test_raw_files_at_a_pitch(suffix: str, golden_file: Path, tmp_path: Path) -> None:
    right = golden(golden_file, NORM)
    stored = padded(right, 5).reshape(-1)
    text = {"bin": stored.tobytes(), "hex": " ".join(f"{v & 255:02x}" for v in stored.tolist()).encode()}
    (tmp_path / f"n.{suffix}").write_bytes(text.get(suffix) or " ".join(map(str, stored.tolist())).encode())
    entry = f'[[tensor]]\ndevice = "n.{suffix}"\nnode = "{NORM}"\n'
    (tmp_path / "map.toml").write_text(entry)
    found = diff(golden_file, tmp_path).node(NORM)
    assert found is not None
    assert found.layout is not None
    assert found.layout.name == f"row-pitch:{right.shape[1] + 5}"
    assert found.map_entry.startswith(entry)
    (tmp_path / "map.toml").write_text(found.map_entry)
    assert diff(golden_file, tmp_path).identical


def test_a_fault_is_found_in_a_dump_with_its_axes_reversed(graph: Graph, golden_file: Path, tmp_path: Path) -> None:
    """The golden values are not in it, so the shapes tell the order."""
    tensors = {name: golden(golden_file, name) for name in (NORM, QKV)}
    tensors[QKV] = tensors[QKV] ^ 4
    np.savez(tmp_path / "dump.npz", **{name: value.transpose() for name, value in tensors.items()})
    result = diff(golden_file, tmp_path / "dump.npz", graph, isolated=True)
    assert result.culprits == [QKV]
    assert result.explanations[0].fits[0].name == "bitflip:2"
    assert "axes [1, 0]" in result.conventions[0].says


def test_pitches_that_cannot_be() -> None:
    for pitch, shape, reason in (
        ([3], (2, 4), "a pitch of 3 is less than the 4 elements"),
        ([8], (4,), "has no axis"),
        ([6, 4], (2, 2, 4), "a pitch of 6 is less than the 8 elements"),
    ):
        with pytest.raises(IntsimError, match=reason):
            Packing(BeatLayout("p", pitch=tuple(pitch)), shape, signed(8))
    with pytest.raises(IntsimError, match="exclude each other"):
        BeatLayout("p", pitch=(8,), tile=(2, 2))


def test_a_pitch_round_trips(tmp_path: Path) -> None:
    values = np.arange(2 * 3 * 5, dtype=np.int8).reshape(2, 3, 5)
    for pitch, axes in (((7,), None), ((30, 7), None), ((28, 6), (0, 2, 1)), ((11,), (2, 1, 0))):
        for beat in (8, 24, 64):
            packing = Packing(BeatLayout("p", pitch=pitch, axes=axes, beat=beat, pad=-1), values.shape, signed(8))
            np.testing.assert_array_equal(packing.put_back(packing.unpack(packing.pack(packing.stream(values)))), values)
            assert int((packing.stream(values) != -1).sum()) == values.size
            assert int(packing.occupied(range(packing.beats)).sum()) == values.size


# --- what could not be compared ---------------------------------------------------------------------------------------


def test_nothing_that_could_be_compared_is_exit_code_2(cli: Cli, golden_file: Path, tmp_path: Path) -> None:
    right = golden(golden_file, LOGITS)
    for values in (right.astype(np.float32) / 3, right[:, :-1], right.astype(np.complex64), right > 0):
        to_npz(tmp_path, LOGITS, values)
        for options in ("", "--isolated"):
            code, out, _ = cli(f"diff golden.h5 dump.npz {options}")
            assert code == 2
            assert out.startswith("nothing could be compared: 1 tensor of the dump could not be used")
            code, out, _ = cli(f"diff golden.h5 dump.npz --json {options}")
            record = json.loads(out)
            assert (code, record["compared"], record["unusable"], record["identical"]) == (2, 0, [LOGITS], False)
    np.savez(tmp_path / "dump.npz", **{LOGITS: right[:, :-1], NORM: golden(golden_file, NORM)})
    code, out, _ = cli("diff golden.h5 dump.npz --json")
    record = json.loads(out)
    assert (code, record["compared"], record["unusable"]) == (1, 1, [LOGITS])


# --- HDF5 as it exists ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how",
    [
        {"compression": "gzip", "compression_opts": 9, "shuffle": True},
        {"compression": "lzf"},
        {"compression": "lzf", "shuffle": True, "fletcher32": True},
        {"scaleoffset": 0},
        {"scaleoffset": 0, "compression": "gzip"},
        {"compression": "szip"},
    ],
    ids=str,
)
@pytest.mark.parametrize("equal", [False, True], ids=["values", "all equal"])
def test_filters_that_h5py_contains(how: dict, equal: bool, golden_file: Path, tmp_path: Path) -> None:
    if how.get("compression") == "szip" and not h5py.h5z.filter_avail(h5py.h5z.FILTER_SZIP):
        pytest.skip("this h5py was built without szip")
    right = golden(golden_file, LOGITS)
    stored = np.full_like(right, right[0, 0, 0]) if equal else right
    with h5py.File(tmp_path / "dump.h5", "w") as file:
        file.create_dataset(LOGITS, data=stored, chunks=(1, 8, 16), **how)
    result = diff(golden_file, tmp_path / "dump.h5")
    assert [node.name for node in result.compared] == [LOGITS]
    assert result.identical is not equal


def test_n_bit_integers(golden_file: Path, tmp_path: Path) -> None:
    right = golden(golden_file, LOGITS)
    kind = h5py.h5t.STD_I16LE.copy()
    kind.set_precision(8)
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((1, 8, 16))
    plist.set_filter(h5py.h5z.FILTER_NBIT, h5py.h5z.FLAG_MANDATORY, ())
    with h5py.File(tmp_path / "dump.h5", "w") as file:
        space = h5py.h5s.create_simple(right.shape)
        dataset = h5py.h5d.create(file.id, LOGITS.encode(), kind, space, plist)
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, right.astype(np.int16))
    assert diff(golden_file, tmp_path / "dump.h5").identical


@pytest.mark.parametrize("how", [np.bytes_, lambda t: np.array(t.encode()), lambda t: np.array([t.encode()])], ids=range(3))
def test_text_attributes_as_bytes(
    how: Callable[[str], np.ndarray], golden_file: Path, model_file: Path, tmp_path: Path
) -> None:
    """Golden files, models and dumps whose text another library has rewritten as bytes of fixed length."""
    copies = []
    for source in (golden_file, model_file):
        copies.append(tmp_path / source.name)
        copies[-1].write_bytes(source.read_bytes())
        with h5py.File(copies[-1], "r+") as file:
            for item in (file, *(file[name] for name in file if isinstance(file[name], h5py.Dataset))):
                for key, value in list(item.attrs.items()):
                    if isinstance(value, str):
                        del item.attrs[key]
                        item.attrs[key] = how(value)
    changed, model = copies
    assert diff(changed, golden_file).identical
    assert diff(golden_file, changed, model, isolated=True).identical
    assert diff(golden_file, changed).kind == "golden file"


# --- what a stranger met ----------------------------------------------------------------------------------------------


def entry(device: str, node: str, *keys: str) -> str:
    return "\n".join([f'[[tensor]]\ndevice = "{device}"\nnode = "{node}"', *keys, ""])


def golden_values(node: str) -> np.ndarray:
    with h5py.File("golden.h5") as file:
        return np.asarray(file[node][()])


def test_text_in_utf16(tmp_path: Path) -> None:
    """What PowerShell's redirection writes."""
    path = tmp_path / "x.hex"
    path.write_bytes("01 02 03\r\n04 05 06\r\n".encode("utf-16"))
    assert read(path, "bits = 8", (2, 3), signed(8)) == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("name", "content", "keys", "said"),
    [
        ("x.hex", "  0: 01\n  1: 02\n", "bits = 8", "'0:' looks like an address"),
        ("x.txt", "0xDE 0x01", "", "0xDE does not fit i8; digits in two's complement are read with the encoding hex"),
        ("x.hex", "000000de 00000001", "bits = 8", "bits = 32 reads the whole word"),
        ("x.hex", "-9 01", "bits = 8", "or - is a sign: write two's complement"),
        ("x.csv", "1, 2", "", "it looks like text: give its encoding"),
        ("x.bin", "10000000\n00000001\n", "", "it looks like text: give its encoding"),
        ("x.txt", "0.25 1", "", "dump the integers, or say that the values are scaled"),
    ],
)
def test_messages_name_the_way_out(name: str, content: str, keys: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(content)
    map_path = tmp_path / "map.toml"
    map_path.write_text(entry(name, "x", keys))
    try:
        raw = open_raw(path, DumpMap.load(map_path).entries[0].layout, (2,), signed(8))
        found = raw.note or f"{raw.load()[()]}"
    except IntsimError as error:
        found = str(error)
    assert said in found


def test_scaled_text_of_a_map(cli: Cli, graph: Graph) -> None:
    values = golden_values(NORM)
    Path("dut").mkdir()
    Path("dut/t.txt").write_text("\n".join(f"{v * graph.scales[NORM]:.9g}" for v in values.ravel()))
    Path("dut/map.toml").write_text(entry("t.txt", NORM))
    code, out, _ = cli("diff golden.h5 dut --scaled")
    assert (code, out.splitlines()[0].startswith("identical")) == (0, True), out
    code, out, _ = cli("diff golden.h5 dut")
    assert code == 2
    assert "say that the values are scaled" in out
    Path("dut/t.txt").write_text("\n".join(map(str, values.ravel().tolist())))
    assert cli("diff golden.h5 dut --scaled")[0] == 0, "whole numbers are no multiples of a scale"


def test_unreadable_tensors_do_not_come_first(cli: Cli) -> None:
    """The headline names a tensor that differs, and calls nothing different where all that could be read is equal."""
    values = golden_values(NORM)
    np.savez("dut.npz", **{NORM: values, "labels": np.zeros((3, 3), np.int16)})  # type: ignore[arg-type]
    code, out, _ = cli("diff golden.h5 dut.npz")
    assert code == 1
    assert out.splitlines()[0] == "identical where it can be compared: 1 tensor of the dump could not be used"
    late = golden_values(QKV)
    np.savez("dut.npz", **{NORM: np.zeros((3, 3), np.int8), QKV: late ^ 1})  # type: ignore[arg-type]
    code, out, _ = cli("diff golden.h5 dut.npz")
    assert (code, out.splitlines()[0]) == (1, f"different: first at {QKV}")
    assert json.loads(cli("diff golden.h5 dut.npz --json")[1])["first"]["node"] == QKV


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8"])
def test_signed_values_in_any_unsigned_type(dtype: str, cli: Cli) -> None:
    np.savez("dut.npz", **{NORM: golden_values(NORM).astype(dtype)})  # type: ignore[arg-type]
    code, out, _ = cli("diff golden.h5 dut.npz")
    assert code == 1
    bits = 8 * np.dtype(dtype).itemsize
    assert f"signed values were read as unsigned: every negative one is 2**{bits} too high" in out
    assert f"each by {2**bits:+,} LSB" in out


def test_entries_of_a_folder_that_are_no_files(cli: Cli) -> None:
    folder = Path("dut")
    folder.mkdir()
    np.save(folder / f"{NORM}.npy", golden_values(NORM))
    (folder / "labels.npy").symlink_to("nowhere")
    (folder / f"{QKV}.npy").mkdir()
    code, out, _ = cli("diff golden.h5 dut")
    assert code == 1
    assert "2 could not be used" in out
    assert "is not a regular file" in out
    (folder / "labels.npy").unlink()
    (folder / f"{QKV}.npy").rmdir()
    (folder / "map.toml").symlink_to("nowhere")
    code, _, err = cli("diff golden.h5 dut")
    assert code == 2
    assert "map.toml: is a link to nothing" in err


def test_another_map_than_the_one_in_the_folder(cli: Cli) -> None:
    folder = Path("dut")
    folder.mkdir()
    (folder / "t.txt").write_text("\n".join(map(str, golden_values(NORM).ravel().tolist())))
    (folder / "map.toml").write_text("nothing")
    Path("other.toml").write_text(entry("t.txt", NORM))
    code, out, _ = cli("diff golden.h5 dut --map other.toml")
    assert (code, "only in the dump" in out) == (0, False), out


def test_values_that_were_never_written(cli: Cli) -> None:
    with h5py.File("dut.h5", "w") as file:
        file.create_dataset(NORM, golden_values(NORM).shape, np.int8, chunks=True, compression="gzip")
    code, out, _ = cli("diff golden.h5 dut.h5")
    assert code == 2
    assert "its values were never written" in out


def test_names_that_are_not_text(cli: Cli) -> None:
    path = Path("\udcfe.h5")
    path.write_bytes(Path("golden.h5").read_bytes())
    np.savez("dut.npz", **{NORM: golden_values(NORM) ^ 1})  # type: ignore[arg-type]
    for option in ("--html page.html", "--junit report.xml", "--json -o report.json"):
        code, _, err = cli(f"diff {path} dut.npz {option}")
        assert code == 1, err
