"""Operators and networks from outside: as a user's file or package adds them, and as the commands take them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import intsim
from intsim import ops, plugins
from intsim.arith import I8, I16, I64, IntArray, TensorBound, round_shift, saturate, signed
from intsim.dialects import DIALECTS, RTL
from intsim.engine.graph import Graph, Node, input_node
from intsim.errors import IntsimError
from intsim.languages.c_library import CLibrary
from intsim.ops import Op, Param
from intsim.rules import computation_of, compute, named
from intsim.rules.admitted import altered
from intsim.symbols import evaluate, trace
from intsim.testing import Counterexample, check_operator
from intsim.vectors import generate, score

PLUGIN = '''
"""Operators of a team."""

import numpy as np

from intsim.arith import I8, I16, round_shift, saturate, signed
from intsim.languages.c_library import CLibrary
from intsim.ops import Op, Param


def squared(x, k, dialect):
    """squared(x, k): k times the square of x, in sixteenths.

        square = x * x * k
        out = saturate(round_shift(square, 4, R), 8)
    """
    square = x * x * k
    return {"square": square, "out": saturate(round_shift(square, 4, dialect.requant_rounding), signed(8))}


def portions(x, b, dialect=None):
    """portions(x, b): powers of two of a row, as portions of their sum."""
    top = x.max(axis=-1, keepdims=True)
    exp = (1 << 20) >> np.minimum(top - x, 20)
    total = exp.sum(axis=-1, keepdims=True)
    return {"max": top, "exp": exp, "sum": total, "out": np.minimum((exp << (b - 1)) // total, (1 << (b - 1)) - 1)}


SQUARED = Op(name="squared", steps=squared, inputs={"x": I8}, params={"k": Param.integer(1, 100)}, result=I8,
             choices=("requant_rounding",))
PORTIONS = Op(name="portions", steps=portions, inputs={"x": I8}, params={"b": Param.integer(2, 16)},
              result=lambda params: signed(params["b"]))
'''


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("plugin") / "team_operators.py"
    path.write_text(PLUGIN)
    plugins.load(str(path))
    yield path
    del sys.modules[path.stem]


@pytest.fixture
def made(plugin: Path) -> Callable[..., Op]:
    """Registers an operator for one test."""
    return Op


@pytest.fixture(autouse=True)
def forgotten() -> Any:
    """The registry is as it was after a test."""
    before = set(ops.REGISTRY)
    yield
    for name in set(ops.REGISTRY) - before:
        del ops.REGISTRY[name]


def command(*args: str | Path, plugin: Path | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    given = ["--plugin", str(plugin)] if plugin else []
    words = [sys.executable, "-m", "intsim", *given, *map(str, args)]
    return subprocess.run(words, capture_output=True, text=True, cwd=cwd, check=False)


def network(dialect: str = "rtl") -> Graph:
    """A picture through both operators."""
    table = np.tile(np.arange(-128, 128, dtype=np.int8), (3, 1))
    nodes = [
        input_node("image", 4, 4, 1.0),
        Node("pixels", "input_lut", ("image",), {"table": table}, 0.1),
        Node("squared", "squared", ("pixels",), {"k": 5}, 0.1),
        Node("portions", "portions", ("squared",), {"b": 8}, 2.0**-7),
    ]
    return Graph(nodes, DIALECTS[dialect])


def picture() -> IntArray:
    return np.random.default_rng(3).integers(0, 256, (4, 4, 3), np.uint8)


# --- what is derived --------------------------------------------------------------------------------------------------


def test_an_equation_and_a_format_are_enough(plugin: Path) -> None:
    op = ops.REGISTRY["portions"]
    x = np.array([[1, 2, 3], [-128, 127, 0], [5, 5, 5]], np.int8)
    for row, given in zip(op(x, b=8).tolist(), x.tolist(), strict=True):
        exp = [(1 << 20) >> min(max(given) - v, 20) for v in given]
        assert row == [min((e << 7) // sum(exp), 127) for e in exp]
    assert op(x, b=8).dtype == np.int8
    assert op.output([TensorBound.full((4, 9), I8)], {"b": 8}, None) == TensorBound((4, 9), I8, 0, 127)
    assert ops.squared is ops.REGISTRY["squared"]
    with pytest.raises(ValueError, match=r"squared: k = 101 is outside \[1, 100\]"):
        ops.squared(x, k=101, dialect="rtl")


def test_bounds_that_pass_the_format_are_refused_when_a_graph_is_loaded(made: Callable[..., Op]) -> None:
    made(name="tenfold", steps=lambda x, dialect=None: {"out": 10 * x}, inputs={"x": I8}, params={}, result=I8)
    nodes = [*network().nodes[:2], Node("wide", "tenfold", ("pixels",))]
    with pytest.raises(intsim.BoundError, match=r"wide: tenfold may reach \[-1280, 1270\], outside i8"):
        Graph(nodes, RTL)
    with pytest.raises(ValueError, match=r"tenfold: out\[0, 1\] = 200 is outside i8"):
        ops.tenfold([[1, 20]])


def test_intermediate_values_that_pass_64_bits_are_refused(made: Callable[..., Op]) -> None:
    def steps(x: IntArray, dialect: Any = None) -> dict[str, IntArray]:
        power = x * x * x * x * x * x * x * x * x * x
        return {"power": power, "out": saturate(power, I8)}

    made(name="tenth_power", steps=steps, inputs={"x": I8}, params={}, result=I8)
    with pytest.raises(ValueError, match=r"tenth_power: power may reach .* passes 64 bits"):
        ops.tenth_power([[1]])


def test_golden_diff_trace_and_exports_take_the_operators(plugin: Path, tmp_path: Path) -> None:
    graph = network()
    intsim.save(graph, tmp_path / "model.h5")
    assert intsim.load(tmp_path / "model.h5").content_hash == graph.content_hash
    intsim.golden(graph, picture(), tmp_path / "golden.h5", "full")
    node = graph.by_name["portions"]

    def faulty(own: Node, inputs: list[IntArray], value: IntArray) -> IntArray:
        if own.name != "portions":
            return value
        rule = named(graph, node, "sum.terms=without_last")
        return compute(graph, node, rule.alter(computation_of(graph, node)), inputs)

    intsim.golden(graph, picture(), tmp_path / "dut.h5", "full", alter=faulty)
    found = intsim.diff(tmp_path / "golden.h5", tmp_path / "dut.h5", graph, isolated=True)
    assert found.culprits == ["portions"]
    assert "sum.terms `without_last` instead of `all`" in json.dumps(found.record())
    told = intsim.trace(tmp_path / "golden.h5", "squared", (0, 1, 2), model=graph)
    assert [line.name for line in told.lines] == ["x", "square", "out"]
    assert told.lines[1].how == "x * x * k"
    assert told.value == told.recorded
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    from intsim.compilers.onnx_model import onnx_model

    (out,) = ReferenceEvaluator(onnx_model(graph, inline=True)).run(None, {"image": picture()})
    assert onnx is not None
    assert np.array_equal(out, intsim.run(graph, picture()))


@pytest.mark.parametrize(("op", "params"), [("squared", {"k": 7}), ("portions", {"b": 8})])
def test_the_equation_run_on_symbols_gives_every_step(plugin: Path, op: str, params: dict[str, int]) -> None:
    operator, x = ops.REGISTRY[op], np.random.default_rng(1).integers(-128, 128, (3, 5), np.int8)
    dialect = RTL if operator.choices else None
    found = trace(operator, [TensorBound.full(x.shape, I8)], params, dialect)
    values = evaluate(found.steps.values(), {"x": x})
    for (name, due), value in zip(operator.intermediates([x], params, dialect).items(), values, strict=True):
        assert np.array_equal(due, value), name


def test_c_functions_of_the_operators_agree(plugin: Path, tmp_path: Path) -> None:
    done = command("export", "--reference", "c", "--op", "squared", "--op", "portions", "-o", tmp_path / "c", plugin=plugin)
    assert done.returncode == 0, done.stderr
    built = subprocess.run(["make", "-s", "test"], cwd=tmp_path / "c", capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert "squared" in built.stdout
    assert "portions" in built.stdout


def written(op: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The self-test of an operator's C function."""
    for name, text in CLibrary([op], [RTL]).files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return subprocess.run(["make", "-s", "test"], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("case", ["shifted", "narrow"])
def test_a_parameter_is_an_argument_of_the_c_function_wherever_it_is_used(
    made: Callable[..., Op], tmp_path: Path, case: str
) -> None:
    """Not the example for which the equation was traced; and what the format of the result refuses, C refuses."""
    if case == "shifted":
        steps = lambda x, e, dialect=None: {"out": round_shift(x, e, "half_up")}  # noqa: E731
        made(name="shifted", steps=steps, inputs={"x": I16}, params={"e": Param.integer(0, 12)}, result=I16)
    else:
        steps = lambda x, k, dialect=None: {"out": x * k}  # noqa: E731
        made(name="narrow", steps=steps, inputs={"x": I16}, params={"k": Param.integer(-300, 300)}, result=I16)
    document = generate(case, RTL, 1, 1)
    assert len({json.dumps(case.args) for case in document.cases}) > 20
    done = written(case, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 failed" in done.stdout


def test_an_equation_that_loops_over_a_parameter_has_no_c_function(made: Callable[..., Op]) -> None:
    def steps(x: IntArray, k: int, dialect: Any = None) -> dict[str, IntArray]:
        for _ in range(k):
            x = x + 1
        return {"out": x}

    made(name="looped", steps=steps, inputs={"x": I8}, params={"k": Param.integer(1, 20)}, result=I16)
    with pytest.raises(IntsimError, match="looped: its equation is not the same for all lengths and parameters"):
        CLibrary(["looped"], [RTL])


def test_an_operator_called_like_a_function_of_the_reference_has_no_c_function(made: Callable[..., Op]) -> None:
    made(name="magnitude", steps=lambda x, dialect=None: {"out": x}, inputs={"x": I8}, params={}, result=I8)
    with pytest.raises(IntsimError, match="has a function intsim_magnitude already; rename the operator"):
        CLibrary(["magnitude"], [RTL])


@pytest.mark.parametrize(
    ("equation", "bounds"),
    [
        (lambda x: np.abs(x), (0, 128)),
        (lambda x: x - x.min(axis=-1, keepdims=True), (0, 255)),
        (lambda x: np.maximum(x.max(axis=-1, keepdims=True), -5) - x, (0, 255)),
        (lambda x: (np.maximum(x, 0) << 7) // np.maximum(np.maximum(x, 0).sum(axis=-1, keepdims=True), 1), (0, 128)),
    ],
)
def test_bounds_follow_from_how_values_belong_together(
    made: Callable[..., Op], equation: Callable[[IntArray], IntArray], bounds: tuple[int, int]
) -> None:
    op = made(name="related", steps=lambda x, dialect=None: {"out": equation(x)}, inputs={"x": I8}, params={}, result=I16)
    found = op.output([TensorBound.full((3, 5), I8)], {}, None)
    assert (found.lo, found.hi) == bounds
    rows = np.array([[-128] * 5, [127] * 5, [-128, 127, 0, -1, 1], [0] * 5], np.int8)
    for row in rows:
        out = op(row[None])
        assert bounds[0] <= out.min()
        assert out.max() <= bounds[1]


# --- vectors and check_operator ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["squared", "portions"])
def test_vectors_are_made_that_show_the_mistakes(plugin: Path, op: str) -> None:
    document = generate(op, RTL, 1, 1)
    assert any(case.expected == "invalid" for case in document.cases)
    assert score(document).share > 0.8
    assert generate(op, RTL, 1, 1) == document


def test_check_operator_passes_what_is_right_and_proves_what_no_vector_shows(plugin: Path) -> None:
    pytest.importorskip("bitwuzla")
    found = check_operator("squared", ["rtl"], examples=30)
    assert found.open == ()
    assert "requant_rounding=half_away" in found.dialects[0].same  # a square is not negative
    assert check_operator("portions", examples=30).open == ()


def test_check_operator_says_where_an_equation_has_no_trace(made: Callable[..., Op]) -> None:
    def steps(x: IntArray, dialect: Any = None) -> dict[str, IntArray]:
        return {"out": np.sort(x, axis=-1)}

    made(
        name="sorting", steps=steps, inputs={"x": I8}, params={},
        infer=lambda x, dialect=None: TensorBound(x.shape, I8, x.lo, x.hi),
    )  # fmt: skip
    found = check_operator("sorting", examples=10, vectors=False)
    assert not found.dialects[0].traced
    assert "the equation cannot be traced" in str(found)


def smallest(op: str) -> Counterexample:
    with pytest.raises(Counterexample) as raised:
        check_operator(op, examples=60, vectors=False)
    return raised.value


def test_an_operator_that_lies_about_its_bounds_is_caught_with_the_smallest_call(made: Callable[..., Op]) -> None:
    def infer(x: TensorBound, k: int, dialect: Any = None) -> TensorBound:
        return TensorBound(x.shape, I16, x.lo * k, x.hi * k)  # wrong for negative k

    made(
        name="lying", steps=lambda x, k, dialect=None: {"out": x * k}, infer=infer, inputs={"x": I8},
        params={"k": Param.integer(-5, 5)},
    )  # fmt: skip
    found = smallest("lying")
    assert found.arguments["k"] == -1
    assert found.arguments["x"].size == 1
    assert "out[0, 0] is 0, outside the bounds [128, -127]" in str(found)


def test_an_operator_that_lies_about_its_shape_is_caught(made: Callable[..., Op]) -> None:
    made(
        name="summing", steps=lambda x, dialect=None: {"out": x.sum(axis=-1)}, inputs={"x": I8}, params={},
        infer=lambda x, dialect=None: TensorBound(x.shape, I16, -(2**15), 2**15 - 1),
    )  # fmt: skip
    assert "its shape is [1], inferred [1, 1]" in str(smallest("summing"))


def test_a_fast_face_that_differs_is_caught_with_the_smallest_call(made: Callable[..., Op]) -> None:
    def fast(x: IntArray, k: int, dialect: Any, out: IntArray) -> None:
        out[...] = np.where(x == 77, 0, x.astype(np.int64) * k)

    made(
        name="hasty", steps=lambda x, k, dialect=None: {"out": x * k}, fast=fast, inputs={"x": I8},
        params={"k": Param.integer(-5, 5)}, result=I16,
    )  # fmt: skip
    with pytest.raises(Counterexample) as raised:
        check_operator("hasty", examples=2000, vectors=False)
    found = raised.value
    assert found.arguments["x"].tolist() == [[77]]
    assert abs(found.arguments["k"]) == 1


# --- what cannot be used ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"name": "No"}, "'No' is no name for an operator"),
        ({"name": "input"}, "'input' is no name for an operator"),
        ({"name": "while"}, "'while' is no name for an operator"),
        ({"result": None}, "its result has no format; give result="),
        ({"params": {"k": Param.integer(0, 1)}}, r"its steps take \(x, dialect\); expected"),
        ({"inputs": {"signed": I8}, "steps": lambda signed, dialect=None: {"out": signed}}, "'signed' is a word of C"),
        ({"choices": ("colour",)}, "'colour' is not a choice of a dialect"),
        ({"name": "shiftmax"}, r"two operators are called 'shiftmax', intsim\.ops\.shiftmax\.steps and "),
    ],
)
def test_an_operator_that_could_not_be_called_is_refused(made: Callable[..., Op], given: Any, problem: str) -> None:
    right: dict[str, Any] = {
        "name": "right",
        "steps": lambda x, dialect=None: {"out": x},
        "inputs": {"x": I8},
        "params": {},
        "result": I8,
    }
    with pytest.raises(IntsimError, match=problem):
        made(**{**right, **given})


def test_a_step_in_floating_point_is_refused(made: Callable[..., Op]) -> None:
    infer = lambda x, dialect=None: x  # noqa: E731
    made(name="half", steps=lambda x, dialect=None: {"out": x / 2}, inputs={"x": I8}, params={}, infer=infer)
    with pytest.raises(TypeError, match="half: its step 'out' is float64, expected integers"):
        ops.half([[1, 3]])


def test_what_an_operator_raises_by_mistake_is_one_line_with_its_place(made: Callable[..., Op]) -> None:
    def steps(x: IntArray, dialect: Any = None) -> dict[str, IntArray]:
        return {"out": np.clp(x, 0, 1)}  # type: ignore[attr-defined]

    made(name="slipped", steps=steps, inputs={"x": I8}, params={}, result=I8)
    problem = r"^slipped: its function steps raises AttributeError: .* 'clp' \(test_plugins.py, line \d+\)$"
    with pytest.raises(ValueError, match=problem):
        ops.slipped([[1]])
    with pytest.raises(intsim.GraphError, match="wrong: slipped: its function steps raises AttributeError"):
        Graph([*network().nodes[:2], Node("wrong", "slipped", ("pixels",))], RTL)


def test_a_choice_that_an_operator_reads_and_does_not_name_is_told(made: Callable[..., Op]) -> None:
    def steps(x: IntArray, dialect: Any = None) -> dict[str, IntArray]:
        return {"out": round_shift(x, 2, dialect.requant_rounding)}

    made(name="unnamed", steps=steps, inputs={"x": I8}, params={}, result=I8)
    with pytest.raises(ValueError, match="add 'requant_rounding' to its choices="):
        ops.unnamed([[1]], dialect="rtl")


def test_a_real_number_in_an_equation_is_refused_by_its_bounds(made: Callable[..., Op]) -> None:
    made(
        name="scaled",
        steps=lambda x, dialect=None: {"out": np.minimum(x * 1.5, 100)},
        inputs={"x": I8},
        params={},
        result=I8,
    )
    with pytest.raises(ValueError, match=r"1\.5 is a real number; an equation has integers only"):
        ops.scaled([[1]])


def test_a_mistake_is_altered_before_what_follows_it_is_simplified(made: Callable[..., Op]) -> None:
    """The right values never reach the last limit; those without the first one do."""

    def steps(x: IntArray, dialect: Any = None) -> dict[str, IntArray]:
        low = np.minimum(x, 50)
        return {"low": low, "out": saturate(low, signed(7))}

    op = made(
        name="limited", steps=steps,
        inputs={"x": I8}, params={}, result=I8,
    )  # fmt: skip
    x = np.array([[40, 60, 70]], np.int64)
    assert op(x.astype(np.int8)).tolist() == [[40, 50, 50]]
    assert altered("limited", [x], {}, RTL, {"low.minimum": "left_out"}).tolist() == [[40, 60, 63]]


FILES = {
    "exits.py": ("raise SystemExit(3)\n", "cannot be imported: SystemExit: 3"),
    "raises.py": ("1 / 0\n", "cannot be imported: ZeroDivisionError: division by zero (raises.py, line 1); mend it"),
    "syntax.py": ("def f(:\n", "cannot be imported: SyntaxError"),
    "twice.py": (
        PLUGIN + PLUGIN.replace("def squared", "def other").replace("=squared,", "=other,"),
        "two operators are called 'squared'",
    ),
}


@pytest.mark.parametrize("file", FILES)
def test_a_plugin_that_cannot_be_used_is_one_line(tmp_path: Path, file: str) -> None:
    text, problem = FILES[file]
    (tmp_path / file).write_text(text)
    done = command("inspect", plugin=tmp_path / file)
    assert done.returncode == 2
    assert problem in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_environment_names_plugins_too(plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTSIM_PLUGIN", str(plugin))
    done = command("vectors", "gen", "portions")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["op"] == "portions"
    monkeypatch.setenv("INTSIM_PLUGIN", str(tmp_path / "missing.py"))
    assert command("inspect").returncode == 0  # nothing is looked for
    done = command("vectors", "gen", "portions")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_a_process_that_a_command_starts_has_the_plugin_too(plugin: Path, tmp_path: Path) -> None:
    intsim.save(network(), tmp_path / "model.h5")
    done = command("bench", "-m", tmp_path / "model.h5", "--json", plugin=plugin)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("plugin", "problem"),
    [("missing.py", "there is no such file; a plugin is"), ("no_such_module", "it is a Python file, or a module")],
)
def test_a_plugin_that_is_not_there_is_one_line(plugin: str, problem: str) -> None:
    done = command("inspect", plugin=Path(plugin))
    assert done.returncode == 2
    assert problem in done.stderr
    assert done.stderr.count("\n") == 1


# --- entry points -----------------------------------------------------------------------------------------------------


def package(folder: Path, name: str, files: dict[str, str], points: str) -> None:
    """An installed package: its modules and its metadata."""
    for file, text in files.items():
        (folder / file).write_text(text)
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(points)


def isolated(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}"]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_an_installed_package_adds_its_operators_when_they_are_asked_for(tmp_path: Path) -> None:
    package(tmp_path, "team", {"team_ops.py": PLUGIN}, "[intsim.operators]\nteam = team_ops\n")
    code = """
import intsim.ops as ops
assert "team_ops" not in sys.modules and ops.shiftmax
print(ops.REGISTRY["squared"]([[4]], k=2, dialect="rtl"), ops.portions([[1]], b=4))
from intsim.cli.main import main
main(["vectors", "gen", "squared", "--dialect", "rtl"])
"""
    done = isolated(tmp_path, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[[2]] [[7]]\n{")


def test_a_broken_package_is_named_only_where_a_name_is_unknown(tmp_path: Path) -> None:
    package(tmp_path, "broken", {"broken_ops.py": "import nothing_of_this_name\n"}, "[intsim.operators]\nb = broken_ops\n")
    done = isolated(tmp_path, "import intsim.ops as ops\nprint(ops.requant([[8]], m=1, e=1, b=8, dialect='rtl'))")
    assert done.stdout == "[[4]]\n", done.stderr
    done = isolated(tmp_path, "from intsim.cli.main import main\nmain(['vectors', 'gen', 'squared'])")
    assert done.returncode == 2
    assert "the plugin broken_ops of broken cannot be imported: ModuleNotFoundError" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_installed_network_is_found_by_its_kind(tmp_path: Path) -> None:
    module = (
        "from dataclasses import replace\nfrom intsim.nets.networks import VIT\nOWN = replace(VIT, title='a team ViT')\n"
    )
    package(tmp_path, "nets", {"team_nets.py": module}, "[intsim.networks]\nteam-vit = team_nets:OWN\n")
    code = """
from intsim.nets.networks import network_of
from intsim.errors import IntsimError
print(network_of({"kind": "team-vit"}).title)
try:
    network_of({"kind": "nothing"})
except IntsimError as error:
    print(error)
"""
    done = isolated(tmp_path, code)
    assert done.stdout == (
        "a team ViT\nconfiguration: kind 'nothing' is not one of segmenter, vit, deit, swin, team-vit\n"
    ), done.stderr


def test_i64_ports_take_any_format(made: Callable[..., Op]) -> None:
    made(
        name="twice", steps=lambda x, dialect=None: {"out": 2 * round_shift(x, 1, "floor")}, inputs={"x": I64}, params={},
        result=lambda params: signed(40),
    )  # fmt: skip
    assert ops.twice(np.array([[3, -5]], np.int32)).tolist() == [[2, -6]]


def test_a_network_from_outside_is_quantized_and_run(tmp_path: Path) -> None:
    """examples/networks, from weights and a configuration to classes and a golden file."""
    from PIL import Image
    from safetensors.numpy import save_file

    example = Path(__file__).parent.parent / "examples" / "networks" / "patch_mlp.py"
    config = {"kind": "patch-mlp", "img_size": [16, 24], "patch_size": 8, "embed_dim": 8, "num_classes": 5}
    shapes = {
        "patch_embed.proj.weight": (8, 3, 8, 8), "patch_embed.proj.bias": (8,), "norm.weight": (8,), "norm.bias": (8,),
        "fc.weight": (16, 8), "fc.bias": (16,), "head.weight": (5, 16), "head.bias": (5,),
    }  # fmt: skip
    random = np.random.default_rng(5)
    save_file(
        {name: random.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}, tmp_path / "w.safetensors"
    )
    (tmp_path / "config.json").write_text(json.dumps(config))
    Image.fromarray(random.integers(0, 256, (16, 24, 3), np.uint8)).save(tmp_path / "p.png")
    words = ("quantize", "w.safetensors", "--config", "config.json", "--calibrate", "p.png", "-o", "m.h5")
    done = command(*words, plugin=example, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = command("run", "p.png", "-m", "m.h5", "--json", cwd=tmp_path)  # a model file needs no plugin
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["classes"]) == 5
    done = command("golden", "p.png", "-m", "m.h5", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = command(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert "kind 'patch-mlp' is not one of segmenter, vit, deit, swin" in done.stderr
