"""Graphs of other teams: written with the builder, run on arrays, and full citizens of every command."""

from __future__ import annotations

import inspect
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

import intsim
from intsim.dialects import DIALECTS
from intsim.engine.graph import Graph, Node, input_node
from intsim.engine.inputs import input_params
from intsim.errors import BoundError, FileError, GraphError, IntsimError
from intsim.ops import REGISTRY, _registry
from intsim.storage.golden_file import open_golden

Cli = Callable[..., tuple[int, str, str]]
TOKENS, WIDTH = 12, 16


def attention(dialect: str = "isegmenter") -> Graph:
    """One head on q, k, v, i8 [12, 16], and a bias i32 [12, 12] that is an input, too."""
    net = intsim.Builder(dialect, name="attention")
    q, k = (net.input(name, "i8", (TOKENS, WIDTH), scale=0.05) for name in "qk")
    v = net.input("v", "i8", (TOKENS, WIDTH), scale=0.02, lo=-100, hi=100)
    with net.scope("attn"):
        logits = net.rescale(net.matmul(q, k, transpose_b=1, name="product"), scale=0.05, bits=8, name="logits")
        bias = net.input("bias", "i32", (TOKENS, TOKENS), lo=-5000, hi=5000)
        half = {"ma": 2**30, "ea": 30, "mc": 2**30, "ec": 36}
        biased = net.residual_add(logits, bias, **half, b=8, scale=0.05, name="biased")
        p = net.shiftmax(biased, x0=-20, n=15, b=16, name="softmax")
        net.rescale(net.matmul(p, v, transpose_b=0, name="mixed"), scale=0.02, bits=8, name="out")
    return net.graph()


def values(seed: int = 0) -> dict[str, np.ndarray]:
    """Values of its inputs."""
    draw = np.random.default_rng(seed)
    found = {name: draw.integers(-100, 101, (TOKENS, WIDTH)).astype(np.int8) for name in "qkv"}
    return found | {"attn.bias": draw.integers(-5000, 5001, (TOKENS, TOKENS)).astype(np.int32)}


@pytest.fixture
def unit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Graph:
    """The attention in a folder of its own: unit.h5, and its inputs as .npy."""
    monkeypatch.chdir(tmp_path)
    graph = attention()
    intsim.save(graph, "unit.h5")
    for name, value in values().items():
        np.save(f"{name}.npy", value)
    return graph


GIVEN = " ".join(f"--input {name}={name}.npy" for name in values())


# --- inputs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_face_gives_the_same(dialect: str) -> None:
    graph = attention(dialect)
    assert [node.name for node in graph.inputs] == ["q", "k", "v", "attn.bias"]
    assert graph.input.name == "q"
    assert not graph.takes_picture
    seen: dict[str, np.ndarray] = {}
    slow = intsim.run(graph, values(), face="ref")
    assert np.array_equal(intsim.run(graph, values()), slow)
    assert np.array_equal(intsim.run(graph, values(), seen.__setitem__), slow)
    assert list(seen) == [node.name for node in graph.nodes]
    for name, value in seen.items():
        bound = graph.tensors[name]
        assert bound.lo <= value.min() <= value.max() <= bound.hi, name


def test_the_range_of_an_input_enters_the_proof() -> None:
    def net(hi: int) -> Graph:
        nodes = [
            Node("x", "input", (), input_params("i16", (4, 64), 0, hi)),
            Node("y", "requant", ("x",), {"m": 2**30, "e": 29, "b": 16}),
        ]
        return Graph(nodes, DIALECTS["isegmenter"])

    assert (net(1000).tensors["y"].lo, net(1000).tensors["y"].hi) == (0, 2000)
    assert net(1000).content_hash != net(1001).content_hash
    x = np.zeros((4, 64), np.int16)
    x[2, 5] = 1001
    assert intsim.run(net(1001), x).max() == 2002
    with pytest.raises(IntsimError, match=r"x\[2, 5\] is 1001, outside the input's range \[0, 1000\]"):
        intsim.run(net(1000), x)


def test_an_array_in_another_order_or_byte_order_is_the_same_array() -> None:
    graph, given = attention(), values()
    other = {name: np.asfortranarray(value.astype(value.dtype.newbyteorder(">"))) for name, value in given.items()}
    assert np.array_equal(intsim.run(graph, given), intsim.run(graph, other))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda given: given["q"], "there are 4 inputs; give an array for each by name: q, k, v, attn.bias"),
        (lambda given: given | {"q": given["q"] / 2}, "q: expected an array of int8 .*, not float64"),
        (lambda given: given | {"q": given["q"].astype(np.int16)}, "q: expected an array of int8 .*, not int16"),
        (lambda given: given | {"q": given["q"].astype(bool)}, "q: expected an array of int8 .*, not bool"),
        (lambda given: given | {"q": given["q"].tolist()}, "q: expected an array of int8 .*, not a list"),
        (lambda given: given | {"q": given["q"].T}, r"q: its shape is \[16, 12\], expected \[12, 16\]"),
        (lambda given: given | {"v": given["v"] + np.int8(27)}, r"v\[\d+, \d+\] is \d+, outside the input's range"),
        (lambda given: {k: v for k, v in given.items() if k != "v"}, r"no value is given for the input v, i8 \[12, 16\]"),
        (lambda given: given | {"w": given["v"]}, "'w' is no input; the inputs are: q, k, v, attn.bias"),
    ],
)
def test_bad_inputs_are_named(change: Callable, words: str) -> None:
    with pytest.raises(IntsimError, match=words) as caught:
        intsim.run(attention(), change(values()))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"bits": 8, "signed": 1}, "an input has 1 to 8 axes"),
        ({"bits": 8, "signed": 1, **{f"axis{i}": 1 for i in range(9)}}, "an input has 1 to 8 axes"),
        ({"bits": 8, "signed": 1, "axis0": 0}, "axis0 must be an integer from 1"),
        ({"bits": 8, "signed": 1, "axis0": -3}, "axis0 must be an integer from 1"),
        ({"bits": 8, "signed": 1, "axis0": 10**30}, "axis0 must be an integer from 1"),
        ({"bits": 8, "signed": 1, "axis0": 2**20, "axis1": 2**20}, "an input has at most 2147483648 elements"),
        ({"bits": 8, "signed": 1, "axis0": True}, "axis0 must be an integer"),
        ({"bits": 8, "signed": 1, "axis0": 1.0}, "axis0 must be an integer"),
        ({"bits": 16, "signed": 0, "axis0": 1}, "an input has 8 bits, or 16 or 32 signed ones"),
        ({"bits": 12, "signed": 1, "axis0": 1}, "an input has 8 bits, or 16 or 32 signed ones"),
        ({"bits": 8, "axis0": 1}, "its parameter 'signed' is missing"),
        ({"bits": 8, "signed": 1, "axis0": 1, "lo": -129}, "lo must be an integer from -128 to 127"),
        ({"bits": 8, "signed": 1, "axis0": 1, "lo": 5, "hi": 4}, r"its range \[5, 4\] is empty"),
        ({"bits": 8, "signed": 1, "axis0": 1, "axis2": 1}, "an input has no parameter 'axis2'"),
        ({"bits": 8, "signed": 1, "axis0": 1, "height": 1}, "an input has no parameter 'height'"),
        ({"height": 2, "width": 2}, "its parameter 'channels' is missing"),
        ({}, "its parameter 'height' is missing; an input has height, width, channels, or bits, signed, axis0"),
    ],
)
def test_inputs_that_cannot_be_are_refused(params: dict, words: str) -> None:
    with pytest.raises(GraphError, match=f"^x: {words}"):
        Graph([Node("x", "input", (), params)], DIALECTS["isegmenter"])


def test_a_hostile_file_cannot_declare_an_input_of_any_size(unit: Graph) -> None:
    with h5py.File("unit.h5", "r+") as file:
        nodes = json.loads(file["graph"][()].tobytes())
        nodes[0]["params"]["axis0"] = 1 << 60
        del file["graph"]
        file["graph"] = np.frombuffer(json.dumps(nodes).encode(), np.uint8)
    with pytest.raises(IntsimError, match=r"unit.h5: q: axis0 must be an integer from 1 to 16777216"):
        intsim.load("unit.h5")


def test_pictures_are_declared_as_ever() -> None:
    node = input_node("image", 4, 6, 1 / 255)
    assert node.params == {"height": 4, "width": 6, "channels": 3}
    net = intsim.Builder("rtl")
    table = np.tile(np.arange(-128, 128), (3, 1))
    net.input_lut(net.picture("image", 4, 6), table=table)
    graph = net.graph()
    assert graph.takes_picture
    assert dict(graph.input.params) == dict(node.params)
    with pytest.raises(IntsimError, match="the picture is 4 x 5 x 3; this model takes 4 x 6 x 3"):
        intsim.run(graph, np.zeros((4, 5, 3), np.uint8))


# --- the builder ------------------------------------------------------------------------------------------------------


def test_handles_tell_what_is_known() -> None:
    net = intsim.Builder("isegmenter")
    x = net.input("x", "i8", (3, 4), scale=0.5)
    assert (x.name, x.shape, str(x.fmt), x.bounds, x.scale) == ("x", (3, 4), "i8", (-128, 127), 0.5)
    y = net.linear("x", weight=[[1, 2, 3, 4]], bias=[0], scales={"weight": 0.25})
    assert (y.name, y.shape, str(y.fmt), y.bounds, y.scale) == ("linear1", (3, 1), "i32", (-1280, 1270), 0.125)
    z = net.rescale(y, scale=0.5, bits=16)
    assert (z.name, z.scale, z.bounds) == ("requant1", 0.5, (-320, 318))  # a quarter; ties to even
    assert intsim.run(net.graph(), np.full((3, 4), 2, np.int8)).tolist() == [[5]] * 3


def test_names_follow_the_operator_and_the_scope() -> None:
    net = intsim.Builder("isegmenter")
    x = net.input("x", "i8", (3, 4))
    first = net.requant(x, m=2**30, e=31, b=8)
    with net.scope("block"), net.scope("attn"):
        second = net.requant(x, m=2**30, e=31, b=8)
        inner = net.requant("requant1", m=2**30, e=31, b=8, name="last")  # that of the scope comes first
    outer = net.requant("block.attn.last", m=2**30, e=31, b=8)
    assert [h.name for h in (first, second, inner, outer)] == [
        "requant1",
        "block.attn.requant1",
        "block.attn.last",
        "requant2",
    ]
    assert net.graph().by_name["block.attn.last"].inputs == ("block.attn.requant1",)


def test_every_operator_is_a_method() -> None:
    net = intsim.Builder("isegmenter")
    for op in REGISTRY:
        assert op in dir(net)
        signature = inspect.signature(getattr(net, op))
        assert {*REGISTRY[op].params, "name", "scale"} <= set(signature.parameters), op
        assert getattr(net, op).__doc__ == REGISTRY[op].__doc__
    with pytest.raises(AttributeError, match="there is no operator 'softmax'; there are: argmax, concat"):
        _ = net.softmax


def test_an_operator_of_a_plugin_is_a_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_registry, "REGISTRY", REGISTRY)
    (tmp_path / "negated.py").write_text(
        '"""negated(x): minus x."""\n'
        "from intsim.arith import I16, signed\n"
        "from intsim.ops import Op\n"
        "def steps(x, dialect=None):\n"
        "    return {'out': -x}\n"
        "OP = Op(steps=steps, inputs={'x': I16}, params={}, result=signed(32))\n"
    )
    from intsim.plugins import load

    load(str(tmp_path / "negated.py"))
    try:
        net = intsim.Builder("isegmenter")
        y = net.negated(net.input("x", "i8", (4,)))
        assert (y.name, y.bounds) == ("negated1", (-127, 128))
        assert intsim.run(net.graph(), np.arange(4, dtype=np.int8)).tolist() == [0, -1, -2, -3]
    finally:
        del REGISTRY["negated"]


def test_constants_take_the_narrowest_format_of_a_list_and_the_type_of_an_array() -> None:
    net = intsim.Builder("isegmenter")
    formats = [net.constant(v).fmt.name for v in ([1], [300], [70000], np.int16([1]), np.array([1]), np.uint8([200]))]
    assert formats == ["i8", "i16", "i32", "i16", "i8", "i16"]
    assert net.constant([1], fmt="i32").fmt.name == "i32"


def test_the_output_may_be_named_and_takes_what_it_needs() -> None:
    net = intsim.Builder("isegmenter")
    x = net.input("x", "i8", (3, 4))
    y = net.requant(x, m=2**30, e=31, b=8)
    net.requant(y, m=2**30, e=31, b=8)
    assert [node.name for node in net.graph().nodes] == ["x", "requant1", "requant2"]
    assert [node.name for node in net.graph(output=y).nodes] == ["x", "requant1"]
    net.input("z", "i8", (3, 4))
    with pytest.raises(GraphError, match="z: requant1 does not depend on this input"):
        net.graph("requant1")


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda net, x: net.input("x", "i8", (3,)), GraphError, "x: duplicate node name"),
        (lambda net, x: net.input("y", "u16", (3,)), GraphError, "'u16' is not a format of an input"),
        (lambda net, x: net.input("y", "i8", (3,), scale=-1), GraphError, "y: a scale is a number above 0, not -1"),
        (lambda net, x: net.linear(x, weight=[[0.5] * 4], bias=[0]), GraphError, "linear1: weight: expected integers"),
        (lambda net, x: net.linear(x, weight=[[1] * 3], bias=[0]), GraphError, "linear1: x has 4 channels"),
        (lambda net, x: net.linear(x, weight=[[1] * 4]), GraphError, "linear1: its parameter 'bias' is missing"),
        (
            lambda net, x: net.linear(x, weight=[[1], [1, 2]], bias=[0]),
            GraphError,
            "linear1: weight: its rows differ in length",
        ),
        (lambda net, x: net.linear(x, weight=[[1] * 4], bias=[2**31 - 1]), BoundError, "linear1: linear may reach"),
        (lambda net, x: net.linear("z", weight=[[1] * 4], bias=[0]), GraphError, "linear1: its input 'z' is not an earlier"),
        (
            lambda net, x: net.matmul(x, np.ones((4, 4)), transpose_b=0),
            GraphError,
            "matmul1: an input is a handle or a name",
        ),
        (lambda net, x: net.requant(x, m=1, e=1, b=8, shift=1), GraphError, "requant1: requant has no parameter 'shift'"),
        (lambda net, x: net.shiftmax(x, x0=-9, n=9, b=8, scale=0.5), GraphError, "shiftmax1: the scale of shiftmax follows"),
        (
            lambda net, x: net.requant(x, m=1, e=1, b=8, scales={"w": 1.0}),
            GraphError,
            "requant1: requant has no parameter 'w'",
        ),
        (lambda net, x: net.rescale(x, 0.5, 8), GraphError, "requant1: the scale of x is not known"),
        (lambda net, x: net.constant([300], fmt="i8"), GraphError, "constant1: its values 300 to 300 are outside i8"),
        (lambda net, x: net.constant([0.5]), GraphError, "constant1: value: expected integers"),
        (lambda net, x: net.constant([]), GraphError, "constant1: a constant has at least one element"),
        (lambda net, x: net.graph("nothing"), GraphError, "nothing: the output is not a node of this graph"),
        (lambda net, x: net.tokens(intsim.Builder("rtl").input("x", "i8", (1, 1, 1))), GraphError, "is of another builder"),
        (lambda net, x: intsim.Builder("rtl").graph(), GraphError, "the graph is empty or has no input"),
    ],
)
def test_errors_come_at_the_line_that_causes_them(call: Callable, error: type[Exception], words: str) -> None:
    net = intsim.Builder("isegmenter")
    x = net.input("x", "i8", (3, 4))
    with pytest.raises(error) as caught:
        call(net, x)
    assert words in str(caught.value)
    assert [node.name for node in net.graph().nodes][:1] == ["x"]  # what was refused is not in the graph
    assert len(net.graph().nodes) == 1


# --- files and commands -----------------------------------------------------------------------------------------------


def test_a_model_file_has_the_inputs(unit: Graph) -> None:
    loaded = intsim.load("unit.h5")
    assert loaded.content_hash == unit.content_hash
    assert loaded.scales == unit.scales
    assert dict(loaded.by_name["v"].params) == {
        "bits": 8, "signed": 1, "axis0": TOKENS, "axis1": WIDTH, "lo": -100, "hi": 100,
    }  # fmt: skip


def test_golden_run_and_diff(unit: Graph, cli: Cli) -> None:
    code, out, err = cli(f"golden -m unit.h5 {GIVEN} -o g.h5")
    assert (code, err) == (0, "")
    with open_golden("g.h5") as golden:
        assert "attn.bias" in golden.tensors  # an i32, but an input
        assert "attn.product" not in golden.tensors
        own = golden.content_sha256
    assert intsim.golden(unit, values(), "h.h5") == own
    assert intsim.golden(unit, values(1), "h.h5") != own
    assert "identical" in cli("diff g.h5 g.h5 --isolated -m unit.h5")[1]
    warned = cli("diff g.h5 h.h5")
    assert warned[0] == 1
    assert "made from different inputs" in warned[1] + warned[2]
    code, out, err = cli(f"run -m unit.h5 {GIVEN} -o out.npy")
    assert (code, err) == (0, "")
    assert out.startswith("attn.out: i8 12 x 16, ")
    assert np.array_equal(np.load("out.npy"), intsim.run(unit, values()))
    record = json.loads(cli(f"run -m unit.h5 {GIVEN} --json")[1])
    assert (record["output"], record["shape"], record["format"], record["file"]) == ("attn.out", [12, 16], "i8", None)
    assert record["sha256"] in out


@pytest.mark.parametrize(("node", "rule"), [("attn.softmax", "half_bit=dropped"), ("attn.logits", "requant_rounding=floor")])
def test_a_fault_is_found_and_reproduced(node: str, rule: str, unit: Graph, cli: Cli) -> None:
    assert cli(f"golden -m unit.h5 {GIVEN} -o g.h5")[0] == 0
    assert cli(f"synth-fault g.h5 --node {node} --rule {rule} -o f.h5")[0] == 0
    code, out, _ = cli("diff g.h5 f.h5 --isolated")
    assert code == 1
    assert f"1 culprit: {node}" in out
    assert rule.split("=")[1] in out
    assert cli("reproduce g.h5 f.h5 -o bench")[0] == 0
    assert json.loads(Path("bench/reproduction.json").read_text())["node"] == node


def test_trace_score_stimulus_export_and_inspect(unit: Graph, cli: Cli) -> None:
    assert cli(f"golden -m unit.h5 {GIVEN} -o g.h5")[0] == 0
    code, out, _ = cli("trace g.h5 v --at 0,0")
    assert (code, "as it was given" in out, "pixel" in out) == (0, True, False)
    assert cli("trace g.h5 attn.out --at 3,-1")[0] == 0
    code, out, _ = cli("score g.h5")
    assert (code, "would look the same on these inputs" in out) == (0, True)
    code, _, err = cli("score g.h5 --search 3")
    assert code == 2
    assert err.startswith("intsim: --search tries pictures, and the model takes q (i8 [12, 16]), k")
    assert err.endswith("attn.bias (i32 [12, 12] in [-5000, 5000]); see 'intsim stimulus'\n")
    assert cli("stimulus g.h5 attn.logits -o s")[0] == 0
    assert cli("export g.h5 -o tb")[0] == 0
    assert cli("import tb -o back.npz")[0] == 0
    assert "identical" in cli("diff g.h5 back.npz")[1]
    code, out, _ = cli("inspect -m unit.h5")
    assert (code, "-5,000 .. 5,000" in out) == (0, True)
    assert cli("bench unit.h5 --runs 1 --json")[0] == 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("golden -m unit.h5", "give --input q=FILE.npy --input k=FILE.npy --input v=FILE.npy --input attn.bias=FILE.npy"),
        ("golden picture.png -m unit.h5", "picture.png: this model takes no picture, but q (i8 [12, 16]), k"),
        (f"golden picture.png -m unit.h5 {GIVEN}", "a picture and --input are both inputs"),
        (f"golden -m unit.h5 {GIVEN} --resize", "--resize is of pictures"),
        (f"golden -m unit.h5 {GIVEN} -o q.npy", "q.npy: is an input of this command"),
        ("golden -m unit.h5 --input q.npy", "q.npy: name its input, as in q=q.npy; the inputs are: q, k, v, attn.bias"),
        ("golden -m unit.h5 --input q=q.npy", "no value is given for the input k, i8 [12, 16]"),
        (f"golden -m unit.h5 {GIVEN} --input q=q.npy", "q: is given twice"),
        (f"golden -m unit.h5 {GIVEN} --input w=q.npy", "w=q.npy: 'w' is no input; the inputs are: q, k, v, attn.bias"),
        ("golden -m unit.h5 --input q=none.npy", "none.npy"),
        ("golden -m unit.h5 --input q=unit.h5", "unit.h5: not a readable .npy"),
        ("golden -m unit.h5 --input q=real.npy", "real.npy: q: expected an array of int8 (i8 [12, 16]), not float64"),
        ("golden -m unit.h5 --input q=short.npy", "short.npy: q: its shape is [3, 16], expected [12, 16]"),
        ("golden -m unit.h5 --input v=wide.npy", "wide.npy: v[0, 0] is 101, outside the input's range [-100, 100]"),
        ("golden -m unit.h5 --input q=object.npy", "object.npy: it contains Python objects"),
        ("golden -m unit.h5 --input q=cut.npy", "cut.npy: it declares"),
        (f"run -m unit.h5 {GIVEN} -o out.png", "out.png: the output of this model is an array, written as .npy"),
        (f"run -m unit.h5 {GIVEN} --top 3", "--top: the model neither labels pixels nor classifies"),
        ("run -m unit.h5", "give --input q=FILE.npy"),
        ("demo -m unit.h5", "does not give labels"),
        ("bench unit.h5 --against onnxruntime", "--against onnxruntime takes a picture; the inputs of this model are: q"),
        ("golden picture.png --input q.npy", "a picture and --input are both inputs"),
    ],
)
def test_bad_input_of_commands(line: str, words: str, unit: Graph, cli: Cli) -> None:
    np.save("real.npy", np.zeros((TOKENS, WIDTH)))
    np.save("short.npy", np.zeros((3, WIDTH), np.int8))
    np.save("wide.npy", np.full((TOKENS, WIDTH), 101, np.int8))
    np.save("object.npy", np.array([{}]), allow_pickle=True)
    Path("cut.npy").write_bytes(Path("q.npy").read_bytes()[:-9])
    before = set(Path().iterdir())
    code, out, err = cli(line)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert words in err
    assert set(Path().iterdir()) == before


def test_a_picture_may_be_an_array_too(model_file: Path, graph: Graph, image: np.ndarray, cli: Cli, tmp_path: Path) -> None:
    np.save("image.npy", image)
    assert cli(f"golden -m {model_file} --input image.npy -o a.h5")[0] == 0
    assert intsim.golden(graph, image, "b.h5") == intsim.golden(graph, {graph.input.name: image}, "c.h5")
    with open_golden("a.h5") as a, open_golden("b.h5") as b:
        assert a.content_sha256 == b.content_sha256
    assert cli(f"run -m {model_file} --input image.npy -o labels.png")[0] == 0
    assert Path("labels_overlay.png").exists()


def test_evaluation_and_windows_take_pictures_alone(unit: Graph) -> None:
    from intsim.measurement.windows import label

    with pytest.raises(IntsimError, match="labelling by windows takes a picture; the inputs of this model are: q"):
        label(unit, np.zeros((8, 8, 3), np.uint8))


def test_files_of_inputs_are_named_in_errors(unit: Graph) -> None:
    from intsim.storage.input_files import read_inputs

    np.save("wrong.npy", np.zeros(3, np.int8))
    with pytest.raises(FileError, match=r"^wrong.npy: q: its shape"):
        read_inputs(unit, ["q=wrong.npy"])


# --- other languages and runtimes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("runtime", ["onnx", "onnxruntime"])
def test_it_runs_as_onnx(inline: bool, runtime: str, unit: Graph, cli: Cli) -> None:
    pytest.importorskip("onnxruntime")
    import onnx

    assert cli("export unit.h5 --onnx net.onnx --layers *")[0] == 0
    file = "net_inline.onnx" if inline else "net.onnx"
    types = {value.name: value.type.tensor_type.elem_type for value in onnx.load(file).graph.input}
    assert types == {**dict.fromkeys("qkv", onnx.TensorProto.INT8), "attn.bias": onnx.TensorProto.INT32}
    assert cli(f"golden -m unit.h5 {GIVEN} --level full -o g.h5")[0] == 0
    code, out, err = cli(f"execute {file} {GIVEN} --with {runtime} -o dut.h5")
    assert (code, err) == (0, "")
    assert out.startswith("dut.h5: 6 tensors by ")
    assert "identical" in cli("diff g.h5 dut.h5 --complete")[1]
    assert cli(f"execute {file} q.npy -o d.h5")[2].startswith(
        "intsim: q.npy: the network takes no picture, but q (i8 [12, 16])"
    )
    np.save("v.npy", np.full((TOKENS, WIDTH), 101, np.int8))
    assert "v[0, 0] is 101, outside the input's range" in cli(f"execute {file} {GIVEN} -o d.h5")[2]


def test_narrow_onnx_takes_inputs_that_it_holds(unit: Graph, cli: Cli) -> None:
    pytest.importorskip("onnx")
    assert cli("export unit.h5 --onnx n.onnx --inline --layers * --width 24")[0] == 0
    assert cli(f"golden -m unit.h5 {GIVEN} --level full -o g.h5")[0] == 0
    assert cli(f"execute n.onnx {GIVEN} --with onnx -o dut.h5")[0] == 0
    assert "identical" in cli("diff g.h5 dut.h5 --complete")[1]
    net = intsim.Builder("isegmenter")
    net.requant(net.input("x", "i32", (4,)), m=2**30, e=50, b=8)
    intsim.save(net.graph(), "wide.h5")
    code, _, err = cli("export wide.h5 --onnx w.onnx --inline --width 24")
    assert (code, "x: input cannot be written as ONNX: 24 bits do not hold its range" in err) == (2, True)


def test_it_is_a_program_in_c(unit: Graph, cli: Cli) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("no gcc")
    assert cli("export unit.h5 --reference c -o c")[0] == 0
    subprocess.run(["make", "-s", "-C", "c", "CFLAGS=-std=c99 -O2 -Wall -Wextra -Wconversion -Werror", "run"], check=True)
    for name, value in values().items():
        value.tofile(f"{name}.bin")
    Path("dump").mkdir()
    files = [f"{name}.bin" for name in values()]
    subprocess.run(["c/run", *files, "dump"], check=True, capture_output=True)
    assert cli(f"golden -m unit.h5 {GIVEN} --level full -o g.h5")[0] == 0
    assert "identical" in cli("diff g.h5 dump")[1]
    np.full((TOKENS, WIDTH), 101, np.int8).tofile("v.bin")
    done = subprocess.run(["c/run", *files], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "v: a value of an input is outside its format\n")
    Path("v.bin").write_bytes(b"short")
    done = subprocess.run(["c/run", *files], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "IN2_V has 192 bytes" in done.stderr


def test_a_table_and_arithmetic_on_one_u8_input_in_c(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cli: Cli) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("no gcc")
    monkeypatch.chdir(tmp_path)
    net = intsim.Builder("isegmenter")
    x = net.input("a.b", "u8", (2, 5, 3))
    looked = net.input_lut(x, table=np.tile(np.arange(-128, 128), (3, 1)))
    half = {"ma": 2**30, "ea": 31, "mc": 2**30, "ec": 31}
    net.residual_add(looked, x, **half, b=16)
    graph = net.graph()
    intsim.save(graph, "m.h5")
    value = np.random.default_rng(0).integers(0, 256, (2, 5, 3), np.uint8)
    intsim.golden(graph, value, "g.h5")
    value.tofile("x.bin")
    assert cli("export m.h5 --reference c -o c")[0] == 0
    subprocess.run(["make", "-s", "-C", "c", "CFLAGS=-std=c99 -O2 -Wall -Wextra -Wconversion -Werror", "run"], check=True)
    Path("dump").mkdir()
    subprocess.run(["c/run", "x.bin", "dump"], check=True, capture_output=True)
    assert "identical" in cli("diff g.h5 dump")[1]


def test_it_is_a_tosa_function(unit: Graph, cli: Cli) -> None:
    assert cli("export unit.h5 --tosa net.mlir")[0] == 0
    text = Path("net.mlir").read_text()
    for name in ("q", "k", "v", "attn.bias"):
        assert f'tosa.tensor_name = "{name}"' in text
    assert "tensor<12x16xi8>" in text
    assert "tensor<12x12xi32>" in text
