"""Every operator: both implementations equal the oracle in value, shape and type, also at the ends of formats."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from intsim import ops
from intsim.dialects import DIALECTS, Dialect

import oracle
from checking import (
    BUILT_IN,
    I8,
    I16,
    I32,
    MULTIPLIERS,
    SHIFTS,
    X0S,
    check,
    dialects,
    integers,
    narrowest,
    per_channel,
    rows,
    searching,
    shaped,
)

# --- requant, residual_add --------------------------------------------------------------------------------------------


@searching
@given(st.data(), shaped(I32), st.integers(2, 32), dialects())
def test_requant(data: st.DataObject, acc: Any, b: int, chosen: tuple[Dialect, dict[str, Any]]) -> None:
    dialect, choices = chosen
    n = np.shape(acc)[-1]
    m, e = data.draw(per_channel(MULTIPLIERS, n)), data.draw(per_channel(SHIFTS, n))
    params = {"m": m, "e": e, "b": b, "dialect": dialect}
    check("requant", [acc], params, lambda: rows(lambda row: oracle.requant(row, m, e, b, choices), acc), narrowest(b))


@searching
@given(st.data(), shaped(I16), st.integers(2, 32), dialects())
def test_residual_add(data: st.DataObject, a: Any, b: int, chosen: tuple[Dialect, dict[str, Any]]) -> None:
    dialect, choices = chosen
    n = np.shape(a)[-1]
    c = np.reshape(data.draw(st.permutations(np.ravel(a).tolist())), np.shape(a)).tolist()
    pairs = [(f"m{arm}", MULTIPLIERS) for arm in "ac"] + [(f"e{arm}", SHIFTS) for arm in "ac"]
    factors = {name: data.draw(per_channel(strategy, n), label=name) for name, strategy in pairs}

    def want() -> Any:
        flat = zip(np.reshape(a, (-1, n)).tolist(), np.reshape(c, (-1, n)).tolist(), strict=True)
        added = [oracle.residual_add(left, right, b=b, dialect=choices, **factors) for left, right in flat]
        return np.reshape(added, np.shape(a)).tolist()

    check("residual_add", [a, c], {**factors, "b": b, "dialect": dialect}, want, narrowest(b))


@searching
@given(st.data(), st.sampled_from([(2, 3), (1, 4), (2, 2, 3), (3, 1, 2, 2)]), st.integers(2, 32), dialects())
def test_a_branch_without_leading_axes_is_broadcast(
    data: st.DataObject, shape: tuple[int, ...], b: int, chosen: tuple[Dialect, dict[str, Any]]
) -> None:
    dialect, choices = chosen
    missing = data.draw(st.integers(0, len(shape) - 1), label="missing")
    a, c = (
        np.reshape(data.draw(st.lists(integers(*I32), min_size=size, max_size=size)), own)
        for own in (shape, shape[missing:])
        for size in [int(np.prod(own))]
    )
    pairs = [(f"m{arm}", MULTIPLIERS) for arm in "ac"] + [(f"e{arm}", SHIFTS) for arm in "ac"]
    factors = {name: data.draw(per_channel(strategy, shape[-1]), label=name) for name, strategy in pairs}

    def want() -> Any:
        repeated = np.zeros(shape, np.int64) + c
        flat = zip(a.reshape(-1, shape[-1]).tolist(), repeated.reshape(-1, shape[-1]).tolist(), strict=True)
        added = [oracle.residual_add(left, right, b=b, dialect=choices, **factors) for left, right in flat]
        return np.reshape(added, shape).tolist()

    check("residual_add", [a, c], {**factors, "b": b, "dialect": dialect}, want, narrowest(b))


@pytest.mark.parametrize(("dialect", "choices"), BUILT_IN, ids=list(DIALECTS))
def test_requant_at_the_ends(dialect: Dialect, choices: dict[str, Any]) -> None:
    acc = [*I32, I32[0] + 1, I32[1] - 1, -1, 0, 1]
    for m, e, b in product([*I32, -1, 0, 1, 2**30], (1, 2, 30, 31, 32, 61, 62), (2, 8, 16, 32)):
        params = {"m": m, "e": e, "b": b, "dialect": dialect}
        check("requant", [acc], params, lambda m=m, e=e, b=b: oracle.requant(acc, m, e, b, choices), narrowest(b))


@pytest.mark.parametrize(("dialect", "choices"), BUILT_IN, ids=list(DIALECTS))
def test_residual_add_at_the_ends(dialect: Dialect, choices: dict[str, Any]) -> None:
    # i32 arms: the sum of two of the largest products, halved, must fit 64 bits.
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


def test_partial_sums_may_exceed_i32() -> None:
    # Only the result must fit i32.
    a, b = [[-32768] * 600 + [32767] * 600], [[-128]] * 1200
    check("matmul", [a, b], {}, lambda: oracle.matmul(a, b), np.int32)
    x, weight, bias = [-128, 127], [[-128, 127], [127, -128]], [I32[1] - 32513, I32[0] + 32512]
    check("linear", [x, weight, bias], {}, lambda: oracle.linear(x, weight, bias), np.int32)


# --- layernorm --------------------------------------------------------------------------------------------------------


@searching
@given(st.data(), shaped(I16), dialects())
def test_layernorm(data: st.DataObject, x: Any, chosen: tuple[Dialect, dict[str, Any]]) -> None:
    dialect, choices = chosen
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
    # The sum reaches -2**31 and nearly 2**31, the variance 2**48.
    want = oracle.layernorm(row, [5] * len(row), oracle.DIALECTS[name])
    check("layernorm", [row, [5] * len(row)], {"dialect": name}, lambda: want, None if name == "ivit" else np.int32)


# --- mean -------------------------------------------------------------------------------------------------------------


@searching
@given(shaped(I16), st.sampled_from([1, 2, 3, 4, 7]), dialects())
@example([1, -1, 0], 2, BUILT_IN[0])
def test_mean(x: Any, tokens: int, chosen: tuple[Dialect, dict[str, Any]]) -> None:
    dialect, choices = chosen
    later = [np.roll(np.asarray(x), k, axis=-1) // (k + 1) for k in range(tokens)]
    stacked = np.stack(later, axis=-2)
    want = lambda: each(lambda part: oracle.mean(part, choices), stacked, 2)  # noqa: E731
    check("mean", [stacked], {"dialect": dialect}, want, np.int16)


@pytest.mark.parametrize("rounding", ["floor", "trunc", "half_up", "half_even", "half_away"])
@pytest.mark.parametrize("leading", [(), (2,), (2, 1)])
def test_mean_at_ties_and_ends(leading: tuple[int, ...], rounding: str) -> None:
    # Halves, quarters and thirds of both signs, one token alone, the ends of i16.
    choices = oracle.DIALECTS["rtl"] | {"mean_rounding": rounding}
    dialect = DIALECTS["rtl"].replace(mean_rounding=rounding)
    for tokens in (1, 2, 3, 4, 8):
        sums = [*range(-2 * tokens, 2 * tokens + 1)]
        x = np.zeros((*leading, tokens, len(sums) + 4), np.int64)
        x[..., 0, :-4] = sums
        x[..., :-4] += np.arange(len(sums)) % 3 - 1  # the same for every token, so the mean changes by as much
        x[..., -4:] = [*I16, I16[0], I16[1]]
        x[..., -1, -1] -= 1
        x[..., -1, -2] += 1
        want = lambda x=x: each(lambda part: oracle.mean(part, choices), x, 2)  # noqa: E731
        check("mean", [x], {"dialect": dialect}, want, np.int16)


@pytest.mark.parametrize("name", DIALECTS)
def test_the_mean_of_the_largest_number_of_tokens(name: str) -> None:
    x = np.array([[I16[0], I16[1]]] * 65535 + [[I16[1], I16[0]]])
    check("mean", [x], {"dialect": name}, lambda: oracle.mean(x.tolist(), oracle.DIALECTS[name]), np.int16)
    check("mean", [x[:1]], {"dialect": name}, lambda: list(I16), np.int16)


# --- exponentials -----------------------------------------------------------------------------------------------------


def refused_by_operators_only(choices: dict[str, Any], x0: int, n: int) -> bool:
    """Refused by the operators, left open in docs/arithmetic.md: exact exponentials outside i32, a wrapping sum."""
    return choices["overflow"] == "exact" and choices["exp_sum"] == "wrap32" and -x0 * 2**n >= 2**31


@searching
@given(shaped(I16), X0S, st.integers(0, 31), dialects())
@example([*I16, *I8, -1, 0, 1], -1, 30, BUILT_IN[0])
@example([*I16, *I8, -1, 0, 1], -1, 30, BUILT_IN[1])
@example([[-16, -17], [0, 1]], -(2**20), 30, BUILT_IN[1])
@example([[-32768], [1476]], -40, 2, BUILT_IN[0])  # near 2**61, where only one implementation may change to Python integers
def test_shift_exp(x: Any, x0: int, n: int, chosen: tuple[Dialect, dict[str, Any]]) -> None:
    dialect, choices = chosen
    params = {"x0": x0, "n": n, "dialect": dialect}
    check("shift_exp", [x], params, lambda: rows(lambda row: oracle.shift_exp(row, x0, n, choices), x))


@pytest.mark.parametrize(("dialect", "choices"), BUILT_IN, ids=list(DIALECTS))
@pytest.mark.parametrize(("x0", "n"), [(-1, 15), (-3, 31), (-500, 15)])
def test_shift_exp_beyond_64_bits(x0: int, n: int, dialect: Dialect, choices: dict[str, Any]) -> None:
    # One value at a time, from 2**50 to 2**80: each implementation must change to Python integers in time.
    params = {"x0": x0, "n": n, "dialect": dialect}
    step = -x0 * 16 // 23 or 1
    for x in range(0, 60 * step, max(step // 4, 1)):
        check("shift_exp", [[x]], params, lambda x=x: oracle.shift_exp([x], x0, n, choices))


@searching
@given(shaped(I8), X0S, st.integers(0, 31), st.integers(2, 16), dialects())
def test_shiftmax(x: Any, x0: int, n: int, b: int, chosen: tuple[Dialect, dict[str, Any]]) -> None:
    dialect, choices = chosen
    assume(not refused_by_operators_only(choices, x0, n))
    # With an exact product and a wrapped sum p has no bound known beforehand, so its type may be wider than its format.
    unbounded = (choices["overflow"], choices["exp_sum"]) == ("exact", "wrap32")
    params = {"x0": x0, "n": n, "b": b, "dialect": dialect}
    want = lambda: rows(lambda row: oracle.shiftmax(row, x0, n, b, choices), x)  # noqa: E731
    check("shiftmax", [x], params, want, None if unbounded else narrowest(b))


@searching
@given(shaped(I8), X0S, st.integers(0, 31), st.integers(2, 16), st.integers(0, 130) | st.just(2**31 - 1), dialects())
def test_the_gelus(x: Any, x0: int, n: int, b: int, lam: int, chosen: tuple[Dialect, dict[str, Any]]) -> None:
    dialect, choices = chosen
    assume(not refused_by_operators_only(choices, x0, n))
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


def test_the_wrapped_sums_have_their_stated_values() -> None:
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
    # Properties of p stated in docs/arithmetic.md: not negative, below 2**(b-1), monotonic in x, a sum of at most 1.
    x = np.arange(-128, 128, 3)
    p = ops.shiftmax(x, x0=-20, n=15, b=16, dialect=name).astype(int)
    assert p.min() >= 0
    assert p.max() < 2**15
    assert p.sum() <= 2**15
    if DIALECTS[name].half_bit == "kept":  # with the half bit dropped p is not monotonic
        assert (np.diff(p) >= 0).all()


# --- masked shiftmax --------------------------------------------------------------------------------------------------


def masked(x: Any, regions: Any, x0: int, n: int, b: int, chosen: tuple[Dialect, dict[str, Any]], dtype: Any = None) -> None:
    """Compare both implementations of masked_shiftmax with the oracle."""
    dialect, choices = chosen
    array, params = np.asarray(x), {"regions": regions, "x0": x0, "n": n, "b": b, "dialect": dialect}
    nested = np.asarray(regions).tolist()
    want = lambda: each(lambda part: oracle.masked_shiftmax(part, nested, x0, n, b, choices), array, 4)  # noqa: E731
    check("masked_shiftmax", [array], params, want, dtype)


@searching
@given(st.data(), X0S, st.integers(0, 31), st.integers(2, 16), dialects())
def test_masked_shiftmax(data: st.DataObject, x0: int, n: int, b: int, chosen: tuple[Dialect, dict[str, Any]]) -> None:
    assume(not refused_by_operators_only(chosen[1], x0, n))
    leading = data.draw(st.sampled_from([(), (1,), (2,), (2, 2)]))
    count, heads, tokens = (data.draw(st.sampled_from([1, 2, 3, 5])) for _ in range(3))
    size = int(np.prod(leading)) * count * heads * tokens * tokens
    x = np.reshape(
        data.draw(st.lists(integers(*I8), min_size=size, max_size=size)), (*leading, count, heads, tokens, tokens)
    )
    numbers = st.integers(0, 2) | st.sampled_from(I8)
    line = st.lists(numbers, min_size=tokens, max_size=tokens)
    regions = data.draw(st.lists(line, min_size=count, max_size=count), label="regions")
    unbounded = (chosen[1]["overflow"], chosen[1]["exp_sum"]) == ("exact", "wrap32")
    masked(x, regions, x0, n, b, chosen, None if unbounded else narrowest(b))


MASKED = {
    "every token sees only itself": ([[9, 20, -3], [40, 0, 127], [-128, 127, -128]], [0, 1, 2]),
    "all of one region": ([[9, 20, -3], [40, 0, 127], [-128, 127, -128]], [5, 5, 5]),
    "all -128": ([[-128] * 4] * 4, [0, 1, 0, 1]),
    "unseen logits above the maximum": ([[-128, 127, -127], [127, -128, 127], [-90, 127, -91]], [0, 1, 0]),
    "unseen logits far below": ([[127, -128, 126], [-128, 127, -128], [126, -128, 127]], [0, 1, 0]),
    "one token": ([[-128]], [-128]),
    "regions at the ends": ([[1, 2, 3], [3, 2, 1], [2, 2, 2]], [-128, 127, -128]),
}


@pytest.mark.parametrize("chosen", BUILT_IN, ids=list(DIALECTS))
@pytest.mark.parametrize("name", MASKED)
def test_masked_shiftmax_at_the_ends(name: str, chosen: tuple[Dialect, dict[str, Any]]) -> None:
    window, region = MASKED[name]
    for x0, n, b in product((-1, -20, -255, -1024, -(2**20)), (0, 1, 15, 20, 30), (2, 8, 16)):
        masked([[window, window[::-1]]], [region], x0, n, b, chosen, narrowest(b))


@pytest.mark.parametrize("chosen", BUILT_IN, ids=list(DIALECTS))
@pytest.mark.parametrize("tokens", [1, 49, 64, 257])
def test_masked_shiftmax_of_long_rows(tokens: int, chosen: tuple[Dialect, dict[str, Any]]) -> None:
    draw = np.random.default_rng(tokens)
    x = draw.integers(-128, 128, (2, 1, tokens, tokens))
    masked(x, draw.integers(0, 3, (2, tokens)), -20, 15, 16, chosen)
    masked(x, draw.integers(0, 2, (2, tokens)), -1023, 18, 8, chosen)


@pytest.mark.parametrize("overflow", ["exact", "forbid", "wrap32"])
@pytest.mark.parametrize("row", WRAPPED_SUMS.values(), ids=WRAPPED_SUMS.keys())
def test_masked_probabilities_at_the_ends_of_their_format(row: list[int], overflow: str) -> None:
    # One region, computed row by row without tables; then with one token that no other token sees.
    mixture = {"exp_sum": "wrap32", "overflow": overflow}
    chosen = DIALECTS["ivit"].replace(**mixture), oracle.DIALECTS["ivit"] | mixture
    for extra in ([], [1]):
        tokens = len(row) + len(extra)
        masked([[[row + [50] * len(extra)] * tokens]], [[0] * len(row) + extra], -4, 23, 16, chosen)


@searching
@given(st.data(), X0S, st.integers(0, 31), st.integers(2, 16), dialects())
def test_masked_shiftmax_with_one_region_is_shiftmax(
    data: st.DataObject, x0: int, n: int, b: int, chosen: tuple[Dialect, Any]
) -> None:
    tokens, params = data.draw(st.sampled_from([1, 2, 5])), {"x0": x0, "n": n, "b": b, "dialect": chosen[0]}
    size = 6 * tokens * tokens
    x = np.reshape(data.draw(st.lists(integers(*I8), min_size=size, max_size=size)), (3, 2, tokens, tokens))
    regions = np.repeat(data.draw(st.lists(integers(*I8), min_size=3, max_size=3)), tokens).reshape(3, tokens)
    for face in ("fast", "ref"):
        plain, masked_op = (
            getattr(ops, name) if face == "fast" else getattr(ops, name).ref for name in ("shiftmax", "masked_shiftmax")
        )
        try:
            expected = plain(x, **params)
        except ValueError:
            with pytest.raises(ValueError, match="masked_shiftmax"):
                masked_op(x, regions, **params)
            continue
        result = masked_op(x, regions, **params)
        assert result.dtype == expected.dtype
        assert result.tolist() == expected.tolist()


@pytest.mark.parametrize("name", DIALECTS)
def test_masked_tokens_do_not_change_the_result(name: str) -> None:
    draw = np.random.default_rng(3)
    x, regions = draw.integers(-128, 128, (2, 2, 6, 6)), np.array([[0, 0, 1, 1, 2, 0], [3, 4, 3, 4, 3, 3]])
    unseen = (regions[:, :, None] != regions[:, None, :])[:, None]
    params: dict[str, Any] = {"regions": regions, "x0": -20, "n": 12, "b": 16, "dialect": name}
    want = ops.masked_shiftmax(x, **params)
    for value in I8:
        assert ops.masked_shiftmax(np.where(unseen, value, x), **params).tolist() == want.tolist()
    assert (
        ops.masked_shiftmax(x, **params | {"regions": 9 - 4 * regions}).tolist() == want.tolist()
    )  # only the equality of regions matters


# --- data movement ----------------------------------------------------------------------------------------------------

pictures = st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3))


def numbered(*shape: int) -> np.ndarray:
    """An array whose values are all different."""
    return np.arange(int(np.prod(shape))).reshape(shape) - 7


def each(function: Callable[[Any], Any], x: np.ndarray, axes: int) -> Any:
    """`function` applied to every part of `x` that has `axes` axes."""
    return function(x.tolist()) if x.ndim == axes else [each(function, part, axes) for part in x]


LEADING = [(), (1,), (2,), (2, 3)]


@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize(("shape", "size"), [((1, 1, 1), 2), ((4, 4, 3), 2), ((3, 5, 2), 2), ((5, 3, 1), 3), ((2, 2, 3), 1)])
def test_patches(leading: tuple[int, ...], shape: tuple[int, ...], size: int) -> None:
    x = numbered(*leading, *shape)
    check("patches", [x], {"size": size}, lambda: each(lambda part: oracle.patches(part, size), x, 3))


@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize("heads", [1, 2, 3, 6])
def test_heads_and_merge_heads(leading: tuple[int, ...], heads: int) -> None:
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
@pytest.mark.parametrize("shape", [(2, 3, 2), (1, 1, 1), (4, 1, 3)])
def test_tokens_and_grid(leading: tuple[int, ...], shape: tuple[int, ...]) -> None:
    x = numbered(*leading, *shape)
    check("tokens", [x], {}, lambda: each(oracle.tokens, x, 3))
    assert (ops.grid(ops.tokens(x), height=shape[0]) == x).all()


@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize("shape", [(3, 4, 2), (1, 5, 1), (2, 2, 3)])
@pytest.mark.parametrize(("rows", "columns"), [(1, -1), (0, 0), (-3, 2), (7, -9), (65536, -65536)])
def test_roll(leading: tuple[int, ...], shape: tuple[int, ...], rows: int, columns: int) -> None:
    x = numbered(*leading, *shape)
    check("roll", [x], {"rows": rows, "columns": columns}, lambda: each(lambda g: oracle.roll(g, rows, columns), x, 3))
    modulo = ops.roll(x, rows=rows % shape[0], columns=columns % shape[1])
    assert (ops.roll(x, rows=rows, columns=columns) == modulo).all()
    assert (ops.roll(modulo, rows=-rows, columns=-columns) == x).all()


@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize(("shape", "size"), [((4, 4, 2), 2), ((2, 6, 1), 2), ((6, 3, 2), 3), ((3, 5, 1), 1), ((4, 4, 3), 4)])
def test_windows_and_merge_windows(leading: tuple[int, ...], shape: tuple[int, ...], size: int) -> None:
    x = numbered(*leading, *shape)
    check("windows", [x], {"size": size}, lambda: each(lambda g: oracle.windows(g, size), x, 3))
    cut, height = ops.windows(x, size=size), shape[0]
    check("merge_windows", [cut], {"height": height}, lambda: each(lambda w: oracle.merge_windows(w, height), cut, 3))
    assert (ops.merge_windows(cut, height=height) == x).all()
    # As published: a view (.., h/size, size, w/size, size, c) with exchanged axes.
    axes = x.reshape(-1, shape[0] // size, size, shape[1] // size, size, shape[2]).transpose(0, 1, 3, 2, 4, 5)
    assert (cut.reshape(-1, size * size, shape[2]) == axes.reshape(-1, size * size, shape[2])).all()


@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize("shape", [(2, 2, 1), (4, 2, 3), (2, 6, 2)])
def test_merge_patches(leading: tuple[int, ...], shape: tuple[int, ...]) -> None:
    x = numbered(*leading, *shape)
    check("merge_patches", [x], {}, lambda: each(oracle.merge_patches, x, 3))
    # As published: the channels of four strided grids, concatenated.
    four = [x[..., i::2, j::2, :] for j in (0, 1) for i in (0, 1)]
    assert (ops.merge_patches(x) == np.concatenate(four, axis=-1)).all()


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_relative_positions(size: int, heads: int) -> None:
    table = numbered((2 * size - 1) ** 2, heads)
    check("relative_positions", [table], {"size": size}, lambda: oracle.relative_positions(table.tolist(), size))
    # As published: differences of coordinates, made positive; those of rows are multiplied by the length of a table row.
    coordinates = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij")).reshape(2, -1)
    relative = np.moveaxis(coordinates[:, :, None] - coordinates[:, None, :], 0, -1) + (size - 1)
    relative[:, :, 0] *= 2 * size - 1
    index = relative.sum(-1)
    bias = table[index.reshape(-1)].reshape(size**2, size**2, heads).transpose(2, 0, 1)
    assert (ops.relative_positions(table, size=size) == bias).all()


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
