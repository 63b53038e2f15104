"""The package examples/operators: every operator against plain integers, its trace, its error, golden files, ONNX and C."""

from __future__ import annotations

import doctest
import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import operator_oracles
import pytest
from numpy.typing import NDArray

import intsim
from intsim import ops, plugins
from intsim.arith import TensorBound, dyadic
from intsim.dialects import DIALECTS, IVIT, RTL
from intsim.engine.graph import Graph, Node, input_node
from intsim.languages import c_library
from intsim.symbols import evaluate, trace
from intsim.symbols.shapes import form_of_call

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "examples" / "operators"
NAMES = (
    "deeploy_gelu",
    "deeploy_layernorm",
    "heatvit_gelu",
    "heatvit_softmax",
    "ibert_gelu",
    "ibert_layernorm",
    "ibert_softmax",
    "ita_softmax",
    "ita_streaming_softmax",
    "log_int_softmax",
    "requant_add",
)
every = pytest.mark.parametrize("name", NAMES)
Params = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def package() -> Iterator[Any]:
    """The package, registered for this module only."""
    before = dict(ops.REGISTRY)
    sys.path.insert(0, str(PACKAGE))
    yield plugins.load("intsim_example_operators")
    sys.path.remove(str(PACKAGE))
    for name in [name for name in ops.REGISTRY if name not in before]:
        del ops.REGISTRY[name]


def dialect_of(name: str) -> Any:
    """I-BERT's softmax rounds as PyTorch does."""
    return (IVIT if name == "ibert_softmax" else RTL) if ops.REGISTRY[name].choices else None


def params_of(name: str, columns: int, draw: np.random.Generator) -> Params:
    """Parameters of a call."""
    scale = float(2.0 ** draw.uniform(-6, -1))

    def known(module: str, *args: Any) -> Params:
        return importlib.import_module(f"intsim_example_operators.{module}").parameters(*args)

    if name == "requant_add":
        per_channel = {"m": draw.integers(-(2**31), 2**31, columns), "add": draw.integers(-(2**31), 2**31, columns)}
        widths = {"b": int(draw.integers(2, 17)), "nonnegative": int(draw.integers(0, 2))}
        return {**per_channel, "e": draw.integers(1, 63, columns), **widths}
    return {
        "deeploy_gelu": lambda: {"b": -int(draw.integers(1, 100)), "one": int(draw.integers(1, 5000))},
        "deeploy_layernorm": lambda: {
            "gain": draw.integers(-(2**18), 2**18, columns),
            "bias": draw.integers(-(2**16), 2**16, columns),
            "shift": int(draw.integers(0, 20)),
        },
        "heatvit_gelu": dict,
        "heatvit_softmax": lambda: [{"delta": 32768, "drop": 8, "top": 255}, {"delta": 65536, "drop": 0, "top": 65536}][
            int(draw.integers(0, 2))
        ],
        "ibert_gelu": lambda: known("ibert_gelu", 2.0 ** -int(draw.integers(8, 12))),
        "ibert_layernorm": lambda: {"bias": draw.integers(-(2**24), 2**24, columns)},
        "ibert_softmax": lambda: known("ibert_softmax", scale) | {"bits": int(draw.integers(2, 17))},
        "ita_softmax": lambda: {"top": int(draw.integers(1, 256))},
        "ita_streaming_softmax": lambda: {"width": int(draw.integers(1, columns + 2)), "top": int(draw.integers(1, 256))},
        "log_int_softmax": lambda: known("log_int_softmax", scale) | {"bits": int(draw.integers(2, 6))},
    }[name]()


def rows_of(name: str, columns: int, draw: np.random.Generator) -> NDArray:
    """Rows: both ends, all equal, one large value, and drawn from ranges of any width."""
    fmt = ops.REGISTRY[name].port(0)
    ends = [np.full(columns, v) for v in (fmt.lo, fmt.hi, 0)]
    one, turns = np.full(columns, fmt.lo), np.where(np.arange(columns) % 2, fmt.lo, fmt.hi)
    one[-1] = fmt.hi
    reach = [max(fmt.hi >> int(draw.integers(0, fmt.bits - 1)), 1) for _ in range(12)]
    return np.array([*ends, one, turns, *(draw.integers(-r - 1, r + 1, columns) for r in reach)])


def calls(name: str, count: int = 12) -> Iterator[tuple[NDArray, Params]]:
    draw = np.random.default_rng(NAMES.index(name))
    for i in range(count):
        columns = (1, 2, 3, 7, 16, 33)[i % 6]
        yield rows_of(name, columns, draw), params_of(name, columns, draw)


def plain(params: Params) -> Params:
    return {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in params.items()}


# --- numbers ------------------------------------------------------------------------------------------------------------


@every
def test_against_plain_integers_and_within_bounds(name: str) -> None:
    op, oracle = ops.REGISTRY[name], getattr(operator_oracles, name)
    rules = {"dialect": dialect_of(name)} if op.choices else {}
    for x, params in calls(name):
        due = [oracle(row, **plain(params)) for row in x.tolist()]
        assert op.ref(x, **params, **rules).tolist() == due
        assert op(x.reshape(1, *x.shape), **params, **rules)[0].tolist() == due
        bound = op.output([TensorBound.full(x.shape, op.port(0))], params, rules.get("dialect"))
        assert bound.lo <= min(map(min, due)) <= max(map(max, due)) <= bound.hi
        assert bound.fits, "a graph refuses it otherwise"


@every
def test_the_equation_on_symbols_gives_every_step(name: str) -> None:
    op, dialect = ops.REGISTRY[name], dialect_of(name)
    for x, params in calls(name, 5):
        found = trace(op, [TensorBound.full(x.shape, op.port(0))], params, dialect)
        values = evaluate(found.steps.values(), {next(iter(op.inputs)): x})
        due = op.intermediates([x], params, dialect)
        assert list(found.steps) == list(due)
        for (step, expected), value in zip(due.items(), values, strict=True):
            assert np.array_equal(value, expected), step


@pytest.mark.parametrize("dialect", DIALECTS)
def test_without_an_addend_it_is_a_requantization(dialect: str) -> None:
    draw = np.random.default_rng(1)
    x, m, e = draw.integers(-(2**31), 2**31, (500, 8)), draw.integers(-(2**31), 2**31, 8), draw.integers(1, 63, 8)
    same = ops.requant_add(x, m=m, add=0, e=e, b=8, nonnegative=0, dialect=dialect)
    assert np.array_equal(same, ops.requant(x, m=m, e=e, b=8, dialect=dialect))


def test_ties_and_ends() -> None:
    """Each by hand."""
    halves = {"m": 1, "e": 1, "b": 8}
    assert ops.requant_add([-3, -1, 1, 3], **halves, add=0, nonnegative=0, dialect="rtl").tolist() == [-1, 0, 1, 2]
    assert ops.requant_add([-3, 509, 510], **halves, add=1, nonnegative=1, dialect="rtl").tolist() == [0, 255, 255]
    assert ops.ita_softmax([0, -15, -16, -17, -47, -48], top=255).tolist() == [68, 68, 34, 34, 34, 17], "of 960"
    assert ops.ita_softmax([[-128], [127]], top=255).tolist() == [[255], [255]]
    assert ops.ita_softmax([127, -128], top=255).tolist() == [254, 0], "256 >> 8 adds 1"
    chunks = [[0] * 16 + [127] * 16]
    assert ops.ita_streaming_softmax(chunks, width=16, top=255)[0, [0, -1]].tolist() == [0, 15]
    assert ops.log_int_softmax([5], x0=-14, b=54, c=1116, n=30, bits=4).tolist() == [0]
    assert ops.log_int_softmax([5] * 3, x0=-14, b=54, c=1116, n=30, bits=4).tolist() == [2] * 3, "3 is 1.5 times 2"
    one = {"x0": -1, "b": 1, "c": 32768, "n": 1, "m": 2**30, "e": 32}
    assert ops.ibert_softmax([0], **one, bits=8, dialect="ivit").tolist() == [256], "the sum is 2**14"
    assert ops.ibert_layernorm([7, 7], [1, -1], dialect="rtl").tolist() == [1, -1], "no variance"
    narrow = ops.layernorm([0, 0, 3, 3], [0] * 4, dialect="rtl")
    wide = ops.ibert_layernorm([0, 0, 3, 3], [0] * 4, dialect="rtl")
    assert (wide - narrow).tolist() == [0, 0, 0, 0], "3 does not divide 2**31, so the factor is the same"
    assert ops.ibert_layernorm([1, 2, 3, 4], [0] * 4, dialect="rtl")[0] == -(2**30)
    assert ops.layernorm([1, 2, 3, 4], [0] * 4, dialect="rtl")[0] == -(2**30) + 1
    assert ops.deeploy_layernorm([-3, -2], [64, 64], [0, 0], shift=0).tolist() == [-64, 0], "-5 / 2 is -2"
    assert ops.heatvit_gelu([0, -(2**23), 2**23 - 1]).tolist() == [0, -2097152, 6291455]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: ops.ibert_softmax([0], x0=-9, b=9, c=1, n=1, m=2**30, e=62, bits=8, dialect="rtl"),
            "is below 1; make m larger",
        ),
        (lambda: ops.ibert_gelu([32767], b=-1, c=-(2**30), one=-(2**30), shift=0), "ibert_gelu: out|out.* is outside i32"),
        (lambda: ops.log_int_softmax([0, -1], x0=-2, b=9, c=1, n=1, bits=4), "an exponential is 0"),
        (lambda: ops.ita_softmax([0], top=256), r"top = 256 is outside \[1, 255\]"),
        (lambda: ops.ibert_layernorm([1, 2], [1], dialect="rtl"), "1 biases for 2 channels"),
    ],
)
def test_what_is_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_what_they_approximate() -> None:
    """The largest errors over many rows, in units of the real function; each figure is what was measured, rounded up."""
    draw = np.random.default_rng(8)
    module = {name: importlib.import_module(f"intsim_example_operators.{name}") for name in NAMES}
    x = draw.integers(-100, 100, (400, 17))

    def error(name: str, found: NDArray, scale: float, given: NDArray) -> float:
        return float(np.abs(found * scale - module[name].real(given)).max())

    logits, step = x * 0.05, np.log(2) / 32
    known = module["ibert_softmax"].parameters(0.05)
    assert error("ibert_softmax", ops.ibert_softmax(x, **known, bits=8, dialect="ivit"), 2**-8, logits) < 0.009
    known.pop("m"), known.pop("e")
    codes = ops.log_int_softmax(x, **known, bits=5)
    assert error("log_int_softmax", codes, 1, logits) < 0.7
    assert error("ita_softmax", ops.ita_softmax(x, top=255), 1 / 255, x * step) < 0.067
    assert error("ita_streaming_softmax", ops.ita_streaming_softmax(x, width=4, top=255), 1 / 255, x * step) < 0.072
    wide = draw.integers(-(2**20), 2**20, (400, 17))
    full = ops.heatvit_softmax(wide, delta=65536, drop=0, top=65536)
    assert error("heatvit_softmax", full, 2**-16, wide * 2.0**-16) < 0.0008
    assert error("heatvit_gelu", ops.heatvit_gelu(wide), 2**-16, wide * 2.0**-16) < 0.0091
    assert error("deeploy_gelu", ops.deeploy_gelu(x, b=-50, one=2770), 0.05 / 2770, logits) < 0.019
    fine = draw.integers(-(2**13), 2**13, (400, 17))
    found = ops.ibert_gelu(fine, **module["ibert_gelu"].parameters(2.0**-11))
    assert error("ibert_gelu", found, module["ibert_gelu"].scale(2.0**-11), fine * 2.0**-11) < 0.019
    normal = ops.ibert_layernorm(fine, np.zeros(17, np.int32), dialect="rtl")
    assert error("ibert_layernorm", normal, 17**0.5 / 2**30, fine) < 0.0003
    m, e = dyadic(0.37)
    rescaled = ops.requant_add(fine, m=m, add=0, e=e, b=16, nonnegative=0, dialect="rtl")
    assert np.abs(rescaled - fine * 0.37).max() <= 0.5
    gains = {"gain": np.full(17, 2**12, np.int32), "bias": np.zeros(17, np.int32), "shift": 7}  # to steps of 1 / 32
    assert error("deeploy_layernorm", ops.deeploy_layernorm(fine, **gains), 1 / 32, fine) < 0.032


@every
def test_worked_examples(name: str) -> None:
    found = doctest.testmod(importlib.import_module(f"intsim_example_operators.{name}"))
    assert found.attempted >= 2
    assert found.failed == 0


# --- in a network -------------------------------------------------------------------------------------------------------


def network() -> Graph:
    """A picture of 8 x 16 in patches of 4 x 4, and every operator behind a requantization of their projection."""
    draw, table = np.random.default_rng(3), np.tile(np.arange(-128, 128, dtype=np.int8), (3, 1))
    linear = {
        "weight": draw.integers(-128, 128, (12, 48)).astype(np.int8),
        "bias": draw.integers(-999, 999, 12).astype(np.int32),
    }
    rescaled = {"m": 2**30, "e": 40}
    nodes = [
        input_node("image", 8, 16, 1.0),
        Node("pixels", "input_lut", ("image",), {"table": table}, 0.1),
        Node("patches", "patches", ("pixels",), {"size": 4}),
        Node("projected", "linear", ("patches",), linear, 0.01),
        Node("logits", "requant_add", ("projected",), {**rescaled, "add": 77, "b": 8, "nonnegative": 0}, 0.05),
        Node("wide", "requant", ("projected",), {"m": 2**30, "e": 31, "b": 24}, 2.0**-16),
    ]
    sources = {"heatvit_gelu": "wide", "heatvit_softmax": "wide"}
    for name in NAMES[:-1]:
        params = params_of(name, 12, np.random.default_rng(4)) | ({"width": 5} if "streaming" in name else {})
        arrays = {key: v.astype(np.int32) if isinstance(v, np.ndarray) else v for key, v in params.items()}
        nodes.append(Node(name, name, (sources.get(name, "logits"),), arrays, 1.0))
    return Graph(
        [*nodes, Node("last", "requant_add", ("deeploy_gelu",), {**rescaled, "add": -5, "b": 8, "nonnegative": 1})], RTL
    )


def picture() -> NDArray:
    return np.random.default_rng(5).integers(0, 256, (8, 16, 3), np.uint8)


FAULTS: dict[str, Params] = {
    "deeploy_gelu": {"one": 9},
    "deeploy_layernorm": {"shift": 3},
    "heatvit_softmax": {"delta": 30000},
    "ibert_gelu": {"one": -9},
    "ibert_softmax": {"b": 5},
    "ita_softmax": {"top": 77},
    "ita_streaming_softmax": {"width": 12},
    "log_int_softmax": {"c": 7},
    "requant_add": {"e": 38},
}


@every
def test_golden_file_and_the_culprit(name: str, tmp_path: Path) -> None:
    """A device with another parameter: that node and no other is wrong, judged by its own inputs."""
    graph = network()
    intsim.golden(graph, picture(), tmp_path / "golden.h5", "full")
    node = graph.by_name["last" if name == "requant_add" else name]
    changed = node.params | FAULTS.get(name, {})

    def faulty(own: Node, inputs: list[NDArray], value: NDArray) -> NDArray:
        if own.name != node.name:
            return value
        if name not in FAULTS:  # it has no such parameter
            return np.roll(value, 1, axis=-1)
        return ops.REGISTRY[own.op](*inputs, **changed, **({"dialect": RTL} if ops.REGISTRY[own.op].choices else {}))

    intsim.golden(graph, picture(), tmp_path / "dut.h5", "full", alter=faulty)
    found = intsim.diff(tmp_path / "golden.h5", tmp_path / "dut.h5", graph, isolated=True)
    assert found.culprits == [node.name]


def test_onnx_in_onnxruntime_is_exact(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    from onnx import helper

    from intsim.compilers.onnx_model import onnx_model

    graph, due = network(), dict[str, NDArray]()
    intsim.run(graph, picture(), lambda name, value: due.__setitem__(name, value.copy()))
    model = onnx_model(graph, inline=True)
    known = {value.name for value in model.graph.output}
    produced = {name for node in model.graph.node for name in node.output}
    outputs = [name for name in (*NAMES[:-1], "logits", "last") if name in produced | known]
    assert len(outputs) == len(NAMES) + 1
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in outputs if name not in known)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for name, value in zip(outputs, session.run(outputs, {"image": picture()}), strict=True):
        assert np.array_equal(value, due[name]), name


# --- C ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compiled(package: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The functions in C. Without self-tests, for which layer normalisations need minutes."""
    import clibrary

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clibrary, "REGISTRY", {name: ops.REGISTRY[name] for name in NAMES})
        patch.setattr(c_library, "selftest", lambda functions: "")
        options = ("-O1", "-fsanitize=undefined", "-fno-sanitize-recover=undefined", "-static-libubsan")
        yield clibrary.Compiled(tmp_path_factory.mktemp("c"), "gcc", *options)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@every
def test_c_function_gives_every_step(name: str, compiled: Any) -> None:
    op, dialect, tried = ops.REGISTRY[name], dialect_of(name), 0
    draw = np.random.default_rng(7)
    for columns in (64, 128) if name == "ita_streaming_softmax" else (1, 3, 33):
        for _ in range(8):
            x, params = rows_of(name, columns, draw), params_of(name, columns, draw)
            params |= {"width": 16} if name == "ita_streaming_softmax" else {}
            assert form_of_call(op, [x.shape], params)
            code, out, steps = compiled.call(name, [x], params, dialect)
            due = op.intermediates([x], params, dialect)
            assert code == 0
            assert np.array_equal(out, np.ravel(due["out"]))
            assert list(steps) == list(due)[:-1]
            assert all(np.array_equal(value, np.ravel(due[step])) for step, value in steps.items())
            tried += 1
    assert tried >= 16


# --- as a package -------------------------------------------------------------------------------------------------------


def command(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, env=os.environ | environment, check=False)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_a_folder_in_c_by_a_plugin(tmp_path: Path) -> None:
    words = (
        "--plugin",
        "intsim_example_operators",
        "export",
        "--reference",
        "c",
        "--op",
        "ita_softmax",
        "-o",
        str(tmp_path / "c"),
    )
    done = command("-m", "intsim", *words, PYTHONPATH=f"{ROOT}{os.pathsep}{PACKAGE}")
    assert done.returncode == 0, done.stderr
    built = subprocess.run(["make", "-s", "test"], cwd=tmp_path / "c", capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert "ita_softmax" in built.stdout


def test_an_installed_package_is_found_by_its_entry_point(tmp_path: Path) -> None:
    """As an installer leaves it: the package, and metadata with its entry points."""
    shutil.copytree(PACKAGE / "intsim_example_operators", tmp_path / "intsim_example_operators")
    metadata = tmp_path / "intsim_example_operators-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: intsim-example-operators\nVersion: 0.1.0\n")
    text = (PACKAGE / "pyproject.toml").read_text(encoding="utf-8")
    _, _, entry = text.partition('[project.entry-points."intsim.operators"]\n')
    (metadata / "entry_points.txt").write_text("[intsim.operators]\n" + entry.splitlines()[0].replace('"', "") + "\n")
    code = "from intsim import ops; print(ops.ita_softmax([0, 32], top=255).tolist())"
    done = command("-c", code, PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}")
    assert (done.stdout, done.stderr) == ("[85, 170]\n", "")
    without = command("-c", code, PYTHONPATH=str(ROOT))
    assert "there is no operator 'ita_softmax'" in without.stderr


def test_the_tool_reads_vectors_and_refuses_other_folders(tmp_path: Path) -> None:
    tool = str(ROOT / "tools" / "outside_operators.py")
    done = command(tool, str(tmp_path), PYTHONPATH=str(ROOT))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "has no data to compare with" in done.stderr
    import hashlib

    folder, x = tmp_path / "sim" / "vectors" / "nonlinear", [0, 1, -1, 2**20, -(2**23)]
    folder.mkdir(parents=True)
    for change, code, told in ((0, 0, "5 of         5 elements agree"), (1, 1, "4 of         5 elements agree")):
        due = operator_oracles.heatvit_gelu(x)
        due[2] += change
        words = [len(x), *((v & 0xFFFFFF) | (y & 0xFFFFFF) << 24 for v, y in zip(x, due, strict=True))]
        data = "".join(f"{word:x}\n" for word in words).encode()
        (folder / "nonlinear.mem").write_bytes(data)
        listed = [{"name": "nonlinear.mem", "sha256": hashlib.sha256(data).hexdigest()}]
        (folder / "manifest.json").write_text(json.dumps({"files": listed}))
        done = command(tool, str(tmp_path), PYTHONPATH=str(ROOT))
        assert (done.returncode, done.stderr) == (code, "")
        assert told in done.stdout
