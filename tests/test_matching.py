"""Tensors without a node's name: matched by what they hold, where that is unambiguous."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

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
    assert {match["source"]: match["node"] for match in record["matched"]} == {
        source: name for source, name in sources.items() if name in telling - alike
    }
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
