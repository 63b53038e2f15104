"""`Builder`: a graph written node by node, each checked and proved as it is added.

>>> import intsim
>>> net = intsim.Builder("isegmenter", name="my unit")
>>> x = net.input("x", "i8", (4, 8), scale=0.05)
>>> with net.scope("mlp"):
...     y = net.linear(x, weight=[[1] * 8] * 3, bias=[0] * 3, scales={"weight": 0.01})
...     q = net.rescale(y, scale=0.1, bits=8)
>>> q.name, q.shape, str(q.fmt), q.bounds, q.scale
('mlp.requant1', (4, 3), 'i8', (-5, 5), 0.1)
>>> intsim.run(net.graph(), __import__("numpy").full((4, 8), 100, "int8"))[0]
array([4, 4, 4], dtype=int8)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arith import Format, Scale, dyadic
from ..dialects import Dialect, resolve
from ..errors import GraphError
from ..ops import REGISTRY, Op
from .arguments import arrays, defaults, in_format
from .graph import CONSTANT, INPUT, CheckedNodes, Graph, Node, constant_node, input_node
from .inputs import input_params


@dataclass(frozen=True)
class Handle:
    """The output of a node that was added: give it to the operators that take it."""

    name: str
    _nodes: CheckedNodes = field(repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self._nodes.tensors[self.name].shape

    @property
    def fmt(self) -> Format:
        """Its format."""
        return self._nodes.tensors[self.name].fmt

    @property
    def bounds(self) -> tuple[int, int]:
        """The lowest and the highest value that are proved possible."""
        tensor = self._nodes.tensors[self.name]
        return tensor.lo, tensor.hi

    @property
    def scale(self) -> Scale | None:
        """The real value of one step, where it is known: one, or one per channel."""
        return self._nodes.scales[self.name]


Source = Handle | str  # a node, or its name


class Builder:
    """Writes a graph. Every operator, those of plugins among them, is a method: ``net.matmul(q, k, transpose_b=1)``.

    Its inputs are handles or names, its parameters are given by name: integers, lists or arrays of integers. ``name=`` names
    the node; by default it is the operator and a number. ``scale=`` is the real scale of a result that the operator does not
    determine, ``scales=`` those of parameters by name, such as ``{"weight": 0.01}``. Scales change no result.
    Every call raises a GraphError that names the node where something does not fit, BoundError where a value may leave
    its format.
    """

    def __init__(self, dialect: Dialect | str, *, name: str = "network") -> None:
        self.name = name
        self._nodes = CheckedNodes(resolve(dialect))
        self._scopes: list[str] = []

    def __repr__(self) -> str:
        return f"<builder of {self.name!r}, {len(self._nodes.by_name)} nodes in dialect {self._nodes.dialect.name}>"

    def __getattr__(self, op: str) -> Callable[..., Handle]:
        if op.startswith("_") or op not in REGISTRY:
            raise AttributeError(f"there is no operator {op!r}; there are: {', '.join(sorted(REGISTRY))}")
        operator = REGISTRY[op]

        def call(
            *inputs: Source,
            name: str | None = None,
            scale: float | None = None,
            scales: Mapping[str, Scale | None] | None = None,
            **params: Any,
        ) -> Handle:
            return self.node(op, inputs, params, name=name, scale=scale, scales=scales)

        call.__name__, call.__qualname__, call.__doc__ = op, f"Builder.{op}", operator.__doc__
        call.__signature__ = _signature(operator)  # type: ignore[attr-defined]
        return call

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *REGISTRY})

    # --- nodes ----------------------------------------------------------------------------------------------------------

    def input(
        self,
        name: str,
        fmt: str | Format,
        shape: Sequence[int],
        *,
        scale: float | None = None,
        lo: int | None = None,
        hi: int | None = None,
    ) -> Handle:
        """An input of the format ``u8``, ``i8``, ``i16`` or ``i32``; `lo` and `hi` are its range, by default the format's.

        The bounds of all other tensors are proved for values in the range, and a run refuses others.
        """
        return self._added(Node(self._named(name, INPUT), INPUT, (), input_params(fmt, shape, lo, hi), scale))

    def picture(self, name: str, height: int, width: int, *, scale: float | None = 1 / 255) -> Handle:
        """An input that is a picture, u8 [height, width, 3]."""
        return self._added(input_node(self._named(name, INPUT), height, width, scale))

    def constant(
        self,
        value: ArrayLike,
        *,
        name: str | None = None,
        fmt: str | Format | None = None,
        scale: Scale | None = None,
    ) -> Handle:
        """A tensor of the graph: an array or list of integers, in `fmt` (``i8``, ``i16``, ``i32``).

        By default that is an array's own type, and the narrowest one for a list.
        """
        named = self._named(name, "constant")
        try:
            array = in_format(value, fmt)
        except (TypeError, ValueError) as error:
            raise GraphError(f"{named}: {error}") from None
        return self._added(constant_node(named, array, scale))

    def node(
        self,
        op: str,
        inputs: Sequence[Source],
        params: Mapping[str, Any],
        *,
        name: str | None = None,
        scale: float | None = None,
        scales: Mapping[str, Scale | None] | None = None,
    ) -> Handle:
        """A node of any operator, by its name: what the methods that are called like operators do."""
        named = self._named(name, op)
        sources = tuple(self._source(x, named) for x in inputs)
        try:
            node = Node(named, op, sources, arrays({**defaults(op), **params}), scale, dict(scales or {}))
        except (TypeError, ValueError) as error:
            raise GraphError(f"{named}: {error}") from None
        if op in REGISTRY and (unknown := node.scales.keys() - REGISTRY[op].params.keys()):
            raise GraphError(f"{named}: {op} has no parameter {min(unknown)!r} to have a scale")
        handle = self._added(node)
        if scale is not None and (np.ndim(handle.scale or 0) or handle.scale != float(scale)):
            del self._nodes.by_name[named], self._nodes.tensors[named], self._nodes.scales[named]
            raise GraphError(
                f"{named}: the scale of {op} follows from those of its inputs and parameters; give these, or leave it out"
            )
        return handle

    def rescale(self, x: Source, scale: float, bits: int, *, name: str | None = None) -> Handle:
        """`x` at another real scale in `bits` bits: a requant by the multiplier and shift nearest to the scales' ratio.

        Raises GraphError where the scale of `x` is not known, or the ratio has no multiplier.
        """
        named = self._named(name, "requant")
        own = self._nodes.scales.get(self._source(x, named))
        if own is None:
            raise GraphError(f"{named}: the scale of {self._source(x, named)} is not known; give it a scale, or use requant")
        _require_scale(scale, named)
        try:
            m, e = dyadic(np.asarray(own, np.float64) / scale if np.ndim(own) else float(own) / scale)
        except ValueError as error:
            raise GraphError(f"{named}: {error}") from None
        return self.node("requant", [x], {"m": m, "e": e, "b": bits}, name=name, scale=scale)

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Within: the names of nodes begin with `name` and a dot."""
        self._scopes.append(name)
        try:
            yield
        finally:
            self._scopes.pop()

    def graph(self, output: Source | None = None) -> Graph:
        """The graph of all nodes, the last of which is its output; or of those alone that `output` is computed from.

        Raises GraphError where there is no input, or one that `output` does not need.
        """
        nodes = list(self._nodes.by_name.values())
        if output is not None:
            last = self._source(output, "output")
            if last not in self._nodes.by_name:
                raise GraphError(f"{last}: the output is not a node of this graph")
            nodes = _needed(self._nodes.by_name, last)
            if unused := [node.name for node in self._nodes.by_name.values() if node.op == INPUT and node not in nodes]:
                raise GraphError(f"{unused[0]}: {last} does not depend on this input; leave it out, or name another output")
        return Graph(nodes, self._nodes.dialect, {"name": self.name})

    # --- names ----------------------------------------------------------------------------------------------------------

    def _named(self, name: str | None, op: str) -> str:
        """The full name of a node: its own in the current scope, or the first that is free."""
        if name is not None:
            return ".".join([*self._scopes, name])
        number = 1
        while (found := ".".join([*self._scopes, f"{op}{number}"])) in self._nodes.by_name:
            number += 1
        return found

    def _source(self, x: Source, user: str) -> str:
        """The full name of an input; of a name, that in the current scope comes first."""
        if isinstance(x, Handle):
            if x._nodes is not self._nodes:
                raise GraphError(f"{user}: its input {x.name} is of another builder")
            return x.name
        if not isinstance(x, str):
            raise GraphError(f"{user}: an input is a handle or a name, not {type(x).__name__}; make arrays with constant()")
        scoped = ".".join([*self._scopes, x])
        return scoped if scoped in self._nodes.by_name else x

    def _added(self, node: Node) -> Handle:
        if node.scale is not None and node.op != CONSTANT:
            _require_scale(node.scale, node.name)
            node = replace(node, scale=float(node.scale))
        self._nodes.admit(node)
        return Handle(node.name, self._nodes)


def _require_scale(scale: Any, named: str) -> None:
    if not isinstance(scale, Real) or not 0 < float(scale) < float("inf"):
        raise GraphError(f"{named}: a scale is a number above 0, not {scale!r}")


def _needed(by_name: Mapping[str, Node], last: str) -> list[Node]:
    """The nodes that a node is computed from, in order, and itself."""
    needed, pending = set[str](), [last]
    while pending:
        name = pending.pop()
        if name not in needed:
            needed.add(name)
            pending += by_name[name].inputs
    return [node for name, node in by_name.items() if name in needed]


def _signature(operator: Op) -> inspect.Signature:
    """Of a method that adds a node: the operator's inputs, its parameters by name, and what a node has besides."""
    kinds = inspect.Parameter
    taken = [p for key, p in operator.signature.parameters.items() if key in operator.inputs]
    inputs = [
        p.replace(kind=p.kind if operator.variadic else kinds.POSITIONAL_ONLY, annotation="Handle | str") for p in taken
    ]
    params = [
        p.replace(kind=kinds.KEYWORD_ONLY) for key, p in operator.signature.parameters.items() if key in operator.params
    ]
    extra = [
        kinds(key, kinds.KEYWORD_ONLY, default=None) for key in ("name", "scale", "scales") if key not in operator.params
    ]
    return inspect.Signature([*inputs, *params, *extra], return_annotation="Handle")
