"""The situations of public reports, with inputs of our own; docs/reports.md lists them by repository and number."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from intsim.arith import signed
from intsim.debugging.core import Diff, diff
from intsim.engine.graph import Graph
from intsim.errors import FileError

ROOT = Path(__file__).parent.parent
NORM, SOFTMAX = "encoder.blocks.0.norm1.requant", "encoder.blocks.0.attn.softmax"  # i8 [16, 32], i16 [2, 16, 16]
CONTEXT = "encoder.blocks.0.attn.context.requant"  # i8, one multiplier


def golden(path: Path, name: str) -> np.ndarray:
    with h5py.File(path) as file:
        return file[name][()]


def digits(values: np.ndarray) -> list[str]:
    """Hexadecimal words of the elements, with all of their digits."""
    bits = 8 * values.itemsize
    return [f"{int(v) & (1 << bits) - 1:0{bits // 4}x}" for v in values.reshape(-1)]


@pytest.fixture
def compared(golden_file: Path, tmp_path: Path) -> Callable[..., Diff]:
    """The comparison of one raw file of a node."""

    def compare(node: str, text: str | bytes, keys: str = "", suffix: str = "hex") -> Diff:
        path = tmp_path / f"t.{suffix}"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        (tmp_path / "map.toml").write_text(f'[[tensor]]\ndevice = "{path.name}"\nnode = "{node}"\n{keys}')
        return diff(golden_file, tmp_path)

    return compare


# --- files of simulators and tool chains ------------------------------------------------------------------------------

TEXTS: dict[str, Callable[[list[str]], str]] = {
    "verilator/verilator#1411": lambda w: "# made by a tool\n" + "\n".join(f"{word} # comment" for word in w),
    "Arlet/verilog-65C02-microcode#2": lambda w: "@ 00\n" + "\n".join(f"{word[0]}_{word[1:]}" for word in w),
    "verilator/verilator#5019": lambda w: "\n".join(w),  # no newline after the last word
    "steveicarus/iverilog#907": lambda w: "\n".join(
        f"// 0x{i:08x}\n{word}" if i % 16 == 0 else word for i, word in enumerate(w)
    ),
    "verilator/verilator#3205": lambda w: (
        f"@{len(w) // 2:x}\n{' '.join(w[len(w) // 2 :])}\n@0\n{' '.join(w[: len(w) // 2])}"
    ),
    "rafaelcalcada/rvx#35": lambda w: "@00000000\r\n" + "\r\n".join(" ".join(w[i : i + 4]) for i in range(0, len(w), 4)),
}


@pytest.mark.parametrize("report", TEXTS)
@pytest.mark.parametrize("node", [NORM, SOFTMAX])
def test_words_of_tools(report: str, node: str, compared: Callable[..., Diff], golden_file: Path) -> None:
    assert compared(node, TEXTS[report](digits(golden(golden_file, node)))).identical


@pytest.mark.parametrize("endian", ["little", "big"])
def test_bytes_of_objcopy(endian: str, compared: Callable[..., Diff], golden_file: Path) -> None:
    """rafaelcalcada/rvx#35, openhwgroup/cvw#412: words of one byte, in sections."""
    octets = golden(golden_file, SOFTMAX).astype("<i2" if endian == "little" else ">i2").tobytes()
    rows = [octets[i : i + 16].hex(" ") for i in range(0, len(octets), 16)]
    result = compared(SOFTMAX, "@00000000\n" + "\n".join(rows).upper() + "\n", f'endian = "{endian}"')
    assert result.identical
    assert "every word is a byte" in result.conversions[0]
    sparse = "\n".join(f"@{0x1000 * i:08x}\n{row}" for i, row in enumerate(rows))
    assert "nothing is written to" in compared(SOFTMAX, sparse, f'endian = "{endian}"').unusable[0].remark


def test_words_without_blanks_are_one_beat(compared: Callable[..., Diff], golden_file: Path) -> None:
    """steveicarus/iverilog#155: one long word is one beat; which of its ends is the first element, the map says."""
    word = "".join(digits(golden(golden_file, NORM)))
    found = compared(NORM, word).node(NORM)
    assert found is not None
    assert found.layout is not None
    assert found.layout.name == "reverse-elements"
    assert compared(NORM, word, 'endian = "big"').identical


@pytest.mark.parametrize(("bits", "shown"), [(17, "cpc/openasip#168"), (62, "nickg/nvc#393")])
def test_widths_that_are_no_whole_digits(bits: int, shown: str, tmp_path: Path) -> None:
    """VHDL writes 17 bits as five digits and 62 as sixteen."""
    from intsim.debugging.dump_map import DumpMap
    from intsim.debugging.raw_files import open_raw

    values = [0, 1, -1, -(1 << bits - 1), (1 << bits - 1) - 1]
    (tmp_path / "t.hex").write_text("\n".join(f"{v & (1 << bits) - 1:0{-(-bits // 4)}x}" for v in values))
    (tmp_path / "map.toml").write_text(f'[[tensor]]\ndevice = "t.hex"\nnode = "x"\nbits = {bits}\nlanes = 1\n')
    layout = DumpMap.load(tmp_path / "map.toml").entries[0].layout
    assert open_raw(tmp_path / "t.hex", layout, (5,), signed(min(bits, 64))).load()[()].tolist() == values


def test_a_binary_file_with_a_header_is_refused(compared: Callable[..., Diff], golden_file: Path) -> None:
    """ghdl/ghdl#1758: an array type writes its bounds before the numbers."""
    numbers = golden(golden_file, NORM).astype("<f8").tobytes()
    assert compared(NORM, numbers, 'dtype = "float64"', "bin").identical
    refused = compared(NORM, bytes(8) + numbers, 'dtype = "float64"', "bin").unusable[0]
    assert "it has 4104 bytes; 512 elements of float64 are 4096" in refused.remark


# --- other orders -----------------------------------------------------------------------------------------------------

ORDERS: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray], str]] = {
    "lowRISC/opentitan#9516": (NORM, lambda x: x.reshape(-1, 4)[:, ::-1], "reverse-beats"),
    "lowRISC/opentitan#3604": (NORM, lambda x: x.reshape(-1, 16, 4)[:, ::-1], "reverse-words:4/64"),
    "enjoy-digital/litedram#251": (SOFTMAX, lambda x: x.reshape(-1, 2)[:, ::-1], "reverse-beats:2"),
    "cocotb/cocotb-bus#79": (NORM, lambda x: x.reshape(-1, 8)[:, ::-1], "reverse-beats:8"),
    "rogersce/cnpy#7": (SOFTMAX, lambda x: x.transpose().reshape(-1), "axes [2, 1, 0]"),
    "OpenChemistry/tomviz#1809": (SOFTMAX, lambda x: np.moveaxis(x, 0, -1), "axes [1, 2, 0]"),
    "WireCell/wire-cell-toolkit#115": (NORM, lambda x: x.transpose().reshape(-1), "transpose"),
    "OpenVADL/openvadl#751": (SOFTMAX, lambda x: x.byteswap(), "byte-swap"),
}


@pytest.mark.parametrize("report", ORDERS)
def test_an_order_is_named(report: str, golden_file: Path, tmp_path: Path) -> None:
    node, store, name = ORDERS[report]
    right = golden(golden_file, node)
    stored = np.ascontiguousarray(store(right))
    np.savez(tmp_path / "d.npz", **{node: stored.reshape(right.shape) if stored.size == right.size else stored})
    found = diff(golden_file, tmp_path / "d.npz").node(node)
    assert found is not None
    assert found.layout is not None
    assert found.layout.name == name


# --- other arithmetic -------------------------------------------------------------------------------------------------


def half_away(x: np.ndarray) -> np.ndarray:
    return np.sign(x) * np.floor(np.abs(x) + 0.5)


def shifted(graph: Graph, acc: np.ndarray, rounding: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """acc * m, and a right shift by e that rounds in its own way, of CONTEXT."""
    node = graph.by_name[CONTEXT]
    m, e = (np.asarray(node.params[key], np.int64) for key in ("m", "e"))
    return np.clip(rounding(acc * m, e), -128, 127)


def doubled(product: np.ndarray, e: np.ndarray) -> np.ndarray:
    """gemmlowp: the high half rounded, then the rest rounded with ties away from zero."""
    high, rest = (product + (1 << 30)) >> 31, np.maximum(e - 31, 0)
    return np.where(high < 0, -((-high + (1 << rest >> 1)) >> rest), (high + (1 << rest >> 1)) >> rest)


ROUNDINGS: dict[str, tuple[Callable[[Graph, np.ndarray, float, float], np.ndarray], str]] = {
    "es-ude/elastic-ai.creator#155": (lambda g, a, s, t: shifted(g, a, lambda p, e: p >> e), "requant_rounding=floor"),
    "pulp-platform/quantlib#11": (
        lambda g, a, s, t: np.clip(np.floor(a.astype(np.float32) * np.float32(s) / np.float32(t)), -128, 127),
        "requant=float32:divided:floor",
    ),
    "apache/tvm#15929": (lambda g, a, s, t: shifted(g, a, doubled), "rounding=gemmlowp"),
    "tensorflow/tensorflow#103028": (lambda g, a, s, t: shifted(g, a, doubled), "rounding=gemmlowp"),
    "tenstorrent/tt-metal#56525": (
        lambda g, a, s, t: np.clip(
            np.floor(a.astype(np.float32) * np.float32(s) * (np.float32(1) / np.float32(t)) + np.float32(0.5)), -128, 127
        ),
        "requant=float32:reciprocal:half_up",
    ),
    "Oneflow-Inc/oneflow#5038": (
        lambda g, a, s, t: np.clip(half_away(a.astype(np.float32) * np.float32(s) / np.float32(t)), -128, 127),
        "requant=float32:divided:half_away",
    ),
    "Oneflow-Inc/oneflow#5038, its bounds": (
        lambda g, a, s, t: np.maximum(shifted(g, a, lambda p, e: np.rint(p / 2.0**e).astype(np.int64)), -127),
        "saturation=symmetric",
    ),
}


@pytest.mark.parametrize("report", ROUNDINGS)
def test_an_arithmetic_is_named(report: str, graph: Graph, golden_file: Path, tmp_path: Path) -> None:
    """On accumulators that are ties, negative, and past both ends, made for this node."""
    device, rule = ROUNDINGS[report]
    node = graph.by_name[CONTEXT]
    source = node.inputs[0]
    shape, scale, out = graph.tensors[source].shape, graph.scales[source], graph.scales[CONTEXT]
    assert isinstance(scale, float)
    assert isinstance(out, float)
    factor = int(np.ravel(node.params["m"])[0]) / 2.0 ** int(np.ravel(node.params["e"])[0])
    near = np.concatenate([np.rint((np.arange(-140, 140) + 0.5) / factor) + k for k in (-1, 0, 1)])
    acc = np.random.default_rng(1).permutation(near)[: np.prod(shape)].reshape(shape).astype(np.int64)
    values = device(graph, acc, scale, out).astype(np.int8)
    np.savez(tmp_path / "d.npz", **{source: acc.astype(np.int32), CONTEXT: values})
    result = diff(golden_file, tmp_path / "d.npz", graph, isolated=True)
    explanation = next(e for e in result.explanations if e.tensor == CONTEXT)
    assert rule in [fit.name for fit in explanation.fits], explanation.sentence()
    assert explanation.fits[0].share == 1


def test_every_report_is_listed() -> None:
    text = (ROOT / "docs" / "reports.md").read_text(encoding="utf-8")
    tried = {*TEXTS, *ORDERS, *(name.partition(",")[0] for name in ROUNDINGS)}
    source = Path(__file__).read_text(encoding="utf-8")
    tried |= set(re.findall(r"[\w.-]+/[\w.-]+#\d+", source))
    listed = set(re.findall(r"^\| ([\w.-]+/[\w.-]+#\d+)", text, re.MULTILINE))
    assert tried == listed
    assert len(listed) >= 20


def test_a_file_that_is_none_of_ours_is_refused(compared: Callable[..., Diff]) -> None:
    with pytest.raises(FileError):
        diff(ROOT / "README.md", ROOT / "README.md")
