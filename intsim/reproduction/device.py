"""What a device computes, where rules tell: an operator outside its network, under broken rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ..arith import Format, IntArray, Scale, TensorBound
from ..dialects import ISEGMENTER, Dialect
from ..engine.graph import Node
from ..rules import Computation, Rule, compute
from ..testing.calls import Call
from .axes import Axes, Places

OUT = "out"


@dataclass(frozen=True)
class _Alone:
    """A call as the context of one node; its inputs may be any values of their formats."""

    dialect: Dialect
    nodes: tuple[Node, ...]
    tensors: Mapping[str, TensorBound]
    scales: Mapping[str, Scale | None]


@dataclass(frozen=True)
class RuledDevice:
    """A device that breaks `rules`: of the node whose call is `axes.call`, with inputs and a result of these formats.

    A rule is applied to the parameters of a smaller call; where it holds parameters of the whole node, it is applied to
    those, and what it makes of them is cut.
    """

    rules: tuple[Rule, ...]
    axes: Axes
    inputs: Sequence[Format]
    fmt: Format

    def _altered(self, call: Call) -> Computation:
        computation = Computation(call.op, dict(call.params), call.dialect or ISEGMENTER)
        for rule in self.rules:
            computation = rule.alter(computation)
        return computation

    @cached_property
    def _whole(self) -> Computation:
        return self._altered(self.axes.call)

    def result(self, call: Call, places: Places | None = None) -> IntArray | None:
        """What the device gives for a call, a cut at `places`; None where it cannot be computed."""
        names = tuple(f"in{i}" for i in range(len(call.inputs)))
        tensors = {
            name: TensorBound.full(x.shape, fmt) for name, x, fmt in zip(names, call.inputs, self.inputs, strict=True)
        }
        tensors[OUT] = TensorBound.full(call.expected.shape, self.fmt)
        node = Node(OUT, call.op, names, dict(call.params))
        context = _Alone(call.dialect or ISEGMENTER, (node,), tensors, dict.fromkeys(tensors))
        for whole in (False, True) if places is not None else (False,):
            try:
                computation = self._cut(places or {}) if whole else self._altered(call)
                value = compute(context, node, computation, list(call.inputs))
            except (ValueError, IndexError):
                continue
            return value if value.shape == call.expected.shape else None
        return None

    def _cut(self, places: Places) -> Computation:
        """The altered node, with its parameters as a cut leaves them."""
        return replace(self._whole, params=self.axes.params(self._whole.params, places))
