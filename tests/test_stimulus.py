"""Stimuli for single nodes: what they expose, what no input shows, and the files that a bench is given."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

import intsim
from intsim.debugging.core import diff
from intsim.dialects import DIALECTS
from intsim.engine.graph import CONSTANT, INPUT, Graph, Node, input_node
from intsim.engine.interpreter import replay
from intsim.measurement.drives import drives
from intsim.measurement.exposure import exposure
from intsim.measurement.limits import never
from intsim.measurement.stimulus import file_names, save, stimuli_beyond, stimulus
from intsim.rules import NotApplicable, catalogue, computation_of, compute, named
from intsim.storage.golden_file import open_golden

from networks import TINY_SWIN, tiny_classifier, tiny_graph, window_graph

Cli = Callable[..., tuple[int, str, str]]


def requantizing(seed: int, dialect: str, bits: int = 8) -> Graph:
    """A linear layer of three channels and a requantization, small enough to try every accumulator."""
    rng = np.random.default_rng(seed)
    weight = rng.integers(-9, 10, (3, 3))
    e = rng.integers(17, 24, 3)
    m = rng.integers(1 << 10, 1 << 16, 3) << rng.integers(0, 8, 3)
    nodes = [
        input_node("image", 8, 12, 1.0),
        Node("lut", "input_lut", ("image",), {"table": np.tile(np.arange(-128, 128), (3, 1))}),
        Node("acc", "linear", ("lut",), {"weight": weight, "bias": rng.integers(-99, 99, 3)}),
        Node("out", "requant", ("acc",), {"m": m, "e": e, "b": bits}),
    ]
    return Graph(nodes, DIALECTS[dialect])


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("seed", range(4))
def test_what_no_accumulator_shows_is_what_is_said_to_be_so(seed: int, dialect: str) -> None:
    """Every accumulator within the bounds, in every channel: a rule is exposed, or equal everywhere. Nothing else."""
    graph = requantizing(seed, dialect, 8 if seed % 2 else 16)
    node, bound = graph.by_name["out"], graph.tensors["acc"]
    every = np.repeat(np.arange(bound.lo, bound.hi + 1)[:, None], 3, axis=1).astype(np.int32)
    right = compute(graph, node, computation_of(graph, node), [every])
    found = stimulus(graph, "out")
    exposed = {name for one in found.stimuli for name in one.exposes}
    assert not found.unfound
    assert exposed.isdisjoint(found.never)
    for rule in catalogue(graph, node):
        if rule.value is None:
            continue  # orders of elements
        wrong = compute(graph, node, rule.alter(computation_of(graph, node)), [every])
        assert np.array_equal(wrong, right) == (rule.name in found.never), (rule.name, found.never.get(rule.name))


def adversary(graph: Graph, node: Node, rng: np.random.Generator) -> list[np.ndarray]:
    """Values of a node's inputs of no plan: any magnitude, often at the ends, constants as they are."""
    inputs = []
    for name in node.inputs:
        bound = graph.tensors[name]
        if graph.by_name[name].op == CONSTANT:
            inputs.append(np.asarray(graph.by_name[name].params["value"]))
            continue
        limit = int(rng.integers(1, 1 << int(rng.integers(1, 32))))
        x = rng.integers(max(bound.lo, -limit), min(bound.hi, limit), bound.shape, np.int64, endpoint=True)
        if rng.random() < 0.4:  # rows of one value each, nearly
            x = np.clip(x[..., :1] + rng.integers(0, 2, bound.shape) * rng.integers(0, 2), bound.lo, bound.hi)
        ends = rng.random(bound.shape) < rng.random() * rng.integers(0, 2)
        x = np.where(ends, np.where(rng.random(bound.shape) < rng.random(), bound.lo, bound.hi), x)
        if bound.row_sum is not None:
            x = x * bound.row_sum // np.maximum(np.abs(x).sum(-1, keepdims=True), bound.row_sum)
        inputs.append(x.astype(bound.fmt.dtype))
    return inputs


@pytest.mark.parametrize("network", ["segmenter", "windows", "swin", *(name for name in DIALECTS if name != "isegmenter")])
def test_an_adversary_exposes_nothing_that_is_said_never_to_show(network: str) -> None:
    if network == "windows":
        graph = window_graph()[0]
    elif network == "swin":
        graph = tiny_classifier(TINY_SWIN)
    else:
        graph = tiny_graph(DIALECTS[network] if network in DIALECTS else DIALECTS["isegmenter"])
    rng, tried = np.random.default_rng(7), 0
    for node in graph.nodes[:: 1 if network == "windows" else 7]:
        if node.op in (INPUT, CONSTANT):
            continue
        found = stimulus(graph, node.name, seed=1)
        rules = {rule.name: rule for rule in catalogue(graph, node)}
        assert sorted([*found.never, *found.unfound, *(n for s in found.stimuli for n in s.exposes)]) == sorted(rules)
        for _ in range(10):
            inputs = adversary(graph, node, rng)
            try:
                right = replay(graph, node, inputs)
            except intsim.IntsimError:
                continue  # a wrapped sum of 0
            for name in found.never:
                try:
                    wrong = compute(graph, node, rules[name].alter(computation_of(graph, node)), inputs)
                except NotApplicable:
                    continue
                assert np.array_equal(wrong, right), (node.name, name, found.never[name])
                tried += 1
    assert tried > 100


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_row_of_negative_values_needs_the_whole_sum_of_a_gelu(dialect: str) -> None:
    """exp(-maximum) is large where all values are negative: a short sum is a mistake there."""
    graph = tiny_graph(DIALECTS[dialect])
    for node in graph.nodes:
        if not node.op.endswith("gelu"):
            continue
        bound = graph.tensors[node.inputs[0]]
        rows = [np.full(bound.shape, value, bound.fmt.dtype) for value in range(bound.lo, 0, 7)]
        for rule in catalogue(graph, node):
            if not never(graph, node, rule):
                continue
            for x in rows:
                wrong = compute(graph, node, rule.alter(computation_of(graph, node)), [x])
                assert np.array_equal(wrong, replay(graph, node, [x])), (node.name, rule.name, never(graph, node, rule))


def test_drives_are_within_bounds(graph: Graph) -> None:
    for network in (graph, window_graph()[0]):
        for node in network.nodes:
            if not node.inputs:
                continue
            for number, drive in enumerate(drives(network, node)):
                for name, x in zip(node.inputs, drive.inputs, strict=True):
                    bound = network.tensors[name]
                    assert (x.shape, x.dtype) == (bound.shape, bound.fmt.dtype)
                    assert bound.lo <= x.min() <= x.max() <= bound.hi
                    if bound.row_sum is not None:
                        assert np.abs(x.astype(np.int64)).sum(-1).max() <= bound.row_sum
                    if network.by_name[name].op == CONSTANT:
                        np.testing.assert_array_equal(x, network.by_name[name].params["value"])
                if number > 20:
                    break


def test_a_short_register_is_no_mistake_where_it_is_long_enough(graph: Graph) -> None:
    node = graph.by_name["encoder.blocks.0.mlp.fc1"]
    bound = graph.tensors[node.name]
    enough = max(bound.hi.bit_length(), (-bound.lo - 1).bit_length()) + 1
    widths = (31, 30, 28, 24, 20, 18, 16)
    said = {bits: never(graph, node, named(graph, node, f"accumulator_bits={bits}")) for bits in widths}
    assert {bits for bits, reason in said.items() if reason} == {bits for bits in widths if bits >= enough}
    assert {bits for bits in widths if bits >= enough} not in (set(), set(widths))
    assert said[31] == f"its values need no more than 31 bits: {bound.lo:,} to {bound.hi:,}"


def test_most_of_what_a_picture_leaves_is_found(graph: Graph, image: np.ndarray) -> None:
    seen = exposure(graph, image, names=[node.name for node in graph.nodes[::4]])
    found = stimuli_beyond(graph, seen)
    assert found.exposed + found.unfound + sum(len(node.never) for node in found.nodes) == seen.unseen
    assert found.exposed > 50
    assert found.share >= 0.95


def test_the_files_are_golden_files_of_one_node(graph: Graph, tmp_path: Path) -> None:
    """A device that has one of the mistakes is found out by the file that is said to expose it, reason and all."""
    name = "encoder.blocks.0.attn.qkv.requant"
    found = stimulus(graph, name, ["saturation=wrap", "m+1", "multiplier_bits=24"])
    exposed = [(file, rule) for file, one in zip(file_names(found), found.stimuli, strict=True) for rule in one.exposes]
    assert len(exposed) >= 2
    seen = exposure(graph, np.zeros((24, 40, 3), np.uint8), names=[name])
    paths = save(graph, stimuli_beyond(graph, seen), tmp_path)
    assert paths[0].name == f"{name}.h5"
    for path in paths:
        with open_golden(path) as reference:
            assert reference.stimulus == name
            assert list(reference.tensors) == ["encoder.blocks.0.attn.qkv", name]
            node, inputs = graph.by_name[name], [reference.tensors["encoder.blocks.0.attn.qkv"].values[()]]
            np.testing.assert_array_equal(replay(graph, node, inputs), reference.tensors[name].values[()])
    shown = stimuli_beyond(graph, seen).nodes[0].stimuli[0].exposes
    rule = next(rule for rule in shown if rule.startswith("multiplier_bits"))
    inputs = _inputs(paths[0])
    wrong = compute(graph, node, named(graph, node, rule).alter(computation_of(graph, node)), inputs)
    np.savez(tmp_path / "dut.npz", **{name: wrong})
    result = diff(paths[0], tmp_path / "dut.npz", graph, isolated=True)
    assert result.culprits == [name]
    assert rule in [fit.name for fit in result.explanations[0].fits]


def _inputs(path: Path) -> list[np.ndarray]:
    with h5py.File(path) as file:
        return [file["encoder.blocks.0.attn.qkv"][()]]


def test_the_command(cli: Cli) -> None:
    code, out, err = cli("stimulus golden.h5 *.norm1* -m model.h5 -o made")
    assert (code, err) == (0, "")
    assert "mistakes we know the picture shows" in out
    assert "files, one per stimulus" in out
    files = sorted(path.name for path in Path("made").iterdir())
    code, out, _ = cli("stimulus golden.h5 *.norm1* -m model.h5 -o again --json")
    record = json.loads(out)
    assert code == 0
    assert sorted(item["file"] for node in record["nodes"] for item in node["stimuli"]) == files
    assert sorted(path.name for path in Path("again").iterdir()) == files
    first = record["nodes"][0]["stimuli"][0]["file"]
    assert Path("made", first).read_bytes() == Path("again", first).read_bytes()
    code, out, _ = cli(f"diff made/{first} again/{first} --isolated -m model.h5")
    assert (code, out.splitlines()[0].partition(":")[0]) == (0, "identical")


def test_what_has_no_stimulus(cli: Cli) -> None:
    Path("file").touch()
    for arguments, said in (
        ("golden.h5 image -m model.h5", "image: no inputs to drive"),
        ("golden.h5 encoder.pos_embed -m model.h5", "encoder.pos_embed: no inputs to drive"),
        ("golden.h5 nothing* -m model.h5", "'nothing*' matches no node"),
        ("golden.h5 -m model.h5 -o file", "file: is a file; name a folder"),
        ("model.h5", "model.h5: "),
    ):
        code, out, err = cli(f"stimulus {arguments}")
        assert (code, out, len(err.splitlines())) == (2, "", 1), err
        assert said in err
    assert not Path("stimuli").exists()


def test_a_stimulus_has_no_picture_to_score(cli: Cli) -> None:
    assert cli("stimulus golden.h5 encoder.blocks.0.norm1 -m model.h5 -o made")[0] == 0
    code, _, err = cli("score made/encoder.blocks.0.norm1.h5 -m model.h5")
    assert code == 2
    assert "is a stimulus for encoder.blocks.0.norm1, so there is no picture to judge" in err


def test_a_node_without_inputs(graph: Graph) -> None:
    with pytest.raises(intsim.IntsimError, match="is the picture; it has no inputs to drive"):
        stimulus(graph, "image")
