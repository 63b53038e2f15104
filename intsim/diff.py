"""Exact comparison of two golden files, tensor by tensor in execution order. One tensor is in memory at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arith import Format, first_index
from .errors import IntsimError
from .golden import GoldenFile, Record, opened
from .graph import digest


@dataclass(frozen=True)
class Divergence:
    """The first element, in C order, at which a node's tensors differ."""

    node: str
    index: list[int]
    golden: int
    dut: int
    fmt: Format

    def hexadecimal(self, value: int) -> str:
        """A value in two's complement, as many digits as the format has."""
        if not self.fmt.holds(value, value):
            return f"outside {self.fmt}"
        low_bits = self.fmt.hi - self.fmt.lo
        return f"0x{value & low_bits:0{-(-low_bits.bit_length() // 4)}x}"


@dataclass(frozen=True)
class NodeDiff:
    """One tensor compared. `differing` is None where only hashes could be compared and they differ."""

    name: str
    differing: int | None
    total: int
    first: Divergence | None = None
    note: str | None = None


@dataclass(frozen=True)
class Diff:
    """Two golden files compared."""

    nodes: list[NodeDiff]
    only_golden: list[str]
    only_dut: list[str]
    warnings: list[str]

    @property
    def differing(self) -> list[NodeDiff]:
        """The nodes that differ, in execution order."""
        return [node for node in self.nodes if node.differing != 0]

    @property
    def identical(self) -> bool:
        """Whether everything compared is equal."""
        return not self.differing

    def record(self) -> dict[str, Any]:
        """As plain data for ``--json``."""
        first = self.differing[0] if self.differing else None
        return {
            "identical": self.identical,
            "first": _first_record(first) if first else None,
            "nodes": [
                {"name": n.name, "differing": n.differing, "total": n.total} | ({"note": n.note} if n.note else {})
                for n in self.nodes
            ],
            "only_golden": self.only_golden,
            "only_dut": self.only_dut,
            "warnings": self.warnings,
        }


def _first_record(node: NodeDiff) -> dict[str, Any]:
    if node.first is None:
        return {"node": node.name, "index": None, "golden": None, "dut": None}
    at = node.first
    return {
        "node": at.node,
        "index": at.index,
        "golden": at.golden,
        "dut": at.dut,
        "golden_hex": at.hexadecimal(at.golden),
        "dut_hex": at.hexadecimal(at.dut),
    }


def diff(golden_path: str | Path, dut_path: str | Path, model_sha256: str | None = None) -> Diff:
    """Compare a device's file (DUT) with a golden one, exactly.

    IntsimError where the files stem from different models (or not from `model_sha256`), or have no tensor in common.
    """
    with opened(golden_path) as reference, opened(dut_path) as dut:
        _same_model(reference, dut, model_sha256)
        order = {node["name"]: i for i, node in enumerate(reference.nodes)}
        names = sorted(reference.tensors, key=lambda name: order.get(name.partition(":")[0], len(order)))
        common = [name for name in names if name in dut.tensors]
        if not common:
            raise IntsimError(f"{golden_path} and {dut_path} have no tensor in common; nothing was compared")
        warnings: list[str] = []
        if reference.image_sha256 != dut.image_sha256:
            warnings.append("the two files were made from different pictures; everything that follows may differ for that")
        nodes = [_compare(reference.tensors[name], dut.tensors[name], warnings) for name in common]
        return Diff(
            nodes,
            [name for name in names if name not in dut.tensors],
            [name for name in dut.tensors if name not in reference.tensors],
            warnings,
        )


def _same_model(reference: GoldenFile, dut: GoldenFile, model_sha256: str | None) -> None:
    if reference.model_sha256 != dut.model_sha256:
        raise IntsimError(
            f"{reference.path} and {dut.path} stem from different models ({reference.model_sha256[:12]} and "
            f"{dut.model_sha256[:12]}); make both from one model file"
        )
    if model_sha256 is not None and reference.model_sha256 != model_sha256:
        raise IntsimError(f"{reference.path} stems from model {reference.model_sha256[:12]}, not {model_sha256[:12]}")


def _compare(reference: Record, dut: Record, warnings: list[str]) -> NodeDiff:
    name, total = reference.name, math.prod(reference.shape)
    if reference.shape != dut.shape:
        return NodeDiff(name, total, total, note=f"shape {list(reference.shape)} became {list(dut.shape)}")
    a, b = _values(reference, reference.fmt), _values(dut, reference.fmt)
    if a is not None and digest(a) != reference.sha256:
        warnings.append(f"{name}: the golden values do not match their recorded hash; the golden file was altered")
    if a is None or b is None:
        hashes = [record.sha256 if value is None else digest(value) for record, value in ((reference, a), (dut, b))]
        if hashes[0] == hashes[1]:
            return NodeDiff(name, 0, total)
        return NodeDiff(name, None, total, note="hashes differ; one file holds no values (level digest)")
    if a.shape != b.shape or b.dtype.kind not in "iu":
        return NodeDiff(name, total, total, note=f"{b.dtype} {list(b.shape)} stands where {a.dtype} {list(a.shape)} is due")
    unequal = a != b
    differing = int(np.count_nonzero(unequal))
    if not differing:
        return NodeDiff(name, 0, total)
    index = first_index(unequal)
    first = Divergence(name, index, int(a[tuple(index)]), int(b[tuple(index)]), reference.fmt)
    return NodeDiff(name, differing, total, first)


def _values(record: Record, fmt: Format) -> NDArray | None:
    """The values, in the type of `fmt` where they fit it: how wide a device stores them is its own business."""
    if not record.has_values:
        return None
    values = np.asarray(record.dataset[()])
    if values.dtype.kind in "iu" and values.size and fmt.holds(int(values.min()), int(values.max())):
        return values.astype(fmt.dtype, copy=False)
    return values
