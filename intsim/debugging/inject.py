"""Fault injection: the dump of a device that breaks given rules at given nodes and is correct everywhere else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..arith import IntArray
from ..engine.graph import Graph, Node
from ..engine.interpreter import Progress
from ..errors import IntsimError, UnknownNode
from ..rules import Rule, computation_of, compute
from ..storage.golden_file import GoldenFile, golden
from ..storage.input_files import recorded_inputs

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
    """Run `graph` on the inputs of a golden file with rules broken, and write what the device would dump to `path`.

    `faults` maps nodes to the rules they break; the consequences are computed up to the last node. The file has the tensors
    of the golden file (or of another `level`); its attribute ``fault`` records the faults. Returns how many elements each
    faulty node gets wrong by itself: 0 means that the fault has no effect on these inputs. Raises IntsimError for a node
    that does not exist, a golden file without its inputs, or a fault that cannot be computed.
    """
    for name in faults:
        if name not in graph.by_name:
            raise UnknownNode(name)
    given = recorded_inputs(reference, graph, "to run the faulty device on")
    wrong: dict[str, int] = {}

    def alter(node: Node, inputs: list[IntArray], value: IntArray) -> IntArray:
        if node.name not in faults:
            return value
        computation = computation_of(graph, node)
        for rule in faults[node.name]:
            computation = rule.alter(computation)
        try:
            # Inputs and constants have no inputs: the fault is applied to their own values.
            altered = compute(graph, node, computation, inputs if node.inputs else [value])
        except ValueError as error:
            names = " and ".join(rule.name for rule in faults[node.name])
            raise IntsimError(f"{node.name}: {names} cannot be computed here: {error}") from None
        wrong[node.name] = int(np.count_nonzero(altered != value))
        return altered

    injected = json.dumps({name: [rule.name for rule in rules] for name, rules in faults.items()})
    chosen = level or ("full" if reference.level == "digest" else reference.level)
    golden(graph, given, path, chosen, reference.layers, progress=progress, alter=alter, remarks={FAULT: injected})
    return wrong
