"""Checks of operator arguments: refusals and their messages, empty inputs, types, threads."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from intsim import ops
from intsim.dialects import DIALECTS
from intsim.kernels import threads

from checking import I8, I16, I32

# --- valid and invalid arguments --------------------------------------------------------------------------------------

D = "isegmenter"
TABLE = np.tile(np.arange(-128, 128), (3, 1))

# A valid call of every operator, then the formats of its inputs that are narrower than 64 bits.
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
    "masked_shiftmax": ([[[[[0, -5], [7, 3]]]]], {"regions": [[0, 1]], "x0": -20, "n": 15, "b": 16, "dialect": D}),
    "mean": ([[[1, 2], [2, 4]]], {"dialect": D}),
    "roll": ([[[[1], [2]], [[3], [4]]]], {"rows": 1, "columns": -1}),
    "windows": ([[[[1], [2]], [[3], [4]]]], {"size": 2}),
    "merge_windows": ([[[[1], [2], [3], [4]]]], {"height": 2}),
    "merge_patches": ([[[[1], [2]], [[3], [4]]]], {}),
    "tokens": ([[[[1], [2]], [[3], [4]]]], {}),
    "relative_positions": ([np.arange(9).reshape(9, 1)], {"size": 2}),
}
INPUTS: dict[str, dict[str, tuple[int, int]]] = {
    "requant": {"acc": I32},
    "residual_add": {"a": I32, "c": I32},
    "linear": {"x": I8},
    "matmul": {"a": I16, "b": I8},
    "layernorm": {"x": I16},
    "shift_exp": {"x": I16},
    "shiftmax": {"x": I16},
    "shiftgelu": {"x": I8},
    "lambda_shiftgelu": {"x": I8},
    "input_lut": {"image": (0, 255)},
    "masked_shiftmax": {"x": I16},
    "mean": {"x": I16},
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
    "masked_shiftmax": {"regions": I8, "b": (2, 16)},
    "roll": {"rows": (-65536, 65536), "columns": (-65536, 65536)},
    "windows": {"size": (1, 1024)},
    "merge_windows": {"height": (1, 65536)},
    "relative_positions": {"size": (1, 128)},
}
FACES = ["fast", "ref"]
NAMES = list(VALID)


def face_of(name: str, face: str) -> Callable[..., Any]:
    """The fast or the reference implementation of an operator."""
    op = getattr(ops, name)
    return op.ref if face == "ref" else op


def test_every_operator_has_a_valid_call() -> None:
    assert set(VALID) == set(ops.REGISTRY)
    assert all(isinstance(getattr(ops, name), ops.Op) for name in VALID)
    with pytest.raises(AttributeError, match="there is no operator 'softmax'"):
        _ = ops.softmax


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("name", NAMES)
def test_valid_calls_are_accepted(name: str, face: str) -> None:
    # The tests below change one thing about these calls, so the calls themselves must be accepted.
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
    # Rows that are not contiguous in memory.
    strided = [np.moveaxis(np.ascontiguousarray(np.moveaxis(a, -1, 0)), 0, -1) for a in frozen]
    assert call(*strided, **params).tolist() == want.tolist()


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [np.float64, np.float32, bool, np.complex128, "U1"])
def test_only_integers_are_accepted(name: str, face: str, kind: Any) -> None:
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
def test_no_argument_has_a_default(name: str, face: str) -> None:
    arrays, params = VALID[name]
    for key in params:
        with pytest.raises(TypeError, match=key):
            face_of(name, face)(*arrays, **{k: v for k, v in params.items() if k != key})
    with pytest.raises(TypeError):
        face_of(name, face)(*arrays, **params, epsilon=1)
    if name != "concat":  # which takes any number of arrays
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
def test_the_first_of_several_values_outside_their_format_is_named(name: str, port: str, face: str) -> None:
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
        ("residual_add", [[1, 2], [[1, 2]]], {}),
        ("residual_add", [[[[1], [2]]], [[[1]]]], {}),
        ("residual_add", [[[1], [2]], [1, 2]], {}),
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
        ("masked_shiftmax", [[[[1]]]], {}),
        ("masked_shiftmax", [[[[[1, 2, 3], [4, 5, 6]]]]], {"regions": [[0, 0, 0]]}),
        ("masked_shiftmax", [[[[[1, 2]]]]], {}),
        ("masked_shiftmax", [[[[[1, 2], [3, 4]]]]], {"regions": [[0, 1, 2]]}),
        ("masked_shiftmax", [[[[[1, 2], [3, 4]]]]], {"regions": [[0, 1], [0, 1]]}),
        ("masked_shiftmax", [[[[[1, 2], [3, 4]]]]], {"regions": [0, 1]}),
        ("masked_shiftmax", [[[[[1, 2], [3, 4]]]]], {"regions": 0}),
        ("masked_shiftmax", [[[[[1, 2], [3, 4]]]]], {"n": [15, 15]}),
        ("mean", [[1, 2]], {}),
        ("mean", [np.zeros((0, 2), int)], {}),
        ("mean", [np.zeros((65537, 1), int)], {}),
        ("roll", [[[1, 2]]], {}),
        ("windows", [[[1, 2]]], {}),
        ("windows", [[[[1], [2], [3]], [[4], [5], [6]]]], {}),
        ("windows", [[[[1], [2]]]], {}),
        ("merge_windows", [[[1, 2]]], {}),
        ("merge_windows", [[[[1], [2], [3]]]], {}),
        ("merge_windows", [[[[1], [2], [3], [4]]]], {"height": 1}),
        ("merge_windows", [[[[1], [2], [3], [4]]]], {"height": 3}),
        ("merge_windows", [[[[1], [2], [3], [4]]]], {"height": 4}),
        ("merge_windows", [np.zeros((1, 0, 1), int)], {}),
        ("merge_patches", [[[1, 2]]], {}),
        ("merge_patches", [[[[1], [2]]]], {}),
        ("merge_patches", [[[[1]], [[2]]]], {}),
        ("tokens", [[[1, 2]]], {}),
        ("relative_positions", [[1, 2]], {}),
        ("relative_positions", [np.zeros((1, 9, 1), int)], {}),
        ("relative_positions", [np.zeros((8, 1), int)], {}),
    ],
)
def test_arguments_that_do_not_fit_together_are_refused(
    name: str, arrays: list[Any], changes: dict[str, Any], face: str
) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: "):
        face_of(name, face)(*arrays, **VALID[name][1] | changes)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize(
    "name",
    [
        "layernorm",
        "shiftmax",
        "shiftgelu",
        "lambda_shiftgelu",
        "argmax",
        "requant",
        "shift_exp",
        "linear",
        "input_lut",
        "heads",
        "masked_shiftmax",
        "mean",
        "windows",
    ],
)
@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 0)])
def test_an_empty_row_is_refused(name: str, face: str, shape: tuple[int, ...]) -> None:
    params = VALID[name][1] | ({"bias": np.zeros(0, int)} if name == "layernorm" else {})
    with pytest.raises(ValueError, match=rf"^{name}: "):
        face_of(name, face)(np.zeros(shape, int), **params)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("name", [name for name in NAMES if name != "relative_positions"])  # its table has no leading axes
@pytest.mark.parametrize("leading", [(0,), (2, 0)])
def test_an_empty_batch_gives_an_empty_result(name: str, face: str, leading: tuple[int, ...]) -> None:
    arrays, params = VALID[name]
    one = face_of(name, face)(*arrays, **params)
    none = face_of(name, face)(*(np.zeros((*leading, *np.shape(a)), np.int64) for a in arrays), **params)
    assert none.shape == (*leading, *one.shape)
    assert none.dtype == one.dtype


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("name", [name for name, op in ops.REGISTRY.items() if op.moves])
def test_operators_that_move_values_keep_their_type(name: str, face: str) -> None:
    arrays, params = VALID[name]
    for dtype in (np.int8, np.int16, np.int32, np.int64):
        typed = [np.array(a, dtype) for a in arrays]
        assert face_of(name, face)(*typed, **params).dtype == dtype


@pytest.mark.parametrize("face", FACES)
def test_a_dialect_is_given_by_name_or_as_an_object(face: str) -> None:
    for name, (arrays, params) in VALID.items():
        if "dialect" in params:
            by_name = face_of(name, face)(*arrays, **params)
            assert by_name.tolist() == face_of(name, face)(*arrays, **params | {"dialect": DIALECTS[D]}).tolist()


# --- messages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("face", FACES)
def test_a_sum_that_wraps_to_zero_names_its_row(face: str) -> None:
    x = np.zeros((2, 3, 128), int)
    x[..., 1] = -1  # 127 of the largest exponentials and a smaller one: not a multiple of 2**32
    x[1, 2] = 0
    with pytest.raises(ValueError, match=r"shiftmax.*\[1, 2\]"):
        face_of("shiftmax", face)(x, x0=-1024, n=15, b=16, dialect="ivit-tvm")
    assert face_of("shiftmax", face)(x[0], x0=-1024, n=15, b=16, dialect="ivit-tvm").shape == (3, 128)


@pytest.mark.parametrize("face", FACES)
def test_a_masked_sum_that_wraps_to_zero_names_its_row(face: str) -> None:
    x = np.zeros((2, 2, 1, 4, 4), int)
    params: dict[str, Any] = {"x0": -1024, "n": 20, "b": 16, "dialect": "ivit-tvm"}
    with pytest.raises(ValueError, match=r"^masked_shiftmax: .*\[0, 1, 0, 0\]"):  # four exponentials of 2**30
        face_of("masked_shiftmax", face)(x, regions=[[0, 0, 0, 1], [2, 2, 2, 2]], **params)
    assert face_of("masked_shiftmax", face)(x, regions=[[0, 0, 0, 1], [2, 2, 2, 3]], **params).shape == x.shape
    one = np.zeros((2, 2, 1, 4, 4), int)
    one[..., 0] = 1  # the first token above the others in all rows but one
    one[1, 0, 0, 3] = 0
    with pytest.raises(ValueError, match=r"\[1, 0, 0, 3\]"):
        face_of("masked_shiftmax", face)(one, regions=[[0, 0, 0, 0], [1, 1, 1, 1]], **params)


@pytest.mark.parametrize("face", FACES)
def test_messages_name_the_given_and_the_expected_shape(face: str) -> None:
    for name, arrays, changes, message in (
        ("masked_shiftmax", [[[[[1, 2], [3, 4]]]]], {"regions": [[0]]}, r"regions are \[1, 1\], expected \[1, 2\]"),
        ("masked_shiftmax", [[[[[1, 2]]]]], {}, "the logits of a window are square, not 1 x 2"),
        ("masked_shiftmax", [[[1, 2]]], {}, r"expected logits \[\.\.\., windows, heads, tokens, tokens\], not \[1, 2\]"),
        ("mean", [[1, 2]], {}, r"expected tokens \[\.\.\., tokens, channels\], not \[2\]"),
        ("mean", [np.zeros((0, 2), int)], {}, "0 tokens; mean takes 1 to 65536"),
        ("windows", [[[[1], [2], [3]]]], {}, "1 x 3 does not divide into windows of 2 x 2"),
        ("merge_windows", [[[[1], [2], [3]]]], {}, "a window of 3 tokens is not square"),
        ("merge_windows", [np.zeros((1, 0, 1), int)], {}, "a window of 0 tokens is not square"),
        ("merge_windows", [[[[1], [2], [3], [4]]]], {"height": 4}, "1 windows of 2 x 2 do not fill 4 rows"),
        ("merge_patches", [[[[1], [2]]]], {}, "1 x 2 does not divide into two by two"),
        ("relative_positions", [[[1], [2]]], {}, "windows of 2 x 2 have 9 displacements, the table 2"),
        ("residual_add", [[[1, 2]], [3]], {}, r"a is \[1, 2\] and c is \[1\]; c must have the shape of a, or its last axes"),
    ):
        with pytest.raises(ValueError, match=f"^{name}: {message}"):
            face_of(name, face)(*arrays, **VALID[name][1] | changes)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("name", ["shiftgelu", "lambda_shiftgelu"])
def test_a_gelu_whose_sum_wraps_to_zero_names_its_row(name: str, face: str) -> None:
    # exp(0) = 128 * 2**25 = 2**32 wraps to 0; in row 0 exp(-127) does not.
    params: dict[str, Any] = {"x0": -128, "n": 25, "b": 8, "dialect": "ivit-tvm"}
    if name == "lambda_shiftgelu":
        params["lam"] = 127
    x = np.array([[127, 127], [0, 0]])
    with pytest.raises(ValueError, match=rf"{name}.*\[1\b"):
        face_of(name, face)(x, **params)
    assert face_of(name, face)(x[:1], **params).shape == (1, 2)


@pytest.mark.parametrize("face", FACES)
def test_a_forbidden_overflow_names_its_index(face: str) -> None:
    x = [[[0, 0], [0, 0]], [[-3, 3], [0, 0]]]
    with pytest.raises(ValueError, match=r"layernorm.*\[1, 0, 1\] = 2952790013\b"):
        face_of("layernorm", face)(x, [0, I32[1]], dialect="rtl")
    with pytest.raises(ValueError, match=r"linear.*\[1, 0\] = 2147483648\b"):
        face_of("linear", face)([[0], [1]], [[1]], [I32[1]])
    with pytest.raises(ValueError, match=r"matmul.*\[0, 1\] = 2147483648\b"):
        face_of("matmul", face)([[-32768] * 512], [[0, -128]] * 512)


@pytest.mark.parametrize("face", FACES)
def test_a_forbidden_exponential_is_refused(face: str) -> None:
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
        "a broadcast branch": lambda: ops.residual_add(
            i16.reshape(13, 11, 3), i8[:11, :3], ma=2**30, ea=31, mc=2**30, ec=30, b=16, dialect=name
        ),
        "mean": lambda: ops.mean(i16.reshape(13, 11, 3), dialect=name),
        "masked_shiftmax": lambda: ops.masked_shiftmax(
            np.resize(i8, (5, 3, 2, 7, 7)),
            regions=[[0] * 7, [0, 0, 1, 1, 1, 2, 0], [3] * 7],
            x0=-20,
            n=15,
            b=16,
            dialect=name,
        ),
    }
    for call in calls.values():
        with threads.limited_to(1):
            want = call()
        for count in (2, 3, 13, 40, None):
            with threads.limited_to(count):
                got = call()
            assert got.dtype == want.dtype
            assert got.tolist() == want.tolist()


def test_the_first_refused_row_is_named_for_any_number_of_threads() -> None:
    x = np.zeros((8, 128), int)
    x[:3, 0] = -1
    for count in (1, 2, 5, 8):
        with threads.limited_to(count), pytest.raises(ValueError, match=r"\[3\]"):
            ops.shiftmax(x, x0=-1024, n=15, b=16, dialect="ivit-tvm")
