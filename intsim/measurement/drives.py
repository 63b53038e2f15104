"""Tensors that drive one node to its ends: values of its inputs, within their bounds, that show what pictures rarely do.

`drives` yields them, the most telling first, each as one array per input in the node's own shapes. Requantizations are
given the two ends of every step of their output. These decide: a device that never falls where the reference never falls
is right everywhere if it is right at both ends of every step. `Drive.complete` says that all of them have been given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..arith import IntArray, TensorBound
from ..engine.graph import CONSTANT, Graph, Node
from ..ops import REGISTRY
from ..rules.solving import nearest_misses, ties

STEPS = 1 << 21  # ends of steps that are given at most, over all channels
PAIRS = ("ma", "ea"), ("mc", "ec")
RANDOM = 6  # tensors of random values at the end, each at another magnitude


@dataclass(frozen=True)
class Drive:
    """Values of a node's inputs. `complete`: with those before, they show every monotone mistake that any values show."""

    inputs: tuple[IntArray, ...]
    complete: bool = False


def drives(graph: Graph, node: Node, seed: int = 0) -> Iterator[Drive]:
    """Values for the inputs of a node. Inputs that are constants of the model keep their values."""
    draw = np.random.default_rng(seed)
    bounds = [graph.tensors[name] for name in node.inputs]
    for drive in MAKERS.get(node.op, _random)(graph, node, bounds, draw):
        fixed: list[IntArray | None] = [
            np.asarray(graph.by_name[name].params["value"]) if _fixed(graph, name) else None for name in node.inputs
        ]
        given = zip(drive.inputs, bounds, fixed, strict=True)
        inputs = tuple(_held(x, bound) if value is None else value for x, bound, value in given)
        yield Drive(inputs, drive.complete and not any(_fixed(graph, name) for name in node.inputs))


def _fixed(graph: Graph, name: str) -> bool:
    return graph.by_name[name].op == CONSTANT


def _held(x: IntArray, bound: TensorBound) -> IntArray:
    """Values within a tensor's bounds, in its shape and type."""
    x = np.clip(x.astype(np.int64), bound.lo, bound.hi).reshape(bound.shape)
    if bound.row_sum is not None:
        total = np.maximum(np.abs(x).sum(axis=-1, keepdims=True), 1)
        x = np.where(total > bound.row_sum, np.sign(x) * (np.abs(x) * bound.row_sum // total), x)
    return np.ascontiguousarray(x.astype(bound.fmt.dtype))


def _tensors(rows: IntArray, bound: TensorBound) -> Iterator[IntArray]:
    """Rows as tensors of a shape, the last one filled up with the rows from the start."""
    count = math.prod(bound.shape[:-1])
    for first in range(0, len(rows), count):
        yield rows.take(range(first, first + count), axis=0, mode="wrap").reshape(bound.shape)


# --- any operator -----------------------------------------------------------------------------------------------------


def _random(graph: Graph, node: Node, bounds: Sequence[TensorBound], draw: np.random.Generator) -> Iterator[Drive]:
    """Random values from the smallest magnitudes to the full range, and both ends."""
    for bits in np.linspace(1, 16, RANDOM).astype(int):
        yield Drive(tuple(_noise(bound, draw, int(bits)) for bound in bounds))
    for ends in ((True, True), (True, False), (False, True), (False, False)):
        yield Drive(
            tuple(np.full(bound.shape, bound.hi if ends[i % 2] else bound.lo, np.int64) for i, bound in enumerate(bounds))
        )
    yield Drive(tuple(np.where(draw.random(bound.shape) < 0.5, bound.lo, bound.hi) for bound in bounds))


def _noise(bound: TensorBound, draw: np.random.Generator, bits: int = 62) -> IntArray:
    low, high = max(bound.lo, -(1 << bits)), min(bound.hi, 1 << bits)
    return draw.integers(min(low, bound.hi), max(high, bound.lo), bound.shape, np.int64, endpoint=True)


# --- requantization ---------------------------------------------------------------------------------------------------


def _requant(graph: Graph, node: Node, bounds: Sequence[TensorBound], draw: np.random.Generator) -> Iterator[Drive]:
    bound, channels = bounds[0], bounds[0].shape[-1]
    pairs = np.broadcast_arrays(np.zeros(channels), np.atleast_1d(node.params["m"]), np.atleast_1d(node.params["e"]))
    m, e = (part.astype(np.int64) for part in pairs[1:])
    yield Drive((next(_tensors(_telling(m, e, bound, draw), bound)),))
    rising = bool((m >= 0).all())
    if rising:
        if np.ndim(node.params["m"]) == 0:
            ends, complete = _ends_of_steps(graph, node, bound, 1)
            rows = np.resize(ends[:, 0], (-(-len(ends) // channels), channels))
        else:
            rows, complete = _ends_of_steps(graph, node, bound, channels)
        given = list(_tensors(draw.permuted(rows, axis=0) if not complete else rows, bound))
        for i, tensor in enumerate(given):
            yield Drive((tensor,), complete and i + 1 == len(given))
    yield from _random(graph, node, bounds, draw)


def _telling(m: IntArray, e: IntArray, bound: TensorBound, draw: np.random.Generator) -> IntArray:
    """A row or more with the ends, the ties and the nearest misses of every channel [rows, channels]."""
    columns = []
    solved: dict[tuple[int, int], list[int]] = {}
    for pair in zip(m.tolist(), e.tolist(), strict=True):
        if pair not in solved:
            found = [*ties(*pair, bound.lo, bound.hi), *nearest_misses(*pair, bound.lo, bound.hi)]
            solved[pair] = [bound.lo, bound.hi, *found, *(-x for x in found), 0, 1, -1]
        columns.append(solved[pair])
    rows = max(map(len, columns))
    table = np.array([np.resize(column, rows) for column in columns], np.int64).T
    noise = np.stack([draw.permutation(row) for row in table])
    return np.concatenate([table, noise])


def _ends_of_steps(graph: Graph, node: Node, bound: TensorBound, channels: int) -> tuple[IntArray, bool]:
    """The first and last value of every step of a rising requantization [values, channels], and whether these are all."""

    def rescaled(acc: IntArray) -> IntArray:
        return np.asarray(REGISTRY["requant"].intermediates([acc], dict(node.params), graph.dialect)["out"], np.int64)

    lowest, highest = (rescaled(np.full((1, channels), end, np.int64)) for end in (bound.lo, bound.hi))
    outputs = np.arange(int(lowest.min()) + 1, int(highest.max()) + 1, dtype=np.int64)
    complete = 2 * len(outputs) * channels <= STEPS
    if not complete:
        outputs = outputs[np.linspace(0, len(outputs) - 1, STEPS // (2 * channels)).astype(int)]
    # The first value that reaches each output, by bisection; where none does, the highest value.
    below = np.full((len(outputs), channels), bound.lo - 1, np.int64)
    reached = np.full((len(outputs), channels), bound.hi, np.int64)
    while (reached - below > 1).any():
        middle = (below + reached) >> 1
        there = rescaled(np.maximum(middle, bound.lo)) >= outputs[:, None]
        below, reached = np.where(there, below, middle), np.where(there, middle, reached)
    ends = np.concatenate([reached, np.maximum(reached - 1, bound.lo)])
    return np.concatenate([np.full((1, channels), end, np.int64) for end in (bound.lo, bound.hi)] + [ends]), complete


def _residual_add(graph: Graph, node: Node, bounds: Sequence[TensorBound], draw: np.random.Generator) -> Iterator[Drive]:
    """Both arms at their ends, and at random; ties and near misses of either; every value of either, if it has one
    multiplier, beside a value of the other that keeps the sum from saturating.
    """
    yield from _random(graph, node, bounds, draw)
    for scale in (1, 2, 4):  # sums about the ends of the output
        yield Drive(tuple(_noise(bound, draw) // scale for bound in bounds))
    alone = all(np.ndim(node.params[f"m{arm}"]) == 0 for arm in "ac")
    swept = [_sweep(graph, node, bounds, i) for i in (0, 1)] if alone else []
    complete = bool(swept) and all(decides for _, _, decides in swept)
    for i, bound in enumerate(bounds):
        channels = bound.shape[-1]
        m, e = (np.broadcast_to(np.atleast_1d(node.params[key]), channels).astype(np.int64) for key in PAIRS[i])
        for tensor in _tensors(_telling(m, e, bound, draw), bound):
            yield Drive(_beside(tensor, np.zeros(1, np.int64), bounds, i))
        if not swept:
            continue
        size = -(-(bound.hi - bound.lo + 1) // channels) * channels
        rows = [np.resize(values, (size // channels, channels)) for values in swept[i][:2]]
        both = list(zip(*(_tensors(part, bound) for part in rows), strict=True))
        for k, (tensor, other) in enumerate(both, 1):
            yield Drive(_beside(tensor, other, bounds, i), complete and (i, k) == (1, len(both)))


def _beside(tensor: IntArray, other: IntArray, bounds: Sequence[TensorBound], arm: int) -> tuple[IntArray, ...]:
    """Values of one arm and those of the other at the same places; an arm that is repeated takes those that fit."""
    inputs = [tensor, tensor]
    theirs = bounds[1 - arm]
    inputs[1 - arm] = np.resize(other, theirs.shape)
    return tuple(inputs)


def _sweep(graph: Graph, node: Node, bounds: Sequence[TensorBound], arm: int) -> tuple[IntArray, IntArray, bool]:
    """Every value of one arm, for each a value of the other with which the sum does not saturate, and whether there are
    such.
    """
    fmt = graph.tensors[node.name].fmt
    values = [np.arange(bound.lo, bound.hi + 1, dtype=np.int64) for bound in bounds]
    size = max(map(len, values))
    steps = REGISTRY[node.op].intermediates(
        [np.resize(part, (size, 1)) for part in values], dict(node.params), graph.dialect
    )
    rescaled = [steps[key][: len(part), 0] for key, part in zip(("arm_a", "arm_c"), values, strict=True)]
    ours, theirs = rescaled[arm], rescaled[1 - arm]
    inside = np.flatnonzero((theirs >= fmt.lo) & (theirs <= fmt.hi))
    lowest, highest = inside[np.argmin(theirs[inside])], inside[np.argmax(theirs[inside])]
    zero = int(np.clip(-bounds[1 - arm].lo, 0, len(theirs) - 1))
    at = np.where(ours > fmt.hi, lowest, np.where(ours < fmt.lo, highest, zero))
    total = ours + theirs[at]
    decides = bounds[0].shape == bounds[1].shape and theirs[zero] == 0 and fmt.holds(int(total.min()), int(total.max()))
    return values[arm], values[1 - arm][at], bool(decides)


# --- rows -------------------------------------------------------------------------------------------------------------


def _rows(graph: Graph, node: Node, bounds: Sequence[TensorBound], draw: np.random.Generator) -> Iterator[Drive]:
    """Rows of one value, of two, with one that stands out, halves at either end, small and large noise."""
    bound = bounds[0]
    for tensor in _tensors(_telling_rows(bound, draw), bound):
        yield Drive((tensor, *(_noise(other, draw) for other in bounds[1:])))
    yield from _random(graph, node, bounds, draw)


def _telling_rows(bound: TensorBound, draw: np.random.Generator) -> IntArray:
    length, low, high = bound.shape[-1], bound.lo, bound.hi
    place = np.arange(length, dtype=np.int64)
    rows = [np.full(length, value, np.int64) for value in (0, low, high, 1, -1, low + 1, high - 1)]
    for a, b in ((low, high), (high, low), (0, high), (low, 0), (0, 1), (-1, 0), (high - 1, high), (low, low + 1)):
        rows += [np.where(place % 2 == 0, a, b), np.where(place < length // 2, a, b)]
        rows += [np.where(place == at, b, a) for at in {0, length // 2, length - 1}]
    rows += [place - length // 2, np.linspace(low, high, length).astype(np.int64)]
    for bits in range(1, 17):
        limit = 1 << bits
        for _ in range(4):
            row = draw.integers(max(low, -limit), min(high, limit), length, np.int64, endpoint=True)
            rows += [row, np.where(draw.random(length) < 8 / length, row, 0)]
            rows.append(np.clip(row + draw.integers(low, high, endpoint=True), low, high))
    return np.asarray(np.clip(np.stack(rows), low, high))


# --- products ---------------------------------------------------------------------------------------------------------


def _linear(graph: Graph, node: Node, bounds: Sequence[TensorBound], draw: np.random.Generator) -> Iterator[Drive]:
    """The rows that give the largest and smallest sum of every channel, and those that leave a register and come back."""
    bound, weight = bounds[0], np.asarray(node.params["weight"], np.int64)
    most, least = np.where(weight > 0, bound.hi, bound.lo), np.where(weight > 0, bound.lo, bound.hi)
    early = np.arange(weight.shape[1]) < weight.shape[1] // 2
    widest = np.argsort(-np.abs(weight).sum(axis=1), kind="stable")
    rows = [most[widest], least[widest], np.where(early, most, least)[widest], np.where(early, least, most)[widest]]
    table = np.stack(rows, axis=1).reshape(-1, weight.shape[1])
    for tensor in _tensors(table, bound):
        yield Drive((tensor,))
    yield from _rows(graph, node, bounds, draw)


def _matmul(graph: Graph, node: Node, bounds: Sequence[TensorBound], draw: np.random.Generator) -> Iterator[Drive]:
    """Rows at one end times columns at either, the signs turning halfway."""
    first = bounds[0]
    for turn in (False, True):
        for a in (first.lo, first.hi):
            inputs = []
            for i, bound in enumerate(bounds):
                inner = -1 if i == 0 or node.params["transpose_b"] else -2
                early = np.indices(bound.shape)[inner] < bound.shape[inner] // 2
                end = a if i == 0 else bound.lo
                other = end if i == 0 or not turn else bound.hi
                inputs.append(np.where(early, end, other))
            yield Drive(tuple(inputs))
    yield from _random(graph, node, bounds, draw)


Maker = Callable[[Graph, Node, Sequence[TensorBound], np.random.Generator], Iterator[Drive]]
MAKERS: dict[str, Maker] = {
    "requant": _requant,
    "residual_add": _residual_add,
    "layernorm": _rows,
    "mean": _rows,
    "shiftmax": _rows,
    "masked_shiftmax": _rows,
    "shiftgelu": _rows,
    "lambda_shiftgelu": _rows,
    "linear": _linear,
    "matmul": _matmul,
}
