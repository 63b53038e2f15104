"""The primitives, NumPy and compiled, compared with Python's exact fractions: on whole grids, and at the ends."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest

from intsim import arith
from intsim.arith import I8, I16, I32, I64, U8, Choice, Division, Format, HalfBit, Rounding, Sqrt, compiled

import oracle

HALF = Fraction(1, 2)
I64_MIN, I64_MAX = -(2**63), 2**63 - 1

# The modes in terms of Python functions; `round` of a Fraction is to nearest, ties to even.
MEANING: dict[str, Callable[[Fraction], int]] = {
    "floor": math.floor,
    "trunc": math.trunc,
    "half_up": lambda v: math.floor(v + HALF),
    "half_even": round,
    "half_away": lambda v: math.floor(abs(v) + HALF) * (1 if v > 0 else -1),
}
POWERS = [2**k + d for k in (0, 31, 62, 63) for d in (-1, 0, 1)]
ENDS = sorted({x for p in POWERS for x in (-p, p, 3) if I64_MIN <= x <= I64_MAX})


def check(call: str, got: Any, want: Any) -> None:
    """Fail with a message that shows the call, its result and the expected result."""
    if difference := oracle.difference(call, got, want):
        pytest.fail(difference)


def test_the_names_of_the_modes() -> None:
    assert list(Rounding) == list(MEANING)
    assert list(Division) == ["floor", "trunc"]
    assert list(Sqrt) == ["newton10", "floor"]


@pytest.mark.parametrize("mode", MEANING)
def test_round_shift_on_a_whole_grid(mode: str) -> None:
    code = Rounding.of(mode).code
    ps, es = list(range(-520, 521)), list(range(10))
    got = arith.round_shift(np.array(ps)[:, None], np.array(es), mode)
    assert got.dtype == np.int64
    for (i, p), (j, e) in product(enumerate(ps), enumerate(es)):
        want = MEANING[mode](Fraction(p, 2**e))
        check(f"round_shift({p}, {e}, {mode!r})", int(got[i, j]), want)
        check(f"oracle.round_shift({p}, {e}, {mode!r})", oracle.round_shift(p, e, mode), want)
        if e:
            check(f"compiled.round_shift({p}, {e}, {mode!r})", compiled.round_shift(p, e, code), want)


@pytest.mark.parametrize("mode", MEANING)
def test_round_shift_to_the_ends_of_64_bits(mode: str) -> None:
    # In addition to the ends: ties and their neighbours at every shift, of both signs and both parities.
    code = Rounding.of(mode).code
    for e in range(63):
        middles = [(2 * k + 1) * 2**e // 2 + d for k in (-3, -2, -1, 0, 1, 2) for d in (-1, 0, 1)]
        for p in ENDS + [p for p in middles if I64_MIN <= p <= I64_MAX]:
            want = MEANING[mode](Fraction(p, 2**e))
            check(f"round_shift({p}, {e}, {mode!r})", int(arith.round_shift(p, e, mode)), want)
            if e:
                check(f"compiled.round_shift({p}, {e}, {mode!r})", compiled.round_shift(p, e, code), want)


@pytest.mark.parametrize("mode", MEANING)
def test_round_divide(mode: str) -> None:
    small = [(a, n) for a in range(-130, 131) for n in range(1, 18)]
    large = [(a, n) for a in ENDS for n in (1, 2, 3, 1024, 1025, 2**31, 2**62, 2**62 + 1, I64_MAX - 1, I64_MAX)]
    got = arith.round_divide([a for a, _ in small + large], [n for _, n in small + large], mode)
    for g, (a, n) in zip(got.tolist(), small + large, strict=True):
        want = MEANING[mode](Fraction(a, n))
        check(f"round_divide({a}, {n}, {mode!r})", g, want)
        check(f"oracle.round_divide({a}, {n}, {mode!r})", oracle.round_divide(a, n, mode), want)
        check(f"compiled.round_divide({a}, {n}, {mode!r})", compiled.round_divide(a, n, Rounding.of(mode).code), want)


@pytest.mark.parametrize("mode", ["floor", "trunc"])
def test_divide_with_every_pair_of_signs(mode: str) -> None:
    divisors = [b for b in range(-17, 18) if b] + [I64_MIN, -(2**31), 2**31 - 1, I64_MAX]
    pairs = [(a, b) for a in [*range(-130, 131), *ENDS] for b in divisors if (a, b) != (I64_MIN, -1)]
    got = arith.divide([a for a, _ in pairs], [b for _, b in pairs], mode)
    for g, (a, b) in zip(got.tolist(), pairs, strict=True):
        want = MEANING[mode](Fraction(a, b))
        check(f"divide({a}, {b}, {mode!r})", g, want)
        check(f"oracle.divide({a}, {b}, {mode!r})", oracle.divide(a, b, mode), want)
        check(f"compiled.divide({a}, {b}, {mode!r})", compiled.divide(a, b, Division.of(mode).code), want)


@pytest.mark.parametrize("fmt", [U8, I8, I16, I32, I64, arith.signed(2), arith.signed(13)], ids=str)
def test_saturate_wrap_forbid(fmt: Format) -> None:
    span = fmt.hi - fmt.lo + 1
    near = [end + d for end in (fmt.lo, fmt.hi, fmt.lo - span, fmt.hi + span, 0) for d in range(-3, 4)]
    for x in [v for v in near + ENDS if I64_MIN <= v <= I64_MAX]:
        inside = fmt.lo <= x <= fmt.hi
        check(f"saturate({x}, {fmt})", int(arith.saturate(x, fmt)), min(max(x, fmt.lo), fmt.hi))
        check(f"compiled.saturate({x}, {fmt})", compiled.saturate(x, fmt.lo, fmt.hi), min(max(x, fmt.lo), fmt.hi))
        wrapped = int(arith.wrap(x, fmt))
        assert fmt.lo <= wrapped <= fmt.hi, f"wrap({x}, {fmt}) = {wrapped}"
        assert (wrapped - x) % span == 0, f"wrap({x}, {fmt}) = {wrapped}"
        if inside:
            check(f"forbid({x}, {fmt})", int(arith.forbid(x, fmt)), x)
        else:
            with pytest.raises(ValueError, match=str(x)):
                arith.forbid(x, fmt)
        if fmt is not U8:
            bits = int(fmt.name[1:])
            check(f"oracle.saturate({x}, {bits})", oracle.saturate(x, bits), min(max(x, fmt.lo), fmt.hi))
            check(f"oracle.wrap({x}, {bits})", oracle.wrap(x, bits), wrapped)
        if fmt is I32:
            check(f"compiled.wrap32({x})", compiled.wrap32(x), wrapped)


def test_forbid_names_the_first_value_in_c_order() -> None:
    with pytest.raises(ValueError, match=r"logits\[1, 2\] = 200 .*i8 \[-128, 127\]"):
        arith.forbid(np.array([[0, 1, 2], [3, 4, 200], [-300, 0, 0]]), I8, "logits")


def test_formats() -> None:
    assert [(f.name, f.lo, f.hi, f.dtype) for f in (U8, I8, I16, I32, I64)] == [
        ("u8", 0, 255, np.uint8),
        ("i8", -128, 127, np.int8),
        ("i16", -32768, 32767, np.int16),
        ("i32", -(2**31), 2**31 - 1, np.int32),
        ("i64", -(2**63), 2**63 - 1, np.int64),
    ]
    assert [arith.signed(b).dtype for b in (2, 7, 9, 17, 33)] == [np.int8, np.int8, np.int16, np.int32, np.int64]


# --- isqrt ------------------------------------------------------------------------------------------------------------

ROOTS = [*range(40), 255, 256, 46340, 46341, 65535, 65536, 2**31 - 1, 2**31, math.isqrt(I64_MAX)]
AROUND = [r * r + d for r in [*ROOTS, 2**16, 2**31] for d in (-1, 0, 1)]
VARIANCES = sorted({v for v in [*AROUND, *range(5000)] if v >= 0})


@pytest.mark.parametrize("mode", ["newton10", "floor"])
def test_isqrt(mode: str) -> None:
    got = arith.isqrt(VARIANCES, mode)
    assert got.dtype == np.uint64
    for g, v in zip(got.tolist(), VARIANCES, strict=True):
        want = oracle.isqrt(v, mode)
        check(f"isqrt({v}, {mode!r})", g, want)
        if v <= I64_MAX:
            check(f"compiled.isqrt({v}, {mode!r})", int(compiled.isqrt(v, Sqrt.of(mode).code)), want)


@pytest.mark.parametrize("v", [2**63 - 1, 2**63, 2**64 - 2**33, (2**32 - 1) ** 2 - 1, (2**32 - 1) ** 2, 2**64 - 1])
@pytest.mark.parametrize("mode", ["newton10", "floor"])
def test_isqrt_of_unsigned_64_bits(v: int, mode: str) -> None:
    check(f"isqrt({v}, {mode!r})", int(arith.isqrt(np.uint64(v), mode)), oracle.isqrt(v, mode))


def test_isqrt_floor_is_the_exact_floor() -> None:
    for v in VARIANCES:
        root = int(arith.isqrt(v, "floor"))
        assert root * root <= v < (root + 1) ** 2, f"isqrt({v}, 'floor') = {root}"


@pytest.mark.parametrize(("v", "root"), [(0, 64), (1, 64), (1000, 68), (20000, 144), (10**6, 1000), (2**40, 2**20)])
def test_newton10_has_not_converged_for_small_values(v: int, root: int) -> None:
    check(f"isqrt({v}, 'newton10')", int(arith.isqrt(v, "newton10")), root)


# --- dyadic -----------------------------------------------------------------------------------------------------------

TIE = 0.5 + 2.0**-32  # mantissa * 2**31 ends in one half
JUST_BELOW_ONE = [math.nextafter(1.0, 0.0), 1 - 2.0**-32, 1 - 2.0**-33, 1 - 2.0**-31]


@pytest.mark.parametrize(
    ("factor", "m", "e"),
    [
        (0.5, 2**30, 31),
        (1.0, 2**30, 30),
        (1.5, 3 * 2**29, 30),
        (-0.5, -(2**30), 31),
        (0.0, 0, 31),
        (-0.0, 0, 31),
        (TIE, 2**30 + 1, 31),  # ties go up ...
        (-TIE, -(2**30) - 1, 31),  # ... in magnitude: the sign is applied afterwards
        (math.nextafter(TIE, 0), 2**30, 31),
        (math.nextafter(1.0, 0.0), 2**30, 30),  # the mantissa rounds to 2**31, which becomes 2**30
        (2.0**-32, 2**30, 62),  # the largest shift
        ((1 - 2.0**-31) * 2.0**30, 2**31 - 1, 1),  # the smallest
    ],
)
def test_dyadic_known_answers(factor: float, m: int, e: int) -> None:
    check(f"dyadic({factor})", list(arith.dyadic(factor)), [m, e])
    check(f"oracle.dyadic({factor})", list(oracle.dyadic(factor)), [m, e])


def test_dyadic_against_exact_fractions() -> None:
    draw = random.Random(7)
    factors = [draw.choice((-1, 1)) * draw.uniform(0.5, 1) * 2.0**k for k in range(-31, 29) for _ in range(20)]
    factors += [f * 2.0**k for k in (-31, -7, 0, 9) for f in (TIE, -TIE, *JUST_BELOW_ONE)]
    ms, es = arith.dyadic(factors)
    assert ms.dtype == es.dtype == np.int64
    for factor, m, e in zip(factors, ms.tolist(), es.tolist(), strict=True):
        check(f"dyadic({factor!r})", [m, e], list(oracle.dyadic(factor)))
        assert 2**30 <= abs(m) < 2**31, f"dyadic({factor!r}) has m = {m}"
        assert abs(Fraction(m, 2**e) - Fraction(factor)) <= Fraction(1, 2 ** (e + 1)), f"dyadic({factor!r}) = {m}, {e}"


def test_dyadic_keeps_the_shape_of_a_sequence() -> None:
    m, e = arith.dyadic(np.array([[0.5, 0.25], [-1.0, 3.0]]))
    assert m.tolist() == [[2**30, 2**30], [-(2**30), 3 * 2**29]]
    assert e.tolist() == [[31, 32], [30, 29]]


@pytest.mark.parametrize("factor", [math.inf, -math.inf, math.nan, 2.0**30, 1e300, -(2.0**30), 2.0**-33, 5e-324])
def test_dyadic_refuses_factors_without_a_valid_shift(factor: float) -> None:
    with pytest.raises(ValueError, match="dyadic"):
        arith.dyadic(factor)
    with pytest.raises(ValueError):
        oracle.dyadic(factor)


# --- the exponential shared by the kernels ----------------------------------------------------------------------------


@pytest.mark.parametrize("wraps", [False, True])
@pytest.mark.parametrize("quotient", Division)
@pytest.mark.parametrize("half_bit", HalfBit)
def test_compiled_shift_exp(quotient: Division, half_bit: HalfBit, wraps: bool) -> None:
    dialect = {"quotient": quotient, "half_bit": half_bit, "overflow": "wrap32" if wraps else "exact"}
    xs, x0s = [*range(-255, 130, 3), -16, 0, 1, 127, 128], (-1, -2, -7, -20, -77, -4096)
    for x, x0, n in product(xs, x0s, (1, 15, 23, 30)):
        # Without wrapping, the kernel saturates somewhere above 2**61, far above every sum it is added to.
        want = min(oracle.exponential(x, x0, n, dialect), 2**61)
        got = min(int(compiled.shift_exp(x, x0, n, quotient.code, half_bit.code, wraps)), 2**61)
        check(f"compiled.shift_exp({x}, {x0}, {n}, {quotient}, {half_bit}, wraps={wraps})", got, want)


@pytest.mark.parametrize("wraps", [False, True])
def test_exponentials_are_summed_term_by_term(wraps: bool) -> None:
    terms = [2**30, 2**30, 5, 2**31 - 1, 0, 3]
    total = 0
    for i, term in enumerate(terms):
        total = int(compiled.add_exponential(total, term, wraps))
        whole = sum(terms[: i + 1])
        check(f"sum of {terms[: i + 1]}", total, oracle.wrap(whole, 32) if wraps else min(whole, 2**31 - 1))


# --- invalid arguments ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda x: arith.round_shift(x, 1, "floor"),
        lambda x: arith.round_shift(1, x, "floor"),
        lambda x: arith.round_divide(x, 2, "floor"),
        lambda x: arith.divide(x, 2, "floor"),
        lambda x: arith.saturate(x, I8),
        lambda x: arith.wrap(x, I8),
        lambda x: arith.forbid(x, I8),
        lambda x: arith.isqrt(x, "floor"),
    ],
)
@pytest.mark.parametrize("x", [1.0, [0.5], np.float32(1), np.array([2.0]), True, np.array([True]), "1", None, 1j])
def test_only_integers_are_accepted(call: Callable[[Any], Any], x: Any) -> None:
    with pytest.raises(TypeError, match="expected integers"):
        call(x)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: arith.round_shift(1, 63, "floor"), "0..62"),
        (lambda: arith.round_shift(1, -1, "floor"), "0..62"),
        (lambda: arith.round_divide(1, 0, "floor"), "positive"),
        (lambda: arith.round_divide(1, -3, "floor"), "positive"),
        (lambda: arith.divide(1, 0, "floor"), "zero"),
        (lambda: arith.divide(I64_MIN, -1, "floor"), "does not fit"),
        (lambda: arith.isqrt(-1, "floor"), "negative"),
        (lambda: arith.saturate(2**63, I8), "does not fit"),
        (lambda: arith.saturate(2**70, I8), "does not fit"),
        (lambda: arith.saturate(np.uint64(2**63), I8), "does not fit"),
        (lambda: arith.round_shift(1, 1, "nearest"), "floor, trunc, half_up, half_even, half_away"),
        (lambda: arith.round_divide(1, 1, "half_down"), "floor, trunc, half_up, half_even, half_away"),
        (lambda: arith.divide(1, 1, "half_up"), "floor, trunc"),
        (lambda: arith.isqrt(1, "newton"), "newton10, floor"),
    ],
)
def test_messages_of_refusals(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("name", ["u16", "i1", "i65", "i", "x8", "", "i8 ", "I8"])
def test_format_named_refuses_unknown_names(name: str) -> None:
    with pytest.raises(ValueError, match="is not a format"):
        arith.format_named(name)


def test_choices_are_found_by_name_and_coded_by_position() -> None:
    for choice in (Rounding, Division, Sqrt, HalfBit):
        assert issubclass(choice, Choice)
        for position, member in enumerate(choice):
            assert choice.of(str(member)) is member
            assert member.code == position
