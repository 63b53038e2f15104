"""The plan of a run: which nodes are computed together, given the nodes whose values are observed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from ..arith.jit import HAS_COMPILER
from ..kernels.isa import Isa, chosen
from .fused import PATTERNS, Links, Step
from .graph import Graph, releases

PLANS = 8  # cached per graph, one for each set of observed nodes


@dataclass
class _Cache:
    """The cache of a graph, deleted with it: plans by set of observed nodes, packed weights and tables by node."""

    plans: dict[tuple[frozenset[str], Isa], Plan] = field(default_factory=dict)
    prepared: dict[Any, Any] = field(default_factory=dict)


CACHES: WeakKeyDictionary[Graph, _Cache] = WeakKeyDictionary()


class Plan:
    """Steps in execution order; as in a graph, `released` maps each step to the values that are not used after it."""

    def __init__(self, steps: list[Step]) -> None:
        self.nodes = tuple(steps)
        self.output = self.nodes[-1]
        self.released = releases(self.nodes)


def fused(graph: Graph, kept: Collection[str]) -> Plan:
    """The plan that computes the values of the nodes in `kept` and the graph's output; cached with the graph.

    Without a compiler every node is a separate step.
    """
    cache = CACHES.setdefault(graph, _Cache())
    key = (frozenset(kept), chosen())
    plan = cache.plans.get(key)
    if plan is None:
        plan = _made(graph, kept, cache.prepared)
        if len(cache.plans) >= PLANS:
            cache.plans.clear()
        cache.plans[key] = plan
    return plan


def _made(graph: Graph, kept: Collection[str], prepared: dict[Any, Any]) -> Plan:
    links = Links(graph, kept, prepared)
    patterns = PATTERNS if HAS_COMPILER else ()
    covered: set[str] = set()
    steps: dict[str, Step] = {}
    for node in graph.nodes:
        if node.name not in covered:
            step = next((matched for match in patterns if (matched := match(links, node)) is not None), None)
            step = step or Step((node,), node.inputs)
            covered.update(part.name for part in step.nodes)
            steps[step.name] = step
    return Plan([steps[node.name] for node in graph.nodes if node.name in steps])


def unfused(graph: Graph) -> Plan:
    """The plan in which every node is a separate step."""
    return Plan([Step((node,), node.inputs) for node in graph.nodes])
