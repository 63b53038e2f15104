"""Unusable input, as a user meets it: exit code 2, one line that names the thing and a way out, and nothing written."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

import intsim
from intsim import dialects
from intsim.cli.main import main
from intsim.engine.graph import Graph, Node
from intsim.errors import GraphError
from intsim.quantization.synth import random_weights

from networks import TINY, tiny_graph

RUN = "run picture.png -m model.h5 -o out.png"
GOLDEN = "golden picture.png -m model.h5 -o out.h5"
INSPECT = "inspect -m model.h5 -o out.txt"
DIFF = "diff golden.h5 device.h5 -o out.txt"
QUANTIZE = "quantize c.safetensors --config c.json --calibrate picture.png -o out.h5"
SYNTH = "synth --config c.json -o out.h5"

PROJ = "encoder.patch_embed.proj"
NORM = "encoder.blocks.0.norm1"
FC1 = "encoder.blocks.0.mlp.fc1.weight"

Spoil = Callable[[], Any]
Cli = Callable[..., tuple[int, str, str]]
Refuse = Callable[..., str]


@pytest.fixture(scope="session")
def checkpoint_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random float32 checkpoint of the tiny Segmenter."""
    path = tmp_path_factory.mktemp("checkpoint") / "c.safetensors"
    save_file({name: np.ascontiguousarray(v, np.float32) for name, v in random_weights(TINY, 3).items()}, path)
    return path


@pytest.fixture
def folder(
    tmp_path: Path,
    model_file: Path,
    golden_file: Path,
    picture_file: Path,
    checkpoint_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """The folder a user works in: sound files of every kind, each the test's own."""
    for source, name in (
        (model_file, "model.h5"),
        (golden_file, "golden.h5"),
        (golden_file, "device.h5"),
        (picture_file, "picture.png"),
        (checkpoint_file, "c.safetensors"),
    ):
        shutil.copy(source, tmp_path / name)
    (tmp_path / "c.json").write_text(json.dumps(TINY))
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, str]:
    """Everything below `folder`, temporary files too, by its SHA-256."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "a folder"
        for path in folder.rglob("*")
    }


@pytest.fixture
def refuse(folder: Path, capsys: pytest.CaptureFixture[str]) -> Refuse:
    """Type a command that must be refused with `words` on its one line; nothing may appear, vanish or change."""

    def once(line: str, words: tuple[str, ...]) -> str:
        before = contents(folder)
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main.main(args=shlex.split(line), prog_name="intsim")
        out, err = capsys.readouterr()
        said = [text for text in err.splitlines() if "Compiling integer kernels" not in text]
        assert left.value.code == 2, err
        assert out == ""
        assert len(said) == 1, err
        assert said[0].startswith("intsim: ")
        for word in words:
            assert word in said[0]
        assert contents(folder) == before
        return said[0]

    def call(line: str, *words: str) -> str:
        said = once(line, words)
        args = shlex.split(line)
        target = folder / args[args.index("-o") + 1] if "-o" in args else folder / "no output"
        if target.parent.is_dir() and not target.is_dir():  # once more, over a file that is there already
            for path in (target, target.with_name(f"{target.stem}_overlay.png")):
                path.write_bytes(b"what was here before")
            once(line, words)
        return said

    return call


def test_the_sound_files_are_accepted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without which no refusal below would mean anything."""
    for line in (RUN, GOLDEN, INSPECT, DIFF, QUANTIZE, SYNTH):
        with pytest.raises(SystemExit) as left:
            main.main(args=shlex.split(line), prog_name="intsim")
        assert left.value.code == 0, line


# --- pictures --------------------------------------------------------------------------------------------------------


def cut(path: str, size: int) -> None:
    """Keep the first `size` bytes of a file; negative: all but the last."""
    Path(path).write_bytes(Path(path).read_bytes()[:size])


def corrupt_png() -> None:
    raw = bytearray(Path("picture.png").read_bytes())
    raw[60:80] = bytes(20)
    Path("picture.png").write_bytes(raw)


BAD_PICTURES = {
    "text": (lambda: Path("picture.png").write_text("not a picture\n"), ["not a picture", "PNG"]),
    "empty": (lambda: Path("picture.png").write_bytes(b""), ["not a picture"]),
    "signature only": (lambda: cut("picture.png", 8), ["not a"]),
    "cut in the header": (lambda: cut("picture.png", 30), ["not a"]),
    "cut in the middle": (lambda: cut("picture.png", 1500), ["not a readable picture"]),
    "cut near the end": (lambda: cut("picture.png", -40), ["not a readable picture"]),
    "corrupt": (corrupt_png, ["not a readable picture"]),
    "an HDF5 file": (lambda: shutil.copy("model.h5", "picture.png"), ["not a picture", "PNG, JPEG"]),
    "PostScript": (lambda: Image.new("RGB", (40, 24)).save("picture.png", "EPS"), ["not a picture", "PNG, JPEG"]),
    "missing": (lambda: Path("picture.png").unlink(), ["no such file"]),
    "a folder": (
        lambda: (Path("picture.png").unlink(), Path("picture.png").mkdir()),
        ["picture.png: is a folder, not a picture"],
    ),
    "too large": (lambda: Image.new("RGB", (41, 24)).save("picture.png"), ["41 x 24", "takes 40 x 24", "--resize"]),
    "turned": (lambda: Image.new("RGB", (24, 40)).save("picture.png"), ["24 x 40", "takes 40 x 24", "--resize"]),
    "one pixel": (lambda: Image.new("RGB", (1, 1)).save("picture.png"), ["1 x 1 pixels", "takes 40 x 24", "--resize"]),
}


READERS = {"run": RUN, "golden": GOLDEN, "quantize": QUANTIZE}


@pytest.mark.parametrize(
    ("command", "name"),  # `run` labels a picture of any size
    [(c, n) for c in READERS for n, (_, words) in BAD_PICTURES.items() if c != "run" or "--resize" not in words],
)
def test_bad_picture(command: str, name: str, refuse: Refuse) -> None:
    spoil, words = BAD_PICTURES[name]
    spoil()
    refuse(READERS[command], "picture.png: ", *words)


def grey() -> np.ndarray:
    return np.arange(24 * 40, dtype=np.uint8).reshape(24, 40)


def with_alpha(mode: str, *channels: np.ndarray) -> Image.Image:
    return Image.merge(mode, [Image.fromarray(channel) for channel in channels])


def palette_picture() -> Image.Image:
    picture = Image.fromarray(grey() % 4).convert("L")
    picture = Image.frombytes("P", picture.size, picture.tobytes())
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 200, 0, 1, 2, 3])
    return picture


ALPHA = np.where(np.indices((24, 40)).sum(axis=0) % 2, 255, 0).astype(np.uint8)
COLOURS = np.array([[0, 0, 0], [255, 0, 0], [0, 200, 0], [1, 2, 3]], np.uint8)
CONVERTED = {
    "grey": (lambda: Image.fromarray(grey()), lambda: np.stack([grey()] * 3, -1)),
    "grey and alpha": (lambda: with_alpha("LA", grey(), ALPHA), lambda: np.stack([grey() * (ALPHA > 0)] * 3, -1)),
    "RGBA": (
        lambda: with_alpha("RGBA", grey(), grey() ^ 7, grey() ^ 200, ALPHA),
        lambda: np.stack([grey(), grey() ^ 7, grey() ^ 200], -1) * (ALPHA > 0)[..., None],
    ),
    "palette": (palette_picture, lambda: COLOURS[grey() % 4]),
    "16-bit grey": (
        lambda: Image.fromarray(grey().astype(np.uint16) * 256 + 99),
        lambda: np.stack([grey()] * 3, -1),
    ),
    "1-bit": (lambda: Image.fromarray(grey() > 100), lambda: np.stack([np.uint8(255) * (grey() > 100)] * 3, -1)),
}


@pytest.mark.parametrize(("make", "expected"), CONVERTED.values(), ids=CONVERTED)
def test_other_kinds_of_pictures_are_converted(
    make: Callable[[], Image.Image], expected: Callable[[], np.ndarray], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Grey becomes three equal channels, 16 bits their high byte, what is transparent black; the golden file shows it."""
    make().save("picture.png")
    with pytest.raises(SystemExit) as left:
        main.main(args=shlex.split(GOLDEN), prog_name="intsim")
    assert left.value.code == 0, capsys.readouterr().err
    with h5py.File("out.h5") as file:
        assert np.array_equal(file["image"][()], expected())


# --- files that are not the kind that is due -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("run nowhere.png -m model.h5 -o out.png", ["nowhere.png: no such file"]),
        ("run picture.png -m nowhere.h5 -o out.png", ["nowhere.h5: no such file"]),
        ("golden picture.png -m nowhere.h5 -o out.h5", ["nowhere.h5: no such file"]),
        ("inspect -m nowhere.h5 -o out.txt", ["nowhere.h5: no such file"]),
        ("diff nowhere.h5 golden.h5 -o out.txt", ["nowhere.h5: no such file"]),
        ("diff golden.h5 nowhere.h5 -o out.txt", ["nowhere.h5: no such file"]),
        ("quantize nowhere.safetensors --config c.json --calibrate picture.png -o out.h5", ["nowhere.safetensors: "]),
        ("quantize c.safetensors --config nowhere.json --calibrate picture.png -o out.h5", ["nowhere.json: no such file"]),
        ("quantize c.safetensors --config c.json --calibrate nowhere.png -o out.h5", ["nowhere.png: no such file"]),
        ("synth --config nowhere.json -o out.h5", ["nowhere.json: no such file"]),
        ("run picture.png -m folder -o out.png", ["folder: is a folder, not a file"]),
        ("diff folder golden.h5 -o out.txt", ["folder: is a folder, not a file"]),
        (
            "quantize c.safetensors --config folder --calibrate picture.png -o out.h5",
            ["folder: is a folder, not a configuration"],
        ),
        ("run picture.png -m picture.png -o out.png", ["picture.png: not an HDF5 file", "expected an intsim-model file"]),
        ("diff picture.png golden.h5 -o out.txt", ["picture.png: not an HDF5 file", "expected an intsim-golden file"]),
        ("run picture.png -m golden.h5 -o out.png", ["golden.h5: not an intsim-model file", "'intsim-golden'"]),
        ("inspect -m golden.h5 -o out.txt", ["golden.h5: not an intsim-model file", "'intsim-golden'"]),
        ("diff model.h5 golden.h5 -o out.txt", ["model.h5: not an intsim-golden file", "'intsim-model'"]),
        (
            "diff golden.h5 model.h5 -o out.txt",
            ["model.h5: its format is 'intsim-model'", "a golden file, an HDF5 file, an .npz"],
        ),
        ("diff golden.h5 device.h5 -m golden.h5 -o out.txt", ["golden.h5: not an intsim-model file"]),
    ],
)
def test_wrong_file(line: str, words: list[str], refuse: Refuse) -> None:
    refuse(line, *words)


def test_a_folder_as_checkpoint_is_called_a_folder(refuse: Refuse) -> None:
    refuse("quantize folder --config c.json --calibrate picture.png -o out.h5", "folder: is a folder")


# --- HDF5 ------------------------------------------------------------------------------------------------------------


def change(path: str, edit: Callable[[h5py.File], Any]) -> Spoil:
    """Change an HDF5 file in place."""

    def spoil() -> None:
        with h5py.File(path, "r+") as file:
            edit(file)

    return spoil


def replace(where: str, **how: Any) -> Callable[[h5py.File], None]:
    """Put another dataset (or link) where one stands, with the attributes of the old one."""

    def edit(file: h5py.File) -> None:
        about = dict(file[where].attrs)
        del file[where]
        if "link" in how:
            file[where] = how["link"]
        else:
            file.create_dataset(where, **how).attrs.update(about)

    return edit


def virtual(where: str) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        shape, dtype, about = file[where].shape, file[where].dtype, dict(file[where].attrs)
        del file[where]
        layout = h5py.VirtualLayout(shape, dtype)
        layout[...] = h5py.VirtualSource("elsewhere.h5", "x", shape)
        file.create_virtual_dataset(where, layout).attrs.update(about)

    return edit


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 50, 96, 800, 2048, 20_000, 100_000, -1000, -1])
@pytest.mark.parametrize(
    ("line", "path"), [(RUN, "model.h5"), (DIFF, "golden.h5"), (DIFF, "device.h5")], ids=["model", "golden", "device"]
)
def test_truncated_hdf5(size: int, line: str, path: str, refuse: Refuse) -> None:
    cut(path, size)
    refuse(line, f"{path}: not an HDF5 file, or truncated")


def elsewhere() -> None:
    """A file that links could lead to."""
    with h5py.File("elsewhere.h5", "w") as file:
        file["x"] = np.zeros((24, 40, 3), np.int8)


def filtered(where: str) -> Callable[[h5py.File], None]:
    """A dataset with a filter that only a plugin has."""

    def edit(file: h5py.File) -> None:
        about = dict(file[where].attrs)
        del file[where]
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((64,))
        plist.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((64,))
        h5py.h5d.create(file.id, where.encode(), h5py.h5t.STD_I8LE, space, plist).write(
            h5py.h5s.ALL, h5py.h5s.ALL, np.ones(64, np.int8)
        )
        file[where].attrs.update(about)

    return edit


HUGE = {"shape": (1 << 20, 1 << 20), "chunks": (1, 1 << 20), "dtype": "i1"}
SQUEEZED = {**HUGE, "compression": "gzip"}
BAD_HDF5: dict[str, tuple[Callable[[str], Callable[[h5py.File], Any]], list[str]]] = {
    "foreign format": (lambda _: lambda f: f.attrs.__setitem__("format", "other"), ["not an intsim-", "'other'"]),
    "no format": (lambda _: lambda f: f.attrs.__delitem__("format"), ["not an intsim-", "its format is not stated"]),
    "format is a number": (lambda _: lambda f: f.attrs.__setitem__("format", 7), ["not an intsim-"]),
    "newer version": (lambda _: lambda f: f.attrs.__setitem__("version", 2), ["version 2", "reads version 1"]),
    "no version": (lambda _: lambda f: f.attrs.__delitem__("version"), ["version None", "reads version 1"]),
    "external link": (
        lambda x: replace(x, link=h5py.ExternalLink("elsewhere.h5", "x")),
        ["{x} is a soft or external", "copy"],
    ),
    "soft link": (lambda x: replace(x, link=h5py.SoftLink("/graph")), ["{x} is a soft", "copy"]),
    "dangling link": (lambda x: replace(x, link=h5py.SoftLink("/nowhere")), ["{x} is a soft", "copy"]),
    "external storage": (
        lambda x: replace(x, shape=(100,), dtype="i1", external=[("elsewhere.h5", 0, 100)]),
        ["{x} stores its values in other files", "copy"],
    ),
    "virtual dataset": (virtual, ["{x} stores its values in other files", "copy"]),
    "huge and never written": (lambda x: replace(x, **HUGE), ["{x} declares [1048576, 1048576] int8", "more than the file"]),
    "huge and compressed": (lambda x: replace(x, **SQUEEZED), ["{x} declares", "more than the file"]),
    "never written": (lambda x: replace(x, shape=(64,), dtype="i1"), ["{x} declares [64]", "more than the file"]),
    "an unknown filter": (filtered, ["{x} uses an HDF5 filter that h5py does not contain (number 32015)", "gzip"]),
    "equal numbers without end": (
        lambda x: replace(x, shape=(1 << 30,), chunks=(1 << 30,), dtype="i1", scaleoffset=0),
        ["{x} declares [1073741824]", "more than the file"],
    ),
    "graph is not JSON": (lambda _: replace("graph", data=np.frombuffer(b'[{"name"', np.uint8)), ["'graph' is not JSON"]),
    "graph is binary": (lambda _: replace("graph", data=np.frombuffer(b"\xff\xfe\x00", np.uint8)), ["'graph' is not JSON"]),
    "graph is missing": (lambda _: lambda f: f.__delitem__("graph"), ["'graph' is missing"]),
}


# A device's file is any HDF5 file: it needs none of what makes a golden file.
OURS_ONLY = {"foreign format", "no format", "format is a number", "graph is not JSON", "graph is binary", "graph is missing"}
OURS_ONLY |= {"no version", "newer version"}


@pytest.mark.parametrize(
    ("line", "path", "where"),
    [(RUN, "model.h5", f"{PROJ}/weight"), (DIFF, "golden.h5", NORM)],
    ids=["model", "golden"],
)
@pytest.mark.parametrize(("edit", "words"), BAD_HDF5.values(), ids=BAD_HDF5)
def test_bad_hdf5(
    edit: Callable[[str], Callable[[h5py.File], Any]], words: list[str], line: str, path: str, where: str, refuse: Refuse
) -> None:
    elsewhere()
    change(path, edit(where))()
    refuse(line, f"{path}: ", *(word.replace("{x}", where) for word in words))


@pytest.mark.parametrize("name", [name for name in BAD_HDF5 if name not in OURS_ONLY])
def test_bad_hdf5_from_a_device(name: str, cli: Cli) -> None:
    """It spoils its own tensor; all others are compared."""
    shutil.copy("golden.h5", "device.h5")
    elsewhere()
    edit, words = BAD_HDF5[name]
    change("device.h5", edit(NORM))()
    for options in ("", " --isolated"):
        code, out, _ = cli(f"diff golden.h5 device.h5 --json{options}")
        record = json.loads(out)
        assert (code, record["unusable"]) == (1, [NORM])
        assert record["compared"] == len(record["nodes"]) - 1
        note = next(node["note"] for node in record["nodes"] if node["name"] == NORM)
        assert all(word.replace("{x}", f"{NORM}: it") in note for word in words)


@pytest.mark.parametrize("name", [name for name in BAD_HDF5 if name not in OURS_ONLY])
def test_bad_hdf5_that_nobody_asks_for(name: str, cli: Cli) -> None:
    shutil.copy("golden.h5", "device.h5")
    elsewhere()
    change("device.h5", lambda f: f.__setitem__("trace/wave", np.zeros((4, 4), np.int8)))()
    change("device.h5", BAD_HDF5[name][0]("trace/wave"))()
    change("device.h5", lambda f: f.__setitem__("trace/kind", np.dtype(np.int8)))()
    code, out, _ = cli("diff golden.h5 device.h5")
    assert code == 0, out
    assert "2 only in the dump (trace/" in out


def test_links_that_multiply_names_are_refused(cli: Cli) -> None:
    """Every group has two links to the next: 2**30 paths to one dataset."""
    with h5py.File("device.h5", "w") as file:
        group = file
        for _ in range(30):
            below = group.create_group("a")
            group["b"] = below
            group = below
        group["x"] = np.zeros(4, np.int8)
    code, _, err = cli("diff golden.h5 device.h5")
    assert code == 2
    assert "device.h5: has more than 100,000 names" in err


@pytest.mark.parametrize("version", [None, 2])
def test_a_golden_file_of_another_version_as_a_dump(version: int | None, refuse: Refuse) -> None:
    change(
        "device.h5", lambda f: f.attrs.__delitem__("version") if version is None else f.attrs.modify("version", version)
    )()
    refuse(DIFF, "device.h5: intsim-golden version", str(version), "reads version 1")


@pytest.mark.parametrize("extra", [{"name": "extra", **HUGE}, {"name": "extra/deep", **SQUEEZED}], ids=["root", "group"])
def test_an_impossible_dataset_that_nobody_needs_is_refused_too(extra: dict[str, Any], refuse: Refuse) -> None:
    change("model.h5", lambda f: f.create_dataset(**extra))()
    refuse(RUN, "model.h5: ", extra["name"], "more than the file can hold")


def test_a_cycle_of_groups_is_refused(refuse: Refuse) -> None:
    def cycle(file: h5py.File) -> None:
        file["again"] = file["/"]

    change("model.h5", cycle)()
    refuse(RUN, "model.h5: again links back to a group that contains it")


# --- the graph of a model file ---------------------------------------------------------------------------------------


def position(op: str) -> int:
    """The place of the first node with an operator."""
    with h5py.File("model.h5") as file:
        return [record["op"] for record in json.loads(file["graph"][()].tobytes())].index(op)


def record(op: str, edit: Callable[[dict[str, Any]], Any]) -> Spoil:
    """Change the JSON record of the first node with an operator."""

    def spoil() -> None:
        with h5py.File("model.h5", "r+") as file:
            records = json.loads(file["graph"][()].tobytes())
            edit(records[position(op)])
            del file["graph"]
            file["graph"] = np.frombuffer(json.dumps(records).encode(), np.uint8)

    return spoil


def graph_json(content: Any) -> Spoil:
    return change("model.h5", replace("graph", data=np.frombuffer(json.dumps(content).encode(), np.uint8)))


def array(where: str, edit: Callable[[np.ndarray], Any]) -> Spoil:
    """Change the parameter of a node."""

    def spoil() -> None:
        with h5py.File("model.h5") as file:
            values = file[where][()]
        change("model.h5", replace(where, data=edit(values)))()

    return spoil


def element(value: Any, dtype: Any = None) -> Callable[[np.ndarray], np.ndarray]:
    """The array with one element replaced."""

    def edit(values: np.ndarray) -> np.ndarray:
        changed = values.astype(dtype or values.dtype)
        changed.flat[3] = value
        return changed

    return edit


def attribute(name: str, value: Any) -> Spoil:
    return change("model.h5", lambda f: f.attrs.__setitem__(name, value))


def without(key: str) -> str:
    return json.dumps({"name": "x", **{k: v for k, v in dialects.RTL.choices().items() if k != key}})


BAD_MODELS: dict[str, tuple[Spoil, list[str]]] = {
    "graph is a table": (graph_json({}), ["its graph is not a list of nodes"]),
    "graph is empty": (graph_json([]), ["the graph is empty"]),
    "graph of numbers": (graph_json([1, 2]), ["its graph is not a list of nodes"]),
    "node without operator": (record("linear", lambda n: n.pop("op")), ["its graph is not a list of nodes", "op"]),
    "parameter's dataset deleted": (
        change("model.h5", lambda f: f.__delitem__(f"{PROJ}/bias")),
        [f"{PROJ}: its parameter 'bias' is missing", "quantize"],
    ),
    "array not named": (
        record("linear", lambda n: n.update(arrays=["weight"])),
        [f"{PROJ}: its parameter 'bias' is missing"],
    ),
    "missing integer parameter": (
        record("shiftmax", lambda n: n["params"].pop("n")),
        ["encoder.blocks.0.attn.softmax: its parameter 'n' is missing"],
    ),
    "unknown parameter": (
        record("shiftmax", lambda n: n["params"].update(nn=3)),
        ["encoder.blocks.0.attn.softmax: shiftmax has no parameter 'nn'"],
    ),
    "parameter out of range": (
        record("shiftmax", lambda n: n["params"].update(b=40)),
        ["encoder.blocks.0.attn.softmax: ", "b = 40 is outside [2, 16]"],
    ),
    "fractional parameter": (record("patches", lambda n: n["params"].update(size=8.5)), ["encoder.patches: ", "integers"]),
    "float weights": (
        array(f"{PROJ}/weight", lambda w: w.astype(np.float32)),
        [f"{PROJ}: its parameter 'weight' is float32, expected i8", "quantize"],
    ),
    "float bias": (
        array(f"{PROJ}/bias", lambda b: b.astype(float)),
        [PROJ, "'bias' is float64, expected i32"],
    ),
    "text for weights": (
        array(f"{PROJ}/weight", lambda w: np.bytes_(b"text")),
        [f"{PROJ}: its parameter 'weight' is |S4, expected i8"],
    ),
    "weight beyond i8": (array(f"{PROJ}/weight", element(128, np.int16)), [PROJ, "weight[0, 3] = 128 is outside i8"]),
    "weight turned": (array(f"{PROJ}/weight", lambda w: w.T), [f"{PROJ}: x has 192 channels", "[192, 32] takes 32"]),
    "weight of one axis": (array(f"{PROJ}/weight", lambda w: w[0]), [f"{PROJ}: ", "weight has 1 axes, expected 2"]),
    "bias too short": (array(f"{PROJ}/bias", lambda b: b[1:]), [f"{PROJ}: bias has 31 values for 32 output channels"]),
    "unknown operator": (
        record("lambda_shiftgelu", lambda n: n.update(op="swish")),
        ["encoder.blocks.0.mlp.act: there is no operator 'swish'; there are: ", "shiftmax"],
    ),
    "input that does not exist": (
        record("shiftmax", lambda n: n.update(inputs=["encoder.blocks.7.logits"])),
        ["encoder.blocks.0.attn.softmax: its input 'encoder.blocks.7.logits' is not an earlier node"],
    ),
    "input that comes later": (
        record("patches", lambda n: n.update(inputs=["labels"])),
        ["encoder.patches", "input 'labels'"],
    ),
    "an input too many": (
        record("patches", lambda n: n.update(inputs=["image", "image"])),
        ["encoder.patches: patches takes 1 inputs, the node has 2"],
    ),
    "an input too wide": (
        record("shiftmax", lambda n: n.update(inputs=[NORM])),
        [f"encoder.blocks.0.attn.softmax: shiftmax takes i16, but {NORM} is i32"],
    ),
    "a name taken twice": (record("patches", lambda n: n.update(name="image")), ["image: duplicate node name"]),
    "a name that is none": (record("patches", lambda n: n.update(name="../patches")), ["'../patches' is not a node name"]),
    "one weight changed": (array(f"{PROJ}/weight", element(5)), ["do not match its content hash", "altered"]),
    "one parameter changed": (record("requant", lambda n: n["params"].update(b=15)), ["altered"]),
    "no content hash": (change("model.h5", lambda f: f.attrs.__delitem__("content_sha256")), ["content_sha256", "missing"]),
    "bias near 2**31": (
        array(f"{PROJ}/bias", element(2**31 - 5)),
        [f"{PROJ}: linear may reach [", "outside i32 [-2147483648, 2147483647]", "smaller weights or biases"],
    ),
    "bias near -2**31": (array(f"{PROJ}/bias", element(-(2**31))), [f"{PROJ}: linear may reach [-21", "outside i32"]),
    "bias of 2**31": (array(f"{PROJ}/bias", element(2**31, np.int64)), [f"{PROJ}: ", "bias[3] = 2147483648 is outside i32"]),
    "dialect is not JSON": (attribute("dialect", "{"), ["its attribute 'dialect' is missing or damaged"]),
    "dialect lacks a choice": (attribute("dialect", without("sqrt")), ["dialect x: missing choice 'sqrt'", "newton10"]),
    "config is not JSON": (attribute("config", "{'a'}"), ["its attribute 'config' is missing or damaged"]),
    "no provenance": (change("model.h5", lambda f: f.attrs.__delitem__("provenance")), ["'provenance' is missing"]),
}


@pytest.mark.parametrize(("spoil", "words"), BAD_MODELS.values(), ids=BAD_MODELS)
def test_bad_model(spoil: Spoil, words: list[str], refuse: Refuse) -> None:
    spoil()
    refuse(RUN, "model.h5: ", *words)


@pytest.mark.parametrize("line", [GOLDEN, INSPECT, f"{DIFF} -m model.h5", "synth -m model.h5 -o out.h5"])
def test_every_command_refuses_an_altered_model(line: str, refuse: Refuse) -> None:
    array(f"{PROJ}/weight", element(5))()
    refuse(line, "model.h5: its contents do not match its content hash")


def test_the_bound_of_an_overflow_is_exact(refuse: Refuse) -> None:
    """The largest bias that is proved is accepted, one more is refused with the very bound."""
    graph = intsim.load("model.h5")
    at = [node.op for node in graph.nodes].index("linear")
    weight, bias = graph.nodes[at].params["weight"].astype(int), graph.nodes[at].params["bias"].copy()
    table = graph.tensors["encoder.patches"]
    reach = int((np.maximum(weight[0], 0) * table.hi + np.minimum(weight[0], 0) * table.lo).sum())
    for value in (2**31 - 1 - reach, 2**31 - reach):
        bias[0] = value
        nodes = list(graph.nodes[: at + 1])
        nodes[at] = dataclasses.replace(nodes[at], params={"weight": nodes[at].params["weight"], "bias": bias.copy()})
        if value + reach < 2**31:
            assert Graph(nodes, graph.dialect).tensors[PROJ].hi == 2**31 - 1
        else:
            with pytest.raises(intsim.BoundError, match=rf"^{PROJ}: linear may reach \[-?\d+, 2147483648\], outside i32"):
                Graph(nodes, graph.dialect)


BROKEN_MODELS: dict[str, Spoil] = {
    "format is a list": attribute("format", [1, 2]),
    "version is a list": attribute("version", [1, 1]),
    "content hash is a list": attribute("content_sha256", [1, 2]),
    "dialect is a list": attribute("dialect", "[]"),
    "config is a list": attribute("config", "[1]"),
    "inputs of lists": record("patches", lambda n: n.update(inputs=[["image"]])),
    "arrays is a number": record("patches", lambda n: n.update(arrays=5)),
    "scale is text": record("requant", lambda n: n.update(scale="wide")),
    "parameter's scale is text": change("model.h5", lambda f: f[f"{PROJ}/weight"].attrs.__setitem__("scale", "wide")),
    "a name that is not text": change("model.h5", lambda f: h5py.h5g.create(f.id, b"\xff\xfe")),
}


@pytest.mark.parametrize("spoil", BROKEN_MODELS.values(), ids=BROKEN_MODELS)
def test_broken_model(spoil: Spoil, refuse: Refuse) -> None:
    spoil()
    refuse(INSPECT, "model.h5: ")


def test_markup_in_a_models_name_is_only_text(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    attribute("config", json.dumps({**TINY, "name": "[/tiny]"}))()
    with pytest.raises(SystemExit) as left:
        main.main(args=["inspect", "-m", "model.h5"], prog_name="intsim")
    assert left.value.code == 0
    assert "[/tiny]: 109 nodes" in capsys.readouterr().out


@pytest.mark.parametrize("palette", [[1, 2, 3, 4, 5], [[999, 0, 0]] * 5, [["red"]] * 5], ids=["flat", "too bright", "names"])
def test_bad_palette(palette: list[Any], refuse: Refuse) -> None:
    Path("c.json").write_text(json.dumps({**TINY, "palette": palette}))
    refuse(SYNTH, "c.json: configuration: palette")


def test_a_graph_without_labels_cannot_be_run(graph: Graph, refuse: Refuse) -> None:
    intsim.save(Graph(list(graph.nodes[:-1]), graph.dialect, graph.config), "model.h5")
    refuse(RUN, "model.h5", "labels")


# --- golden files ----------------------------------------------------------------------------------------------------


def test_files_of_different_models(refuse: Refuse, image: np.ndarray, graph: Graph) -> None:
    other = tiny_graph(dialects.RTL)
    intsim.golden(other, image, "device.h5")
    hashes = graph.content_hash[:12], other.content_hash[:12]
    refuse(DIFF, "golden.h5", "device.h5", "different models", *hashes, "make both from one model file")


def test_files_of_another_model_than_the_one_named(refuse: Refuse, graph: Graph) -> None:
    other = tiny_graph(dialects.RTL)
    intsim.save(other, "other.h5")
    refuse(f"{DIFF} -m other.h5", "golden.h5: was made from model", graph.content_hash[:12], other.content_hash[:12])


@pytest.mark.parametrize("options", ["", "--json"])
def test_a_comparison_of_nothing_is_an_error(options: str, graph: Graph, image: np.ndarray, refuse: Refuse) -> None:
    intsim.golden(graph, image, "golden.h5", "full", ("encoder.*",))
    intsim.golden(graph, image, "device.h5", "full", ("decoder.*",))
    refuse(f"{DIFF} {options}", "golden.h5 and device.h5", "no tensor in common")


@pytest.mark.parametrize("name", ["sha256", "shape", "format"])
def test_a_tensor_that_lacks_an_attribute(name: str, refuse: Refuse) -> None:
    change("golden.h5", lambda f: f[NORM].attrs.__delitem__(name))()
    refuse(DIFF, f"golden.h5: {NORM} has a missing or invalid shape, format or sha256")


@pytest.mark.parametrize(
    "name",
    [
        "level",
        "model_sha256",
        "content_sha256",
        "layers",
        "left_out",
    ],
)
def test_a_golden_file_that_lacks_an_attribute(name: str, refuse: Refuse) -> None:
    change("golden.h5", lambda f: f.attrs.__delitem__(name))()
    refuse(DIFF, "golden.h5: its attribute", name, "damaged")


def differing(file: h5py.File) -> None:
    file[NORM][0, 0] ^= 1


BROKEN_GOLDEN: dict[str, Spoil] = {
    "shape is text": change("golden.h5", lambda f: f[NORM].attrs.__setitem__("shape", "wide")),
    "layers is a number": change("golden.h5", lambda f: f.attrs.__setitem__("layers", "5")),
    "nodes are numbers": change("golden.h5", replace("graph", data=np.frombuffer(b"[1]", np.uint8))),
    "format is none": change("golden.h5", lambda f: (differing(f), f[NORM].attrs.__setitem__("format", "wide"))),
    "shape is impossible": change("golden.h5", lambda f: f[NORM].attrs.__setitem__("shape", [1 << 40, 1 << 40])),
}


@pytest.mark.parametrize("spoil", BROKEN_GOLDEN.values(), ids=BROKEN_GOLDEN)
def test_broken_golden_file(spoil: Spoil, refuse: Refuse) -> None:
    spoil()
    refuse(DIFF, "golden.h5: ")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--layers nothing", ["--layers 'nothing' matches no node", "intsim inspect"]),
        ("--layers 'encoder.*' --layers 'encodr.*'", ["--layers 'encodr.*' matches no node"]),
        ("--layers ''", ["--layers '' matches no node"]),
        ("--layers '['", ["--layers '[' matches no node"]),
        (f"--layers {NORM}", ["level 'boundary'", NORM, "no tensor to write"]),
    ],
)
def test_layers_that_leave_nothing(options: str, words: list[str], refuse: Refuse) -> None:
    refuse(f"{GOLDEN} {options}", *words)


# --- dialects --------------------------------------------------------------------------------------------------------


def toml(**changes: Any) -> str:
    """The reference dialect as TOML, with choices changed or (None) left out."""
    choices = dialects.ISEGMENTER.choices() | changes
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in choices.items() if value is not None)


BAD_DIALECTS = {
    "misspelt key": (toml(sqrt=None, squrt="floor"), ["unknown choice 'squrt'", "the choices are: ", "sqrt"]),
    "missing key": (toml(sqrt=None), ["missing choice 'sqrt'", "newton10, floor"]),
    "empty": ("", ["missing choice 'requant_rounding'", "half_even"]),
    "wrong value": (toml(sqrt="ceil"), ["sqrt = 'ceil' is not one of: newton10, floor"]),
    "wrong case": (toml(sqrt="Floor"), ["sqrt = 'Floor' is not one of"]),
    "wrong type": (toml(sqrt=3), ["sqrt = 3 is not one of"]),
    "number out of range": (toml(softmax_bits=17), ["softmax_bits = 17 is not one of: 2 to 16"]),
    "truth for a number": (toml(softmax_bits=True), ["softmax_bits = True is not one of"]),
    "not TOML": ("requant_rounding: half_even\n", ["not a TOML file"]),
    "twice": (toml() + 'sqrt = "floor"\n', ["not a TOML file"]),
    "in a table": (f"[dialect]\n{toml()}", ["unknown choice 'dialect'"]),
}


@pytest.mark.parametrize(("text", "words"), BAD_DIALECTS.values(), ids=BAD_DIALECTS)
@pytest.mark.parametrize("line", [QUANTIZE, SYNTH], ids=["quantize", "synth"])
def test_bad_dialect(text: str, words: list[str], line: str, refuse: Refuse) -> None:
    Path("mine.toml").write_text(text)
    refuse(f"{line} --dialect mine.toml", "mine.toml: ", *words)


def test_binary_dialect(refuse: Refuse) -> None:
    refuse(f"{SYNTH} --dialect model.h5", "model.h5: not a TOML file")


@pytest.mark.parametrize("name", ["I-BERT", "IVIT", "nowhere.toml", "folder", "''"])
def test_unknown_dialect(name: str, refuse: Refuse) -> None:
    refuse(f"{SYNTH} --dialect {name}", f"--dialect {shlex.split(name)[0]!r}", "ivit, ivit-tvm, isegmenter, rtl", "TOML")


def test_a_dialect_that_cannot_hold_its_exponentials(refuse: Refuse) -> None:
    Path("mine.toml").write_text(toml(gelu_n=30))
    refuse(f"{QUANTIZE} --dialect mine.toml", "mlp.act: ", "lower n")


# --- checkpoints and configurations ----------------------------------------------------------------------------------


def tensor(name: str, edit: Callable[[np.ndarray], np.ndarray | None]) -> Spoil:
    """Change one tensor of the checkpoint; None leaves it out."""

    def spoil() -> None:
        weights = load_file("c.safetensors")
        changed = edit(weights.pop(name))
        save_file(weights | ({} if changed is None else {name: np.ascontiguousarray(changed)}), "c.safetensors")

    return spoil


GAMMA, BETA = f"{NORM}.weight", f"{NORM}.bias"
BAD_CHECKPOINTS: dict[str, tuple[Spoil, list[str]]] = {
    "missing tensor": (tensor(FC1, lambda w: None), [f"c.safetensors: tensor {FC1} is missing", "[128, 32]"]),
    "misshapen tensor": (tensor(FC1, lambda w: w[1:]), [f"tensor {FC1} is [127, 32]", "requires [128, 32]"]),
    "turned tensor": (tensor(FC1, lambda w: w.T), [f"tensor {FC1} is [32, 128]", "requires [128, 32]"]),
    "integers": (tensor(FC1, lambda w: w.astype(np.int8)), [f"tensor {FC1} is I8", "F32", "convert"]),
    "NaN": (tensor(FC1, element(np.nan)), [f"tensor {FC1} holds values that are not finite"]),
    "infinity": (tensor(FC1, element(-np.inf)), [f"tensor {FC1} holds values that are not finite"]),
    "gamma of 0": (tensor(GAMMA, element(0)), [f"{NORM}: gamma of channel 3 is 0"]),
    "beta / gamma too large": (tensor(GAMMA, element(1e-9)), [f"{NORM}: beta / gamma of channel 3 is ", "outside i32"]),
    "beta too large": (tensor(BETA, element(1e6)), [f"{NORM}: beta / gamma of channel 3 is ", "outside i32"]),
    "bias too large": (tensor(f"{PROJ}.bias", element(1e30)), [f"{PROJ}: bias of channel 3 is ", "outside i32"]),
    "weights too far apart": (tensor(FC1, element(1e30)), ["encoder.blocks.0.mlp.fc1: channel 1: ", "too far apart"]),
    "cut at 0": (lambda: cut("c.safetensors", 0), ["c.safetensors: not a safetensors file, or a truncated one"]),
    "cut at 7": (lambda: cut("c.safetensors", 7), ["c.safetensors: not a safetensors file, or a truncated one"]),
    "cut in the header": (lambda: cut("c.safetensors", 900), ["c.safetensors: not a safetensors file"]),
    "cut in the middle": (lambda: cut("c.safetensors", 90_000), ["c.safetensors: not a safetensors file"]),
    "cut at the end": (lambda: cut("c.safetensors", -1), ["c.safetensors: not a safetensors file, or a truncated one"]),
    "text": (lambda: Path("c.safetensors").write_text("hello\n" * 99), ["c.safetensors: not a safetensors file"]),
    "HDF5": (lambda: shutil.copy("model.h5", "c.safetensors"), ["c.safetensors: not a safetensors file"]),
}


@pytest.mark.parametrize(("spoil", "words"), BAD_CHECKPOINTS.values(), ids=BAD_CHECKPOINTS)
def test_bad_checkpoint(spoil: Spoil, words: list[str], refuse: Refuse) -> None:
    spoil()
    refuse(QUANTIZE, *words)


def settings(**changes: Any) -> str:
    """The tiny configuration as JSON, with keys changed or (None) left out."""
    return json.dumps({key: value for key, value in {**TINY, **changes}.items() if value is not None})


BAD_CONFIGS = {
    "unknown key": (settings(n_layer=3), ["unknown key 'n_layer'", "the keys are", "n_layers"]),
    "missing key": (settings(patch_size=None), ["'patch_size' is missing", "the keys are"]),
    "text for a number": (settings(d_model="32"), ["d_model must be a positive whole number, not '32'"]),
    "fraction": (settings(d_model=32.0), ["d_model must be a positive whole number, not 32.0"]),
    "truth for a number": (settings(n_layers=True), ["n_layers must be", "not True"]),
    "zero": (settings(n_heads=0), ["n_heads must be a positive whole number, not 0"]),
    "negative": (settings(n_layers=-1), ["n_layers must be", "not -1"]),
    "not divisible": (settings(n_heads=3), ["d_model 32 is not a multiple of n_heads 3"]),
    "three sides": (settings(image_size=[24, 40, 3]), ["image_size is [height, width]", "[24, 40, 3]"]),
    "unknown decoder": (settings(decoder="unet"), ["decoder 'unet'", "mask_transformer", "linear"]),
    "decoder layers as text": (
        settings(decoder={"name": "mask_transformer", "n_layers": "1"}),
        ["decoder_layers must be", "not '1'"],
    ),
    "unknown normalization": (settings(normalization="none"), ["normalization 'none'", "vit, deit"]),
    "two means": (settings(normalization={"mean": [0, 0], "std": [1, 1]}), ["normalization", '"mean": [r,g,b]']),
    "deviation of zero": (settings(normalization={"mean": [0, 0, 0], "std": [1, 0, 1]}), ["normalization"]),
    "not JSON": ("d_model = 32\n", ["not valid JSON (line 1"]),
    "cut off": (settings()[:-1], ["not valid JSON (line 1"]),
    "empty": ("", ["not valid JSON (line 1"]),
    "a list": ("[1, 2]", ["a configuration is a table of keys and values"]),
}


@pytest.mark.parametrize(("text", "words"), BAD_CONFIGS.values(), ids=BAD_CONFIGS)
@pytest.mark.parametrize("line", [QUANTIZE, SYNTH], ids=["quantize", "synth"])
def test_bad_configuration(text: str, words: list[str], line: str, refuse: Refuse) -> None:
    Path("c.json").write_text(text)
    refuse(line, "c.json: ", *words)


def test_binary_configuration(refuse: Refuse) -> None:
    refuse("synth --config picture.png -o out.h5", "picture.png: not a text file", "JSON or YAML")


def test_yaml_without_pyyaml(refuse: Refuse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    shutil.copy("c.json", "c.yaml")
    refuse("synth --config c.yaml -o out.h5", "c.yaml: YAML needs PyYAML", "pip install")


UNNOTICED = {
    "misspelt key of the decoder": settings(decoder={"name": "mask_transformer", "n_layer": 1}),
    "distilled is text": settings(distilled="false"),
    "mean is not finite": settings(normalization={"mean": [float("nan")] * 3, "std": [1, 1, 1]}),
    "deviation is not finite": settings(normalization={"mean": [0, 0, 0], "std": [float("inf")] * 3}),
    "nested without end": "[" * 100_000,
    "a number without end": '{"d_model": ' + "9" * 5000 + "}",
    "more than any memory": settings(d_model=10**12),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("text", UNNOTICED.values(), ids=UNNOTICED)
def test_a_configuration_that_should_be_refused(text: str, refuse: Refuse) -> None:
    Path("c.json").write_text(text)
    refuse(SYNTH, "c.json: ")


def test_quantize_without_a_picture(refuse: Refuse) -> None:
    refuse("quantize c.safetensors --config c.json -o out.h5", "at least one picture", "--calibrate PICTURE")


@pytest.mark.parametrize(
    "name", ["seg-t16", "vit-t16-mask@32", "seg-x16-mask@32", "seg-t16-unet@32", "seg-t16-mask@a", "''"]
)
def test_bad_preset(name: str, refuse: Refuse) -> None:
    refuse(f"synth {name} -o out.h5", f"{shlex.split(name)[0]!r} is not a preset", "seg-s16-mask@512")


@pytest.mark.parametrize(("name", "words"), [("seg-t0-mask@32", "patch must be"), ("seg-t16-mask@0", "height must be")])
def test_preset_of_nothing(name: str, words: str, refuse: Refuse) -> None:
    refuse(f"synth {name} -o out.h5", words, "not 0")


# --- where the output goes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [RUN, GOLDEN, INSPECT, f"{INSPECT} --json", DIFF, QUANTIZE, SYNTH])
@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("nowhere/out", ["nowhere/out: its folder nowhere does not exist"]),
        ("folder", ["folder: is a folder", "name a file in it"]),
        ("..", ["..: is a folder"]),
        ("picture.png/out", ["picture.png/out: its folder picture.png"]),
    ],
)
def test_bad_output(line: str, target: str, words: list[str], refuse: Refuse) -> None:
    head, _, tail = line.partition("-o ")
    rest = " ".join(tail.split()[1:])
    refuse(f"{head} {rest} -o {target}", *words)


def test_bad_overlay(refuse: Refuse) -> None:
    """Neither of the two pictures is written where one cannot be."""
    refuse(f"{RUN} --overlay nowhere/o.png", "nowhere/o.png: its folder nowhere does not exist")
    refuse(f"{RUN} --overlay folder", "folder: is a folder")


@pytest.mark.parametrize("target", [".", "/", "''"])
def test_run_into_a_folder_without_a_name(target: str, refuse: Refuse) -> None:
    refuse(f"run picture.png -m model.h5 -o {target}", "is a folder")


@pytest.mark.parametrize(
    "line",
    [
        "golden picture.png -m model.h5 -o picture.png",
        "golden picture.png -m model.h5 -o model.h5",
        "run picture.png -m model.h5 -o picture.png",
        "run picture.png -m model.h5 -o same.png --overlay same.png",
        "diff golden.h5 device.h5 -o golden.h5",
        "quantize c.safetensors --config c.json --calibrate picture.png -o c.safetensors",
    ],
)
def test_an_output_that_would_destroy_an_input(line: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(folder)
    with pytest.raises(SystemExit) as left:
        main.main(args=shlex.split(line), prog_name="intsim")
    assert left.value.code == 2
    assert contents(folder) == before


@pytest.mark.parametrize("line", [INSPECT, DIFF, GOLDEN])
def test_an_output_that_is_no_ordinary_file(line: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(SystemExit) as left:
        main.main(args=shlex.split(line.partition("-o ")[0] + "-o pipe"))
    assert left.value.code == 2
    assert "pipe: is not a regular file" in capsys.readouterr().err
    assert (folder / "pipe").is_fifo()


def test_an_output_behind_a_link_is_written_there(folder: Path) -> None:
    (folder / "link.txt").symlink_to(folder / "folder" / "real.txt")
    with pytest.raises(SystemExit) as left:
        main.main(args=["inspect", "-m", "model.h5", "-o", "link.txt"])
    assert left.value.code == 0
    assert (folder / "link.txt").is_symlink()
    assert "109 nodes" in (folder / "folder" / "real.txt").read_text()


def test_labels_are_not_written_under_the_name_of_another_kind(refuse: Refuse) -> None:
    refuse("run picture.png -m model.h5 -o labels.jpg", "labels.jpg: pictures are written as PNG")


def test_a_model_too_large_for_any_memory(refuse: Refuse) -> None:
    refuse("synth seg-t2000-mask@2000 -o out.h5", "parameters", "at most")


@pytest.mark.parametrize("factor", [1e-310, 1e300], ids=["vanishing", "exploding"])
def test_weights_at_the_ends_of_float64(factor: float, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Quantized or refused in one line, without a warning of NumPy's."""
    tensor(FC1, lambda w: w.astype(np.float64) * factor)()
    with pytest.raises(SystemExit) as left:
        main.main(args=shlex.split(QUANTIZE))
    error = capfd.readouterr().err
    assert left.value.code in (0, 2), error
    assert len(error.replace("Compiling integer kernels", "").splitlines()) <= 1
    assert (folder / "out.h5").exists() == (left.value.code == 0)


def test_parameters_stored_wider_or_in_another_byte_order_are_the_same_model(graph: Graph) -> None:
    def stored(node: Node) -> Node:
        return dataclasses.replace(node, params={k: _swapped(v) for k, v in node.params.items()})

    def _swapped(value: Any) -> Any:
        return value.astype(">i8") if isinstance(value, np.ndarray) and value.ndim and value.dtype != np.int16 else value

    again = Graph([stored(n) if n.op != "constant" else n for n in graph.nodes], graph.dialect)
    assert again.content_hash == graph.content_hash


@pytest.mark.parametrize("height", [0, -5, 24.7, True, "24", 1 << 17])
def test_an_impossible_picture_size(height: Any, graph: Graph) -> None:
    nodes = [dataclasses.replace(n, params={**n.params, "height": height}) if n.op == "input" else n for n in graph.nodes]
    with pytest.raises(GraphError, match="image: height must be an integer from 1"):
        Graph(nodes, graph.dialect)


def test_the_name_of_the_graph_itself_is_reserved(graph: Graph) -> None:
    with pytest.raises(GraphError, match="'graph' is not a node name"):
        Graph([*graph.nodes, Node("graph", "argmax", ("decoder.grid",))], graph.dialect)


def test_diff_tells_values_beyond_the_format_and_markup_apart(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with h5py.File("device.h5", "r+") as file:
        about, values = dict(file[NORM].attrs), file[NORM][()].astype(np.int64)
        values[0, 0] += 1 << 32
        del file[NORM]
        file[NORM] = values
        file[NORM].attrs.update(about)
        file["[/x]"] = values
        file["[/x]"].attrs.update(about)
        file.attrs["image_sha256"] = "another"
    with pytest.raises(SystemExit) as left:
        main.main(args=["diff", "golden.h5", "device.h5"])
    out, err = capsys.readouterr()
    assert left.value.code == 1
    assert "outside i32" in out
    assert "[/x]" in out
    assert "different pictures" in err
