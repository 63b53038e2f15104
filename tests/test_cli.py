"""Every command as a user types it."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

import intsim
from intsim import dialects
from intsim.cli import _ahead
from intsim.cli.main import COMMANDS
from intsim.debugging.reports.words import BLIND
from intsim.engine.graph import Graph
from intsim.measurement.windows import label
from intsim.nets.segmenter import SegmenterConfig, segmenter
from intsim.quantization.synth import random_picture, random_weights

from networks import TINY

NORM = "encoder.blocks.0.norm1"  # an i32 accumulator
SOFTMAX = "encoder.blocks.0.attn.softmax"  # i16
PATCHES = "encoder.patches"  # i8, early

Cli = Callable[..., tuple[int, str, str]]


def done(cli: Cli, line: str) -> str:
    """The output of a command that must succeed without a word on stderr."""
    code, out, err = cli(line)
    assert code == 0, err
    assert err == ""
    return out


def fresh(*args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    starter = "from intsim.cli.main import main; main(prog_name='intsim')"
    return subprocess.run([sys.executable, "-c", starter, *args], capture_output=True, text=True, cwd=cwd, timeout=120)


def plant(path: str, name: str, index: tuple[int, ...], value: int, source: str = "golden.h5") -> None:
    """A copy of a golden file with one value changed."""
    if not Path(path).exists():
        shutil.copy(source, path)
    with h5py.File(path, "r+") as file:
        assert file[name][index] != value
        file[name][index] = value


def checkpoint(path: str, config: dict[str, Any], seed: int = 3) -> None:
    """A random float32 checkpoint, and its configuration beside it as JSON."""
    weights = random_weights(config, seed)
    save_file({name: np.ascontiguousarray(value, np.float32) for name, value in weights.items()}, path)
    Path(path).with_suffix(".json").write_text(json.dumps(config))


# --- the group -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str, cli: Cli) -> None:
    out = done(cli, f"{name} --help")
    assert out.startswith(f"Usage: intsim {name} ")
    assert f"Example: intsim {name}" in " ".join(out.split())
    assert done(cli, f"{name} -h") == out


def test_help_lists_every_command(cli: Cli) -> None:
    out = done(cli, "--help")
    for name in COMMANDS:
        assert f"\n  {name} " in out
    assert "Start with: intsim demo" in out


def test_version(cli: Cli) -> None:
    assert done(cli, "--version") == f"intsim, version {intsim.__version__}\n"


def test_compiling_is_said_when_it_happens_and_only_then(
    tmp_path: Path, model_file: Path, picture_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    command = ("run", str(picture_file), "-m", str(model_file), "-o", str(tmp_path / "labels.png"))
    first, second = fresh(*command), fresh(*command)
    assert first.returncode == second.returncode == 0
    assert first.stderr.count("Compiling integer kernels") == 1
    assert second.stderr == ""
    assert first.stdout == second.stdout
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "another"))
    subprocess.run([sys.executable, "-m", _ahead.__name__, str(model_file)], check=True, timeout=300)
    third = fresh(*command)
    assert (third.stderr, third.stdout) == ("", first.stdout), "everything was compiled ahead"
    golden = fresh("golden", str(picture_file), "-m", str(model_file), "-o", str(tmp_path / "golden.h5"), "--json")
    assert (golden.returncode, golden.stderr) == (0, ""), "whoever reads both streams expects JSON, while more is compiled"


def test_a_second_process_is_started_for_compiling_alone_and_ended(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ahead, "_processors", lambda: {0, 1})
    with _ahead.CompiledAhead(None) as ahead:
        ahead.start()
        process = ahead._process
        assert process is not None
    assert process.returncode in (0, -signal.SIGKILL)
    done(cli, "demo")
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a second process is started"))
    assert "bit-exact" in done(cli, "demo")
    ahead.start()  # as if something were compiled after the block


@pytest.mark.parametrize(
    "args", [["--help"], ["golden", "--help"], ["quantize", "--help"], ["bench", "--help"], ["--version"]]
)
def test_help_imports_nothing_heavy(args: list[str]) -> None:
    """Help appears at once: neither NumPy nor Numba nor h5py is imported for it."""
    code = (
        "import sys\nfrom intsim.cli.main import main\n"
        f"try: main({args!r}, prog_name='intsim')\n"
        "except SystemExit as left: assert left.code == 0\n"
        "heavy = {'numpy', 'numba', 'h5py', 'PIL', 'rich', 'safetensors'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("gloden", "No such command 'gloden'"),
        ("run", "Missing argument 'PICTURE'"),
        ("run picture.png --colour", "--colour"),
        ("run picture.png --threads 0", "--threads"),
        ("golden picture.png --level everything", "'boundary', 'full', 'steps', 'digest'"),
        ("diff golden.h5", "Missing argument 'DUT'"),
        ("inspect model.h5", "unexpected extra argument"),
        ("synth seg-t16-mask@32 --classes 0", "--classes"),
        ("synth seg-t16-mask@32 --config c.json", "one of PRESET, --config and --model"),
    ],
)
def test_wrong_usage(line: str, words: str, cli: Cli) -> None:
    before = set(Path().iterdir())
    code, out, err = cli(line)
    assert code == 2
    assert out == ""
    assert words in err
    assert err.startswith("intsim: ")
    assert "; see 'intsim" in err
    assert len(err.splitlines()) == 1
    assert set(Path().iterdir()) == before


def test_exit_codes_of_a_real_process(tmp_path: Path, golden_file: Path) -> None:
    """0 for equal, 1 for different, 2 for unusable, in a process of its own; messages on stderr only."""
    other = tmp_path / "device.h5"
    shutil.copy(golden_file, other)
    assert fresh("diff", str(golden_file), str(other)).returncode == 0
    with h5py.File(other, "r+") as file:
        file["labels"][0, 0] = 4 - file["labels"][0, 0]
        file["labels"][0, 1] = 4 - file["labels"][0, 1]
    different = fresh("diff", str(golden_file), str(other), "--json")
    assert (different.returncode, different.stderr) == (1, "")
    assert json.loads(different.stdout)["first"]["node"] == "labels"
    unusable = fresh("diff", str(golden_file), "nowhere.h5", cwd=tmp_path)
    assert (unusable.returncode, unusable.stdout) == (2, "")
    assert unusable.stderr == "intsim: nowhere.h5: no such file\n"


@pytest.mark.parametrize("args", [["inspect", "-m"], ["inspect", "--json", "-m"]])
def test_a_reader_that_has_gone_is_no_difference(args: list[str], model_file: Path) -> None:
    """`intsim ... | head -1`: exit code 1 would mean that a difference was found."""
    starter = "from intsim.cli.main import main; main(prog_name='intsim')"
    command = [sys.executable, "-c", starter, *args, str(model_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
        assert process.wait(60) not in (1, 70)


# --- run -------------------------------------------------------------------------------------------------------------


def test_run_writes_class_indices(cli: Cli, graph: Graph, image: np.ndarray) -> None:
    out = done(cli, "run picture.png -m model.h5 -o out.png")
    labels = intsim.run(graph, image)
    with Image.open("out.png") as written:
        assert written.mode == "P"
        assert np.array_equal(np.asarray(written), labels)
        palette = np.reshape(written.getpalette(), (-1, 3))[:5]
        assert len(np.unique(palette, axis=0)) == 5, "a colour a class"
    with Image.open("out_overlay.png") as overlay:
        assert overlay.format == "PNG"
        assert overlay.width >= 2 * 40
    assert out.startswith("picture.png: class ")
    assert "labels: out.png   overlay: out_overlay.png" in out


def test_run_tells_the_share_of_every_class(cli: Cli, graph: Graph, image: np.ndarray) -> None:
    record = json.loads(done(cli, "run picture.png -m model.h5 -o out.png --overlay people.png --json"))
    assert (record["labels"], record["overlay"]) == ("out.png", "people.png")
    assert Path("people.png").exists()
    assert not Path("out_overlay.png").exists()
    indices, counts = np.unique(intsim.run(graph, image), return_counts=True)
    assert [(c["index"], c["pixels"]) for c in record["classes"]] == list(zip(indices, counts, strict=True))
    assert [c["name"] for c in record["classes"]] == [f"class {i}" for i in indices]
    assert sum(c["share"] for c in record["classes"]) == pytest.approx(1)


def test_run_uses_the_models_own_names_and_colours(cli: Cli) -> None:
    names = ["sky", "road", "car", "tree", "house"]
    colours = [[10 * i, 200 - i, i] for i in range(5)]
    Path("c.json").write_text(json.dumps({**TINY, "class_names": names, "palette": colours}))
    done(cli, "synth --config c.json -o named.h5")
    record = json.loads(done(cli, "run picture.png -m named.h5 -o out.png --json"))
    assert record["classes"]
    assert all(c["name"] == names[c["index"]] for c in record["classes"])
    with Image.open("out.png") as written:
        used = np.unique(written)
        assert np.reshape(written.getpalette(), (-1, 3))[used].tolist() == [colours[i] for i in used]


def test_run_with_more_classes_than_a_palette_holds(cli: Cli) -> None:
    Path("c.json").write_text(json.dumps({**TINY, "n_cls": 300, "n_layers": 1, "decoder": "linear"}))
    done(cli, "synth --config c.json -o wide.h5")
    record = json.loads(done(cli, "run picture.png -m wide.h5 -o out.png --json"))
    with Image.open("out.png") as written:
        assert written.mode.startswith("I")
        assert np.unique(written).tolist() == [c["index"] for c in record["classes"]]


def test_run_labels_a_picture_of_any_size_at_its_own_size(cli: Cli) -> None:
    """--resize scales the picture (bilinear) and the labels back (nearest); without it, by windows as `eval` does."""
    with Image.open("picture.png") as picture:
        big = picture.resize((100, 90), Image.Resampling.BICUBIC)
    big.save("big.png")
    big.resize((40, 24), Image.Resampling.BILINEAR).save("scaled.png")
    done(cli, "run big.png -m model.h5 --resize -o a.png")
    done(cli, "run scaled.png -m model.h5 -o b.png")
    a, b = (np.asarray(Image.open(name)) for name in ("a.png", "b.png"))
    assert np.array_equal(a, b[np.arange(90)[:, None] * 24 // 90, np.arange(100) * 40 // 100])
    done(cli, "run big.png -m model.h5 -o c.png")
    graph = intsim.load("model.h5")
    assert np.array_equal(np.asarray(Image.open("c.png")), label(graph, np.asarray(Image.open("big.png").convert("RGB"))))
    Image.new("RGB", (7, 3)).save("small.png")
    done(cli, "run small.png -m model.h5 -o d.png")
    assert Image.open("d.png").size == (7, 3)
    assert Image.open("d_overlay.png").size[0] >= 7


def test_run_never_depends_on_threads(cli: Cli) -> None:
    for threads in (1, 2, 1000):
        done(cli, f"run picture.png -m model.h5 --threads {threads} -o {threads}.png")
    assert Path("1.png").read_bytes() == Path("2.png").read_bytes() == Path("1000.png").read_bytes()


# --- golden ----------------------------------------------------------------------------------------------------------


def formats(path: str) -> dict[str, str]:
    """The format of every tensor of a golden file, in the order of the file."""
    with h5py.File(path) as file:
        return {name: str(file[name].attrs["format"]) for name in file if name != "graph"}


def test_golden_levels(cli: Cli, graph: Graph) -> None:
    """boundary: no accumulator; full: every node; steps: the inside of operators too; digest: no values."""
    nodes = [node.name for node in graph.nodes]
    for level in ("boundary", "full", "steps", "digest"):
        done(cli, f"golden picture.png -m model.h5 --level {level} -o {level}.h5")
    boundary, full, steps, digest = (formats(f"{level}.h5") for level in ("boundary", "full", "steps", "digest"))
    narrow = ("u8", "i8", "i16")
    assert list(full) == nodes
    assert list(boundary) == [name for name in nodes if full[name] in narrow]
    assert len(boundary) < len(full)
    assert digest == full
    assert [name for name in steps if ":" not in name] == nodes
    assert {f"{SOFTMAX}:{step}" for step in ("max", "exp", "sum", "factor")} <= set(steps)
    with h5py.File("digest.h5") as file:
        assert all(file[name].shape is None for name in nodes)


def test_golden_layers_may_be_repeated(cli: Cli, graph: Graph) -> None:
    line = "golden picture.png -m model.h5 --level full --layers 'encoder.blocks.1.*' --layers labels -o part.h5"
    out = done(cli, line)
    names = [node.name for node in graph.nodes]
    expected = [name for name in names if name.startswith("encoder.blocks.1.") or name == "labels"]
    assert list(formats("part.h5")) == expected
    left_out = [name for name in names if name not in expected]
    assert f"{len(expected)} tensors at level full, {len(left_out)} nodes left out" in out
    with h5py.File("part.h5") as file:
        assert json.loads(file.attrs["left_out"]) == left_out
        assert json.loads(file.attrs["layers"]) == ["encoder.blocks.1.*", "labels"]
        assert [node["name"] for node in json.loads(bytes(file["graph"][()]))] == names, "the whole graph is there"
    assert done(cli, "diff golden.h5 part.h5").startswith("identical")


def test_golden_files_need_nothing_but_h5py(golden_file: Path, graph: Graph) -> None:
    """Ten lines of a stranger's script read everything: the order, values, formats, scales and hashes."""
    script = """
        import hashlib, json, sys, h5py
        with h5py.File(sys.argv[1]) as file:
            assert file.attrs["format"] == "intsim-golden" and file.attrs["version"] == 1
            names = [node["name"] for node in json.loads(file["graph"][()].tobytes())]
            for name in names:
                values, about = file[name][()], file[name].attrs
                assert list(about["shape"]) == list(values.shape) and about["min"] == values.min()
                assert hashlib.sha256(values.tobytes()).hexdigest() == about["sha256"]
                print(name, about["format"], values.dtype, about.get("scale"), about["max"])
        assert "intsim" not in sys.modules
    """
    lines = [line.removeprefix(" " * 8) for line in script.strip("\n ").splitlines()]
    assert len(lines) - 1 <= 10
    ran = subprocess.run(
        [sys.executable, "-c", "\n".join(lines), str(golden_file)], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) >= len(graph.nodes)


def test_golden_datasets_say_what_they_are(golden_file: Path, graph: Graph) -> None:
    """In execution order, each with shape, format, scale, sha256, min and max; the picture itself is the first."""
    with h5py.File(golden_file) as file:
        names = [name for name in file if name != "graph"]
        assert names == [node.name for node in graph.nodes]
        assert names[0] == "image"
        for name in names:
            about = file[name].attrs
            assert {"shape", "format", "sha256", "min", "max"} <= set(about), name
            assert tuple(about["shape"]) == graph.tensors[name].shape == file[name].shape
            assert about["format"] == str(graph.tensors[name].fmt)
            assert graph.tensors[name].lo <= about["min"] <= about["max"] <= graph.tensors[name].hi, "the proven bounds"
            scale = graph.scales[name]
            assert ("scale" in about) == (scale is not None), name
            assert scale is None or np.array_equal(about["scale"], scale), name
        assert file.attrs["model_sha256"] == graph.content_hash
        assert file.attrs["hdf5"] == h5py.version.hdf5_version
        for key in ("config", "dialect", "provenance"):
            assert json.loads(file.attrs[key])


def test_golden_content_hash(cli: Cli) -> None:
    """Full and digest hold the same content; --json and the sentence tell the same hash as the file."""
    record = json.loads(done(cli, "golden picture.png -m model.h5 --level full -o full.h5 --json"))
    with h5py.File("full.h5") as file:
        assert file.attrs["content_sha256"] == record["content_sha256"]
    assert record["path"] == "full.h5"
    assert record["level"] == "full"
    assert record["left_out"] == 0
    assert record["tensors"] == len(formats("full.h5"))
    assert record["bytes"] == Path("full.h5").stat().st_size
    out = done(cli, "golden picture.png -m model.h5 --level digest -o digest.h5")
    assert out.splitlines()[1] == f"content hash {record['content_sha256']}"
    assert Path("digest.h5").stat().st_size < Path("full.h5").stat().st_size


@pytest.mark.parametrize("level", ["full", "steps", "digest"])
def test_golden_is_the_same_bytes_every_time(level: str, cli: Cli) -> None:
    done(cli, f"golden picture.png -m model.h5 --level {level} --threads 1 -o a.h5")
    time.sleep(1.1)
    done(cli, f"golden picture.png -m model.h5 --level {level} --threads 2 -o b.h5")
    assert Path("a.h5").read_bytes() == Path("b.h5").read_bytes()


def test_golden_is_the_same_bytes_in_another_process(cli: Cli, tmp_path: Path) -> None:
    done(cli, "golden picture.png -m model.h5 -o a.h5")
    made = fresh("golden", "picture.png", "-m", "model.h5", "-o", "b.h5", "--threads", "2", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert Path("a.h5").read_bytes() == Path("b.h5").read_bytes()


# --- diff ------------------------------------------------------------------------------------------------------------


def test_diff_of_equal_files(cli: Cli, graph: Graph) -> None:
    shutil.copy("golden.h5", "device.h5")
    elements = sum(int(np.prod(t.shape)) for t in graph.tensors.values())
    assert (
        done(cli, "diff golden.h5 device.h5")
        == f"identical: {len(graph.nodes)} tensors, {elements:,} elements compared\n{BLIND.format('this picture')}\n"
    )
    assert done(cli, "diff golden.h5 device.h5 -m model.h5").startswith("identical")
    record = json.loads(done(cli, "diff golden.h5 device.h5 --json"))
    assert record["identical"] is True
    assert record["first"] is None
    assert [node["name"] for node in record["nodes"]] == [node.name for node in graph.nodes]
    assert all(node["differing"] == 0 for node in record["nodes"])
    assert [node["total"] for node in record["nodes"]] == [int(np.prod(t.shape)) for t in graph.tensors.values()]
    assert record["only_golden"] == record["only_dut"] == record["warnings"] == []


@pytest.mark.parametrize(
    ("name", "index", "value", "hexadecimal"),
    [
        (PATCHES, (3, 5), -128, "0x80"),
        (SOFTMAX, (1, 2, 3), -2, "0xfffe"),
        (NORM, (4, 31), -1, "0xffffffff"),
        (NORM, (15, 0), 2**31 - 1, "0x7fffffff"),
        ("image", (23, 39, 2), 255, "0xff"),
    ],
)
def test_diff_finds_a_planted_fault(
    name: str, index: tuple[int, ...], value: int, hexadecimal: str, cli: Cli, graph: Graph
) -> None:
    plant("device.h5", name, index, value)
    with h5py.File("golden.h5") as file:
        right = int(file[name][index])
    bits = int(str(graph.tensors[name].fmt)[1:])
    right_hex = f"0x{right % 2**bits:0{bits // 4}x}"
    total = int(np.prod(graph.tensors[name].shape))

    code, out, err = cli("diff golden.h5 device.h5")
    assert (code, err) == (1, "")
    assert out.splitlines()[0] == f"different: first at {name}"
    assert f"index {list(index)}: golden {right} ({right_hex}), dut {value} ({hexadecimal})" in out
    row = next(line.split() for line in out.splitlines() if line.split()[:2] == [name, "differs"])
    assert row[2:] == ["1", f"{total:,}", f"{1 / total:.2%}", f"{value - right:+.2f}"]
    assert out.splitlines()[-1].startswith(f"1 of {len(graph.nodes)} tensors")

    code, out, _ = cli("diff golden.h5 device.h5 --json")
    record = json.loads(out)
    assert code == 1
    assert record["identical"] is False
    expected = {"node": name, "index": list(index), "golden": right, "dut": value}
    assert record["first"] == expected | {"golden_hex": right_hex, "dut_hex": hexadecimal}
    found = [(n["name"], n["accumulated"], n["differing"], n["total"]) for n in record["nodes"] if n["differing"]]
    assert found == [(name, "differ", 1, total)]
    assert record["culprits"] is None, "nothing was isolated"

    code, out, _ = cli("diff device.h5 golden.h5 --force --json")
    assert (json.loads(out)["first"]["golden"], json.loads(out)["first"]["dut"]) == (value, right)


def test_diff_first_is_first_in_execution_order(cli: Cli) -> None:
    """Not the first in the alphabet, not the first planted; and of one tensor the first in C order."""
    plant("device.h5", "decoder.grid", (0, 0, 0), 999)
    plant("device.h5", SOFTMAX, (0, 9, 9), -5)
    plant("device.h5", SOFTMAX, (1, 0, 0), -5)
    plant("device.h5", SOFTMAX, (0, 10, 2), -5)
    code, out, _ = cli("diff golden.h5 device.h5 --json")
    record = json.loads(out)
    assert code == 1
    assert (record["first"]["node"], record["first"]["index"]) == (SOFTMAX, [0, 9, 9])
    differing = [(n["name"], n["differing"]) for n in record["nodes"] if n["differing"]]
    assert differing == [(SOFTMAX, 3), ("decoder.grid", 1)]
    assert "2 of 109 tensors" in cli("diff golden.h5 device.h5")[1]


def test_diff_of_steps(cli: Cli) -> None:
    """A fault inside an operator is named by node and step."""
    done(cli, "golden picture.png -m model.h5 --level steps -o steps.h5")
    plant("device.h5", f"{SOFTMAX}:sum", (1, 2, 0), 77, source="steps.h5")
    code, out, _ = cli("diff steps.h5 device.h5 --json")
    first = json.loads(out)["first"]
    assert code == 1
    assert (first["node"], first["index"], first["dut"]) == (f"{SOFTMAX}:sum", [1, 2, 0], 77)
    assert first["dut_hex"] == "0x000000000000004d"


def test_diff_writes_a_report(cli: Cli) -> None:
    plant("device.h5", PATCHES, (0, 0), -128)
    screen = cli("diff golden.h5 device.h5")[1]
    code, out, err = cli("diff golden.h5 device.h5 -o report.txt")
    assert (code, out, err) == (1, "", "")
    written = Path("report.txt").read_text()
    assert [line.rstrip() for line in written.splitlines()] == [line.rstrip() for line in screen.splitlines()]
    assert "\x1b" not in written
    assert cli("diff golden.h5 device.h5 --json -o report.json")[:2] == (1, "")
    assert json.loads(Path("report.json").read_text())["first"]["node"] == PATCHES


def test_diff_against_hashes(cli: Cli) -> None:
    """Level digest decides equal or not; which element it cannot say, and says so."""
    done(cli, "golden picture.png -m model.h5 --level digest -o digest.h5")
    for pair in ("digest.h5 golden.h5", "golden.h5 digest.h5", "digest.h5 digest.h5"):
        assert done(cli, f"diff {pair}").startswith("identical: 109 tensors")
    plant("device.h5", SOFTMAX, (0, 0, 0), -5)
    for pair in ("digest.h5 device.h5", "device.h5 digest.h5"):
        code, out, _ = cli(f"diff {pair}")
        assert code == 1
        assert f"first at {SOFTMAX}" in out
        assert "hashes differ" in out
        record = json.loads(cli(f"diff {pair} --json")[1])
        assert record["first"] == {"node": SOFTMAX, "index": None, "golden": None, "dut": None}
        faulty = next(node for node in record["nodes"] if node["name"] == SOFTMAX)
        assert (faulty["differing"], faulty["total"]) == (None, 2 * 16 * 16)


def test_diff_against_hashes_compares_values_not_their_storage(cli: Cli) -> None:
    """A device may store i32 values in 64 bits: equal to the full golden file, so equal to its digest too."""
    done(cli, "golden picture.png -m model.h5 --level digest -o digest.h5")
    shutil.copy("golden.h5", "device.h5")
    with h5py.File("device.h5", "r+") as file:
        values, about = file[NORM][()].astype(np.int64), dict(file[NORM].attrs)
        del file[NORM]
        file[NORM] = values
        file[NORM].attrs.update(about)
    assert cli("diff golden.h5 device.h5")[0] == 0
    assert cli("diff digest.h5 device.h5")[0] == 0


def test_diff_says_what_was_not_compared(cli: Cli) -> None:
    done(cli, "golden picture.png -m model.h5 --level full --layers 'encoder.*' -o encoder.h5")
    done(cli, "golden picture.png -m model.h5 --level full --layers '*norm*' --layers labels -o norms.h5")
    record = json.loads(done(cli, "diff encoder.h5 norms.h5 --json"))
    encoder, norms = formats("encoder.h5"), formats("norms.h5")
    compared = [node["name"] for node in record["nodes"] if node["accumulated"] == "match"]
    assert compared == [name for name in encoder if name in norms]
    assert record["only_golden"] == [name for name in encoder if name not in norms]
    assert record["only_dut"] == [name for name in norms if name not in encoder]
    out = done(cli, "diff encoder.h5 norms.h5")
    assert f"{len(record['only_golden'])} only in the golden file" in out
    assert f"{len(record['only_dut'])} only in the dump" in out


def test_diff_of_another_shape_or_type(cli: Cli) -> None:
    """What stands in a tensor's place without being comparable differs everywhere."""
    for name, wrong in (("shape", lambda v: v[:, :-1]), ("type", lambda v: v / 3)):
        shutil.copy("golden.h5", "device.h5")
        with h5py.File("device.h5", "r+") as file:
            value, about = wrong(file[PATCHES][()]), dict(file[PATCHES].attrs)
            del file[PATCHES]
            file[PATCHES] = value
            file[PATCHES].attrs.update(about | {"shape": value.shape})
        code, out, _ = cli("diff golden.h5 device.h5")
        assert code == 1, name
        assert "identical where it can be compared: 1 tensor of the dump could not be used" in out
        assert f"({PATCHES}: " in out
        assert "[15, 191]" in out if name == "shape" else "is not a whole number" in out


def test_diff_refuses_an_altered_golden_file(cli: Cli) -> None:
    plant("altered.h5", PATCHES, (0, 0), -128)
    assert cli("diff altered.h5 golden.h5")[0] == 2
    code, _, err = cli("diff altered.h5 golden.h5 --force")
    assert code == 1
    assert err.startswith(f"intsim: warning: {PATCHES}: the golden values do not match their recorded hash")
    assert cli("diff golden.h5 altered.h5")[2] == "", "the device's file may be altered by hand"


# --- inspect ---------------------------------------------------------------------------------------------------------


def test_inspect_json(cli: Cli, graph: Graph) -> None:
    record = json.loads(done(cli, "inspect -m model.h5 --json"))
    assert record["config"] == TINY
    assert record["dialect"]["name"] == "isegmenter"
    assert record["dialect"]["requant_rounding"] == "half_even"
    assert record["content_sha256"] == graph.content_hash
    assert record["provenance"]["intsim"] == intsim.NUMERICS
    assert len(record["nodes"]) == len(graph.nodes)
    for shown, node in zip(record["nodes"], graph.nodes, strict=True):
        tensor, scale = graph.tensors[node.name], graph.scales[node.name]
        assert (shown["name"], shown["op"], tuple(shown["inputs"])) == (node.name, node.op, node.inputs)
        assert (tuple(shown["shape"]), shown["format"]) == (tensor.shape, str(tensor.fmt))
        assert shown["bounds"] == [tensor.lo, tensor.hi]
        assert (shown["scale"] is None) == (scale is None)
        assert scale is None or np.array_equal(shown["scale"], scale)
        assert {k: v for k, v in shown["params"].items() if isinstance(v, int)} == node.integers()
    linear = next(shown for shown in record["nodes"] if shown["op"] == "linear")
    assert linear["params"]["weight"] == "int8 [32, 192]"


def test_inspect_table(cli: Cli, graph: Graph) -> None:
    lines = done(cli, "inspect -m model.h5").splitlines()
    assert [line.split()[:2] for line in lines[1:-1]] == [[node.name, node.op] for node in graph.nodes]
    assert "…" not in "".join(lines)
    assert "24 x 40 x 3" in lines[1]
    assert lines[-1].startswith(f"tiny: {len(graph.nodes)} nodes")
    assert graph.content_hash[:16] in lines[-1]
    floats = sum(value.size for value in random_weights(TINY, 3).values()) * 4
    size = Path("model.h5").stat().st_size
    assert f"file {size:,} ({floats / size:.2f} times smaller than float32)" in lines[-1]
    record = json.loads(done(cli, "inspect -m model.h5 --json"))
    assert record["file"] == {"bytes": size, "float32_bytes": floats, "ratio": floats / size}
    assert done(cli, "inspect -m model.h5 -o table.txt") == ""
    assert [line.split() for line in Path("table.txt").read_text().splitlines()] == [line.split() for line in lines]


# --- quantize --------------------------------------------------------------------------------------------------------


def quantized(cli: Cli, options: str, config: dict[str, Any] = TINY) -> Graph:
    """A random checkpoint through ``quantize``, then through ``run``."""
    checkpoint("c.safetensors", config)
    out = done(cli, f"quantize c.safetensors --config c.json {options} -o q.h5")
    graph = intsim.load("q.h5")
    assert out.startswith(f"q.h5: {len(graph.nodes)} nodes, dialect {graph.dialect.name}, calibrated on ")
    assert out.splitlines()[1] == f"content hash {graph.content_hash}"
    done(cli, "run picture.png -m q.h5 -o q.png --resize")
    return graph


@pytest.mark.parametrize("name", list(dialects.DIALECTS))
def test_quantize_in_every_dialect(name: str, cli: Cli) -> None:
    graph = quantized(cli, f"--calibrate picture.png --dialect {name}")
    assert graph.dialect == dialects.DIALECTS[name]
    assert graph.config == TINY
    gelu = {node.op for node in graph.nodes if node.op.endswith("gelu")}
    assert gelu == {str(graph.dialect.gelu)}


def test_quantize_records_where_the_model_comes_from(cli: Cli, image: np.ndarray) -> None:
    graph = quantized(cli, "--calibrate picture.png")
    assert graph.provenance["checkpoint_sha256"] == hashlib.sha256(Path("c.safetensors").read_bytes()).hexdigest()
    assert graph.provenance["calibration_sha256"] == [hashlib.sha256(image.tobytes()).hexdigest()]


def test_quantize_on_several_pictures_in_both_spellings(cli: Cli) -> None:
    Image.fromarray(random_picture(TINY, 6) // 2).save("second.png")
    one = quantized(cli, "--calibrate picture.png")
    repeated = quantized(cli, "--calibrate picture.png --calibrate second.png")
    listed = quantized(cli, "--calibrate picture.png second.png")
    assert len(repeated.provenance["calibration_sha256"]) == 2
    assert repeated.content_hash == listed.content_hash
    assert sorted(repeated.provenance["calibration_sha256"]) == sorted(listed.provenance["calibration_sha256"])
    assert one.provenance["calibration_sha256"] != repeated.provenance["calibration_sha256"]
    checkpoint("c.safetensors", TINY)
    done(cli, "quantize --config c.json --calibrate picture.png second.png c.safetensors -o last.h5")
    assert intsim.load("last.h5").content_hash == repeated.content_hash


def test_quantize_tells_how_often_labels_agree(cli: Cli) -> None:
    """On the calibration pictures: a dialect that does not suit the network is seen at once."""
    checkpoint("c.safetensors", TINY)
    Path("c.json").write_text(json.dumps(TINY))
    out = done(cli, "quantize c.safetensors --calibrate picture.png -o q.h5")
    picture = np.asarray(Image.open("picture.png"))
    weights = {name: value.astype(np.float32) for name, value in random_weights(TINY, 3).items()}
    real = segmenter(SegmenterConfig.of(TINY), weights)
    alike = (real.run(picture) == intsim.run(intsim.load("q.h5"), picture)).mean()
    assert out.splitlines()[2] == f"labels as in the float network on {alike:.1%} of the calibration pixels"


def test_quantize_takes_the_configuration_of_a_model(cli: Cli) -> None:
    graph = quantized(cli, "--calibrate picture.png")
    done(cli, "quantize c.safetensors -m model.h5 --calibrate picture.png -o same.h5")
    assert intsim.load("same.h5").content_hash == graph.content_hash


def test_quantize_the_linear_decoder(cli: Cli) -> None:
    graph = quantized(cli, "--calibrate picture.png", {**TINY, "decoder": {"name": "linear"}})
    assert graph.by_name["decoder.head"].op == "linear"
    assert not any(node.name.startswith("decoder.blocks") for node in graph.nodes)


def test_quantize_a_distilled_encoder(cli: Cli) -> None:
    graph = quantized(cli, "--calibrate picture.png", {**TINY, "distilled": True, "normalization": "deit"})
    assert graph.tensors["encoder.tokens"].shape == (2 + 15, 32)
    assert graph.tensors["encoder.patch_tokens"].shape == (15, 32)


def test_quantize_with_a_dialect_of_ones_own(cli: Cli) -> None:
    choices = dialects.ISEGMENTER.choices() | {"requant_rounding": "half_away", "softmax_bits": 8}
    Path("mine.toml").write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in choices.items()))
    graph = quantized(cli, "--calibrate picture.png --dialect mine.toml")
    assert graph.dialect.name == "mine"
    assert graph.dialect.choices() == choices
    assert graph.tensors[SOFTMAX].fmt.name == "i8"


def test_quantize_scales_pictures_on_request(cli: Cli) -> None:
    Image.fromarray(np.full((50, 60, 3), 90, np.uint8)).save("large.png")
    quantized(cli, "--calibrate large.png --resize")
    assert cli("quantize c.safetensors --config c.json --calibrate large.png -o no.h5")[0] == 2
    assert not Path("no.h5").exists()


def test_quantize_is_the_same_bytes_every_time(cli: Cli) -> None:
    quantized(cli, "--calibrate picture.png")
    done(cli, "quantize c.safetensors --config c.json --calibrate picture.png -o again.h5")
    assert Path("q.h5").read_bytes() == Path("again.h5").read_bytes()


def test_quantize_reads_a_published_configuration(cli: Cli) -> None:
    """Published configurations keep the network's keys under net_kwargs, among keys that training needs."""
    checkpoint("c.safetensors", TINY)
    kwargs = {**TINY, "backbone": "vit_tiny_patch16_384", "dropout": 0.0, "drop_path_rate": 0.1}
    Path("published.json").write_text(json.dumps({"algorithm_kwargs": {"batch_size": 8}, "net_kwargs": kwargs}))
    done(cli, "quantize c.safetensors --config published.json --calibrate picture.png -o q.h5")


# --- synth -----------------------------------------------------------------------------------------------------------


def test_synth_from_a_preset(cli: Cli) -> None:
    out = done(cli, "synth seg-t16-linear@48x32 --classes 7 -o s.h5")
    graph = intsim.load("s.h5")
    assert graph.tensors["image"].shape == (32, 48, 3)
    assert graph.tensors["decoder.head"].shape == (6, 7)
    assert sum(node.op == "layernorm" for node in graph.nodes) == 12 * 2 + 1
    assert out.startswith(f"s.h5: {len(graph.nodes)} nodes, dialect isegmenter, random weights of seed 0")
    assert graph.content_hash in out


def test_synth_seeds(cli: Cli) -> None:
    """The same seed makes the same model, another seed another."""
    Path("c.json").write_text(json.dumps(TINY))
    made = {}
    for name, options in {"a": "--seed 1", "b": "--seed 1", "c": "--seed 2", "d": "--seed 1 --dialect rtl", "e": ""}.items():
        done(cli, f"synth --config c.json {options} -o {name}.h5")
        made[name] = intsim.load(f"{name}.h5").content_hash
    assert made["a"] == made["b"]
    assert Path("a.h5").read_bytes() == Path("b.h5").read_bytes()
    assert len(set(made.values())) == 4


def test_synth_takes_the_dimensions_of_a_model(cli: Cli, graph: Graph) -> None:
    done(cli, "synth -m model.h5 --seed 9 -o s.h5")
    made = intsim.load("s.h5")
    assert {n: t.shape for n, t in made.tensors.items()} == {n: t.shape for n, t in graph.tensors.items()}
    assert made.content_hash != graph.content_hash
