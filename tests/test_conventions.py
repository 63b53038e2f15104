"""A right device with one convention of its own is one line, and with a real fault besides it is that one culprit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from intsim.arith import I8
from intsim.debugging.conventions import convention
from intsim.debugging.core import diff
from intsim.debugging.inject import inject
from intsim.engine.graph import Graph
from intsim.rules import named
from intsim.storage.golden_file import open_golden

Cli = Callable[..., tuple[int, str, str]]
Values = dict[str, np.ndarray]
NORM, SOFTMAX = "encoder.blocks.1.norm1.requant", "encoder.blocks.0.attn.softmax"
TOKENS = 16  # of the tiny network, with the class token


def swapped(values: Values) -> Values:
    return {name: x.byteswap() if x.dtype == np.int16 else x for name, x in values.items()}


def offset(values: Values) -> Values:
    return {name: (x.view(np.uint8) ^ 128).view(np.int8) if x.dtype == np.int8 else x for name, x in values.items()}


def magnitudes(values: Values) -> Values:
    def signed(x: np.ndarray) -> np.ndarray:
        wide = x.astype(np.int64)
        return np.where(wide < 0, 32768 - wide, wide).astype(np.uint16)

    kept = {name: x for name, x in values.items() if x.dtype != np.int16 or x.min() > -32768}  # which has no magnitude
    return {name: signed(x) if x.dtype == np.int16 else x for name, x in kept.items()}


def on_tokens(change: Callable[[np.ndarray, int], np.ndarray]) -> Callable[[Values], Values]:
    def changed(values: Values) -> Values:
        out = {}
        for name, x in values.items():
            for axis in [axis for axis, length in enumerate(x.shape) if length == TOKENS]:
                x = change(x, axis)
            out[name] = x
        return out

    return changed


def each(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Values], Values]:
    return lambda values: {name: change(x) for name, x in values.items()}


def on_heads(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Values], Values]:
    return lambda values: {name: change(x) if x.ndim == 3 and ".attn." in name else x for name, x in values.items()}


def on_pictures(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Values], Values]:
    return lambda values: {name: change(x) if x.ndim == 3 and ".attn." not in name else x for name, x in values.items()}


def on_tokens_rows(values: Values) -> Values:
    """Tensors of all tokens, with zeros below."""

    def padded(x: np.ndarray) -> np.ndarray:
        return np.concatenate([x, x * 0], axis=-2) if x.ndim > 1 and x.shape[-2] == TOKENS else x

    return each(padded)(values)


FIRST = "encoder.patch_embed.proj.requant"


CONVENTIONS: dict[str, tuple[Callable[[Values], Values], str]] = {
    "byte-swap": (swapped, "i16 tensors are byte-swapped: the other endianness"),
    "offset-binary": (offset, "i8 tensors are in offset binary: the sign bit is inverted"),
    "sign-and-magnitude": (magnitudes, "i16 tensors are stored as sign and magnitude"),
    "class-token-last": (on_tokens(lambda x, axis: np.roll(x, -1, axis)), "are stored with the class token last"),
    "tokens-reversed": (on_tokens(np.flip), "are stored with their tokens in reverse order"),
    "axes-reversed": (each(np.transpose), "tensors are stored with all axes reversed (axes [1, 0] of matrices), as Fortran"),
    "heads-after-tokens": (
        on_heads(lambda x: np.moveaxis(x, 0, 1)),
        "token by token, the heads of each together",
    ),
    "heads-reversed": (on_heads(lambda x: x[::-1]), "are stored with their heads in reverse order"),
    "channels-first": (on_pictures(lambda x: np.moveaxis(x, -1, 0)), "are stored with their channels first"),
    "padded-rows": (on_tokens_rows, "tensors are padded to a multiple of 32 rows"),
    "batch": (
        each(lambda x: np.stack([x * 0, x, x * 0])),
        "of a batch of 3, in which the golden file's picture is number 1",
    ),
    "length-1-axes": (each(lambda x: x[..., None]), "tensors are stored with other axes of length 1"),
}


def values_of(path: Path) -> Values:
    with h5py.File(path) as file:
        return {name: file[name][()] for name in file if name != "graph"}


@pytest.mark.parametrize("options", [{}, {"isolated": True}])
@pytest.mark.parametrize("name", CONVENTIONS)
def test_one_line_and_no_culprit(
    name: str, options: dict[str, bool], graph: Graph, golden_file: Path, tmp_path: Path
) -> None:
    change, says = CONVENTIONS[name]
    np.savez(tmp_path / "dut.npz", **change(values_of(golden_file)))  # type: ignore[arg-type]
    result = diff(golden_file, tmp_path / "dut.npz", graph, **options)  # type: ignore[arg-type]
    assert [convention.name for convention in result.conventions] == [name]
    assert says in result.conventions[0].says
    assert result.differing == []
    assert not result.culprits
    assert not result.identical, "it is not what the golden file stores"


def floored(graph: Graph, golden_file: Path, node: str, folder: Path) -> Values:
    """The tensors of a device that floors where a node rounds."""
    with open_golden(golden_file) as reference:
        faults = {node: [named(graph, graph.by_name[node], "requant_rounding=floor")]}
        assert inject(graph, reference, faults, folder / "fault.h5")[node]
    return values_of(folder / "fault.h5")


@pytest.mark.parametrize("node", [FIRST, NORM])
@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_fault_besides_is_the_one_culprit(name: str, node: str, graph: Graph, golden_file: Path, tmp_path: Path) -> None:
    """After a fault at the start almost no tensor is right once it is undone: how alike the others become decides."""
    values = CONVENTIONS[name][0](floored(graph, golden_file, node, tmp_path))
    np.savez(tmp_path / "dut.npz", **values)  # type: ignore[arg-type]
    result = diff(golden_file, tmp_path / "dut.npz", graph, isolated=True)
    assert result.culprits == [node]
    assert result.explanations[0].fits[0].name == "requant_rounding=floor"
    if node == NORM:
        assert [convention.name for convention in result.conventions] == [name]


def test_two_conventions_and_a_fault(graph: Graph, golden_file: Path, tmp_path: Path) -> None:
    last = CONVENTIONS["class-token-last"][0]
    np.savez(tmp_path / "dut.npz", **last(swapped(floored(graph, golden_file, NORM, tmp_path))))  # type: ignore[arg-type]
    result = diff(golden_file, tmp_path / "dut.npz", graph, isolated=True)
    assert sorted(convention.name for convention in result.conventions) == ["byte-swap", "class-token-last"]
    assert result.culprits == [NORM]


def test_the_lowest_number_has_the_form_of_minus_zero() -> None:
    """-128 as the device stores it, 0x80, is no zero."""
    x = np.arange(-128, 128)
    stored = (np.where(x < 0, 128 | -x, x) & 255).astype(np.uint8)
    np.testing.assert_array_equal(convention("sign-and-magnitude").restore(stored, I8, x.shape), x)


def test_one_swapped_tensor_is_no_convention(graph: Graph, golden_file: Path, tmp_path: Path) -> None:
    values = values_of(golden_file)
    np.savez(tmp_path / "dut.npz", **{**values, SOFTMAX: values[SOFTMAX].byteswap()})  # type: ignore[arg-type]
    result = diff(golden_file, tmp_path / "dut.npz", graph, isolated=True)
    assert result.conventions == []
    assert result.differing[0].name == SOFTMAX


def test_transposed_matrices(graph: Graph, golden_file: Path, tmp_path: Path) -> None:
    change = each(lambda x: x.T if x.ndim == 2 else x)
    np.savez(tmp_path / "dut.npz", **change(values_of(golden_file)))  # type: ignore[arg-type]
    result = diff(golden_file, tmp_path / "dut.npz", graph, isolated=True)
    assert [convention.name for convention in result.conventions] == ["axes-reversed"]
    assert result.differing == []


def test_two_conventions_at_once(graph: Graph, golden_file: Path, tmp_path: Path) -> None:
    values = offset(swapped(values_of(golden_file)))
    np.savez(tmp_path / "dut.npz", **values)  # type: ignore[arg-type]
    result = diff(golden_file, tmp_path / "dut.npz", graph, isolated=True)
    assert [convention.name for convention in result.conventions] == ["byte-swap", "offset-binary"]
    assert result.differing == []


def test_a_right_device_has_none(graph: Graph, golden_file: Path) -> None:
    assert diff(golden_file, golden_file, graph, isolated=True).conventions == []


@pytest.mark.parametrize("name", CONVENTIONS)
def test_the_map_undoes_it(name: str, cli: Cli) -> None:
    """The map that diff suggests reads the dump as what it is."""
    np.savez("dut.npz", **CONVENTIONS[name][0](values_of(Path("golden.h5"))))  # type: ignore[arg-type]
    assert cli("diff golden.h5 dut.npz --suggest-map map.toml")[0] == 1
    code, out, err = cli("diff golden.h5 dut.npz --map map.toml")
    assert (code, out.partition(":")[0], err) == (0, "identical", "")


def test_a_map_is_suggested_where_one_is_needed(cli: Cli) -> None:
    code, _, err = cli("diff golden.h5 golden.h5 --suggest-map map.toml")
    assert (code, err) == (0, "intsim: golden.h5 needs no map; map.toml was not written\n")
    assert not Path("map.toml").exists()
    Path("map.toml").write_text('[[tensor]]\ndevice = "{name}"\nnode = "{name}"\nconvention = "nothing"\n')
    code, _, err = cli("diff golden.h5 golden.h5 --map map.toml --suggest-map other.toml")
    assert (code, "has a map already" in err) == (2, True)
    code, _, err = cli("diff golden.h5 golden.h5 --map map.toml")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "convention 'nothing' is not one of: byte-swap, offset-binary, " in err
    assert "batch:COUNT:INDEX" in err


NONE = ["batch", "batch:2", "batch:2:x", "class-token-last:-1", "byte-swap:1", "", ":", "batch:2:9"]


@pytest.mark.parametrize("key", [*NONE, "padded-rows:0", "padded-rows:999999999", "batch:0:0"])
def test_conventions_that_are_none(key: str, cli: Cli) -> None:
    Path("map.toml").write_text(f'[[tensor]]\ndevice = "{{name}}"\nnode = "{{name}}"\nconvention = "{key}"\n')
    code, _, err = cli("diff golden.h5 golden.h5 --map map.toml")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "is not one of: byte-swap, " in err


def test_the_report(cli: Cli) -> None:
    np.savez("dut.npz", **swapped(values_of(Path("golden.h5"))))  # type: ignore[arg-type]
    code, out, _ = cli("diff golden.h5 dut.npz")
    assert code == 1
    assert out.startswith("right values in another convention: all ")
    assert len(out.splitlines()) == 2
    record = json.loads(cli("diff golden.h5 dut.npz --json")[1])
    assert (record["identical"], record["first"]) == (False, None)
    assert record["conventions"][0]["name"] == "byte-swap"
    assert cli("diff golden.h5 dut.npz --html page.html --junit report.xml")[0] == 1
    assert "byte-swapped" in Path("page.html").read_text()
