"""examples/rtl: simulated units equal the reference, for rows of any length, with stalls, resets and faulty devices."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from intsim import ops

RTL = Path(__file__).resolve().parent.parent / "examples" / "rtl"
LANES = 8
VECTORS = {"m": 32, "e": 8, "bias": 32}  # parameters that may be per channel, and their bits

pytest.importorskip("cocotb", reason="cocotb is not installed")
if shutil.which("iverilog") is None:
    pytest.skip("iverilog is not installed", allow_module_level=True)

sys.path.insert(0, str(RTL))
from device import KINDS, WIDTHS, Device, simulate  # noqa: E402

Params = dict[str, Any]
Simulated = Callable[..., NDArray]


def rows(width: int, length: int, seed: int) -> NDArray:
    """Random rows, then edge cases: all equal, all negative, the ends of the format, few large elements."""
    rng = np.random.default_rng(seed)
    lo, hi = -(2 ** (width - 1)), 2 ** (width - 1) - 1
    rare = np.where(rng.random((2, length)) < 0.1, hi, 0)
    edges = [np.full(length, value) for value in (lo, -1, 0, 1, hi)]
    ends = [np.where(np.arange(length) % 2 == phase, lo, hi) for phase in (0, 1)]
    return np.concatenate(
        [
            rng.integers(lo, hi, (6, length), endpoint=True),
            rng.integers(-20, 21, (3, length)),
            rng.integers(lo, 0, (3, length)),
            *(row[None] for row in (*edges, *ends)),
            rare,
        ]
    )


def beats(x: NDArray, width: int, padding: NDArray | None = None) -> list[str]:
    """Rows as beats of eight elements in hexadecimal, padded with `padding` or zeros."""
    count = -(-x.shape[-1] // LANES) * LANES
    whole = np.zeros((len(x), count), np.int64) if padding is None else padding[:, :count].copy()
    whole[:, : x.shape[-1]] = x
    digits, mask = width // 4, (1 << width) - 1
    return ["".join(f"{int(v) & mask:0{digits}x}" for v in beat[::-1]) for beat in whole.reshape(-1, LANES)]


def vector(name: str, bits: int, values: NDArray) -> str:
    """A parameter that may be per channel, as `intsim export --package sv` writes it."""
    digits = ", ".join(f"{bits}'h{int(v) & ((1 << bits) - 1):0{bits // 4}x}" for v in values[::-1])
    return (
        f"localparam int {name}_COUNT = {len(values)};\nlocalparam int {name}_BITS = {bits};\n"
        f"localparam logic [{bits * len(values) - 1}:0] {name} = {{{digits}}};\n"
    )


def package(unit: str, params: Params, width: int, row: int, folder: Path) -> Path:
    """A package of constants in the form of `intsim export --package sv`."""
    text = f'package node_pkg;\nlocalparam OP = "{unit}";\nlocalparam DIALECT = "rtl";\n'
    text += f"localparam int IN0_BITS = {WIDTHS[unit]};\n"
    text += f"localparam int OUT_BITS = {width};\nlocalparam int OUT_ROW = {row};\n"
    for key, value in params.items():
        if key in VECTORS:
            text += vector(key.upper(), VECTORS[key], np.atleast_1d(value))
        else:
            text += f"localparam int {key.upper()} = {value};\n"
    path = folder / "node_pkg.sv"
    path.write_text(f"{text}endpackage\n")
    return path


@pytest.fixture
def simulated(tmp_path: Path) -> Simulated:
    """Runs rows through a unit with and without stalls; checks that both outputs are equal and padding is zero."""

    def run(unit: str, x: NDArray, params: Params, **faults: Any) -> NDArray:
        width = stored_width(unit, params)
        length = x.shape[-1]
        device = Device(unit, package(unit, params, width, length, tmp_path), **faults)
        noise = np.random.default_rng(1).integers(0, 2 ** WIDTHS[unit], (len(x), length + LANES))
        (tmp_path / "beats.hex").write_text("\n".join(beats(x, WIDTHS[unit], noise)))
        simulate(device, tmp_path / "beats.hex", tmp_path / "dump", "out.hex", tmp_path / "work")
        dumps = [(tmp_path / "dump" / kind / "out.hex").read_text().split() for kind in KINDS]
        assert dumps[0] == dumps[1], "stalls change the result"
        digits = width // 4
        flat = [int(line[i : i + digits], 16) for line in dumps[0] for i in range(len(line) - digits, -1, -digits)]
        whole = np.array(flat, np.int64).reshape(len(x), -1)
        assert not whole[:, length:].any(), "the padding of the output is not zero"
        out: NDArray = whole[:, :length]
        return np.where(out >> (width - 1), out - (1 << width), out)

    return run


def stored_width(unit: str, params: Params) -> int:
    """Bits per output element: those of the format that stores it."""
    return next(bits for bits in (8, 16, 32) if bits >= params["b"]) if unit in ("requant", "shiftmax") else 32


def reference(unit: str, x: NDArray, params: Params) -> NDArray:
    """The expected output of the unit."""
    out: NDArray = getattr(ops, unit).ref(x, **params, dialect="rtl").astype(np.int64)
    return out


def equal(out: NDArray, expected: NDArray, unit: str) -> None:
    """Fail with the first difference unless both are equal."""
    assert out.shape == expected.shape
    for index in np.argwhere(out != expected)[:1]:
        at = tuple(index.tolist())
        pytest.fail(f"{unit}: out[{', '.join(map(str, at))}] = {out[at]}, but should be {expected[at]}")


def matches_reference(simulated: Simulated, unit: str, x: NDArray, params: Params) -> None:
    """Fail unless the simulated unit equals the reference."""
    equal(simulated(unit, x, params), reference(unit, x, params), unit)


def multipliers(length: int, seed: int) -> Params:
    """One multiplier per channel, of both signs, and shifts from 1 to 62, including pairs that give ties."""
    rng = np.random.default_rng(seed)
    m = rng.integers(-(2**31), 2**31, length).astype(np.int32)
    m[::3] = 2**30
    e = rng.choice([1, 2, 30, 31, 37, 40, 53, 61, 62], length).astype(np.uint8)
    return {"m": m, "e": e}


@pytest.mark.parametrize(("length", "b"), [(1, 8), (7, 16), (8, 8), (9, 13), (20, 16)])
def test_requant_per_channel(simulated: Simulated, length: int, b: int) -> None:
    params = {"b": b, **multipliers(length, seed=b)}
    x = np.concatenate([rows(32, length, seed=length), rows(20, length, seed=2)])
    matches_reference(simulated, "requant", x, params)


@pytest.mark.parametrize(("m", "e"), [(2**30, 37), (-(2**30), 37), (-(2**31), 62), (2**31 - 1, 1), (1144932055, 40)])
def test_requant_with_one_multiplier(simulated: Simulated, m: int, e: int) -> None:
    x = np.concatenate([rows(32, 9, seed=e), np.arange(-36 * 64, 36 * 64, 64).reshape(-1, 9)])  # ties of 2**-7
    matches_reference(simulated, "requant", x, {"m": m, "e": e, "b": 8})


SOFTMAX = [(1, -1, 15, 16), (7, -11, 15, 16), (8, -3, 4, 8), (9, -300, 10, 13), (20, -(2**20), 10, 16), (20, -2047, 19, 16)]


@pytest.mark.parametrize(("length", "x0", "n", "b"), SOFTMAX)
def test_shiftmax(simulated: Simulated, length: int, x0: int, n: int, b: int) -> None:
    """In the last two cases, sums exceed 2**31 - 1. Rows of 8, 10 and 16 bits: differences within, around and beyond 255."""
    x = np.concatenate([rows(bits, length, seed=length) for bits in (8, 10, 16)])
    matches_reference(simulated, "shiftmax", x, {"x0": x0, "n": n, "b": b})


GELU = [
    (1, -1, 23, 8, 128),
    (7, -11, 23, 8, 58),
    (8, -40, 5, 8, 0),
    (9, -(2**20), 10, 16, 20),
    (20, -1, 2, 8, 127),
    (9, -700, 21, 12, 2**31 - 1),
]


@pytest.mark.parametrize(("length", "x0", "n", "b", "lam"), GELU)
def test_lambda_shiftgelu(simulated: Simulated, length: int, x0: int, n: int, b: int, lam: int) -> None:
    """Includes rows of negative elements only, for which the exponential at -M saturates."""
    params = {"x0": x0, "n": n, "b": b, "lam": lam}
    matches_reference(simulated, "lambda_shiftgelu", rows(8, length, seed=length), params)


@pytest.mark.parametrize("length", [1, 7, 8, 9, 20, 33])
def test_layernorm(simulated: Simulated, length: int) -> None:
    bias = np.random.default_rng(length).integers(-(2**30), 2**30, length, endpoint=True).astype(np.int32)
    x = np.concatenate([rows(16, length, seed=length), rows(4, length, seed=1)])
    matches_reference(simulated, "layernorm", x, {"bias": bias})


def test_a_requant_that_truncates_is_caught(simulated: Simulated) -> None:
    x, params = np.arange(-36 * 64, 36 * 64, 64).reshape(-1, 9), {"m": 2**30, "e": 37, "b": 8}
    out, expected = simulated("requant", x, params, replaced=("round_shift.sv",)), reference("requant", x, params)
    truncated = np.clip(np.trunc(x / 128), -128, 127).astype(int)
    assert (truncated != expected).any()
    np.testing.assert_array_equal(out, truncated)


def test_a_sum_one_bit_short_is_caught(simulated: Simulated) -> None:
    """wrong/short_sum.sv has 27 bits; rows of 200 equal elements sum to 200 * 24 * 2**15, which needs 28."""
    params = {"x0": -24, "n": 15, "b": 16}
    x = np.stack([np.zeros(200, np.int64), np.where(np.arange(200) < 150, -128, 0)])
    out, expected = simulated("shiftmax", x, params, extra_tops=("short_sum",)), reference("shiftmax", x, params)
    assert (out[0] != expected[0]).all()  # wraps
    np.testing.assert_array_equal(out[1], expected[1])  # fits


def test_exported_packages_have_all_constants(cli: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    """`intsim export --package sv` declares every constant that the node wrappers use."""
    code, _, err = cli("export model.h5 --package sv -o packages")
    assert (code, err) == (0, "")
    nodes = {"requant": "norm1_requant", "shiftmax": "attn_softmax", "layernorm": "norm1", "lambda_shiftgelu": "mlp_act"}
    assert set(nodes) == set(WIDTHS)
    for unit, suffix in nodes.items():
        text = (tmp_path / "packages" / f"encoder_blocks_0_{suffix}_pkg.sv").read_text()
        declared = {line.split("=")[0].split()[-1] for line in text.splitlines() if "localparam" in line}
        node = (RTL / "nodes" / f"{unit}_node.sv").read_text()
        used = {word.split("::")[1].split(")")[0].split("-")[0].split()[0] for word in node.split("`NODE_PKG")[1:]}
        assert {"OP", "DIALECT", "OUT_ROW"} <= used
        assert used <= declared, f"{unit}_node.sv uses {sorted(used - declared)}"
