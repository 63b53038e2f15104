"""Equations run on symbols: every operator is traced, and its expressions give what its reference gives, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

import intsim
from intsim.arith import I8, I16, I32, TensorBound, isqrt, round_shift
from intsim.dialects import DIALECTS, Dialect
from intsim.engine.interpreter import run
from intsim.ops import REGISTRY, Op
from intsim.symbols import OPERATIONS, Expression, NotTraceable, Traced, evaluate, trace
from intsim.symbols.expression import CONSTANT, INPUT, in_order
from intsim.symbols.symbol import Tape
from intsim.testing import strategies

from checking import calls_of_vectors, searching

ROOT = Path(__file__).parent.parent
EVERY = [(op, dialect) for op in REGISTRY.values() for dialect in (DIALECTS.values() if op.choices else [None])]
every_operator = pytest.mark.parametrize(("op", "dialect"), EVERY, ids=lambda value: getattr(value, "name", "no dialect"))


def compared(op: Op, arrays: list[NDArray], params: Mapping[str, Any], dialect: Dialect | None) -> bool | None:
    """Whether the expressions of a call give every step of the reference, or refuse it as the reference does; None for calls
    that do not match.
    """
    bounds = [TensorBound.full(x.shape, op.port(i) if op.port(i).bits < 64 else I32) for i, x in enumerate(arrays)]
    bounds = [
        b if b.lo <= x.min() and x.max() <= b.hi else TensorBound(x.shape, b.fmt, int(x.min()), int(x.max()))
        for b, x in zip(bounds, arrays, strict=True)
    ]
    try:
        op.output(bounds, dict(params), dialect)
    except ValueError:
        return None
    try:
        due: dict[str, NDArray] | None = op.intermediates(arrays, dict(params), dialect)
    except ValueError:
        due = None
    traced = trace(op, bounds, params, dialect)
    names = list(traced.inputs)
    values = evaluate([*traced.steps.values(), *traced.refusals], dict(zip(names, arrays, strict=True)))
    found, refused = dict(zip(traced.steps, values, strict=False)), any(v.any() for v in values[len(traced.steps) :])
    if due is None or refused:
        return (due is None) == refused
    assert list(found) == list(due)
    for step, value in due.items():
        expression = traced.steps[step]
        assert expression.shape == np.shape(value)
        assert np.array_equal(found[step], value), step
        assert value.size == 0 or (expression.lo <= value.min() and value.max() <= expression.hi), step
    return True


@every_operator
def test_expressions_are_the_reference_on_every_vector(op: Op, dialect: Dialect | None) -> None:
    """All named steps, shapes and bounds, and the refusals: of the conformance vectors, which hold the ends and ties."""
    results = [compared(op, arrays, params, dialect) for _, arrays, params in calls_of_vectors(op, dialect)]
    assert results.count(False) == 0
    assert results.count(True) >= 3


@every_operator
def test_expressions_are_the_reference_on_any_call(op: Op, dialect: Dialect | None) -> None:
    @settings(searching, max_examples=12)
    @given(strategies.arguments(op.name, dialect))
    def tried(call: Any) -> None:
        assert compared(op, list(call.inputs), call.params, dialect) is not False

    tried()


def test_every_tensor_of_the_shipped_model() -> None:
    """Every node traced with the bounds that the graph proves, on its own inputs."""
    graph = intsim.load(ROOT / "weights" / "scenes.h5")
    seen: dict[str, NDArray] = {}
    run(
        graph, intsim.read_picture(ROOT / "examples" / "scenes" / "scene_00.png"), lambda n, v: seen.__setitem__(n, v.copy())
    )
    traced: dict[Any, Traced] = {}
    for node in graph.nodes:
        if node.op not in REGISTRY:
            continue
        bounds = [graph.tensors[name] for name in node.inputs]
        found = trace(REGISTRY[node.op], bounds, node.params, graph.dialect)
        assert not found.refusals, f"{node.name}: its bounds decide every refusal"
        given = {name: seen[source] for name, source in zip(found.inputs, node.inputs, strict=True)}
        (out,) = evaluate([found.out], given)
        assert np.array_equal(out, seen[node.name]), node.name
        assert graph.tensors[node.name].lo <= found.out.lo <= found.out.hi <= graph.tensors[node.name].hi
        traced.setdefault(node.op, found)
    assert len(traced) > 12


# --- expressions ------------------------------------------------------------------------------------------------------


def shiftmax(**params: Any) -> Traced:
    return trace(REGISTRY["shiftmax"], [TensorBound.full((3, 5), I8)], {"x0": -20, "n": 15, "b": 16, **params}, "isegmenter")


def test_bounds_follow_the_equation() -> None:
    """Differences to the maximum are never positive, and what depends on one of them has exact bounds."""
    steps = shiftmax().steps
    assert (steps["exp"].lo, steps["exp"].hi) == (20, 20 << 15)
    assert (steps["sum"].lo, steps["sum"].hi) == (5 * 20, 5 * 20 << 15)
    assert (steps["out"].lo, steps["out"].hi) == (0, 32767)
    norm = trace(REGISTRY["layernorm"], [TensorBound.full((4, 64), I16)], {"bias": np.zeros(64, np.int64)}, "isegmenter")
    assert norm.steps["variance"].lo == 0
    assert norm.steps["std"].lo >= 1
    exact = trace(REGISTRY["shift_exp"], [TensorBound((7,), I32, -255, 0)], {"x0": -20, "n": 15}, "rtl")
    values = REGISTRY["shift_exp"].ref(np.arange(-255, 1), x0=-20, n=15, dialect="rtl")
    assert (exact.out.lo, exact.out.hi) == (values.min(), values.max())


def test_only_operations_of_the_closed_set() -> None:
    kinds = {node.kind for op, dialect in EVERY for node in in_order(example(op, dialect).steps.values())}
    assert kinds <= {*OPERATIONS, INPUT, CONSTANT}


def example(op: Op, dialect: Dialect | None) -> Traced:
    """The first vector of an operator, traced."""
    for _, arrays, params in calls_of_vectors(op, dialect):
        try:
            bounds = [TensorBound(x.shape, I32, int(x.min()), int(x.max())) for x in arrays]
            return trace(op, bounds, params, dialect)
        except ValueError:
            continue
    raise AssertionError(op.name)


def test_parameters_may_be_inputs() -> None:
    """A multiplier and a shift that are not known yet: one expression for all channels of all nodes."""
    channels = TensorBound((8,), I32, -(2**31), 2**31 - 1)
    shifts = TensorBound((8,), I32, 1, 62)
    found = trace(REGISTRY["requant"], [TensorBound.full((2, 8), I32)], {"m": channels, "e": shifts, "b": 8}, "rtl")
    draw = np.random.default_rng(0)
    acc, m, e = draw.integers(-(2**31), 2**31, (2, 8)), draw.integers(-(2**30), 2**30, 8), draw.integers(20, 62, 8)
    (out,) = evaluate([found.out], {"acc": acc, "m": m, "e": e})
    assert (out == REGISTRY["requant"].ref(acc, m=m, e=e, b=8, dialect="rtl")).all()


def test_what_is_equal_exists_once() -> None:
    build = Tape().build
    x, y = (build.input(name, (3,), -5, 9) for name in "xy")
    assert build("add", x, y) is build("add", x, y)
    assert build("add", x, build.constant(0)) is x
    assert build("subtract", x, x).scalar == 0
    assert build("maximum", x, build.constant(-7)) is x
    assert build("minimum", x, build.constant(-7)).scalar == -7
    assert build("maximum", x, build.constant(9)).scalar == 9
    assert build("less", x, build.constant(10)).scalar == 1
    assert build("bitwise_and", build("maximum", x, build.constant(0)), build.constant(255)).kind == "maximum"
    assert build("floor_divide", x, build.constant(8)).kind == "right_shift"
    assert build("add", build.constant(2), build.constant([3, 4])).value is not None
    assert build("multiply", x, x).lo == 0
    assert build("reshape", build("reshape", x, shape=(1, 3)), shape=(3,)) is x
    flipped = build("transpose", build.input("z", (2, 3), 0, 1), axes=(1, 0))
    assert build("transpose", flipped, axes=(1, 0)).name == "z"


@pytest.mark.parametrize("fill", [2**80, -(2**80)])
def test_numbers_of_any_size(fill: int) -> None:
    build = Tape().build
    x = build.input("x", (2,), -3, 3)
    far = build("multiply", x, build.constant(fill))
    back = build("right_shift", far, build.constant(79))
    assert (far.lo, far.hi) == (-3 * abs(fill), 3 * abs(fill))
    assert evaluate([back], {"x": np.array([3, -1])})[0].tolist() == [(3 * fill) >> 79, -fill >> 79]


def test_symbols_follow_numpy() -> None:
    """Indices, movements and functions, against arrays."""
    tape, array = Tape(), np.arange(24).reshape(2, 3, 4)
    symbol = tape.symbol(tape.build.input("x", array.shape, 0, 23))
    table = np.array([5, 7, 9])
    calls: list[Any] = [
        lambda x: x[0],
        lambda x: x[..., 1:3],
        lambda x: x[:, None, -1],
        lambda x: x[-1, :, 2:],
        lambda x: np.moveaxis(x, (0, 1), (-1, 0)),
        lambda x: np.roll(x, (1, -2), axis=(0, -1)),
        lambda x: np.pad(x, ((0, 0), (1, 2), (0, 1))),
        lambda x: x.T.swapaxes(0, 1).reshape(-1, 6),
        lambda x: x.repeat(2, axis=-1),
        lambda x: np.concatenate([x, x * 2], axis=1),
        lambda x: np.where(x > 7, -x, abs(x - 3)),
        lambda x: np.where((x & 1) == 0, np.minimum(x, 9), ~x),
        lambda x: x.max(axis=1, keepdims=True) - np.min(x, axis=0),
        lambda x: x.argmax(axis=-1) + x.sum(axis=0, keepdims=True).reshape(3, 4)[:1, :3],
        lambda x: x @ np.ones((4, 2), np.int64),
        lambda x: x[0, 0] @ x[1].T,
        lambda x: np.broadcast_to(x[:1], (5, 3, 4)) ^ 3 | 8,
        lambda x: (x != 4) & ~(x >= 20),
        lambda x: round_shift(x - 9, 2, "half_even") + isqrt(x, "floor").astype(np.int64),
        lambda x: isqrt(x, "newton10").astype(np.int64) // (x + 1),
    ]
    for call in calls:
        expected, found = call(array), call(symbol)
        (value,) = evaluate([found.expression], {"x": array})
        assert found.shape == expected.shape
        assert (value == expected).all()
    index = symbol - (symbol // 3) * 3
    picked = tape.symbol(tape.build.constant(table))[index]
    assert (evaluate([picked.expression], {"x": array})[0] == table[array % 3]).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x if x[0] > 3 else -x,
        lambda x: [1, 2, 3][x[0]],
        lambda x: np.sqrt(x),
        lambda x: np.sort(x),
        lambda x: np.asarray(x),
        lambda x: x % 3,
        lambda x: x[::2],
        lambda x: np.add.reduce(x),
        lambda x: x.sum(),
    ],
)
def test_what_symbols_cannot_follow(call: Any) -> None:
    tape = Tape()
    with pytest.raises(NotTraceable):
        call(tape.symbol(tape.build.input("x", (4,), 0, 9)))


def test_a_refusal_is_recorded_unless_the_bounds_decide_it() -> None:
    wide = trace(REGISTRY["linear"], [TensorBound.full((2, 3), I8)], {"weight": np.ones((4, 3)), "bias": np.zeros(4)} | WIDE)
    assert wide.refusals == ()
    parts = {"weight": TensorBound.full((4, 3), I8), "bias": TensorBound.full((4,), I32)}
    traced = trace(REGISTRY["linear"], [TensorBound.full((2, 3), I8)], parts)
    (refusal,) = traced.refusals
    values = {"x": np.full((2, 3), -128), "weight": np.full((4, 3), -128), "bias": np.full(4, 2**31 - 1)}
    assert evaluate([refusal], values)[0].all()
    assert not evaluate([refusal], values | {"bias": np.zeros(4)})[0].any()


WIDE = {"weight": np.ones((4, 3), np.int64), "bias": np.zeros(4, np.int64)}


def test_an_input_of_another_shape() -> None:
    traced = shiftmax()
    with pytest.raises(ValueError, match=r"x is \[5\], expected \[3, 5\]"):
        evaluate([traced.out], {"x": np.zeros(5, np.int64)})
    with pytest.raises(KeyError):
        evaluate([traced.out], {})
    assert isinstance(traced.out, Expression)
