"""Stimuli for single nodes: tensors that expose, at one node, the mistakes that a picture does not.

For every node `drives` are tried in order, and each that exposes another mistake is kept. What is left is either proved to
be invisible at this node, since the values that decide have been tried, or it was not found. A stimulus is stored as a
golden file of the node's inputs and its output, so that `export` writes it for a bench and `diff` judges the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..arith import IntArray
from ..engine.graph import CONSTANT, INPUT, Graph, Node
from ..engine.interpreter import replay
from ..errors import IntsimError
from ..rules import NotApplicable, Rule, catalogue
from ..storage.golden_file import store_stimulus
from .drives import drives
from .exposure import Exposure, exposes
from .limits import never

SCHEMA, VERSION = "intsim-stimulus", 1
# Mistakes that fall somewhere although the input rises.
NOT_MONOTONE = ("input_bits", "product_bits", "saturation", "residual")
AT_ENDS = {"requant": ("saturation", "input_saturates"), "residual_add": ("saturation",)}
DECIDED = {
    "requant": "it is right at both ends of every step of the output",
    "residual_add": "it is right for every value of either arm",
}


@dataclass(frozen=True)
class Stimulus:
    """Values of a node's inputs by name, its right output, and the mistakes that they expose beyond those before."""

    inputs: Mapping[str, IntArray]
    output: IntArray
    exposes: tuple[str, ...]


@dataclass(frozen=True)
class NodeStimuli:
    """What was found for a node: stimuli, the mistakes that no input shows with the reason, and those without a stimulus."""

    name: str
    op: str
    stimuli: tuple[Stimulus, ...]
    never: Mapping[str, str]
    unfound: tuple[str, ...]

    @property
    def exposed(self) -> int:
        """How many mistakes the stimuli expose."""
        return sum(len(stimulus.exposes) for stimulus in self.stimuli)

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "name": self.name,
            "op": self.op,
            "stimuli": [
                {"file": file, "exposes": list(stimulus.exposes)}
                for file, stimulus in zip(file_names(self), self.stimuli, strict=True)
            ],
            "never": dict(self.never),
            "unfound": list(self.unfound),
        }


def stimulus(graph: Graph, name: str, wanted: Collection[str] | None = None, seed: int = 0) -> NodeStimuli:
    """Stimuli for the node called `name` that expose the rules called `wanted` (None: all of the catalogue).

    Every stimulus has values for all inputs of the node, in its shapes and formats and within the bounds that the graph
    proves; inputs that are constants of the model keep their values. Raises IntsimError for a node without inputs.
    """
    node = graph.by_name[name]
    if node.op in (INPUT, CONSTANT):
        what = "a constant" if node.op == CONSTANT else "the picture" if graph.takes_picture else "an input"
        raise IntsimError(f"{name}: is {what}; it has no inputs to drive")
    pending, silent = list[Rule](), dict[str, str]()
    for rule in catalogue(graph, node):
        if wanted is not None and rule.name not in wanted:
            continue
        if reason := never(graph, node, rule):
            silent[rule.name] = reason
        else:
            pending.append(rule)
    found: list[Stimulus] = []
    complete = False
    for drive in drives(graph, node, seed):
        if not pending:
            break
        inputs = list(drive.inputs)
        output = replay(graph, node, inputs)
        shown = []
        for rule in list(pending):
            try:
                if exposes(graph, node, rule, inputs, output):
                    shown.append(rule)
            except NotApplicable as error:
                silent[rule.name] = f"these shapes leave no room for it: {error}"
                pending.remove(rule)
        if shown:
            names = tuple(rule.name for rule in shown)
            found.append(Stimulus(dict(zip(node.inputs, inputs, strict=True)), output, names))
            pending = [rule for rule in pending if rule not in shown]
        complete = complete or drive.complete
    decided = {rule.name: reason for rule in pending if (reason := _decided(node, rule, complete))}
    unfound = tuple(rule.name for rule in pending if rule.name not in decided)
    return NodeStimuli(name, node.op, tuple(found), {**silent, **decided}, unfound)


def _decided(node: Node, rule: Rule, complete: bool) -> str:
    """Why a rule that all drives leave unseen cannot be seen; "" where they do not decide it."""
    if rule.key in AT_ENDS.get(node.op, ()):
        return "it is right at the ends of the inputs"
    if complete and node.op in DECIDED and rule.value is not None and rule.key not in NOT_MONOTONE:
        return DECIDED[node.op]
    return ""


@dataclass(frozen=True)
class Stimuli:
    """What a picture exposes, and for every node of which it leaves mistakes unseen, what `stimulus` found."""

    seen: Exposure
    nodes: tuple[NodeStimuli, ...]

    @property
    def exposed(self) -> int:
        """How many mistakes stimuli expose that the picture does not."""
        return sum(node.exposed for node in self.nodes)

    @property
    def never(self) -> int:
        """How many mistakes no input of their nodes shows."""
        return self.seen.equivalent + sum(len(node.never) for node in self.nodes)

    @property
    def unfound(self) -> int:
        """How many mistakes no stimulus was found for."""
        return sum(len(node.unfound) for node in self.nodes)

    @property
    def share(self) -> float:
        """The share of the mistakes that an input may show which the picture or a stimulus does, 0 to 1."""
        shown = self.seen.counted - self.seen.unseen + self.exposed
        return shown / (shown + self.unfound) if shown + self.unfound else 1.0

    def record(self) -> dict[str, Any]:
        """As plain data for ``--json``."""
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "mistakes": self.seen.counted + self.seen.equivalent,
            "exposed_by_picture": self.seen.counted - self.seen.unseen,
            "exposed_by_stimuli": self.exposed,
            "never": self.never,
            "unfound": self.unfound,
            "share": self.share,
            "nodes": [node.record() for node in self.nodes],
        }


def stimuli_beyond(
    graph: Graph, seen: Exposure, seed: int = 0, *, progress: Callable[[str], object] = lambda name: None
) -> Stimuli:
    """Stimuli for every node of which pictures leave mistakes unseen."""
    nodes = []
    for node in seen.nodes:
        if node.unseen:
            progress(node.name)
            nodes.append(stimulus(graph, node.name, node.unseen, seed))
    return Stimuli(seen, tuple(nodes))


def file_names(node: NodeStimuli) -> list[str]:
    """The names of the files of a node's stimuli: ``NODE.h5``, ``NODE.2.h5``."""
    return [f"{node.name}.h5" if number == 0 else f"{node.name}.{number + 1}.h5" for number in range(len(node.stimuli))]


def save(graph: Graph, found: Stimuli, folder: Path) -> list[Path]:
    """Write all stimuli into a folder, each as a golden file of one node's inputs and its output."""
    paths = []
    for node in found.nodes:
        for name, one in zip(file_names(node), node.stimuli, strict=True):
            store_stimulus(graph, node.name, {**one.inputs, node.name: np.asarray(one.output)}, folder / name)
            paths.append(folder / name)
    return paths
