"""The kernels of matrix products and attention in every variant of this machine, compared with sums in int64."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.util import resolve_name
from pathlib import Path
from types import CodeType

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llvmlite.binding import llvm_version_info

import intsim
from intsim import dialects
from intsim.arith import I8, Rounding, round_shift, rounding_terms, saturate, signed
from intsim.arith.jit import KERNELS, kernel, kernel_sources
from intsim.errors import IntsimError
from intsim.kernels import forms, gemm, isa
from intsim.kernels.attention import attention
from intsim.kernels.layernorm_rows import moments
from intsim.kernels.row_table import look_up
from intsim.kernels.scaling import scaling
from intsim.kernels.window_attention import Seen, window_attention
from intsim.ops import masked_shiftmax, shiftmax
from intsim.ops.shiftmax import tables

from emitted import compiled

VARIANTS = pytest.mark.parametrize("variant", isa.available(), ids=str)
SHAPES = [(1, 1, 1), (2, 3, 5), (7, 4, 16), (6, 64, 64), (49, 65, 63), (5, 130, 129), (97, 63, 17), (1, 1025, 2)]


def sums(left: np.ndarray, right: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return left.astype(np.int64) @ right.astype(np.int64).swapaxes(1, 2) + bias


def check(left: np.ndarray, right: np.ndarray, bias: np.ndarray) -> None:
    """All kernels give the exact sums, or the requantized sums."""
    expected = sums(left, right, bias)
    assert abs(expected).max() < 2**31
    packed = gemm.pack(right, left.dtype, bias)
    out = np.empty(expected.shape, np.int32)
    gemm.packed_product(left, packed, out)
    np.testing.assert_array_equal(out, expected)
    rng = np.random.default_rng(0)
    columns = right.shape[1]
    for m, e in ((1518500249, 38), (rng.integers(-(2**31), 2**31, columns), rng.integers(30, 45, columns))):
        for mode in Rounding:
            for fmt in (I8, signed(16)):
                narrow = np.empty(expected.shape, fmt.dtype)
                gemm.scaled_product(left, packed, scaling(m, e, mode, fmt, columns), narrow)
                np.testing.assert_array_equal(narrow, saturate(round_shift(expected * m, e, mode), fmt))


@VARIANTS
@pytest.mark.parametrize("dtype", [np.int8, np.int16])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_products_are_exact(variant: isa.Isa, dtype: type, shape: tuple[int, int, int]) -> None:
    rows, depth, columns = shape
    rng = np.random.default_rng(rows)
    ends = np.iinfo(dtype)
    left = rng.integers(ends.min, ends.max + 1, (2, rows, depth)).astype(dtype)
    right = rng.integers(-128, 128, (2, columns, depth)).astype(np.int8)
    if dtype == np.int16:
        left = (left // max(depth // 400, 1)).astype(dtype)  # so that the sum stays inside i32
    with isa.using(variant):
        check(left, right, rng.integers(-(2**24), 2**24, columns).astype(np.int32))
        check(left, right[:1], np.zeros(columns, np.int32))


@VARIANTS
@pytest.mark.parametrize("a", [-128, -1, 127])
@pytest.mark.parametrize("b", [-128, 127])
def test_no_intermediate_sum_saturates(variant: isa.Isa, a: int, b: int) -> None:
    """Sums of two or four of the largest products exceed 16 bits, at which vpmaddubsw would saturate."""
    left, right = np.full((1, 13, 300), a, np.int8), np.full((1, 70, 300), b, np.int8)
    right[0, :, 1::2] = -right[0, :, 1::2] if b > 0 else b
    with isa.using(variant):
        check(left, right, np.zeros(70, np.int32))
        check((left.astype(np.int16) * 256), right[:, :, :300], np.zeros(70, np.int32))


@VARIANTS
def test_partial_sums_may_exceed_32_bits(variant: isa.Isa) -> None:
    """The sums of the unsigned form, or sums with a bias, may wrap if the result fits."""
    depth = 100_000
    left, right = np.full((1, 1, depth), 127, np.int8), np.full((1, 3, depth), 127, np.int8)
    bias = np.full(3, -(2**31), np.int32)
    with isa.using(variant):
        check(left, right, bias)


def test_wider_values_use_the_plain_product() -> None:
    left, right = np.full((1, 2, 9), 1 << 40), np.full((1, 2, 9), -3, np.int8)
    assert not gemm.packs(left, right)
    out = np.empty((1, 2, 2), np.int64)
    gemm.product(left, right, np.zeros(2, np.int32), out)
    np.testing.assert_array_equal(out, sums(left, right, np.zeros(2, np.int64)))


@VARIANTS
def test_views_of_any_strides_are_packed(variant: isa.Isa) -> None:
    joined = np.random.default_rng(0).integers(-128, 128, (40, 3, 2, 24)).astype(np.int8)
    q, k, v = (joined[:, i].swapaxes(0, 1) for i in range(3))
    with isa.using(variant):
        check(q, k, np.zeros(40, np.int32))
        check(q, v[:, :24].swapaxes(1, 2)[:, :, :24], np.zeros(24, np.int32))


@given(
    p=st.one_of(st.integers(-(2**62), 2**62), st.sampled_from([-(2**62), -1, 0, 1, 2**62])),
    e=st.integers(1, 62),
    mode=st.sampled_from(Rounding),
    near=st.integers(-2, 2),
)
def test_rounding_terms_express_every_mode_in_one_formula(p: int, e: int, mode: Rounding, near: int) -> None:
    tie = ((p >> e) << e) + (1 << (e - 1)) + near  # at a tie or near it
    for value in (p, tie if abs(tie) <= 2**62 else p):
        add, odd, neg = rounding_terms(np.int64(e), mode)
        found = (value + int(add) + ((value >> e) & odd) + (int(neg) if value < 0 else 0)) >> e
        assert found == int(round_shift(np.int64(value), e, mode))


@VARIANTS
@pytest.mark.parametrize("tokens", [1, 2, 63, 64, 65, 128, 200, 257])
@pytest.mark.parametrize("bits", [8, 16])
def test_fused_attention_equals_its_operators(variant: isa.Isa, tokens: int, bits: int) -> None:
    rng = np.random.default_rng(tokens)
    q, k, v = (rng.integers(-128, 128, (3, tokens, 16)).astype(np.int8) for _ in range(3))
    dialect = dialects.ISEGMENTER
    params = {"x0": -11, "n": 9, "b": bits, "dialect": dialect}
    constants = tables(**params, dtype=np.dtype(np.int8))
    assert constants is not None
    near, far = scaling(1 << 30, 38, "half_even", I8, tokens), scaling(1 << 30, 29 + bits, "half_even", I8, 16)
    logits = saturate(round_shift(sums(q, k, np.zeros(tokens, np.int64)) * 2**30, 38, "half_even"), I8)
    p = shiftmax.ref(logits, **params)
    context = p.astype(np.int64) @ v.astype(np.int64)
    expected = saturate(round_shift(context * 2**30, 29 + bits, "half_even"), I8)
    out = np.empty((tokens, 3, 16), np.int8)
    with isa.using(variant):
        assert attention(q, k, v, near, np.dtype(np.int8), constants, far, out.swapaxes(0, 1))
        np.testing.assert_array_equal(out.swapaxes(0, 1), expected)
        np.testing.assert_array_equal(shiftmax(logits, **params), p)


EXPONENTS = [(-11, 9), (-24, 15), (-1600, 15)]  # exponentials of two, of three and of four bytes


@VARIANTS
@pytest.mark.parametrize("tokens", [5, 64, 130, 197, 300])
@pytest.mark.parametrize(("x0", "n"), EXPONENTS, ids=str)
@pytest.mark.parametrize("logit_bits", [8, 16])
def test_attention_with_flat_and_peaked_rows(variant: isa.Isa, tokens: int, x0: int, n: int, logit_bits: int) -> None:
    """Rows of which few, many, one or all probabilities pass a byte, and tiles with several kinds of rows."""
    rng = np.random.default_rng(tokens)
    q, k, v = (rng.integers(-128, 128, (2, tokens, 32)).astype(np.int8) for _ in range(3))
    q[:, ::3] //= 64  # almost flat
    q[:, 1::7] = 0  # entirely flat
    k[:, :2] = 127
    fmt, dialect = signed(logit_bits), dialects.ISEGMENTER
    shift = 40 if logit_bits == 8 else 34
    logits = saturate(round_shift(sums(q, k, np.zeros(tokens, np.int64)) * 2**30, shift, "half_even"), fmt)
    p = shiftmax.ref(logits, x0, n, 16, dialect)
    expected = saturate(round_shift((p.astype(np.int64) @ v.astype(np.int64)) * 1518500249, 45, "half_even"), I8)
    near = scaling(1 << 30, shift, "half_even", fmt, tokens)
    far = scaling(1518500249, 45, "half_even", I8, 32)
    out = np.empty((tokens, 2, 32), np.int8)
    with isa.using(variant):
        constants = tables(x0, n, 16, dialect, np.dtype(fmt.dtype))
        if constants is None:  # of wider rows whose exponentials go on after 255
            assert logit_bits == 16
            assert -x0 * n > 255
            return
        assert attention(q, k, v, near, np.dtype(fmt.dtype), constants, far, out.swapaxes(0, 1))
    np.testing.assert_array_equal(out.swapaxes(0, 1), expected)


@VARIANTS
@pytest.mark.parametrize("tokens", [1, 9, 49, 64, 70])
@pytest.mark.parametrize(("logit_bits", "m", "e"), [(8, 1 << 30, 37), (16, 1 << 30, 37), (16, 1271487247, 30), (16, 5, 1)])
def test_attention_within_windows(variant: isa.Isa, tokens: int, logit_bits: int, m: int, e: int) -> None:
    """With a bias, logits that become smaller or larger, and windows in one region or in several, one of a single token."""
    rng = np.random.default_rng(tokens)
    windows, heads, depth = 3, 2, 8
    q, k, v = (rng.integers(-128, 128, (windows, heads, tokens, depth)).astype(np.int8) for _ in range(3))
    fmt, dialect, x0, n = signed(logit_bits), dialects.ISEGMENTER, -12, 15
    bias = rng.integers(-200, 200, (heads, tokens, tokens)).astype(np.int32)
    regions = np.zeros((windows, tokens), np.int64)
    regions[1] = np.arange(tokens) * 3 // tokens
    regions[2, 0] = 1
    logits = saturate(round_shift((q.astype(np.int64) @ k.astype(np.int64).swapaxes(-1, -2)) * m, e, "half_even"), fmt)
    biased = saturate(round_shift(logits * 1610612736, 31, "half_even") + bias, fmt)
    p = masked_shiftmax.ref(biased, regions=regions, x0=x0, n=n, b=16, dialect=dialect)
    expected = saturate(round_shift((p.astype(np.int64) @ v.astype(np.int64)) * 2**30, 45, "half_even"), I8)
    chunked = ((0, 0), (0, -tokens % 64))
    seen = Seen(np.pad(regions, chunked).astype(np.int8), np.array([True, tokens == 1, tokens == 1]), -x0)
    out = np.empty((windows, tokens, heads, depth), np.int8)
    with isa.using(variant):
        assert window_attention(
            *(q, k, v, scaling(m, e, "half_even", fmt, tokens, depth << 14), np.dtype(fmt.dtype)),
            *(scaling(1610612736, 31, "half_even", fmt, tokens), np.pad(bias, ((0, 0), *chunked))),
            *(tables(x0, n, 16, dialect, np.dtype(fmt.dtype)), seen, scaling(1 << 30, 45, "half_even", I8, depth)),
            out.swapaxes(1, 2),
        )
    np.testing.assert_array_equal(out.swapaxes(1, 2), expected)


def test_rounding_to_even_is_rounding_up_where_no_product_can_tie() -> None:
    """A tie needs a value that is a multiple of 2**(e - 1) divided by the lowest bit of m."""
    assert scaling(3, 33, Rounding.HALF_EVEN, I8, 4, 2**32 - 1).odd == 0  # values are i32
    assert scaling(1 << 30, 38, Rounding.HALF_EVEN, I8, 4, 127).odd == 0
    assert scaling(1 << 30, 38, Rounding.HALF_EVEN, I8, 4, 128).odd == 1
    assert scaling(np.array([3, 1 << 30]), np.array([38, 38]), Rounding.HALF_EVEN, I8, 2, 1000).odd == 1


@VARIANTS
@pytest.mark.parametrize("rounding", [Rounding.HALF_UP, Rounding.FLOOR, Rounding.HALF_EVEN])
def test_shifts_at_the_ends_of_what_high_words_allow(variant: isa.Isa, rounding: Rounding) -> None:
    """Sums at the ends of i32, through the bias; shifts around 32 and 62, arms around 18 and 48."""
    ends = [-(2**31), -(2**31) + 1, -(2**30), -(2**16) - 1, -1, 0, 1, 2**15, 2**30, 2**31 - 1]
    bias = np.array((ends * 14)[:130])
    left, right = np.zeros((1, 13, 8), np.int8), np.zeros((1, 130, 8), np.int8)
    left[0, :, 0], right[0, ::2, 0] = np.arange(13) - 6, 1
    total = np.clip(sums(left, right, bias), -(2**31), 2**31 - 1)
    bias = bias - (sums(left, right, bias) - total).max(axis=(0, 1)) - (sums(left, right, bias) - total).min(axis=(0, 1))
    total = sums(left, right, bias)
    assert total.min() >= -(2**31)
    assert total.max() < 2**31
    wide, other = (
        signed(16),
        np.random.default_rng(1).choice([-32768, -32767, -1, 0, 1, 32767], (1, 13, 130)).astype(np.int16),
    )
    with isa.using(variant):
        packed = gemm.pack(right, left.dtype, bias)
        for m in (1 << 30, (1 << 31) - 1, -(1 << 30) - 1):
            for e in (32, 33, 34, 46, 61, 62):
                out, constants = np.empty(total.shape, np.int16), scaling(m, e, rounding, wide, 130)
                gemm.scaled_product(left, packed, constants, out)
                scaled = saturate(round_shift(total * m, e, rounding), wide)
                np.testing.assert_array_equal(out, scaled, err_msg=f"{m} {e}")
            for arm in (17, 18, 30, 31, 47, 48, 49):
                arms = tuple(scaling(m, e, rounding, wide, 130, 1 << 15) for e in (arm, 30))
                gemm.added_product(left, packed, scaling(m, 46, rounding, wide, 130), arms, other, out)
                scaled = saturate(round_shift(total * m, 46, rounding), wide)
                parts = [round_shift(x * m, e, rounding) for x, e in ((scaled, arm), (other.astype(np.int64), 30))]
                np.testing.assert_array_equal(out, saturate(sum(parts), wide), err_msg=f"{m} {arm}")


@VARIANTS
@pytest.mark.parametrize("rounding", [Rounding.HALF_UP, Rounding.FLOOR, Rounding.HALF_EVEN, Rounding.HALF_AWAY])
def test_results_that_fit_because_sums_are_small(variant: isa.Isa, rounding: Rounding) -> None:
    """Shifts from 1 on, and results around the ends of i32: whether these can be reached depends on the largest sum."""
    left, right = np.zeros((1, 13, 8), np.int8), np.zeros((1, 130, 8), np.int8)
    left[0, :, 0], right[0, :, 0] = np.arange(13) - 6, 1
    for reach in (14, 133, 4099, 1 << 20):
        bias = np.resize([6 - reach, reach - 6, 0, 1 - reach // 2], 130)
        total = sums(left, right, bias)
        assert abs(total).max() == reach
        with isa.using(variant):
            packed = gemm.pack(right, left.dtype, bias)
            for m in (1, 3, 1 << 15, 1 << 30, (1 << 31) - 1, -(1 << 31)):
                for e in (1, 2, 9, 15, 20, 28, 31, 32, 33, 45, 62):
                    out = np.empty(total.shape, np.int16)
                    gemm.scaled_product(left, packed, scaling(m, e, rounding, signed(16), 130, reach), out)
                    expected = saturate(round_shift(total * m, e, rounding), signed(16))
                    np.testing.assert_array_equal(out, expected, err_msg=f"{reach} {m} {e}")


@VARIANTS
@pytest.mark.parametrize("kinds", [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1), (0, 1, 1)], ids=str)
def test_each_scaling_of_a_residual_sum_has_its_own_ties(variant: isa.Isa, kinds: tuple[int, int, int]) -> None:
    """Multipliers of which products can tie (1), or cannot (0), in any combination."""
    rng = np.random.default_rng(sum(kinds))
    left = rng.integers(-128, 128, (1, 13, 40)).astype(np.int8)
    right = rng.integers(-128, 128, (1, 70, 40)).astype(np.int8)
    other = rng.integers(-9000, 9000, (1, 13, 70)).astype(np.int16)
    first, *arms = ((1 << 30, 36 - 6 * arm) if kind else (1518500249, 37 - 6 * arm) for arm, kind in enumerate(kinds))
    wide, total = signed(16), sums(left, right, np.zeros(70, np.int64))
    scaled = saturate(round_shift(total * first[0], first[1], "half_even"), wide)
    parts = [round_shift(x * m, e, "half_even") for x, (m, e) in zip((scaled, other.astype(np.int64)), arms, strict=True)]
    constants = [scaling(*arm, "half_even", wide, 70, 1 << 15) for arm in arms]
    assert [c.odd for c in constants] == list(kinds[1:])
    out = np.empty(other.shape, np.int16)
    with isa.using(variant):
        packed = gemm.pack(right, left.dtype)
        reach = int(abs(total).max())
        gemm.added_product(left, packed, scaling(*first, "half_even", wide, 70, reach), tuple(constants), other, out)
    np.testing.assert_array_equal(out, saturate(sum(parts), wide))


@numba.njit(error_model="numpy")
def row_moments(form: forms.Form, x: np.ndarray) -> tuple[int, int]:
    return moments(form, x)


@VARIANTS
@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_sums_and_sums_of_squares(variant: isa.Isa, dtype: type) -> None:
    rng, ends = np.random.default_rng(1), np.iinfo(dtype)
    with isa.using(variant):
        form = forms.form_for(np.dtype(np.int8))
        for n in (1, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65, 96, 1000, 1 << 16):
            for x in (np.full(n, ends.min), np.full(n, ends.max), rng.integers(ends.min, ends.max + 1, n)):
                expected = sum(map(int, x)), sum(int(v) ** 2 for v in x)
                assert row_moments(form, x.astype(dtype)) == expected, n


@VARIANTS
@settings(deadline=None)
@given(columns=st.integers(1, 300), seed=st.integers(0, 2**32 - 1))
def test_rows_are_looked_up(variant: isa.Isa, columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(-128, 128, (3, columns)).astype(np.int8)
    table = rng.integers(-128, 128, (256, 256)).astype(np.int8)
    out = np.empty_like(x)
    with isa.using(variant):
        look_up(x, table, out)
    top = x.astype(int).max(axis=1, keepdims=True)
    np.testing.assert_array_equal(out, table[top + 128, 127 - x.astype(int)])


PROCESSORS = {
    forms.VnniBytes: ("x86_64-linux-gnu", "+avx512f,+avx512bw,+avx512vnni", "vpdpbusd"),
    forms.VnniWords: ("x86_64-linux-gnu", "+avx512f,+avx512bw,+avx512vnni", "vpdpwssd"),
    forms.VnniWeights: ("x86_64-linux-gnu", "+avx512f,+avx512bw,+avx512vnni", "vpdpbusd"),
    forms.AvxVnniInt8Bytes: ("x86_64-linux-gnu", "+avx2,+avxvnni,+avxvnniint8", "vpdpbssd"),
    forms.AvxVnniWeights: ("x86_64-linux-gnu", "+avx2,+avxvnni", "vpdpbusd"),
    forms.AvxVnniBytes: ("x86_64-linux-gnu", "+avx2,+avxvnni", "vpdpbusd"),
    forms.AvxVnniWords: ("x86_64-linux-gnu", "+avx2,+avxvnni", "vpdpwssd"),
    forms.Avx2Words: ("x86_64-linux-gnu", "+avx2", "vpmaddwd"),
    forms.DotprodBytes: ("aarch64-linux-gnu", "+neon,+dotprod", "sdot"),
    forms.I8mmBytes: ("aarch64-linux-gnu", "+neon,+dotprod,+i8mm", "smmla"),
    forms.I8mmWeights: ("aarch64-linux-gnu", "+neon,+dotprod,+i8mm", "usdot"),
}
SINCE = {forms.AvxVnniInt8Bytes: 16}  # the release of LLVM that has its instruction


@pytest.mark.parametrize("form", PROCESSORS, ids=lambda form: form.__name__)
def test_a_tile_uses_its_instruction(form: type[forms.Form]) -> None:
    """Compiled for its processor, a tile has one product per register of sums, and none that saturates."""
    triple, features, instruction = PROCESSORS[form]
    if llvm_version_info[0] < SINCE.get(form, 0):
        pytest.skip(f"LLVM {llvm_version_info[0]} has no {instruction}")
    try:
        target, module = compiled(form, triple, features)
    except RuntimeError as error:
        pytest.skip(f"this LLVM has no {triple}: {error}")
    assembly = target.emit_assembly(module)
    instructions = [line.split()[0 if "{vex}" not in line else 1] for line in assembly.splitlines() if line.startswith("\t")]
    rows, columns, lanes, *_ = form.SIZES
    assert instructions.count(instruction) == rows * columns // lanes
    assert not {"vpmaddubsw", "vpdpbusds", "vpdpwssds"} & set(instructions)


def test_every_form_of_a_variant_is_compiled_somewhere() -> None:
    used = {*forms.BYTES.values(), *forms.WORDS.values(), *forms.WEIGHTS.values()}
    assert used == {*PROCESSORS, forms.PlainWords, forms.AmxBytes, forms.AmxWeights}  # the last two in test_amx.py


def test_a_generator_cannot_be_a_kernel() -> None:
    """Numba cannot resume a generator that it loaded from the cache."""

    def counting(stop: int) -> Iterator[int]:
        yield from range(stop)

    with pytest.raises(TypeError, match="counting is a generator"):
        kernel(counting)


PACKAGE = Path(intsim.__file__).parent
COMPILED = re.compile(r"^@(kernel|overload|intrinsic)\b", re.MULTILINE)  # decorators of code that Numba compiles


def compiled_modules() -> list[str]:
    """The modules that define compiled code."""
    paths = (path for path in sorted(PACKAGE.rglob("*.py")) if COMPILED.search(path.read_text(encoding="utf-8")))
    return [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in paths]


def test_the_cache_key_covers_every_module_that_kernels_import() -> None:
    """Compiled code can contain constants of any module loaded with it; a change there must invalidate the cache."""
    code = """if True:
        import sys
        from importlib import import_module
        for module in sys.argv[1:]:
            import_module(module)
        # intsim/__init__.py is exempt: it defines lazy re-exports and, from _version.py, the version; no kernel uses them.
        names = [name for name in sys.modules if name.startswith("intsim.") and name != "intsim._version"]
        print(*(sys.modules[name].__file__ for name in names), sep="\\n")
    """
    command = [sys.executable, "-c", code, "intsim.ops", *compiled_modules()]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[:-1]
    assert len(loaded) > 30
    covered = {path.resolve() for path in kernel_sources()}
    assert not [path for path in loaded if Path(path).resolve() not in covered]


@cache
def imports(module: str) -> dict[str, tuple[str, str]]:
    """The names that a module imports with ``from .. import ..``, each with the module and the name it has there."""
    tree = ast.parse(Path(str(sys.modules[module].__file__)).read_text(encoding="utf-8"))
    return {
        alias.asname or alias.name: (
            resolve_name("." * node.level + (node.module or ""), sys.modules[module].__package__),
            alias.name,
        )
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def origins(module: str, name: str) -> Iterator[str]:
    """The modules of intsim through which a module gets a global name, down to the one that defines it."""
    if module.partition(".")[0] != "intsim":
        return
    yield module
    if name in imports(module):
        source, imported = imports(module)[name]
        if f"{source}.{imported}" in sys.modules:
            yield f"{source}.{imported}"
        else:
            yield from origins(source, imported)


def names_of(code: CodeType) -> set[str]:
    """The global names and attributes that code uses, with those of the functions inside it."""
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*map(names_of, inner))


def test_the_cache_key_covers_the_origin_of_every_name_in_a_kernel() -> None:
    modules = compiled_modules()
    for module in modules:
        import_module(module)
    used: dict[str, str] = {}
    for each in KERNELS:
        function = getattr(each, "py_func", each)  # with the compiler disabled, a kernel is the function itself
        assert function.__module__ in modules
        for name in names_of(function.__code__) & function.__globals__.keys():
            for module in origins(function.__module__, name):
                used[module] = f"{function.__module__}.{function.__name__} uses {name}"
    assert {"intsim.arith.compiled", "intsim.arith.contracts", "intsim.kernels.tile", "intsim.ops.shiftmax"} <= used.keys()
    covered = {path.resolve() for path in kernel_sources()}
    assert not {m: use for m, use in used.items() if Path(str(sys.modules[m].__file__)).resolve() not in covered}


def test_the_generic_variant_is_always_there() -> None:
    assert isa.available()[-1] is isa.Isa.GENERIC


def test_a_variant_this_machine_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(isa.VARIABLE, "sse9")
    with pytest.raises(IntsimError, match=r"INTSIM_ISA=sse9: this machine supports .*generic"):
        isa.chosen()


def test_only_generic_is_available_if_numba_compiles_for_another_processor() -> None:
    code = "from intsim.kernels import isa; print(*isa.available())"
    environment = {**os.environ, "NUMBA_CPU_NAME": "generic"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["generic"]


@VARIANTS
def test_a_run_forced_to_a_variant_gives_the_shipped_golden_file(variant: isa.Isa, tmp_path: Path) -> None:
    """The variant is forced by the environment variable, in a new process of the command line."""
    code = "from intsim.cli.main import main; main(prog_name='intsim')"
    environment = {**os.environ, isa.VARIABLE: str(variant)}
    command = [sys.executable, "-c", code, "demo", "-o", str(tmp_path)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "bit-exact" in result.stdout
