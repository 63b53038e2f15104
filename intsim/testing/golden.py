"""The tensors of a golden file for a test: values, inputs, parameters, and a check that shows the steps to the first
wrong element."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arith import IntArray
from ..dialects import Dialect
from ..engine.graph import CONSTANT, INPUT, Graph, Node
from ..engine.interpreter import replay
from ..errors import IntsimError
from ..ops import REGISTRY
from ..storage.golden_file import GoldenFile, open_golden
from ..storage.model_file import model_behind
from ..tracing.core import trace_element
from .failures import Difference, difference, table


class Golden:
    """An open golden file and the model behind it. Every array given out is the caller's own."""

    def __init__(self, file: GoldenFile, graph: Graph) -> None:
        self.file, self.graph = file, graph
        self._recomputed: dict[str, IntArray] = {}

    def __repr__(self) -> str:
        return f"<golden file {self.file.path}, {len(self.graph.nodes)} nodes in dialect {self.dialect.name}>"

    @property
    def dialect(self) -> Dialect:
        """The dialect it was computed in."""
        return self.graph.dialect

    def __getitem__(self, name: str) -> IntArray:
        """The output of a node, in its own type; recomputed where the file leaves it out."""
        self._node(name)
        return self._value(name).copy()

    def inputs(self, name: str) -> tuple[IntArray, ...]:
        """The inputs of a node, in the order its operator takes them."""
        return tuple(self._value(source).copy() for source in self._node(name).inputs)

    def params(self, name: str) -> dict[str, Any]:
        """The parameters of a node by name, as its operator takes them."""
        params = self._node(name).params
        return {key: v.copy() if isinstance(v, np.ndarray) else v for key, v in params.items()}

    def nodes(self, op: str | None = None) -> tuple[str, ...]:
        """The names of all nodes in execution order, or of those of one operator. None at all is an IntsimError."""
        known = (*sorted(REGISTRY), INPUT, CONSTANT)
        if op is not None and op not in known:
            raise IntsimError(f"there is no operator {op!r}; there are: {', '.join(known)}")
        names = tuple(node.name for node in self.graph.nodes if op in (None, node.op))
        if not names:
            raise IntsimError(f"{self.file.path}: none of its {len(self.graph.nodes)} nodes is a {op}")
        return names

    def check(self, name: str, values: ArrayLike) -> None:
        """Compare a node's output with `values`, bit for bit. A Difference shows the first wrong element, how many
        there are, and the steps to the right one.
        """
        __tracebackhide__ = True
        self._node(name)
        due = self._value(name)
        problem, index = difference(due, values, 0)
        if not problem:
            return
        text = f"{name}: {problem}"
        if index is not None:
            text += f"\n\n{table(trace_element(self.graph, self.file, name, index))}"
        raise Difference(text, due.copy(), values, index)

    def _node(self, name: str) -> Node:
        if name not in self.graph.by_name:
            raise IntsimError(f"{self.file.path}: there is no node {name!r}; 'intsim inspect' lists their names")
        return self.graph.by_name[name]

    def _value(self, name: str) -> IntArray:
        record = self.file.tensors.get(name)
        held = record.verified() if record is not None else None
        if held is not None:
            return held
        if name not in self._recomputed:
            node = self.graph.by_name[name]
            if node.op == INPUT:
                raise IntsimError(
                    f"{self.file.path}: holds no values of {name} nor of what follows it; write level boundary"
                )
            self._recomputed[name] = replay(self.graph, node, [self._value(source) for source in node.inputs])
        return self._recomputed[name]


@contextmanager
def open_with_model(path: Path, model: Path | None = None) -> Iterator[Golden]:
    """Open a golden file with the model behind it: `model`, or else the shipped one or one that lies beside the file."""
    with open_golden(path) as file:
        yield Golden(file, model_behind(file, model))
