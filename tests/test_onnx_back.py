"""ONNX models that intsim wrote come back as graphs: the same, or with what a compiler team edited in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

import intsim
from intsim import dialects, resources
from intsim.compilers.execution import execute
from intsim.compilers.onnx_back import graph_from_onnx
from intsim.compilers.onnx_model import METADATA, onnx_model, save_onnx
from intsim.engine.graph import Graph
from intsim.errors import BoundError, IntsimError

from networks import TINY_DEIT, TINY_SWIN, tiny_classifier, tiny_graph, window_graph

Cli = Callable[..., tuple[int, str, str]]
NETWORKS: dict[str, Callable[[], Graph]] = {
    "segmenter": tiny_graph,
    "another dialect": lambda: tiny_graph(dialects.IVIT_TVM),
    "a dialect of one's own": lambda: tiny_graph(dialects.RTL.replace(quotient="trunc")),
    "deit": lambda: tiny_classifier(TINY_DEIT),
    "swin": lambda: tiny_classifier(TINY_SWIN),
    "windows": lambda: window_graph()[0],
    "shipped": lambda: intsim.load(resources.model()),
}


def unit() -> Graph:
    """Two inputs, one of them between nodes, a constant, weights, parameters per channel and for all."""
    net = intsim.Builder("isegmenter", name="unit")
    x = net.input("x", "i8", (5, 6), scale=0.05, lo=-100, hi=100)
    weight = np.arange(24, dtype=np.int8).reshape(4, 6) - 12
    y = net.linear(x, weight=weight, bias=[1, 2, 3, 4], scales={"weight": np.full(4, 0.01)}, name="fc")
    net.rescale(y, scale=0.1, bits=8, name="fc.requant")
    z = net.input("z", "i16", (5, 4), scale=0.2)
    c = net.constant(np.array([3, -4, 5, -6], np.int16), name="c", scale=0.1)
    halves = {"ma": 2**30, "ea": 31, "mc": 2**30, "ec": 31}
    s = net.residual_add("fc.requant", z, **halves, b=16, name="sum", scale=0.2)
    s = net.residual_add(s, c, **halves, b=16, name="shifted", scale=0.2)
    net.requant(s, m=2**30, e=32, b=8, name="out", scale=0.4)
    return net.graph()


@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Graph:
    """The unit, exported to net.onnx in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    graph = unit()
    save_onnx(onnx_model(graph), "net.onnx")
    return graph


def edit(change: Callable[[ModelProto], object], name: str = "net.onnx") -> None:
    """Change a model file."""
    model = onnx.load(name)
    change(model)
    save_onnx(model, name)


def node(model: ModelProto, name: str) -> NodeProto:
    return next(node for node in model.graph.node if node.output[0] == name)


def tensor(model: ModelProto, name: str) -> TensorProto:
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def set_tensor(model: ModelProto, name: str, value: np.ndarray) -> None:
    tensor(model, name).CopyFrom(numpy_helper.from_array(value, name))


def note(model: ModelProto, name: str, **changes: object) -> None:
    """Change what a node's metadata says."""
    (entry,) = node(model, name).metadata_props
    record = json.loads(entry.value)
    for key, value in changes.items():
        record[key] = {**record[key], **value} if isinstance(value, dict) else value
    entry.value = json.dumps(record)


def record(model: ModelProto, **changes: object) -> None:
    """Change what the model's metadata says."""
    (entry,) = (entry for entry in model.metadata_props if entry.key == METADATA)
    entry.value = json.dumps({**json.loads(entry.value), **changes})


# --- as it was --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_a_model_comes_back_byte_for_byte(name: str, tmp_path: Path) -> None:
    graph = NETWORKS[name]()
    save_onnx(onnx_model(graph), tmp_path / "net.onnx")
    back = graph_from_onnx(tmp_path / "net.onnx")
    assert back.content_hash == graph.content_hash
    intsim.save(graph, tmp_path / "a.h5")
    intsim.save(back, tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_inputs_come_back_where_they_were(exported: Graph) -> None:
    back = graph_from_onnx("net.onnx")
    assert [node.name for node in back.nodes] == [node.name for node in exported.nodes]
    assert back.content_hash == exported.content_hash
    assert {name: str(scale) for name, scale in back.scales.items()} == {n: str(s) for n, s in exported.scales.items()}
    assert "edited_from" not in back.provenance


def test_the_command(cli: Cli) -> None:
    assert cli("export model.h5 --onnx net.onnx")[0] == 0
    code, out, err = cli("import net.onnx -o back.h5")
    assert (code, err) == (0, "")
    assert "the model that was exported" in out
    assert Path("back.h5").read_bytes() == Path("model.h5").read_bytes()
    edit(lambda model: note(model, "decoder.upsample", params={"factor": 4}))
    code, out, err = cli("import net.onnx -o edited.h5")
    assert (code, err) == (0, "")
    assert "edited from" in out
    assert intsim.load("edited.h5").by_name["decoder.upsample"].params["factor"] == 4


# --- edited -----------------------------------------------------------------------------------------------------------


def test_changed_weights_are_taken(exported: Graph) -> None:
    weight = np.full((4, 6), 7, np.int64)  # of another type: the operator's own is taken
    edit(lambda model: set_tensor(model, "fc.weight", weight))
    back = graph_from_onnx("net.onnx")
    assert back.by_name["fc"].params["weight"].dtype == np.int8
    assert np.array_equal(back.by_name["fc"].params["weight"], weight)
    assert back.provenance["edited_from"] == exported.content_hash
    assert back.tensors["fc"].hi == 7 * 6 * 100 + 4


def test_weights_that_may_overflow_are_refused(exported: Graph) -> None:
    edit(lambda model: set_tensor(model, "fc.bias", np.full(4, 2**31 - 1, np.int32)))
    with pytest.raises(BoundError, match=r"net.onnx: fc: linear may reach"):
        graph_from_onnx("net.onnx")


def test_another_shift_is_taken(exported: Graph) -> None:
    edit(lambda model: set_tensor(model, "fc.requant.e", np.array([40, 41, 42, 43])))
    edit(lambda model: note(model, "out", params={"e": 33}))
    back = graph_from_onnx("net.onnx")
    assert back.by_name["fc.requant"].params["e"].tolist() == [40, 41, 42, 43]
    assert back.by_name["out"].params["e"] == 33
    save_onnx(onnx_model(back), "again.onnx")  # with a function for the new shift
    draw = np.random.default_rng(0)
    given = {"x": draw.integers(-100, 101, (5, 6)).astype(np.int8), "z": draw.integers(-999, 999, (5, 4)).astype(np.int16)}
    assert np.array_equal(execute("again.onnx", given, "onnx").tensors["out"], intsim.run(back, given))
    assert not np.array_equal(intsim.run(exported, given), intsim.run(back, given))


def test_a_node_that_was_removed_is_gone(exported: Graph) -> None:
    def without(model: ModelProto) -> None:
        node(model, "out").input[0] = "sum"
        for name in ("shifted", "c"):
            model.graph.node.remove(node(model, name))

    edit(without)
    assert [n.name for n in graph_from_onnx("net.onnx").nodes] == ["x", "fc", "fc.requant", "z", "sum", "out"]


def test_a_node_between_others_is_taken(exported: Graph) -> None:
    def between(model: ModelProto) -> None:
        copy = NodeProto()
        copy.CopyFrom(node(model, "out"))
        copy.output[0], copy.input[0] = "again", "shifted"
        node(model, "out").input[0] = "again"
        model.graph.node.insert(len(model.graph.node) - 1, copy)

    edit(between)
    back = graph_from_onnx("net.onnx")
    assert [n.name for n in back.nodes][-3:] == ["shifted", "again", "out"]
    assert back.by_name["again"].params == exported.by_name["out"].params
    assert back.by_name["out"].inputs == ("again",)


def test_another_output_is_taken(exported: Graph) -> None:
    def shorter(model: ModelProto) -> None:
        model.graph.node.remove(node(model, "out"))
        model.graph.output[0].name = "shifted"

    edit(shorter)
    assert graph_from_onnx("net.onnx").output.name == "shifted"


def test_what_other_tools_write_into_a_file_does_not_matter(exported: Graph) -> None:
    def touched(model: ModelProto) -> None:
        model.producer_name = "another"
        model.metadata_props.add(key="other", value="x")
        for function in model.functions:
            function.doc_string = ""
            for part in function.node:
                part.name = "named"
        node(model, "sum").name = "renamed"
        node(model, "sum").metadata_props.add(key="other", value="x")

    edit(touched)
    onnx.save(onnx.shape_inference.infer_shapes(onnx.load("net.onnx")), "net.onnx")
    assert graph_from_onnx("net.onnx").content_hash == exported.content_hash


# --- refused ----------------------------------------------------------------------------------------------------------


def _changed_body(model: ModelProto) -> None:
    function = next(f for f in model.functions if f.name == node(model, "out").op_type)
    constant = next(part for part in function.node if part.op_type == "Constant")
    value = numpy_helper.to_array(constant.attribute[0].t)
    constant.attribute[0].t.CopyFrom(numpy_helper.from_array(value + 1))


def _foreign(model: ModelProto) -> None:
    model.graph.node.insert(1, helper.make_node("Relu", ["x"], ["relu"], name="relu"))


def _other_domain(model: ModelProto) -> None:
    model.graph.node.insert(1, helper.make_node("Gelu", ["x"], ["gelu"], domain="com.vendor"))


def _unnoted(model: ModelProto) -> None:
    del node(model, "sum").metadata_props[:]


def _other_function(model: ModelProto) -> None:
    node(model, "out").op_type = node(model, "fc.requant").op_type


def _no_function(model: ModelProto) -> None:
    node(model, "out").op_type = "requant_9"


def _not_stored(model: ModelProto) -> None:
    node(model, "fc").input[1] = "x"


def _stored_input(model: ModelProto) -> None:
    node(model, "fc").input[0] = "fc.bias"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_changed_body, "net.onnx: out: its function requant_2 is not what intsim wrote for this requant"),
        (_foreign, "net.onnx: relu: Relu of standard ONNX is no operator of intsim's"),
        (_other_domain, "net.onnx: gelu: Gelu of the domain com.vendor is no operator of intsim's"),
        (_unnoted, "net.onnx: sum: nothing says which operator residual_add was"),
        (_other_function, "net.onnx: out: its function requant is not what intsim wrote for this requant"),
        (_no_function, "net.onnx: out: it calls requant_9 of intsim.isegmenter, which the file does not have"),
        (_not_stored, "net.onnx: fc: its weight, x, is not an initializer"),
        (_stored_input, "net.onnx: fc: its input fc.bias is an initializer"),
        (
            lambda model: set_tensor(model, "fc.weight", np.ones((4, 6), np.float32)),
            "fc: its weight, fc.weight, is a float tensor",
        ),
        (
            lambda model: set_tensor(model, "fc.weight", np.full((4, 6), 200)),
            r"net.onnx: fc: linear: weight\[0, 0\] = 200 is out",
        ),
        (lambda model: set_tensor(model, "fc.weight", np.ones((4, 7), np.int8)), "net.onnx: fc: x has 6 channels"),
        (lambda model: set_tensor(model, "fc.weight", np.ones((0, 6), np.int8)), "fc: its weight, fc.weight, is int8"),
        (lambda model: set_tensor(model, "c.value", np.full(4, 99999)), "c: its values 99999 to 99999 are outside i16"),
        (lambda model: note(model, "out", params={"e": 99}), "net.onnx: out: requant: e = 99 is outside"),
        (lambda model: note(model, "out", params={"e": 1.5}), "net.onnx: out: requant: e: expected integers"),
        (lambda model: note(model, "out", params=[]), "net.onnx: out: params or scales"),
        (lambda model: note(model, "out", op=3), "net.onnx: out: op, format, function or arrays"),
        (lambda model: note(model, "out", scale="x"), "net.onnx: out: a scale is a number"),
        (lambda model: note(model, "c", format="i64"), "net.onnx: c: a constant is i8, i16, i32, not i64"),
        (lambda model: note(model, "out", op="linear"), "net.onnx: out: linear has no parameter"),
        (lambda model: note(model, "out", op="nothing"), "net.onnx: out: there is no operator 'nothing'"),
        (lambda model: record(model, choices={}), "net.onnx: dialect isegmenter: missing choice"),
        (lambda model: record(model, choices=None), "net.onnx: nothing says its choices"),
        (lambda model: record(model, config=[]), "net.onnx: nothing says its config"),
        (lambda model: record(model, inputs={"x": {"bits": 7}}), "net.onnx: x: bits must be an integer from 8"),
        (lambda model: record(model, input_scales={"x": "?"}), "net.onnx: x: a scale is a number"),
        (lambda model: record(model, formats=3), "net.onnx: what intsim wrote in it of its network is damaged"),
        (lambda model: model.graph.node.remove(node(model, "out")), "its last node is shifted, its last output out"),
        (lambda model: model.graph.input.remove(model.graph.input[0]), "fc: its input 'x' is not an earlier node"),
    ],
)
def test_what_is_not_ours_is_refused(change: Callable, words: str, exported: Graph) -> None:
    edit(change)
    with pytest.raises(IntsimError, match=words) as caught:
        graph_from_onnx("net.onnx")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("net.onnx: ")


def test_other_forms_name_the_way_out(cli: Cli) -> None:
    assert cli("export model.h5 --onnx net.onnx")[0] == 0
    assert cli("export model.h5 --onnx narrow.onnx --width 32")[0] == 0
    Path("text.onnx").write_text("no model")
    before = set(Path().iterdir())
    for line, words in {
        "import net_inline.onnx": "is the inlined form, without functions; read the file with functions, written beside it",
        "import narrow.onnx": "is of a narrow width, with tensors as digits; read the form of 64 bits",
        "import narrow_inline.onnx": "is of a narrow width",
        "import text.onnx": "text.onnx: not an ONNX file",
        "import none.onnx": "none.onnx",
        "import net.onnx -o net.onnx": "net.onnx: is an input of this command",
        "import net.onnx --manifest tb": "--manifest does not go with an ONNX model; leave it out",
        "import net.onnx --format hex": "--format does not go with an ONNX model; leave it out",
    }.items():
        code, out, err = cli(line)
        assert (code, out, len(err.splitlines())) == (2, "", 1), line
        assert words in err
    assert set(Path().iterdir()) == before


def test_a_damaged_file_is_one_line(exported: Graph) -> None:
    whole = bytearray(Path("net.onnx").read_bytes())
    at = whole.index(b"fc.requant")
    for place, value in ((at, 0xB4), (at + 2, 0x00), (len(whole) // 2, 0xFF)):
        damaged = whole.copy()
        damaged[place] = value
        Path("net.onnx").write_bytes(damaged)
        with pytest.raises(IntsimError, match=r"^net\.onnx: ") as caught:
            graph_from_onnx("net.onnx")
        assert "\n" not in str(caught.value)
