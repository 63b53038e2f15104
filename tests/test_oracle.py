"""The oracle imports nothing of intsim, and reproduces the committed vectors."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

import pytest

import oracle

VECTORS = Path(__file__).parent.parent / "golden" / "ops"


def cases_of(name: str) -> list[Any]:
    """The cases of a vector file, each under a readable id."""
    cases = json.loads((VECTORS / name).read_text(encoding="utf-8"))["cases"]
    return [pytest.param(case, id=f"{case['id']}-{case['op']}-{case['args'].get('dialect', 'any')}") for case in cases]


@pytest.mark.parametrize("case", cases_of("ops-v1.json") + cases_of("choices-v1.json"))
def test_the_oracle_reproduces_the_committed_vectors(case: dict[str, Any]) -> None:
    if case.get("result") == "invalid":
        with pytest.raises(ValueError):
            oracle.evaluate(case["op"], case["args"])
        return
    difference = oracle.difference(f"oracle.{case['op']}(...)", oracle.evaluate(case["op"], case["args"]), case["expect"])
    assert not difference, difference


def test_the_oracle_imports_nothing_of_intsim() -> None:
    # Nor indirectly: only these modules of the standard library are allowed.
    tree = ast.parse(Path(oracle.__file__).read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= {"__future__", "math", "fractions", "typing"}
    assert imported <= set(sys.stdlib_module_names)


def test_difference_names_the_first_place() -> None:
    assert oracle.difference("f(...)", [[1, 2], [3, 5]], [[1, 2], [3, 6]]) == "f(...)[1,1] = 5, but should be 6"
    assert oracle.difference("f(...)", [1, 2], [1, 2]) == ""
    assert oracle.difference("f(...)", 7, 8) == "f(...) = 7, but should be 8"
    assert oracle.difference("f(...)", [1, 2, 3], [1, 2]) == "f(...) has length 3, but should have 2"
    assert oracle.difference("f(...)", [[1], [2]], [[1], 2]) == "f(...)[1] = [2], but should be 2"


@pytest.mark.parametrize(("got", "want"), [(True, 1), (1.0, 1), ([0], 0), (None, 0), ("1", 1)])
def test_difference_compares_types(got: Any, want: Any) -> None:
    assert oracle.difference("f()", got, want)
    assert oracle.difference("f()", [got], [want])


# Computed by hand from docs/arithmetic.md: a check of the oracle that is independent of the committed vectors.


def test_shift_exp_by_hand() -> None:
    # x = -17, x0 = -7: t = -17 - 9 + 2 = -24; q = 3; r = -3; ((-3 + 14) << 12) >> 1 = 22528
    assert oracle.shift_exp([-17], -7, 15, oracle.DIALECTS["ivit"]) == [22528]
    # dropped: (-3 >> 1) + 7 = 5, << 12
    assert oracle.shift_exp([-17], -7, 15, oracle.DIALECTS["ivit-tvm"]) == [20480]


def test_shiftmax_by_hand() -> None:
    # Two equal values: e = 20 << 15 each, S = 1310720, f = 1638, p = 655360 * 1638 >> 16 = 16380
    assert oracle.shiftmax([5, 5], -20, 15, 16, oracle.DIALECTS["rtl"]) == [16380, 16380]


def test_shiftgelu_by_hand() -> None:
    # x = 0: e = eM = 12 << 23, S = 201326592, f = 10, sig = 1006632960 >> 24 = 60, and 0 * 60 = 0;
    # x = -12: t = -17, q = 1, r = -5; (-5 + 24 << 22) >> 1 = 39845888, S = 140509184, f = 15, sig = 35, out = -420
    assert oracle.shiftgelu([0, -12], -12, 23, 8, oracle.DIALECTS["rtl"]) == [0, -420]


def test_layernorm_by_hand() -> None:
    # rtl, [1, 2, 3, 4]: the mean 2.5 becomes 3, v = 4 + 1 + 0 + 1 = 6, std = 2, f = 1073741823; y*f/2 is floored
    want = [-1073741823 + 9, -536870912 + 9, 9, 536870911 + 9]
    assert oracle.layernorm([1, 2, 3, 4], [9] * 4, oracle.DIALECTS["rtl"]) == want


def test_requant_by_hand() -> None:
    # Times 3/2, the five roundings of -1.5 and 1.5, -4.5 and 4.5.
    want = {
        "floor": [-2, 1, -5, 4],
        "trunc": [-1, 1, -4, 4],
        "half_up": [-1, 2, -4, 5],
        "half_even": [-2, 2, -4, 4],
        "half_away": [-2, 2, -5, 5],
    }
    for mode, expected in want.items():
        dialect = oracle.DIALECTS["rtl"] | {"requant_rounding": mode}
        assert oracle.requant([-1, 1, -3, 3], 3 * 2**29, 30, 8, dialect) == expected


def test_the_shape_operators_by_hand() -> None:
    picture = [[[1, 10], [2, 20], [3, 30]], [[4, 40], [5, 50], [6, 60]], [[7, 70], [8, 80], [9, 90]]]
    assert oracle.patches(picture, 2) == [
        [1, 2, 4, 5, 10, 20, 40, 50],
        [3, 0, 6, 0, 30, 0, 60, 0],
        [7, 8, 0, 0, 70, 80, 0, 0],
        [9, 0, 0, 0, 90, 0, 0, 0],
    ]
    tokens = [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert oracle.heads(tokens, 2) == [[[1, 2], [5, 6]], [[3, 4], [7, 8]]]
    assert oracle.merge_heads(oracle.heads(tokens, 2)) == tokens
    assert oracle.concat([tokens, [[9, 9, 9, 9]]], -2) == [*tokens, [9, 9, 9, 9]]
    assert oracle.concat([tokens, [[0], [9]]], -1) == [[1, 2, 3, 4, 0], [5, 6, 7, 8, 9]]
    assert oracle.slice(tokens, -1, 1, 3) == [[2, 3], [6, 7]]
    assert oracle.slice(tokens, -2, 1, 2) == [[5, 6, 7, 8]]
    assert oracle.upsample_nearest([[1, 2]], 2) == [[1, 1, 2, 2], [1, 1, 2, 2]]
    assert oracle.grid([[1], [2], [3], [4]], 2) == [[[1], [2]], [[3], [4]]]
    square = [[[1], [2], [3], [4]], [[5], [6], [7], [8]]]
    assert oracle.tokens(square) == [[1], [2], [3], [4], [5], [6], [7], [8]]
    assert oracle.roll(square, 1, -1) == [[[6], [7], [8], [5]], [[2], [3], [4], [1]]]
    assert oracle.windows(square, 2) == [[[1], [2], [5], [6]], [[3], [4], [7], [8]]]
    assert oracle.merge_windows(oracle.windows(square, 2), 2) == square
    assert oracle.merge_patches(square) == [[[1, 5, 2, 6], [3, 7, 4, 8]]]
    assert oracle.relative_positions([[i] for i in range(9)], 2) == [
        [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]]
    ]
    assert oracle.mean([[1, -1], [2, -2]], oracle.DIALECTS["ivit"]) == [2, -2]
    assert oracle.mean([[1, -1], [2, -2]], oracle.DIALECTS["rtl"]) == [2, -1]
    assert oracle.mean([[1, -1], [2, -2]], oracle.DIALECTS["ivit-tvm"]) == [1, -1]
    assert oracle.argmax([-3, 7, 7]) == 1
    assert oracle.matmul([[1, 2]], [[3, 4], [5, 6]]) == [[13, 16]]
    assert oracle.matmul([[1, 2]], [[3, 4], [5, 6]], True) == [[11, 17]]
    assert oracle.linear([1, 2], [[3, 4], [5, 6]], [100, 200]) == [111, 217]
    assert oracle.input_lut([[[0, 2]]], [[5, 6, 7], [-5, -6, -7]]) == [[[5, -7]]]
