"""A rule, the computation it alters, and how an altered computation is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..arith import Format, IntArray, Overflow, wrap
from ..dialects import Dialect
from ..engine.graph import CONSTANT, INPUT, Node, NodeContext
from ..ops import REGISTRY
from .admitted import altered
from .equations import DEVIATING_EQUATIONS
from .layout_faults import LAYOUT_FAULTS

# Every row of the output depends only on the same row of the inputs.
ROW_WISE = ("requant", "residual_add", "layernorm", "shiftmax", "shiftgelu", "lambda_shiftgelu", "shift_exp", "linear")


@dataclass(frozen=True)
class Computation:
    """What one node computes. `deviations` are departures from the equation that no parameter or choice expresses."""

    op: str
    params: Mapping[str, Any]
    dialect: Dialect
    deviations: Mapping[str, Any] = field(default_factory=dict)

    def with_params(self, **params: Any) -> Computation:
        """The same computation with other parameters."""
        return replace(self, params={**self.params, **params})

    def with_deviation(self, key: str, value: Any) -> Computation:
        """The same computation with one more deviation from the equation."""
        return replace(self, deviations={**self.deviations, key: value})


@dataclass(frozen=True)
class Rule:
    """One deviation: what it changes (`key`), the wrong `value`, the right one, and the alteration itself.

    `value` is None for a rule without one, such as a layout fault. A `relative` value is added to the parameter `key`.
    """

    key: str
    value: int | str | None
    alter: Callable[[Computation], Computation]
    instead: str = ""  # what the reference has; "" where the name implies it
    by_rows: bool = True  # whether a row of the output still depends only on the same row of the inputs
    relative: bool = False

    @property
    def name(self) -> str:
        """``key=value``, ``key+1`` or ``key-1``, or the key alone."""
        if self.value is None:
            return self.key
        return f"{self.key}{self.value:+d}" if self.relative else f"{self.key}={self.value}"

    def __str__(self) -> str:
        if self.value is None or not self.instead:
            return f"`{self.name}`"
        return f"{self.key} `{self.value}` instead of `{self.instead}`"


Alteration = Callable[[Computation], Computation]


def deviation(key: str, value: int | str, instead: str, by_rows: bool = True) -> Rule:
    """A rule whose computation has a deviation of this name."""
    return Rule(key, value, deviate(key, value), instead, by_rows)


def deviate(key: str, value: Any) -> Alteration:
    """Add a deviation to a computation."""
    return lambda computation: computation.with_deviation(key, value)


def computation_of(graph: NodeContext, node: Node) -> Computation:
    """What the reference computes at a node."""
    return Computation(node.op, dict(node.params), graph.dialect)


def compute(graph: NodeContext, node: Node, computation: Computation, inputs: Sequence[IntArray]) -> IntArray:
    """The output of an altered node, in the node's own format.

    Raises ValueError where it cannot be computed: the operator refuses the shapes, a division by zero, an output of
    another shape.
    """
    expected = graph.tensors[node.name]
    deviations = dict(computation.deviations)
    layout, bit = deviations.pop("layout", None), deviations.pop("bit", None)
    if node.op in (INPUT, CONSTANT):
        value = inputs[0]
    else:
        require_shapes(graph, node, computation)
        value = _deviating(computation, deviations, inputs) if deviations else _plain(graph, node, computation, inputs)
    value = value if expected.fmt.holds(int(value.min()), int(value.max())) else wrap(value, expected.fmt)
    if layout is not None:
        value = wrap(LAYOUT_FAULTS[layout](value.astype(np.int64), expected.fmt), expected.fmt)
    if bit is not None:
        value = bit.applied(value.astype(np.int64), expected.fmt)
    if node.op not in ROW_WISE and value.shape != expected.shape:
        raise ValueError(f"the output would be {list(value.shape)}, not {list(expected.shape)}")
    return np.ascontiguousarray(value.astype(expected.fmt.dtype))


def require_shapes(graph: NodeContext, node: Node, computation: Computation) -> None:
    """Raises ValueError where the operator refuses the shapes of the inputs and parameters.

    Inputs that are all zero in a dialect that wraps leave `infer` no bound to prove: it can refuse only the shapes. The
    equations and references do not check shapes.
    """
    zeros = [replace(graph.tensors[name], lo=0, hi=0, row_sum=0) for name in node.inputs]
    op = REGISTRY[computation.op]
    op.output(zeros, _params_of(computation), computation.dialect.replace(overflow=Overflow.WRAP32))


def _params_of(computation: Computation) -> dict[str, Any]:
    """The parameters that the operator takes; an altered operator may take fewer than the node has."""
    return {key: value for key, value in computation.params.items() if key in REGISTRY[computation.op].params}


def _deviating(computation: Computation, deviations: Mapping[str, Any], inputs: Sequence[IntArray]) -> IntArray:
    """The result of the equation with deviations."""
    wide = [a.astype(np.int64) for a in inputs]
    params = {k: v.astype(np.int64) if isinstance(v, np.ndarray) else v for k, v in computation.params.items()}
    if computation.op not in DEVIATING_EQUATIONS:
        return altered(computation.op, wide, params, computation.dialect, deviations)
    return DEVIATING_EQUATIONS[computation.op](wide, params, computation.dialect, deviations)


def _plain(graph: NodeContext, node: Node, computation: Computation, inputs: Sequence[IntArray]) -> IntArray:
    """The operator's own result: from the compiled implementation where bounds are proved, else from the reference."""
    op, params, dialect = REGISTRY[computation.op], _params_of(computation), computation.dialect
    try:
        out = op.output([graph.tensors[name] for name in node.inputs], params, dialect)
        if computation.op in ROW_WISE:  # as many rows as are given
            out = replace(out, shape=(*inputs[0].shape[:-1], *out.shape[-1:]))
        return op.compute("fast", list(inputs), params, dialect, out)
    except ValueError:
        return np.asarray(op.intermediates(inputs, params, dialect)["out"])


@dataclass(frozen=True, order=True)
class Bit:
    """One bit, flipped or stuck, of every element or of the element at `index`."""

    kind: str  # bitflip, stuck-at-0, stuck-at-1
    number: int
    index: tuple[int, ...] | None = None

    def __str__(self) -> str:
        return f"{self.kind}:{self.number}" + ("@" + ",".join(map(str, self.index)) if self.index is not None else "")

    def applied(self, value: IntArray, fmt: Format) -> IntArray:
        """`value` (int64) with the bit changed."""
        mask = 1 << self.number
        place: Any = ... if self.index is None else self.index
        changed = value.copy()
        part = value[place]
        kinds = {"bitflip": part ^ mask, "stuck-at-1": part | mask, "stuck-at-0": part & ~mask}
        changed[place] = kinds[self.kind]
        return wrap(changed, fmt)
