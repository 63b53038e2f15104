"""Reproductions: the bench of a planted fault is small, fails with the device's values and passes with the reference."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest

import intsim
from intsim import dialects, ops, resources
from intsim.compilers.cases import operator_cases
from intsim.compilers.matrix import CRASHED, DIFFERS, EXACT, Verdict
from intsim.debugging.inject import inject
from intsim.engine.graph import Graph
from intsim.errors import IntsimError
from intsim.ops import REGISTRY
from intsim.quantization.synth import random_picture
from intsim.reproduction import of_call, of_counterexample, reproduce, write
from intsim.reproduction.case import RECORDED, RULE, SHORT, Reproduction
from intsim.reproduction.others import of_verdicts, write_all
from intsim.rules import catalogue, named
from intsim.storage.golden_file import open_golden
from intsim.testbench import BeatLayout
from intsim.testing.calls import Call
from intsim.vectors import generate

from networks import TINY, tiny_graph, window_graph

Cli = Callable[..., tuple[int, str, str]]
ATTENTION = "encoder.blocks.0.attn"
UNFAIR = "No rule is known that gives these values on this call alone"

# A network, a node, a rule, whose values are expected, and the longest axis where the operator or the fault needs it.
FAULTS = [
    ("tiny", "encoder.patch_embed.proj.requant", "requant_rounding=floor", RECORDED, SHORT),
    ("tiny", "encoder.patch_embed.proj.requant", "e+1", RECORDED, SHORT),
    ("tiny", "encoder.patch_embed.proj.requant", "product_bits=48", RECORDED, SHORT),
    ("tiny", "encoder.embedded", "residual=rounded_once", RECORDED, SHORT),
    ("tiny", "encoder.embedded", "stuck-at-0:1", RECORDED, SHORT),
    ("tiny", "encoder.blocks.0.norm1", "centred_bits=16", RULE, SHORT),
    ("tiny", "encoder.blocks.0.norm1", "row_variance=of_the_previous_row", RULE, SHORT),
    ("tiny", f"{ATTENTION}.softmax", "half_bit=dropped", RECORDED, SHORT),
    ("tiny", f"{ATTENTION}.softmax", "sum=of_the_previous_row", RECORDED, SHORT),
    ("tiny", "encoder.blocks.0.mlp.act", "gelu=shiftgelu", RULE, SHORT),
    ("tiny", "encoder.blocks.0.mlp.act", "x0+1", RULE, SHORT),
    ("tiny", "encoder.patch_embed.proj", "bias=of_the_previous_channel", RULE, SHORT),
    ("tiny", "encoder.patch_embed.proj", "weight=", RULE, SHORT),
    ("tiny", f"{ATTENTION}.logits", "bitflip:3@1,4,5", RECORDED, SHORT),
    ("tiny", f"{ATTENTION}.logits", "swap-heads", RECORDED, SHORT),
    ("tiny", f"{ATTENTION}.heads", "heads=interleaved", RULE, SHORT),
    ("tiny", f"{ATTENTION}.q", "swap-heads", RECORDED, SHORT),
    ("tiny", "encoder.tokens", "order=reversed", RECORDED, SHORT),
    ("tiny", "labels", "nibble-swap", RECORDED, SHORT),
    ("tiny", "encoder.patches", "transpose", RULE, 64),  # the pixels of a patch
    ("windows", "lut", "table=of_the_previous_entry", RECORDED, 256),  # the table
    ("windows", "unrolled", "shift=reversed", RECORDED, SHORT),
    ("windows", "softmax", "mask=left_out", RECORDED, SHORT),
    ("windows", "merged", "order=rows_first", RECORDED, SHORT),
    ("windows", "back", "windows=columns_first", RECORDED, SHORT),
    ("windows", "biased", "repeat=once", RECORDED, SHORT),
    ("windows", "pooled", "mean_rounding=floor", RULE, SHORT),
    ("shipped", "encoder.blocks.0.mlp.fc1", "accumulator_bits=16", RULE, SHORT),
    ("shipped", "decoder.blocks.0.attn.context", "accumulator_saturates_each=20:1", RULE, 64),  # a sum of so many products
    ("shipped", "encoder.blocks.2.attn.softmax", "transpose", RULE, SHORT),
    ("shipped", "encoder.blocks.2.attn.softmax", "half_bit=dropped", RULE, SHORT),
]


LAYOUTS = (
    "plain",
    "beats64",
    BeatLayout("wide", bits=40, lanes=3, first="high", pad=1),
    BeatLayout("wider", bits=40),
    "tiles16x16",
)


@dataclass(frozen=True)
class Planted:
    """A fault, its reproduction, the folder it was written to, and the device's own tensor."""

    graph: Graph
    made: Reproduction
    folder: Path
    device: np.ndarray


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Graph, Path]]:
    """Networks with their golden files, every tensor in them."""
    folder = tmp_path_factory.mktemp("networks")
    tiny, shipped = tiny_graph(), intsim.load(resources.model())
    windows, plane = window_graph()
    pictures = {
        "tiny": (tiny, random_picture(TINY, 5)),
        "windows": (windows, plane),
        "shipped": (shipped, intsim.read_picture(resources.picture(), 128, 128)),
    }
    found = {}
    for name, (graph, picture) in pictures.items():
        intsim.golden(graph, picture, folder / f"{name}.h5", "full")
        found[name] = (graph, folder / f"{name}.h5")
    return found


@pytest.fixture(scope="module")
def planted(
    networks: dict[str, tuple[Graph, Path]], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str, str], Planted]:
    """Every fault reproduced and written."""
    root = tmp_path_factory.mktemp("planted")
    found = {}
    for i, (network, name, text, *_) in enumerate(FAULTS):
        graph, golden = networks[network]
        node = graph.by_name[name]
        rule = next(r.name for r in catalogue(graph, node) if r.name.startswith(text)) if text.endswith("=") else text
        dut = root / f"{i}.h5"
        with open_golden(golden) as reference:
            assert inject(graph, reference, {name: [named(graph, node, rule)]}, dut)[name], (name, text)
        made = reproduce(golden, dut, name, graph)
        layout = LAYOUTS[i % len(LAYOUTS)]
        with h5py.File(dut) as file:
            device = file[name][()]
        dut.unlink()
        write(made, root / str(i), layout)
        found[(network, name, text)] = Planted(graph, made, root / str(i), device)
    return found


def ids(fault: tuple[str, str, str, str, int]) -> str:
    """The name of a fault's test."""
    return f"{fault[1]}-{fault[2]}"


@pytest.mark.parametrize("fault", FAULTS, ids=ids)
def test_a_planted_fault_is_small_and_shows(fault: tuple[str, str, str, str, int], planted: dict[tuple, Planted]) -> None:
    network, name, text, source, most = fault
    seen = planted[(network, name, text)]
    made = seen.made
    node = seen.graph.by_name[name]
    dialect = {"dialect": seen.graph.dialect} if REGISTRY[node.op].choices else {}
    expected = REGISTRY[node.op].ref(*made.call.inputs, **made.call.params, **dialect)
    assert made.source == source
    assert made.node == name
    assert made.why
    np.testing.assert_array_equal(made.expected, expected)
    assert made.found.shape == expected.shape
    assert made.wrong == np.count_nonzero(made.found != expected) > 0
    at = made.first.index
    assert (made.first.expected, made.first.found) == (int(expected[at]), int(made.found[at])) != (made.first.found,) * 2
    changed = made.first.expected ^ made.first.found
    assert changed >> made.first.bit & 1
    assert not changed & ((1 << made.first.bit) - 1)
    lengths = [n for x in (*made.call.inputs, *made.call.params.values(), made.found) for n in np.shape(x)]
    assert max(lengths, default=1) <= most
    scalars = {key: value for key, value in node.params.items() if not np.ndim(value)}
    kept = {
        key: value for key, value in made.call.params.items() if not np.ndim(value) and key not in ("heads", "start", "stop")
    }
    assert kept.items() <= scalars.items()


def test_recorded_values_are_those_of_the_device(planted: dict[tuple, Planted]) -> None:
    """The first wrong element is found again in the device's tensor, at the place that is told."""
    told = 0
    for seen in planted.values():
        if seen.made.place:
            index, shape = seen.made.place.removeprefix("element ").split(" of ")
            assert json.loads(shape) == list(seen.device.shape)
            assert seen.device[tuple(json.loads(index))] == seen.made.first.found
            told += 1
    assert told > 15


def test_a_fault_of_one_place_is_said_to_be_one(planted: dict[tuple, Planted]) -> None:
    for (_, _, text), seen in planted.items():
        assert any(UNFAIR in note for note in seen.made.notes) == ("@" in text)


def test_what_a_fault_needs_is_said(planted: dict[tuple, Planted]) -> None:
    made = planted[("shipped", "decoder.blocks.0.attn.context", "accumulator_saturates_each=20:1")].made
    inner = made.call.inputs[0].shape[-1]
    assert inner > SHORT
    assert f"It has an axis of {inner}: no shorter one was found on which the fault shows." in made.notes


@pytest.mark.parametrize("part", ["sv", "c"])
def test_benches_run(part: str, planted: dict[tuple, Planted]) -> None:
    """The reference passes, the recorded device fails and names every wrong element."""
    program = {"sv": "iverilog", "c": "gcc"}[part]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    environment = os.environ | {"CC": "gcc", "CFLAGS": "-O0 -Wall -Wextra -Wconversion -Werror"}
    for key, seen in planted.items():
        for which, code in (("reference", 0), ("device", 1)):
            done = subprocess.run(
                ["sh", str(seen.folder / part / "run.sh"), which],
                capture_output=True,
                text=True,
                env=environment,
                check=False,
            )
            assert done.returncode == code, (key, which, done.stdout, done.stderr)
            assert not done.stderr, (key, which, done.stderr)
            if which == "device":
                first = seen.made.first
                lines = [line for line in done.stdout.splitlines() if "expected" in line]
                assert lines[0].startswith(f"{list(first.index)}: expected {first.expected}"), (key, lines[0])
                assert f"found {first.found}" in lines[0]
                assert len(lines) == seen.made.wrong
                assert f"wrong: {seen.made.wrong} of {seen.made.found.size}" in done.stdout
            else:
                assert f"right: all {seen.made.found.size}" in done.stdout


def run_pytest(folders: list[Path], device: str, *options: str) -> subprocess.CompletedProcess[str]:
    """The tests of reproductions, in one process."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", *options]
    return subprocess.run(
        [*command, *map(str, folders)],
        capture_output=True,
        text=True,
        cwd=folders[0],
        env=os.environ | {"DEVICE": device},
        check=False,
    )


def test_the_tests_in_python_run(planted: dict[tuple, Planted]) -> None:
    folders = [seen.folder for seen in planted.values()]
    done = run_pytest(folders, "recorded")
    assert f"{len(folders)} failed, {len(folders)} passed, {len(folders)} skipped" in done.stdout, done.stdout[-2000:]
    done = run_pytest(folders, "reference", "--deselect", "x", "-k", "not other_calls")
    assert f"{2 * len(folders)} passed" in done.stdout, done.stdout[-2000:]
    assert done.returncode == 0


def test_a_device_of_ones_own_is_tried_on_other_calls(planted: dict[tuple, Planted], tmp_path: Path) -> None:
    """A device that gets the recorded call right and others wrong is found once it is in place."""
    seen = planted[("tiny", "encoder.embedded", "residual=rounded_once")]
    folder = tmp_path / "own"
    shutil.copytree(seen.folder, folder)
    path = folder / "test_reproduction.py"
    text = path.read_text(encoding="utf-8")
    recorded = 'return np.load(DATA / "found.npy")'
    assert recorded in text
    path.write_text(text.replace(recorded, "return reference(*inputs, **parameters)").replace("OWN = False", "OWN = True"))
    done = run_pytest([folder], "recorded")
    assert (done.returncode, "3 passed" in done.stdout) == (0, True), done.stdout[-2000:]
    wrong = "r = reference(*inputs, **parameters); return r + (r == 1)"
    path.write_text(text.replace(recorded, wrong).replace("OWN = False", "OWN = True"))
    done = run_pytest([folder], "recorded")
    assert "1 failed, 2 passed" in done.stdout, done.stdout[-2000:]
    assert "device is not residual_add" in done.stdout


def test_the_readme_and_the_manifest_tell_it_all(planted: dict[tuple, Planted]) -> None:
    for seen in planted.values():
        made, text = seen.made, (seen.folder / "README.md").read_text(encoding="utf-8")
        record = json.loads((seen.folder / "reproduction.json").read_text(encoding="utf-8"))
        for word in (
            made.node,
            made.call.op,
            made.hexadecimal(made.first.found),
            f"lowest wrong bit {made.first.bit}",
            made.steps,
        ):
            assert word in text
        assert record["schema"] == "intsim-reproduction"
        assert record["first"] == made.first.record()
        assert record["left_out"] == []
        on_disk = {p.relative_to(seen.folder).as_posix() for p in seen.folder.rglob("*") if p.is_file()}
        named_files = {entry["file"] for entry in record["files"]}
        assert named_files <= on_disk
        assert {"sv/bench.sv", "c/test.c", "test_reproduction.py", "README.md", "data/found.npy"} <= named_files
        assert any(name.startswith("onnx/") for name in named_files)
        for bench in ("sv/bench.sv", "c/test.c", "test_reproduction.py"):
            assert f"Lowest wrong bit of it: {made.first.bit}." in (seen.folder / bench).read_text(encoding="utf-8")


# --- where a node was not dumped, or nothing explains it --------------------------------------------------------------


def altered(golden: Path, dut: Path, change: Callable[[h5py.File], None]) -> None:
    """A dump like a golden file, with a change."""
    shutil.copy(golden, dut)
    with h5py.File(dut, "r+") as file:
        change(file)


def test_a_node_that_was_not_dumped_is_computed_by_its_rule(networks: dict[str, tuple[Graph, Path]], tmp_path: Path) -> None:
    """Only the requantized tensor shows the fault of the accumulators before it."""
    graph, golden = networks["tiny"]
    name = "encoder.blocks.0.mlp.fc1"
    with open_golden(golden) as reference:
        rule = named(graph, graph.by_name[name], "accumulator_bits=16")
        inject(graph, reference, {name: [rule]}, tmp_path / "dut.h5", level="boundary")
    for node in (None, name):
        made = reproduce(golden, tmp_path / "dut.h5", node, graph)
        assert (made.node, made.call.op, made.source) == (name, "linear", RULE)
        assert made.found[made.first.index] == (made.first.expected + (1 << 15)) % (1 << 16) - (1 << 15)
    with pytest.raises(IntsimError, match=r"is wrong because of encoder\.blocks\.0\.mlp\.fc1, which was not dumped"):
        reproduce(golden, tmp_path / "dut.h5", f"{name}.requant", graph)


def test_what_nothing_explains_is_cut_and_says_so(networks: dict[str, tuple[Graph, Path]], tmp_path: Path) -> None:
    graph, golden = networks["tiny"]
    name = "encoder.blocks.0.norm1.requant"

    def noise(file: h5py.File) -> None:
        values = file[name][()]
        wrong = np.random.default_rng(1).integers(0, 2, values.shape).astype(bool)
        file[name][...] = np.where(
            wrong, values ^ np.random.default_rng(2).integers(0, 8, values.shape).astype(values.dtype), values
        )

    altered(golden, tmp_path / "dut.h5", noise)
    made = reproduce(golden, tmp_path / "dut.h5", name, graph)
    assert (made.why, made.source, made.found.size, made.wrong) == ("", RECORDED, 1, 1)
    assert any(UNFAIR in note for note in made.notes)
    name = "encoder.blocks.0.norm1"
    altered(golden, tmp_path / "dut.h5", noise)
    made = reproduce(golden, tmp_path / "dut.h5", name, graph)
    assert made.found.shape == (1, 32)  # a row: its elements depend on one another
    assert any("an axis of 32" in note for note in made.notes)


def test_values_outside_the_format_are_kept(networks: dict[str, tuple[Graph, Path]], tmp_path: Path) -> None:
    """A device that does not saturate, and stores what it has in a wider type."""
    graph, golden = networks["tiny"]
    name = "encoder.blocks.0.norm1.requant"

    def wide(file: h5py.File) -> None:
        values = file[name][()].astype(np.int32)
        values[3, 5] = 300
        del file[name]
        file[name] = values

    altered(golden, tmp_path / "dut.h5", wide)
    made = reproduce(golden, tmp_path / "dut.h5", name, graph)
    assert (made.first.found, made.fmt.bits, made.place) == (300, 32, "element [3, 5] of [16, 32]")
    write(made, tmp_path / "bench")
    assert np.load(tmp_path / "bench" / "data" / "found.npy").tolist() == [[300]]


def test_a_fault_that_needs_a_long_row_keeps_it(tmp_path: Path) -> None:
    """Cut where it can be: rows and channels of their own parameters; and along nothing else."""
    rng = np.random.default_rng(3)
    acc = rng.integers(-(2**20), 2**20, (40, 50)).astype(np.int32)
    call = Call(
        "requant", (acc,), {"m": rng.integers(2**29, 2**30, 50), "e": rng.integers(38, 41, 50), "b": 8}, dialects.RTL
    )
    found = call.expected.copy()
    found[33, 21] ^= 4
    made = of_call(call, found)
    assert made.place == "element [33, 21] of [40, 50]"
    assert made.call.inputs[0].tolist() == [[int(acc[33, 21])]]
    assert [int(made.call.params[key][0]) for key in "me"] == [int(call.params[key][21]) for key in "me"]
    assert made.first.bit == 2
    x = rng.integers(-128, 128, (6, 40)).astype(np.int8)
    call = Call("shiftmax", (x,), {"x0": -20, "n": 15, "b": 16}, dialects.RTL)
    found = call.expected.copy()
    found[4, 39] += 1
    made = of_call(call, found)
    assert made.call.inputs[0].tolist() == [x[4].tolist()]


# --- from other places ------------------------------------------------------------------------------------------------


def test_of_a_counterexample(tmp_path: Path) -> None:
    from intsim.testing import Counterexample, check_op

    def device(acc: np.ndarray, m: int, e: int, b: int) -> np.ndarray:
        return ops.requant.ref(acc, m=m, e=e, b=b, dialect=dialects.RTL.replace(requant_rounding="floor"))

    with pytest.raises(Counterexample) as found:
        check_op("requant", device, "rtl", b=8)
    made = of_counterexample(found.value)
    write(made, tmp_path / "bench")
    assert made.call is found.value.call
    assert run_pytest([tmp_path / "bench"], "recorded").returncode == 1

    def shapeless(acc: np.ndarray, m: int, e: int, b: int) -> np.ndarray:
        return np.zeros(3, np.int8)

    with pytest.raises(Counterexample) as found:
        check_op("requant", shapeless, "rtl", b=8, shape=(2,))
    with pytest.raises(IntsimError, match=r"have the shape \[3\], expected \[2\]"):
        of_counterexample(found.value)


def test_of_answers_to_vectors(cli: Cli) -> None:
    assert cli("vectors gen requant --dialect rtl -o q.json")[0] == 0
    document = json.loads(Path("q.json").read_text(encoding="utf-8"))

    def one_more(value: object) -> object:
        return [one_more(v) for v in value] if isinstance(value, list) else value + 1

    wrong = []
    for case in document["cases"]:
        due = case.get("expect", "invalid")
        case["got"] = due
        if due != "invalid" and len(wrong) < 2:
            case["got"] = one_more(due)
            wrong.append(case["id"])
    refused = next(case for case in document["cases"] if case["got"] != "invalid" and case["id"] not in wrong)
    refused["got"] = "invalid"
    Path("a.json").write_text(json.dumps(document), encoding="utf-8")
    code, _, err = cli("vectors check a.json --reproduce benches")
    assert code == 1
    assert f"no bench for requant-rtl-{refused['id']}: out is refused" in err
    assert sorted(p.name for p in Path("benches").iterdir()) == sorted(f"requant-rtl-{i}" for i in wrong)
    assert (
        run_pytest([Path("benches").resolve() / f"requant-rtl-{i}" for i in wrong], "recorded").stdout.count("wrong:") >= 2
    )
    code, _, err = cli("vectors check q.json --reproduce none")
    assert (code, err, Path("none").exists()) == (0, "", False)


def test_of_what_runtimes_make_of_cases(tmp_path: Path) -> None:
    cases = [*operator_cases(generate("requant", dialects.RTL, 1, 0))][:3]
    cases += [*operator_cases(generate("concat", dialects.RTL, 1, 0))][:1]
    due = next(iter(cases[1].outputs.values()))
    verdicts = [
        Verdict("one", cases[0].name, "requant", EXACT),
        Verdict("one", cases[1].name, "requant", DIFFERS, "", due + 1),
        Verdict("one", cases[2].name, "requant", DIFFERS, "", due),
        Verdict("one", cases[3].name, "concat", CRASHED, "the process ended"),
    ]
    written, left = write_all(of_verdicts(verdicts, cases), tmp_path / "benches")
    assert (written, left) == (["one-requant"], ["one-concat: crashed: the process ended"])
    record = json.loads((tmp_path / "benches" / "one-requant" / "reproduction.json").read_text(encoding="utf-8"))
    assert record["node"] == f"one, case {cases[1].name}"
    assert record["first"]["found"] == record["first"]["expected"] + 1


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def faulty(cli: Cli) -> Cli:
    """The command line in a folder with dut.h5, the dump of a device with a fault."""
    assert cli(f"synth-fault golden.h5 -m model.h5 --node {ATTENTION}.softmax --rule half_bit=dropped -o dut.h5")[0] == 0
    return cli


def test_the_command(faulty: Cli) -> None:
    code, out, err = faulty("reproduce golden.h5 dut.h5 -m model.h5 -o bug")
    assert (code, err) == (0, "")
    assert f"bug: {ATTENTION}.softmax, shiftmax of x" in out
    assert "half_bit `dropped` instead of `kept`" in out
    assert "sh bug/sv/run.sh device; sh bug/c/run.sh device; python -m pytest bug" in out
    before = {p.as_posix(): p.read_bytes() for p in Path("bug").rglob("*") if p.is_file()}
    assert run_pytest([Path("bug").resolve()], "recorded").returncode == 1
    for left in (
        "sv/device.vvp",
        "c/test_device",
        "__pycache__/test.pyc",
        ".pytest_cache/v/cache/lastfailed",
    ):  # by running it
        (Path("bug") / left).parent.mkdir(parents=True, exist_ok=True)
        (Path("bug") / left).touch()
    code, out, _ = faulty(f"reproduce golden.h5 dut.h5 -m model.h5 --node {ATTENTION}.softmax -o bug --json")
    assert code == 0
    assert json.loads(out) == json.loads(Path("bug/reproduction.json").read_text(encoding="utf-8"))
    assert {
        p.as_posix(): p.read_bytes() for p in Path("bug").rglob("*") if p.is_file()
    } == before  # the same bytes, nothing else


def without(name: str) -> None:
    """Take a tensor out of the dump."""
    with h5py.File("dut.h5", "r+") as file:
        del file[name]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--node nowhere", "there is no node 'nowhere'"),
        (
            "--node encoder.blocks.0.norm1",
            "encoder.blocks.0.norm1: is right on the device's own inputs; wrong by themselves",
        ),
        ("--node image", "image: holds values and computes none"),
        ("--layout nothing", "layout 'nothing' is neither a TOML file nor one of"),
        ("--map no.toml", "no.toml"),
    ],
)
def test_bad_input(options: str, message: str, faulty: Cli) -> None:
    code, out, err = faulty(f"reproduce golden.h5 dut.h5 -m model.h5 -o bug {options}")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert message in err
    assert not Path("bug").exists()


def test_nothing_to_reproduce(faulty: Cli) -> None:
    line = "reproduce golden.h5 golden.h5 -m model.h5 -o bug"
    code, _, err = faulty(line)
    assert (code, err) == (2, "intsim: golden.h5: no node is wrong by itself; there is nothing to reproduce\n")
    code, _, err = faulty("reproduce golden.h5 missing.h5 -m model.h5 -o bug")
    assert (code, err) == (2, "intsim: missing.h5: no such file\n")
    code, _, err = faulty("reproduce golden.h5 dut.h5 -m model.h5")
    assert (code, len(err.splitlines())) == (2, 1)
    for name in (f"{ATTENTION}.softmax", f"{ATTENTION}.context"):
        without(name)
    code, _, err = faulty(f"reproduce golden.h5 dut.h5 -m model.h5 -o bug --node {ATTENTION}.k")
    assert (code, len(err.splitlines())) == (2, 1)
    without("labels")
    code, _, err = faulty("reproduce golden.h5 dut.h5 -m model.h5 -o bug --node labels")
    assert (code, err) == (2, "intsim: labels: is not in the dump dut.h5; dump it and its inputs\n")


def test_what_was_judged_from_golden_values_alone(cli: Cli) -> None:
    """Nothing explains the tensor, and whether the device had these inputs is not known."""

    def noise(file: h5py.File) -> None:
        name = "encoder.blocks.0.norm1.requant"
        values = file[name][()]
        for other in list(file):
            if other not in (name, "graph"):
                del file[other]
        file[name][...] = values ^ np.random.default_rng(2).integers(0, 8, values.shape).astype(values.dtype)

    shutil.copy("golden.h5", "dut.h5")
    with h5py.File("dut.h5", "r+") as file:
        noise(file)
    code, _, err = cli("reproduce golden.h5 dut.h5 -m model.h5 -o bug")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "was judged only from golden values of encoder.blocks.0.norm1; dump encoder.blocks.0.norm1, too" in err


def test_a_folder_of_others_is_left_alone(faulty: Cli) -> None:
    Path("bug").mkdir()
    Path("bug/notes.txt").write_text("mine")
    code, _, err = faulty("reproduce golden.h5 dut.h5 -m model.h5 -o bug")
    assert (code, err) == (2, "intsim: bug: is not empty; name a new folder\n")
    Path("bug/notes.txt").unlink()
    assert faulty("reproduce golden.h5 dut.h5 -m model.h5 -o bug")[0] == 0
    Path("bug/sv/my_device.sv").write_text("mine")
    code, _, err = faulty("reproduce golden.h5 dut.h5 -m model.h5 -o bug")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "contains sv/my_device.sv" in err
    assert Path("bug/sv/my_device.sv").read_text() == "mine"
    Path("bug/sv/my_device.sv").unlink()
    Path("bug/reproduction.json").write_text("{}")
    code, _, err = faulty("reproduce golden.h5 dut.h5 -m model.h5 -o bug")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "bug/reproduction.json: is not what 'intsim reproduce' wrote; name a new folder" in err


@pytest.mark.parametrize("op", ["shift_exp", "concat", "upsample_nearest"])
def test_other_calls(op: str, tmp_path: Path) -> None:
    """Results of 64 bits, three arrays, labels without channels: what no network of the tests has."""
    rng = np.random.default_rng(1)
    arrays = {
        "shift_exp": (rng.integers(-2000, 1, (3, 4)).astype(np.int16),),
        "concat": tuple(rng.integers(-9, 9, (2, n, 3)).astype(np.int8) for n in (1, 2, 3)),
        "upsample_nearest": (rng.integers(0, 9, (3, 40)).astype(np.int8),),
    }
    params = {"shift_exp": {"x0": -20, "n": 15}, "concat": {"axis": -2}, "upsample_nearest": {"factor": 2}}
    call = Call(op, arrays[op], params[op], dialects.RTL if REGISTRY[op].choices else None)
    found = call.expected.copy()
    found.flat[-1] ^= 1
    made = of_call(call, found)
    write(made, tmp_path / "bench")
    assert made.found.size == (4 if op == "upsample_nearest" else found.size)  # one label, twice along each axis
    for part, program in (("sv", "iverilog"), ("c", "gcc")):
        for which, code in (("reference", 0), ("device", 1)) if shutil.which(program) else ():
            done = subprocess.run(["sh", str(tmp_path / "bench" / part / "run.sh"), which], capture_output=True, check=False)
            assert done.returncode == code, (part, which, done.stdout, done.stderr)


def test_a_dialect_whose_name_is_no_identifier(tmp_path: Path) -> None:
    """The benches that need its name are left out, with the reason; the others run."""
    dialect = dialects.RTL.replace(name="my own", requant_rounding="half_even")
    call = Call("requant", (np.array([[3]], np.int32),), {"m": 2**30, "e": 31, "b": 8}, dialect)
    made = of_call(call, call.expected + 1)
    written = write(made, tmp_path / "bench")
    assert [line.partition(":")[0] for line in written.left_out] == ["the bench in C"]
    assert not (tmp_path / "bench" / "c").exists()
    done = run_pytest([tmp_path / "bench"], "reference", "-k", "not other_calls")
    assert done.returncode == 0, done.stdout
