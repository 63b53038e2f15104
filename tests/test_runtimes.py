"""Whole networks in compilers that `make compilers` installs: TVM, IREE, TOSA's reference model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import intsim
from intsim.compilers.execution import execute
from intsim.compilers.executors import executor
from intsim.compilers.onnx_model import onnx_model, save_onnx
from intsim.compilers.tosa_model import TosaModel
from intsim.compilers.tosa_reference import installed, run_reference
from intsim.dialects import DIALECTS
from intsim.engine.graph import Graph
from intsim.engine.interpreter import run
from intsim.errors import IntsimError
from intsim.quantization import quantize_weights
from intsim.quantization.synth import random_picture, random_weights

from networks import TINY, TINY_DEIT, TINY_SWIN

ROOT = Path(__file__).parent.parent
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
