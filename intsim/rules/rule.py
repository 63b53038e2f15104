"""A rule, the work it alters, and how altered work is computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..arith import Format, IntArray, wrap
from ..dialects import Dialect
from ..engine.graph import CONSTANT, INPUT, Node, NodeContext
from ..ops._op import REGISTRY
from .equations import TWISTED
from .layout_faults import LAYOUT_FAULTS

# Every row of the output depends on the same row of the inputs only.
ROW_WISE = ("requant", "residual_add", "layernorm", "shiftmax", "shiftgelu", "lambda_shiftgelu", "shift_exp", "linear")


@dataclass(frozen=True)
class Work:
    """What one node computes."""

    op: str
    params: Mapping[str, Any]
    dialect: Dialect
    twists: Mapping[str, Any] = field(default_factory=dict)

    def with_params(self, **params: Any) -> Work:
        """The same with other parameters."""
        return replace(self, params={**self.params, **params})

    def with_twist(self, key: str, value: Any) -> Work:
        """The same with one more departure from the equation."""
        return replace(self, twists={**self.twists, key: value})


@dataclass(frozen=True)
class Rule:
    """One departure: its name, what the reference has in its place ("" where the name says it), and what it does."""

    name: str
    instead: str
    alter: Callable[[Work], Work]
    by_rows: bool = True  # whether a row of the output still depends on the same row of the inputs only

    def __str__(self) -> str:
        key, _, value = self.name.partition("=")
        if self.instead and value:
            return f"{key} `{value}` instead of `{self.instead}`"
        return f"`{self.name}`" + (f" instead of `{self.instead}`" if self.instead else "")


def work_of(graph: NodeContext, node: Node) -> Work:
    """What the reference computes at a node."""
    return Work(node.op, dict(node.params), graph.dialect)


def compute(graph: NodeContext, node: Node, work: Work, inputs: Sequence[IntArray]) -> IntArray:
    """The output of an altered node, in the node's own type. A ValueError says where it cannot be computed."""
    due = graph.tensors[node.name]
    twists = dict(work.twists)
    layout, bit = twists.pop("layout", None), twists.pop("bit", None)
    if node.op in (INPUT, CONSTANT):
        value = inputs[0]
    elif twists:
        wide = [a.astype(np.int64) for a in inputs]
        params = {k: v.astype(np.int64) if isinstance(v, np.ndarray) else v for k, v in work.params.items()}
        value = TWISTED[work.op](wide, params, work.dialect, twists)
    else:
        value = _straight(graph, node, work, inputs)
    value = value if due.fmt.holds(int(value.min()), int(value.max())) else wrap(value, due.fmt)
    if layout is not None:
        value = wrap(LAYOUT_FAULTS[layout](value.astype(np.int64), due.fmt), due.fmt)
    if bit is not None:
        value = bit.applied(value.astype(np.int64), due.fmt)
    if node.op not in ROW_WISE and value.shape != due.shape:
        raise ValueError(f"the output would be {list(value.shape)}, not {list(due.shape)}")
    return np.ascontiguousarray(value.astype(due.fmt.dtype))


def _straight(graph: NodeContext, node: Node, work: Work, inputs: Sequence[IntArray]) -> IntArray:
    """Compiled where its bounds can be proved, by the reference elsewhere."""
    op = REGISTRY[work.op]
    params = {key: value for key, value in work.params.items() if key in op.params}
    try:
        out = op.output([graph.tensors[name] for name in node.inputs], params, work.dialect)
        if work.op in ROW_WISE:  # as many rows as are given
            out = replace(out, shape=(*inputs[0].shape[:-1], *out.shape[-1:]))
        return op.compute("fast", list(inputs), params, work.dialect, out)
    except ValueError:
        return np.asarray(op.intermediates(inputs, params, work.dialect)["out"])


@dataclass(frozen=True, order=True)
class Bit:
    """One bit of every element, or of the one at `index`, flipped or stuck."""

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
