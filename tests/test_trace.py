"""Traces: every operator, every step, and the value they lead to."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

import intsim
from intsim import dialects
from intsim.debugging.inject import inject
from intsim.engine.graph import Graph, Node
from intsim.errors import IntsimError
from intsim.ops import REGISTRY
from intsim.quantization.synth import random_picture
from intsim.rules import named
from intsim.storage.golden_file import open_golden
from intsim.tracing.core import trace_element
from intsim.tracing.tracers import TRACERS, Element, Line

from networks import TINY, tiny_graph, window_graph


@pytest.mark.parametrize("name", dialects.DIALECTS)
def test_every_trace_ends_in_the_value_of_the_file(name: str, tmp_path: Path) -> None:
    """At random elements of every node, in every dialect: the last step is the value that the graph computed."""
    graph = tiny_graph(dialects.DIALECTS[name])
    path = tmp_path / "golden.h5"
    intsim.golden(graph, random_picture(TINY, 5), path, "full")
    rng = np.random.default_rng(1)
    with open_golden(path) as golden:
        for node in graph.nodes:
            for _ in range(3):
                index = [int(rng.integers(-n, n)) for n in graph.tensors[node.name].shape]
                found = trace_element(graph, golden, node.name, index)
                assert found.agrees, f"{node.name}{index}: {found.recorded} in the file, {found.lines}"


def test_every_operator_is_traced() -> None:
    """Every operator that does not only move values has a tracer."""
    moving = {name for name, op in REGISTRY.items() if op.moves}
    assert {"concat", "heads", "relative_positions", "roll"} <= moving
    assert set(TRACERS) == set(REGISTRY) - moving


@pytest.mark.parametrize("name", dialects.DIALECTS)
def test_every_element_of_a_shifted_window_is_traced(name: str, tmp_path: Path) -> None:
    graph, picture = window_graph(dialects.DIALECTS[name])
    path = tmp_path / "golden.h5"
    intsim.golden(graph, picture, path, "full")
    rng = np.random.default_rng(1)
    with open_golden(path) as golden:
        for node in graph.nodes:
            for _ in range(12):
                index = [int(rng.integers(n)) for n in graph.tensors[node.name].shape]
                found = trace_element(graph, golden, node.name, index)
                assert found.agrees, f"{node.name}{index}: {found.recorded} in the file, {found.lines}"
        regions = np.asarray(graph.by_name["softmax"].params["regions"])
        unseen = np.argwhere(regions[:, :, None] != regions[:, None])[:3]
        for window, i, j in ([0, 3, 3], *unseen.tolist()):
            names = [line.name for line in trace_element(graph, golden, "softmax", [window, 1, i, j]).lines]
            seen = ["x - max", "t", "q", "r", "e"] if regions[window, i] == regions[window, j] else ["e"]
            assert names == ["x", "region", "its region", "max", *seen, "sum", "f", "e * f", "out"]
        arms = {line.name: line for line in trace_element(graph, golden, "biased", [5, 2, 7, 9]).lines}
        assert arms["a"].how == "logits[5,2,7,9]"
        assert arms["c"].how == "bias[2,7,9]"
        assert [line.name for line in trace_element(graph, golden, "pooled", [4]).lines] == ["sum", "out"]
        moved = trace_element(graph, golden, "bias", [1, 6, 3]).lines[0]  # row 1, column 2 seen from row 0, column 3
        assert moved.how == f"from table[{(1 + 3) * 7 - 1 + 3},1]"
        assert trace_element(graph, golden, "rolled", [0, 0, 1]).lines[0].how == "from lut[2,2,1]"
        assert trace_element(graph, golden, "cut", [4, 6, 2]).lines[0].how == "from rolled[5,6,2]"


def test_requant_step_by_step(graph: Graph, golden_file: Path) -> None:
    name = "encoder.blocks.0.attn.logits.requant"
    with open_golden(golden_file) as golden:
        lines = {line.name: line for line in trace_element(graph, golden, name, [0, 3, 5]).lines}
    node = graph.by_name[name]
    m, e = node.params["m"], node.params["e"]
    assert list(lines) == ["acc", "product", "rounded", "out"]
    assert lines["product"].value == lines["acc"].value * m
    assert lines["product"].point == e
    whole, _, fraction = lines["product"].binary().partition(".")
    assert len(fraction.replace("_", "")) == e
    assert int((whole + fraction).replace("_", ""), 2) == lines["product"].value % 2 ** len(
        (whole + fraction).replace("_", "")
    )


def test_shiftmax_step_by_step(graph: Graph, golden_file: Path) -> None:
    with open_golden(golden_file) as golden:
        found = trace_element(graph, golden, "encoder.blocks.0.attn.softmax", [1, 2, 3])
    names = [line.name for line in found.lines]
    assert names == ["x", "max", "x - max", "t", "q", "r", "e", "sum", "f", "e * f", "out"]
    values = {line.name: line.value for line in found.lines}
    assert values["f"] == (2**31 - 1) // values["sum"]
    assert values["out"] == values["e"] * values["f"] >> 16


def test_a_device_that_got_one_value_wrong(graph: Graph, golden_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "dut.h5"
    path.write_bytes(golden_file.read_bytes())
    with h5py.File(path, "r+") as file:
        file["encoder.embedded"][2, 3] = 77
    with open_golden(path) as dut:
        found = trace_element(graph, dut, "encoder.embedded", [2, 3])
        assert not found.agrees
        assert found.recorded == 77
        assert trace_element(graph, dut, "encoder.embedded", [2, 4]).agrees


def test_tensors_not_in_the_file_are_recomputed(graph: Graph, golden_file: Path, image: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "few.h5"
    intsim.golden(graph, image, path, "boundary", ("image", "labels"))
    with open_golden(path) as few, open_golden(golden_file) as full:
        for name, index in (("encoder.blocks.0.norm1", [1, 2]), ("decoder.masks.requant", [3, 1])):
            assert trace_element(graph, few, name, index).value == trace_element(graph, full, name, index).value
    intsim.golden(graph, image, path, "boundary", ("labels",))
    with open_golden(path) as few, pytest.raises(IntsimError, match="contains neither image nor"):
        trace_element(graph, few, "encoder.embedded", [0, 0])


def test_missing_nodes_and_elements_are_refused(graph: Graph, golden_file: Path) -> None:
    with open_golden(golden_file) as golden:
        for index in ([0], [0, 0, 0], [0, 99], [-17, 0]):
            with pytest.raises(IntsimError, match="is not an element of its shape"):
                trace_element(graph, golden, "encoder.embedded", index)
        with pytest.raises(IntsimError, match="there is no node 'nowhere'"):
            trace_element(graph, golden, "nowhere", [0])


@pytest.mark.parametrize(
    ("value", "point", "hexadecimal", "binary"),
    [
        (0, 0, "0x00", "0000_0000"),
        (-1, 0, "0xff", "1111_1111"),
        (127, 0, "0x7f", "0111_1111"),
        (128, 0, "0x0080", "0000_0000_1000_0000"),
        (-128, 0, "0x80", "1000_0000"),
        (5, 1, "0x05", "000_0010.1"),
        (3, 15, "0x03", "0.0000_0000_0000_011"),
        (-2, 4, "0xfe", "1111.1110"),
    ],
)
def test_hexadecimal_and_binary_forms(value: int, point: int, hexadecimal: str, binary: str) -> None:
    line = Line("x", "", value, point)
    assert (line.hexadecimal(), line.binary()) == (hexadecimal, binary)


def test_an_exponential_beyond_64_bits() -> None:
    node = Node("out", "shift_exp", ("x",), {"x0": -1, "n": 15})
    x = np.array([[5, 60, 2000]])
    expected = REGISTRY["shift_exp"].ref(x, x0=-1, n=15, dialect=dialects.IVIT)
    for column in range(3):
        lines = list(TRACERS["shift_exp"](Element(node, [x], (0, column), dialects.IVIT)))
        assert lines[-1].value == int(expected[0, column])
        assert lines[-1].note.startswith("exp ~ ")
    assert int(expected[0, 2]) > 1 << 2000


def test_the_value_under_a_rule(graph: Graph, golden_file: Path) -> None:
    node = "encoder.blocks.0.attn.logits.requant"
    found = intsim.trace(golden_file, node, (0, 1, 2), model=graph, rules=["requant-rounding=floor", "bitflip:0"])
    with h5py.File(golden_file) as file:
        acc, right = int(file["encoder.blocks.0.attn.logits"][0, 1, 2]), int(file[node][0, 1, 2])
    m, e = (int(np.ravel(graph.by_name[node].params[key])[0]) for key in ("m", "e"))
    assert found.under == {"requant_rounding=floor": acc * m >> e, "bitflip:0": right ^ 1}
    assert found.record()["under"] == dict(found.under)
    assert not found.explained_by
    with pytest.raises(IntsimError, match="is not a rule that changes requant here"):
        intsim.trace(golden_file, node, (0, 1, 2), model=graph, rules=["nonsense"])
    image = intsim.trace(golden_file, "image", (0, 1, 2), model=graph, rules=["bitflip:0"])
    assert image.under["bitflip:0"] == image.value ^ 1


@pytest.mark.parametrize("rule", ["requant=float32:trunc", "multiplier_bits=10", "multiplier_bits=9:rounded"])
def test_a_trace_of_a_faulty_device_names_the_rule(rule: str, graph: Graph, golden_file: Path, tmp_path: Path) -> None:
    node, dut = graph.by_name["encoder.blocks.0.mlp.fc1.requant"], tmp_path / "dut.h5"
    with open_golden(golden_file) as reference:
        assert inject(graph, reference, {node.name: [named(graph, node, rule)]}, dut)[node.name]
    with h5py.File(golden_file) as right, h5py.File(dut) as wrong:
        index = tuple(int(i) for i in np.argwhere(right[node.name][()] != wrong[node.name][()])[0])
    found = intsim.trace(dut, node.name, index, model=graph)
    assert not found.agrees
    assert rule in found.explained_by
