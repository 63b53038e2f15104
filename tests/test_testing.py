"""Tests of intsim.testing: correct functions pass, wrong ones are found, and counterexamples can be pasted into Python."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

import intsim
from intsim import dialects, ops
from intsim.arith import I8, I32, U8, isqrt
from intsim.dialects import CHOICES, DIALECTS, Dialect
from intsim.engine.graph import Graph
from intsim.errors import IntsimError
from intsim.rules.equations import DEVIATING_EQUATIONS
from intsim.rules.tables import MISTAKES
from intsim.testing import Call, Counterexample, check_op, strategies
from intsim.testing import checking as checking_module
from intsim.testing.cocotb import Scoreboard
from intsim.testing.failures import difference, steps

from checking import searching

pytest_plugins = ["pytester"]

EXAMPLES = int(os.environ.get("EXAMPLES", "20"))  # calls of each operator in each dialect; make properties tries many
ROOT = Path(__file__).parent.parent
WITH_DIALECT = [(op, dialect) for op in ops.REGISTRY.values() if op.choices for dialect in DIALECTS]
EVERY = WITH_DIALECT + [(op, None) for op in ops.REGISTRY.values() if not op.choices]
every_operator = pytest.mark.parametrize(("op", "dialect"), EVERY, ids=lambda v: getattr(v, "name", v))


def dialect_argument(dialect: Any) -> dict[str, Any]:
    return {} if dialect is None else {"dialect": dialect}


def counterexample(*args: Any, **kwargs: Any) -> Counterexample:
    with pytest.raises(Counterexample) as raised:
        check_op(*args, **kwargs)
    return raised.value


@pytest.fixture
def not_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hypothesis does not shrink: for tests that need any counterexample, and not a small one."""
    monkeypatch.setattr(checking_module, "SHRINKING", 0)


# --- correct functions pass -------------------------------------------------------------------------------------------


@every_operator
def test_both_implementations_pass(op: ops.Op, dialect: str | None) -> None:
    check_op(op, lambda *x, **p: op(*x, **p, **dialect_argument(dialect)), dialect, examples=EXAMPLES)
    refused = max(EXAMPLES // 4, 5)
    check_op(op.name, lambda *x, **p: op.ref(*x, **p, **dialect_argument(dialect)), dialect, examples=refused, refusals=True)


@pytest.mark.parametrize("name", ["requant", "layernorm", "shiftmax", "lambda_shiftgelu"])
def test_any_leading_axes_are_accepted(name: str) -> None:
    op = ops.REGISTRY[name]
    for shape in ((5,), (2, 3, 4)):
        seen: set[tuple[int, ...]] = set()

        def function(x: np.ndarray, op: ops.Op = op, seen: set = seen, **params: Any) -> np.ndarray:
            seen.add(x.shape)
            return op(x, **params, dialect="rtl")

        check_op(name, function, "rtl", shape=shape, examples=30)
        assert seen == {shape}


# --- wrong functions are found ----------------------------------------------------------------------------------------

NUMBERS = {
    "sum_bits": {"shiftmax": (31, 27), "shiftgelu": (27,), "lambda_shiftgelu": (27,), "layernorm": (24,), "mean": (24, 16)}
    | {"masked_shiftmax": (31, 27)},
    "sum_saturates": {"shiftmax": (27,), "masked_shiftmax": (27,), "shiftgelu": (27,), "lambda_shiftgelu": (27,)},
    "variance_bits": {"layernorm": (31, 16)},
    "accumulator_bits": {"linear": (31, 16), "matmul": (30, 20)},
    "accumulator_saturates": {"linear": (24,), "matmul": (20,)},
    "shifted_first": {"requant": (16,), "residual_add": (16,)},
    "product_bits": {"requant": (48, 32), "residual_add": (32,), "shiftgelu": (16,), "lambda_shiftgelu": (16,)},
    "input_bits": {"requant": (24, 16)},
    "input_saturates": {"requant": (16,)},
    "factor_bits_dropped": {"shiftmax": (8,), "masked_shiftmax": (8,), "shiftgelu": (12,), "lambda_shiftgelu": (12,)}
    | {"layernorm": (12,)},
    "newton_steps": {"layernorm": (7,)},
    "centred_bits": {"layernorm": (16,)},
}
MUTANTS = [
    (name, mistake.key, mistake.value)
    for name, mistakes in MISTAKES.items()
    for mistake in mistakes
    if isinstance(mistake.value, str) or mistake.value in NUMBERS[mistake.key].get(name, ())
]
# Choices that do not change any result of an operator on arguments that the reference accepts.
EQUIVALENT = {
    ("shiftmax", "quotient"): "differences to the maximum are not positive: the quotient is never negative",
    ("masked_shiftmax", "quotient"): "differences to the maximum are not positive: the quotient is never negative",
    ("layernorm", "overflow"): "results outside i32 are refused",
    ("shift_exp", "overflow=exact"): "calls whose result does not fit 64 bits are not tried",
    ("shiftmax", "overflow=exact"): "with overflow=forbid every value is proved to fit",
    ("masked_shiftmax", "overflow=exact"): "with overflow=forbid every value is proved to fit",
    ("shiftgelu", "overflow=exact"): "with overflow=forbid every value is proved to fit",
    ("lambda_shiftgelu", "overflow=exact"): "with overflow=forbid every value is proved to fit",
}
DEPARTURES = [
    (name, key, value)
    for name, op in ops.REGISTRY.items()
    for key in op.choices
    for value in CHOICES[key]
    if value != getattr(dialects.RTL, key) and (name != "residual_add" or value == "half_even")
]


def wide(value: Any) -> Any:
    return value.astype(np.int64) if isinstance(value, np.ndarray) else value


def twisted(name: str, key: str, value: Any) -> Callable:
    """The operator in `rtl`, with one mistake."""

    def mutant(*arrays: np.ndarray, **params: Any) -> np.ndarray:
        wider = {k: wide(v) for k, v in params.items()}
        return DEVIATING_EQUATIONS[name]([wide(x) for x in arrays], wider, dialects.RTL, {key: value})

    return mutant


@pytest.mark.usefixtures("not_shrunk")
@pytest.mark.parametrize(("name", "key", "value"), MUTANTS, ids=lambda v: str(v))
def test_every_mistake_is_found(name: str, key: str, value: Any) -> None:
    failure = counterexample(name, twisted(name, key, value), "rtl")
    assert failure.got is None or not np.array_equal(failure.got, failure.expected)


@pytest.mark.usefixtures("not_shrunk")
@pytest.mark.parametrize(("name", "key", "value"), DEPARTURES, ids=lambda v: str(v))
def test_every_other_choice_is_found(name: str, key: str, value: str) -> None:
    other = dialects.RTL.replace(**{key: value})

    def mutant(*x: np.ndarray, **params: Any) -> np.ndarray:
        return ops.REGISTRY[name].ref(*x, **params, dialect=other)

    if (name, key) in EQUIVALENT or (name, f"{key}={value}") in EQUIVALENT:
        check_op(name, mutant, "rtl")
    else:
        failure = counterexample(name, mutant, "rtl")
        assert failure.got is None or failure.index is not None


def test_a_branch_that_is_added_once_is_found() -> None:
    """The second branch sometimes has fewer axes; the smallest call that shows the mistake has two rows of one element."""

    def mutant(a: np.ndarray, c: np.ndarray, **params: Any) -> np.ndarray:
        padded = np.zeros_like(a)
        padded.reshape(-1)[: c.size] = c.reshape(-1)
        return ops.residual_add(a, padded, **params, dialect="rtl")

    failure = counterexample("residual_add", mutant, "rtl")
    assert [x.shape for x in failure.call.inputs] == [(2, 1), (1,)]


def test_a_sum_of_32_bits_in_layernorm_is_found_in_long_rows() -> None:
    mutant = twisted("layernorm", "sum_bits", 27)
    failure = counterexample("layernorm", mutant, "rtl", columns=4096, examples=100)
    assert failure.arguments["x"].shape[-1] == 4096


def test_an_unsigned_shift_is_found() -> None:
    def mutant(x: np.ndarray, x0: int, n: int) -> np.ndarray:
        t = x.astype(np.int64)
        t = np.maximum(t + (t >> 1) - (x.view(np.uint16) >> 4).astype(np.int64), n * x0)
        q = t // x0
        return np.maximum((t - q * x0 - 2 * x0 << n - q) >> 1, 0)

    call = counterexample("shift_exp", mutant, "rtl").call
    assert call.inputs[0].max() < 0
    assert call.inputs[0].size == 1


def test_a_short_sum_register_is_found_with_fixed_parameters() -> None:
    """With x0 = -20 and n = 15 the sum exceeds 27 bits from 205 of the largest exponentials on; that is the row found."""
    failure = counterexample("shiftmax", twisted("shiftmax", "sum_bits", 27), "rtl", x0=-20, n=15, b=16)
    assert failure.arguments["x"].shape == (1, 205)
    assert (failure.arguments["x0"], failure.arguments["n"], failure.arguments["b"]) == (-20, 15, 16)


def test_counterexamples_are_small() -> None:
    half_even = counterexample("requant", lambda x, **p: ops.requant(x, **p, dialect="ivit"), "rtl")
    assert str(half_even.call) == 'ops.requant(np.array([[1]], np.int32), m=1, e=1, b=2, dialect="rtl")'
    root = counterexample("layernorm", lambda x, bias: ops.layernorm(x, bias, dialect="isegmenter"), "rtl")
    assert isqrt(1, "newton10") != 1
    assert root.arguments["x"].size <= 2
    ties = counterexample("argmax", lambda x: x.shape[-1] - 1 - x[..., ::-1].argmax(-1), None)
    assert str(ties.call) == "ops.argmax(np.array([[0, 0]], np.int8))"


# --- the text of a counterexample -------------------------------------------------------------------------------------


def test_the_text_of_a_counterexample() -> None:
    def mine(x: np.ndarray, x0: int, n: int, b: int) -> np.ndarray:
        return ops.shiftmax(x, x0=x0, n=n, b=b, dialect=dialects.RTL.replace(half_bit="dropped"))

    failure = counterexample("shiftmax", mine, dialect="rtl")
    title, call, first, trace = str(failure).split("\n\n", 3)
    assert title == f"{mine.__qualname__} is not shiftmax in dialect rtl"
    expected = eval(call.strip(), {"ops": ops, "np": np, "dialects": dialects})
    assert np.array_equal(expected, failure.expected)
    assert np.array_equal(expected, failure.call.expected)
    (row, column), got, value = failure.index, failure.got[failure.index], expected[failure.index]
    differing = (expected != failure.got).sum()
    counted = f"{differing} of {expected.size} elements differ"
    assert first.startswith(f"out[{row}, {column}] is {got}, expected {value}; {counted}")
    assert trace.startswith(f"out[{row},{column}] = {value:,}, shiftmax\n\n step")
    assert "e * f >>" in trace
    assert "\x1b" not in str(failure)
    assert set(failure.arguments) == {"x", "x0", "n", "b", "dialect"}


@searching
@given(st.data(), strategies.dialects())
def test_calls_are_python_and_traces_end_in_the_expected_value(data: st.DataObject, dialect: Dialect) -> None:
    op = data.draw(st.sampled_from(list(ops.REGISTRY.values())))
    call = data.draw(strategies.arguments(op, dialect))
    expected = eval(repr(call), {"ops": ops, "np": np, "dialects": dialects})
    np.testing.assert_array_equal(expected, call.expected)
    index = tuple(data.draw(st.integers(0, n - 1)) for n in expected.shape)
    last = steps(call, index).splitlines()[-1]
    assert f"{int(expected[index]):,}" in last


def test_arrays_of_one_value_are_written_short() -> None:
    call = Call("shiftmax", (np.zeros((1, 99), np.int8),), {"x0": -1, "n": 1, "b": 2}, dialects.RTL)
    assert str(call) == 'ops.shiftmax(np.full((1, 99), 0, np.int8), x0=-1, n=1, b=2, dialect="rtl")'


def broken(result: Any) -> Callable:
    def mine(x: np.ndarray, **params: Any) -> Any:
        return result(x)

    return mine


def raising(x: np.ndarray) -> np.ndarray:
    raise KeyError("no table")


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (raising, "it raised KeyError: 'no table'"),
        (lambda x: None, "it returned None; integers are expected"),
        (lambda x: x / 2, r"it returned float64 \[1, 1\]; integers are expected"),
        (lambda x: x > 0, r"it returned bool \[1, 1\]; integers are expected"),
        (lambda x: "text", "it returned a str; integers are expected"),
        (lambda x: [[1], [2, 3]], "it returned a list; an array of integers is expected"),
        (lambda x: x[0], r"its shape is \[1\], expected \[1, 1\]"),
        (lambda x: 5, r"its shape is \[\], expected \[1, 1\]"),
        (lambda x: x, "the function returned its input unchanged"),
    ],
)
def test_results_that_cannot_be_compared_are_found(result: Callable, message: str) -> None:
    with pytest.raises(Counterexample, match=message):
        check_op("requant", broken(result), "rtl")


def test_the_exception_of_the_function_is_the_cause() -> None:
    assert isinstance(counterexample("requant", broken(raising), "rtl").__cause__, KeyError)


def test_lists_python_integers_and_wider_types_are_accepted() -> None:
    for kind in (lambda y: y.tolist(), lambda y: y.astype(object), lambda y: y.astype(np.int64)):
        check_op("requant", lambda x, kind=kind, **p: kind(ops.requant(x, **p, dialect="rtl")), "rtl", examples=30)


def test_a_function_may_modify_its_arguments() -> None:
    def mine(x: np.ndarray, bias: np.ndarray) -> np.ndarray:
        result = ops.layernorm(x, bias, dialect="rtl")
        x[:], bias[:] = 0, 0
        return result

    check_op("layernorm", mine, "rtl", examples=50)


def test_a_nondeterministic_function_is_reported() -> None:
    calls = iter(range(10**9))
    failure = counterexample("argmax", lambda x: ops.argmax(x) + (next(calls) == 7), None)
    assert "returned a different result" in str(failure)


def test_differences_near_the_ends_of_64_bits() -> None:
    expected = np.array([5, -(2**63), 2**63 - 1])
    assert difference(expected, expected.copy(), 0) == ("", None)
    message, index = difference(expected, np.array([5, 2**63 - 1, -(2**63)]), 2**62)
    assert index == (1,)
    assert message == (
        f"out[1] is 9223372036854775807, expected -9223372036854775808; 2 of 3 elements differ by more than {2**62}"
    )
    assert difference(np.array([-1]), np.array([2**64 - 1], np.uint64), 0)[1] == (0,)


def test_tolerance() -> None:
    def one_off(x: np.ndarray, **params: Any) -> np.ndarray:
        return ops.requant(x, **params, dialect="rtl").astype(np.int64) + 1

    check_op("requant", one_off, "rtl", tolerance=1, examples=50)
    assert counterexample("requant", one_off, "rtl").index == (0, 0)


# --- refusals, fixed parameters, invalid arguments --------------------------------------------------------------------


def test_calls_that_the_reference_refuses_are_tried_only_with_refusals() -> None:
    limit = 2**31

    def careless(x: np.ndarray, x0: int, n: int, b: int) -> np.ndarray:
        return ops.shiftmax(x, x0=x0, n=n, b=b, dialect="rtl") if -x0 << n < limit else np.zeros_like(x)

    check_op("shiftmax", careless, "rtl")
    failure = counterexample("shiftmax", careless, "rtl", refusals=True)
    assert failure.expected is None
    assert "a ValueError is expected, as from the reference: shiftmax: one exponential reaches" in str(failure)
    check_op("shiftmax", lambda x, **p: ops.shiftmax(x, **p, dialect="rtl"), "rtl", refusals=True)


def test_a_refusal_by_another_exception_is_found() -> None:
    def mine(x: np.ndarray, x0: int, n: int, b: int) -> np.ndarray:
        if -x0 << n >= 2**31:
            raise OverflowError("too much")
        return ops.shiftmax(x, x0=x0, n=n, b=b, dialect="rtl")

    assert "it raised OverflowError: too much; a ValueError is expected" in str(
        counterexample("shiftmax", mine, "rtl", refusals=True)
    )


@pytest.mark.usefixtures("not_shrunk")
@pytest.mark.parametrize(
    ("name", "fixed"),
    [
        ("shiftmax", {"x0": -20, "n": 15, "b": 16, "columns": 197}),
        ("requant", {"m": [3, -5, 7], "e": [2, 3, 4], "b": 8}),
        ("residual_add", {"ma": [3, 5], "ea": 2, "mc": 2**30, "ec": 30, "b": 16}),
        ("layernorm", {"bias": [1, 2, 3, 4]}),
        ("linear", {"weight": [[1, 2, 3], [4, 5, 6]], "bias": [7, 8]}),
        ("matmul", {"transpose_b": 1, "shape": (2, 3, 4)}),
        ("input_lut", {"table": np.arange(512).reshape(2, 256) % 256 - 128}),
        ("heads", {"heads": 3}),
        ("heads", {"columns": 6}),
        ("grid", {"shape": (6, 2)}),
        ("slice", {"axis": -1, "start": 1, "stop": 3, "columns": 4}),
        ("concat", {"axis": -1, "shape": (2, 3)}),
        ("patches", {"size": 2, "shape": (5, 4, 3)}),
        ("mean", {"shape": (7, 2)}),
        ("mean", {"columns": 3}),
        ("masked_shiftmax", {"regions": [[0, 0, 1], [2, 3, 3]], "x0": -20, "n": 15, "b": 16}),
        ("masked_shiftmax", {"shape": (2, 3, 1, 4, 4)}),
        ("roll", {"rows": -3, "shape": (4, 5, 2)}),
        ("windows", {"size": 2}),
        ("windows", {"shape": (6, 4, 1)}),
        ("merge_windows", {"height": 6}),
        ("merge_windows", {"shape": (6, 4, 2)}),
        ("merge_patches", {"columns": 3}),
        ("relative_positions", {"size": 3}),
        ("relative_positions", {"shape": (25, 2)}),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_fixed_parameters_and_shapes_are_kept(name: str, fixed: dict[str, Any]) -> None:
    op, seen = ops.REGISTRY[name], []

    def function(*x: np.ndarray, **params: Any) -> np.ndarray:
        for key in fixed.keys() & params.keys():
            np.testing.assert_array_equal(params[key], fixed[key])
        assert x[0].shape[-1] == fixed.get("columns", x[0].shape[-1])
        assert x[0].shape == fixed.get("shape", x[0].shape)
        seen.append(x)
        return op(*x, **params, **dialect_argument("rtl" if op.choices else None))

    check_op(name, function, "rtl", examples=30, **fixed)
    assert len(seen) >= 15
    failure = counterexample(name, lambda *x, **p: None, "rtl", examples=5, **fixed)
    assert failure.arguments.items() >= {k: v for k, v in fixed.items() if isinstance(v, int) and k != "columns"}.items()


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        (("softmax",), {"dialect": "rtl"}, "there is no operator 'softmax'; there are: argmax"),
        (("shiftmax",), {"dialect": "verilog"}, "'verilog' is not a dialect: ivit"),
        (("shiftmax",), {"dialect": None}, "shiftmax: dialect=None, but its results depend on the dialect"),
        (("shiftmax",), {"dialect": "rtl", "bits": 16}, "shiftmax has no parameter 'bits'; it has x0, n, b"),
        (("argmax",), {"dialect": None, "n": 16}, "argmax has no parameter 'n'; it has none"),
        (("shiftmax",), {"dialect": "rtl", "x0": 3}, r"shiftmax: x0 = 3 is outside \[-1048576, -1\]"),
        (("shiftmax",), {"dialect": "rtl", "x0": -1.5}, "shiftmax: x0: expected integers"),
        (
            ("shiftmax",),
            {"dialect": "rtl", "shape": (2, 0)},
            r"shiftmax: shape=\(2, 0\): a tuple of integers from 1 to 16,777,216 is expected",
        ),
        (("shiftmax",), {"dialect": "rtl", "shape": ()}, r"shiftmax: shape=\(\): a tuple of integers"),
        (
            ("shiftmax",),
            {"dialect": "rtl", "shape": 5},
            r"shiftmax: shape=5: a tuple of integers from 1 to 16,777,216 is expected",
        ),
        (
            ("shiftmax",),
            {"dialect": "rtl", "columns": 0},
            "shiftmax: columns=0: an integer from 1 to 16,777,216 is expected",
        ),
        (("shiftmax",), {"dialect": "rtl", "columns": 10**9}, "shiftmax: columns=1000000000: an integer from 1"),
        (("shiftmax",), {"dialect": "rtl", "tolerance": -1}, "shiftmax: tolerance=-1: an integer of at least 0 is expected"),
        (("shiftmax",), {"dialect": "rtl", "examples": 0}, "shiftmax: examples=0: an integer of at least 1 is expected"),
        (("shiftmax",), {"dialect": "rtl", "columns": 4, "shape": (2, 4)}, "give only one of them"),
        (("shiftmax",), {"dialect": "rtl", "n": 31}, "refuses every call tried: shiftmax: one exponential"),
        (("layernorm",), {"dialect": "rtl", "bias": [1, 2], "columns": 3}, "refuses every call tried"),
    ],
)
def test_invalid_arguments_are_refused(args: tuple, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(IntsimError, match=message) as raised:
        check_op(*args, lambda *x, **p: None, **kwargs)
    assert "\n" not in str(raised.value)


# --- strategies -------------------------------------------------------------------------------------------------------

quick = settings(database=None, max_examples=2000, derandomize=True)


@pytest.mark.parametrize("fmt", [I8, U8, I32])
def test_integers_include_the_ends_of_their_format(fmt: Any) -> None:
    for end in (fmt.lo, fmt.hi, 0):
        assert find(strategies.integers(fmt), lambda v, end=end: v == end, settings=quick) == end
    with pytest.raises(ValueError, match="'int8' is not a format"):
        strategies.integers("int8")


@pytest.mark.parametrize(
    "kind",
    [
        lambda x: len(x) == 1,
        lambda x: len(x) > 500,
        lambda x: len(x) > 3 and (x == x[0]).all(),
        lambda x: len(x) > 3 and (x < 0).all() and len(set(x.tolist())) > 2,
        lambda x: len(x) > 3 and (x != x[0]).sum() == 1,
        lambda x: len(x) > 3 and (np.diff(x) > 0).all(),
        lambda x: len(x) > 3 and set(x.tolist()) == {-128, 127},
        lambda x: len(x) > 2 and len(set(x.tolist())) == len(x) and (np.diff(x) < 0).any(),
    ],
    ids=["single", "long", "equal", "negative", "spike", "ascending", "ends", "anything"],
)
def test_rows_of_every_kind(kind: Callable) -> None:
    x = find(strategies.rows("i8"), kind, settings=quick)
    assert x.dtype == np.int8


@searching
@given(st.data())
def test_tensors_have_the_requested_shape(data: st.DataObject) -> None:
    fmt = data.draw(st.sampled_from(["u8", "i8", "i16", "i32"]))
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    assert data.draw(strategies.tensors(fmt, shape)).shape == shape
    rows = data.draw(strategies.tensors(fmt, columns=7))
    assert rows.shape[1:] == (7,)
    assert rows.dtype.itemsize == int(fmt[1:]) // 8
    assert data.draw(strategies.rows(fmt, 5)).size <= 5


@searching
@given(st.data(), st.none() | st.integers(1, 9))
def test_multipliers_are_valid_for_requant(data: st.DataObject, channels: int | None) -> None:
    m, e = data.draw(strategies.multipliers(channels))
    assert np.shape(m) == np.shape(e) == (() if channels is None else (channels,))
    ops.requant([[1] * (channels or 1)], m=m, e=e, b=8, dialect="rtl")


def test_multipliers_include_ties_and_negative_ones() -> None:
    for condition in (lambda p: 3 * p[0] % 2 ** p[1] == 2 ** (p[1] - 1), lambda p: p[0] < -(2**30), lambda p: p[1] == 62):
        find(strategies.multipliers(), condition, settings=quick)


@pytest.mark.parametrize("name", DIALECTS)
def test_graphs_in_a_dialect(name: str) -> None:
    @settings(quick, max_examples=10, deadline=None)
    @given(strategies.graphs(name))
    def check(graph: Graph) -> None:
        assert graph.dialect is DIALECTS[name]
        assert graph.output.op == "argmax"

    check()


@pytest.mark.parametrize("name", DIALECTS)
def test_graphs_with_windows(name: str) -> None:
    """Some graphs have attention within windows; both implementations give the same results on them."""
    graph = find(strategies.graphs(name), lambda g: any(n.op == "masked_shiftmax" for n in g.nodes), settings=quick)
    assert {"roll", "windows", "relative_positions", "merge_windows", "tokens"} <= {node.op for node in graph.nodes}
    picture = np.random.default_rng(1).integers(0, 256, graph.tensors["image"].shape).astype(np.uint8)
    labels = intsim.run(graph, picture, face="ref")
    np.testing.assert_array_equal(intsim.run(graph, picture), labels)
    np.testing.assert_array_equal(intsim.run(graph, picture, lambda name, value: None), labels)


def test_dialects_are_built_in_or_mixtures() -> None:
    assert find(strategies.dialects(), lambda d: d is dialects.RTL, settings=quick) is dialects.RTL
    mixed = find(strategies.dialects(), lambda d: d.name == "mixture" and d.half_bit == "dropped", settings=quick)
    assert mixed.softmax_bits in (8, 16)


# --- reproducible, without files, without Hypothesis ------------------------------------------------------------------


def python(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )


def test_the_same_calls_are_tried_every_time() -> None:
    def tried() -> list[str]:
        seen = []

        def function(x: np.ndarray, **params: Any) -> np.ndarray:
            seen.append(f"{x.tolist()} {params}")
            return ops.requant(x, **params, dialect="rtl")

        check_op("requant", function, "rtl", examples=40)
        return seen

    first = tried()
    assert len(first) == 40
    assert tried() == first


def test_no_files_are_left_behind_outside_pytest(tmp_path: Path) -> None:
    code = "from intsim.testing import check_op; check_op('argmax', lambda x: x.argmax(-1) * 0, None)"
    done = python(code, tmp_path)
    assert done.returncode == 1
    assert "Counterexample: <lambda> is not argmax" in done.stderr
    assert "Falsifying example" not in done.stderr + done.stdout
    assert not list(tmp_path.iterdir())


def test_without_hypothesis_the_error_is_one_line(tmp_path: Path) -> None:
    for name in ("check_op", "strategies"):
        done = python(f"import sys; sys.modules['hypothesis'] = None; from intsim.testing import {name}", tmp_path)
        last = done.stderr.splitlines()[-1]
        assert last == "ImportError: intsim.testing needs Hypothesis; pip install 'intsim[testing]'"
        assert "During handling" not in done.stderr
    assert python("import sys; sys.modules['hypothesis'] = None; import intsim.testing.golden", tmp_path).returncode == 0


def test_the_plugin_imports_no_large_packages(tmp_path: Path) -> None:
    packages = ["numpy", "numba", "h5py", "hypothesis", "rich"]
    done = python(f"import sys, intsim.testing.plugin; print([m for m in {packages} if m in sys.modules])", tmp_path)
    assert done.stdout == "[]\n"


# --- the plugin -------------------------------------------------------------------------------------------------------

installed = any(point.value == "intsim.testing.plugin" for point in entry_points(group="pytest11"))
PLUGIN = ("-q", "-p", "no:cacheprovider", *(() if installed else ("-p", "intsim.testing.plugin")))


def test_the_fixture_with_the_shipped_file(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import numpy as np
        import pytest
        from intsim import ops
        from intsim.errors import IntsimError

        SOFTMAX = "encoder.blocks.1.attn.softmax"

        def test_values(golden):
            x, = golden.inputs(SOFTMAX)
            assert x.dtype == np.int16 and golden[SOFTMAX].dtype == np.int16
            assert golden.params(SOFTMAX).keys() == {"x0", "n", "b"}
            assert SOFTMAX not in golden.file.tensors  # the file leaves it out
            assert SOFTMAX in golden.nodes("shiftmax")
            assert len(golden.nodes()) > 100
            golden.check(SOFTMAX, ops.shiftmax(x, **golden.params(SOFTMAX), dialect=golden.dialect))

        def test_returned_arrays_are_copies(golden):
            for value in (golden[SOFTMAX], *golden.inputs(SOFTMAX)):
                value[:] = 0
            linear = golden.nodes("linear")[0]
            golden.params(linear)["weight"][:] = 0
            assert golden[SOFTMAX].any() and golden.inputs(SOFTMAX)[0].any() and golden.params(linear)["weight"].any()

        def test_a_difference(golden):
            values = golden[SOFTMAX].astype(np.int64)
            values[2, 3, 4] += 5
            with pytest.raises(AssertionError) as raised:
                golden.check(SOFTMAX, values)
            text = str(raised.value)
            expected = golden[SOFTMAX][2, 3, 4]
            differing = "1 of 264,196 elements differ"
            assert text.startswith(f"{SOFTMAX}: out[2, 3, 4] is {expected + 5}, expected {expected}; {differing}\\n\\n")
            assert f"{SOFTMAX}[2,3,4] = {expected:,}" in text and "e * f >>" in text
            assert raised.value.index == (2, 3, 4)
            with pytest.raises(AssertionError, match="its shape is"):
                golden.check(SOFTMAX, values[0])
            with pytest.raises(AssertionError, match="integers are expected"):
                golden.check(SOFTMAX, values / 1)

        @pytest.mark.parametrize("call", [
            "golden['nobody']", "golden.inputs('nobody')", "golden.params('nobody')", "golden.check('nobody', 3)",
            "golden.nodes('softmax')", "golden.nodes('shift_exp')",
        ])
        def test_unknown_names_are_refused(golden, call):
            with pytest.raises(IntsimError, match="there is no|none of its") as raised:
                eval(call)
            assert "\\n" not in str(raised.value)
    """)
    pytester.runpytest(*PLUGIN).assert_outcomes(passed=9)


def test_another_file_and_its_model(pytester: pytest.Pytester, golden_file: Path, model_file: Path) -> None:
    pytester.makepyfile(
        "def test(golden):\n    assert golden.nodes()[0] == 'image'\n    assert golden['image'].shape == (24, 40, 3)"
    )
    pytester.runpytest(*PLUGIN, f"--golden={golden_file}", f"--golden-model={model_file}").assert_outcomes(passed=1)
    done = pytester.runpytest(*PLUGIN, f"--golden={golden_file}")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(
        ["*golden.h5: was made from model *, which is neither the shipped one nor next to it; name its own with --*"]
    )
    done = pytester.runpytest(*PLUGIN, f"--golden-model={model_file}")
    done.stdout.fnmatch_lines(["*was made from model *, not from *tiny.h5, which is *; name its own with --golden-model"])
    done = pytester.runpytest(*PLUGIN, f"--golden={model_file}")
    done.stdout.fnmatch_lines(["*tiny.h5: not an intsim-golden file (its format is 'intsim-model')"])
    (pytester.path / "sub").mkdir()
    (pytester.path / "sub" / "golden.h5").write_bytes(golden_file.read_bytes())
    (pytester.path / "sub" / "model.h5").write_bytes(model_file.read_bytes())
    pytester.makeini("[pytest]\nintsim_golden = sub/golden.h5")
    pytester.runpytest(*PLUGIN).assert_outcomes(passed=1)


def test_unusable_files_are_refused_before_any_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test():\n    pass")
    (pytester.path / "text.h5").write_text("not an intsim file")
    for arguments, message in (
        (["--golden=nowhere.h5"], "ERROR: --golden *nowhere.h5: no such file"),
        (["--golden=."], "ERROR: --golden *: is a folder, not a file"),
        (["--golden=text.h5"], "ERROR: --golden *text.h5: is not an intsim file; *"),
        (["--golden-model=text.h5"], "ERROR: --golden-model *text.h5: is not an intsim file; *"),
    ):
        done = pytester.runpytest(*PLUGIN, *arguments)
        assert done.ret == pytest.ExitCode.USAGE_ERROR
        done.stderr.fnmatch_lines([message])
    pytester.makeini("[pytest]\nintsim_golden = nowhere.h5")
    done = pytester.runpytest(*PLUGIN)
    done.stderr.fnmatch_lines(["ERROR: intsim_golden = *nowhere.h5: no such file"])


# --- what a device supports -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("requant", {"b": {8, 16}}),
        ("shiftmax", {"x0": range(-64, -8), "b": {16}, "n": {10, 15}}),
        ("lambda_shiftgelu", {"lam": range(4, 100, 4), "x0": {-20, -21}}),
        ("requant", {"m": range(1 << 30, 1 << 31), "e": range(31, 40)}),
    ],
)
def test_only_what_a_device_supports_is_tried(name: str, allowed: dict[str, Any]) -> None:
    seen: dict[str, set[int]] = {key: set() for key in allowed}
    op = ops.REGISTRY[name]

    def function(*x: np.ndarray, **params: Any) -> np.ndarray:
        for key, values in allowed.items():
            found = set(np.ravel(params[key]).tolist())
            assert all(value in values for value in found)
            seen[key] |= found
        return op(*x, **params, dialect="rtl")

    check_op(name, function, "rtl", examples=60, **allowed)
    assert all(len(values) >= min(2, len(allowed[key])) for key, values in seen.items())


def test_a_counterexample_keeps_to_what_is_supported() -> None:
    def wrong(x: np.ndarray, **params: Any) -> np.ndarray:
        return ops.shiftmax(x, **params, dialect="rtl") + (params["b"] == 12)

    check_op("shiftmax", wrong, "rtl", examples=30, b={8, 16})
    assert counterexample("shiftmax", wrong, "rtl", examples=60, b={12, 16}, n={9, 10}).call.params["b"] == 12


@pytest.mark.parametrize("allowed", [set(), range(0), {8, 99}, range(8, 99), {8.5}])
def test_domains_without_values(allowed: Any) -> None:
    with pytest.raises(IntsimError, match="requant"):
        check_op("requant", lambda **_: None, "rtl", b=allowed)


# --- the scoreboard -----------------------------------------------------------------------------------------------------


def test_a_scoreboard_compares_every_row_as_it_comes_out() -> None:
    """With node, index, due and found; rows that are missing, or too many, are said, too."""
    graph = intsim.load(ROOT / "weights" / "scenes.h5")
    node = next(n for n in graph.nodes if n.name == "encoder.blocks.0.norm1")
    rows = np.random.default_rng(0).integers(-3000, 3000, (3, 128))
    due = ops.layernorm(rows, node.params["bias"], dialect=graph.dialect)
    board = Scoreboard.of(graph, node.name)
    for row in rows:
        board.sent(row)
    board.received(due[0])
    wrong = due[1].copy()
    wrong[[7, 9]] += 1
    with pytest.raises(AssertionError) as caught:
        board.received(wrong)
    assert str(caught.value) == (
        f"node {node.name}, index [1, 7]: due {due[1, 7]}, found {due[1, 7] + 1} (2 of 128 elements of the row differ)"
    )
    with pytest.raises(AssertionError, match="1 of 2 rows are missing"):
        board.finished()
    with pytest.raises(AssertionError, match="has 3 elements, due are 128"):
        board.received([1, 2, 3])
    with pytest.raises(AssertionError, match="came out, but only"):
        board.received(due[2])
    with pytest.raises(ValueError, match="a row has 128 elements"):
        board.sent([1])


def test_a_scoreboard_of_what_has_no_rows() -> None:
    with pytest.raises(IntsimError, match="residual_add does not take one array row by row"):
        Scoreboard("residual_add", {}, "rtl")
    with pytest.raises(IntsimError, match="there is no operator 'nothing'"):
        Scoreboard("nothing", {}, "rtl")
    with pytest.raises(IntsimError, match="the model has no operator 'image'"):
        Scoreboard.of(ROOT / "weights" / "scenes.h5", "image")
    board = Scoreboard("requant", {"m": 1 << 30, "e": 31, "b": 8}, "rtl")
    board.sent([5, -5, 1000])
    board.received([3, -2, 127])
    board.finished()
