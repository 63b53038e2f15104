"""Every operator: reference = fast = Python-integer oracle, in values, shape and type; its ends; its door."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from intsim import ops
from intsim.dialects import DIALECTS, Dialect
from intsim.kernels import threads

import oracle

I8, I16, I32 = (-128, 127), (-(2**15), 2**15 - 1), (-(2**31), 2**31 - 1)

# The same examples on every machine and every run.
searching = settings(derandomize=True, deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])

# --- comparing --------------------------------------------------------------------------------------------------------


def shown(name: str, params: dict[str, Any], face: str) -> str:
    """A call as a failure shows it."""
    words = [f"{k}={v.name if isinstance(v, Dialect) else v}" for k, v in params.items() if np.ndim(v) == 0]
    return f"ops.{name}{face}(..., {', '.join(words)})"


def rows(function: Callable[[list[int]], Any], x: Any) -> Any:
    """`function` of every row of nested lists."""
    return function(x) if not isinstance(x[0], list) else [rows(function, part) for part in x]


def check(name: str, arrays: list[Any], params: dict[str, Any], want: Callable[[], Any], dtype: Any = None) -> None:
    """Both faces give what the oracle gives, or both refuse what it refuses."""
    op = getattr(ops, name)
    try:
        expected = want()
    except ValueError:
        for face in (op, op.ref):
            with pytest.raises(ValueError, match=name):
                face(*arrays, **params)
        return
    results = {"": op(*arrays, **params), ".ref": op.ref(*arrays, **params)}
    for face, result in results.items():
        assert isinstance(result, np.ndarray)
        found = oracle.difference(shown(name, params, face), result.tolist(), expected)
        assert not found, found
        assert result.shape == np.shape(np.array(expected, object))
        assert dtype is None or result.dtype == dtype, f"{shown(name, params, face)} is {result.dtype}, due is {dtype}"
    assert results[""].dtype == results[".ref"].dtype


def narrowest(b: int) -> Any:
    """The type that stores `b` bits."""
    return np.int8 if b <= 8 else np.int16 if b <= 16 else np.int32


# --- drawing ----------------------------------------------------------------------------------------------------------


def integers(low: int, high: int) -> st.SearchStrategy[int]:
    """Integers of a format, its ends and zero's neighbours more often than chance would have them."""
    ends = sorted({v for v in (low, low + 1, -2, -1, 0, 1, 2, high - 1, high) if low <= v <= high})
    return st.one_of(st.sampled_from(ends), st.integers(max(low, -40), min(high, 40)), st.integers(low, high))


@st.composite
def shaped(draw: st.DrawFn, fmt: tuple[int, int], columns: int | None = None) -> Any:
    """Nested lists: rows of one length under none, one or two leading axes."""
    leading = draw(st.sampled_from([(), (1,), (3,), (2, 2), (1, 3)]))
    n = columns or draw(st.sampled_from([1, 2, 3, 5, 8, 17]))
    size = int(np.prod([*leading, n]))
    flat = draw(st.lists(integers(*fmt), min_size=size, max_size=size))
    return np.array(flat, np.int64).reshape(*leading, n).tolist()


ARITHMETIC = [key for key in oracle.TABLE if key not in ("softmax_n", "softmax_bits", "gelu_n", "gelu_bits", "gelu")]
ALLOWED = {
    "requant_rounding": ["floor", "trunc", "half_up", "half_even", "half_away"],
    "mean_rounding": ["floor", "trunc", "half_up", "half_even", "half_away"],
    "sqrt": ["newton10", "floor"],
    "variance": ["exact", "wrap32"],
    "layernorm_half": ["floor", "trunc"],
    "quotient": ["floor", "trunc"],
    "half_bit": ["kept", "dropped"],
    "x0_rounding": ["floor", "trunc"],
    "exp_sum": ["saturate", "wrap32"],
    "overflow": ["exact", "wrap32", "forbid"],
}


@st.composite
def dialects(draw: st.DrawFn) -> tuple[Dialect, dict[str, Any]]:
    """One of the four dialects, or any mixture of their choices: for intsim, and for the oracle."""
    base = draw(st.sampled_from(list(DIALECTS)))
    choices: dict[str, Any] = {}
    if draw(st.booleans()):
        choices = {key: draw(st.sampled_from(ALLOWED[key])) for key in ARITHMETIC}
    return DIALECTS[base].replace(**choices), oracle.DIALECTS[base] | choices


BUILT_IN = [(DIALECTS[name], oracle.DIALECTS[name]) for name in DIALECTS]
MULTIPLIERS = integers(-(2**31), 2**31 - 1) | st.integers(2**30, 2**31 - 1) | st.just(2**30)
SHIFTS = integers(1, 62) | st.sampled_from([30, 31, 32])
X0S = st.sampled_from([-1, -2, -3, -7, -12, -20, -40, -77, -1024, -(2**20)]) | st.integers(-300, -1)


def per_channel(strategy: st.SearchStrategy[int], n: int) -> st.SearchStrategy[Any]:
    """One value, or one a channel."""
    return strategy | st.lists(strategy, min_size=n, max_size=n)


def test_the_mixtures_mix_every_choice() -> None:
    assert list(ALLOWED) == ARITHMETIC


# --- requant, residual_add --------------------------------------------------------------------------------------------


@searching
@given(st.data(), shaped(I32), st.integers(2, 32), dialects())
def test_requant(data: st.DataObject, acc: Any, b: int, spoken: tuple[Dialect, dict[str, Any]]) -> None:
    dialect, choices = spoken
    n = np.shape(acc)[-1]
    m, e = data.draw(per_channel(MULTIPLIERS, n)), data.draw(per_channel(SHIFTS, n))
    params = {"m": m, "e": e, "b": b, "dialect": dialect}
    check("requant", [acc], params, lambda: rows(lambda row: oracle.requant(row, m, e, b, choices), acc), narrowest(b))


@searching
@given(st.data(), shaped(I16), st.integers(2, 32), dialects())
def test_residual_add(data: st.DataObject, a: Any, b: int, spoken: tuple[Dialect, dict[str, Any]]) -> None:
    dialect, choices = spoken
    n = np.shape(a)[-1]
    c = np.reshape(data.draw(st.permutations(np.ravel(a).tolist())), np.shape(a)).tolist()
    pairs = [(f"m{arm}", MULTIPLIERS) for arm in "ac"] + [(f"e{arm}", SHIFTS) for arm in "ac"]
    factors = {name: data.draw(per_channel(strategy, n), label=name) for name, strategy in pairs}

    def want() -> Any:
        flat = zip(np.reshape(a, (-1, n)).tolist(), np.reshape(c, (-1, n)).tolist(), strict=True)
        added = [oracle.residual_add(left, right, b=b, dialect=choices, **factors) for left, right in flat]
        return np.reshape(added, np.shape(a)).tolist()

    check("residual_add", [a, c], {**factors, "b": b, "dialect": dialect}, want, narrowest(b))


@pytest.mark.parametrize(("dialect", "choices"), BUILT_IN, ids=list(DIALECTS))
def test_requant_at_the_ends(dialect: Dialect, choices: dict[str, Any]) -> None:
    acc = [*I32, I32[0] + 1, I32[1] - 1, -1, 0, 1]
    for m, e, b in product([*I32, -1, 0, 1, 2**30], (1, 2, 30, 31, 32, 61, 62), (2, 8, 16, 32)):
        params = {"m": m, "e": e, "b": b, "dialect": dialect}
        check("requant", [acc], params, lambda m=m, e=e, b=b: oracle.requant(acc, m, e, b, choices), narrowest(b))


@pytest.mark.parametrize(("dialect", "choices"), BUILT_IN, ids=list(DIALECTS))
def test_residual_add_at_the_ends(dialect: Dialect, choices: dict[str, Any]) -> None:
    # i32 arms: two of the largest products there are, halved and added, are the ends of what 64 bits must hold.
    pairs = list(product([*I32, -1, 0, 1], repeat=2))
    a, c = [left for left, _ in pairs], [right for _, right in pairs]
    for ma, mc, e in product((I32[0], -1, 1, I32[1]), (I32[0], 3, I32[1]), (1, 2, 31, 62)):
        factors = {"ma": ma, "ea": e, "mc": mc, "ec": e}
        want = oracle.residual_add(a, c, b=16, dialect=choices, **factors)
        params = {**factors, "b": 16, "dialect": dialect}
        check("residual_add", [a, c], params, lambda want=want: want, np.int16)


# --- linear, matmul ---------------------------------------------------------------------------------------------------


@searching
@given(st.data(), shaped(I8))
def test_linear(data: st.DataObject, x: Any) -> None:
    n, outputs = np.shape(x)[-1], data.draw(st.integers(1, 4))
    line = st.lists(integers(*I8), min_size=n, max_size=n)
    weight = data.draw(st.lists(line, min_size=outputs, max_size=outputs), label="weight")
    bias = data.draw(st.lists(integers(*I32), min_size=outputs, max_size=outputs), label="bias")
    check("linear", [x, weight, bias], {}, lambda: rows(lambda row: oracle.linear(row, weight, bias), x), np.int32)


@searching
@given(st.data(), st.sampled_from([(), (1,), (3,), (2, 2)]), st.booleans())
def test_matmul(data: st.DataObject, leading: tuple[int, ...], transposed: bool) -> None:
    m, k, n = (data.draw(st.sampled_from([1, 2, 3, 5])) for _ in range(3))
    right = (n, k) if transposed else (k, n)

    def matrix(shape: tuple[int, ...], fmt: tuple[int, int]) -> Any:
        size = int(np.prod(shape))
        flat = data.draw(st.lists(integers(*fmt), min_size=size, max_size=size))
        return np.array(flat, np.int64).reshape(shape).tolist()

    a, b = matrix((*leading, m, k), I16), matrix((*leading, *right), I8)

    def want() -> Any:
        pairs = zip(np.reshape(a, (-1, m, k)).tolist(), np.reshape(b, (-1, *right)).tolist(), strict=True)
        made = [oracle.matmul(left, other, transposed) for left, other in pairs]
        return np.reshape(made, (*leading, m, n)).tolist()

    check("matmul", [a, b], {"transpose_b": int(transposed)}, want, np.int32)


def test_products_pass_i32_on_the_way_and_come_back() -> None:
    # Partial sums leave i32, the result does not: only the result counts.
    a, b = [[-32768] * 600 + [32767] * 600], [[-128]] * 1200
    check("matmul", [a, b], {}, lambda: oracle.matmul(a, b), np.int32)
    x, weight, bias = [-128, 127], [[-128, 127], [127, -128]], [I32[1] - 32513, I32[0] + 32512]
    check("linear", [x, weight, bias], {}, lambda: oracle.linear(x, weight, bias), np.int32)


# --- layernorm --------------------------------------------------------------------------------------------------------


@searching
@given(st.data(), shaped(I16), dialects())
def test_layernorm(data: st.DataObject, x: Any, spoken: tuple[Dialect, dict[str, Any]]) -> None:
    dialect, choices = spoken
    n = np.shape(x)[-1]
    small = data.draw(st.booleans())
    bias = data.draw(st.lists(integers(-(2**20), 2**20) if small else integers(*I32), min_size=n, max_size=n))
    dtype = None if choices["overflow"] == "exact" else np.int32
    check(
        "layernorm",
        [x, bias],
        {"dialect": dialect},
        lambda: rows(lambda r: oracle.layernorm(r, bias, choices), x),
        dtype,
    )


LAYERNORM_ROWS = [
    [0],
    [I16[0]],
    [I16[1]],
    [*I16],
    [*I16] * 8,
    [I16[0]] * 7,
    [I16[0], I16[0], I16[0], I16[1]],
    [0, 0, 0, 1],
    [0, 0, 0, -1],
    [16384, -16384] * 8,  # variance 2**32
    [16384, -16384] * 32,  # variance 2**34
]


@pytest.mark.parametrize(("dialect", "choices"), BUILT_IN, ids=list(DIALECTS))
@pytest.mark.parametrize("row", LAYERNORM_ROWS, ids=lambda row: f"{row[:2]}x{len(row)}")
def test_layernorm_at_the_ends(row: list[int], dialect: Dialect, choices: dict[str, Any]) -> None:
    for end in (*I32, I32[0] + 2**30, I32[1] - 2**30, I32[1] - 2**30 + 1, 0):
        bias = [end] * len(row)
        check("layernorm", [row, bias], {"dialect": dialect}, lambda bias=bias: oracle.layernorm(row, bias, choices))


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("row", [[I16[0]] * 65536, [*I16] * 32768, [I16[1]] * 65535 + [I16[0]]], ids=["low", "both", "one"])
def test_layernorm_of_the_longest_row(row: list[int], name: str) -> None:
    # The sum comes to -2**31 and close to 2**31, the variance to 2**48.
    want = oracle.layernorm(row, [5] * len(row), oracle.DIALECTS[name])
    check("layernorm", [row, [5] * len(row)], {"dialect": name}, lambda: want, None if name == "ivit" else np.int32)


# --- exponentials -----------------------------------------------------------------------------------------------------


def refuses_by_itself(choices: dict[str, Any], x0: int, n: int) -> bool:
    """A corner the operators refuse and the page leaves open: an exact exponential past i32 in a sum that wraps."""
    return choices["overflow"] == "exact" and choices["exp_sum"] == "wrap32" and -x0 * 2**n >= 2**31


@searching
@given(shaped(I16), X0S, st.integers(0, 31), dialects())
@example([*I16, *I8, -1, 0, 1], -1, 30, BUILT_IN[0])
@example([*I16, *I8, -1, 0, 1], -1, 30, BUILT_IN[1])
@example([[-16, -17], [0, 1]], -(2**20), 30, BUILT_IN[1])
@example([[-32768], [1476]], -40, 2, BUILT_IN[0])  # near 2**61, where one face may go over to Python integers alone
def test_shift_exp(x: Any, x0: int, n: int, spoken: tuple[Dialect, dict[str, Any]]) -> None:
    dialect, choices = spoken
    params = {"x0": x0, "n": n, "dialect": dialect}
    check("shift_exp", [x], params, lambda: rows(lambda row: oracle.shift_exp(row, x0, n, choices), x))


@pytest.mark.parametrize(("dialect", "choices"), BUILT_IN, ids=list(DIALECTS))
@pytest.mark.parametrize(("x0", "n"), [(-1, 15), (-3, 31), (-500, 15)])
def test_shift_exp_passes_64_bits(x0: int, n: int, dialect: Dialect, choices: dict[str, Any]) -> None:
    # One value at a time, from 2**50 to 2**80: each face must go over to Python integers in time by itself.
    params = {"x0": x0, "n": n, "dialect": dialect}
    step = -x0 * 16 // 23 or 1
    for x in range(0, 60 * step, max(step // 4, 1)):
        check("shift_exp", [[x]], params, lambda x=x: oracle.shift_exp([x], x0, n, choices))


@searching
@given(shaped(I8), X0S, st.integers(0, 31), st.integers(2, 16), dialects())
def test_shiftmax(x: Any, x0: int, n: int, b: int, spoken: tuple[Dialect, dict[str, Any]]) -> None:
    dialect, choices = spoken
    assume(not refuses_by_itself(choices, x0, n))
    # Nothing bounds p beforehand where an exact product meets a wrapped sum, so its type may be wider than its format.
    unbounded = (choices["overflow"], choices["exp_sum"]) == ("exact", "wrap32")
    params = {"x0": x0, "n": n, "b": b, "dialect": dialect}
    want = lambda: rows(lambda row: oracle.shiftmax(row, x0, n, b, choices), x)  # noqa: E731
    check("shiftmax", [x], params, want, None if unbounded else narrowest(b))


@searching
@given(shaped(I8), X0S, st.integers(0, 31), st.integers(2, 16), st.integers(0, 130) | st.just(2**31 - 1), dialects())
def test_the_gelus(x: Any, x0: int, n: int, b: int, lam: int, spoken: tuple[Dialect, dict[str, Any]]) -> None:
    dialect, choices = spoken
    assume(not refuses_by_itself(choices, x0, n))
    dtype = None if choices["overflow"] == "exact" else np.int32
    params = {"x0": x0, "n": n, "b": b, "dialect": dialect}
    check("shiftgelu", [x], params, lambda: rows(lambda row: oracle.shiftgelu(row, x0, n, b, choices), x), dtype)
    clamped = {**params, "lam": lam}
    want = lambda: rows(lambda row: oracle.lambda_shiftgelu(row, x0, n, b, lam, choices), x)  # noqa: E731
    check("lambda_shiftgelu", [x], clamped, want, dtype)


# Rows whose wrapped sum of exponentials is close to +-2**25, while each large exponential is 2**25: p at the format's ends.
WRAPPED_SUMS = {
    "S = 2**25, p = 32256": [0] * 129,
    "S = 33488896, p = 32768, one too high": [0] * 128 + [-1, -9, -18],
    "S = -2**25, p = -32768, the lowest": [0] * 127,
    "S = -33095680, p = -33280, too low": [0] * 127 + [-18],
    "S = 4, far too high": [0] * 128 + [-128],
}


@pytest.mark.parametrize("overflow", ["exact", "forbid", "wrap32"])
@pytest.mark.parametrize("row", WRAPPED_SUMS.values(), ids=WRAPPED_SUMS.keys())
def test_probabilities_at_the_ends_of_their_format(row: list[int], overflow: str) -> None:
    mixture = {"exp_sum": "wrap32", "overflow": overflow}
    choices = oracle.DIALECTS["ivit"] | mixture
    params = {"x0": -4, "n": 23, "b": 16, "dialect": DIALECTS["ivit"].replace(**mixture)}
    check("shiftmax", [row], params, lambda: oracle.shiftmax(row, -4, 23, 16, choices))


def test_the_wrapped_sums_are_what_they_say() -> None:
    choices = oracle.DIALECTS["ivit"]
    sums = [oracle.wrap(sum(oracle.shift_exp(row, -4, 23, choices)), 32) for row in WRAPPED_SUMS.values()]
    assert sums == [2**25, 33488896, -(2**25), -33095680, 4]


EXPONENTIAL_ROWS = [
    [I8[0]],
    [I8[1]],
    [0],
    [*I8],
    [I8[1], I8[0], I8[0]],
    [I8[0]] * 5,
    [I8[1]] * 5,
    [0] * 64,
    [0] * 128,
    [-128, -127, -1],
    list(range(-128, 128)),
]


@pytest.mark.parametrize(("dialect", "choices"), BUILT_IN, ids=list(DIALECTS))
@pytest.mark.parametrize("row", EXPONENTIAL_ROWS, ids=lambda row: f"{row[:3]}x{len(row)}")
def test_exponentials_at_the_ends(row: list[int], dialect: Dialect, choices: dict[str, Any]) -> None:
    for x0, n, b in product((-1, -20, -255, -256, -1024), (1, 15, 16, 23, 30), (2, 8, 16)):
        params = {"x0": x0, "n": n, "b": b, "dialect": dialect}
        given_ = {"x0": x0, "n": n, "b": b, "dialect": choices}
        check("shiftmax", [row], params, lambda given_=given_: oracle.shiftmax(row, **given_), narrowest(b))
        check("shiftgelu", [row], params, lambda given_=given_: oracle.shiftgelu(row, **given_))
        for lam in (0, 1, 127):
            clamped = {**given_, "lam": lam}
            want = lambda clamped=clamped: oracle.lambda_shiftgelu(row, **clamped)  # noqa: E731
            check("lambda_shiftgelu", [row], {**params, "lam": lam}, want)


@searching
@given(shaped(I8), X0S, st.integers(1, 23), st.sampled_from([128, 129, 1000, 2**31 - 1]), st.sampled_from(list(DIALECTS)))
def test_a_wide_lambda_is_shiftgelu(x: Any, x0: int, n: int, lam: int, name: str) -> None:
    params = {"x0": x0, "n": n, "b": 8, "dialect": name}
    outcomes = []
    for op, more in ((ops.shiftgelu, {}), (ops.lambda_shiftgelu, {"lam": lam})):
        for face in (op, op.ref):
            try:
                outcomes.append(face(x, **params, **more).tolist())
            except ValueError:
                outcomes.append("refused")
    assert outcomes == outcomes[:1] * 4


@pytest.mark.parametrize("name", DIALECTS)
def test_a_row_of_probabilities(name: str) -> None:
    # What the page promises of p: not negative, below 2**(b-1), larger x never less, the sum not above one.
    x = np.arange(-128, 128, 3)
    p = ops.shiftmax(x, x0=-20, n=15, b=16, dialect=name).astype(int)
    assert p.min() >= 0
    assert p.max() < 2**15
    assert p.sum() <= 2**15
    if DIALECTS[name].half_bit == "kept":  # dropping the half bit costs monotony
        assert (np.diff(p) >= 0).all()


# --- data movement ----------------------------------------------------------------------------------------------------

pictures = st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3))


def numbered(*shape: int) -> np.ndarray:
    """An array whose values are all different."""
    return np.arange(int(np.prod(shape))).reshape(shape) - 7


def each(function: Callable[[Any], Any], x: np.ndarray, axes: int) -> Any:
    """`function` of every part of `x` that has `axes` axes."""
    return function(x.tolist()) if x.ndim == axes else [each(function, part, axes) for part in x]


LEADING = [(), (1,), (2,), (2, 3)]


@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize(("shape", "size"), [((1, 1, 1), 2), ((4, 4, 3), 2), ((3, 5, 2), 2), ((5, 3, 1), 3), ((2, 2, 3), 1)])
def test_patches(leading: tuple[int, ...], shape: tuple[int, ...], size: int) -> None:
    x = numbered(*leading, *shape)
    check("patches", [x], {"size": size}, lambda: each(lambda part: oracle.patches(part, size), x, 3))


@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize("heads", [1, 2, 3, 6])
def test_heads_there_and_back(leading: tuple[int, ...], heads: int) -> None:
    x = numbered(*leading, 4, 6)
    check("heads", [x], {"heads": heads}, lambda: each(lambda part: oracle.heads(part, heads), x, 2))
    split = ops.heads(x, heads=heads)
    check("merge_heads", [split], {}, lambda: each(oracle.merge_heads, split, 3))
    assert (ops.merge_heads(split) == x).all()


@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize("height", [1, 2, 3, 6])
def test_grid(leading: tuple[int, ...], height: int) -> None:
    x = numbered(*leading, 6, 2)
    check("grid", [x], {"height": height}, lambda: each(lambda part: oracle.grid(part, height), x, 2))


@pytest.mark.parametrize("leading", LEADING)
def test_concat_and_slice(leading: tuple[int, ...]) -> None:
    a, below, beside = numbered(*leading, 3, 4), numbered(*leading, 2, 4) + 100, numbered(*leading, 3, 1) - 100
    for axis, c in ((-2, below), (-1, beside)):
        size = a.shape[axis]

        def want(axis: int = axis, c: np.ndarray = c) -> Any:
            flat = zip(a.reshape(-1, 3, 4).tolist(), c.reshape(-1, *c.shape[-2:]).tolist(), strict=True)
            joined = np.array([oracle.concat([left, right], axis) for left, right in flat])
            return joined.reshape(*leading, *joined.shape[1:]).tolist()

        check("concat", [a, c], {"axis": axis}, want)
        joined = ops.concat(a, c, axis=axis)
        assert (ops.slice(joined, axis=axis, start=0, stop=size) == a).all()
        assert (ops.slice(joined, axis=axis, start=size, stop=joined.shape[axis]) == c).all()
        part = {"axis": axis, "start": 1, "stop": size - 1}
        check("slice", [a], part, lambda part=part: each(lambda x: oracle.slice(x, **part), a, 2))
    check("concat", [a, a, a], {"axis": -1}, lambda: np.concatenate([a, a, a], -1).tolist())
    check("concat", [a], {"axis": -1}, a.tolist)


@pytest.mark.parametrize("factor", [1, 2, 5])
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (2, 3, 1), (1, 2, 4), (2, 2, 3, 2)])
def test_upsample_nearest(shape: tuple[int, ...], factor: int) -> None:
    x = numbered(*shape)
    axes = min(len(shape), 3)
    check("upsample_nearest", [x], {"factor": factor}, lambda: each(lambda g: oracle.upsample_nearest(g, factor), x, axes))
    assert (ops.upsample_nearest(x, factor) == ops.upsample_nearest(x, factor=factor)).all()


@searching
@given(shaped((-3, 3)) | shaped(I16))
def test_argmax(x: Any) -> None:
    x = [x] if np.ndim(x) == 1 else x  # the label of a single row is a scalar array, compared below
    check("argmax", [x], {}, lambda: rows(oracle.argmax, x), np.uint8)


def test_argmax_of_one_row_and_of_many_classes() -> None:
    for op in (ops.argmax, ops.argmax.ref):
        assert op([3, 7, 7]).shape == ()
        assert int(op([3, 7, 7])) == 1
        assert op([0] * 256).dtype == np.uint8
        assert op([*range(256)]).tolist() == 255
        assert op([0] * 257).dtype == np.int16
        assert op([*range(300)]).tolist() == 299


@searching
@given(st.data(), pictures, st.integers(1, 4))
def test_upsampling_and_argmax_commute(data: st.DataObject, shape: tuple[int, int, int], factor: int) -> None:
    size = int(np.prod(shape))
    x = np.array(data.draw(st.lists(integers(-2, 2), min_size=size, max_size=size))).reshape(shape)
    for face in ("fast", "ref"):
        up, best = (getattr(ops, n) if face == "fast" else getattr(ops, n).ref for n in ("upsample_nearest", "argmax"))
        assert best(up(x, factor)).tolist() == up(best(x), factor).tolist()


@searching
@given(st.data(), pictures)
def test_input_lut(data: st.DataObject, shape: tuple[int, int, int]) -> None:
    channels, size = shape[2], int(np.prod(shape))
    image = np.array(data.draw(st.lists(integers(0, 255), min_size=size, max_size=size))).reshape(shape)
    table = np.random.default_rng(data.draw(st.integers(0, 99))).integers(-128, 128, (channels, 256)).tolist()
    for x in (image, image.astype(np.uint8)):
        check("input_lut", [x, table], {}, lambda: oracle.input_lut(image.tolist(), table), np.int8)


# --- every operator at its door ---------------------------------------------------------------------------------------

D = "isegmenter"
TABLE = np.tile(np.arange(-128, 128), (3, 1))

# A call of every operator that is all right, and the formats of its inputs where they are narrower than 64 bits.
VALID: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "requant": ([[[1, -2, 3]]], {"m": 2**30, "e": 31, "b": 8, "dialect": D}),
    "residual_add": (
        [[[1, 2, 3]], [[4, 5, 6]]],
        {"ma": 2**30, "ea": 31, "mc": 2**30, "ec": 30, "b": 16, "dialect": D},
    ),
    "linear": ([[[1, 2]]], {"weight": [[3, 4], [5, 6], [7, 8]], "bias": [0, 1, 2]}),
    "matmul": ([[[1, 2]], [[3], [4]]], {}),
    "layernorm": ([[[1, 2, 3, 5]]], {"bias": [0, 1, 2, 3], "dialect": D}),
    "shift_exp": ([[[0, -5]]], {"x0": -20, "n": 15, "dialect": D}),
    "shiftmax": ([[[0, -5, 7]]], {"x0": -20, "n": 15, "b": 16, "dialect": D}),
    "shiftgelu": ([[[0, -5, 7]]], {"x0": -12, "n": 23, "b": 8, "dialect": D}),
    "lambda_shiftgelu": ([[[0, -5, 7]]], {"x0": -12, "n": 23, "b": 8, "lam": 3, "dialect": D}),
    "input_lut": ([[[[0, 128, 255]]]], {"table": TABLE}),
    "patches": ([[[[1], [2]], [[3], [4]]]], {"size": 2}),
    "concat": ([[[1, 2]], [[3, 4]]], {"axis": -2}),
    "slice": ([[[1, 2, 3]]], {"axis": -1, "start": 0, "stop": 2}),
    "heads": ([[[1, 2, 3, 4]]], {"heads": 2}),
    "merge_heads": ([[[[1, 2]], [[3, 4]]]], {}),
    "grid": ([[[1], [2]]], {"height": 2}),
    "upsample_nearest": ([[[[1], [2]]]], {"factor": 2}),
    "argmax": ([[[1, 2]]], {}),
}
INPUTS: dict[str, dict[str, tuple[int, int]]] = {
    "requant": {"acc": I32},
    "residual_add": {"a": I32, "c": I32},
    "linear": {"x": I8},
    "matmul": {"a": I16, "b": I8},
    "layernorm": {"x": I16},
    "shift_exp": {"x": I16},
    "shiftmax": {"x": I8},
    "shiftgelu": {"x": I8},
    "lambda_shiftgelu": {"x": I8},
    "input_lut": {"image": (0, 255)},
}
PARAMS: dict[str, dict[str, tuple[int, int]]] = {
    "requant": {"m": I32, "e": (1, 62), "b": (2, 32)},
    "residual_add": {"ma": I32, "ea": (1, 62), "mc": I32, "ec": (1, 62), "b": (2, 32)},
    "linear": {"weight": I8, "bias": I32},
    "layernorm": {"bias": I32},
    "shiftmax": {"b": (2, 16)},
    "shiftgelu": {"b": (2, 16)},
    "lambda_shiftgelu": {"b": (2, 16)},
    "input_lut": {"table": I8},
}
FACES = ["fast", "ref"]
NAMES = list(VALID)


def face_of(name: str, face: str) -> Callable[..., Any]:
    """One of the two faces of an operator."""
    op = getattr(ops, name)
    return op.ref if face == "ref" else op


def test_every_operator_is_here() -> None:
    assert set(VALID) == set(ops.REGISTRY)
    assert all(isinstance(getattr(ops, name), ops.Op) for name in VALID)
    with pytest.raises(AttributeError, match="there is no operator 'softmax'"):
        _ = ops.softmax


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("name", NAMES)
def test_the_valid_call_is_valid(name: str, face: str) -> None:
    # Everything below changes one thing about these calls; they themselves must pass.
    arrays, params = VALID[name]
    call = face_of(name, face)
    want = call(*arrays, **params)
    frozen = [np.array(a) for a in arrays]
    for a in frozen:
        a.setflags(write=False)
    assert call(*frozen, **params).tolist() == want.tolist()
    for dtype in (np.int32, np.int64, np.uint16, object):
        if dtype is not np.uint16 or min(a.min() for a in frozen) >= 0:
            assert call(*(a.astype(dtype) for a in frozen), **params).tolist() == want.tolist()
    # Rows that do not lie one after the other in memory.
    strided = [np.moveaxis(np.ascontiguousarray(np.moveaxis(a, -1, 0)), 0, -1) for a in frozen]
    assert call(*strided, **params).tolist() == want.tolist()


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [np.float64, np.float32, bool, np.complex128, "U1"])
def test_only_integers_enter(name: str, face: str, kind: Any) -> None:
    arrays, params = VALID[name]
    for position in range(len(arrays)):
        wrong = [np.array(a).astype(kind) if i == position else a for i, a in enumerate(arrays)]
        with pytest.raises(TypeError, match=name):
            face_of(name, face)(*wrong, **params)
    for key in params.keys() - {"dialect"}:
        with pytest.raises(TypeError, match=key):
            face_of(name, face)(*arrays, **params | {key: np.array(params[key]).astype(kind)})


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("name", NAMES)
def test_nothing_has_a_default(name: str, face: str) -> None:
    arrays, params = VALID[name]
    for key in params:
        with pytest.raises(TypeError, match=key):
            face_of(name, face)(*arrays, **{k: v for k, v in params.items() if k != key})
    with pytest.raises(TypeError):
        face_of(name, face)(*arrays, **params, epsilon=1)
    if name != "concat":  # which joins any number
        with pytest.raises(TypeError):
            face_of(name, face)(*arrays[:-1], **params)
    if "dialect" in params:
        signature = inspect.signature(getattr(ops, name))
        assert signature.parameters["dialect"].default is inspect.Parameter.empty
        with pytest.raises(ValueError, match="ivit-tvm"):
            face_of(name, face)(*arrays, **params | {"dialect": "i-vit"})


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize(("name", "port"), [(name, port) for name, ports in INPUTS.items() for port in ports])
def test_an_input_outside_its_format_is_named(name: str, port: str, face: str) -> None:
    arrays, params = VALID[name]
    position, (low, high) = list(INPUTS[name]).index(port), INPUTS[name][port]
    for beyond in (low - 1, high + 1):
        wrong = [np.array(a, np.int64) for a in arrays]
        place = tuple(size - 1 for size in wrong[position].shape)
        wrong[position][place] = beyond
        with pytest.raises(ValueError) as caught:
            face_of(name, face)(*wrong, **params)
        message = str(caught.value)
        assert message.startswith(f"{name}: "), message
        assert f"{port}{list(place)} = {beyond} " in message, message
        assert f"[{low}, {high}]" in message, message


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize(("name", "port"), [(name, port) for name, ports in INPUTS.items() for port in ports])
def test_the_first_of_several_is_named(name: str, port: str, face: str) -> None:
    arrays, params = VALID[name]
    position, (low, high) = list(INPUTS[name]).index(port), INPUTS[name][port]
    wrong = [np.array(a, np.int64) for a in arrays]
    wrong[position] = np.stack([wrong[position]] * 3)
    wrong[position][2] = low - 5
    wrong[position][1] = high + 3
    with pytest.raises(ValueError, match=rf"{port}\[1(, 0)+\] = {high + 3} "):
        face_of(name, face)(*wrong, **params)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize(("name", "key"), [(name, key) for name, keys in PARAMS.items() for key in keys])
def test_a_parameter_outside_its_range_is_named(name: str, key: str, face: str) -> None:
    arrays, params = VALID[name]
    low, high = PARAMS[name][key]
    for beyond in (low - 1, high + 1):
        value = np.array(params[key], np.int64)
        value[(..., *(0 for _ in value.shape))] = beyond
        with pytest.raises(ValueError, match=rf"^{name}: {key}.* = {beyond} "):
            face_of(name, face)(*arrays, **params | {key: value})


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize(
    ("name", "arrays", "changes"),
    [
        ("requant", [[1, 2, 3]], {"m": [1, 2]}),
        ("requant", [[1, 2, 3]], {"e": [1, 2, 3, 4]}),
        ("requant", [[1, 2, 3]], {"m": [[1, 2, 3]]}),
        ("requant", [[1, 2, 3]], {"m": [1]}),
        ("requant", [5], {}),
        ("residual_add", [[1, 2], [1, 2, 3]], {}),
        ("residual_add", [[[1, 2]], [1, 2]], {}),
        ("residual_add", [[[1, 2]], [[1, 2], [3, 4]]], {}),
        ("residual_add", [[1, 2], [3, 4]], {"mc": [1, 2, 3]}),
        ("linear", [[1, 2, 3]], {}),
        ("linear", [[1, 2]], {"bias": [1, 2]}),
        ("linear", [[1, 2]], {"weight": [1, 2]}),
        ("matmul", [[[1, 2]], [[1, 2]]], {}),
        ("matmul", [[1, 2], [[1], [2]]], {}),
        ("matmul", [[[[1, 2]]], [[1], [2]]], {}),
        ("matmul", [[[1, 2]], [[1], [2]]], {"transpose_b": 1}),
        ("layernorm", [[1, 2, 3]], {}),
        ("layernorm", [[1, 2, 3, 4]], {"bias": 0}),
        ("layernorm", [7], {"bias": [0]}),
        ("layernorm", [np.zeros(65537, int)], {"bias": np.zeros(65537, int)}),
        ("shiftmax", [5], {}),
        ("shiftmax", [[1, 2]], {"x0": 0}),
        ("shiftmax", [[1, 2]], {"x0": 3}),
        ("shiftmax", [[1, 2]], {"n": -1}),
        ("shiftmax", [[1, 2]], {"n": [15, 15]}),
        ("shift_exp", [[1, 2]], {"x0": 0}),
        ("shiftgelu", [[1, 2]], {"x0": 0}),
        ("lambda_shiftgelu", [[1, 2]], {"lam": -1}),
        ("input_lut", [[[[0, 1]]]], {}),
        ("input_lut", [[[[0, 1, 2]]]], {"table": TABLE[:, :255]}),
        ("input_lut", [[[[0, 1, 2]]]], {"table": TABLE[0]}),
        ("patches", [[[1, 2]]], {}),
        ("patches", [[[[1]]]], {"size": 0}),
        ("concat", [[[1, 2]], [[3]]], {}),
        ("concat", [[[1, 2]], [3, 4]], {}),
        ("concat", [[1], [2]], {}),
        ("concat", [[1], [2]], {"axis": 0}),
        ("concat", [], {}),
        ("slice", [[1, 2, 3]], {"start": 2, "stop": 2}),
        ("slice", [[1, 2, 3]], {"stop": 4}),
        ("slice", [[1, 2, 3]], {"start": -1}),
        ("slice", [[1, 2, 3]], {"axis": -2}),
        ("slice", [[1, 2, 3]], {"axis": 0}),
        ("heads", [[[1, 2, 3]]], {}),
        ("heads", [[1, 2]], {}),
        ("heads", [[[1, 2]]], {"heads": 0}),
        ("merge_heads", [[[1, 2]]], {}),
        ("grid", [[[1], [2], [3]]], {}),
        ("grid", [[1, 2]], {}),
        ("upsample_nearest", [[1, 2]], {}),
        ("upsample_nearest", [[[1, 2]]], {"factor": 0}),
        ("argmax", [5], {}),
    ],
)
def test_what_does_not_fit_together_is_refused(name: str, arrays: list[Any], changes: dict[str, Any], face: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: "):
        face_of(name, face)(*arrays, **VALID[name][1] | changes)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("name", ["layernorm", "shiftmax", "shiftgelu", "lambda_shiftgelu", "argmax"])
@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 0)])
def test_an_empty_row_is_refused(name: str, face: str, shape: tuple[int, ...]) -> None:
    params = VALID[name][1] | ({"bias": np.zeros(0, int)} if name == "layernorm" else {})
    with pytest.raises(ValueError, match=rf"^{name}: "):
        face_of(name, face)(np.zeros(shape, int), **params)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("leading", [(0,), (2, 0)])
def test_a_batch_of_no_rows_is_empty(name: str, face: str, leading: tuple[int, ...]) -> None:
    arrays, params = VALID[name]
    one = face_of(name, face)(*arrays, **params)
    none = face_of(name, face)(*(np.zeros((*leading, *np.shape(a)), int) for a in arrays), **params)
    assert none.shape == (*leading, *one.shape)
    assert none.dtype == one.dtype


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("name", ["patches", "concat", "slice", "heads", "merge_heads", "grid", "upsample_nearest"])
def test_moving_data_keeps_its_type(name: str, face: str) -> None:
    arrays, params = VALID[name]
    for dtype in (np.int8, np.int16, np.int32, np.int64):
        typed = [np.array(a, dtype) for a in arrays]
        assert face_of(name, face)(*typed, **params).dtype == dtype


@pytest.mark.parametrize("face", FACES)
def test_a_dialect_goes_by_name_or_as_itself(face: str) -> None:
    for name, (arrays, params) in VALID.items():
        if "dialect" in params:
            by_name = face_of(name, face)(*arrays, **params)
            assert by_name.tolist() == face_of(name, face)(*arrays, **params | {"dialect": DIALECTS[D]}).tolist()


# --- what an error names ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("face", FACES)
def test_a_sum_that_wraps_to_zero_names_its_row(face: str) -> None:
    x = np.zeros((2, 3, 128), int)
    x[..., 1] = -1  # 127 whole exponentials and a lesser one: no multiple of 2**32
    x[1, 2] = 0
    with pytest.raises(ValueError, match=r"shiftmax.*\[1, 2\]"):
        face_of("shiftmax", face)(x, x0=-1024, n=15, b=16, dialect="ivit-tvm")
    assert face_of("shiftmax", face)(x[0], x0=-1024, n=15, b=16, dialect="ivit-tvm").shape == (3, 128)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("name", ["shiftgelu", "lambda_shiftgelu"])
def test_a_gelu_that_wraps_to_zero_names_its_row(name: str, face: str) -> None:
    # exp(0) = 128 * 2**25 = 2**32 wraps to 0; in row 0 exp(-127) does not.
    params: dict[str, Any] = {"x0": -128, "n": 25, "b": 8, "dialect": "ivit-tvm"}
    if name == "lambda_shiftgelu":
        params["lam"] = 127
    x = np.array([[127, 127], [0, 0]])
    with pytest.raises(ValueError, match=rf"{name}.*\[1\b"):
        face_of(name, face)(x, **params)
    assert face_of(name, face)(x[:1], **params).shape == (1, 2)


@pytest.mark.parametrize("face", FACES)
def test_a_forbidden_overflow_names_its_place(face: str) -> None:
    x = [[[0, 0], [0, 0]], [[-3, 3], [0, 0]]]
    with pytest.raises(ValueError, match=r"layernorm.*\[1, 0, 1\] = 2952790013\b"):
        face_of("layernorm", face)(x, [0, I32[1]], dialect="rtl")
    with pytest.raises(ValueError, match=r"linear.*\[1, 0\] = 2147483648\b"):
        face_of("linear", face)([[0], [1]], [[1]], [I32[1]])
    with pytest.raises(ValueError, match=r"matmul.*\[0, 1\] = 2147483648\b"):
        face_of("matmul", face)([[-32768] * 512], [[0, -128]] * 512)


@pytest.mark.parametrize("face", FACES)
def test_a_forbidden_exponential_says_so(face: str) -> None:
    for name in ("shiftmax", "shiftgelu"):
        with pytest.raises(ValueError, match=rf"^{name}: .*2147483648"):
            face_of(name, face)([0], x0=-4096, n=19, b=8, dialect="isegmenter")
        params: dict[str, Any] = {"x0": -4095, "n": 19, "b": 8, "dialect": "isegmenter"}
        assert face_of(name, face)([0], **params).shape == (1,)


# --- threads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DIALECTS)
def test_results_do_not_depend_on_threads(name: str) -> None:
    draw = np.random.default_rng(5)
    i8 = draw.integers(-128, 128, (13, 33))
    i16, bias = draw.integers(-32768, 32768, (13, 33)), draw.integers(-999, 999, 33)
    calls: dict[str, Callable[[], np.ndarray]] = {
        "requant": lambda: ops.requant(i16, m=2**30 + 7, e=38, b=8, dialect=name),
        "residual_add": lambda: ops.residual_add(i16, i8, ma=2**30, ea=31, mc=2**30, ec=30, b=16, dialect=name),
        "layernorm": lambda: ops.layernorm(i16, bias, dialect=name),
        "shift_exp": lambda: ops.shift_exp(i8, x0=-20, n=15, dialect=name),
        "shiftmax": lambda: ops.shiftmax(i8, x0=-20, n=15, b=16, dialect=name),
        "shiftgelu": lambda: ops.shiftgelu(i8, x0=-20, n=23, b=8, dialect=name),
        "lambda_shiftgelu": lambda: ops.lambda_shiftgelu(i8, x0=-20, n=23, b=8, lam=40, dialect=name),
        "linear": lambda: ops.linear(i8, i8[:5], bias[:5]),
        "matmul": lambda: ops.matmul(i16, i8, transpose_b=1),
        "argmax": lambda: ops.argmax(i8),
        "input_lut": lambda: ops.input_lut(i8[:, :3] + 128, TABLE),
    }
    for call in calls.values():
        with threads.limited_to(1):
            want = call()
        for count in (2, 3, 13, 40, None):
            with threads.limited_to(count):
                got = call()
            assert got.dtype == want.dtype
            assert got.tolist() == want.tolist()


def test_the_first_refused_row_is_named_whatever_the_threads() -> None:
    x = np.zeros((8, 128), int)
    x[:3, 0] = -1
    for count in (1, 2, 5, 8):
        with threads.limited_to(count), pytest.raises(ValueError, match=r"\[3\]"):
            ops.shiftmax(x, x0=-1024, n=15, b=16, dialect="ivit-tvm")
