"""Narrow forms: digits in place of wide values give what the reference gives, and no value passes the width."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from intsim.arith import I32, TensorBound
from intsim.compilers.limbs import WIDTHS, Limbs, digit_names
from intsim.compilers.narrow_form import narrowed
from intsim.dialects import DIALECTS, Dialect
from intsim.errors import IntsimError
from intsim.ops import REGISTRY, Op
from intsim.symbols import OPERATIONS, Expression, trace
from intsim.symbols.build import Expressions
from intsim.symbols.evaluate import computed
from intsim.symbols.expression import in_order
from intsim.symbols.saturation import limited

from checking import calls_of_vectors, searching

ROOT = Path(__file__).parent.parent
EVERY = [(op, dialect) for op in REGISTRY.values() for dialect in (DIALECTS.values() if op.choices else [None])]
every_operator = pytest.mark.parametrize(("op", "dialect"), EVERY, ids=lambda value: getattr(value, "name", "no dialect"))
every_width = pytest.mark.parametrize("width", WIDTHS)


def value_of(root: Expression, inputs: Mapping[str, NDArray], given_as: Mapping[str, Expression], width: int) -> NDArray:
    """The value of an expression by its narrow form, of which every value is within the width and within its bounds."""
    (number,) = narrowed({"out": root}, width).values()
    limbs = Limbs(width)
    digits: dict[str, NDArray] = {}
    for name, x in given_as.items():
        parts = limbs.split(inputs[name], x.lo, x.hi)
        digits |= {own: part.astype(np.int64) for own, part in zip(digit_names(name, len(parts)), parts, strict=True)}
    values: dict[Expression, NDArray] = {}
    limit = 1 << WIDTHS[width]
    for node in in_order(number.digits):
        value = values[node] = computed(node, [values[arg] for arg in node.args], digits)
        if value.size and not node.boolean:
            assert max(node.lo, -limit) <= value.min() <= value.max() <= min(node.hi, limit - 1), node  # of 32 or 24 bits
    if len(number.digits) == 1:
        return values[number.digits[0]]
    parts = [values[digit].astype(object) << limbs.k * i for i, digit in enumerate(number.digits)]
    return np.asarray(sum(parts))


@every_width
@every_operator
def test_every_operator_on_its_vectors(op: Op, dialect: Dialect | None, width: int) -> None:
    tried = 0
    for note, arrays, params in islice(calls_of_vectors(op, dialect), 0, None, 3):
        try:
            due = op.ref(*arrays, **params, **({"dialect": dialect} if dialect else {}))
            bounds = [TensorBound(x.shape, op.port(i), int(x.min()), int(x.max())) for i, x in enumerate(arrays)]
            traced = trace(op, bounds, params, dialect, given=[key for key, value in params.items() if np.ndim(value)])
        except (ValueError, TypeError):
            continue
        steps = limited({"out": traced.out})
        inputs = {name: np.asarray(x) for name, x in zip(traced.inputs, arrays, strict=False)}
        inputs |= {name: np.asarray(params[name]) for name in list(traced.inputs)[len(arrays) :]}
        found = value_of(steps["out"], inputs, traced.inputs, width)
        assert np.array_equal(found, due), note
        tried += 1
    assert tried >= 2


# --- single operations ------------------------------------------------------------------------------------------------

ENDS = [0, 1, -1, 2, 7, -7]
wide = st.builds(
    lambda sign, bits, off: max(min(sign * (1 << bits) + off, 2**63 - 1), -(2**63)),
    st.sampled_from([1, -1]),
    st.integers(0, 62),
    st.sampled_from([*ENDS, -(2**31), 2**24, 12345]),
)
BINARY = ("add", "subtract", "multiply", "minimum", "maximum", "less", "less_equal", "equal", "floor_divide")


def bounds_of(values: list[int], slack: int) -> tuple[int, int]:
    return min(values) - slack, max(values) + slack


@every_width
@pytest.mark.parametrize("kind", BINARY)
def test_operations_of_two(kind: str, width: int) -> None:
    @settings(searching, max_examples=25)
    @given(st.lists(st.tuples(wide, wide), min_size=1, max_size=6), st.sampled_from([0, 1, 1 << 20]))
    def tried(pairs: list[tuple[int, int]], slack: int) -> None:
        a, b = [x for x, _ in pairs], [y for _, y in pairs]
        if kind == "floor_divide":
            b = [y or 1 for y in b]
        build = Expressions()
        left, right = (build.input(n, (len(a),), *bounds_of(v, slack)) for n, v in (("a", a), ("b", b)))
        root = build(kind, left, right)
        due = OPERATIONS[kind].compute(np.array(a, object), np.array(b, object))
        found = value_of(root, {"a": np.array(a, object), "b": np.array(b, object)}, {"a": left, "b": right}, width)
        assert (np.asarray(due).astype(object) == found.astype(object)).all()

    tried()


@every_width
@pytest.mark.parametrize("kind", ["left_shift", "right_shift", "remainder"])
def test_shifts_by_what_varies(kind: str, width: int) -> None:
    @settings(searching, max_examples=25)
    @given(st.lists(st.tuples(wide, st.integers(0, 62)), min_size=1, max_size=6))
    def tried(pairs: list[tuple[int, int]]) -> None:
        a, e = np.array([x for x, _ in pairs], object), np.array([y for _, y in pairs])
        build = Expressions()
        x, by = build.input("x", a.shape, a.min(), a.max()), build.input("e", e.shape, int(e.min()), int(e.max()))
        root = build("right_shift", x, by) if kind != "left_shift" else build("left_shift", x, by)
        due = a >> e if kind != "left_shift" else a << e
        if kind == "remainder":
            root, due = build("subtract", x, build("left_shift", root, by)), a - (due << e)
        assert (value_of(root, {"x": a, "e": e}, {"x": x, "e": by}, width).astype(object) == due).all()

    tried()


@every_width
def test_sums_products_and_maxima_of_what_is_wide(width: int) -> None:
    draw = np.random.default_rng(width)
    for bits, columns in ((40, 7), (31, 300), (16, 9000), (62, 2)):
        a = draw.integers(-(1 << bits), 1 << bits, (3, columns))
        a[0, :] = a[0, 0]  # ties
        build = Expressions()
        x = build.input("x", a.shape, -(1 << bits), (1 << bits) - 1)
        for kind, due in (
            ("sum", a.astype(object).sum(axis=1)),
            ("max", a.max(axis=1)),
            ("argmax", a.argmax(axis=1)),
        ):
            root = build(kind, x, axis=1)
            assert np.array_equal(value_of(root, {"x": a}, {"x": x}, width), due), (kind, bits)
    for left, right, inner in ((15, 7, 1025), (7, 7, 1536), (31, 15, 20)):
        a, b = draw.integers(-(1 << left), 1 << left, (2, inner)), draw.integers(-(1 << right), 1 << right, (inner, 3))
        build = Expressions()
        x, y = (
            build.input("x", a.shape, -(1 << left), (1 << left) - 1),
            build.input("y", b.shape, -(1 << right), (1 << right) - 1),
        )
        found = value_of(build("matmul", x, y), {"x": a, "y": b}, {"x": x, "y": y}, width)
        assert np.array_equal(found, a.astype(object) @ b.astype(object))


@every_width
def test_wrapping_and_masks(width: int) -> None:
    """``((x & (2**32 - 1)) ^ 2**31) - 2**31``, which is how a reference wraps."""
    values = np.array([0, 2**31 - 1, 2**31, -(2**31) - 1, 2**62, -(2**62), 5 << 33, -1])
    build = Expressions()
    x = build.input("x", values.shape, int(values.min()), int(values.max()))
    low = build("bitwise_and", x, build.constant(2**32 - 1))
    sign = build.constant(2**31)
    root = build("subtract", build("bitwise_xor", low, sign), sign)
    assert np.array_equal(value_of(root, {"x": values}, {"x": x}, width), values.astype(np.int32))


def test_what_has_no_narrow_form() -> None:
    build = Expressions()
    x = build.input("x", (3,), -(2**40), 2**40)
    with pytest.raises(IntsimError, match="bitwise_or has no narrow form"):
        narrowed({"out": build("bitwise_or", x, build.constant(5))}, 24)


def test_digits_are_below_the_base_and_the_highest_has_the_sign() -> None:
    limbs = Limbs(24)
    parts = limbs.split(np.array([-1, 2**40 - 1, -(2**40)]), -(2**40), 2**40)
    assert limbs.k == 11
    assert [part.tolist() for part in parts[:2]] == [[2047, 2047, 0]] * 2
    assert parts[-1].tolist() == [-1, 127, -128]
    assert digit_names("x", 1) == ["x"]
    assert digit_names("x", 2) == ["x.limb0", "x.limb1"]
    assert limbs.count(I32.lo, I32.hi) == 3
