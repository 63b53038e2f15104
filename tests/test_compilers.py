"""Networks as integer-only ONNX: what standard runtimes compute is what the reference computes, and who errs is named."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import intsim
from intsim.arith import I32, I64, TensorBound
from intsim.compilers import executors, matrix
from intsim.compilers.execution import execute
from intsim.compilers.matrix import DIFFERS, EXACT, REFUSED, Verdict, difference, verdicts
from intsim.compilers.onnx_form import OPSET, Body, carrier
from intsim.compilers.onnx_model import onnx_model, require_integers, save_onnx
from intsim.compilers.primitives import primitive_cases
from intsim.compilers.tosa_model import TosaModel
from intsim.dialects import DIALECTS, Dialect
from intsim.engine.graph import Graph
from intsim.engine.interpreter import run
from intsim.errors import FileError, IntsimError
from intsim.ops import REGISTRY, Op
from intsim.quantization import Recipe, quantize_weights
from intsim.quantization.synth import random_picture, random_weights
from intsim.symbols import evaluate, trace
from intsim.symbols.build import Expressions
from intsim.symbols.expression import in_order
from intsim.symbols.saturation import limited

from checking import calls_of_vectors
from networks import TINY, TINY_DEIT, TINY_SWIN

Cli = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parent.parent
EVERY = [(op, dialect) for op in REGISTRY.values() for dialect in (DIALECTS.values() if op.choices else [None])]
every_operator = pytest.mark.parametrize(("op", "dialect"), EVERY, ids=lambda value: getattr(value, "name", "no dialect"))
ONNX_TYPES = {np.dtype(np.int32): TensorProto.INT32, np.dtype(np.int64): TensorProto.INT64}


def single(op: Op, arrays: list[NDArray], params: Mapping[str, Any], dialect: Dialect | None) -> NDArray | None:
    """The result of one operator's form in onnxruntime; None where it has none, because 64 bits are not enough."""
    bounds = [TensorBound(x.shape, op.port(i), int(x.min()), int(x.max())) for i, x in enumerate(arrays)]
    traced = trace(op, bounds, params, dialect)
    inputs = {name: value.astype(np.int64) for name, value in zip(traced.inputs, arrays, strict=True)}
    steps = limited({"out": traced.out})
    if not all(I64.holds(node.lo, node.hi) for node in in_order(steps.values())):
        with pytest.raises(IntsimError, match="which 64 bits do not hold"):
            Body(steps)
        return None
    body = Body(steps)
    given = [helper.make_tensor_value_info(name, TensorProto.INT64, value.shape) for name, value in inputs.items()]
    out = helper.make_tensor_value_info("out", carrier(traced.out), traced.out.shape)
    graph = helper.make_graph(body.nodes, op.name, given, [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    require_integers(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: NDArray = session.run(None, inputs)[0]
    return found


@every_operator
def test_every_operator_on_its_vectors(op: Op, dialect: Dialect | None) -> None:
    tried = without = 0
    for note, arrays, params in calls_of_vectors(op, dialect):
        try:
            bounds = [TensorBound.full(x.shape, op.port(i)) for i, x in enumerate(arrays)]
            op.output(bounds, params, dialect)
            due = op.intermediates(arrays, params, dialect)["out"]
        except ValueError:
            continue  # refused
        found = single(op, arrays, params, dialect)
        if found is None:
            without += 1
            continue
        assert found.shape == due.shape
        assert (found == due).all(), (note, params)
        tried += 1
    assert tried > 2 * without


def graph_of(config: dict[str, Any], dialect: str = "isegmenter", recipe: Recipe | None = None) -> Graph:
    weights, picture = random_weights(config, 3), random_picture(config, 4)
    return quantize_weights(weights, config, [picture], DIALECTS[dialect], "random", recipe)


def tensors_of(graph: Graph, picture: NDArray) -> dict[str, NDArray]:
    seen: dict[str, NDArray] = {}
    run(graph, picture, lambda name, value: seen.__setitem__(name, value.copy()))
    return seen


def differing(model: Any, graph: Graph, picture: NDArray) -> list[str]:
    """The outputs that onnxruntime computes otherwise than the interpreter."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(names, {graph.input.name: picture}), strict=True))
    due = tensors_of(graph, picture)
    return [name for name in names if not np.array_equal(found[name], due[name])]


NETWORKS = {"segmenter": TINY, "deit": TINY_DEIT | {"distilled": True}, "swin": TINY_SWIN}


@pytest.mark.parametrize("config", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_tensor_of_a_network(config: dict[str, Any], dialect: str) -> None:
    graph, picture = graph_of(config, dialect), random_picture(config, 9)
    model = onnx_model(graph, ["*"], inline=True)
    assert len(model.graph.output) == len(graph.nodes) - 1
    assert not model.functions
    assert differing(model, graph, picture) == []


@pytest.mark.parametrize(
    ("config", "width", "dialect"),
    [(TINY, 24, "isegmenter"), (TINY_DEIT, 24, "ivit-tvm"), (TINY_SWIN, 32, "ivit-tvm")],
    ids=["segmenter", "deit", "swin"],
)
def test_narrow_forms_of_networks(width: int, config: dict[str, Any], dialect: str, tmp_path: Path) -> None:
    """No tensor of 64 bits but shapes; those that the width does not hold are digits, which become whole in a dump."""
    graph, picture = graph_of(config, dialect), random_picture(config, 9)
    model = onnx_model(graph, ["*"], inline=True, width=width)
    known = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*known.value_info, *known.output)}
    counts = {node.output[0] for node in known.node if node.op_type == "ArgMax"}
    assert {kind for name, kind in types.items() if name not in counts} <= {TensorProto.INT32, TensorProto.BOOL}
    split = {output.name.partition(".limb")[0] for output in model.graph.output if ".limb" in output.name}
    wide = {name for name, tensor in graph.tensors.items() if not -(2**24) <= tensor.lo <= tensor.hi < 2**24}
    assert split == (wide if width == 24 else set())
    save_onnx(model, tmp_path / "net.onnx")
    found, due = execute(tmp_path / "net.onnx", picture, "onnxruntime").tensors, tensors_of(graph, picture)
    assert list(found) == list(due)
    assert [name for name, value in found.items() if not np.array_equal(value, due[name])] == []


def test_functions_and_layers() -> None:
    """One node per operator, in the domain of its dialect; only what is asked for is an output."""
    graph, picture = graph_of(TINY), random_picture(TINY, 9)
    model = onnx_model(graph, ["encoder.blocks.0.*", "!*.requant"])
    assert {node.domain for node in model.graph.node} == {"", "intsim", "intsim.isegmenter"}
    assert [node.output[0] for node in model.graph.node] == [node.name for node in graph.nodes[1:]]
    assert all("encoder.blocks.0." in output.name for output in list(model.graph.output)[:-1])
    assert model.graph.output[-1].name == graph.output.name
    assert differing(model, graph, picture) == []
    assert len({function.name for function in model.functions}) == len(model.functions)
    assert all(function.doc_string for function in model.functions)
    record = json.loads(next(entry.value for entry in model.metadata_props if entry.key == "intsim"))
    assert record["model_sha256"] == graph.content_hash
    assert record["formats"]["labels"] == str(graph.tensors["labels"].fmt)
    with pytest.raises(IntsimError, match="nothing"):
        onnx_model(graph, ["nothing"])


@pytest.mark.parametrize("name", ["deit", "swin", "segmenter"])
def test_recordings_of_ivit(name: str) -> None:
    graph = intsim.quantize(ROOT / "golden" / f"ivit-{name}-mini.npz").graph
    height, width, _ = graph.tensors[graph.input.name].shape
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    assert differing(onnx_model(graph, ["*"]), graph, picture) == []


# --- the form ---------------------------------------------------------------------------------------------------------


def test_a_saturation_limits_shifts() -> None:
    """An exponential of hundreds of bits below a saturated sum: the same sum, in 64 bits."""
    build = Expressions()
    k, shift = build.input("k", (5,), 1, 40), build.input("shift", (5,), 0, 300)
    total = build("minimum", build("add", build("left_shift", k, shift), build.constant(7)), build.constant(2**31 - 1))
    small = limited({"out": total})["out"]
    given = {"k": np.array([1, 40, 3, 9, 2]), "shift": np.array([0, 300, 28, 31, 30])}
    assert evaluate([small], given)[0].tolist() == evaluate([total], given)[0].tolist()
    assert max(node.hi for node in small.args) < 2**63
    exact = build("left_shift", k, shift)
    assert limited({"out": total, "other": exact})["other"].hi == exact.hi, "needed in full elsewhere"


def test_floats_are_refused() -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    model = helper.make_model(helper.make_graph([helper.make_node("Abs", ["x"], ["y"])], "g", [value], [out]))
    with pytest.raises(IntsimError, match="is a float tensor in a model that must have none"):
        require_integers(model)


def test_what_has_no_form_is_named() -> None:
    build = Expressions()
    x = build.input("x", (2,), -5, 5)
    for kind, other in (("bitwise_and", 6), ("bitwise_or", 1), ("bitwise_xor", 3)):
        with pytest.raises(IntsimError, match=f"{kind} .*has no form of its own in ONNX"):
            Body({"out": build(kind, x, build.constant(other))})
    assert I32.holds(x.lo, x.hi)


# --- commands -----------------------------------------------------------------------------------------------------------


def saved(graph: Graph) -> NDArray:
    """model.h5, p.png and g.h5 of a network; its picture."""
    height, width, _ = graph.tensors[graph.input.name].shape
    picture = np.random.default_rng(5).integers(0, 256, (height, width, 3)).astype(np.uint8)
    intsim.save(graph, "model.h5")
    Image.fromarray(picture).save("p.png")
    return picture


def test_from_a_model_to_a_dump(cli: Cli) -> None:
    """Two files by default; what a runtime computes is identical, and only what was asked for is in the dump."""
    saved(graph_of(TINY))
    assert cli("golden p.png -m model.h5 --level full -o g.h5")[0] == 0
    code, out, _ = cli("export model.h5 --onnx net.onnx --layers *")
    assert code == 0
    assert [line.partition(":")[0] for line in out.splitlines()] == ["net.onnx", "net_inline.onnx"]
    assert "functions" in out.splitlines()[0]
    assert "standard operators" in out.splitlines()[1]
    for file, runtime in (("net.onnx", "onnx"), ("net_inline.onnx", "onnx"), ("net.onnx", "onnxruntime")):
        code, out, _ = cli(f"execute {file} p.png --with {runtime} -o dut.h5")
        assert code == 0
        assert f"tensors by {runtime} " in out
        code, out, _ = cli("diff g.h5 dut.h5 -m model.h5 --isolated")
        assert (code, out.partition(":")[0]) == (0, "identical")
    assert cli("export model.h5 --onnx few.onnx --inline")[0] == 0
    assert not Path("few_inline.onnx").exists()
    code, out, _ = cli("execute few.onnx p.png -o few.h5")
    assert (code, "1 tensor by onnxruntime" in out) == (0, True)


class Narrow:
    """A runtime that saturates one requantization to -127 instead of -128."""

    REQUIRES = "nothing"

    def __init__(self, node: str) -> None:
        self.node = node

    def version(self) -> str:
        return "0"

    def compiled(self, path: Path) -> Any:
        model = onnx.load(str(path))
        model.graph.initializer.append(numpy_helper.from_array(np.array(-127, np.int32), "narrow"))
        nodes = list(model.graph.node)
        at = next(i for i, node in enumerate(nodes) if self.node in node.output)
        nodes[at].output[0] = "wide"
        nodes.insert(at + 1, helper.make_node("Max", ["wide", "narrow"], [self.node]))
        del model.graph.node[:]
        model.graph.node.extend(nodes)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return lambda inputs: dict(zip(names, session.run(names, dict(inputs)), strict=True))


def test_a_fault_of_a_runtime_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """An executor of another package, in which one operator errs: the operator and its rule."""
    graph = graph_of(TINY, recipe=Recipe(observer=intsim.quantization.recipe.Observer("percentile", 90.0)))
    picture = saved(graph)
    node = next(
        n.name
        for n in graph.nodes
        if n.name.endswith("fc1.requant") and (tensors_of(graph, picture)[n.name] == -128).sum() > 3
    )
    point = SimpleNamespace(name="mine", load=lambda: Narrow(node))
    monkeypatch.setattr(executors, "entry_points", lambda group: [point] if group == executors.GROUP else [])
    assert cli("golden p.png -m model.h5 --level full -o g.h5")[0] == 0
    assert cli("export model.h5 --onnx net.onnx --inline --layers *")[0] == 0
    code, out, _ = cli("execute net.onnx p.png --with mine -o dut.h5")
    assert (code, "by mine 0" in out) == (0, True)
    code, out, _ = cli("diff g.h5 dut.h5 -m model.h5 --isolated --json")
    found = json.loads(out)
    assert (code, found["culprits"]) == (1, [node])
    assert [explanation["rule"] for explanation in found["explanations"]] == ["saturation=symmetric"]


def test_bad_input(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, exit code 2, nothing written."""
    saved(graph_of(TINY))
    assert cli("export model.h5 --onnx net.onnx --inline")[0] == 0
    Image.fromarray(np.zeros((9, 7, 3), np.uint8)).save("small.png")
    Path("text.onnx").write_text("no model")
    external = onnx.load("net.onnx")
    onnx.save(external, "ext.onnx", save_as_external_data=True, location="ext.bin", size_threshold=0)
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    floats = helper.make_model(helper.make_graph([helper.make_node("Abs", ["x"], ["y"])], "g", [value], [value]))
    onnx.save(floats, "other.onnx")
    lied = onnx.load("net.onnx")
    lied.graph.initializer.append(numpy_helper.from_array(np.zeros(3, np.float32), "float"))
    onnx.save(lied, "float.onnx")
    broken = SimpleNamespace(name="broken", load=lambda: SimpleNamespace(REQUIRES="x", version=lambda: "1", compiled=fails))
    absent = SimpleNamespace(
        name="absent", value="a:b", load=lambda: SimpleNamespace(REQUIRES="some-package", version=missing, compiled=fails)
    )
    monkeypatch.setattr(executors, "entry_points", lambda group: [broken, absent])
    for words, message in {
        "execute net.onnx small.png": "is 7 x 9 pixels",
        "execute net.onnx none.png": "none.png",
        "execute none.onnx p.png": "none.onnx",
        "execute text.onnx p.png": "not an ONNX file, or damaged",
        "execute other.onnx p.png": "not an ONNX model of intsim's",
        "execute ext.onnx p.png": "has its values in another file",
        "execute float.onnx p.png": "float: is a float tensor",
        "execute net.onnx p.png --with nobody": "there is no executor 'nobody'; there are: onnxruntime, onnx, openvino,",
        "execute net.onnx p.png --with broken": "broken fails: no such instruction",
        "execute net.onnx p.png --with absent": "absent is not installed: pip install some-package",
        "execute net.onnx p.png -o net.onnx": "is an input of this command",
        "export model.h5 --onnx model.h5": "is an input of this command",
        "export model.h5 --onnx new.onnx --layers nothing": "nothing",
        "export model.h5 --onnx new.onnx --format hex": "--format does not go with --onnx; leave it out",
        "export model.h5 --inline": "--inline and --width go with --onnx FILE",
        "export model.h5 --width 24": "--inline and --width go with --onnx FILE",
        "export model.h5 --onnx new.onnx --width 16": "'16' is not one of '64', '32', '24'",
        "export p.png --onnx new.onnx": "p.png",
    }.items():
        code, out, err = cli(words + ("" if " -o " in words or "export" in words else " -o new.h5"))
        assert (code, out, len(err.splitlines())) == (2, "", 1), (words, err)
        assert message in err, (words, err)
        assert not list(Path().glob("new*"))


@pytest.mark.parametrize(
    "change",
    [
        {"formats": None},
        {"formats": {"labels": "q99"}},
        {"formats": {}},
        {"limbs": [], "width": 24, "limb_bits": 11},
        {"limbs": {"labels": ["x"]}, "width": 24, "limb_bits": 11},
        {"width": 24, "limb_bits": 7},
        {"model_sha256": "\0"},
        {"model_sha256": 3},
    ],
    ids=str,
)
def test_metadata_that_is_damaged(change: dict[str, Any], cli: Cli) -> None:
    """Said before anything is compiled, whatever it is."""
    saved(graph_of(TINY))
    assert cli("export model.h5 --onnx net.onnx --inline")[0] == 0
    model = onnx.load("net.onnx")
    record = json.loads(model.metadata_props[0].value)
    model.metadata_props[0].value = json.dumps({**record, **change})
    onnx.save(model, "edited.onnx")
    code, out, err = cli("execute edited.onnx p.png --with nothing-that-runs -o d.h5")
    assert (code, out) == (2, "")
    code, out, err = cli("execute edited.onnx p.png -o d.h5")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "what intsim wrote in it of its network is damaged" in err
    model.metadata_props[0].value = "null"
    onnx.save(model, "edited.onnx")
    assert "is damaged (no record)" in cli("execute edited.onnx p.png -o d.h5")[2]
    assert not Path("d.h5").exists()


def test_executors_of_other_packages_that_are_broken(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, and the others still run."""
    saved(graph_of(TINY))
    assert cli("export model.h5 --onnx net.onnx --inline")[0] == 0

    def module(**parts: Any) -> SimpleNamespace:
        return SimpleNamespace(
            **({"REQUIRES": "x", "version": lambda: "1", "compiled": lambda path: lambda inputs: {}} | parts)
        )

    def leaves() -> Any:
        raise SystemExit(3)

    broken = {
        "raises": (leaves, "executor raises: a:b cannot be loaded"),
        "empty": (lambda: SimpleNamespace(), "executor empty: a:b has no REQUIRES"),
        "ageless": (lambda: module(version=leaves), "its version() fails"),
        "quiet": (lambda: module(), "quiet: it returned no labels"),
        "listing": (lambda: module(compiled=lambda path: lambda inputs: [1]), "list instead of outputs by name"),
        "leaving": (lambda: module(compiled=lambda path: leaves()), "leaving fails"),
    }
    points = [SimpleNamespace(name=name, value="a:b", load=load) for name, (load, _) in broken.items()]
    monkeypatch.setattr(executors, "entry_points", lambda group: points)
    for name, (_, message) in broken.items():
        code, out, err = cli(f"execute net.onnx p.png --with {name} -o d.h5")
        assert (code, out, len(err.splitlines())) == (2, "", 1), (name, err)
        assert message in err, name
    assert not Path("d.h5").exists()


def test_a_file_with_functions_is_named_where_a_runtime_does_not_read_it(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(graph_of(TINY))
    assert cli("export model.h5 --onnx net.onnx")[0] == 0
    point = SimpleNamespace(
        name="plain", value="a:b", load=lambda: SimpleNamespace(REQUIRES="x", version=lambda: "1", compiled=fails)
    )
    monkeypatch.setattr(executors, "entry_points", lambda group: [point])
    assert "net.onnx has functions" in cli("execute net.onnx p.png --with plain -o d.h5")[2]
    assert "has functions" not in cli("execute net_inline.onnx p.png --with plain -o d.h5")[2]


def test_names_that_two_tensors_would_have() -> None:
    graph = graph_of(TINY)
    first = next(node for node in graph.nodes if node.op == "linear")
    nodes = [dataclasses.replace(node, name=f"{first.name}.weight") if node.op == "argmax" else node for node in graph.nodes]
    with pytest.raises(IntsimError, match=re.escape(f"two tensors would be called {first.name}.weight; rename the node")):
        onnx_model(Graph(tuple(nodes), graph.dialect, dict(graph.config)))


def test_a_dump_of_another_model_is_not_compared(cli: Cli) -> None:
    """It says which model it was exported from."""
    saved(graph_of(TINY))
    assert cli("golden p.png -m model.h5 --level full -o g.h5")[0] == 0
    intsim.save(graph_of(TINY, "rtl"), "other.h5")
    assert cli("export other.h5 --onnx other.onnx --inline --layers *")[0] == 0
    assert cli("execute other.onnx p.png -o dut.h5")[0] == 0
    code, _, err = cli("diff g.h5 dut.h5")
    assert (code, "were made from different models" in err) == (2, True)


def test_nothing_to_compute_in_tosa(cli: Cli) -> None:
    saved(graph_of(TINY))
    code, _, err = cli("export model.h5 --tosa part.mlir --layers image")
    assert (code, "nothing to compute" in err, Path("part.mlir").exists()) == (2, True, False)


def fails(path: Path) -> Any:
    raise RuntimeError("while lowering:\n  no such instruction\n")


def missing() -> str:
    raise ImportError("no module")


def test_what_is_executed_has_the_formats_of_the_network(tmp_path: Path) -> None:
    graph, picture = graph_of(TINY), random_picture(TINY, 9)
    save_onnx(onnx_model(graph, ["*"], inline=True), tmp_path / "net.onnx")
    found = execute(tmp_path / "net.onnx", picture, "onnxruntime")
    due = tensors_of(graph, picture)
    for name, value in found.tensors.items():
        assert value.dtype == due[name].dtype
        assert (value == due[name]).all()
    assert found.record["dialect"] == "isegmenter"
    with pytest.raises(FileError, match="not an ONNX file, or damaged"):
        execute(ROOT / "README.md", picture, "onnxruntime")


# --- cases --------------------------------------------------------------------------------------------------------------


def test_primitives_say_what_the_standard_says() -> None:
    """ONNX's own reference gives every due output; single operators, integers and booleans alone."""
    cases = list(primitive_cases())
    assert len({case.name for case in cases}) == len(cases) > 25
    found = verdicts(cases, "onnx")
    assert [verdict for verdict in found if verdict.outcome != EXACT] == []
    for case in cases:
        assert [node.op_type for node in case.model.graph.node] == [case.subject.partition(" ")[0]]
        assert case.why
        require_integers(case.model)


def test_cases_are_folders_of_a_backend_test(cli: Cli) -> None:
    """The layout of ONNX's backend tests; their answers are the reference's, and the vectors' that the command names."""
    code, out, _ = cli("vectors gen requant --dialect rtl --onnx cases")
    assert code == 0
    folders = sorted(Path("cases").iterdir())
    assert f"cases: {len(folders)} cases; " in out
    for folder in folders:
        data = folder / "test_data_set_0"
        model = onnx.load(folder / "model.onnx")
        inputs = {t.name: numpy_helper.to_array(t) for t in map(onnx.load_tensor, sorted(data.glob("input_*.pb")))}
        (due,) = map(onnx.load_tensor, data.glob("output_*.pb"))
        assert due.name == model.graph.output[0].name
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        (found,) = session.run(None, inputs)
        assert found.dtype == numpy_helper.to_array(due).dtype
        assert (found == numpy_helper.to_array(due)).all()
    for words, message in {
        "vectors gen requant --onnx cases": "cases: is not empty; name a new folder",
        "vectors gen requant --onnx new --questions": "leave out --questions and -o",
        "compilers --write cases": "cases: is not empty; name a new folder",
        "compilers nothing": "there is no operator 'nothing'",
        "compilers --primitives requant": "leave out the operators",
        "compilers --with nobody": "there is no executor 'nobody'",
    }.items():
        code, _, err = cli(words)
        assert (code, len(err.splitlines())) == (2, 1), words
        assert message in err
    assert not Path("new").exists()


def test_the_matrix(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is exact, what differs and where, what is refused and why, and what was skipped."""
    code, out, _ = cli("compilers requant mean --with onnxruntime --with onnx --cases 3")
    assert code == 0
    assert [line.split() for line in out.splitlines()[-2:]] == [["requant", "3/3", "3/3"], ["mean", "3/3", "3/3"]]
    code, out, _ = cli("compilers requant --with onnx --cases 2 --json")
    record = json.loads(out)
    assert (code, list(record["runtimes"]), len(record["cases"])) == (0, ["onnx"], 2)
    assert {case["outcome"] for case in record["cases"]} == {"exact"}

    def judged(cases: list[Any], runtime: str, step: Any) -> list[Verdict]:
        outcomes = [DIFFERS, REFUSED, EXACT]
        return [
            Verdict(runtime, case.name, case.subject, outcome, f"{outcome} because")
            for case, outcome in zip(cases, outcomes, strict=True)
        ]

    monkeypatch.setattr(matrix, "verdicts", judged)
    code, out, _ = cli("compilers requant --with onnx --cases 3")
    assert code == 1
    assert "differs 1/3" in out
    assert "onnx differs: requant, case requant_isegmenter_" in out
    assert "differs because" in out


def test_differences_in_words() -> None:
    due = np.array([[1, 2], [3, -1]], np.int32)
    assert difference(due.copy(), due) == ""
    assert difference(due.view(np.uint32), due) == "", "signless"
    assert difference(due + (due == 3), due) == "1 of 4, first [1, 0]: 4 instead of 3"
    assert difference(due.ravel(), due) == "shape [4] instead of [2, 2]"


def test_a_crash_is_an_outcome(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A runtime that takes its process with it: the other cases are tried all the same, in a new one."""
    (tmp_path / "crashing.py").write_text(CRASHING)
    info = tmp_path / "crashing-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: crashing\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[intsim.executors]\ncrashing = crashing\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "intsim", "compilers", "--primitives", "--with", "crashing", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    outcomes = {case["subject"]: case["outcome"] for case in json.loads(done.stdout)["cases"]}
    assert outcomes.pop("ArgMax int32") == "crashed"
    assert set(outcomes.values()) == {"refused"}
    assert done.returncode == 1, "not every case is exact"


CRASHING = """
import os
REQUIRES = "crashing"
def version(): return "1"
def compiled(path):
    os.kill(os.getpid(), 11) if b"ArgMax" in path.read_bytes() else None
    raise RuntimeError("refused")
"""


def test_what_a_runtime_refuses_is_an_outcome() -> None:
    cases = [*islice(primitive_cases(), 2)]
    found = verdicts(cases, "nobody")
    assert [verdict.outcome for verdict in found] == [REFUSED] * 2
    assert "there is no executor 'nobody'" in found[0].detail


# --- TOSA ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["isegmenter", "rtl"])
def test_tosa_text(dialect: str) -> None:
    """One RESCALE for a requantization that rounds half up; no float type anywhere; every value is defined once."""
    graph = graph_of(TINY, dialect)
    text = TosaModel(graph).mlir()
    requantizations = sum(node.op == "requant" for node in graph.nodes)
    assert text.count('"tosa.rescale"') == (requantizations if dialect == "rtl" else 0)
    assert not re.search(r"xf\d\d|bf16", text)
    defined = re.findall(r"^ +(%\w+) = ", text, re.MULTILINE)
    assert len(defined) == len(set(defined))
    used = set(re.findall(r"%\w+", text))
    assert used == {*defined, "%arg0"}


def test_a_part_as_tosa(cli: Cli) -> None:
    saved(graph_of(TINY))
    code, out, _ = cli("export model.h5 --tosa block.mlir --layers 'encoder.blocks.0.*'")
    assert code == 0
    assert "tensors of 1 argument" in out
    assert 'tosa.tensor_name = "encoder.embedded"' in Path("block.mlir").read_text()
    for words, message in {
        "export model.h5 --tosa new.mlir --layers nothing": "nothing",
        "export model.h5 --tosa new.mlir --onnx new.onnx": "--onnx does not go with --tosa",
        "export model.h5 --tosa model.h5": "is an input of this command",
    }.items():
        code, out, err = cli(words)
        assert (code, out, len(err.splitlines())) == (2, "", 1), (words, err)
        assert message in err
        assert not list(Path().glob("new*"))
