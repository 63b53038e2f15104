"""An integer graph computed in torch, on any device, a batch at a time: every operator from the trace of its own equation.

A trace stands for all nodes of an operator whose arguments have the same shapes and formats; weights, biases and multipliers
are its inputs, so that a network in training is traced once. An equation that needs more than 64 bits is computed by the
reference, picture by picture.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from ..arith import I64, AnyArray, Format, TensorBound
from ..dialects import Dialect
from ..engine.graph import CONSTANT, INPUT, Graph, Node, operator, releases
from ..engine.interpreter import replay
from ..errors import GraphError
from ..ops import Op
from ..symbols import NotTraceable
from ..symbols.expression import in_order
from ..symbols.trace import Traced, traced
from .expressions import TooWide, evaluate

TYPES = {np.dtype(name): getattr(torch, name) for name in ("uint8", "int8", "int16", "int32", "int64")}


@dataclass(frozen=True)
class _Call:
    """A traced operator; None where its equation needs more than 64 bits. `params` are inputs of the trace, too."""

    found: Traced | None
    params: tuple[str, ...] = ()


class Traces:
    """The traces of operators, each made once; networks in training share theirs from step to step."""

    def __init__(self) -> None:
        self.known: dict[Any, _Call] = {}

    def of(self, graph: Graph, node: Node) -> _Call:
        """The trace for a node: with its arrays as inputs, or where that leaves 64 bits with what they hold now."""
        op = operator(node)
        bounds = [_widest(graph.tensors[name]) for name in node.inputs]
        open_ = tuple(key for key, param in op.params.items() if param.ndim != (0,) and param.fmt is not I64)
        shapes = {key: np.shape(node.params[key]) for key in open_}
        fixed = {key: value for key, value in node.params.items() if key not in open_}
        key = (
            op.name,
            graph.dialect,
            *((b.shape, b.lo, b.hi) for b in bounds),
            *shapes.items(),
            *map(_hashed, fixed.items()),
        )
        if key not in self.known:
            general = {key: TensorBound.full(shape, op.params[key].fmt) for key, shape in shapes.items()}
            self.known[key] = _Call(_fitting(op, bounds, {**fixed, **general}, graph.dialect), open_)
        if self.known[key].found is not None:
            return self.known[key]
        own = [TensorBound(b.shape, b.fmt, b.lo, b.hi) for b in (graph.tensors[name] for name in node.inputs)]
        return _Call(_fitting(op, own, dict(node.params), graph.dialect))


def _widest(bound: TensorBound) -> TensorBound:
    """A tensor of any value of its format; of 64 bits what is proved."""
    return bound if bound.fmt is I64 else TensorBound.full(bound.shape, bound.fmt)


def _hashed(item: tuple[str, Any]) -> tuple[str, Any]:
    key, value = item
    return key, (value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value


def _fitting(op: Op, bounds: list[TensorBound], params: Mapping[str, Any], dialect: Dialect) -> Traced | None:
    """The trace of an operator; None where it cannot be traced so, or needs more than 64 bits."""
    try:
        found = traced(op, bounds, params, dialect if op.choices or op.built_in else None)
    except (NotTraceable, ValueError):
        return None
    wide = any(not I64.holds(x.lo, x.hi) for x in in_order([found.out, *found.refusals]))
    return None if wide else found


class Integers:
    """The network of an integer graph on a device."""

    def __init__(self, graph: Graph, device: torch.device | str = "cpu", traces: Traces | None = None) -> None:
        self.graph, self.device = graph, torch.device(device)
        self.traces = Traces() if traces is None else traces

    def tensors(self, inputs: Mapping[str, Tensor], names: Collection[str] | None = None) -> dict[str, Tensor]:
        """The values of the named nodes (None: all), [batch, ...] in the types of their formats; constants without a batch.

        `inputs` are those of the graph by name, each [batch, ...]. Raises GraphError where an operator refuses its input, as
        a row whose wrapped sum is 0.
        """
        wanted = set(self.graph.by_name if names is None else names)
        last = max(i for i, node in enumerate(self.graph.nodes) if node.name in wanted)
        nodes = self.graph.nodes[: last + 1]
        released, values, found = releases(nodes), dict[str, Tensor](), dict[str, Tensor]()
        batch = len(next(iter(inputs.values())))
        with torch.no_grad():
            for node in nodes:
                value = inputs[node.name].to(self.device) if node.op == INPUT else self._computed(node, values, batch)
                values[node.name] = value
                if node.name in wanted:
                    found[node.name] = value
                for name in released[node.name]:
                    del values[name]
        return found

    def _computed(self, node: Node, values: Mapping[str, Tensor], batch: int) -> Tensor:
        if node.op == CONSTANT:
            return self._sent(np.asarray(node.params["value"]))
        bound = self.graph.tensors[node.name]
        given = [values[name] for name in node.inputs]
        batched = [x.ndim > len(self.graph.tensors[name].shape) for x, name in zip(given, node.inputs, strict=True)]
        call = self.traces.of(self.graph, node)
        if call.found is None:
            return self._by_reference(node, given, batched, batch)
        names = list(call.found.inputs)[: len(given)]
        params = {key: self._sent(np.asarray(node.params[key])) for key in call.params}
        roots = [call.found.out, *call.found.refusals]
        order = [*names, *params]

        def compute(*tensors: Tensor) -> tuple[Tensor, ...]:
            return tuple(evaluate(roots, dict(zip(order, tensors, strict=True)), self.device))

        tensors = (*given, *params.values())
        dims = (*(0 if has else None for has in batched), *(None for _ in params))
        found = vmap(compute, in_dims=dims)(*tensors) if any(batched) else compute(*tensors)
        for refusal in found[1:]:
            if bool(refusal.any()):
                self._by_reference(node, given, batched, batch)  # raises an error that names the row
                raise GraphError(f"{node.name}: the operator refuses its input")
        return found[0].to(TYPES[_dtype(bound, self.graph, node)])

    def _by_reference(self, node: Node, given: list[Tensor], batched: list[bool], batch: int) -> Tensor:
        """The value of a node by the reference, picture by picture."""
        arrays = [x.cpu().numpy() for x in given]
        count = batch if any(batched) else 1
        results = [
            replay(self.graph, node, [x[i] if has else x for x, has in zip(arrays, batched, strict=True)], "ref")
            for i in range(count)
        ]
        if any(result.dtype == object for result in results):
            raise TooWide(f"{node.name}: a value passes 64 bits, which tensors do not have")
        return self._sent(np.stack(results) if any(batched) else results[0])

    def _sent(self, value: AnyArray) -> Tensor:
        return torch.from_numpy(np.array(value)).to(self.device)


def _dtype(bound: TensorBound, graph: Graph, node: Node) -> np.dtype[Any]:
    """The type of a node's values, after the rule for results outside their format."""
    rule = operator(node).overflow(graph.dialect)
    fmt: Format = bound.settled(rule).fmt
    return np.dtype(fmt.dtype)
