"""A scoreboard for benches in Python: every row that a device returns is compared with the reference at once.

It needs nothing of a simulator, so that it goes with cocotb, pyuvm or a bench of one's own:

    board = Scoreboard.of("rtl.h5", "encoder.blocks.0.norm1")
    board.sent(row)          # what went into the device, in order
    board.received(row)      # what came out: AssertionError with node, index, due and found where it is another row
    board.finished()         # AssertionError if rows are missing
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..arith import IntArray
from ..dialects import Dialect, resolve
from ..engine.graph import Graph
from ..errors import IntsimError
from ..ops import REGISTRY
from ..storage.model_file import load

__all__ = ["Scoreboard"]


class Scoreboard:
    """The rows of one operator: what is due follows from what was sent, by the reference.

    `op` takes one array and computes its rows, of length `columns`, independently of each other: requant, layernorm,
    shiftmax, the GELUs. `name` is in what it says. IntsimError for an operator that does not.
    """

    def __init__(
        self, op: str, params: Mapping[str, Any], dialect: Dialect | str, columns: int | None = None, name: str = ""
    ) -> None:
        if op not in REGISTRY:
            raise IntsimError(f"there is no operator {op!r}; there are: {', '.join(sorted(REGISTRY))}")
        self.operator, self.params, self.columns, self.name = REGISTRY[op], dict(params), columns, name or op
        if len(self.operator.inputs) != 1 or self.operator.variadic or self.operator.moves or op == "mean":
            raise IntsimError(f"{op} does not take one array row by row")
        self.dialect = resolve(dialect)
        self.waiting: deque[IntArray] = deque()
        self.checked = 0

    @classmethod
    def of(cls, model: str | Path | Graph, node: str) -> Scoreboard:
        """The scoreboard of a node of a model, a file or a graph. IntsimError where there is none of that name."""
        graph = model if isinstance(model, Graph) else load(model)
        found = next((n for n in graph.nodes if n.name == node), None)
        if found is None or found.op not in REGISTRY:
            raise IntsimError(f"the model has no operator {node!r}; 'intsim inspect' lists its nodes")
        return cls(found.op, found.params, graph.dialect, graph.tensors[node].shape[-1], node)

    def sent(self, row: Sequence[int] | IntArray) -> None:
        """A row went into the device."""
        values = np.asarray(row, np.int64)
        if self.columns is not None and values.shape != (self.columns,):
            raise ValueError(f"{self.name}: a row has {self.columns} elements, not {list(values.shape)}")
        self.waiting.append(values)

    def due(self, row: Sequence[int] | IntArray) -> IntArray:
        """What the reference makes of a row."""
        x = np.asarray(row, np.int64)
        return np.asarray(self.operator.ref(x, **self.params, dialect=self.dialect))

    def received(self, row: Sequence[int] | IntArray) -> None:
        """A row came out of the device. AssertionError where it is not what the earliest row that was sent gives."""
        found = np.asarray(row, np.int64)
        if not self.waiting:
            raise AssertionError(f"node {self.name}: row {self.checked} came out, but only {self.checked} went in")
        due = self.due(self.waiting.popleft())
        if found.shape != due.shape:
            raise AssertionError(f"node {self.name}: row {self.checked} has {found.size} elements, due are {due.size}")
        if (found != due).any():
            at = int(np.argmax(found != due))
            count = int((found != due).sum())
            raise AssertionError(
                f"node {self.name}, index [{self.checked}, {at}]: due {int(due[at])}, found {int(found[at])}"
                f" ({count} of {due.size} elements of the row differ)"
            )
        self.checked += 1

    def finished(self) -> None:
        """The device is done. AssertionError where rows did not come out."""
        if self.waiting:
            count = len(self.waiting)
            raise AssertionError(f"node {self.name}: {count} of {self.checked + count} rows are missing")
