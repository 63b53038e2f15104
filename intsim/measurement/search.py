"""Pictures that show more: made ones that drive a network to its ends, and the fewest of many that expose the most."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..arith import IntArray
from ..engine.graph import Graph
from .exposure import Exposure, NodeExposure, exposure

Mistake = tuple[str, str]  # node and rule


@dataclass(frozen=True)
class Chosen:
    """A picture that was chosen: its name, its pixels, and how many mistakes it exposes beyond those chosen before."""

    name: str
    image: IntArray
    exposes: int


def searched(
    graph: Graph,
    start: Exposure,
    pictures: Iterable[tuple[str, IntArray]],
    *,
    most: int | None = None,
    progress: Callable[[str], object] = lambda name: None,
) -> tuple[Exposure, list[Chosen]]:
    """What `start` and `pictures` expose together, and those of the pictures that this takes.

    The picture that exposes most comes first, then the one that adds most to it, until none adds anything or there are
    `most`. Of large tensors some rows are tried (see `exposure`), so that a picture may expose more than is said.
    """
    unseen = {(node.name, rule) for node in start.nodes for rule in node.unseen}
    tried: list[tuple[str, IntArray, set[Mistake]]] = []
    for name, image in pictures:
        progress(name)
        found = exposure(graph, image, start, quick=True)
        left = {(node.name, rule) for node in found.nodes for rule in node.unseen}
        if left < unseen:
            tried.append((name, image, unseen - left))
    chosen: list[Chosen] = []
    while tried and (most is None or len(chosen) < most):
        name, image, shown = max(tried, key=lambda item: len(item[2]))  # the first of equal ones
        if not shown:
            break
        chosen.append(Chosen(name, image, len(shown)))
        unseen -= shown
        tried = [(other, pixels, more - shown) for other, pixels, more in tried if other != name]
    nodes = tuple(_with(node, unseen) for node in start.nodes)
    return replace(start, nodes=nodes, pictures=start.pictures + len(chosen)), chosen


def _with(node: NodeExposure, unseen: set[Mistake]) -> NodeExposure:
    """A node with only these mistakes unseen."""
    left = tuple(rule for rule in node.unseen if (node.name, rule) in unseen)
    return replace(node, exposed=(*node.exposed, *(rule for rule in node.unseen if rule not in left)), unseen=left)


# --- made pictures ----------------------------------------------------------------------------------------------------

Draw = np.random.Generator
NOISE = 9  # pixels of the coarsest grain, and one more


def stimuli(height: int, width: int, count: int, seed: int) -> Iterator[tuple[str, IntArray]]:
    """Pictures u8 [height, width, 3] by name: extremes, steps, stripes, sparse dots, noise of several grains."""
    draw = np.random.default_rng(seed)
    for number in range(count):
        kind = list(KINDS)[number % len(KINDS)]
        image = np.broadcast_to(KINDS[kind](height, width, draw), (height, width, 3)).astype(np.uint8)
        yield f"{kind}-{seed}-{number}", np.ascontiguousarray(image)


def _noise(height: int, width: int, draw: Draw) -> IntArray:
    grain = int(draw.integers(1, NOISE))
    small = draw.integers(0, 256, (-(-height // grain), -(-width // grain), 3), np.int64)
    return small.repeat(grain, 0).repeat(grain, 1)[:height, :width]


def _checks(height: int, width: int, draw: Draw) -> IntArray:
    grain = int(draw.integers(1, NOISE))
    down, across = np.indices((height, width)) // grain
    return ((across + down) % 2 * 255)[..., None]


def _stripes(height: int, width: int, draw: Draw) -> IntArray:
    return (np.arange(width) // int(draw.integers(1, NOISE)) % 2 * 255)[:, None]


def _dots(height: int, width: int, draw: Draw) -> IntArray:
    return np.where(draw.random((height, width, 1)) < 0.01, 255, 0)


def _half(height: int, width: int, draw: Draw) -> IntArray:
    return np.where(np.arange(width)[:, None] < width // 2, _noise(height, width, draw), 0)


def _ramp(height: int, width: int, draw: Draw) -> IntArray:
    down, across = np.indices((height, width))
    return ((across * 255 // max(width - 1, 1) + down * int(draw.integers(0, 8))) % 256)[..., None]


KINDS: dict[str, Callable[[int, int, Draw], IntArray]] = {
    "dark": lambda height, width, draw: _noise(height, width, draw) // 64,
    "bright": lambda height, width, draw: 255 - _noise(height, width, draw) // 64,
    "checks": _checks,
    "stripes": _stripes,
    "dots": _dots,
    "noise": lambda height, width, draw: np.where(_noise(height, width, draw) > 127, 255, 0),
    "coarse": _noise,
    "half": _half,
    "colour": lambda height, width, draw: draw.integers(0, 256, 3),
    "ramp": _ramp,
}
