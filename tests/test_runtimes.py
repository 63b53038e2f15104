"""Whole networks in compilers that `make compilers` installs: TVM, IREE, TOSA's reference model."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import intsim
from intsim.compilers.execution import execute
from intsim.compilers.executors import executor
from intsim.compilers.executors.iree_ import compiled_module
from intsim.compilers.onnx_model import onnx_model, save_onnx
from intsim.compilers.tosa_model import TosaModel
from intsim.compilers.tosa_reference import installed, run_reference
from intsim.compilers.tosa_text import TYPES
from intsim.dialects import DIALECTS
from intsim.engine.graph import Graph
from intsim.engine.interpreter import run
from intsim.errors import IntsimError
from intsim.ops import REGISTRY
from intsim.quantization import quantize_weights
from intsim.quantization.synth import random_picture, random_weights

from networks import TINY, TINY_DEIT, TINY_SWIN

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples" / "compilers"
NETWORKS = {"segmenter": TINY, "deit": TINY_DEIT | {"distilled": True}, "swin": TINY_SWIN}
every_network = pytest.mark.parametrize("config", NETWORKS.values(), ids=NETWORKS)
with_tosa = pytest.mark.skipif(not installed(), reason="tosa-tools is not installed: `make compilers` runs these")


def network(config: dict[str, Any], dialect: str) -> tuple[Graph, dict[str, NDArray]]:
    """A network of random weights, and every tensor of a run."""
    weights, picture = random_weights(config, 3), random_picture(config, 4)
    graph = quantize_weights(weights, config, [picture], DIALECTS[dialect], "random")
    return graph, tensors_of(graph, random_picture(config, 9))


def tensors_of(graph: Graph, picture: NDArray) -> dict[str, NDArray]:
    seen: dict[str, NDArray] = {graph.input.name: picture}
    run(graph, picture, lambda name, value: seen.__setitem__(name, value.copy()))
    return seen


@pytest.mark.parametrize("dialect", DIALECTS)
def test_openvino_is_exact_where_no_value_passes_24_bits(dialect: str, tmp_path: Path) -> None:
    """It computes int32 in float32."""
    try:
        executor("openvino")
    except IntsimError as error:
        pytest.skip(f"{error}: `make compilers` runs these")
    graph, due = network(TINY, dialect)
    save_onnx(onnx_model(graph, ["*"], inline=True, width=24), tmp_path / "net.onnx")
    found = execute(tmp_path / "net.onnx", due[graph.input.name], "openvino").tensors
    assert len(found) == len(graph.nodes)
    assert [name for name, value in found.items() if not np.array_equal(value, due[name])] == []


@every_network
@pytest.mark.parametrize("dialect", ["isegmenter", "ivit-tvm"])
@pytest.mark.parametrize("runtime", ["tvm", "iree"])
def test_onnx(runtime: str, dialect: str, config: dict[str, Any], tmp_path: Path) -> None:
    """Every tensor of the inlined file."""
    try:
        executor(runtime)
    except IntsimError as error:
        pytest.skip(f"{error}: `make compilers` runs these")
    graph, due = network(config, dialect)
    save_onnx(onnx_model(graph, ["*"], inline=True), tmp_path / "net.onnx")
    found = execute(tmp_path / "net.onnx", due[graph.input.name], runtime).tensors
    assert len(found) == len(graph.nodes)
    assert [name for name, value in found.items() if not np.array_equal(value, due[name])] == []


def test_tosa_in_iree(tmp_path: Path) -> None:
    """An encoder block of the shipped model: the same text that TOSA's reference model takes."""
    pytest.importorskip("iree.compiler", reason="iree is not installed: `make compilers` runs these")
    graph = intsim.load(ROOT / "weights" / "scenes.h5")
    due = tensors_of(graph, intsim.read_picture(ROOT / "examples" / "scenes" / "scene_00.png"))
    model = TosaModel(graph, ["encoder.blocks.0.*"])
    (tmp_path / "block.mlir").write_text(model.mlir(), encoding="utf-8")
    main = compiled_module(tmp_path / "block.mlir", iree_input_type="tosa")
    arguments = [due[name].astype(TYPES[model.type(name)]) for name in model.arguments]
    found = dict(zip(model.results, main(arguments), strict=True))
    assert len(found) == sum(node.name.startswith("encoder.blocks.0.") for node in graph.nodes)
    assert [name for name, value in found.items() if not np.array_equal(value, due[name])] == []


# --- the examples -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*_*.py")), ids=lambda path: path.stem)
def test_the_form_that_an_example_recommends_is_exact(script: Path) -> None:
    """Every script shows a disagreement, and those that name another form run it last."""
    if importlib.util.find_spec(script.stem.partition("_")[0]) is None:
        pytest.skip(f"{script.stem.partition('_')[0]} is not installed: `make compilers` runs these")
    done = subprocess.run([sys.executable, script.name], cwd=EXAMPLES, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    outcomes = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert outcomes
    if len(outcomes) > 1 and "--width" not in script.read_text(encoding="utf-8"):
        assert outcomes[-1].endswith(": exact")


# --- the deployment graph's own operators -----------------------------------------------------------------------------


def deployed_layernorm(rows: int, n: int, dtype: str) -> Any:
    """I-ViT's layer norm as its TVM graph has it, operator for operator, for a residual of a type."""
    tvm = pytest.importorskip("tvm", reason="apache-tvm is not installed: `make compilers` runs these")
    relax = tvm.relax
    op, builder = relax.op, relax.BlockBuilder()
    x, bias = relax.Var("x", relax.TensorType((rows, n), dtype)), relax.Var("bias", relax.TensorType((n,), "int32"))
    with builder.function("main", [x, bias]):
        with builder.dataflow():
            mean = builder.emit(op.divide(builder.emit(op.sum(x, axis=[1], keepdims=True)), relax.const(n, dtype)))
            y = builder.emit(op.astype(builder.emit(op.subtract(x, mean)), "int32"))
            squares = builder.emit(op.astype(builder.emit(op.multiply(y, y)), "uint32"))
            variance = builder.emit(op.sum(squares, axis=[1], keepdims=True))
            std = relax.const(2**16, "uint32")
            for _ in range(10):
                step = builder.emit(op.add(std, builder.emit(op.divide(variance, std))))
                std = builder.emit(op.divide(step, relax.const(2, "uint32")))
            factor = builder.emit(op.divide(relax.const(2**31 - 1, "int32"), builder.emit(op.astype(std, "int32"))))
            half = builder.emit(op.divide(builder.emit(op.multiply(factor, y)), relax.const(2, "int32")))
            out = builder.emit_output(op.add(half, bias))
        builder.emit_func_output(out)
    machine = relax.VirtualMachine(tvm.compile(builder.get(), "llvm"), tvm.cpu())
    return lambda a, b: machine["main"](tvm.runtime.tensor(a), tvm.runtime.tensor(b)).numpy()


@pytest.mark.parametrize(("dtype", "variance"), [("int16", "wrap16"), ("int32", "wrap32")])
@pytest.mark.parametrize("n", [1, 7, 192])
def test_the_layer_norm_of_the_deployment_graph(n: int, dtype: str, variance: str) -> None:
    """It requantizes the residual to int16, and Relay's mean sums in the type of its argument: the dialect has that."""
    deployed, draw = deployed_layernorm(500, n, dtype), np.random.default_rng(n)
    rules = DIALECTS["ivit-tvm"].replace(variance=variance)
    assert rules == DIALECTS["ivit-tvm"] or dtype == "int32"
    for deviation in (3, 300, 5000, 40000):
        values = draw.normal(0, deviation, (500, n)) + draw.normal(0, deviation, (500, 1))
        x = np.clip(values, -32768, 32767).astype(np.int16)
        bias = draw.integers(-(2**28), 2**28, n).astype(np.int32)
        assert np.array_equal(deployed(x.astype(dtype), bias), REGISTRY["layernorm"].ref(x, bias, dialect=rules))


@with_tosa
@every_network
@pytest.mark.parametrize("dialect", DIALECTS)
def test_tosa(dialect: str, config: dict[str, Any]) -> None:
    """Every tensor of the whole network in the reference model."""
    graph, due = network(config, dialect)
    model = TosaModel(graph)
    assert model.arguments == [graph.input.name]
    found = run_reference(model, due)
    assert [name for name, value in found.items() if not np.array_equal(value, due[name])] == []


@with_tosa
def test_an_encoder_block_of_the_shipped_model() -> None:
    graph = intsim.load(ROOT / "weights" / "scenes.h5")
    due = tensors_of(graph, intsim.read_picture(ROOT / "examples" / "scenes" / "scene_00.png"))
    found = run_reference(TosaModel(graph, ["encoder.blocks.1.*"]), due)
    assert len(found) == sum(node.name.startswith("encoder.blocks.1.") for node in graph.nodes)
    assert [name for name, value in found.items() if not np.array_equal(value, due[name])] == []
