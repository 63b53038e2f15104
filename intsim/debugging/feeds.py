"""What a segment of nodes is computed from: whose values these are, and which other values give the device's output.

A dump may be stitched together: the consequences of a wrong tensor replaced by golden values, or one tensor taken from
another run. Then a node is right although its output does not follow from the inputs that were dumped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, product
from math import prod

import numpy as np

from ..arith import IntArray
from ..engine.graph import Graph
from ..engine.interpreter import replay
from ..errors import FileError
from ..storage.golden_file import GoldenFile
from .dumps import Dump, DumpedTensor

DEVICE, GOLDEN, MODEL = "device", "golden", "model"
STIMULUS = "stimulus"  # golden values that the device was given
EXPECTED = "expected"  # what the reference makes of the dumped inputs of a tensor, in its place
TRIED = 64  # combinations of other values

Others = Mapping[str, Mapping[str, IntArray]]


def value_of(dumped: DumpedTensor, graph: Graph, name: str) -> IntArray | None:
    """The device's values, in the node's type where they fit its format; None where they cannot be compared."""
    tensor = graph.tensors[name]
    if dumped.problem or dumped.values is None or dumped.shape != tensor.shape or dumped.dtype.kind not in "iu":
        return None
    try:
        value = np.asarray(dumped.values()[()])
    except FileError:
        return None  # the accumulated comparison reports it
    fits = tensor.fmt.holds(int(value.min()), int(value.max()))
    return value.astype(tensor.fmt.dtype, copy=False) if fits else value


def golden_value(golden: GoldenFile, name: str) -> IntArray | None:
    """The golden file's values of a node, None where it has none."""
    record = golden.tensors.get(name)
    return None if record is None or record.values is None else record.values[()]


def feed_value(graph: Graph, golden: GoldenFile, dump: Dump, name: str, origin: str) -> IntArray | None:
    """The values of a tensor by their origin; None where there are none in its format."""
    if origin == DEVICE:
        value = value_of(dump.tensors[name], graph, name)
    else:
        value = replay(graph, graph.by_name[name], []) if origin == MODEL else golden_value(golden, name)
    return value if value is not None and value.dtype == graph.tensors[name].fmt.dtype else None


def other_values(
    graph: Graph, golden: GoldenFile, dump: Dump, feeds: Mapping[str, str], expected: Mapping[str, IntArray]
) -> Others:
    """For each of `feeds` that the device dumped, by origin, the values it may have had instead: the golden ones, and those
    of `expected`, where they are not the dumped ones.
    """
    others: dict[str, dict[str, IntArray]] = {}
    for name in (name for name, origin in feeds.items() if origin == DEVICE):
        known = [feed_value(graph, golden, dump, name, DEVICE)]
        for origin, value in ((GOLDEN, golden_value(golden, name)), (EXPECTED, expected.get(name))):
            if value is not None and not any(other is not None and np.array_equal(value, other) for other in known):
                known.append(value)
                others.setdefault(name, {})[origin] = value
    return others


def other_inputs(
    graph: Graph,
    segment: Sequence[str],
    feeds: Mapping[str, IntArray],
    others: Others,
    holds: Callable[[list[IntArray]], bool],
) -> dict[str, str]:
    """The fewest feeds to be replaced by values of `others` so that `holds(inputs of the last node)`, with the origin of
    these values; none where nothing does. `feeds` are the values that the segment was computed from.
    """
    for choice in _choices(others):
        values = dict(feeds) | {name: others[name][origin] for name, origin in choice.items()}
        try:
            if (inputs := _inputs(graph, segment, values)) and holds(inputs):
                return choice
        except ValueError:
            continue  # the reference rejects these values
    return {}


def _choices(others: Others) -> Iterator[dict[str, str]]:
    """Few feeds before many; where there are too many combinations, one feed at a time, then all by their golden values."""
    names = list(others)
    if prod(1 + len(others[name]) for name in names) > TRIED:
        yield from ({name: origin} for name in names for origin in others[name])
        yield {name: next(iter(others[name])) for name in names}
        return
    for size in range(1, len(names) + 1):
        for chosen in combinations(names, size):
            for origins in product(*(others[name] for name in chosen)):
                yield dict(zip(chosen, origins, strict=True))


def _inputs(graph: Graph, segment: Sequence[str], values: dict[str, IntArray]) -> list[IntArray]:
    """The inputs of the last node of a segment, computed from `values`."""
    for name in segment[:-1]:
        node = graph.by_name[name]
        values[name] = replay(graph, node, [values[source] for source in node.inputs])
    return [values[source] for source in graph.by_name[segment[-1]].inputs]
