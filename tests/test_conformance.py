"""Conformance vectors: every answer against the oracle, every mutant killed, and the check of a device's answers."""

from __future__ import annotations

import copy
import io
import itertools
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import numpy as np
import pytest

from intsim import ops
from intsim.dialects import CHOICES, DIALECTS, Dialect
from intsim.engine.graph import Graph
from intsim.errors import FileError, IntsimError
from intsim.rules import Rule, compute
from intsim.rules.equations import DEVIATING_EQUATIONS
from intsim.rules.equivalents import EQUIVALENTS, Equivalent, reason
from intsim.rules.rule import require_shapes
from intsim.rules.solving import four_squares, nearest_misses, saturation_ends, ties
from intsim.rules.tables import MISTAKES
from intsim.vectors import INVALID, Case, Document, check, checked, generate, mutants, parse, score
from intsim.vectors.drafting import Draws
from intsim.vectors.flags import NOTES
from intsim.vectors.generator import MAKERS
from intsim.vectors.mutation import LoneOperator, Subject

import oracle

ROOT = Path(__file__).parent.parent
SCHEMA = json.loads((ROOT / "docs" / "vectors-v1.schema.json").read_text(encoding="utf-8"))
OPERATORS = sorted(ops.REGISTRY)
Cli = Callable[..., tuple[int, str, str]]
# A dialect that is not built in, with choices as a TOML file may have them.
ODD = DIALECTS["rtl"].replace(
    requant_rounding="half_away",
    mean_rounding="floor",
    variance="wrap32",
    layernorm_half="trunc",
    quotient="trunc",
    half_bit="dropped",
    exp_sum="wrap32",
    overflow="exact",
)
ALL_DIALECTS = [*DIALECTS.values(), ODD]
DIGEST = "bc66317329ec0db73acf53ac3abf790f1b64b398211a09e771514caa73fdfa41"

everywhere = pytest.mark.parametrize("op", OPERATORS)
in_every_dialect = pytest.mark.parametrize("dialect", ALL_DIALECTS, ids=[*DIALECTS, "odd"])


# --- the oracle's answers ---------------------------------------------------------------------------------------------

# By argument: the lowest and the highest integer, as in docs/arithmetic.md. An i64 may be anything.
I8, I16, I32, I64 = oracle.ends(8), oracle.ends(16), oracle.ends(32), oracle.ends(64)
RANGES: dict[str, dict[str, tuple[int, int]]] = {
    "requant": {"acc": I32, "m": I32, "e": (1, 62), "b": (2, 32)},
    "residual_add": {"a": I32, "c": I32, "ma": I32, "mc": I32, "ea": (1, 62), "ec": (1, 62), "b": (2, 32)},
    "layernorm": {"x": I16, "bias": I32},
    "shift_exp": {"x": I16, "x0": (-(2**20), -1), "n": (0, 31)},
    "shiftmax": {"x": I16, "x0": (-(2**20), -1), "n": (0, 31), "b": (2, 16)},
    "shiftgelu": {"x": I8, "x0": (-(2**20), -1), "n": (0, 31), "b": (2, 16)},
    "lambda_shiftgelu": {"x": I8, "x0": (-(2**20), -1), "n": (0, 31), "b": (2, 16), "lam": (0, 2**31 - 1)},
    "linear": {"x": I8, "weight": I8, "bias": I32},
    "matmul": {"a": I16, "b": I8, "transpose_b": (0, 1)},
    "input_lut": {"image": (0, 255), "table": I8},
    "argmax": {"x": I64},
    "patches": {"x": I64, "size": (1, 1024)},
    "heads": {"x": I64, "heads": (1, 65536)},
    "merge_heads": {"x": I64},
    "grid": {"x": I64, "height": (1, 65536)},
    "concat": {"xs": I64, "axis": (-8, -1)},
    "slice": {"x": I64, "axis": (-8, -1), "start": (0, 2**31 - 1), "stop": (0, 2**31 - 1)},
    "upsample_nearest": {"x": I64, "factor": (1, 1024)},
    "mean": {"x": I16},
    "masked_shiftmax": {"x": I16, "regions": I8, "x0": (-(2**20), -1), "n": (0, 31), "b": (2, 16)},
    "tokens": {"x": I64},
    "roll": {"x": I64, "rows": (-65536, 65536), "columns": (-65536, 65536)},
    "windows": {"x": I64, "size": (1, 1024)},
    "merge_windows": {"x": I64, "height": (1, 65536)},
    "merge_patches": {"x": I64},
    "relative_positions": {"table": I64, "size": (1, 128)},
}
# How many axes of an array the oracle's function takes; it answers one such part after the other.
AXES = {"requant": 1, "residual_add": 1, "layernorm": 1, "shift_exp": 1, "shiftmax": 1, "shiftgelu": 1, "argmax": 1}
AXES |= {"lambda_shiftgelu": 1, "linear": 1, "matmul": 2, "input_lut": 3, "patches": 3, "heads": 2, "merge_heads": 3}
AXES |= {"grid": 2, "concat": 2, "slice": 2, "mean": 2, "masked_shiftmax": 4, "tokens": 3, "roll": 3, "windows": 3}
AXES |= {"merge_windows": 3, "merge_patches": 3, "relative_positions": 2}
PARTS = {"requant": ("acc",), "residual_add": ("a", "c"), "matmul": ("a", "b"), "concat": ("xs",), "input_lut": ("image",)}
PARTS["relative_positions"] = ("table",)
LONGEST = 65536


def flat(value: Any) -> Iterator[int]:
    """Every integer of nested lists."""
    if isinstance(value, list):
        for part in value:
            yield from flat(part)
    else:
        yield value


def depth(value: Any) -> int:
    """The axes of nested lists."""
    return 1 + depth(value[0]) if isinstance(value, list) and value else int(isinstance(value, list))


def oracles(op: str, args: dict[str, Any], dialect: Dialect) -> Any:
    """The oracle's answer to a case: nested lists, or INVALID."""
    given = dict(args)
    for key, (low, high) in RANGES[op].items():
        if key in given and not all(low <= value <= high for value in flat(given[key])):
            return INVALID
    names = PARTS.get(op, ("x",))
    arrays = given.pop("xs") if op == "concat" else [given.pop(name) for name in names]
    if ops.REGISTRY[op].choices:
        given["dialect"] = dialect.choices()
    axes = AXES.get(op, 3 if depth(arrays[0]) > 2 else 2) if arrays else 2
    if not arrays or any(depth(x) < axes or not list(flat(x)) for x in arrays):
        return INVALID
    if op == "residual_add":
        arrays[1] = along(arrays[1], arrays[0])
    if op == "relative_positions" and depth(arrays[0]) > axes:
        return INVALID  # one table, always
    if op == "mean" and len(arrays[0]) > LONGEST:
        return INVALID
    axis = given.get("axis", -1)
    if len({depth(x) for x in arrays}) > 1 or not -depth(arrays[0]) <= axis < 0:
        return INVALID
    if op == "slice" and axis == -3:  # the oracle has rows and columns only
        return arrays[0][given["start"] : given["stop"]]
    if op == "layernorm" and (not isinstance(given["bias"], list) or len(given["bias"]) > LONGEST):
        return INVALID
    wraps = (str(dialect.overflow), str(dialect.exp_sum)) == ("exact", "wrap32")
    if wraps and op.endswith(("gelu", "shiftmax")) and -given["x0"] * 2 ** given["n"] >= 2**31:
        return INVALID  # docs/arithmetic.md: past i32 an exact exponential needs a sum that saturates
    try:
        answer = _parts(getattr(oracle, op), op, arrays, axes, given)
    except (ValueError, TypeError, IndexError):
        return INVALID
    return answer if even(answer) else INVALID


def along(c: Any, a: Any) -> Any:
    """`c` repeated along the leading axes of `a` that it lacks."""
    return [along(c, part) for part in a] if depth(a) > depth(c) else c


def even(value: Any) -> bool:
    """Whether nested lists are an array: all lists of one level have one length."""
    if not isinstance(value, list):
        return True
    return len({len(part) if isinstance(part, list) else -1 for part in value}) < 2 and all(map(even, value))


def _parts(function: Callable[..., Any], op: str, arrays: list[Any], axes: int, params: dict[str, Any]) -> Any:
    if depth(arrays[0]) > axes:
        return [_parts(function, op, list(parts), axes, params) for parts in zip(*arrays, strict=True)]
    return function(arrays, **params) if op == "concat" else function(*arrays, **params)


def disagreements(document: Document) -> list[str]:
    """The cases whose answer differs from the oracle's."""
    differing = []
    for case in document.cases:
        answer = oracles(document.op, dict(case.args), document.dialect)
        if case.expected != answer:
            where = oracle.difference(f"{document.op} case {case.id}", case.expected, answer)
            differing.append(f"{where} ({case.flags}, {case.note})")
    return differing


@everywhere
@in_every_dialect
def test_every_answer_equals_the_oracles(op: str, dialect: Dialect) -> None:
    assert disagreements(generate(op, dialect, 1, 0)) == []


@everywhere
def test_every_long_answer_equals_the_oracles(op: str) -> None:
    # One dialect per operator, all of them in turn.
    dialect = ALL_DIALECTS[OPERATORS.index(op) % len(ALL_DIALECTS)]
    assert disagreements(generate(op, dialect, 2, 1)) == []


@everywhere
@in_every_dialect
def test_the_fast_implementation_gives_the_same_answers(op: str, dialect: Dialect) -> None:
    for case in generate(op, dialect, 2, 0).cases:
        given = dict(case.args)
        first = given.pop("xs", [])
        if ops.REGISTRY[op].choices:
            given["dialect"] = dialect
        try:
            got = getattr(ops, op)(*first, **given).tolist()
        except ValueError:
            got = INVALID
        assert got == case.expected, f"case {case.id}"


# --- mutants ----------------------------------------------------------------------------------------------------------


@everywhere
@in_every_dialect
def test_level_1_kills_every_mutant(op: str, dialect: Dialect) -> None:
    found = score(generate(op, dialect, 1, 0))
    assert [mutant.name for mutant in found.survived] == []
    assert found.counted >= 7
    assert found.share == 1


@everywhere
def test_other_seeds_kill_every_mutant(op: str) -> None:
    for seed in (1, 2, 999):
        assert score(generate(op, DIALECTS["isegmenter"], 1, seed)).survived == ()


def test_level_1_kills_every_mutant_of_random_dialects() -> None:
    chance, keys = random.Random(7), sorted({key for op in ops.REGISTRY.values() for key in op.choices})
    for _ in range(12):
        choices = {key: chance.choice(list(CHOICES[key])) for key in keys}
        dialect = DIALECTS["rtl"].replace(**choices)
        for op in (name for name, operator in ops.REGISTRY.items() if operator.choices):
            found = score(generate(op, dialect, 1, 0))
            assert not found.survived, f"{op} {choices}: {[m.name for m in found.survived]}"
            assert not {m.name for m in mutants(op, dialect) if m.equivalent} & found.killed.keys()


@everywhere
@in_every_dialect
def test_the_mutants_include_the_whole_catalogue(op: str, dialect: Dialect) -> None:
    names = [mutant.name for mutant in mutants(op, dialect)]
    assert len(names) == len(set(names))
    for key in ops.REGISTRY[op].choices:
        others = [value for value in list(CHOICES[key]) if value != getattr(dialect, key)]
        assert {f"{key}={value}" for value in others} <= set(names)
    assert {f"{mistake.key}={mistake.value}" for mistake in MISTAKES.get(op, ())} <= set(names)
    for key, param in ops.REGISTRY[op].params.items():
        if param.ndim == (0,):
            assert {f"{key}+1", f"{key}-1"} & set(names), f"no mutant changes {key}"
    # No case has a rule that is missing from the list of mutants.
    for case in generate(op, dialect, 1, 0).cases:
        assert set(Subject(op, dialect, case).rules) <= set(names), f"case {case.id}"
    assert not {name for name in names if name.startswith(("previous_layer", "bitflip", "stuck", "x0_rounding"))}


def test_poor_vectors_have_a_low_score() -> None:
    document = generate("requant", DIALECTS["isegmenter"], 1, 0)
    found = score(_with(document, [case for case in document.cases if "Random" in case.flags]))
    assert {"requant_rounding=half_up", "requant_rounding=half_away"} <= {mutant.name for mutant in found.survived}
    assert found.share < 1
    nothing = score(_with(document, [Case(1, (), "", {"acc": [0], "m": 1, "e": 31, "b": 8}, [0])]))
    assert nothing.killed == {}


def test_the_first_killer_is_the_first_of_all_killers() -> None:
    document = generate("shiftmax", DIALECTS["ivit"], 1, 0)
    first, every = score(document), score(document, every=True)
    assert {name: cases[0] for name, cases in every.killed.items()} == {n: c[0] for n, c in first.killed.items()}
    assert max(len(cases) for cases in every.killed.values()) > 5


@pytest.mark.parametrize("op", [op for op in OPERATORS if ops.REGISTRY[op].moves])
@in_every_dialect
def test_every_generated_document_has_a_score(op: str, dialect: Dialect) -> None:
    """With all killers, so that every mutant answers every case."""
    document = generate(op, dialect, 1, 0)
    assert score(document, every=True).survived == ()


@pytest.mark.parametrize("op", [op for op in OPERATORS if not ops.REGISTRY[op].moves])
def test_every_mutant_of_an_operator_that_computes_answers_every_case(op: str) -> None:
    dialect = ALL_DIALECTS[OPERATORS.index(op) % len(ALL_DIALECTS)]
    assert score(generate(op, dialect, 1, 0), every=True).survived == ()


def test_parameters_that_do_not_fit_the_shape_are_refused() -> None:
    args = {"x": np.arange(64).reshape(1, 16, 4).tolist(), "height": 4}
    lone = LoneOperator("merge_windows", args, DIALECTS["rtl"])
    for height in (1, 3, 5):  # below the side of a window the reference would divide by zero
        rule = Rule("height", height, lambda c, height=height: c.with_params(height=height))
        assert lone.compute(rule) == INVALID
        altered = rule.alter(lone.computation)
        for computation in (altered, altered.with_deviation("windows", "columns_first")):
            with pytest.raises(ValueError, match="do not fill"):
                compute(lone, lone.node, computation, lone.arrays)
    sliced = LoneOperator("slice", {"x": [[1, 2], [3, 4]], "axis": -1, "start": 0, "stop": 2}, DIALECTS["rtl"])
    assert sliced.compute(Rule("stop", 3, lambda c: c.with_params(stop=3))) == INVALID  # NumPy would take it


@everywhere
@in_every_dialect
def test_only_shapes_are_refused_before_computing(op: str, dialect: Dialect) -> None:
    """Numbers at the ends of their ranges, whose bounds cannot be proved, are left to the reference."""
    case = next(case for case in generate(op, dialect, 1, 0).cases if case.expected != INVALID)
    lone = LoneOperator(op, case.args, dialect)
    numbers = {"x0", "n", "b", "lam", "m", "e", "ma", "ea", "mc", "ec", "bias"} & lone.node.params.keys()
    ends = [{key: getattr(ops.REGISTRY[op].params[key].fmt, end) for key in numbers} for end in ("lo", "hi")]
    for low_or_high in itertools.product(*([(key, bounds[key]) for bounds in ends] for key in sorted(numbers))):
        changed = {}
        for key, number in low_or_high:
            own = lone.node.params[key]
            changed[key] = np.full_like(own, number) if isinstance(own, np.ndarray) else number
        require_shapes(lone, lone.node, lone.computation.with_params(**changed))


def test_unproved_bounds_are_computed_by_the_reference() -> None:
    """An exponential of 2**31 passes i32: the operator refuses it, but a device may compute it."""
    args = {"x": [[0, -1], [-2, -3]], "x0": -4096, "n": 18, "b": 8}
    with pytest.raises(ValueError, match="past i32"):
        ops.shiftgelu(**args | {"n": 19}, dialect="rtl")
    mutant = LoneOperator("shiftgelu", args, DIALECTS["rtl"])
    rule = next(rule for rule in mutant.rules() if rule.name == "n+1")
    assert np.asarray(mutant.compute(rule)).tolist() == [[0, -127], [-256, -381]]


def test_refused_cases_kill_no_mistake() -> None:
    document = generate("linear", DIALECTS["rtl"], 1, 0)
    refused = [case for case in document.cases if case.expected == INVALID]
    assert refused
    assert score(_with(document, refused)).killed == {}


@pytest.mark.parametrize("op", [op for op in OPERATORS if ops.REGISTRY[op].choices or op in ("linear", "matmul")])
@in_every_dialect
def test_the_equations_without_a_deviation_equal_the_reference(op: str, dialect: Dialect) -> None:
    if op not in DEVIATING_EQUATIONS:
        assert op == "shift_exp"  # the equations of the others call it unchanged
        return
    for case in generate(op, dialect, 1, 0).cases:
        if case.expected != INVALID:
            given = {"transpose_b": 0, **case.args} if op == "matmul" else dict(case.args)
            arrays = [np.asarray(given.pop(name)) for name in ops.REGISTRY[op].inputs]
            params = {key: np.asarray(value) if isinstance(value, list) else value for key, value in given.items()}
            result = DEVIATING_EQUATIONS[op](arrays, params, dialect, {})
            assert np.array_equal(result, np.asarray(case.expected)), f"case {case.id}"


def _with(document: Document, cases: list[Case]) -> Document:
    return Document(document.op, document.dialect, document.level, document.seed, None, tuple(cases))


# --- equivalent mutants -----------------------------------------------------------------------------------------------


def searched(op: str, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Random arguments, biased towards the ends of every parameter."""
    draws = Draws(seed)
    x0s = (-1, -2, -3, -127, -128, -255, -256, -1023, -1024, -4096, -(2**17) + 1, -(2**20))
    for _ in range(count):
        reach = (1, 5, 127, 32767)[draws.one(0, 3)]
        if op == "layernorm":
            width = draws.one(1, 40)
            yield {"x": draws.nested((3, width), (-reach - 1, reach)), "bias": draws.some(width, (-reach, reach))}
            continue
        if op == "requant":
            acc = draws.nested((3, 9), (-(2 ** draws.one(2, 31)), 2 ** draws.one(2, 31) - 1))
            yield {"acc": acc, "m": draws.one(*I32), "e": draws.one(1, 62), "b": draws.one(2, 32)}
            continue
        if op == "residual_add":
            arms = {x: draws.nested((3, 9), (-(2 ** draws.one(2, 31)), 2 ** draws.one(2, 31) - 1)) for x in "ac"}
            scales = {f"m{x}": draws.one(*I32) for x in "ac"} | {f"e{x}": draws.one(1, 62) for x in "ac"}
            yield {**arms, **scales, "b": draws.one(2, 32)}
            continue
        x0 = x0s[draws.one(0, len(x0s) - 1)] if draws.one(0, 1) else draws.one(-400, -1)
        top = max(-128, min(127, draws.one(-140, 140)))
        x = [[max(-128, top - draws.one(0, reach)) for _ in range(draws.one(1, 1 + min(reach, 70)))] for _ in range(2)]
        n = draws.one(0, 31)
        args: dict[str, Any] = {"x": x[0], "x0": x0, "n": n}
        if op == "masked_shiftmax":
            tokens = draws.one(1, 6)
            logits = [[[max(-128, top - draws.one(0, reach)) for _ in range(tokens)] for _ in range(tokens)]]
            yield args | {"x": [logits], "regions": [draws.some(tokens, (0, 1))], "b": draws.one(2, 16)}
            continue
        if op == "shift_exp":
            highest = max(0, (44 - n) * -x0 * 16 // 23)
            yield args | {"x": [min(v, highest) for v in x[0]]}
        else:
            yield args | {"b": draws.one(2, 16)} | ({"lam": draws.one(0, 130)} if op == "lambda_shiftgelu" else {})


@pytest.mark.parametrize("op", sorted({op for entry in EQUIVALENTS for op in entry.ops}))
def test_no_input_distinguishes_an_equivalent_mutant(op: str) -> None:
    entries = [entry for entry in EQUIVALENTS if op in entry.ops]
    assert entries
    for position, entry in enumerate(entries):
        changed = {key: values.split("|") for key, values in entry.where.items()}
        covered = [dialect for dialect in ALL_DIALECTS if _covered(entry, op, dialect)]
        for values in itertools.product(*changed.values()):
            covered += [dialect.replace(**dict(zip(changed, values, strict=True))) for dialect in (DIALECTS["rtl"], ODD)]
        assert covered
        for turn, dialect in enumerate(covered):
            names = _covered(entry, op, dialect)
            cases = [Case(0, (), "", args) for args in searched(op, 300, 100 * position + turn)]
            for case in checked(_with(generate(op, dialect, 1, turn), cases), "search").cases:
                subject = Subject(op, dialect, case)
                killed = [name for name in names if subject.kills(name)]
                assert not killed, f"{op} {dialect.choices()}: {killed} differ at {case.args}"


def _covered(entry: Equivalent, op: str, dialect: Dialect) -> list[str]:
    """The mutants of an operator that an entry calls equivalent."""
    values = [getattr(value, "value", value) for value in entry.values or CHOICES[entry.key]]
    names = {f"{entry.key}={value}" for value in values if entry.covers(op, dialect, entry.key, value)}
    return [mutant.name for mutant in mutants(op, dialect) if mutant.name in names and mutant.equivalent]


def test_no_difference_to_a_maximum_has_a_negative_quotient() -> None:
    # Every difference of two i8, at every x0 that a scale above 1/512 gives.
    differences = np.arange(-255, 1)
    for x0 in range(-512, 0):
        floored, truncated = (
            ops.shift_exp.ref(
                differences,
                x0=x0,
                n=15,
                dialect=DIALECTS[name].replace(half_bit="kept", overflow="exact", quotient=quotient),
            )
            for name, quotient in (("rtl", "floor"), ("ivit-tvm", "trunc"))
        )
        assert np.array_equal(floored, truncated)


def test_every_equivalent_has_a_reason() -> None:
    for entry in EQUIVALENTS:
        assert entry.why.endswith(".")
        assert set(entry.ops) <= set(OPERATORS)
    assert reason("shiftmax", DIALECTS["rtl"], "quotient", "trunc")
    assert not reason("shift_exp", DIALECTS["rtl"], "quotient", "trunc")
    assert not reason("shiftmax", DIALECTS["ivit-tvm"], "sum_saturates", 31)


# --- solving ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [1, -1, 2, 3, -5, 12, 77, -96, 255, 1024, 0])
@pytest.mark.parametrize("e", [1, 2, 5, 9, 12])
def test_ties_and_nearest_misses_equal_an_exhaustive_search(m: int, e: int) -> None:
    low, high, half = -300, 300, 2 ** (e - 1)
    distance = {x: x * m % 2**e - half for x in range(low, high + 1)}
    tied = [x for x, far in distance.items() if far == 0]
    found = ties(m, e, low, high)
    assert set(found) <= set(tied)
    assert bool(found) == bool(tied)
    if tied:
        assert {tied[0], tied[-1]} <= set(found)
    below = max((far for far in distance.values() if far < 0), default=None)
    above = min((far for far in distance.values() if far > 0), default=None)
    assert [distance[x] for x in nearest_misses(m, e, low, high)] == [far for far in (below, above) if far is not None]


@pytest.mark.parametrize(("m", "e"), [(1431655765, 37), (-1717986918, 45), (2**31 - 1, 62), (1518500250, 34)])
def test_nearest_misses_of_real_multipliers_are_near_ties(m: int, e: int) -> None:
    misses = nearest_misses(m, e)
    assert len(misses) == 2
    for x in misses:
        # Among 2**32 accumulators the best lies within a few 2**-32 of a tie, or as near as the multiplier allows.
        assert 0 < abs(x * m % 2**e - 2 ** (e - 1)) <= max(2 ** (e - 30), 4)


@pytest.mark.parametrize(("m", "e", "b"), [(2**30, 30, 8), (1431655765, 37, 16), (-3, 4, 8), (2**31 - 1, 40, 8)])
def test_saturation_ends_lie_on_both_sides(m: int, e: int, b: int) -> None:
    low, high = oracle.ends(b)
    results = [oracle.rounded(oracle.Fraction(x * m, 2**e), "half_even") for x in saturation_ends(m, e, b)]
    assert {high - 1 in results or high in results, max(results) > high} == {True}
    assert {low in results or low + 1 in results, min(results) < low} == {True}


# --- documents --------------------------------------------------------------------------------------------------------


def test_every_operator_has_a_maker() -> None:
    assert sorted(MAKERS) == OPERATORS


@everywhere
def test_documents_are_small_and_match_the_schema(op: str) -> None:
    document = generate(op, DIALECTS["isegmenter"], 1, 0)
    text = document.text()
    assert len(text) < (385_000 if op == "layernorm" else 40_000)
    assert len(generate(op, DIALECTS["isegmenter"], 2, 0).text()) < 1_000_000
    record = json.loads(text)
    record["cases"] = [case for case in record["cases"] if len(str(case)) < 5000]  # validating is slow
    jsonschema.validate(record, SCHEMA)
    assert set(record["notes"]) == {flag for case in document.cases for flag in case.flags}
    questions = json.loads(document.text(questions=True))
    assert not any({"expect", "result"} & set(case) for case in questions["cases"])
    assert [case["args"] for case in questions["cases"]] == [dict(case.args) for case in document.cases]


@everywhere
def test_parsing_a_document_gives_it_back(op: str) -> None:
    document = generate(op, DIALECTS["ivit-tvm"], 1, 3)
    assert checked(parse(document.text(), "file"), "file") == document
    assert checked(parse(document.text(questions=True), "file"), "file") == document


def test_flags_are_explained_and_used() -> None:
    used = {flag for op in OPERATORS for case in generate(op, DIALECTS["rtl"], 2, 0).cases for flag in case.flags}
    golden = json.loads((ROOT / "golden" / "ops" / "choices-v1.json").read_text(encoding="utf-8"))["notes"]
    assert used <= set(NOTES)
    assert set(NOTES) == used | set(golden) | {"Model"}
    assert all(golden[flag] == NOTES[flag] for flag in golden)


def test_the_bytes_are_the_same_on_any_machine() -> None:
    # A new digest means new vectors: mention it in CHANGELOG.md, and update it here.
    code = (
        "import hashlib\nfrom intsim.vectors import generate\nfrom intsim.dialects import DIALECTS\n"
        "from intsim.vectors.generator import MAKERS\nfound = hashlib.sha256()\n"
        "for op in sorted(MAKERS):\n for name in sorted(DIALECTS):\n"
        "  found.update(generate(op, DIALECTS[name], 1, 0).text().encode())\nprint(found.hexdigest())"
    )
    for seed in ("0", "1"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == DIGEST


def test_the_seed_matters() -> None:
    texts = {generate("heads", DIALECTS["rtl"], 1, seed).text().partition('"cases"')[2] for seed in (0, 1, 2)}
    assert len(texts) == 3


@pytest.mark.parametrize("level", [1, 2])
def test_a_models_parameters_are_used(graph: Graph, level: int) -> None:
    for op in sorted({node.op for node in graph.nodes if node.op in ops.REGISTRY}):
        document = generate(op, graph.dialect, level, 0, graph)
        assert document.model == graph.content_hash
        nodes = [node for node in graph.nodes if node.op == op]
        cases = {case.note: case for case in document.cases if "Model" in case.flags}
        if not nodes[0].params:
            continue
        assert set(cases) == {node.name for node in nodes}
        for node in nodes:
            assert cases[node.name].expected != INVALID, node.name
            for key, value in node.params.items():
                if key != "weight" and not (op == "linear" and level == 1):
                    assert cases[node.name].args[key] == np.asarray(value).tolist()
        assert disagreements(_with(document, list(cases.values()))) == []
    with pytest.raises(IntsimError, match="no node of shift_exp"):
        generate("shift_exp", graph.dialect, 1, 0, graph)


# --- answers ----------------------------------------------------------------------------------------------------------


def answered(op: str = "requant", dialect: str = "isegmenter") -> dict[str, Any]:
    """A document that a perfect device has answered."""
    record: dict[str, Any] = json.loads(generate(op, DIALECTS[dialect], 1, 0).text())
    for case in record["cases"]:
        case["got"] = copy.deepcopy(case.get("expect", INVALID))
    return record


@everywhere
def test_a_perfect_device_passes(op: str) -> None:
    report = check(json.dumps(answered(op, "rtl")), "device")
    assert report.failures == ()
    assert report.passed == len(report.document.cases)
    assert report.held == "got"


@everywhere
def test_one_wrong_element_is_found(op: str) -> None:
    record = answered(op)
    case = next(case for case in record["cases"] if depth(case["got"]) and len(list(flat(case["got"]))) > 2)
    place = case["got"]
    while isinstance(place[-1], list):
        place = place[-1]
    place[-1] += 1
    report = check(json.dumps(record), "device")
    assert [failure.case.id for failure in report.failures] == [case["id"]]
    failure = report.failures[0]
    expected = np.asarray(case["expect"])
    assert failure.index == tuple(size - 1 for size in expected.shape)
    assert (failure.got, failure.expected) == (int(expected[failure.index]) + 1, int(expected[failure.index]))
    assert failure.says == f"out[{','.join(map(str, failure.index))}] is {failure.got}, expected {failure.expected}"
    assert (failure.differing, failure.elements) == (1, expected.size)
    if failure.trace:
        assert failure.trace[-1].value == failure.expected
    assert bool(failure.trace) is not ops.REGISTRY[op].moves
    for flag in case["flags"]:
        cases, passed = report.flags[flag]
        assert cases - passed == 1
    assert report.bug(failure) in failure.bugs


@pytest.mark.parametrize(
    ("got", "says"),
    [
        (INVALID, "out is refused; it must be answered"),
        ([0] * 22, "out has the shape [22], expected [23]"),
        ([[0]] * 23, "out has the shape [23, 1], expected [23]"),
        (5, "out is 5, expected nested lists or 'invalid'"),
        ([], "out has the shape [0], expected [23]"),
        ([-3.0, *[0] * 22], "out[0] is -3.0, expected -3, an integer"),
        ([True] * 23, "out[0] is True, expected -3, an integer"),
        (["-3"] * 23, "out[0] is '-3', expected -3, an integer"),
        ([None] * 23, "out[0] is None, expected -3, an integer"),
        ([-3, [1], *[0] * 21], "out[1] is a list, expected -2, an integer"),
        ("garbage", "out is 'garbage', expected nested lists or 'invalid'"),
        ({"a": 1}, "out is an object, expected nested lists or 'invalid'"),
        ([10**400, *[0] * 22], "out[0] is an integer of 1329 bits, expected -3"),
        ([float("nan")] * 23, "out[0] is nan, expected -3, an integer"),
    ],
)
def test_every_kind_of_wrong_answer_is_reported(got: Any, says: str) -> None:
    record = answered()
    record["cases"][0]["got"] = got
    report = check(json.dumps(record), "device")
    assert [failure.says for failure in report.failures] == [says]
    jsonschema.validate(
        {"schema": "intsim-vectors-report", "version": 1, "agrees": False, "files": [report.record()]}, SCHEMA
    )


def test_rows_of_different_lengths_are_wrong() -> None:
    record = answered("heads")
    case = record["cases"][0]
    case["got"][0][1] = case["got"][0][1][:-1]
    assert check(json.dumps(record), "device").failures[0].says == "out has rows of different lengths"


def test_dropped_cases_are_reported_as_missing() -> None:
    document = json.loads(generate("shiftmax", DIALECTS["rtl"], 1, 0).text())
    for case in document["cases"]:
        case["got"] = case.get("expect", INVALID)
    assert check(json.dumps(document), "all").agrees
    document["cases"] = document["cases"][3:]
    report = check(json.dumps(document), "some")
    assert (report.missing, report.failures, report.agrees) == ((1, 2, 3), (), False)
    document["cases"][0]["args"]["x0"] = -5  # no longer one of the generated cases
    document["cases"][0].pop("expect")
    document["cases"] = document["cases"][:1]
    document["cases"][0]["got"] = INVALID
    assert check(json.dumps(document), "own").missing == ()


def test_four_squares() -> None:
    for n in (0, 1, 7, 23, 12505000, 2**31):
        assert sum(x * x for x in four_squares(n)) == n


def test_answering_an_invalid_case_is_wrong() -> None:
    record = answered()
    case = next(case for case in record["cases"] if case["got"] == INVALID)
    case["got"] = [1, 2]
    failure = check(json.dumps(record), "device").failures[0]
    assert failure.says == "out is answered; it must be refused as invalid"


def _without(key: str, where: Callable[[dict[str, Any]], dict[str, Any]] = lambda record: record) -> Callable[[Any], None]:
    return lambda record: where(record).pop(key)


def _set(key: str, value: Any, where: Callable[[Any], Any] = lambda record: record) -> Callable[[Any], None]:
    return lambda record: where(record).__setitem__(key, value)


def _case(record: dict[str, Any]) -> dict[str, Any]:
    case: dict[str, Any] = record["cases"][4]
    return case


DAMAGES: list[tuple[Callable[[Any], None], str]] = [
    (_without("schema"), "is not a file of vectors"),
    (_set("schema", "op-vectors"), "is not a file of vectors"),
    (lambda d: d["dialect"].update(name="ivit"), "the dialect ivit has another "),
    (_set("version", 2), "has version 2"),
    (_set("op", "softmax"), "there is no operator 'softmax'"),
    (_set("op", ["requant"]), "there is no operator"),
    (_set("op", "shiftmax"), "shiftmax does not take its args"),
    (_set("level", "1"), "level is '1'"),
    (_set("seed", None), "seed is None"),
    (_set("model", 3), "model is 3"),
    (_set("cases", []), "contains no cases"),
    (_set("cases", {}), "contains no cases"),
    (_set("cases", [5]), "cases[0] has no id"),
    (_set("dialect", "rtl"), "dialect is not an object"),
    (_without("sqrt", lambda r: r["dialect"]), "missing choice 'sqrt'"),
    (_set("sqrt", "cordic", lambda r: r["dialect"]), "sqrt = 'cordic' is not one of"),
    (_set("speed", "fast", lambda r: r["dialect"]), "unknown choice 'speed'"),
    (_without("got", _case), "case 5 has no got while other cases have"),
    (_set("got", None, _case), "case 5: got is null"),
    (_without("args", _case), "case 5 has no args"),
    (_without("id", _case), "cases[4] has no id"),
    (_set("id", 1, _case), "two cases have the id 1"),
    (_set("id", True, _case), "cases[4] has no id"),
    (_set("expect", [1], _case), "case 5: its own expectation differs from the reference's answer"),
    (_set("result", INVALID, _case), "case 5 has both expect and result"),
    (_set("flags", "Tie", _case), "case 5: flags must be a list of names"),
    (_set("note", 5, _case), "case 5: flags must be a list of names, note a text"),
    (lambda r: (_case(r).pop("expect"), _case(r).__setitem__("result", INVALID)), "case 5: its own expectation differs"),
    (lambda r: (_case(r).pop("expect"), _case(r).__setitem__("result", "wrong")), "case 5: result is 'wrong'"),
    (_without("m", lambda r: _case(r)["args"]), "case 5: requant does not take its args"),
    (_set("speed", 5, lambda r: _case(r)["args"]), "case 5: requant does not take its args"),
    (_set("acc", [1.5], lambda r: _case(r)["args"]), "case 5: requant does not take its args"),
]


@pytest.mark.parametrize(("damage", "words"), DAMAGES, ids=[words for _, words in DAMAGES])
def test_a_damaged_document_is_refused(damage: Callable[[Any], None], words: str) -> None:
    record = answered()
    damage(record)
    with pytest.raises(FileError) as refused:
        check(json.dumps(record), "device.json")
    assert str(refused.value).startswith("device.json: ")
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "nonsense", "[1, 2", "5", "null", "[" * 100_000, '{"seed": ' + "9" * 5000 + "}"])
def test_anything_but_a_document_is_refused(text: str) -> None:
    with pytest.raises(FileError, match=r"^file: (is (no|empty)|begins with)"):
        check(text, "file")


def test_expectations_are_checked_without_answers_and_questions_are_refused() -> None:
    document = generate("argmax", DIALECTS["rtl"], 1, 0)
    assert check(document.text(), "file").held == "expect"
    with pytest.raises(FileError, match="contains only questions"):
        check(document.text(questions=True), "file")


# --- the commands -----------------------------------------------------------------------------------------------------


def _wrong(path: Path, op: str = "shiftmax") -> None:
    record = answered(op)
    case = next(case for case in record["cases"] if depth(case["got"]) == 1 and len(case["got"]) > 2)
    case["got"][1] += 3
    path.write_text(json.dumps(record))


def test_check_reads_what_gen_writes(cli: Cli) -> None:
    code, out, err = cli("vectors gen shiftmax --dialect rtl --seed 5")
    assert (code, err) == (0, "")
    assert out == generate("shiftmax", DIALECTS["rtl"], 1, 5).text() + "\n"
    assert cli("vectors gen shiftmax --dialect rtl --seed 5 -o v.json") == (0, "", "")
    assert Path("v.json").read_text() == out
    code, out, _ = cli("vectors check v.json")
    assert code == 0
    assert "46 expectations, all as the reference has them; no device has answered" in out
    code, out, _ = cli("vectors score v.json")
    assert code == 0
    assert "122 of 122 mutants killed" in out
    assert "equivalent, not counted: quotient=trunc: t <= 0 and x0 < 0" in out


def test_gen_uses_the_models_dialect_or_another(cli: Cli, graph: Graph) -> None:
    _, out, _ = cli("vectors gen shiftmax -m model.h5")
    assert json.loads(out)["dialect"]["name"] == graph.dialect.name
    assert json.loads(out)["model"] == graph.content_hash
    _, out, _ = cli("vectors gen shiftmax -m model.h5 --dialect rtl")
    assert json.loads(out)["dialect"]["name"] == "rtl"
    _, out, _ = cli(f"vectors gen requant --dialect {ROOT / 'examples' / 'dialect.toml'} --questions")
    assert json.loads(out)["dialect"]["name"] == "mine"


def test_check_shows_flags_failures_and_the_arithmetic(cli: Cli, tmp_path: Path) -> None:
    _wrong(tmp_path / "got.json")
    code, out, err = cli("vectors check got.json")
    assert (code, err) == (1, "")
    assert "45 of 46 cases right" in out
    assert "case 1 [AllNegativeRow, HalfBit] shiftmax: out[1] is " in out
    assert "(1 of 5 elements); A quotient that truncates, an exponential that assumes x <= 0" in out
    assert "(2**31 - 1) // " in out
    code, out, _ = cli("vectors check --json got.json")
    assert code == 1
    record = json.loads(out)
    jsonschema.validate(record, SCHEMA)
    assert record["agrees"] is False
    assert record["files"][0]["passed"] == 45
    assert record["files"][0]["failures"][0]["index"] == [1]
    assert cli("vectors check --json got.json -o report.json")[0] == 1
    assert json.loads(Path("report.json").read_text()) == record


def test_check_reads_standard_input(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in ("", " -"):
        data = io.BytesIO(json.dumps(answered("argmax")).encode())
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=data))
        code, out, _ = cli(f"vectors check{arguments}")
        assert code == 0
        assert "15 of 15 cases right" in out


def test_score_finds_every_killer_of_every_mutant_of_merge_windows(cli: Cli) -> None:
    assert cli("vectors gen merge_windows --dialect rtl -o v.json") == (0, "", "")
    code, out, _ = cli("vectors score v.json --json")
    assert code == 0
    assert json.loads(out)["files"][0]["killed"]["height-1"]


def test_score_names_survivors_and_killers(cli: Cli) -> None:
    document = generate("argmax", DIALECTS["rtl"], 1, 0)
    untied = [case for case in document.cases if case.flags in (("SeveralRows",), ("WideIndex", "SeveralRows"))]
    Path("poor.json").write_text(_with(document, untied).text())
    code, out, _ = cli("vectors score poor.json")
    assert code == 1
    assert "survives ties=last instead of first" in out
    code, out, _ = cli("vectors score poor.json --json")
    assert code == 1
    record = json.loads(out)
    jsonschema.validate(record, SCHEMA)
    assert record["files"][0]["survived"] == ["ties=last"]
    assert all(record["files"][0]["killed"].values())


BAD = [
    ("vectors", "Missing command"),
    ("vectors gen", "Missing argument 'OP'"),
    ("vectors gen softmax", "there is no operator 'softmax'; there are: argmax"),
    ("vectors gen requant --level 3", "3 is not in the range"),
    ("vectors gen requant --seed -1", "-1 is not in the range"),
    ("vectors gen requant --dialect latin", "--dialect 'latin' is neither"),
    ("vectors gen shift_exp -m model.h5", "the model has no node of shift_exp"),
    ("vectors gen requant -m missing.h5", "missing.h5"),
    ("vectors gen requant -m model.h5 -o model.h5", "is an input of this command"),
    ("vectors gen requant -o nowhere/v.json", "its folder nowhere does not exist"),
    ("vectors check missing.json", "missing.json: no such file"),
    ("vectors check picture.png", "picture.png: is not UTF-8 text"),
    ("vectors check .", "is a folder, not vectors"),
    ("vectors score", "Missing argument 'FILE"),
    ("vectors score empty.json", "empty.json: is empty; did the device fail?"),
    ("vectors check good.json empty.json", "empty.json: is empty; did the device fail?"),
    ("vectors check good.json -o good.json", "good.json: is an input of this command"),
]


@pytest.mark.parametrize(("line", "words"), BAD, ids=[line for line, _ in BAD])
def test_bad_input_is_one_line(line: str, words: str, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty.json").touch()
    (tmp_path / "good.json").write_text(generate("argmax", DIALECTS["rtl"], 1, 0).text())
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    code, out, err = cli(line)
    assert (code, out) == (2, "")
    assert words in err
    assert err.startswith("intsim: ")
    assert err.count("\n") == 1
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


# --- the page ---------------------------------------------------------------------------------------------------------


@everywhere
def test_the_table_of_sizes_is_right(op: str) -> None:
    """All of docs/vectors.md's table but the times."""
    text = (ROOT / "docs" / "vectors.md").read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith(f"| {op} | ")).split(" | ")
    one, two = (generate(op, DIALECTS["isegmenter"], level, 0) for level in (1, 2))
    found = score(one)
    assert row[1:3] == [str(len(one.cases)), f"{len(one.text()) / 1000:,.0f}"]
    assert row[4] == f"{len(found.killed)} of {found.counted}"
    assert row[6:8] == [str(len(two.cases)), f"{len(two.text()) / 1000:,.0f}"], "run: python tools/vector_sizes.py"
