"""The C reference: compiled, and held to the reference on conformance vectors and drawn calls."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

import intsim
from intsim.arith import I32, I64
from intsim.dialects import DIALECTS, Dialect
from intsim.engine.graph import Graph
from intsim.engine.interpreter import run
from intsim.languages.c_network import CNetwork
from intsim.languages.reference import write_reference
from intsim.ops import REGISTRY, Op
from intsim.quantization import quantize_weights
from intsim.quantization.synth import random_picture, random_weights
from intsim.testing import strategies

from checking import calls_of_vectors, searching
from clibrary import Compiled
from networks import TINY, TINY_DEIT, TINY_SWIN

EVERY = [(op, dialect) for op in REGISTRY.values() for dialect in (DIALECTS.values() if op.choices else [None])]
every_operator = pytest.mark.parametrize(("op", "dialect"), EVERY, ids=lambda value: getattr(value, "name", "no dialect"))
pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
OK, REFUSED, RANGE = 0, 4, 5
COMPILER = "gcc"
ROOT = Path(__file__).parent.parent
Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    folder = tmp_path_factory.mktemp("c")
    return Compiled(folder, "gcc", "-O1", "-fsanitize=undefined", "-fno-sanitize-recover=undefined", "-static-libubsan")


def compared(compiled: Compiled, op: Op, arrays: list[Any], params: dict[str, Any], dialect: Dialect | None) -> str:
    """What the C function makes of a call: "same", "refused" as by the reference, or "not held" by 32 or 64 bits."""
    if any(x.size and not I32.holds(int(x.min()), int(x.max())) for x in arrays):
        return "not held"
    if op.variadic and len(arrays) != 2:
        return "not held"
    try:
        code, out, steps = compiled.call(op.name, arrays, params, dialect)
    except ValueError:  # shapes that do not go together, which lengths cannot say
        return "not held"
    try:
        op.ref(*arrays, **params, **({"dialect": dialect} if dialect else {}))
        due = op.intermediates(arrays, params, dialect)
    except ValueError:
        due = None
    if due is None:
        assert code != OK, "the reference refuses the call"
        return "refused"
    wide = [
        value
        for value in due.values()
        if value.dtype == object or (value.size and not I64.holds(int(value.min()), int(value.max())))
    ]
    narrow = due["out"].dtype != object and (not due["out"].size or I32.holds(int(due["out"].min()), int(due["out"].max())))
    if code in (RANGE, REFUSED) and (wide or not narrow):
        return "not held"
    assert code == OK, code
    assert np.array_equal(out, np.ravel(due["out"]))
    for name, value in steps.items():
        assert np.array_equal(value, np.ravel(due[name])), name
    return "same"


@every_operator
def test_every_vector(op: Op, dialect: Dialect | None, compiled: Compiled) -> None:
    found = [compared(compiled, op, arrays, params, dialect) for _, arrays, params in calls_of_vectors(op, dialect)]
    assert found.count("same") >= 3


@every_operator
def test_any_call(op: Op, dialect: Dialect | None, compiled: Compiled) -> None:
    @settings(searching, max_examples=20)
    @given(strategies.arguments(op.name, dialect))
    def tried(call: Any) -> None:
        compared(compiled, op, list(call.inputs), call.params, dialect)

    tried()


# --- many calls ---------------------------------------------------------------------------------------------------------

CALLS = int(os.environ.get("INTSIM_C_CALLS", "50000"))  # rows of each operator; `make cross` tries a million
PARAMETERS = 8  # sets of them


def parameters(op: Op, columns: int, draw: np.random.Generator) -> dict[str, Any]:
    """Parameters of a call with so many columns."""
    x0 = -int(draw.integers(1, 1 << int(draw.integers(1, 12))))
    softmax = {"x0": x0, "n": int(draw.integers(1, 16)), "b": int(draw.choice([8, 16]))}
    factors = {"m": draw.integers(-(2**31), 2**31, columns), "e": draw.integers(1, 63, columns)}
    return {
        "requant": {**factors, "b": int(draw.integers(2, 33))},
        "residual_add": {
            **{f"{key}{arm}": draw.permutation(value) for key, value in factors.items() for arm in "ac"},
            "b": int(draw.integers(2, 33)),
        },
        "layernorm": {"bias": draw.integers(-(2**24), 2**24, columns)},
        "lambda_shiftgelu": {**softmax, "lam": int(draw.integers(0, 200))},
        "shift_exp": {"x0": x0, "n": softmax["n"]},
        "linear": {"weight": draw.integers(-128, 128, (3, columns)), "bias": draw.integers(-(2**20), 2**20, 3)},
    }.get(op.name, {key: value for key, value in softmax.items() if key in op.params})


ROWS = ("requant", "residual_add", "shift_exp", "shiftmax", "shiftgelu", "lambda_shiftgelu", "layernorm", "linear", "argmax")


@pytest.mark.parametrize(
    ("op", "dialect"),
    [pair for pair in EVERY if pair[0].name in ROWS],
    ids=lambda value: getattr(value, "name", "no dialect"),
)
def test_many_rows_against_the_fast_face(op: Op, dialect: Dialect | None, compiled: Compiled) -> None:
    draw, tried, columns = np.random.default_rng(5), 0, 6
    rules = {"dialect": dialect} if dialect else {}
    while tried < CALLS:
        params = parameters(op, columns, draw)
        arrays = []
        for i in range(len(op.inputs)):
            fmt = op.port(i) if op.port(i) is not I64 else I32
            reach = max(fmt.hi >> int(draw.integers(0, fmt.bits - 1)), 1)
            values = draw.integers(-reach - 1, reach + 1, (CALLS // PARAMETERS, columns))
            arrays.append(np.minimum(values, 0) if op.name == "shift_exp" else values)  # as shiftmax calls it
        try:
            due = op(*(x.astype(fmt_of(op, i).dtype) for i, x in enumerate(arrays)), **params, **rules)
        except ValueError:
            assert compiled.call(op.name, arrays, params, dialect)[0] != OK
            continue
        code, out, _ = compiled.call(op.name, arrays, params, dialect)
        assert code == OK
        assert np.array_equal(out, np.ravel(due))
        tried += len(arrays[0])


def fmt_of(op: Op, i: int) -> Any:
    return op.port(i) if op.port(i) is not I64 else I32


# --- folders ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["-O0", "-O3"])
def test_the_self_test_of_the_folder(level: str, tmp_path: Path) -> None:
    """Every conformance vector, refusals included, compiled in; with sanitizers where they are not for speed."""
    write_reference("c", tmp_path / "c")
    options = "" if level == "-O3" else " -fsanitize=undefined,address -fno-sanitize-recover"
    command = ["make", "-s", "test", f"CC={COMPILER}", f"CFLAGS={level} -Werror{options}"]
    done = subprocess.run(command, cwd=tmp_path / "c", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    counts = [re.fullmatch(r"(\w+): (\d+) passed, 0 failed", line) for line in done.stdout.splitlines()]
    assert [found[1] for found in counts if found] == list(REGISTRY)
    assert sum(int(found[2]) for found in counts if found) > 1500


def tensors_in_c(graph: Graph, picture: NDArray, folder: Path, **options: Any) -> dict[str, NDArray]:
    """Every tensor that the C network hands to its observer."""
    write_reference("c", folder, graph, **options)
    command = [
        "make",
        "-s",
        "run",
        f"CC={COMPILER}",
        "CFLAGS=-O1 -Werror -fsanitize=undefined,address -fno-sanitize-recover",
    ]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (folder / "image.raw").write_bytes(picture.tobytes())
    (folder / "dump").mkdir()
    subprocess.run(["./run", "image.raw", "dump"], cwd=folder, check=True, capture_output=True)
    return {path.name.removesuffix(".npy"): np.load(path) for path in (folder / "dump").glob("*.npy")}


NETWORKS = {"segmenter": TINY, "deit": TINY_DEIT | {"distilled": True}, "swin": TINY_SWIN}


@pytest.mark.parametrize("dialect", ["ivit-tvm", "rtl"])
@pytest.mark.parametrize("config", NETWORKS.values(), ids=NETWORKS)
def test_every_tensor_of_a_network(config: dict[str, Any], dialect: str, tmp_path: Path) -> None:
    graph = quantize_weights(random_weights(config, 3), config, [random_picture(config, 4)], DIALECTS[dialect], "random")
    picture, due = random_picture(config, 9), dict[str, NDArray]()
    run(graph, picture, lambda name, value: due.__setitem__(name, value.copy()))
    found = tensors_in_c(graph, picture, tmp_path / "c")
    assert set(found) == {node.name for node in graph.nodes if node.op not in ("input", "constant")}
    for name, value in found.items():
        assert np.array_equal(value, due[name] if due[name].ndim else due[name].reshape(1)), name


@pytest.mark.parametrize("name", ["deit", "swin", "segmenter"])
def test_recordings_of_ivit(name: str, tmp_path: Path) -> None:
    graph = intsim.quantize(ROOT / "golden" / f"ivit-{name}-mini.npz").graph
    height, width, _ = graph.tensors[graph.input.name].shape
    picture, due = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8), dict[str, NDArray]()
    run(graph, picture, lambda node, value: due.__setitem__(node, value.copy()))
    found = tensors_in_c(graph, picture, tmp_path / "c")
    assert len(found) > 50
    assert [node for node, value in found.items() if not np.array_equal(value, np.atleast_1d(due[node]))] == []


def test_the_shipped_model(tmp_path: Path) -> None:
    """With its weights as an image that is linked; the arena is what liveness leaves, less than all tensors together."""
    graph = intsim.load(ROOT / "weights" / "scenes.h5")
    picture = intsim.read_picture(ROOT / "examples" / "scenes" / "scene_00.png")
    due: dict[str, NDArray] = {}
    run(graph, picture, lambda name, value: due.__setitem__(name, value.copy()))
    found = tensors_in_c(graph, picture, tmp_path / "c", image=True)
    assert [name for name, value in found.items() if not np.array_equal(value, due[name])] == []
    record = json.loads((tmp_path / "c" / "reference.json").read_text())
    assert (tmp_path / "c" / "weights.bin").stat().st_size == record["weights_bytes"]
    assert record["arena_bytes"] < 4 * sum(value.size for value in due.values()) // 5


def test_places_of_tensors_that_are_needed_at_once_do_not_overlap() -> None:
    network = CNetwork(intsim.load(ROOT / "weights" / "scenes.h5"))
    places = list(network.places.values())
    for i, a in enumerate(places):
        for b in places[:i]:
            if a.first <= b.last and b.first <= a.last:
                assert a.offset + a.size <= b.offset or b.offset + b.size <= a.offset


def test_bad_input(cli: Cli) -> None:
    """One line, exit code 2, nothing written."""
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("keep me")
    model = ROOT / "weights" / "scenes.h5"
    for words, message in {
        "export --reference c -o new --op nothing": "there is no operator 'nothing'; there are: argmax, ",
        "export --reference c -o new --dialect nobody": "'nobody' is neither one of",
        "export --reference sv -o new --op layernorm": "layernorm has no SystemVerilog function; those that have: ",
        "export --reference c -o mine": "mine: contains notes.txt, which would be mixed with the new files",
        "export --reference c": "name the folder to write with -o FOLDER",
        "export --reference c -o new --arena 5": "--arena and --weights are of a network; name a model",
        f"export {model} --reference c -o new --arena 1000": "needs an arena of 3,283,584 bytes, more than 1,000",
        f"export {model} --reference c -o new --op requant": "a model has its own operators and dialect",
        f"export {model} --reference dpi -o new": "a model is only written with --reference c",
        "export --reference c -o new --format hex": "--format does not go with --reference; leave it out",
        "export --op requant": "--op, --dialect, --arena and --weights go with --reference",
        "export": "name a golden file or a model file to export",
    }.items():
        code, out, err = cli(words)
        assert (code, out, len(err.splitlines())) == (2, "", 1), (words, err)
        assert message in err, (words, err)
        assert not Path("new").exists()
    text = (ROOT / "examples" / "dialect.toml").read_text(encoding="utf-8")
    for i, name in enumerate(("my dialect", "rtl")):
        Path(f"{i}.toml").write_text(re.sub("^name = .*", f"name = '{name}'", text, flags=re.MULTILINE))
    Path("3.toml").write_text(re.sub("^name = .*", "name = 'ivit_tvm'", text, flags=re.MULTILINE))
    for words, message in {
        "c --dialect 0.toml": "use letters, digits, - and _",
        "sv --dialect 0.toml": "use letters, digits, - and _",
        "c --dialect 1.toml": "is called like a built-in one",
        "c --dialect ivit-tvm --dialect 3.toml": "two functions would be called intsim_",
        "sv --dialect ivit-tvm --dialect 3.toml": "two of the dialects have one name in identifiers",
    }.items():
        code, out, err = cli(f"export --reference {words} -o new")
        assert (code, out, message in err, Path("new").exists()) == (2, "", True, False), (words, err)
    assert cli("export --reference c -o mine/new --op requant")[0] == 0
    assert cli("export --reference c -o mine/new --op argmax")[0] == 0
    assert not Path("mine/new/intsim_requant.c").exists(), "an earlier reference's own files are replaced"
    assert Path("mine/notes.txt").read_text() == "keep me"


def test_lengths_and_steps_that_cannot_be(compiled: Compiled) -> None:
    """Refused before anything is read: products that wrap, steps beyond 1, tables of another length."""
    shape, parameter = 1, 2
    x = (ctypes.c_int32 * 8)()
    size = ctypes.c_size_t
    requant = compiled.shared.intsim_requant_rtl
    assert requant(x, size(1), size(4), x, size(1), x, size(2), 8, x, None) == parameter
    assert compiled.shared.intsim_layernorm_rtl(x, size(1 << 62), size(4), x, x, None) == shape
    assert compiled.shared.intsim_patches(x, size(1), size(1 << 32), size(1), size(1), 1, x) == shape
    assert compiled.shared.intsim_relative_positions(x, size(8), size(1), 1, x) == shape
    assert compiled.shared.intsim_slice(x, size(1), size(8), size(1), -1, 4, x) == parameter


def test_dpi_has_every_operator_and_step(tmp_path: Path) -> None:
    write_reference("dpi", tmp_path / "dpi", dialects=[DIALECTS["rtl"]])
    package, wrappers = ((tmp_path / "dpi" / name).read_text() for name in ("intsim_dpi_pkg.sv", "intsim_dpi.c"))
    for op in REGISTRY:
        assert re.search(rf"function int intsim_{op}(_\w+)?_dpi\(", package), op
        assert re.search(rf"^int intsim_{op}(_\w+)?_dpi\(", wrappers, re.MULTILINE), op
    assert "output longint variance_step[]" in package
    if shutil.which("verilator") is None:
        pytest.skip("verilator is not installed: `make dpi` compiles and runs them")
    command = ["verilator", "--getenv", "VERILATOR_ROOT"]
    root = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    include = Path(root) / "include" / "vltstd"
    command = [COMPILER, "-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", f"-I{include}", "-c", "intsim_dpi.c"]
    subprocess.run(command, cwd=tmp_path / "dpi", check=True)
