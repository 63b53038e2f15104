"""What a stimulus can show: the mistakes that a picture's tensors would expose, node by node, and those that pass unseen.

Every rule of the catalogue is broken at every node, alone, on the node's right inputs. A rule that gives the right tensor
would pass unseen: a device with this mistake is identical on this picture. What no input of the node shows (`limits`) is
counted apart. Rules that act row by row are tried on some rows first, since one wrong element is enough; a search through
many pictures tries these rows alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..arith import IntArray
from ..engine.graph import CONSTANT, INPUT, Graph, Node
from ..engine.inputs import Inputs
from ..engine.interpreter import run
from ..errors import NotAScore
from ..rules import ROW_WISE, NotApplicable, Rule, catalogue, computation_of, compute
from ..storage.files import require_file
from ..storage.golden_file import open_golden
from ..storage.input_files import recorded_inputs
from ..storage.model_file import model_behind
from .limits import never

SCHEMA, VERSION = "intsim-score", 1
ROWS = 48  # that are tried first


@dataclass(frozen=True)
class NodeExposure:
    """The rules of a node by name: those that its tensors expose, those that they do not, and those that nothing can."""

    name: str
    op: str
    exposed: tuple[str, ...]
    unseen: tuple[str, ...]
    equivalent: tuple[str, ...] = ()

    @property
    def counted(self) -> int:
        """How many rules some input can expose."""
        return len(self.exposed) + len(self.unseen)

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "name": self.name,
            "op": self.op,
            "exposed": list(self.exposed),
            "unseen": list(self.unseen),
            "equivalent": list(self.equivalent),
        }


@dataclass(frozen=True)
class Exposure:
    """What pictures expose at every node, in execution order."""

    nodes: tuple[NodeExposure, ...]
    pictures: int = 1
    golden_sha256: str = ""  # content hash of the golden file that has the first picture

    @property
    def counted(self) -> int:
        """How many mistakes are known that some input can expose."""
        return sum(node.counted for node in self.nodes)

    @property
    def unseen(self) -> int:
        """How many of them would look the same on these tensors."""
        return sum(len(node.unseen) for node in self.nodes)

    @property
    def equivalent(self) -> int:
        """How many more are known that no input of their nodes shows."""
        return sum(len(node.equivalent) for node in self.nodes)

    @property
    def share(self) -> float:
        """The share that is exposed, 0 to 1."""
        return 1 - self.unseen / self.counted if self.counted else 1.0

    def by_operator(self) -> list[tuple[str, int, int, int]]:
        """Every operator with its number of nodes, of mistakes and of those that are unseen, in execution order."""
        rows = []
        for op in dict.fromkeys(node.op for node in self.nodes):
            nodes = [node for node in self.nodes if node.op == op]
            rows.append((op, len(nodes), sum(n.counted for n in nodes), sum(len(n.unseen) for n in nodes)))
        return rows

    def record(self) -> dict[str, Any]:
        """As plain data for ``--json``."""
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "golden_sha256": self.golden_sha256,
            "pictures": self.pictures,
            "mistakes": self.counted,
            "unseen": self.unseen,
            "share": self.share,
            "equivalent": self.equivalent,
            "nodes": [node.record() for node in self.nodes],
        }


def exposure(
    graph: Graph,
    inputs: Inputs,
    before: Exposure | None = None,
    *,
    names: Collection[str] | None = None,
    quick: bool = False,
    progress: Callable[[str], object] = lambda name: None,
) -> Exposure:
    """What `inputs` (a picture, or see `run`) expose; with `before`, together with what was exposed then, only the rest
    being tried.

    `names` are the nodes that are tried (None: all). `quick`: rules that act row by row are tried on some rows alone, so
    that what is exposed may be counted as unseen.
    """
    known = {node.name: node for node in before.nodes} if before is not None else {}
    found: list[NodeExposure] = []

    def visit(node: Node, sources: list[IntArray], value: IntArray) -> IntArray:
        if node.op not in (INPUT, CONSTANT) and (names is None or node.name in names):
            found.append(_at(graph, node, sources, value, known.get(node.name), quick))
        progress(node.name)
        return value

    run(graph, inputs, alter=visit)
    if before is None:
        return Exposure(tuple(found))
    return replace(before, nodes=tuple(found), pictures=before.pictures + 1)


def score(
    golden: str | Path,
    model: str | Path | Graph | None = None,
    *,
    progress: Callable[[str], object] = lambda name: None,
) -> Exposure:
    """What the inputs of a golden file expose. `model` is the one it was made from, where it is not found by itself.

    Raises IntsimError for a golden file without its inputs, such as one of hashes alone.
    """
    with open_golden(golden) as reference:
        graph = model_behind(reference, model)
        inputs = recorded_inputs(reference, graph)
        content = reference.content_sha256
    return replace(exposure(graph, inputs, progress=progress), golden_sha256=content)


def load_score(path: str | Path) -> Exposure:
    """A score from the file that ``intsim score --json -o`` wrote; NotAScore for any other."""
    path = Path(path)
    require_file(path, "a score")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if (record["schema"], record["version"]) != (SCHEMA, VERSION):
            raise ValueError
        nodes = tuple(_node_of(node) for node in record["nodes"])
        return Exposure(nodes, int(record["pictures"]), str(record["golden_sha256"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise NotAScore(path) from None


def _node_of(record: Mapping[str, Any]) -> NodeExposure:
    rules = (tuple(map(str, record[key])) for key in ("exposed", "unseen", "equivalent"))
    return NodeExposure(str(record["name"]), str(record["op"]), *rules)


def _at(
    graph: Graph,
    node: Node,
    inputs: Sequence[IntArray],
    value: IntArray,
    before: NodeExposure | None,
    quick: bool,
) -> NodeExposure:
    pending = set(before.unseen) if before is not None else None
    exposed, unseen, silent = ([*part] for part in ((before.exposed, (), before.equivalent) if before else ((), (), ())))
    for rule in catalogue(graph, node):
        if pending is not None and rule.name not in pending:
            continue
        if pending is None and never(graph, node, rule):
            silent.append(rule.name)
            continue
        try:
            (exposed if exposes(graph, node, rule, inputs, value, quick) else unseen).append(rule.name)
        except NotApplicable:
            silent.append(rule.name)
    return NodeExposure(node.name, node.op, tuple(exposed), tuple(unseen), tuple(silent))


def exposes(graph: Graph, node: Node, rule: Rule, inputs: Sequence[IntArray], value: IntArray, quick: bool = False) -> bool:
    """Whether a rule broken at a node gives another tensor than `value`; one that cannot be computed is exposed.

    Raises NotApplicable for a mistake that these shapes leave no room for.
    """
    altered = rule.alter(computation_of(graph, node))
    rows = value.size // value.shape[-1] if value.ndim else 0
    if rule.by_rows and node.op in ROW_WISE and rows > 2 * ROWS and all(x.shape[:-1] == value.shape[:-1] for x in inputs):
        some = _some(inputs[0].reshape(rows, -1))
        part = [x.reshape(rows, -1)[some] for x in inputs]
        if _differs(graph, node, altered, part, value.reshape(rows, -1)[some]):
            return True
        if quick:
            return False
    return _differs(graph, node, altered, inputs, value)


def _some(rows: IntArray) -> IntArray:
    """The numbers of some rows: evenly spread, and those with the largest and smallest values, sums and spans."""
    low, high, total = rows.min(axis=1), rows.max(axis=1), rows.sum(axis=1, dtype=np.int64)
    ends = [int(end(facts)) for facts in (low, high, total, high - low) for end in (np.argmin, np.argmax)]
    return np.unique([*np.linspace(0, len(rows) - 1, ROWS).astype(int), *ends])


def _differs(graph: Graph, node: Node, altered: Any, inputs: Sequence[IntArray], value: IntArray) -> bool:
    try:
        return not np.array_equal(compute(graph, node, altered, inputs), value)
    except NotApplicable:
        raise
    except ValueError:
        return True
