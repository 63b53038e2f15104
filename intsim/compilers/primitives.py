"""Single standard operators where compilers differ, as cases, with the sentence of the standard that decides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from ..arith import AnyArray
from .cases import Case, model_of

BIG = 1 << 53  # beyond which not every integer is a float64
I64_ENDS = [2**62, -(2**62), 2**33 + 1, -(2**33) - 1, BIG + 1, -BIG - 1, 5 << 29, -5 << 29, 7, -7]
SPREAD = [-(2**31), -(2**31) + 1, -(2**24) - 1, -7, -1, 0, 1, 7, 2**24 + 1, 2**31 - 1]

FIXED = ("ReduceSum", "ReduceMax", "Clip")  # operators whose further inputs are constants: axes, limits
TRUNCATES = "Div: for integer inputs, the result is computed using truncating division (rounding toward zero)."
FOLLOWS = "Mod: with fmod 0 the sign of the remainder is that of the divisor."
DISCARDS = "Cast: an integer out of range of a smaller integer type discards its higher bits."
EXACTLY = "The output has the type of the inputs: whole integers, neither rounded to a float nor cut to fewer bits."
SIGNLESS = "The signedness of the type is part of it: 255 as uint8 is 255."
FIRST = "ArgMax: with select_last_index 0 the index of the first occurrence."


def primitive_cases() -> Iterator[Case]:
    """Single operators on integers, at the numbers where compilers go wrong."""
    for name, op, inputs, attributes, due, why in _primitives():
        arrays = {f"x{i}": np.asarray(value) for i, value in enumerate(inputs)}
        fixed = [key for key in list(arrays)[1:] if op in FIXED]
        nodes = [
            helper.make_node("Constant", [], [key], value=numpy_helper.from_array(np.ascontiguousarray(arrays[key]), key))
            for key in fixed
        ]
        nodes.append(helper.make_node(op, list(arrays), ["out"], **attributes))
        arrays = {key: value for key, value in arrays.items() if key not in fixed}
        out = helper.make_tensor_value_info("out", helper.np_dtype_to_tensor_dtype(due.dtype), due.shape)
        yield Case(
            name, f"primitive_{name}".replace(" ", "_"), why, model_of(op, nodes, arrays, [out]), arrays, {"out": due}
        )


def _primitives() -> Iterator[tuple[str, str, list[AnyArray], dict[str, Any], AnyArray, str]]:
    a, b = i64(I64_ENDS), i64([3, 3, -5, 5, 2, 7, -2, 2, -1, 9])
    small = i32(SPREAD)
    divisors = i32([3, -5, 7, 2, -2, 5, -3, -4, 9, -7])
    yield (
        "Div int64",
        "Div",
        [a, b],
        {},
        i64(_truncated(a, b)),
        TRUNCATES,
    )
    yield (
        "Div int32",
        "Div",
        [small, divisors],
        {},
        i32(_truncated(small, divisors)),
        TRUNCATES,
    )
    yield "Mod int64", "Mod", [a, b], {"fmod": 0}, i64([x % y for x, y in _pairs(a, b)]), FOLLOWS
    yield "Mod int32", "Mod", [small, divisors], {"fmod": 0}, i32([x % y for x, y in _pairs(small, divisors)]), FOLLOWS
    unsigned = np.array([2**32 - 1, 2**31, 7, 2**31 + 5], np.uint32)
    by = np.array([2, 3, 2, 2**31], np.uint32)
    yield "Div uint32", "Div", [unsigned, by], {}, unsigned // by, SIGNLESS
    yield "Add int64", "Add", [a, b], {}, a + b, EXACTLY
    yield (
        "Mul int64",
        "Mul",
        [i64([2**31 - 1, -(2**31), 3037000499]), i64([2**31 - 1, 2**31 - 1, -3037000499])],
        {},
        i64([(2**31 - 1) ** 2, -(2**31) * (2**31 - 1), -(3037000499**2)]),
        EXACTLY,
    )
    yield (
        "Mul int32",
        "Mul",
        [i32([46340, -46341, 2**24 + 1]), i32([46340, 46340, 3])],
        {},
        i32([46340**2, -46341 * 46340, 3 * (2**24 + 1)]),
        EXACTLY,
    )
    yield "Neg int32", "Neg", [small[1:]], {}, -small[1:], EXACTLY
    yield "Max int64", "Max", [a, i64([-(2**15)] * len(a))], {}, np.maximum(a, -(2**15)), EXACTLY
    yield "Min int64", "Min", [a, i64([2**15] * len(a))], {}, np.minimum(a, 2**15), EXACTLY
    yield "Max int32", "Max", [small, i32([2**24] * len(small))], {}, np.maximum(small, 2**24), EXACTLY
    yield "Clip int32", "Clip", [small, i32(-128), i32(127)], {}, np.clip(small, -128, 127), EXACTLY
    yield (
        "Clip uint8",
        "Clip",
        [u8(range(0, 256, 17)), u8(3), u8(200)],
        {},
        np.clip(u8(range(0, 256, 17)), 3, 200),
        SIGNLESS,
    )
    yield "Less int64", "Less", [a, np.roll(a, 1)], {}, a < np.roll(a, 1), EXACTLY
    yield (
        "Equal int64",
        "Equal",
        [i64([BIG, BIG + 1, -BIG - 1]), i64([BIG + 1, BIG + 1, -BIG])],
        {},
        np.array([False, True, False]),
        EXACTLY,
    )
    yield "Where int64", "Where", [a > 0, a, b], {}, np.where(a > 0, a, b), EXACTLY
    rows = i64([[BIG, 1, 0], [-BIG, -1, 0], [2**40, 3, -5]])
    yield "ReduceSum int64", "ReduceSum", [rows, i64([1])], {"keepdims": 1}, rows.sum(axis=1, keepdims=True), EXACTLY
    wide = i32([[2**24, 1, 1], [-(2**24), -1, -2], [2**30, 2**29, 3]])
    yield "ReduceSum int32", "ReduceSum", [wide, i64([1])], {"keepdims": 0}, wide.sum(axis=1).astype(np.int32), EXACTLY
    yield "ReduceMax int64", "ReduceMax", [rows, i64([1])], {"keepdims": 0}, rows.max(axis=1), EXACTLY
    yield "ReduceMax int32", "ReduceMax", [wide, i64([1])], {"keepdims": 0}, wide.max(axis=1), EXACTLY
    yield (
        "ArgMax int32",
        "ArgMax",
        [i32([[3, 9, 9, 2], [-5, -5, -5, -9], [2**24, 2**24 + 1, 0, 1]])],
        {"axis": 1, "keepdims": 0},
        i64([1, 0, 1]),
        FIRST,
    )
    yield "Cast int64 to int32", "Cast", [a], {"to": 6}, a.astype(np.int32), DISCARDS
    yield "Cast int32 to int8", "Cast", [small], {"to": 3}, small.astype(np.int8), DISCARDS
    yield "Cast int32 to uint8", "Cast", [small], {"to": 2}, small.astype(np.uint8), DISCARDS
    yield (
        "Cast uint8 to int32",
        "Cast",
        [u8(range(0, 256, 15))],
        {"to": 6},
        i32(range(0, 256, 15)),
        SIGNLESS,
    )
    draw = np.random.default_rng(0)
    left, right = (
        draw.integers(-(2**15), 2**15, (5, 40)).astype(np.int32),
        draw.integers(-128, 128, (40, 6)).astype(np.int32),
    )
    yield "MatMul int32", "MatMul", [left, right], {}, (left.astype(np.int64) @ right).astype(np.int32), EXACTLY
    for one, other in (("int8", "int8"), ("uint8", "int8"), ("uint8", "uint8")):
        x, y = _bytes(draw, one, (3, 5, 33)), _bytes(draw, other, (3, 33, 4))
        yield (
            f"MatMulInteger {one} {other}",
            "MatMulInteger",
            [x, y],
            {},
            (x.astype(np.int64) @ y.astype(np.int64)).astype(np.int32),
            SIGNLESS,
        )
    yield (
        "BitShift uint64",
        "BitShift",
        [np.array([2**63, 2**40 + 1, 5], np.uint64), np.array([63, 3, 1], np.uint64)],
        {"direction": "RIGHT"},
        np.array([1, (2**40 + 1) >> 3, 2], np.uint64),
        SIGNLESS,
    )
    yield (
        "Gather int64",
        "Gather",
        [i64([1 << i for i in range(63)]), i64([0, 31, 32, 53, 62])],
        {},
        i64([1, 2**31, 2**32, BIG, 2**62]),
        EXACTLY,
    )


def i64(values: Any) -> AnyArray:
    """As int64."""
    return np.array(values, np.int64)


def u8(values: Any) -> AnyArray:
    """As uint8."""
    return np.array(values, np.uint8)


def i32(values: Any) -> AnyArray:
    """As int32."""
    return np.array(values, np.int32)


def _truncated(a: AnyArray, b: AnyArray) -> list[int]:
    """Quotients rounded toward zero."""
    return [abs(x) // abs(y) * (-1 if (x < 0) != (y < 0) else 1) for x, y in _pairs(a, b)]


def _pairs(a: AnyArray, b: AnyArray) -> list[tuple[int, int]]:
    return [(int(x), int(y)) for x, y in zip(a, b, strict=True)]


def _bytes(draw: np.random.Generator, kind: str, shape: tuple[int, ...]) -> AnyArray:
    info = np.iinfo(kind)
    return draw.integers(info.min, info.max + 1, shape).astype(kind)
