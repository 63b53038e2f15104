"""Export and import of test bench files: every layout and format against a packing in plain Python, and real consumers."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import intsim
from intsim.arith import Format, format_named, signed
from intsim.cli import _common
from intsim.engine.graph import Graph, Node, input_node
from intsim.errors import FileError, IntsimError
from intsim.storage.files import file_sha256
from intsim.testbench import (
    BEAT_LAYOUTS,
    FORMATS,
    LANGUAGES,
    BeatLayout,
    Packing,
    export,
    read_dump,
    read_dump_like,
    read_export,
)
from intsim.testbench.encodings import ENCODINGS, npz_member, npz_value
from intsim.testbench.words import silent

from networks import window_graph

SOFTMAX = "encoder.blocks.0.attn.softmax"  # i16 [2, 16, 16]
NORM = "encoder.blocks.0.norm1"  # i32 [16, 32]
REQUANT = "encoder.blocks.0.norm1.requant"  # i8 [16, 32], one multiplier per channel
SCHEMA = json.loads((Path(__file__).parent.parent / "docs" / "manifest-v1.schema.json").read_text(encoding="utf-8"))

searching = settings(derandomize=True, deadline=None, max_examples=150)


# --- any layout -------------------------------------------------------------------------------------------------------


@st.composite
def packed_tensors(draw: st.DrawFn) -> tuple[Packing, np.ndarray]:
    """Any tensor with any layout that fits it."""
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
    fmt = draw(st.sampled_from([format_named(name) for name in ("u8", "i4", "i8", "i13", "i16", "i32", "i64")]))
    own = (fmt.hi - fmt.lo).bit_length()
    bits = draw(st.none() | st.sampled_from([n for n in (4, 5, 8, 9, 12, 16, 17, 32, 33, 64) if n >= own]))
    is_signed = draw(st.none() | st.booleans()) if (bits or own) < 64 else True
    element = _element(bits or own, fmt.lo < 0 if is_signed is None else is_signed)
    low, high = max(fmt.lo, element[0]), min(fmt.hi, element[1])
    lanes = draw(st.none() | st.integers(1, 5))
    room = (bits or own) * (lanes or 1)
    beat = draw(st.none() | st.sampled_from([b for b in (8, 16, 24, 64, 128, 512) if b >= room]))
    layout = BeatLayout(
        name="sampled",
        bits=bits,
        signed=is_signed,
        beat=beat,
        lanes=lanes,
        first=draw(st.sampled_from(["low", "high"])),
        endian=draw(st.sampled_from(["little", "big"])),
        axes=draw(st.none() | st.permutations(range(len(shape))).map(tuple)),
        tile=tuple(draw(st.lists(st.integers(1, 4), max_size=len(shape)))),
        pad=draw(st.sampled_from([0, element[0], element[1]])),
        lines=draw(st.none() | st.integers(1, 7)),
    )
    values = st.sampled_from([low, high, max(low, 0), max(low, min(1, high))]) | st.integers(low, high)
    flat = draw(st.lists(values, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    return Packing(layout, shape, fmt), np.array(flat, np.int64).reshape(shape).astype(fmt.dtype)


def _element(bits: int, is_signed: bool) -> tuple[int, int]:
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if is_signed else (0, (1 << bits) - 1)


def beats_of(packing: Packing, values: np.ndarray) -> list[int]:
    """The oracle: every beat as one Python integer, built element by element from the documentation of layouts."""
    layout, moved = packing.layout, values if packing.layout.axes is None else values.transpose(packing.layout.axes)
    sizes = [1] * (moved.ndim - len(layout.tile)) + list(layout.tile)
    stream = []
    for block in np.ndindex(*(-(-n // t) for n, t in zip(moved.shape, sizes, strict=True))):
        for inner in np.ndindex(*sizes):
            at = tuple(b * t + i for b, t, i in zip(block, sizes, inner, strict=True))
            inside = all(i < n for i, n in zip(at, moved.shape, strict=True))
            stream.append(int(moved[at]) if inside else layout.pad)
    stream += [layout.pad] * (-len(stream) % packing.lanes)
    beats = []
    for start in range(0, len(stream), packing.lanes):
        lanes = stream[start : start + packing.lanes]
        if layout.first == "high":
            lanes.reverse()
        beats.append(sum((v & ((1 << packing.bits) - 1)) << (packing.bits * k) for k, v in enumerate(lanes)))
    return beats


@searching
@given(packed_tensors())
def test_beats_match_the_documentation(sample: tuple[Packing, np.ndarray]) -> None:
    packing, values = sample
    expected = beats_of(packing, values)
    octets = packing.pack(packing.stream(values))
    assert [int.from_bytes(beat.tobytes(), "little") for beat in octets] == expected
    assert len(expected) == packing.beats
    assert octets.shape[1] * 8 == packing.beat
    restored = packing.restore(packing.unpack(octets))
    assert restored.dtype == values.dtype
    assert np.array_equal(restored, values)


@searching
@given(packed_tensors(), st.sampled_from(list(FORMATS)))
def test_every_layout_round_trips_in_every_format(
    tmp_path_factory: pytest.TempPathFactory, sample: tuple[Packing, np.ndarray], name: str
) -> None:
    packing, values = sample
    folder = tmp_path_factory.mktemp("x")
    if name == "npz":
        np.savez(folder / "t.npz", t=npz_value(packing, values, "t"))
        assert np.array_equal(packing.restore(npz_member(folder / "t.npz", "t", packing, silent)), values)
        return
    encoding = ENCODINGS[name]
    if encoding.by_beats:
        stream, parts = packing.stream(values), []
        for i, (start, stop) in enumerate(packing.parts()):
            encoding.write(folder / f"{i}", stream[start:stop], packing)
            parts.append(encoding.read(folder / f"{i}", packing, range(start, stop), silent))
        restored = packing.restore(np.concatenate(parts))
    else:
        encoding.write(folder / "x", packing.arrange(values), packing)
        restored = packing.restore(encoding.read(folder / "x", packing, range(packing.beats), silent))
    assert restored.dtype == values.dtype
    assert np.array_equal(restored, values)


@st.composite
def layouts(draw: st.DrawFn) -> BeatLayout:
    """Layouts that fit every two-dimensional tensor of the tiny golden file."""
    return BeatLayout(
        bits=draw(st.sampled_from([None, 32, 40])),
        beat=draw(st.sampled_from([None, 64, 256])),
        first=draw(st.sampled_from(["low", "high"])),
        endian=draw(st.sampled_from(["little", "big"])),
        axes=draw(st.sampled_from([None, (0, 1), (1, 0)])),
        tile=draw(st.sampled_from([(), (8,), (4, 16), (3, 5)])),
        pad=draw(st.integers(-8, 7)),
        lines=draw(st.sampled_from([None, 9, 100])),
    )


@settings(derandomize=True, deadline=None, max_examples=25)
@given(layouts(), st.sets(st.sampled_from(list(FORMATS)), min_size=1, max_size=3))
def test_an_exported_golden_file_is_read_back(
    golden_file: Path, tmp_path_factory: pytest.TempPathFactory, layout: BeatLayout, formats: set[str]
) -> None:
    folder = tmp_path_factory.mktemp("out")
    layers = ["encoder.blocks.0.norm*", "encoder.blocks.0.mlp.*", "!*.fc1"]
    record = export(golden_file, folder, layers=layers, formats=sorted(formats), layout=layout).record
    jsonschema.validate(record, SCHEMA)
    for name in formats:
        tensors, missing = read_export(folder, name).tensors()
        assert not missing
        with h5py.File(golden_file) as file:
            names = [name for name in file if name.startswith(("encoder.blocks.0.norm", "encoder.blocks.0.mlp."))]
            assert list(tensors) == [name for name in names if not name.endswith(".fc1")]
            for tensor, value in tensors.items():
                assert value.dtype == file[tensor].dtype
                assert np.array_equal(value, file[tensor][()])


# --- known answers ----------------------------------------------------------------------------------------------------


def written(layout: BeatLayout, name: str, values: list, fmt: Format, folder: Path) -> bytes:
    """The bytes of a file of one encoding."""
    array = np.array(values)
    packing = Packing(layout, array.shape, fmt)
    ENCODINGS[name].write(folder / "x", packing.stream(array), packing)
    return (folder / "x").read_bytes()


@pytest.mark.parametrize(
    ("layout", "name", "text"),
    [
        (BeatLayout(beat=32), "hex", b"04fd0201\n000000fb\n"),
        (BeatLayout(beat=32, first="high"), "hex", b"0102fd04\nfb000000\n"),
        (BeatLayout(beat=32), "raw", b"\x01\x02\xfd\x04\xfb\0\0\0"),
        (BeatLayout(beat=32, endian="big"), "raw", b"\x04\xfd\x02\x01\0\0\0\xfb"),
        (BeatLayout(beat=32, first="high", endian="big"), "raw", b"\x01\x02\xfd\x04\xfb\0\0\0"),
        (BeatLayout(beat=16, lanes=2, pad=7), "text", b"1 2\n-3 4\n-5 7\n"),
        (BeatLayout(bits=4, beat=8), "bits", b"00100001\n01001101\n00001011\n"),
        (BeatLayout(bits=12, beat=32), "hex", b"00002001\n00004ffd\n00000ffb\n"),
        (BeatLayout(), "hex", b"01\n02\nfd\n04\nfb\n"),
        (BeatLayout(tile=(3,)), "text", b"1\n2\n-3\n4\n-5\n0\n"),
    ],
)
def test_known_files(layout: BeatLayout, name: str, text: bytes, tmp_path: Path) -> None:
    assert written(layout, name, [1, 2, -3, 4, -5], signed(8), tmp_path) == text


def test_axes_and_tiles(tmp_path: Path) -> None:
    grid = np.arange(12).reshape(3, 4)
    assert (
        written(BeatLayout(axes=(1, 0), beat=24), "text", grid.tolist(), signed(8), tmp_path)
        == b"0 4 8\n1 5 9\n2 6 10\n3 7 11\n"
    )
    tiles = BeatLayout(tile=(2, 2), beat=32, pad=-1)
    assert written(tiles, "text", grid.tolist(), signed(8), tmp_path) == b"0 1 4 5\n2 3 6 7\n8 9 -1 -1\n10 11 -1 -1\n"


@pytest.mark.parametrize(
    ("layout", "shape", "fmt", "words"),
    [
        (BeatLayout(beat=8), (4,), signed(16), "a beat of 8 bits does not hold an element of 16 bits"),
        (BeatLayout(beat=32, lanes=5), (4,), signed(8), "a beat of 32 bits does not hold 5 elements of 8 bits"),
        (BeatLayout(axes=(1, 0)), (4,), signed(8), "its axes [1, 0] do not cover a tensor of shape [4]"),
        (BeatLayout(tile=(2, 2)), (4,), signed(8), "its tile [2, 2] has more axes than a tensor of shape [4]"),
        (BeatLayout(pad=200), (4,), signed(8), "its padding 200 does not fit i8"),
        (BeatLayout(bits=64, signed=False), (4,), signed(8), "at most 63 bits"),
    ],
)
def test_layouts_that_do_not_fit_a_tensor(layout: BeatLayout, shape: tuple, fmt: Format, words: str) -> None:
    with pytest.raises(IntsimError) as error:
        Packing(layout, shape, fmt)
    assert words in str(error.value)


def test_values_that_do_not_fit_an_element() -> None:
    with pytest.raises(IntsimError, match=r"t\[1, 0\] = -3 does not fit u8; give it a sign"):
        Packing(BeatLayout(bits=8, signed=False), (2, 1), signed(16)).stream(np.array([[3], [-3]]), "t")


def test_the_command_line_knows_every_format_and_layout() -> None:
    assert _common.EXPORT_FORMATS == FORMATS
    assert tuple(LANGUAGES) == _common.PACKAGE_LANGUAGES
    assert ", ".join(BEAT_LAYOUTS) == _common.BUILT_IN_LAYOUTS


# --- the manifest -----------------------------------------------------------------------------------------------------


def test_the_fields_of_a_manifest(golden_file: Path, graph: Graph, tmp_path: Path) -> None:
    layout = BeatLayout("wide", beat=64, tile=(4, 4))
    record = export(
        golden_file, tmp_path / "out", layers=[SOFTMAX, NORM], layout=layout, packages=["sv"], model=graph
    ).record
    assert json.loads((tmp_path / "out" / "manifest.json").read_text()) == record
    assert record["source"]["sha256"] == file_sha256(golden_file)
    assert record["source"]["model_sha256"] == graph.content_hash
    norm, softmax = record["tensors"]
    assert (norm["name"], norm["format"], len(norm["scale"])) == (NORM, "i32", 32)
    assert (softmax["shape"], softmax["scale"], softmax["arranged"]) == ([2, 16, 16], 2.0**-15, [2, 4, 4, 4, 4])
    assert (softmax["lanes"], softmax["beats"], softmax["beat"]) == (4, 128, 64)
    with h5py.File(golden_file) as file:
        assert softmax["values_sha256"] == file[SOFTMAX].attrs["sha256"]
    assert [package["file"] for package in record["packages"]] == [
        "encoder_blocks_0_norm1_pkg.sv",
        "encoder_blocks_0_attn_softmax_pkg.sv",
    ]


def test_parameters_of_a_model(model_file: Path, graph: Graph, tmp_path: Path) -> None:
    record = export(
        model_file, tmp_path / "out", layers=["encoder.blocks.0.attn.qkv*", "encoder.cls_token"], formats=["raw"]
    ).record
    names = [tensor["name"] for tensor in record["tensors"]]
    qkv = "encoder.blocks.0.attn.qkv"
    assert set(names) == {f"{qkv}/weight", f"{qkv}/bias", f"{qkv}.requant/m", f"{qkv}.requant/e", "encoder.cls_token/value"}
    tensors, _ = read_export(tmp_path / "out").tensors()
    assert np.array_equal(tensors[f"{qkv}/weight"], graph.by_name[qkv].params["weight"])
    assert (tmp_path / "out" / f"{qkv}-bias.bin").read_bytes() == graph.by_name[qkv].params["bias"].astype("<i4").tobytes()


def test_steps_inside_operators(graph: Graph, image: np.ndarray, tmp_path: Path) -> None:
    intsim.golden(graph, image, tmp_path / "steps.h5", "steps", [SOFTMAX])
    record = export(tmp_path / "steps.h5", tmp_path / "out", layers=[SOFTMAX]).record
    assert f"{SOFTMAX}:sum" in [tensor["name"] for tensor in record["tensors"]]
    assert (tmp_path / "out" / f"{SOFTMAX}-sum.hex").is_file()
    tensors, _ = read_export(tmp_path / "out").tensors()
    with h5py.File(tmp_path / "steps.h5") as file:
        assert np.array_equal(tensors[f"{SOFTMAX}:sum"], file[f"{SOFTMAX}:sum"][()])


def test_an_export_replaces_only_an_earlier_export(golden_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(golden_file, out, layers=[SOFTMAX, NORM], formats=["hex", "raw"])
    export(golden_file, out, layers=[SOFTMAX])
    assert sorted(p.name for p in out.iterdir()) == [f"{SOFTMAX}.hex", "manifest.json"]
    (out / "notes.txt").write_text("mine")
    with pytest.raises(FileError, match=r"contains notes.txt, which would be mixed"):
        export(golden_file, out, layers=[NORM])
    assert sorted(p.name for p in out.iterdir()) == [f"{SOFTMAX}.hex", "manifest.json", "notes.txt"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"], "no temporary folder stays behind"


def test_a_dump_is_read_with_the_manifest_of_the_golden_tensors(golden_file: Path, tmp_path: Path) -> None:
    export(golden_file, tmp_path / "expected", layers=[SOFTMAX, NORM], layout=BeatLayout(beat=128, tile=(1, 8)))
    shutil.copytree(tmp_path / "expected", tmp_path / "dump")
    (tmp_path / "dump" / f"{NORM}.hex").unlink()
    path = tmp_path / "dump" / f"{SOFTMAX}.hex"
    path.write_text("f" * 32 + "\n" + path.read_text().partition("\n")[2])
    tensors, missing = read_dump(tmp_path / "dump", tmp_path / "expected" / "manifest.json").tensors()
    assert missing == [NORM]
    assert tensors[SOFTMAX][0, 0, :8].tolist() == [-1] * 8
    alike, _ = read_dump_like(tmp_path / "dump", golden_file, BeatLayout(beat=128, tile=(1, 8)), "hex").tensors()
    assert np.array_equal(alike[SOFTMAX], tensors[SOFTMAX])
    with pytest.raises(FileError, match=r"is missing, but manifest\.json lists it"):
        read_export(tmp_path / "dump")


def test_temporary_files_are_inside_an_existing_folder(golden_file: Path, tmp_path: Path) -> None:
    """The folder may be a file system of its own; files cannot be renamed into it from outside."""
    (tmp_path / "out").mkdir()
    siblings: list[list[str]] = []
    export(
        golden_file,
        tmp_path / "out",
        layers=[NORM],
        progress=lambda _: siblings.append([p.name for p in tmp_path.iterdir()]),
    )
    assert siblings == [["out"]]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [f"{NORM}.hex", "manifest.json"]


def test_missing_extra_and_irregular_files(golden_file: Path, tmp_path: Path) -> None:
    record = export(golden_file, tmp_path / "out", layers=[NORM, SOFTMAX], layout=BeatLayout(beat=128, lines=50)).record
    assert [file["file"] for file in record["tensors"][0]["files"]] == [f"{NORM}-{i:03d}.hex" for i in range(3)]
    shutil.copytree(tmp_path / "out", tmp_path / "dump")
    extra = tmp_path / "dump" / f"{NORM}-003.hex"
    extra.touch()
    with pytest.raises(FileError, match=r"-003\.hex: is one file too many; encoder\.blocks\.0\.norm1 takes 3"):
        read_dump(tmp_path / "dump", tmp_path / "out").tensors()
    extra.unlink()
    (tmp_path / "dump" / f"{NORM}-001.hex").unlink()
    with pytest.raises(FileError, match=r"-001\.hex: is missing; encoder\.blocks\.0\.norm1 takes 3 files"):
        read_dump(tmp_path / "dump", tmp_path / "out").tensors()
    (tmp_path / "dump" / f"{NORM}-001.hex").mkdir()
    with pytest.raises(FileError, match=r"-001\.hex: is not a regular file"):
        read_dump(tmp_path / "dump", tmp_path / "out").tensors()


def test_tensors_that_the_golden_file_leaves_out_are_reported(graph: Graph, image: np.ndarray, tmp_path: Path) -> None:
    intsim.golden(graph, image, tmp_path / "boundary.h5", "boundary")
    with pytest.raises(IntsimError, match="left out at level boundary; make a golden file at level full that selects them"):
        export(tmp_path / "boundary.h5", tmp_path / "out", layers=[NORM])
    intsim.golden(graph, image, tmp_path / "digest.h5", "digest")
    with pytest.raises(IntsimError, match="has only the hash of"):
        export(tmp_path / "digest.h5", tmp_path / "out", layers=[SOFTMAX])
    assert not (tmp_path / "out").exists()


def test_words_as_other_tools_write_them(golden_file: Path, tmp_path: Path) -> None:
    """Capitals, C's prefix, underscores, comments, addresses, a byte order mark, and Windows line ends."""
    export(golden_file, tmp_path / "expected", layers=[NORM], layout=BeatLayout(beat=64))
    shutil.copytree(tmp_path / "expected", tmp_path / "dump")
    path = tmp_path / "dump" / f"{NORM}.hex"
    words = path.read_text().upper().split()
    words[1], words[2] = f"0x{words[1]}", f"{words[2][:8]}_{words[2][8:]}"
    text = "\r\n".join(["// memory", "@0", *words[:5], "@5 /* five", "*/", *words[5:]])
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    tensors, _ = read_dump(tmp_path / "dump", tmp_path / "expected").tensors()
    assert tensors[NORM].reshape(-1).tolist() == values_of(golden_file, NORM)
    path.write_text(path.read_text(encoding="utf-8-sig").replace(words[3], f"0x{words[3][2:]}"))
    with pytest.raises(FileError, match="has unknown bits"):
        read_dump(tmp_path / "dump", tmp_path / "expected").tensors()


def test_a_tensor_may_be_missing_in_an_npz_dump(golden_file: Path, tmp_path: Path) -> None:
    export(golden_file, tmp_path / "expected", layers=[NORM, SOFTMAX], formats=["npz"])
    (tmp_path / "dump").mkdir()
    with np.load(tmp_path / "expected" / "tensors.npz") as arrays:
        np.savez(tmp_path / "dump" / "tensors.npz", **{NORM: arrays[NORM]})
    tensors, missing = read_dump(tmp_path / "dump", tmp_path / "expected").tensors()
    assert (list(tensors), missing) == ([NORM], [SOFTMAX])


def test_invalid_requests_fail_before_anything_is_written(golden_file: Path, tmp_path: Path) -> None:
    for formats, packages in ((["hexx"], []), ([], ["ada"])):
        with pytest.raises(IntsimError, match="is neither a format"):
            export(golden_file, tmp_path / "out", formats=formats, packages=packages)
    with pytest.raises(IntsimError, match="nothing to export"):
        export(golden_file, tmp_path / "out", formats=[])
    assert not (tmp_path / "out").exists()
    export(golden_file, tmp_path / "out", layers=[NORM], formats=["hex", "hex"])
    assert list(read_export(tmp_path / "out").tensors()[0]) == [NORM]


def test_names_that_are_not_valid_in_source_files(graph: Graph, image: np.ndarray, tmp_path: Path) -> None:
    """A layout or a dialect may have any name; comments and strings stay valid."""
    odd = Graph(list(graph.nodes), graph.dialect.replace(name='größe */ "\n'), graph.config, graph.provenance)
    intsim.golden(odd, image, tmp_path / "golden.h5", "full", [NORM])
    layout = BeatLayout("größe */")
    export(tmp_path / "golden.h5", tmp_path / "out", formats=["c"], packages=["sv", "vhdl", "c"], layout=layout, model=odd)
    for path in (tmp_path / "out").iterdir():
        assert path.read_bytes().isascii() or path.name == "manifest.json"
    assert 'DIALECT = "gr??e ?/ ??";' in (tmp_path / "out" / "encoder_blocks_0_norm1_pkg.sv").read_text()
    assert read_export(tmp_path / "out").tensors()[0][NORM].shape == graph.tensors[NORM].shape


# --- consumers --------------------------------------------------------------------------------------------------------


def output_of(*command: str | Path, text: str | None = None) -> str:
    """The standard output of a command, which must succeed without warnings."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, input=text)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def bench(golden_file: Path, graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One export of everything that the consumers read."""
    folder = tmp_path_factory.mktemp("bench") / "out"
    layout = BeatLayout("four", bits=32, beat=128, tile=(1, 4))
    layers = [SOFTMAX, NORM, REQUANT, "encoder.blocks.0.mlp.act"]
    export(
        golden_file,
        folder,
        layers=layers,
        formats=["hex", "bits", "raw", "text", "c"],
        packages=["sv", "vhdl", "c"],
        layout=layout,
        model=graph,
    )
    return folder


def values_of(golden_file: Path, name: str) -> list[int]:
    with h5py.File(golden_file) as file:
        return file[name][()].reshape(-1).tolist()


C_CONSUMER = """
#include <stdio.h>
#include "encoder.blocks.0.attn.softmax.h"
#include "encoder.blocks.0.norm1.h"
#include "encoder_blocks_0_norm1_requant_pkg.h"
#include "encoder_blocks_0_mlp_act_pkg.h"
int main(void) {
    for (int i = 0; i < ENCODER_BLOCKS_0_ATTN_SOFTMAX_VALUES_COUNT; i++)
        printf("%ld ", (long)encoder_blocks_0_attn_softmax_values[i]);
    puts("");
    for (int i = 0; i < ENCODER_BLOCKS_0_NORM1_VALUES_COUNT; i++) printf("%ld ", (long)encoder_blocks_0_norm1_values[i]);
    puts("");
    for (int i = 0; i < ENCODER_BLOCKS_0_NORM1_REQUANT_M_COUNT; i++)
        printf("%ld %d ", (long)encoder_blocks_0_norm1_requant_m[i], encoder_blocks_0_norm1_requant_e[i]);
    printf("\\n%d %d %d %d", ENCODER_BLOCKS_0_MLP_ACT_X0, ENCODER_BLOCKS_0_MLP_ACT_N, ENCODER_BLOCKS_0_MLP_ACT_LAM,
           ENCODER_BLOCKS_0_MLP_ACT_OUT_DIM1);
    FILE *text = fopen("encoder.blocks.0.norm1.txt", "r"), *raw = fopen("encoder.blocks.0.norm1.bin", "rb");
    int32_t a, b;
    long same = 0;
    while (fscanf(text, "%d", &a) == 1 && fread(&b, 4, 1, raw) == 1) same += a == b;
    printf("\\n%ld\\n", same);
    return 0;
}
"""


@pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is not installed")
def test_c_reads_what_was_exported(bench: Path, golden_file: Path, graph: Graph, tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text(C_CONSUMER)
    output_of(
        "gcc",
        "-std=c11",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wno-unused-const-variable",
        f"-I{bench}",
        "-o",
        tmp_path / "a",
        tmp_path / "main.c",
    )
    lines = subprocess.run([tmp_path / "a"], cwd=bench, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [int(v) for v in lines[0].split()] == values_of(golden_file, SOFTMAX)
    assert [int(v) for v in lines[1].split()] == values_of(golden_file, NORM)
    node, act = graph.by_name[REQUANT], graph.by_name["encoder.blocks.0.mlp.act"]
    pairs = np.stack([node.params["m"], node.params["e"]], axis=1)
    assert [int(v) for v in lines[2].split()] == pairs.reshape(-1).tolist()
    assert lines[3].split() == [str(act.params[key]) for key in ("x0", "n", "lam")] + [str(graph.tensors[act.name].shape[1])]
    assert lines[4] == "512"


@pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is not installed")
def test_headers_and_packages_of_one_node_compile_together(model_file: Path, tmp_path: Path) -> None:
    export(model_file, tmp_path / "out", layers=["encoder.blocks.0.attn.qkv*"], formats=["c"], packages=["c"])
    headers = sorted(path.name for path in (tmp_path / "out").glob("*.h"))
    assert len(headers) == 6
    (tmp_path / "main.c").write_text("".join(f'#include "{name}"\n' for name in headers) + "int main(void) { return 0; }\n")
    output_of("gcc", "-std=c11", "-Wall", "-Werror", f"-I{tmp_path / 'out'}", "-o", tmp_path / "a", tmp_path / "main.c")


def test_the_regions_of_a_mask_are_a_memory(tmp_path: Path) -> None:
    """Its package has their name and shape, a tensor has the values; every package of shifted windows compiles."""
    graph, _ = window_graph()
    intsim.save(graph, tmp_path / "model.h5")
    out = tmp_path / "out"
    record = export(tmp_path / "model.h5", out, formats=["npy"], packages=["sv", "vhdl", "c"]).record
    np.testing.assert_array_equal(np.load(out / "softmax-regions.npy"), graph.by_name["softmax"].params["regions"])
    text = (out / "softmax_pkg.sv").read_text()
    for line in ("REGIONS_RANK = 2;", "REGIONS_DIM0 = 6;", "REGIONS_DIM1 = 16;", "X0 = -9;", "IN0_DIM3 = 16;"):
        assert f"  localparam int {line}" in text
    assert "  localparam int IN1_RANK = 3;" in (out / "biased_pkg.sv").read_text()
    assert "#define ROLLED_ROWS (-2)" in (out / "rolled_pkg.h").read_text()
    files = [package["file"] for package in record["packages"]]
    (tmp_path / "main.c").write_text("".join(f'#include "{f}"\n' for f in files if f.endswith(".h")) + "int main(void) {}\n")
    (tmp_path / "top.sv").write_text("module top;\nendmodule\n")
    for tool, arguments, suffix in (
        ("gcc", ["-std=c11", "-Wall", "-Werror", "-Wno-unused-variable", f"-I{out}", "main.c", "-o", "a"], ""),
        ("iverilog", ["-g2012", "-Wall", "-Wno-timescale", "-o", "b", "top.sv"], ".sv"),
        ("ghdl", ["-a"], ".vhd"),
    ):
        if shutil.which(tool):
            sources = [out / name for name in files if suffix and name.endswith(suffix)]
            subprocess.run([tool, *arguments, *sources], cwd=tmp_path, check=True, capture_output=True)


VERILOG_CONSUMER = """
module consumer;
  import encoder_blocks_0_norm1_requant_pkg::*;
  localparam int BEATS = 128;
  logic [127:0] hex [0:BEATS-1], bits [0:BEATS-1];
  int i, j, file, code;
  logic signed [31:0] value;
  initial begin
    $readmemh("encoder.blocks.0.norm1.hex", hex);
    $readmemb("encoder.blocks.0.norm1.bits", bits);
    file = $fopen("encoder.blocks.0.norm1.txt", "r");
    for (i = 0; i < BEATS; i++)
      for (j = 0; j < 4; j++) begin
        code = $fscanf(file, "%d", value);
        $write("%0d %0d %0d ", $signed(hex[i][32*j +: 32]), $signed(bits[i][32*j +: 32]), value);
      end
    $display("");
    for (i = 0; i < M_COUNT; i++) $write("%0d %0d ", m_at(i), e_at(i));
    $display("");
    $display("%0d %0d %0d %0s", B, IN0_BITS, OUT_DIM1, NODE);
    $display("%0d %0d", encoder_blocks_0_mlp_act_pkg::X0, encoder_blocks_0_mlp_act_pkg::LAM);
  end
endmodule
"""


@pytest.mark.skipif(
    not shutil.which("iverilog"), reason="Icarus Verilog is not installed; 'make rtl' installs it and runs this test"
)
def test_verilog_reads_what_was_exported(bench: Path, golden_file: Path, graph: Graph, tmp_path: Path) -> None:
    (tmp_path / "consumer.sv").write_text(VERILOG_CONSUMER)
    packages = [bench / f"encoder_blocks_0_{node}_pkg.sv" for node in ("norm1_requant", "mlp_act")]
    output_of("iverilog", "-g2012", "-Wall", "-Wno-timescale", "-o", tmp_path / "a", *packages, tmp_path / "consumer.sv")
    lines = subprocess.run(
        ["vvp", tmp_path / "a"], cwd=bench, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert [int(v) for v in lines[0].split()] == np.repeat(values_of(golden_file, NORM), 3).tolist()
    node, act = graph.by_name[REQUANT], graph.by_name["encoder.blocks.0.mlp.act"]
    pairs = np.stack([node.params["m"], node.params["e"]], axis=1)
    assert [int(v) for v in lines[1].split()] == pairs.reshape(-1).tolist()
    assert lines[2].split() == ["8", "32", "32", REQUANT]
    assert lines[3].split() == [str(act.params["x0"]), str(act.params["lam"])]


VHDL_CONSUMER = """
use work.encoder_blocks_0_norm1_requant_pkg.all;
use std.textio.all;
library ieee;
use ieee.std_logic_1164.all;
use ieee.numeric_std.all;
entity consumer is end entity;
architecture bench of consumer is begin
  process
    variable l : line;
  begin
    for i in M'range loop
      write(l, to_integer(M(i))); write(l, string'(" ")); write(l, to_integer(E(i))); write(l, string'(" "));
    end loop;
    writeline(output, l);
    write(l, work.encoder_blocks_0_mlp_act_pkg.X0); write(l, string'(" ")); write(l, NODE);
    writeline(output, l);
    wait;
  end process;
end architecture;
"""


@pytest.mark.skipif(not shutil.which("ghdl"), reason="GHDL is not installed")
def test_vhdl_reads_what_was_exported(bench: Path, graph: Graph, tmp_path: Path) -> None:
    (tmp_path / "consumer.vhd").write_text(VHDL_CONSUMER)
    packages = [bench / f"encoder_blocks_0_{node}_pkg.vhd" for node in ("norm1_requant", "mlp_act")]
    subprocess.run(["ghdl", "-a", *packages, "consumer.vhd"], cwd=tmp_path, check=True, capture_output=True)
    lines = subprocess.run(
        ["ghdl", "-c", *packages, "consumer.vhd", "-r", "consumer"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    node, act = graph.by_name[REQUANT], graph.by_name["encoder.blocks.0.mlp.act"]
    pairs = np.stack([node.params["m"], node.params["e"]], axis=1)
    assert [int(v) for v in lines[0].split()] == pairs.reshape(-1).tolist()
    assert lines[1].split() == [str(act.params["x0"]), REQUANT]


def test_node_names_whose_packages_would_collide(image: np.ndarray, tmp_path: Path) -> None:
    nodes = [input_node("image", 2, 2, 1.0)]
    nodes += [
        Node("a.b", "upsample_nearest", ("image",), {"factor": 2}),
        Node("a_b", "upsample_nearest", ("image",), {"factor": 3}),
    ]
    intsim.save(Graph(nodes, intsim.dialects.RTL), tmp_path / "model.h5")
    with pytest.raises(IntsimError, match=r"a_b and a\.b would both be the package a_b_pkg\.sv; rename one"):
        export(tmp_path / "model.h5", tmp_path / "out", formats=[], packages=["sv"])
    assert not (tmp_path / "out").exists()


# --- errors -----------------------------------------------------------------------------------------------------------

DAMAGE: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("hex", lambda b: b[:-33], "has 127 hexadecimal words, expected 128; the dump is truncated"),
    ("hex", lambda b: b[:-9], ":128: 24 digits, a beat of 128 bits has 32; the dump is truncated, or leading zeros"),
    ("hex", lambda b: b[:40] + b"g" + b[41:], ":2: 'g' is not a hexadecimal digit"),
    ("hex", lambda b: b + b"00\n", ":129: more words than the 128 expected beats"),
    ("hex", lambda b: b"x" * 32 + b[32:], ":1: .* has unknown bits"),
    ("hex", lambda b: b"0" + b, ":1: 33 digits, a beat of 128 bits has 32$"),
    ("hex", lambda b: b[:33] + b"@4\n" + b[33:], ":2: jumps to address 0x4, but nothing is written to 0x1 to 0x3"),
    ("hex", lambda b: b"@q\n" + b, ":1: '@q' is not an address"),
    ("hex", lambda b: b"\xff" + b, ":1: is not plain text"),
    ("bits", lambda b: b.replace(b"1", b"2", 1), "'2' is not a binary digit"),
    ("raw", lambda b: b[:-1], r"has 2,047 bytes, expected 2,048 \(128 beats of 16\); the dump is truncated"),
    ("raw", lambda b: b + b"\0", r"has 2,049 bytes, expected 2,048 \(128 beats of 16\); it contains more"),
    ("text", lambda b: b.rsplit(b" ", 3)[0], "has 509 values, expected 512; the dump is truncated"),
    ("text", lambda b: b + b"7", ":129: more values than the expected 512"),
    ("text", lambda b: b"1.5 " + b, ":1: 1.5 is not a whole number"),
    ("text", lambda b: b"9999999999 " + b, ":1: 9999999999 does not fit i32"),
    ("c", lambda b: b[: b.index(b"}")], "has no array between braces"),
    ("c", lambda b: b.replace(b"{", b"{ 5,", 1), "has 513 values, expected 512$"),
    ("c", lambda b: b.replace(b"{", b"{ 0.5,", 1), ":10: 0.5 is not a whole number"),
    ("npy", lambda b: b[:-4], "truncated"),
]


@pytest.mark.parametrize(("name", "damage", "words"), DAMAGE, ids=[f"{n}-{w[:20]}" for n, _, w in DAMAGE])
def test_a_damaged_dump(name: str, damage: Callable[[bytes], bytes], words: str, golden_file: Path, tmp_path: Path) -> None:
    layout = BeatLayout(bits=32, beat=128, tile=(1, 4))
    export(golden_file, tmp_path / "out", layers=[NORM], formats=[name], layout=layout)
    path = next(p for p in (tmp_path / "out").iterdir() if p.name.startswith(NORM))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(FileError, match=words) as error:
        read_dump(tmp_path / "out", tmp_path / "out" / "manifest.json").tensors()
    assert "\n" not in str(error.value)
    assert path.name in str(error.value)


def records() -> Iterator[tuple[Callable[[dict[str, Any]], Any], str]]:
    """Changes that make a manifest invalid, and the message for each."""
    yield lambda m: m.update(version=2), "manifest version 2; this intsim reads version 1"
    yield lambda m: m.pop("layout"), "'layout' is a required property"
    yield lambda m: m["tensors"][0].update(shape=[-4]), "shape.0: -4 is less than the minimum"
    yield lambda m: m["tensors"][0]["files"][0].update(file="../../etc/passwd"), "does not match"
    yield lambda m: m["layout"].update(beat=8), "a beat of 8 bits does not hold an element"
    yield lambda m: m["layout"].update(axes=[0]), "do not cover"
    yield lambda m: m["tensors"][0].update(format="i99"), "i99"
    yield lambda m: m["tensors"][0].update(shape=[4, 4]), "its beats or files do not match its shape and layout"
    yield lambda m: m["tensors"][0].update(beats=7), "its beats or files do not match its shape and layout"
    yield lambda m: m["tensors"][0].update(name="../../evil"), "does not match"
    yield lambda m: m["tensors"][0].update(name="other"), "its beats or files do not match its shape and layout"
    yield lambda m: m["tensors"].append(m["tensors"][0]), "lists a tensor twice in one encoding"
    yield lambda m: m["tensors"][0]["files"][0].update(bytes=3), "its SHA-256 is not the one in manifest.json"
    yield lambda m: m["tensors"][0]["files"][0].update(sha256="0" * 64), "its SHA-256 is not the one in manifest.json"
    yield lambda m: m["tensors"][0].update(values_sha256="0" * 64), "does not match its SHA-256 in the manifest"


@pytest.mark.parametrize(("change", "words"), list(records()))
def test_a_damaged_manifest(change: Callable[[dict[str, Any]], Any], words: str, golden_file: Path, tmp_path: Path) -> None:
    export(golden_file, tmp_path / "out", layers=[NORM])
    path = tmp_path / "out" / "manifest.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
    with pytest.raises(FileError, match=words) as error:
        read_export(tmp_path / "out").tensors()
    assert "\n" not in str(error.value)


BAD_LAYOUTS = [
    ("beat = 12", "a beat of 12 bits is not a whole number of bytes"),
    ("beat = 0", "is not a whole number from 8"),
    ("bits = 65", "is not a whole number from 1 to 64"),
    ("bits = true", "is not a whole number"),
    ('first = "left"', "is not one of: low, high"),
    ("axes = [0, 0]", "must name every axis from 0 exactly once"),
    ("tile = [0]", "is not a list of whole numbers from 1"),
    ("colour = 3", "unknown key 'colour'; the keys are: name, bits, signed"),
    ("signed = 1", "is not true or false"),
    ("beat = ", "not a valid TOML file"),
    ('name = ""', "is not a line of text"),
]


@pytest.mark.parametrize(("text", "words"), BAD_LAYOUTS)
def test_bad_layout_files(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(FileError) as error:
        BeatLayout.load(tmp_path / "bad.toml")
    assert words in str(error.value)
    assert "bad.toml" in str(error.value)
    assert "\n" not in str(error.value)


# --- on the command line ----------------------------------------------------------------------------------------------


def test_export_and_import(cli: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = cli(
        f"export golden.h5 -m model.h5 --layers '{SOFTMAX}' --format hex --format raw --layout axi128 --package sv -o out"
    )
    assert (code, out) == (
        0,
        "out: 1 tensor as hex, raw, layout axi128, 0.00 MB; 1 package; manifest.json lists every file with its SHA-256\n",
    )
    assert cli("import out -o back.npz") == (0, "back.npz: 1 tensor, 512 elements\n", "")
    assert cli("diff golden.h5 back.npz")[0] == 0
    assert cli("import out --manifest out/manifest.json --format raw -o back.h5")[0] == 0
    assert cli("diff golden.h5 back.h5")[0] == 0
    assert cli("import out --like golden.h5 --layout axi128 -o like.npz")[0] == 0


def test_the_default_formats(cli: Callable[..., tuple[int, str, str]]) -> None:
    for words, written in (("", {".hex"}), ("--package sv", {".sv"}), ("--package sv --layout axi128", {".sv", ".hex"})):
        assert cli(f"export golden.h5 -m model.h5 --layers {SOFTMAX} {words} -o out")[0] == 0
        assert {path.suffix for path in Path("out").iterdir()} == written | {".json"}


def test_an_import_never_overwrites_its_inputs(cli: Callable[..., tuple[int, str, str]]) -> None:
    assert cli(f"export golden.h5 --layers {SOFTMAX} --format npz -o out")[0] == 0
    before = Path("out/tensors.npz").read_bytes()
    code, _, err = cli("import out -o out/dut.npz")
    assert (code, "contains only its own files" in err) == (2, True)
    code, _, err = cli("import out --manifest out -o out/tensors.npz")
    assert (code, "is an input of this command" in err) == (2, True)
    assert sorted(path.name for path in Path("out").iterdir()) == ["manifest.json", "tensors.npz"]
    assert Path("out/tensors.npz").read_bytes() == before


def test_a_dry_run_draws_and_writes_nothing(cli: Callable[..., tuple[int, str, str]]) -> None:
    Path("l.toml").write_text('bits = 12\nbeat = 32\ntile = [1, 3]\npad = -1\nfirst = "high"\n')
    before = sorted(Path().iterdir())
    code, out, _ = cli("export golden.h5 --layers encoder.blocks.0.attn.logits.requant --layout l.toml --dry-run")
    assert code == 0
    assert "stored as 2 x 16 x 6 x 1 x 3, 64 elements of padding" in out
    assert "288 beats of 32 bits, 2 elements of i12 in each" in out
    assert "31..24" in out
    assert "[0,0,0]" in out
    assert "pad -1" not in out, "the first three beats are full: 16 columns are five blocks and a third"
    assert sorted(Path().iterdir()) == before


BAD_COMMANDS = [
    ("export golden.h5", "name the folder to write with -o FOLDER"),
    ("export golden.h5 -o out --layout none", "layout 'none' is neither a TOML file nor one of: plain, beats32"),
    ("export golden.h5 -o out --layers nothing", "--layers 'nothing' matches no node"),
    ("export picture.png -o out", "not an HDF5 file"),
    ("export none.h5 -o out", "no such file"),
    ("export golden.h5 -o golden.h5", "is a file; name a folder"),
    ("export golden.h5 -o nowhere/out", "does not exist; create it first"),
    (
        "export golden.h5 -o out --layout narrow.toml",
        "encoder.patch_embed.proj: layout narrow: a beat of 8 bits does not hold an element of 32 bits",
    ),
    ("export golden.h5 -o out --layout short.toml --layers *.softmax", "its axes [1, 0] do not cover a tensor of shape"),
    ("export golden.h5 -o out --format jpeg", "'jpeg' is not one of"),
    ("import nowhere", "nowhere: no such folder"),
    ("import nowhere --like golden.h5", "nowhere: no such folder"),
    ("import picture.png", "picture.png: is a file; name the folder it is in"),
    ("import narrow.toml --like golden.h5", "narrow.toml: is a file; name the folder it is in"),
    ("export golden.h5 -o ''", "name the folder to write with -o FOLDER"),
    ("export golden.h5 --dry-run --json", "leave out --json"),
    ("export golden.h5 --dry-run --package sv", "leave out --package"),
    ("export model.h5 -m model.h5 -o out", "model.h5 is a model itself"),
    (
        "export model.h5 -o out --layers encoder.tokens",
        "such nodes have no arrays; their constants are exported as packages",
    ),
    ("export golden.h5 -o out --layout huge.toml --layers labels", "elements, more than memory holds"),
    ("import . --manifest golden.h5", "golden.h5: is a file; name the folder it is in, or its manifest.json"),
    ("import . --like golden.h5", "no file in it is named after a tensor of golden.h5"),
    ("import . --like golden.h5 --manifest x", "give one of them"),
    ("import . --layout plain", "--layout goes with --like"),
]


@pytest.mark.parametrize(("line", "words"), BAD_COMMANDS, ids=[line for line, _ in BAD_COMMANDS])
def test_bad_commands(cli: Callable[..., tuple[int, str, str]], line: str, words: str) -> None:
    Path("narrow.toml").write_text("beat = 8\n")
    Path("short.toml").write_text("axes = [1, 0]\n")
    Path("huge.toml").write_text("tile = [2000000000, 2000000000]\n")
    before = {path.name for path in Path().iterdir()}
    code, out, err = cli(line)
    assert code == 2
    assert not out
    assert any(word in err for word in words.split("|")), err
    assert err.count("\n") == 1
    assert {path.name for path in Path().iterdir()} == before, "nothing was written"
