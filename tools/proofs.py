"""Claims that the documents and the kernels rely on, each proved for all inputs; prints what was proved, and how.

Usage: python tools/proofs.py [--list] [NAME]...    --list only prints them
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from intsim.arith import (
    I16,
    I32,
    INT32_MAX,
    Division,
    Rounding,
    Sqrt,
    TensorBound,
    compiled,
    divide,
    isqrt,
    round_divide,
    round_shift,
    rounding_terms,
    signed,
    wrap,
)
from intsim.compilers.limbs import Limbs, digit_names
from intsim.compilers.narrow_form import narrowed
from intsim.dialects import DIALECTS, RTL
from intsim.ops import REGISTRY
from intsim.proving.arrays import TypedArray
from intsim.proving.cells import Cells
from intsim.proving.equality import EQUAL, Outcome, equality
from intsim.proving.question import Question
from intsim.rules import Computation
from intsim.rules.equivalents import EQUIVALENTS
from intsim.symbols.build import Expressions
from intsim.symbols.saturation import limited
from intsim.symbols.trace import trace

SECONDS = 600.0  # of one question, on a machine that does other work
INT64, EXACT = np.dtype(np.int64), None  # types of arguments: as kernels have them, and integers of any size
I62 = (-(1 << 62), 1 << 62)
Range = tuple[int, int]


@dataclass(frozen=True)
class Claim:
    """A statement, and the questions of which it consists."""

    name: str
    says: str
    questions: Callable[[], Iterator[Outcome]]


CLAIMS: list[Claim] = []


def claim(says: str) -> Callable[[Callable[[], Iterator[Outcome]]], Callable[[], Iterator[Outcome]]]:
    """Add a claim, named after its function."""

    def add(questions: Callable[[], Iterator[Outcome]]) -> Callable[[], Iterator[Outcome]]:
        CLAIMS.append(Claim(questions.__name__.replace("_", " "), says, questions))
        return questions

    return add


class Given:
    """Arguments within ranges, single values or rows, and questions about expressions of them."""

    def __init__(self, dtype: Any = EXACT, **ranges: tuple[int, int] | tuple[int, int, int]) -> None:
        self.cells, self.dtype, self.raises = Cells(Expressions()), dtype, list[Any]()
        self.arguments: dict[str, Any] = {}
        for name, (lo, hi, *length) in ranges.items():
            cells = self.cells.input(name, tuple(length), lo, hi)
            self.arguments[name] = TypedArray(self.cells, cells, dtype, self.raises)

    def elements(self, value: Any) -> list[Any]:
        """The elements of a value."""
        if isinstance(value, TypedArray):
            return list(value.cells.flat)
        return [self.cells.constant(bool(value) if isinstance(value, bool | np.bool_) else int(value))]

    def assume(self, condition: Any) -> None:
        """Only arguments for which this holds."""
        self.cells.assumed += [self.cells.op("logical_not", x) for x in self.elements(condition)]

    def same(self, a: Any, b: Any) -> Outcome:
        """Whether two values are equal, and nothing raises."""
        return equality(self.cells, self.elements(a), self.elements(b), SECONDS, self.raises)

    def holds(self, condition: Any) -> Outcome:
        """Whether a condition holds."""
        cells = self.elements(condition)
        return equality(self.cells, cells, [self.cells.constant(True)] * len(cells), SECONDS, self.raises)


def row_question(op: str, **ranges: Any) -> Question:
    return Question(op, RTL, ranges)


# --- rounding -------------------------------------------------------------------------------------------------------------


@claim("The kernels' one formula rounds as every mode does, in 64 bits, for |p| <= 2**62 and every shift from 1 to 62.")
def rounding_by_one_formula() -> Iterator[Outcome]:
    for mode in Rounding:
        for e in range(1, 63):
            given = Given(INT64, p=I62)
            add, odd, neg = rounding_terms(np.int64(e), mode)
            p = given.arguments["p"]
            yield given.same(compiled.round_terms.py_func(p, e, int(add), int(odd), int(neg)), round_shift(p, e, mode))


@claim("Rounding is monotone in every mode, so that the ends of an interval bound a requantization.")
def rounding_is_monotone() -> Iterator[Outcome]:
    for mode in Rounding:
        for e in range(1, 63):
            given = Given(EXACT, p=I62, q=I62)
            p, q = given.arguments.values()
            given.assume(p <= q)
            yield given.holds(round_shift(p, e, mode) <= round_shift(q, e, mode))


@claim("Shifting in two steps is shifting once, for floor and truncation: by 1 to 31, then by 1, 2, 4, 8, 16 or 31.")
def two_shifts_are_one() -> Iterator[Outcome]:
    for mode in (Rounding.FLOOR, Rounding.TRUNC):
        for first in range(1, 32):
            for second in (1, 2, 4, 8, 16, 31):
                given = Given(EXACT, p=I62)
                p = given.arguments["p"]
                twice = round_shift(round_shift(p, first, mode), second, mode)
                yield given.same(twice, round_shift(p, first + second, mode))


@claim("A mean that rounds half up is one floored quotient, (2 total + n) // 2n, for rows of 1 to 16 i16.")
def means_are_floored_quotients() -> Iterator[Outcome]:
    for n in range(1, 17):
        given = Given(EXACT, total=(n * I16.lo, n * I16.hi))
        total = given.arguments["total"]
        yield given.same(round_divide(total, n, Rounding.HALF_UP), (2 * total + n) // (2 * n))


@claim("An i32 product and what rounding adds to it fit 64 bits: every accumulator, multiplier and shift, in every mode.")
def products_fit() -> Iterator[Outcome]:
    for mode in Rounding:
        given, wide = (Given(dtype, acc=(I32.lo, I32.hi), m=(I32.lo, I32.hi)) for dtype in (INT64, EXACT))
        for e in (1, 2, 31, 32, 61, 62):
            terms = [int(term) for term in rounding_terms(np.int64(e), mode)]
            (acc, m), (exact_acc, exact_m) = given.arguments.values(), wide.arguments.values()
            in_64 = compiled.round_terms.py_func(acc * m, e, *terms)
            exact = compiled.round_terms.py_func(exact_acc * exact_m, e, *terms)
            yield equality(given.cells, given.elements(in_64), _renamed(wide, exact, given), SECONDS)


def _renamed(wide: Given, value: Any, given: Given) -> list[Any]:
    """Elements of one `Given` as those of another with the same arguments."""
    return [_copied(x, given.cells) for x in wide.elements(value)]


def _copied(root: Any, cells: Cells) -> Any:
    from intsim.symbols.expression import CONSTANT, INPUT, in_order

    made: dict[Any, Any] = {}
    for node in in_order([root]):
        if node.kind == INPUT:
            made[node] = cells.inputs[node.name]
        elif node.kind == CONSTANT:
            made[node] = cells.constant(bool(node.scalar) if node.boolean else node.scalar)
        else:
            made[node] = cells.op(node.kind, *(made[arg] for arg in node.args), **dict(node.attributes))
    return made[root]


# --- saturation and wrapping ----------------------------------------------------------------------------------------------


@claim("A sum of exponentials may saturate, or wrap, term by term: rows of up to 8 that are not negative.")
def sums_term_by_term() -> Iterator[Outcome]:
    for n in (2, 4, 8):
        given = Given(EXACT, e=(0, (1 << 40) - 1, n))
        e = given.arguments["e"]
        saturated: Any = 0
        for i in range(n):
            saturated = np.minimum(saturated + e[i], INT32_MAX)
        yield given.same(saturated, np.minimum(e.sum(), INT32_MAX))
        wrapped: Any = 0
        for i in range(n):
            wrapped = compiled.wrap32.py_func(wrapped + e[i])
        yield given.same(wrapped, wrap(e.sum(), I32))


@claim("Where a row maximum is negative, the second exponential of ShiftGELU may saturate before the sum does.")
def exponentials_may_saturate_first() -> Iterator[Outcome]:
    given = Given(EXACT, e=(0, 1 << 31), top=(0, 1 << 200))
    e, top = given.arguments.values()
    yield given.same(np.minimum(e + top, INT32_MAX), np.minimum(e + np.minimum(top, INT32_MAX), INT32_MAX))


def _exponential(x: Any, x0: int, n: int) -> Any:
    t = np.maximum(x + (x >> 1) - (x >> 4), n * x0)
    q = t // x0
    r = t - q * x0
    return np.maximum(((r - 2 * x0) << np.maximum(n - q, 0)) >> 1, 0)


@claim("Shifts that stop where a saturation hides the rest (intsim.symbols.saturation) change no result: rows of up to 3.")
def saturation_limits_shifts() -> Iterator[Outcome]:
    for op, params in (
        ("shiftmax", {"x0": -24, "n": 15, "b": 16}),
        ("shiftgelu", {"x0": -10, "n": 23, "b": 8}),
        ("lambda_shiftgelu", {"x0": -10, "n": 23, "b": 8, "lam": 49}),
    ):
        for n in (1, 2, 3):
            fmt = signed(8)
            traced = trace(REGISTRY[op], [TensorBound.full((1, n), fmt)], params, RTL)
            cells = Cells(Expressions())
            left, right = cells.of([traced.steps["out"], limited({"out": traced.steps["out"]})["out"]])
            yield equality(cells, list(left.flat), list(right.flat), SECONDS)


# --- operators ------------------------------------------------------------------------------------------------------------


@claim("argmax before upsample_nearest is argmax after it: grids of 2 x 3 cells, 4 classes, every i32.")
def argmax_before_upsampling() -> Iterator[Outcome]:
    given = Given(EXACT, x=(I32.lo, I32.hi, 24))
    x = given.arguments["x"].reshape(2, 3, 4)
    after = x.repeat(2, 0).repeat(2, 1).argmax(axis=-1)
    yield given.same(x.argmax(axis=-1).repeat(2, 0).repeat(2, 1), after)


@claim(
    "What Swin's mask of -100 hides stays at the exponential's floor as long as 255 s <= 100 - n (1 + s) / 1.4375: for every"
    " scale 1/s up to 4096 in steps of 1/16, n from 1 to 15."
)
def masked_floor() -> Iterator[Outcome]:
    for n in range(1, 16):
        given = Given(EXACT, r=(1, 1 << 16), d=(-(1 << 24), 255))  # 16 / s; the difference to the row maximum
        r, d = given.arguments.values()
        x0 = -((r + 15) // 16)  # floor(-1/s)
        given.assume(23 * (16 * 255 - 100 * r) <= -16 * n * (r + 16))
        given.assume(16 * d <= 16 * 255 - 100 * r)
        yield given.holds(d + (d >> 1) - (d >> 4) <= n * x0)


@claim("A row of shiftmax sums to less than 2**(b-1): 3 logits at most 255 below the first, x0 = -24, n = 15, b = 16.")
def rows_of_shiftmax() -> Iterator[Outcome]:
    given = Given(EXACT, x=(-255, 0, 2))
    yield given.holds(_softmax(np.concatenate([[0], given.arguments["x"]])).sum() < 1 << 15)


@claim("Shiftmax does not change with a constant added to a row: rows of up to 3, logits and constants of 8 bits.")
def shiftmax_of_a_shifted_row() -> Iterator[Outcome]:
    for n in range(1, 4):
        given = Given(EXACT, x=(-128, 127, n), c=(-128, 127))
        x, c = given.arguments.values()
        yield given.same(_softmax(x), _softmax(x + c))


def _softmax(x: Any) -> Any:
    e = _exponential(x - x.max(), -24, 15)
    return (e * (INT32_MAX // np.minimum(e.sum(), INT32_MAX))) >> 16


@claim("The square root by bits is the floor of the root, and ten Newton steps are never below it: every v below 2**20.")
def square_roots() -> Iterator[Outcome]:
    given = Given(EXACT, v=(0, (1 << 20) - 1))
    v = given.arguments["v"]
    root = isqrt(v, Sqrt.FLOOR)
    yield given.holds((root * root <= v) & (v < (root + 1) * (root + 1)))
    yield given.holds(root <= isqrt(v, Sqrt.NEWTON10))


@claim("With lambda from 128 on, lambda_shiftgelu is shiftgelu: rows of up to 4 i8.")
def wide_lambda_is_plain() -> Iterator[Outcome]:
    for n in range(1, 5):
        traces = row_question("lambda_shiftgelu", x0=-10, n=23, b=8, lam=(128, INT32_MAX)).traces(n)
        plain = traces.reference(lambda c: Computation("shiftgelu", c.params, c.dialect))
        yield equality(traces.cells, list(traces.reference().flat), list(plain.flat), SECONDS)


@claim("With one region masked_shiftmax is shiftmax: windows of up to 3 tokens, every i16.")
def one_region_is_shiftmax() -> Iterator[Outcome]:
    for n in range(1, 4):
        traces = row_question("masked_shiftmax", regions=1, x0=-24, n=15, b=16).traces(n)
        plain = traces.reference(lambda c: Computation("shiftmax", c.params, c.dialect))
        yield equality(traces.cells, list(traces.reference().flat), list(plain.flat), SECONDS)


# --- mutants and other forms ----------------------------------------------------------------------------------------------


@claim(
    "The mutants that `intsim vectors score` calls equivalent are: every entry, in every dialect, of several widths the"
    " least and the most; rows of 2."
)
def equivalent_mutants() -> Iterator[Outcome]:
    from intsim.rules.catalogue import choice_rules
    from intsim.rules.rule import deviation
    from intsim.rules.tables import MISTAKES

    ranges: Mapping[str, Mapping[str, Any]] = {
        "shiftmax": {"x": (-128, 127), "x0": -24, "n": 15, "b": 16},
        "masked_shiftmax": {"x": (-128, 127), "x0": -24, "n": 15, "b": 16},
        "shiftgelu": {"x0": -10, "n": 20, "b": 8},
        "lambda_shiftgelu": {"x0": -10, "n": 20, "b": 8, "lam": 49},
        "shift_exp": {"x0": -24, "n": 15},
        "layernorm": {"bias": (-(1 << 20), 1 << 20)},
        "requant": {"m": (1 << 30, INT32_MAX), "e": (32, 62), "b": 8},
        "residual_add": {"ma": 1 << 30, "ea": 33, "mc": 3 << 29, "ec": 34, "b": 16},
    }
    for entry in EQUIVALENTS:
        for op in entry.ops:
            for dialect in DIALECTS.values():
                mutants = [*choice_rules(op, dialect)]
                mutants += [deviation(m.key, m.value, m.instead, m.by_rows) for m in MISTAKES.get(op, ())]
                covered = [rule for rule in mutants if entry.covers(op, dialect, rule.key, rule.value)]
                widths = [rule for rule in covered if isinstance(rule.value, int)]
                for rule in [*widths[:1], *widths[1:][-1:], *(rule for rule in covered if rule not in widths)]:
                    traces = Question(op, dialect, ranges[op]).traces(2)
                    left, right = traces.reference(), traces.reference(rule.alter)
                    yield equality(traces.cells, list(left.flat), list(right.flat), SECONDS)


@claim("Digits of 24 and 32 bits give what 64 bits give: requant of every i32, five multipliers, to nearest in both ways.")
def digits_are_numbers() -> Iterator[Outcome]:
    for m, e, b in ((3, 2, 8), (1 << 30, 31, 8), (INT32_MAX, 3, 8), (5, 9, 32), (1, 1, 32)):
        for dialect in (DIALECTS["rtl"], DIALECTS["isegmenter"]):
            for width in (24, 32):
                yield _in_digits("requant", [TensorBound.full((1, 1), I32)], {"m": m, "e": e, "b": b}, dialect, width)


def _in_digits(op: str, tensors: list[TensorBound], params: dict[str, Any], dialect: Any, width: int) -> Outcome:
    traced = trace(REGISTRY[op], tensors, params, dialect)
    limbs, cells = Limbs(width), Cells(Expressions())
    (number,) = narrowed({"out": traced.out}, width).values()
    due, *parts = cells.of([traced.out, *number.digits])
    # The digits of every input are those of its value.
    whole: dict[str, Any] = {}
    for name, x in traced.inputs.items():
        names = digit_names(name, limbs.count(x.lo, x.hi))
        for place in np.ndindex(*x.shape):
            label = f"[{', '.join(map(str, place))}]"
            value = cells.inputs.get(name + label)
            if value is None:
                continue
            for i, digit in enumerate(names):
                shifted = cells.op("right_shift", value, cells.constant(limbs.k * i))
                last = i == len(names) - 1
                whole[digit + label] = (
                    shifted if last else cells.op("bitwise_and", shifted, cells.constant((1 << limbs.k) - 1))
                )
    total = None
    for i, part in enumerate(parts):
        shifted = cells.each("left_shift", part, np.asarray(cells.constant(limbs.k * i), object)) if len(parts) > 1 else part
        total = shifted if total is None else cells.each("add", total, shifted)
    replaced = [_given(x, whole, cells) for x in np.asarray(total, object).flat]
    return equality(cells, list(due.flat), replaced, SECONDS)


def _given(root: Any, values: Mapping[str, Any], cells: Cells) -> Any:
    """An expression with values in the place of inputs."""
    from intsim.symbols.expression import CONSTANT, INPUT, in_order

    made: dict[Any, Any] = {}
    for node in in_order([root]):
        if node.kind in (INPUT, CONSTANT):
            made[node] = values.get(node.name, node)
        else:
            made[node] = cells.op(node.kind, *(made[arg] for arg in node.args), **dict(node.attributes))
    return made[root]


@claim("The quotient of the exponential is the same floored and truncated, where the exponent is not positive.")
def quotients_of_exponentials() -> Iterator[Outcome]:
    given = Given(EXACT, t=(-(1 << 21), 0), x0=(-(1 << 20), -1))
    t, x0 = given.arguments.values()
    yield given.same(divide(t, x0, Division.FLOOR), divide(t, x0, Division.TRUNC))


def main() -> int:
    wanted, failed = [name for name in sys.argv[1:] if name != "--list"], 0
    unknown = [name for name in wanted if name not in [one.name for one in CLAIMS]]
    if unknown:
        print(f"there is no claim {unknown[0]!r}; there are: {', '.join(one.name for one in CLAIMS)}", file=sys.stderr)
        return 2
    for one in CLAIMS:
        if wanted and one.name not in wanted:
            continue
        if "--list" in sys.argv:
            print(f"{one.name}: {one.says}")
            continue
        start = time.monotonic()
        outcomes = list(one.questions())
        wrong = [outcome for outcome in outcomes if outcome.verdict != EQUAL]
        how = ", ".join(dict.fromkeys(_short(outcome.how) for outcome in outcomes))
        verdict = "proved" if not wrong else f"{wrong[0].verdict} {dict(wrong[0].inputs)}"
        print(f"{one.name:<32} {len(outcomes):>4} {verdict:<8} {time.monotonic() - start:5.1f} s  {how}", flush=True)
        failed += bool(wrong)
    return 1 if failed else 0


def _short(how: str) -> str:
    return "all calls" if how.startswith("all ") else how.removeprefix("the ")


if __name__ == "__main__":
    sys.exit(main())
