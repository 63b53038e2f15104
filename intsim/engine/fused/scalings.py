"""The constants of requantizations, made once per graph."""

from __future__ import annotations

from ...arith import signed
from ...kernels.scaling import Scaling, scaling
from ..graph import Node
from .step import Links


def scaling_of(links: Links, requant: Node) -> Scaling:
    """The constants of a requantization."""

    def make() -> Scaling:
        params = requant.params
        columns = links.tensor(requant).shape[-1]
        rounding = links.graph.dialect.requant_rounding
        value = links.graph.tensors[requant.inputs[0]]
        reach = max(-value.lo, value.hi)
        return scaling(params["m"], params["e"], rounding, signed(int(params["b"])), columns, reach)

    return links.prepared(requant, "scaling", make)
