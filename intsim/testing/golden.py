"""Access to a golden file from tests: values, inputs, parameters, and a comparison that shows the steps to the first
wrong element."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
from .calls import copied, unknown_operator
from .failures import Difference, difference, table


class Golden:
    """An open golden file and its model. Every array it returns is a copy."""

    def __init__(self, file: GoldenFile, graph: Graph) -> None:
        self.file, self.graph = file, graph
        self._recomputed: dict[str, IntArray] = {}

    def __repr__(self) -> str:
        return f"<golden file {self.file.path}, {len(self.graph.nodes)} nodes in dialect {self.dialect.name}>"

    @property
    def dialect(self) -> Dialect:
        """The dialect in which the file was computed."""
        return self.graph.dialect

    def __getitem__(self, name: str) -> IntArray:
        """The output of a node, in its own type; recomputed if the file leaves it out."""
        self._node(name)
        return self._value(name).copy()

    def inputs(self, name: str) -> tuple[IntArray, ...]:
        """The inputs of a node, in the order its operator takes them."""
        return tuple(self._value(source).copy() for source in self._node(name).inputs)

    def params(self, name: str) -> dict[str, Any]:
        """The parameters of a node by name, as its operator takes them."""
        return copied(self._node(name).params)

    def nodes(self, op: str | None = None) -> tuple[str, ...]:
        """The names of all nodes in execution order, or of those of one operator. Raises IntsimError if there are none."""
        known = (*sorted(REGISTRY), INPUT, CONSTANT)
        if op is not None and op not in known:
            raise unknown_operator(op, known)
        names = tuple(node.name for node in self.graph.nodes if op in (None, node.op))
        if not names:
            raise IntsimError(f"{self.file.path}: none of its {len(self.graph.nodes)} nodes is a {op}")
        return names

    def check(self, name: str, values: ArrayLike) -> None:
        """Compare a node's output with `values`, bit for bit. Raises a Difference that shows the first wrong element, the
        number of wrong elements, and the steps to the expected value.
        """
        __tracebackhide__ = True
        self._node(name)
        expected = self._value(name)
        problem, index = difference(expected, values, 0)
        if not problem:
            return
        text = f"{name}: {problem}"
        if index is not None:
            text += f"\n\n{table(trace_element(self.graph, self.file, name, index))}"
        raise Difference(text, expected.copy(), values, index)

    def _node(self, name: str) -> Node:
        if name not in self.graph.by_name:
            raise IntsimError(f"{self.file.path}: there is no node {name!r}; 'intsim inspect' lists their names")
        return self.graph.by_name[name]

    def _value(self, name: str) -> IntArray:
        record = self.file.tensors.get(name)
        stored = record.verified() if record is not None else None
        if stored is not None:
            return stored
        if name not in self._recomputed:
            node = self.graph.by_name[name]
            if node.op == INPUT:
                raise IntsimError(
                    f"{self.file.path}: contains no values of {name} or of the nodes after it; write it at level boundary"
                )
            self._recomputed[name] = replay(self.graph, node, [self._value(source) for source in node.inputs])
        return self._recomputed[name]


@contextmanager
def open_with_model(path: Path, model: Path | None = None) -> Iterator[Golden]:
    """Open a golden file with its model: `model`, or by default the shipped one or one in the folder of the file."""
    with open_golden(path) as file:
        yield Golden(file, model_behind(file, model))
