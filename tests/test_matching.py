"""Tensors without a node's name: matched by what they hold, where that is unambiguous."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from test_conventions import CONVENTIONS

from intsim.debugging.core import diff
from intsim.debugging.inject import inject
from intsim.engine.graph import Graph
from intsim.rules import named
from intsim.storage.golden_file import open_golden

Cli = Callable[..., tuple[int, str, str]]
NORM = "encoder.blocks.1.norm1.requant"


def values_of(path: Path) -> dict[str, np.ndarray]:
    with h5py.File(path) as file:
        return {name: file[name][()] for name in file if name != "graph"}


def test_equal_tensors_get_their_names(cli: Cli) -> None:
    values = values_of(Path("golden.h5"))
    sources = {f"buffer_{i}": name for i, name in enumerate(values)}
    np.savez("dut.npz", **{source: values[name] for source, name in sources.items()})  # type: ignore[arg-type]
    code, out, _ = cli("diff golden.h5 dut.npz --suggest-map map.toml")
    record = json.loads(cli("diff golden.h5 dut.npz --json")[1])
    alike = {name for name in values if sum(np.array_equal(values[name], other) for other in values.values()) > 1}
    telling = {name for name, x in values.items() if x.size >= 16 and len(np.unique(x)) >= 4}
    found = {match["source"]: match["node"] for match in record["matched"]}
    assert found.items() <= sources.items()
    assert set(found.values()) >= telling - alike
    assert record["unmatched"] == []
    assert code == 0
    assert f"names: {len(record['matched'])} tensors matched by what they hold" in out
    again = json.loads(cli("diff golden.h5 dut.npz --map map.toml --json")[1])
    assert again["identical"]
    assert again["matched"] == []


def test_a_fault_is_found_under_the_devices_names(graph: Graph, golden_file: Path, tmp_path: Path) -> None:
    with open_golden(golden_file) as reference:
        faults = {NORM: [named(graph, graph.by_name[NORM], "requant_rounding=floor")]}
        assert inject(graph, reference, faults, tmp_path / "fault.h5")[NORM]
    values = values_of(tmp_path / "fault.h5")
    sources = {f"buffer_{i}": name for i, name in enumerate(values)}
    np.savez(tmp_path / "dut.npz", **{source: values[name] for source, name in sources.items()})  # type: ignore[arg-type]
    result = diff(golden_file, tmp_path / "dut.npz", graph, isolated=True)
    assert result.culprits == [NORM]
    assert result.explanations[0].fits[0].name == "requant_rounding=floor"
    assert all(sources[match.source] == match.node for match in result.matches)
    assert not all(match.equal for match in result.matches)


@pytest.mark.parametrize("name", ["byte-swap", "offset-binary", "axes-reversed", "batch", "class-token-last", "padded-rows"])
def test_a_convention_and_no_names(name: str, golden_file: Path, tmp_path: Path) -> None:
    values = CONVENTIONS[name][0](values_of(golden_file))
    sources = {f"buffer_{i}": node for i, node in enumerate(values)}
    np.savez(tmp_path / "dut.npz", **{source: values[node] for source, node in sources.items()})  # type: ignore[arg-type]
    result = diff(golden_file, tmp_path / "dut.npz")
    assert [followed.name for followed in result.conventions] == [name]
    assert result.differing == result.unmatched == []
    assert len(result.matches) == len(values)
    assert all(sources[match.source] == match.node for match in result.matches)


def test_what_is_left_alone_is_the_missing_one(graph: Graph, golden_file: Path, tmp_path: Path) -> None:
    """A tensor that is quite wrong is not passed over: nothing else could be it."""
    values = values_of(golden_file)
    values["labels"] = np.zeros_like(values["labels"])
    np.savez(tmp_path / "dut.npz", **{f"t{i}": x for i, x in enumerate(values.values())})  # type: ignore[arg-type]
    result = diff(golden_file, tmp_path / "dut.npz", graph, isolated=True)
    assert not result.identical
    assert result.culprits == ["labels"]


def test_what_could_be_a_missing_one_is_not_passed_over(cli: Cli) -> None:
    """Two tensors hold the same, one of them wrongly: neither is judged, and the verdict is not identical."""
    values = values_of(Path("golden.h5"))
    values["encoder.blocks.0.residual2"] = values["encoder.blocks.0.residual1"]
    np.savez("dut.npz", **{f"t{i}": x for i, x in enumerate(values.values())})  # type: ignore[arg-type]
    code, out, _ = cli("diff golden.h5 dut.npz")
    assert code == 1
    assert out.startswith("identical where it can be compared: 2 tensors of the dump could be missing ones, but equal none")
    record = json.loads(cli("diff golden.h5 dut.npz --json")[1])
    assert (record["identical"], len(record["unmatched"])) == (False, 2)


def test_what_could_be_two_is_none(graph: Graph, golden_file: Path, tmp_path: Path) -> None:
    """Equal tensors twice, noise, and numbers that are all alike keep their own names."""
    values = values_of(golden_file)
    x = values[NORM]
    noise = np.random.default_rng(1).integers(-128, 128, x.shape).astype(np.int8)
    others = {"one": x, "two": x, "noise": noise, "zeros": np.zeros_like(x), "known": x}
    np.savez(tmp_path / "dut.npz", **{**others, "encoder.blocks.0.norm1": values["encoder.blocks.0.norm1"]})  # type: ignore[arg-type]
    result = diff(golden_file, tmp_path / "dut.npz", graph)
    assert result.matches == []
    assert sorted(result.foreign) == sorted(others)


def test_known_names_are_not_matched_anew(golden_file: Path, tmp_path: Path) -> None:
    values = values_of(golden_file)
    np.savez(tmp_path / "dut.npz", copy=values[NORM], **{NORM: values[NORM]})  # type: ignore[arg-type]
    result = diff(golden_file, tmp_path / "dut.npz")
    assert result.matches == []
    assert result.foreign == ["copy"]
