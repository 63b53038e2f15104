"""Isolation and explanation: the faulty node and no other is found, and the rule that it broke."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import intsim
from intsim import resources
from intsim.debugging.core import Diff, diff
from intsim.debugging.explain import bits_changed
from intsim.debugging.inject import inject
from intsim.engine.graph import Graph
from intsim.engine.interpreter import replay
from intsim.errors import IntsimError, ModelNotFound
from intsim.rules import Bit, catalogue, named
from intsim.rules.layout_faults import LAYOUT_FAULTS
from intsim.storage.golden_file import open_golden
from intsim.storage.pictures import read_picture

from networks import tiny_graph, window_graph

ATTENTION = "encoder.blocks.0.attn"


@pytest.fixture(scope="module")
def shipped() -> Graph:
    """The shipped model."""
    return intsim.load(resources.model())


@pytest.fixture(scope="module")
def shipped_golden(shipped: Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its golden file at level full."""
    path = tmp_path_factory.mktemp("shipped") / "golden.h5"
    intsim.golden(shipped, read_picture(resources.picture(), 128, 128), path, "full")
    return path


@pytest.fixture(scope="module")
def dut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of a device's dump."""
    return tmp_path_factory.mktemp("dut") / "dut.h5"


def fault(graph: Graph, golden: Path, dut: Path, *faults: tuple[str, str]) -> dict[str, int]:
    """Write a dump with faults given as node and rule; how many elements each node gets wrong by itself."""
    rules: dict[str, list] = {}
    for name, rule in faults:
        rules.setdefault(name, []).append(named(graph, graph.by_name[name], rule))
    with open_golden(golden) as reference:
        return inject(graph, reference, rules, dut)


def shown_by(graph: Graph, golden: Path, dut: Path, *faults: tuple[str, str]) -> dict[str, int] | None:
    """How many elements each fault gets wrong; None where one cannot be computed, for example a division by a sum of 0."""
    try:
        return fault(graph, golden, dut, *faults)
    except IntsimError as error:
        if "cannot be computed here" not in str(error):
            raise
        return None


def isolated(graph: Graph, golden: Path, dut: Path) -> Diff:
    return diff(golden, dut, graph, isolated=True)


def names(result: Diff, position: int = 0) -> list[str]:
    """The rules that explain a culprit."""
    return [candidate.name for candidate in result.explanations[position].fits]


def every_rule(graph: Graph) -> dict[tuple[str, str], list[str]]:
    """Every rule of every operator, and the nodes that have it."""
    found: dict[tuple[str, str], list[str]] = {}
    for node in graph.nodes:
        for rule in catalogue(graph, node):
            found.setdefault((node.op, rule.name), []).append(node.name)
    return found


def devices(graph: Graph) -> Iterator[list[tuple[str, str]]]:
    """Devices with many faults each, at most one per node: together they break every rule of `every_rule` once.

    A layout fault is not broken twice in one device: the second could undo the first.
    """
    waiting = {rule: list(nodes) for rule, nodes in every_rule(graph).items()}
    while waiting:
        device: dict[str, str] = {}
        for rule, nodes in list(waiting.items()):
            free = [node for node in nodes if node not in device]
            if free and not (rule[1] in LAYOUT_FAULTS and rule[1] in device.values()):
                device[free[0]] = rule[1]
                del waiting[rule]
        yield list(device.items())


def found_again(graph: Graph, golden: Path, dut: Path) -> tuple[set[tuple[str, str]], int, int]:
    """Break every rule once, and require that exactly the nodes with a fault that shows are named, each with its rule.

    Returns the rules that showed, by operator, how many had no effect, and how many could not be computed.
    """
    shown: set[tuple[str, str]] = set()
    without_effect = refused = 0
    waiting = list(devices(graph))
    while waiting:
        device = waiting.pop()
        wrong = shown_by(graph, golden, dut, *device)
        if wrong is None:
            refused += len(device) == 1
            waiting += [[one] for one in device] if len(device) > 1 else []
            continue
        result = isolated(graph, golden, dut)
        rules = dict(device)
        assert set(result.culprits or ()) == {node for node, count in wrong.items() if count}, device
        assert not result.unfollowed, "every consequence was simulated"
        without_effect += sum(not count for count in wrong.values())
        for explanation in result.explanations:
            rule = rules[explanation.tensor]
            assert rule in [fit.name for fit in explanation.fits], f"{rule}: {explanation.sentence()}"
            assert explanation.fits[0].share == 1
            shown.add((graph.by_name[explanation.tensor].op, rule))
    return shown, without_effect, refused


def test_every_rule_is_found_again(graph: Graph, image: np.ndarray, dut: Path, tmp_path: Path) -> None:
    """Each fault that shows: exactly its node is named, and its rule.

    The network is the smallest with every rule of the tiny Segmenter.
    """
    small, golden = tiny_graph(n_layers=1, decoder={"name": "linear"}), tmp_path / "golden.h5"
    fitted = {("lambda_shiftgelu", f"x0_rounding={how}") for how in ("floor", "trunc")}  # where x0 is not the published one
    assert set(every_rule(small)) - fitted == set(every_rule(graph)) - fitted
    intsim.golden(small, image, golden, "full")
    shown, without_effect, refused = found_again(small, golden, dut)
    assert len(shown) > 350, f"{len(shown)} rules shown, {without_effect} without effect, {refused} refused"


def test_every_rule_of_shifted_windows_is_found_again(dut: Path, tmp_path: Path) -> None:
    """The same for the operators of a Swin, in particular for a bias that lacks an axis, whose rows are not sampled."""
    graph, picture = window_graph()
    golden = tmp_path / "golden.h5"
    intsim.golden(graph, picture, golden, "full")
    shown: dict[str, set[str]] = {}
    for op, rule in found_again(graph, golden, dut)[0]:
        shown.setdefault(op, set()).add(rule)
    assert {"mask=left_out", "mask=zero_share", "mask=after_max", "max=left_out", "n-1", "x0+1"} <= shown["masked_shiftmax"]
    assert {"repeat=once", "repeat=row_by_row", "residual=branch_left_out", "saturation=wrap"} <= shown["residual_add"]
    assert {"shift=reversed", "rows+1", "columns-1"} <= shown["roll"]
    assert {"windows=columns_first", "windows=not_transposed"} <= shown["windows"] & shown["merge_windows"]
    assert "order=rows_first" in shown["merge_patches"]
    assert "pairs=transposed" in shown["relative_positions"]
    assert {"mean_rounding=floor", "sum_bits=8"} <= shown["mean"]


def test_a_fault_in_a_bias_that_was_not_dumped(dut: Path, tmp_path: Path) -> None:
    """The segment has a branch of fewer axes: every row must be compared."""
    graph, picture = window_graph()
    golden = tmp_path / "golden.h5"
    intsim.golden(graph, picture, golden, "full")
    for node, rule, seen_at in (("bias", "pairs=transposed", "biased"), ("biased", "repeat=row_by_row", "biased")):
        assert fault(graph, golden, dut, (node, rule))[node]
        with h5py.File(dut, "r+") as file:
            del file["bias"]
        result = isolated(graph, golden, dut)
        assert [e.tensor for e in result.explanations] == [seen_at]
        assert rule in names(result)
        assert result.culprits == [node]


@settings(derandomize=True, deadline=None, max_examples=6, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_faults_in_the_shipped_model(data: st.DataObject, shipped: Graph, shipped_golden: Path, dut: Path) -> None:
    """Four faults at once, at nodes of different operators: each is found, and its rule."""
    faults: dict[str, str] = {}
    for op in data.draw(st.permutations(sorted({node.op for node in shipped.nodes})))[:6]:
        node = data.draw(st.sampled_from([node for node in shipped.nodes if node.op == op]))
        if rules := [rule.name for rule in catalogue(shipped, node)]:
            faults[node.name] = data.draw(st.sampled_from(rules))
    wrong = shown_by(shipped, shipped_golden, dut, *list(faults.items())[:4])
    assume(wrong is not None)
    result = isolated(shipped, shipped_golden, dut)
    assert set(result.culprits or ()) == {node for node, count in (wrong or {}).items() if count}
    assert not result.unfollowed
    for explanation in result.explanations:
        assert faults[explanation.tensor] in [fit.name for fit in explanation.fits]


@pytest.mark.parametrize(
    ("node", "rule"),
    [
        ("encoder.blocks.2.norm1", "mean=left_out"),
        ("encoder.blocks.1.attn.qkv", "bias=left_out"),
        ("encoder.blocks.3.attn.logits", "accumulator_bits=16"),
        ("encoder.blocks.0.mlp.act", "half_bit=dropped"),
        ("encoder.blocks.0.mlp.act", "n-1"),
        ("encoder.patches", "patches=channels_last"),
        ("encoder.blocks.1.attn.softmax", "half_bit=dropped"),
    ],
)
def test_a_fault_the_device_did_not_dump(node: str, rule: str, shipped: Graph, dut: Path) -> None:
    """The committed golden file has no accumulators and leaves nodes out: the verdict covers a segment, and the
    explanation finds the node inside it.
    """
    assert fault(shipped, resources.golden_file(), dut, (node, rule))[node]
    result = isolated(shipped, resources.golden_file(), dut)
    assert result.culprits == [node]
    assert rule in names(result)
    tensor = result.explanations[0].tensor
    record = result.node(tensor)
    assert record is not None
    assert record.verdict is not None
    assert node in record.verdict.segment
    assert set(record.verdict.feeds.values()) <= {"device", "model"}


def test_two_faults_in_one_run(shipped: Graph, shipped_golden: Path, dut: Path) -> None:
    early, late = "encoder.blocks.0.norm1.requant", "decoder.blocks.0.attn.softmax"
    fault(shipped, shipped_golden, dut, (late, "softmax_bits=15"), (early, "saturation=symmetric"))
    wrong = fault(shipped, shipped_golden, dut, (late, "softmax_bits=15"), (early, "requant_rounding=floor"))
    assert all(wrong.values())
    result = isolated(shipped, shipped_golden, dut)
    assert result.culprits == [early, late]
    assert [explanation.fits[0].name for explanation in result.explanations] == ["requant_rounding=floor", "softmax_bits=15"]
    inherited = [node for node in result.nodes if node.accumulated == "differ" and node.isolated == "match"]
    assert len(inherited) > 50, "the nodes between and after them only propagate the errors"


def test_two_rules_broken_at_one_node(shipped: Graph, shipped_golden: Path, dut: Path) -> None:
    node = "encoder.blocks.2.norm1.requant"
    fault(shipped, shipped_golden, dut, (node, "requant_rounding=floor"), (node, "multiplier=previous_tile:32"))
    explanation = isolated(shipped, shipped_golden, dut).explanations[0]
    assert explanation.culprit == node
    pair = {"requant_rounding=floor", "multiplier=previous_tile:32"}
    assert any(pair == {b.rule.name for b in candidate.broken} for candidate in explanation.fits)


def test_a_fault_that_no_rule_explains(shipped: Graph, shipped_golden: Path, dut: Path) -> None:
    node = "encoder.blocks.1.mlp.fc1.requant"
    fault(shipped, shipped_golden, dut, (node, "requant_rounding=floor"))
    with h5py.File(dut, "r+") as file:
        file[node][3, 7] = (int(file[node][3, 7]) + 90) % 100
        file[node][4, 8] = (int(file[node][4, 8]) + 50) % 100
    explanation = next(e for e in isolated(shipped, shipped_golden, dut).explanations if e.tensor == node)
    assert not explanation.fits
    assert explanation.culprit == node
    assert len(explanation.best) == 3
    assert explanation.best[0].name == "requant_rounding=floor"
    assert explanation.best[0].share < 1
    assert "no rule explains it" in explanation.sentence()
    assert "requant_rounding=floor" in explanation.sentence()


@pytest.mark.parametrize("rule", ["bitflip:3", "bitflip:7@1,2,3", "stuck-at-1:0", "stuck-at-0:6"])
def test_bits(rule: str, graph: Graph, golden_file: Path, dut: Path) -> None:
    node = f"{ATTENTION}.logits.requant"
    assert fault(graph, golden_file, dut, (node, rule))[node]
    result = isolated(graph, golden_file, dut)
    assert result.culprits == [node]
    assert rule in names(result)


def test_constants_and_the_picture_can_be_wrong(graph: Graph, golden_file: Path, dut: Path) -> None:
    for node, rule in (("image", "bitflip:0"), ("encoder.pos_embed", "byte-swap"), ("labels", "bitflip:0")):
        assert fault(graph, golden_file, dut, (node, rule))[node]
        result = isolated(graph, golden_file, dut)
        assert result.culprits == [node]
        assert rule in names(result)


def test_a_correct_device_has_no_culprit(graph: Graph, golden_file: Path) -> None:
    result = isolated(graph, golden_file, golden_file)
    assert result.culprits == []
    assert result.identical
    assert {node.isolated for node in result.nodes} == {"match"}


def dumped(golden: Path, dut: Path, wanted: list[str], change: dict[str, np.ndarray] | None = None) -> None:
    """A plain HDF5 file with some of the golden tensors."""
    with h5py.File(golden) as source, h5py.File(dut, "w") as file:
        for name in wanted:
            file[name] = (change or {}).get(name, source[name][()])


def test_golden_values_are_used_where_no_ancestor_was_dumped(graph: Graph, golden_file: Path, dut: Path) -> None:
    """Only one block was dumped: its inputs are the golden file's, and the verdict records that."""
    block = [node.name for node in graph.nodes if node.name.startswith("encoder.blocks.1.attn")]
    kept = [name for name in block if graph.tensors[name].fmt.dtype.itemsize <= 2]
    dumped(golden_file, dut, kept)
    result = isolated(graph, golden_file, dut)
    assert result.culprits == []
    first = result.node("encoder.blocks.1.attn.qkv.requant")
    assert first is not None
    assert first.verdict is not None
    assert first.verdict.golden_inputs == ["encoder.blocks.1.attn.qkv"]
    later = result.node("encoder.blocks.1.attn.proj.requant")
    assert later is not None
    assert later.verdict is not None
    assert later.verdict.golden_inputs == []
    assert later.verdict.segment == ("encoder.blocks.1.attn.proj", "encoder.blocks.1.attn.proj.requant")
    assert later.verdict.feeds == {"encoder.blocks.1.attn.merged": "device"}


def tensors(path: Path) -> dict[str, np.ndarray]:
    """Every tensor of a golden file or a dump."""
    with h5py.File(path) as file:
        return {name: file[name][()] for name in file if name != "graph"}


def of(result: Diff) -> dict[str, dict[str, str]]:
    """The tensors that belong to other inputs than those dumped, with these."""
    return {node.name: dict(node.other_inputs) for node in result.nodes if node.other_inputs}


def first_of_every_operator(graph: Graph) -> list[str]:
    return list({node.op: node.name for node in reversed(graph.nodes)}.values())


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "partial"])
@pytest.mark.parametrize("rule", ["bitflip:3", "bitflip:6@"])
def test_a_wrong_tensor_whose_consequences_were_replaced(
    rule: str, whole: bool, graph: Graph, golden_file: Path, dut: Path
) -> None:
    """One tensor of a faulty device, whole or one element of it, at every operator; all others are the golden ones."""
    right = tensors(golden_file)
    shown = 0
    for name in first_of_every_operator(graph):
        first = ",".join("0" for _ in graph.tensors[name].shape)
        assert fault(graph, golden_file, dut, (name, rule + first if rule.endswith("@") else rule))[name]
        wrong = tensors(dut)[name]
        wanted = [other for other in right if whole or other == name or graph.tensors[other].fmt.dtype.itemsize <= 2]
        dumped(golden_file, dut, wanted, {name: wrong})
        result = isolated(graph, golden_file, dut)
        assert result.culprits == [name]
        assert [explanation.tensor for explanation in result.explanations] == [name]
        belongs = of(result)
        assert all(inputs == {name: "golden"} for inputs in belongs.values())
        shown += bool(belongs)
        assert result.unfollowed == ({name: list(belongs)} if belongs else {})
        if whole:
            values = right | {name: wrong}
            users = [node for node in graph.nodes if name in node.inputs]
            hidden = [
                n.name for n in users if np.array_equal(replay(graph, n, [values[i] for i in n.inputs]), right[n.name])
            ]
            assert list(belongs) == [node.name for node in users if node.name not in hidden]
    assert shown > 10, "few operators hide an error of this size"


def test_consequences_that_end_in_the_middle_of_a_dump(graph: Graph, golden_file: Path, dut: Path) -> None:
    """The device's values up to a node, golden ones after it: the consequences of two tensors are not simulated."""
    start, last = f"{ATTENTION}.softmax", "encoder.blocks.0.norm2.requant"
    assert fault(graph, golden_file, dut, (start, "half_bit=dropped"))[start]
    order = [node.name for node in graph.nodes]
    device = {name: value for name, value in tensors(dut).items() if order.index(name) <= order.index(last)}
    dumped(golden_file, dut, order, device)
    result = isolated(graph, golden_file, dut)
    assert result.culprits == [start]
    assert of(result) == {
        "encoder.blocks.0.mlp.fc1": {last: "golden"},
        "encoder.blocks.0.residual2": {"encoder.blocks.0.residual1": "golden"},
    }


def test_a_tensor_of_another_run(graph: Graph, golden_file: Path, dut: Path) -> None:
    """The device is wrong from the beginning; one of its tensors was replaced by the golden one, then by a third run's."""
    start, branch = f"{ATTENTION}.softmax", "encoder.blocks.0.mlp.fc2.requant"
    after = "encoder.blocks.0.residual2"
    assert fault(graph, golden_file, dut, (start, "half_bit=dropped"))[start]
    device, order = tensors(dut), [node.name for node in graph.nodes]
    dumped(golden_file, dut, order, {name: value for name, value in device.items() if name != branch})
    result = isolated(graph, golden_file, dut)
    assert result.culprits == [start]
    assert of(result) == {
        branch: {"encoder.blocks.0.mlp.fc2": "golden"},
        after: {branch: "expected"},
    }
    third = device[branch] ^ 1
    dumped(golden_file, dut, order, device | {branch: third})
    result = isolated(graph, golden_file, dut)
    assert result.culprits == [start, branch]
    assert of(result) == {after: {branch: "expected"}}
    assert "follows from what" in (result.node(after) or result.nodes[0]).remark


def test_one_of_two_inputs_is_golden(graph: Graph, golden_file: Path, dut: Path) -> None:
    """A sum of the device's own values and a golden branch equals neither the golden sum nor that of the dumped values."""
    start, branch, after = (f"encoder.blocks.0.{name}" for name in ("residual1", "mlp.fc2.requant", "residual2"))
    assert fault(graph, golden_file, dut, (start, "bitflip:0"))[start]
    device, right, order = tensors(dut), tensors(golden_file), [node.name for node in graph.nodes]
    mixed = replay(graph, graph.by_name[after], [{start: device, branch: right}[i][i] for i in graph.by_name[after].inputs])
    assert not np.array_equal(mixed, right[after])
    upto = {name: value for name, value in device.items() if order.index(name) < order.index(after)}
    dumped(golden_file, dut, order[: order.index(after) + 1], upto | {after: mixed})
    result = isolated(graph, golden_file, dut)
    assert result.culprits == [start]
    assert of(result) == {after: {branch: "golden"}}
    assert f"it follows from the golden {branch}, not from the dumped one" in (result.node(after) or result.nodes[0]).remark


@pytest.mark.parametrize("honest", [True, False], ids=["honest", "stitched"])
@pytest.mark.parametrize("later", [f"{ATTENTION}.context.requant", "decoder.masks.requant"])
def test_a_second_fault_is_still_found(later: str, honest: bool, graph: Graph, golden_file: Path, dut: Path) -> None:
    """In the consequences of the first, and among golden values."""
    first = f"{ATTENTION}.logits.requant"
    if honest:
        wrong = fault(graph, golden_file, dut, (first, "requant_rounding=floor"), (later, "bitflip:2"))
        assert all(wrong.values())
    else:
        both: dict[str, np.ndarray] = {}
        for name, rule in ((first, "requant_rounding=floor"), (later, "bitflip:2")):
            fault(graph, golden_file, dut, (name, rule))
            both[name] = tensors(dut)[name]
        dumped(golden_file, dut, [node.name for node in graph.nodes], both)
    result = isolated(graph, golden_file, dut)
    assert result.culprits == [first, later]
    assert bool(result.unfollowed) is not honest


def test_a_fault_that_works_on_golden_values(graph: Graph, golden_file: Path, dut: Path) -> None:
    """The node after a wrong tensor is wrong on any values of it: it is a culprit."""
    first, later = f"{ATTENTION}.logits.requant", f"{ATTENTION}.softmax"
    right = tensors(golden_file)
    dumped(golden_file, dut, list(right), {first: right[first] ^ 8, later: right[later] ^ 4})
    assert isolated(graph, golden_file, dut).culprits == [first, later]


def kept(graph: Graph, golden: Path, dut: Path, names: list[str], *faults: tuple[str, str]) -> Diff:
    """A faulty device that dumped only `names`, isolated."""
    fault(graph, golden, dut, *faults)
    partial = dut.with_name("partial.h5")
    with h5py.File(dut) as source, h5py.File(partial, "w") as file:
        for name in names:
            file[name] = source[name][()]
    return isolated(graph, golden, partial)


def test_one_fault_that_was_not_dumped_is_one_culprit(graph: Graph, golden_file: Path, dut: Path) -> None:
    """It shows in several tensors; the node that explains all of them is reported once."""
    names = ["image", f"{ATTENTION}.qkv.requant", f"{ATTENTION}.logits", f"{ATTENTION}.softmax", f"{ATTENTION}.context"]
    result = kept(graph, golden_file, dut, names, (f"{ATTENTION}.heads", "heads=interleaved"))
    assert [node.name for node in result.nodes if node.isolated == "differ"] == [
        f"{ATTENTION}.logits",
        f"{ATTENTION}.context",
    ]
    assert result.culprits == [f"{ATTENTION}.heads"]
    assert [explanation.fits[0].name for explanation in result.explanations] == ["heads=interleaved"] * 2


def test_no_verdict_is_based_on_golden_values_once_they_are_in_doubt(graph: Graph, golden_file: Path, dut: Path) -> None:
    """The device's position embedding is wrong, and neither it nor what it is added to was dumped."""
    names = [f"{ATTENTION}.qkv.requant", "encoder.blocks.0.residual1", "encoder.blocks.0.mlp.fc1.requant"]
    result = kept(graph, golden_file, dut, names, ("encoder.pos_embed", "reverse-tokens"))
    assert result.culprits == [names[0]]
    first, second, third = (result.node(name) for name in names)
    assert first is not None
    assert first.verdict is not None
    assert first.verdict.golden_inputs
    assert second is not None
    assert second.isolated == "unjudged"
    assert f"which the device may not have had: {names[0]} is wrong" in second.remark
    assert third is not None
    assert third.isolated == "match"


def test_a_correct_device_whose_dump_is_permuted(graph: Graph, golden_file: Path, dut: Path) -> None:
    """Only the dump is permuted: what the device computed from it is right, and there is no culprit."""
    node = f"{ATTENTION}.qkv.requant"
    with h5py.File(golden_file) as file:
        everything = [name for name in file if name != "graph"]
        swapped = np.ascontiguousarray(file[node][()][::-1])
    dumped(golden_file, dut, everything, {node: swapped})
    result = isolated(graph, golden_file, dut)
    assert result.culprits == []
    record = result.node(node)
    assert record is not None
    assert (record.accumulated, record.isolated) == ("differ", "match")
    assert "reverse order" in record.remark
    assert "only its dump" in record.remark
    assert not result.identical


def test_values_beyond_the_format(graph: Graph, golden_file: Path, dut: Path) -> None:
    """A device's i16 tensor with a value of 40,000: wrong there, and replaced by the expected values from there on."""
    node = f"{ATTENTION}.logits.requant"
    with h5py.File(golden_file) as file:
        everything = [name for name in file if name != "graph"]
        wide = file[node][()].astype(np.int32)
    wide[1, 2, 3] = 40_000
    dumped(golden_file, dut, everything, {node: wide})
    assert isolated(graph, golden_file, dut).culprits == [node]


def test_a_device_that_works_on_values_beyond_the_format(graph: Graph, golden_file: Path, dut: Path) -> None:
    """Its softmax is wrong as well: that is found but not explained, and does not stop the comparison."""
    node, after = f"{ATTENTION}.logits.requant", f"{ATTENTION}.softmax"
    with h5py.File(golden_file) as file:
        wide, other = file[node][()].astype(np.int32), file[after][()]
    wide[1, 2, 3], other[1, 2, 3] = 40_000, other[1, 2, 3] ^ 1
    dumped(golden_file, dut, ["image", f"{ATTENTION}.logits", node, after], {node: wide, after: other})
    result = isolated(graph, golden_file, dut)
    assert result.culprits == [node, after]
    assert "outside their formats" in result.explanations[1].sentence()


def test_bits_of_an_exact_accumulator_are_not_searched() -> None:
    """With exact accumulators a dialect may use 64 bits."""
    a = np.arange(4, dtype=np.int64)
    assert bits_changed(a, a ^ 1) == []
    assert bits_changed(a.astype(np.int8), (a ^ 1).astype(np.int8)) == [Bit("bitflip", 0)]


def test_steps_inside_an_operator(graph: Graph, image: np.ndarray, tmp_path: Path) -> None:
    """A device that dumps the steps of an operator: the wrong step is reported."""
    golden, dut = tmp_path / "golden.h5", tmp_path / "dut.h5"
    intsim.golden(graph, image, golden, "steps", (f"{ATTENTION}.softmax", f"{ATTENTION}.logits.requant"))
    with open_golden(golden) as file:
        tensors = {name: record.values[()] for name, record in file.tensors.items() if record.values}
    tensors[f"{ATTENTION}.softmax:sum"] = tensors[f"{ATTENTION}.softmax:sum"] ^ 1
    with h5py.File(dut, "w") as file:
        for name, value in tensors.items():
            file[name] = value
    result = isolated(graph, golden, dut)
    assert result.culprits == [f"{ATTENTION}.softmax"]
    assert [node.name for node in result.nodes if node.isolated == "differ"] == [f"{ATTENTION}.softmax:sum"]


def test_steps_of_other_inputs(graph: Graph, image: np.ndarray, tmp_path: Path) -> None:
    """The steps and the output of an operator are the golden ones, and its input is wrong."""
    golden, dut, wrong, after = (
        tmp_path / "golden.h5",
        tmp_path / "dut.h5",
        f"{ATTENTION}.logits.requant",
        f"{ATTENTION}.softmax",
    )
    intsim.golden(graph, image, golden, "steps", (f"{ATTENTION}.logits", wrong, after))
    with open_golden(golden) as file:
        right = {name: record.values[()] for name, record in file.tensors.items() if record.values}
    dumped(golden, dut, [name for name in right if not name.startswith(f"{wrong}:")], {wrong: right[wrong] ^ 64})
    result = isolated(graph, golden, dut)
    assert result.culprits == [wrong]
    assert {after, f"{after}:sum"} <= set(result.unfollowed[wrong])
    assert all(name.startswith(after) for name in result.unfollowed[wrong])


def test_isolation_needs_the_model(golden_file: Path, shipped: Graph) -> None:
    with pytest.raises(ModelNotFound, match="neither the shipped one nor next to it"):
        diff(golden_file, golden_file, isolated=True)
    with pytest.raises(IntsimError, match="was made from model"):
        diff(golden_file, golden_file, shipped, isolated=True)


def test_unknown_rules_are_refused_with_a_list_of_the_rules(graph: Graph) -> None:
    requant, softmax = (graph.by_name[name] for name in (f"{ATTENTION}.logits.requant", f"{ATTENTION}.softmax"))
    for node, text in ((requant, "half_bit=dropped"), (softmax, "nonsense"), (requant, "requant_rounding=half_even")):
        with pytest.raises(IntsimError, match="its rules are: "):
            named(graph, node, text)
    with pytest.raises(IntsimError, match="bits 0 to 15"):
        named(graph, requant, "bitflip:16")
    with pytest.raises(IntsimError, match="outside its shape"):
        named(graph, requant, "bitflip:1@0,0,99")
    with pytest.raises(ValueError, match="outside"):
        named(graph, softmax, "n=99")
    assert named(graph, softmax, "n=3").name == "n=3"
    assert named(graph, requant, "requant-rounding=half-up").name == "requant_rounding=half_up"


def test_what_cannot_be_recomputed_is_not_judged(graph: Graph, image: np.ndarray, golden_file: Path, tmp_path: Path) -> None:
    """A fault before everything that golden file and dump contain: nodes that propagate it are not taken for culprits."""
    part, dut, sub = (tmp_path / name for name in ("part.h5", "dut.h5", "sub.h5"))
    last = f"encoder.blocks.{max(int(name.split('.')[2]) for name in graph.by_name if '.blocks.' in name)}"
    intsim.golden(graph, image, part, layers=[f"{last}.*"])
    assert fault(graph, golden_file, dut, ("encoder.embedded", "residual=branch_left_out"))["encoder.embedded"]
    with h5py.File(dut) as whole, h5py.File(sub, "w") as file:
        for name in whole:
            if name.startswith(f"{last}."):
                file[name] = whole[name][()]
    result = isolated(graph, part, sub)
    unjudged = [node for node in result.nodes if node.isolated == "unjudged"]
    assert unjudged
    assert "is not known" in unjudged[0].remark
    assert not result.culprits
    assert result.differing
