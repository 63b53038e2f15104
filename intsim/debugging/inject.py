"""Fault injection: the dump of a device that breaks given rules at given nodes and is correct everywhere else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..arith import IntArray
from ..engine.graph import Graph, Node
from ..engine.interpreter import Progress
from ..errors import IntsimError
from ..rules import Rule, compute, work_of
from ..storage.golden_file import GoldenFile, golden

FAULT = "fault"  # the root attribute that records what was injected


def inject(
    graph: Graph,
    reference: GoldenFile,
    faults: Mapping[str, Sequence[Rule]],
    path: str | Path,
    *,
    level: str | None = None,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Run `graph` on the picture of a golden file with rules broken, and write what the device would dump to `path`.

    `faults` maps nodes to the rules they break; the consequences are computed up to the last node. The file has the
    tensors of the golden file (or of another `level`); its attribute ``fault`` records the faults. Returns how many elements
    each faulty node gets wrong by itself: 0 means that the fault has no effect on this picture. Raises IntsimError for an
    unknown node, a golden file without its picture, or a fault that cannot be computed.
    """
    for name in faults:
        if name not in graph.by_name:
            raise IntsimError(f"there is no node {name!r}; 'intsim inspect' lists their names")
    record = reference.tensors.get(graph.input.name)
    if record is None or record.values is None:
        raise IntsimError(
            f"{reference.path}: has no picture to run the faulty device on; it must include {graph.input.name}"
        )
    wrong: dict[str, int] = {}

    def alter(node: Node, inputs: list[IntArray], value: IntArray) -> IntArray:
        if node.name not in faults:
            return value
        work = work_of(graph, node)
        for rule in faults[node.name]:
            work = rule.alter(work)
        try:
            # A picture and a constant have no inputs: the fault is applied to their own values.
            altered = compute(graph, node, work, inputs if node.inputs else [value])
        except ValueError as error:
            names = " and ".join(rule.name for rule in faults[node.name])
            raise IntsimError(f"{node.name}: {names} cannot be computed here: {error}") from None
        wrong[node.name] = int(np.count_nonzero(altered != value))
        return altered

    injected = json.dumps({name: [rule.name for rule in rules] for name, rules in faults.items()})
    chosen = level or ("full" if reference.level == "digest" else reference.level)
    picture = record.values[()]
    golden(graph, picture, path, chosen, reference.layers, progress=progress, alter=alter, remarks={FAULT: injected})
    return wrong
