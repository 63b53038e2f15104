"""Proofs: right functions are proved, wrong ones refuted by a call that shows it, and what cannot be traced is told."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intsim.cli.main import main
from intsim.errors import IntsimError
from intsim.testing import Counterexample, Undecided, prove_op

pytest.importorskip("bitwuzla", reason="proofs need Bitwuzla (the extra prove)")

ROOT = Path(__file__).parent.parent
NODE = "encoder.blocks.0.attn.proj.requant"


def claims() -> list[Any]:
    """The claims of tools/proofs.py."""
    spec = importlib.util.spec_from_file_location("proofs", ROOT / "tools" / "proofs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["proofs"] = module
    spec.loader.exec_module(module)
    return list(module.CLAIMS)


@pytest.mark.parametrize("claim", claims(), ids=lambda claim: claim.name)
def test_a_claim_is_proved(claim: Any) -> None:
    outcomes = list(claim.questions())
    assert outcomes
    assert {outcome.verdict for outcome in outcomes} == {"equal"}


def half_up(acc: Any, m: Any, e: Any, b: Any) -> Any:
    return np.clip((acc * m + (1 << (e - 1))) >> e, -(1 << (b - 1)), (1 << (b - 1)) - 1)


def two_arms(a: Any, c: Any, ma: Any, ea: Any, mc: Any, ec: Any, b: Any) -> Any:
    arms = [(x * m + (1 << (e - 1))) >> e for x, m, e in ((a, ma, ea), (c, mc, ec))]
    return np.clip(arms[0] + arms[1], -(1 << (b - 1)), (1 << (b - 1)) - 1)


def exponential(x: Any, x0: Any, n: Any) -> Any:
    t = np.maximum(x + (x >> 1) - (x >> 4), n * x0)
    q = -t // -x0
    return ((t - q * x0 - 2 * x0) << (n - q)) >> 1


def softmax(x: Any, x0: Any, n: Any, b: Any) -> Any:
    e = exponential(x - x.max(axis=-1, keepdims=True), x0, n)
    total = e[..., :1] * 0
    for i in range(e.shape[-1]):
        total = np.minimum(total + e[..., i : i + 1], 2**31 - 1)
    return (e * ((2**31 - 1) // total)) >> (32 - b)


def normalised(x: Any, bias: Any, squares: Callable[[Any], Any] = lambda y: y * y) -> Any:
    n = x.shape[-1]
    y = x - (2 * x.sum(axis=-1, keepdims=True) + n) // (2 * n)
    v = squares(y).sum(axis=-1, keepdims=True)
    root = np.zeros_like(v)
    for bit in range(31, -1, -1):
        tried = root | (1 << bit)
        root = np.where(tried * tried <= v, tried, root)
    return ((y * ((2**31 - 1) // np.maximum(root, 1))) >> 1) + bias


WIDE = {"p": (-(2**62), 2**62), "e": (1, 62)}
SOFTMAX = {"x": (-128, 127), "x0": -20, "n": 15, "b": 16}
RIGHT: dict[str, tuple[str, Callable[..., Any], dict[str, Any]]] = {
    "round_shift": ("round_shift", lambda p, e: (p + (1 << (e - 1))) >> e, {"ranges": WIDE}),
    "saturate": (
        "saturate",
        lambda x, b: np.where(x > (1 << (b - 1)) - 1, (1 << (b - 1)) - 1, np.maximum(x, -(1 << (b - 1)))),
        {},
    ),
    "requant": ("requant", half_up, {"ranges": {"b": 8}}),
    "requant by parameters": (
        "requant",
        lambda acc, m, e, b: half_up(acc, m, e, b) if e > 3 else half_up(acc, m, e, 8),
        {"ranges": {"b": 8, "e": (1, 6)}},
    ),
    "residual_add": ("residual_add", two_arms, {"ranges": {"b": 16}}),
    "shift_exp": ("shift_exp", exponential, {"ranges": {"x0": -20, "n": 15}}),
    "shiftmax": ("shiftmax", softmax, {"ranges": SOFTMAX}),
    "layernorm": ("layernorm", normalised, {"row": 4}),
    "linear": (
        "linear",
        lambda x, weight, bias: bias + sum(weight[:, i] * x[..., i : i + 1] for i in reversed(range(x.shape[-1]))),
        {},
    ),
    "matmul": ("matmul", lambda a, b, transpose_b: a @ b, {}),
    "mean": ("mean", lambda x: (2 * x.sum(axis=-2) + x.shape[-2]) // (2 * x.shape[-2]), {}),
    "heads": ("heads", lambda x, heads: np.moveaxis(x.reshape(*x.shape[:-1], heads, -1), -2, -3), {}),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_function_that_is_written_in_another_way_is_proved(name: str) -> None:
    op, function, options = RIGHT[name]
    proof = prove_op(op, function, "rtl", seconds=600, **options)  # of a machine that does other work
    assert proof.op == op
    assert proof.how


def rare(acc: Any, m: Any, e: Any, b: Any) -> Any:
    """Wrong for one accumulator and multiplier of 2**62."""
    return np.where((acc == 123456789) & (m == 987654321), 0, half_up(acc, m, e, b))


WRONG: dict[str, tuple[str, Callable[..., Any], dict[str, Any]]] = {
    "round_shift": ("round_shift", lambda p, e: (p + (1 << (e - 1)) - 1) >> e, {"ranges": WIDE}),
    "64 bits": ("round_shift", lambda p, e: (p + (1 << (e - 1))) >> e, {"ranges": {"e": (1, 62)}}),
    "saturate": ("saturate", lambda x, b: np.clip(x.astype(np.int32), -(1 << (b - 1)), (1 << (b - 1)) - 1), {}),
    "requant": ("requant", rare, {"ranges": {"b": 8, "e": (40, 62)}}),
    "32 bits": (
        "requant",
        lambda acc, m, e, b: np.clip(((acc * m >> (e - 1)) + 1).astype(np.int32) >> 1, -128, 127),
        {"ranges": {"b": 8, "e": 32}},
    ),
    "ports": ("requant", half_up, {"ranges": {"b": 8}, "ports": True}),
    "residual_add": (
        "residual_add",
        lambda a, c, ma, ea, mc, ec, b: two_arms(a, c, ma, ea, mc, ec, b - 1),
        {"ranges": {"b": (4, 16)}},
    ),
    "shift_exp": ("shift_exp", lambda x, x0, n: exponential(np.maximum(x, -300), x0, n), {"ranges": {"x0": -20, "n": 31}}),
    "shiftmax": ("shiftmax", lambda x, x0, n, b: softmax(np.minimum(x, 126), x0, n, b), {"ranges": SOFTMAX}),
    "layernorm": ("layernorm", lambda x, bias: normalised(x, bias, lambda y: (y * y).astype(np.int32)), {"row": 4}),
    "linear": ("linear", lambda x, weight, bias: (x @ weight.T).astype(np.int16) + bias, {}),
    "matmul": ("matmul", lambda a, b, transpose_b: ((a @ b + 2**24) & (2**25 - 1)) - 2**24, {}),
    "argmax": ("argmax", lambda x: x.shape[-1] - 1 - x[..., ::-1].argmax(axis=-1), {}),
    "mean": ("mean", lambda x: x.sum(axis=-2) // x.shape[-2], {}),
    "input_lut": (
        "input_lut",
        lambda image, table: np.stack([table[c][np.minimum(image[..., c], 254)] for c in range(image.shape[-1])], axis=-1),
        {},
    ),
    "roll": ("roll", lambda x, rows, columns: np.roll(x, (-rows, -columns), axis=(-3, -2)), {}),
    "slice": ("slice", lambda x, axis, start, stop: x[..., start : stop + 1, :], {}),
    "exchanged": ("roll", lambda x, rows, columns: np.roll(x, (columns, rows), axis=(-3, -2)), {}),
    "another shape": ("requant", lambda acc, m, e, b: acc.sum(), {}),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_function_is_refuted_by_a_call_on_which_it_is_wrong(name: str) -> None:
    op, function, options = WRONG[name]
    with pytest.raises(Counterexample) as found:
        prove_op(op, function, "rtl", seconds=600, **options)
    call = found.value.call
    if call is not None:  # the call itself shows it
        with np.errstate(over="ignore"):
            try:
                got = np.asarray(call.apply(function))
            except OverflowError:
                return
        assert got.shape != call.expected.shape or (got != call.expected).any()


@pytest.mark.parametrize(
    ("op", "function", "options", "said"),
    [
        ("requant", lambda acc, m, e, b: acc if acc.max() > 3 else -acc, {}, "decides by a value of an array.*check_op"),
        ("requant", lambda acc, m, e, b: np.round(acc * m / 2**e), {}, "real numbers"),
        ("requant", lambda acc, m, e, b: acc[acc > 3], {}, "selects elements"),
        ("requant", lambda acc, m, e, b: acc.nothing, {}, "AttributeError"),
        ("requant", half_up, {"ranges": {"e": (5, 4)}}, "range of e is empty"),
        ("requant", half_up, {"ranges": {"e": (0, 4)}}, "outside of"),
        ("requant", half_up, {"ranges": {"q": 4}}, "has no 'q'"),
        ("requant", half_up, {"ranges": {"e": "4"}}, "is expected"),
        ("requant", half_up, {"row": 0}, "row=0"),
        ("requant", half_up, {"seconds": 0}, "seconds=0"),
        ("reqant", half_up, {}, "there is no operator"),
        ("requant", 7, {}, "not callable"),
    ],
)
def test_what_cannot_be_asked_is_told_in_one_line(op: str, function: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(IntsimError, match=said) as found:
        prove_op(op, function, "rtl", **options)
    assert "\n" not in str(found.value)


def test_what_is_not_decided_is_not_claimed() -> None:
    with pytest.raises(Undecided, match=r"^unknown"):
        prove_op("divide", lambda a, d: (a - a % d) // d, "rtl", seconds=1)


def run(*args: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(args))
    return int(ended.value.code or 0)


def test_two_choices_at_a_node_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("prove", "--op", "requant", "--a", "dialect=rtl", "--b", "dialect=isegmenter", "--node", NODE) == 0
    assert "the same for all inputs: proved" in capsys.readouterr().out


def test_the_bounds_within_which_two_choices_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    ranges = [word for text in ("e=8", "m=96", "b=8") for word in ("--range", text)]
    assert run("prove", "--op", "requant", "--a", "dialect=rtl", "--b", "dialect=isegmenter", *ranges) == 1
    said = capsys.readouterr().out
    assert "exactly the same for acc in [-3, 11]" in said
    assert "acc = -4: -1 with dialect=rtl, -2 with dialect=isegmenter" in said


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            "requant_rounding=floor",
            "rounding=high_word_floored gives the same values .*; it is proved the same for all inputs",
        ),
        (
            "b-1",
            "saturation=narrow gives the same values on this picture; it is proved the same for all inputs of this node",
        ),
    ],
)
def test_a_diff_says_which_rules_are_the_same(
    fault: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    golden, dump = str(tmp_path / "golden.h5"), str(tmp_path / "dump.h5")
    run("golden", str(ROOT / "examples" / "scenes" / "scene_00.png"), "-o", golden)
    run("synth-fault", golden, "--node", NODE, "--rule", fault, "-o", dump)
    capsys.readouterr()
    assert run("diff", golden, dump, "--isolated") == 1
    assert re.search(said, capsys.readouterr().out)


@pytest.mark.parametrize(
    "args",
    [
        ("--b", "dialect=rtl"),
        ("--op", "requant", "--b", "dialect=rtl"),
        ("--node", "nothing", "--b", "dialect=rtl"),
        ("--node", NODE, "--op", "shiftmax", "--b", "dialect=rtl"),
        ("--node", NODE, "--b", "nothing=3"),
        ("--op", "requant", "--a", "dialect=rtl", "--b", "dialect=ivit", "--range", "e"),
        ("--op", "requant", "--a", "dialect=rtl", "--b", "dialect=ivit", "--range", "e=9..3"),
    ],
)
def test_bad_questions_end_with_one_line(args: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("prove", *args) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


# --- arrays without values compute as NumPy does --------------------------------------------------------------------------

TYPES = (np.int8, np.uint8, np.int16, np.int32, np.uint32, np.int64)
CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "floor": lambda x, y: x // y,
    "remainder": lambda x, y: x % y,
    "fmod": np.fmod,
    "left": lambda x, y: x << (y & 31),
    "far left": lambda x, y: x << y,
    "right": lambda x, y: x >> y,
    "and": lambda x, y: x & y,
    "or": lambda x, y: x | ~y,
    "xor": lambda x, y: x ^ y,
    "least": np.minimum,
    "most": lambda x, y: np.maximum(x, -y),
    "where": lambda x, y: np.where(x < y, x, y + 1),
    "compare": lambda x, y: (x <= y) * x + (x != y),
    "absolute": lambda x, y: abs(x) - np.sign(y) * np.square(x),
    "clip": lambda x, y: np.clip(x, -7, 100) + y.clip(0, 5),
    "sum": lambda x, y: x.sum() + y.sum(axis=-1, keepdims=True),
    "cumulative": lambda x, y: np.cumsum(x) + y,
    "extremes": lambda x, y: x.max() - y.min(axis=0),
    "argmax": lambda x, y: np.argmax(x) + y.argmax(),
    "narrow": lambda x, y: x.astype(np.int8) + y.astype(np.uint16),
    "bool": lambda x, y: (x > 0) & ~(y > 0) | (x == y),
    "any": lambda x, y: (x > y).any() + (x < 100).all(),
    "order": lambda x, y: np.concatenate([x[::-1], y])[1::2] * np.stack([x, y]).T.sum(),
    "set": lambda x, y: changed(x, y),
    "matmul": lambda x, y: np.stack([x, y]) @ np.stack([y, x]).T,
    "asarray": lambda x, y: np.asarray(x, dtype=np.int32) + np.array([y[0], y[1]])[0],
}


def changed(x: Any, y: Any) -> Any:
    z = np.zeros_like(x)
    z[1:] = x[:-1]
    z[0] += 3
    z[x > 4] = 9
    return z + y


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CALLS)
def test_arrays_without_values_compute_as_numpy_does(name: str) -> None:
    from intsim.proving.arrays import TypedArray, traced
    from intsim.proving.cells import Cells
    from intsim.proving.samples import evaluated
    from intsim.symbols import NotTraceable
    from intsim.symbols.build import Expressions

    random, compared = np.random.default_rng(3), 0
    for first in TYPES:
        for second in TYPES:
            cells = Cells(Expressions())
            ends = [(int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)) for dtype in (first, second)]
            given = [cells.input(key, (4,), *end) for key, end in zip("xy", ends, strict=True)]
            arrays = [TypedArray(cells, g.copy(), np.dtype(t), []) for g, t in zip(given, (first, second), strict=True)]
            try:
                found = traced(CALLS[name], cells, arrays, {}, None)
            except (NotTraceable, ValueError):  # a mix that NumPy makes real, or a shift of 2**32
                continue
            assert not isinstance(found, str)
            for _ in range(40):
                values = []
                for t, (lo, hi) in zip((first, second), ends, strict=True):
                    near = random.choice([lo, lo + 1, hi, max(lo, -1), 0, 1, 2, 31, 32, 63], 4)
                    wide = random.integers(lo, hi, 4, np.int64, endpoint=True)
                    values.append(np.where(random.random(4) < 0.5, near, wide).astype(t))
                due = np.asarray(CALLS[name](*(v.copy() for v in values)))
                samples = {
                    g[i]: np.array([int(v[i])], np.int64) for g, v in zip(given, values, strict=True) for i in range(4)
                }
                got = evaluated(list(found.flat), samples)
                assert [int(got[x][0]) for x in found.flat] == due.astype(object).ravel().tolist(), (first, second, values)
                compared += 1
    assert compared >= 400


def questions() -> list[Any]:
    from intsim.dialects import DIALECTS
    from intsim.ops import REGISTRY

    return [(op, dialect) for op, one in REGISTRY.items() for dialect in (DIALECTS if one.choices else ["rtl"])]


@pytest.mark.parametrize(("op", "dialect"), questions())
def test_the_elements_of_the_reference_are_its_results(op: str, dialect: str) -> None:
    """Parameters that are not known, too: decisions of an equation must not have been taken by an example."""
    from intsim.arith import I64
    from intsim.ops import REGISTRY
    from intsim.proving.question import Question
    from intsim.proving.samples import evaluated, samples
    from intsim.symbols import NotTraceable

    operator, compared = REGISTRY[op], 0
    for row in (1, 3):
        question = Question(op, dialect, {})
        try:
            traces = question.traces(row)
            due = traces.reference()
        except (NotTraceable, ValueError) as error:
            pytest.fail(f"{op}: {error}")
        inputs = list(traces.cells.inputs.values())
        drawn = samples(inputs, 200)
        values = evaluated([*due.flat, *traces.cells.assumed], drawn)
        for i in range(200):
            arrays = {}
            for name, cells in traces.given.items():
                array = np.zeros(cells.shape, np.int64)
                for index in np.ndindex(*cells.shape):
                    x = cells[index]
                    array[index] = int(drawn[x][i]) if x in drawn else x.lo
                arrays[name] = array
            params = {name: arrays.get(name, traces.ranges.get(name, (0,))[0]) for name in operator.params}
            call = [arrays[name] for name in traces.names]
            choices = {"dialect": dialect} if operator.choices else {}
            named = dict(zip(operator.inputs, call, strict=False))
            refused = any(bool(values[x][i]) for x in traces.cells.assumed)
            try:
                given = {"xs": call} if operator.variadic else named
                plain = {k: v if np.ndim(v) else int(v) for k, v in params.items()}
                expected = operator.ref(*given.pop("xs", []), **given, **plain, **choices)
            except ValueError:
                assert refused, (params, call)
                continue
            assert not refused or expected.dtype == object or not all(I64.holds(int(v), int(v)) for v in expected.flat)
            assert [int(values[x][i]) for x in due.flat] == [int(v) for v in expected.flat], (params, call)
            compared += 1
    assert compared >= 40
