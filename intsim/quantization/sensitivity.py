"""Sensitivity: the signal-to-quantization-noise ratio of every tensor of the integer graph against the real-valued one.

Both graphs run together on the same pictures. Two ratios are computed per tensor, each ``10 * log10(sum(x**2) /
sum((x - s*q)**2))`` in decibels: as the network runs, with the accumulated noise of earlier layers (`sqnr`), and with the
rounded real inputs (`own`), which is the noise that the layer adds by itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arith import AnyArray, Format
from ..engine.classes import order
from ..engine.graph import Graph, releases
from ..engine.interpreter import Progress, replay, run
from ..nets.real import RealGraph, RealNode
from .calibrate import Statistics
from .lower import LOWERING_RULES


@dataclass(frozen=True)
class Noise:
    """The noise of one tensor; a ratio is None where there is no error.

    `clipped` is the share of real values outside the range of its integer format.
    """

    name: str
    op: str
    fmt: Format
    sqnr: float | None
    own: float | None
    clipped: float

    def record(self) -> dict[str, Any]:
        """As plain data."""
        ratios = {"sqnr_db": self.sqnr, "own_sqnr_db": self.own}
        return {"name": self.name, "op": self.op, "format": str(self.fmt), **ratios, "clipped": self.clipped}


class _Energies:
    """Sums over pictures: of signal and noise energy, of clipped and all values."""

    def __init__(self) -> None:
        self.signal = self.noise = self.own_signal = self.own_noise = 0.0
        self.clipped = self.count = 0


def sensitivity(
    net: RealGraph,
    graph: Graph,
    pictures: Sequence[AnyArray],
    trained: RealGraph | None = None,
    progress: Progress = lambda name: None,
) -> list[Noise]:
    """The noise of every tensor of `graph` against `net`, from which it was lowered, over `pictures` (u8 [H, W, 3]).

    Where `net` replaces a network that was `trained` with L2 norms, the running tensors after the norms are compared with
    those of the trained network. In execution order, without data movements; `progress(name)` is called after each one.
    """
    energies = {node.name: _Energies() for node in net.nodes if node.op in LOWERING_RULES and node.op != "input"}
    released = releases(net.nodes)
    for picture in pictures:
        exact = _after_norms(trained, picture) if trained is not None and trained.normalised else {}
        _walk_together(net, graph, picture, energies, released, exact, progress)
    by_name = {node.name: node for node in net.nodes}
    return [_noise(graph, by_name[name], sums) for name, sums in energies.items()]


def _walk_together(
    net: RealGraph,
    graph: Graph,
    picture: AnyArray,
    energies: Mapping[str, _Energies],
    released: Mapping[str, list[str]],
    exact: Mapping[str, AnyArray],
    progress: Progress,
) -> None:
    """Run both graphs on a picture, and add the energies of each operation to its sums."""
    integers: dict[str, AnyArray] = {}

    def compare(node: RealNode, inputs: list[AnyArray], value: AnyArray) -> None:
        running = value if node.op == "input" else _computed(graph, node, [integers[name] for name in node.inputs])
        integers[node.name] = running
        if node.name in energies:
            rounded = [_rounded(graph, name, x) for name, x in zip(node.inputs, inputs, strict=True)]
            expected = exact.get(node.name, value)
            _add(energies[node.name], graph, node, (running, expected), (_computed(graph, node, rounded), value))
        for name in released[node.name]:
            del integers[name]
        progress(node.name)

    net.run(picture, compare)


def _after_norms(trained: RealGraph, picture: AnyArray) -> dict[str, AnyArray]:
    """The tensors of a network that depend on its L2 norms."""
    kept: dict[str, AnyArray] = {}
    dependent: set[str] = set()

    def keep(node: RealNode, inputs: list[AnyArray], value: AnyArray) -> None:
        if node.op == "unit" or dependent.intersection(node.inputs):
            dependent.add(node.name)
            if node.op in LOWERING_RULES:
                kept[node.name] = value

    trained.run(picture, keep)
    return kept


def agreement(trained: RealGraph, statistics: Statistics, graph: Graph, pictures: Sequence[AnyArray]) -> float | None:
    """The share of pixels of the calibration pictures with the same label in integers as in the trained network; for a
    classifier, the share of pictures with the same top class. None for an encoder.
    """
    if trained.encodes:
        return None
    expected = [trained.run(picture) for picture in pictures] if trained.normalised else statistics.labels
    if trained.classifies:
        tops = [order(graph, run(graph, picture))[0] for picture in pictures]
        return float(np.mean([top == int(np.argmax(logits)) for top, logits in zip(tops, expected, strict=True)]))
    return float(np.mean([np.mean(run(graph, p) == labels) for p, labels in zip(pictures, expected, strict=True)]))


def integer_node(graph: Graph, name: str) -> str:
    """The integer node that represents a real one: its requantization where it has one."""
    return requant if (requant := f"{name}.requant") in graph.by_name else name


def _computed(graph: Graph, node: RealNode, inputs: list[AnyArray]) -> AnyArray:
    """The integer operation for `node`, requantized."""
    value = replay(graph, graph.by_name[node.name], inputs)
    end = integer_node(graph, node.name)
    return value if end == node.name else replay(graph, graph.by_name[end], [value])


def _rounded(graph: Graph, name: str, value: AnyArray) -> AnyArray:
    """Real values rounded to the integers that represent them."""
    end = integer_node(graph, name)
    fmt, scale = graph.tensors[end].fmt, graph.scales[end]
    if value.dtype != np.float64 or scale is None:
        return value
    return np.clip(np.rint(value / scale), fmt.lo, fmt.hi).astype(fmt.dtype)


def _add(
    sums: _Energies, graph: Graph, node: RealNode, running: tuple[AnyArray, AnyArray], alone: tuple[AnyArray, AnyArray]
) -> None:
    """Add a tensor: its integers and the expected real values, as the network runs and by itself."""
    end = integer_node(graph, node.name)
    fmt, scale = graph.tensors[end].fmt, graph.scales[end]
    assert scale is not None
    (integers, expected), (own_integers, value) = running, alone
    sums.signal += float((expected * expected).sum())
    sums.noise += float(((expected - integers * scale) ** 2).sum())
    sums.own_signal += float((value * value).sum())
    sums.own_noise += float(((value - own_integers * scale) ** 2).sum())
    sums.clipped += int(((value > (fmt.hi + 0.5) * scale) | (value < (fmt.lo - 0.5) * scale)).sum())
    sums.count += value.size


def _noise(graph: Graph, node: RealNode, sums: _Energies) -> Noise:
    fmt = graph.tensors[integer_node(graph, node.name)].fmt
    sqnr, own = _decibels(sums.signal, sums.noise), _decibels(sums.own_signal, sums.own_noise)
    return Noise(node.name, graph.by_name[node.name].op, fmt, sqnr, own, sums.clipped / max(sums.count, 1))


def _decibels(signal: float, noise: float) -> float | None:
    """The ratio in decibels: None without noise, 0 where the signal is all zeros."""
    if noise == 0:
        return None
    return 10 * math.log10(signal / noise) if signal else 0.0
