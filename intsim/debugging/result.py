"""The result of a diff as data: a record per tensor, the culprits, their explanations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..arith import Format
from ..measurement.exposure import Exposure
from ..rules.diagnosis import Diagnosis
from .compare import Comparison
from .feeds import GOLDEN
from .isolate import Verdict
from .matching import Match
from .reasons import Explanation
from .recognize import Followed

SCHEMA, VERSION = "intsim-diff", 1
MATCH, DIFFER = "match", "differ"
MISSHAPEN, MISTYPED, UNREADABLE = "misshapen", "mistyped", "unreadable"
MISSING, EXTRA, UNJUDGED = "missing", "extra", "unjudged"
UNUSABLE = (MISSHAPEN, MISTYPED, UNREADABLE)
BAD = (DIFFER, *UNUSABLE)


@dataclass(frozen=True)
class NodeDiff:
    """One tensor. `accumulated` is one of match, differ, misshapen, mistyped, unreadable, missing (from the dump), extra
    (not in the golden file). `comparison` is set where elements could be compared, if need be after putting them
    in order; `verdict` where it was isolated, `diagnosis` where its layout was recognised.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    fmt: Format | None
    accumulated: str
    comparison: Comparison | None = None
    verdict: Verdict | None = None
    diagnosis: Diagnosis | None = None
    note: str = ""
    source: str = ""  # the device's name of it

    @property
    def isolated(self) -> str | None:
        """match, differ or unjudged; None where it was not isolated."""
        if self.verdict is None:
            return None
        if self.verdict.comparison is None:
            return UNJUDGED
        return DIFFER if self.verdict.wrong else MATCH

    @property
    def total(self) -> int:
        """The number of elements."""
        return int(np.prod(self.shape, dtype=object))

    @property
    def differing(self) -> int | None:
        """How many elements differ; None where that is not known."""
        if self.comparison is not None:
            return self.comparison.differing
        return 0 if self.accumulated == MATCH else None

    @property
    def bad(self) -> bool:
        """Whether anything is wrong with it."""
        return self.accumulated in BAD or self.isolated == DIFFER

    @property
    def best_comparison(self) -> Comparison | None:
        """The accumulated comparison; where there is none, the isolated one."""
        return self.comparison or (self.verdict.comparison if self.verdict else None)

    def record(self) -> dict[str, Any]:
        """As plain data."""
        first = self.comparison.first if self.comparison else None
        record: dict[str, Any] = {
            "name": self.name,
            "op": self.op,
            "shape": list(self.shape),
            "format": str(self.fmt) if self.fmt else None,
            "accumulated": self.accumulated,
            "isolated": self.isolated,
            "differing": self.differing,
            "total": self.total,
            "first": first.record() if first else None,
        }
        if self.comparison is not None and self.comparison.differing:
            record["statistics"] = self.comparison.record()
        if self.verdict is not None:
            own = self.verdict.comparison
            record["isolation"] = {
                "stretch": list(self.verdict.segment),
                "feeds": dict(self.verdict.feeds),
                "golden_inputs": self.verdict.golden_inputs,
                "first": own.first.record() if own and own.first else None,
                "statistics": own.record() if own and own.differing else None,
                "dump_only": self.verdict.dump_only,
                "other_inputs": dict(self.verdict.other_inputs),
            }
        if self.layout is not None:
            record["layout"] = {"name": self.layout.name, "says": self.layout.says, "map": self.map_entry}
        if self.remark:
            record["note"] = self.remark
        return record

    @property
    def layout(self) -> Diagnosis | None:
        """The layout fault that was found."""
        return self.verdict.diagnosis if self.verdict is not None and self.verdict.diagnosis else self.diagnosis

    @property
    def map_entry(self) -> str:
        """The entry of a dump map that describes its layout, as TOML; "" where none was found or a map cannot."""
        if self.layout is None or not self.layout.keys:
            return ""
        return f"[[tensor]]\ndevice = {json.dumps(self.source)}\nnode = {json.dumps(self.name)}\n{self.layout.keys}"

    @property
    def other_inputs(self) -> Mapping[str, str]:
        """The inputs, as dumped, to which its output does not belong, and the origin of those to which it does."""
        return self.verdict.other_inputs if self.verdict is not None else {}

    def _belongs(self) -> str:
        """To which inputs its output belongs, in words."""
        if not self.other_inputs:
            return ""
        sources = [f"the golden {name}" for name, origin in self.other_inputs.items() if origin == GOLDEN]
        sources += [f"what {name} should be" for name, origin in self.other_inputs.items() if origin != GOLDEN]
        equal = "equals the golden tensor, which follows" if self.accumulated == MATCH else "follows"
        others = f"{' and '.join(sources)}, not from the dumped one{'s' if len(sources) > 1 else ''}"
        return f"its output belongs to other inputs than those dumped: it {equal} from {others}"

    @property
    def remark(self) -> str:
        """The notes on it, in one line."""
        dump_only = "only its dump has another layout: the device computed the following tensors from the right order"
        notes = [self.note, self.layout.says if self.layout else ""]
        if self.verdict is not None:
            notes += [self.verdict.note, dump_only if self.verdict.dump_only else "", self._belongs()]
        return "; ".join(note for note in notes if note)


@dataclass(frozen=True)
class Diff:
    """A compared dump. `nodes` are in execution order; `culprits` is None where nothing was isolated."""

    golden: Path
    dut: Path
    kind: str
    model_sha256: str
    nodes: list[NodeDiff]
    order: list[dict[str, Any]]  # every node of the model: name, op, inputs
    warnings: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    explanations: list[Explanation] = field(default_factory=list)
    culprits: list[str] | None = None
    complete: bool = False
    conversions: list[str] = field(default_factory=list)  # of numbers that the dump does not store as plain integers
    conventions: list[Followed] = field(default_factory=list)  # of the whole dump, undone before it was judged
    matches: list[Match] = field(default_factory=list)  # tensors without a node's name, matched by what they hold
    unmatched: list[str] = field(default_factory=list)  # tensors of the dump that could be missing ones
    exposure: Exposure | None = None  # what the golden file's picture can show, where its score was given

    @property
    def compared(self) -> list[NodeDiff]:
        """The tensors whose elements, or hashes, were compared."""
        known = (MATCH, DIFFER)
        return [n for n in self.nodes if n.accumulated in known or n.isolated in known or n.comparison is not None]

    @property
    def unusable(self) -> list[NodeDiff]:
        """The tensors of the dump that could not be compared: of another shape or type, or unreadable."""
        compared = {node.name for node in self.compared}
        return [node for node in self.nodes if node.accumulated in UNUSABLE and node.name not in compared]

    @property
    def differing(self) -> list[NodeDiff]:
        """The tensors with which anything is wrong, in execution order."""
        return [node for node in self.nodes if node.bad]

    @property
    def first(self) -> NodeDiff | None:
        """The first tensor that differs; where all that is wrong is that some could not be read, the first of these."""
        wrong = self.differing
        return next((node for node in wrong if node not in self.unusable), wrong[0] if wrong else None)

    @property
    def only_golden(self) -> list[str]:
        """The tensors the dump lacks."""
        return [node.name for node in self.nodes if node.accumulated == MISSING]

    @property
    def only_dut(self) -> list[str]:
        """What the golden file lacks: nodes that it leaves out, and names that are not of a node."""
        return [node.name for node in self.nodes if node.accumulated == EXTRA] + self.foreign

    @property
    def unfollowed(self) -> dict[str, list[str]]:
        """The tensors that do not have their consequences in the dump, each with those that belong to other values of it."""
        feeds = dict.fromkeys(feed for node in self.nodes for feed in node.other_inputs)
        return {feed: [node.name for node in self.nodes if feed in node.other_inputs] for feed in feeds}

    @property
    def identical(self) -> bool:
        """Whether all compared tensors are equal, as they are stored, and, if `complete`, all were compared."""
        incomplete = self.unmatched or (self.complete and self.only_golden)
        return not self.differing and not self.conventions and not incomplete

    def node(self, name: str) -> NodeDiff | None:
        """The record of a tensor."""
        return next((node for node in self.nodes if node.name == name), None)

    def record(self) -> dict[str, Any]:
        """As plain data for ``--json``; docs/diff-v1.schema.json describes it."""
        first = self.first
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "golden": str(self.golden),
            "dut": str(self.dut),
            "dut_kind": self.kind,
            "model_sha256": self.model_sha256,
            "identical": self.identical,
            "compared": len(self.compared),
            "unusable": [node.name for node in self.unusable],
            "first": _first(first) if first else None,
            "culprits": self.culprits,
            "explanations": [explanation.record() for explanation in self.explanations],
            "nodes": [node.record() for node in self.nodes],
            "unfollowed": self.unfollowed,
            "only_golden": self.only_golden,
            "only_dut": self.only_dut,
            "warnings": self.warnings,
            "conversions": self.conversions,
            "conventions": [convention.record() for convention in self.conventions],
            "unmatched": self.unmatched,
            "matched": [match.record() for match in self.matches],
            "mistakes": self.exposure.counted if self.exposure else None,
            "unseen": self.exposure.unseen if self.exposure else None,
        }


def _first(node: NodeDiff) -> dict[str, Any]:
    own = node.verdict.comparison if node.verdict else None
    for comparison in (node.comparison, own):
        if comparison is not None and comparison.first is not None:
            return {"node": node.name, **comparison.first.record()}
    return {"node": node.name, "index": None, "golden": None, "dut": None}
