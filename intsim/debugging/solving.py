"""Parameters solved from the data: which weight, bias or multiplier of a channel makes a wrong column right on all rows.

A linear layer that was dumped gives an equation a row: ``x @ (w' - w) + (b' - b) = device - expected``. Behind a
requantization, which loses bits, single parameters are tried: every bit of every weight of the channel, every bit of its
bias, its multiplier and shift, and those of its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arith import IntArray
from ..ops import REGISTRY
from .movement import Movement
from .region import Region
from .segment import Segment

COLUMNS = 4  # wrong channels that are solved; more of them have another cause
SAMPLE = 48  # rows on which single parameters are tried first
LISTED = 3  # weights that are listed


@dataclass(frozen=True)
class _Channel:
    """A channel of a layer: its index, weights and bias, the inputs [rows, k] and the right accumulators."""

    index: int
    weight: IntArray
    bias: int
    x: IntArray
    acc: IntArray

    def change(self, difference: IntArray) -> str:
        """What parameters add `difference` to the accumulators, in words; "" where none do."""
        if (difference == difference[0]).all():
            return _parameter("bias", [self.index], self.bias, self.bias + int(difference[0]))
        if found := self._one_weight(difference):
            return found
        return self._weights(difference)

    def _one_weight(self, difference: IntArray) -> str:
        along, square = self.x.T @ difference, (self.x * self.x).sum(axis=0)
        for i in np.flatnonzero((square > 0) & (along != 0)):
            step, rest = divmod(int(along[i]), int(square[i]))
            if not rest and np.array_equal(self.x[:, i] * step, difference):
                return _parameter("weight", [self.index, int(i)], int(self.weight[i]), int(self.weight[i]) + step)
        return ""

    def _weights(self, difference: IntArray) -> str:
        """All weights at once, where there are as many rows as weights."""
        if len(self.x) < self.x.shape[1]:
            return ""
        solution = np.linalg.lstsq(self.x.astype(np.float64), difference.astype(np.float64), rcond=None)[0]
        steps = np.rint(solution).astype(np.int64)
        if not np.array_equal(self.x @ steps, difference):
            return ""
        changed = np.flatnonzero(steps)
        listed = [f"[{self.index}, {i}] {self.weight[i] + steps[i]} for {self.weight[i]}" for i in changed[:LISTED]]
        more = f", ... ({len(changed)} weights)" if len(changed) > LISTED else ""
        return f"weight {', '.join(listed)}{more}"


def solved(segment: Segment, region: Region) -> Movement | None:
    """The parameters of a linear layer, or of a requantization, that make the wrong columns right; None where none do."""
    columns = region.places[-1] if region.places else None
    last = segment.nodes[-1]
    if columns is None or len(columns) > COLUMNS or last.op not in ("linear", "requant"):
        return None
    linear = next((node for node in segment.nodes if node.op == "linear"), None)
    if linear is None and last.op == "linear":
        return None
    device = _rows(segment.device)
    said = []
    for j in columns:
        if last is linear:
            channel = _channel(segment, linear, j)
            change = channel.change(device[:, j] - channel.acc)
        else:
            change = next(_single(segment, linear, j, device[:, j]), "")
        if not change:
            return None
        said.append(change)
    return Movement("parameters", f"the output is that of {'; '.join(said)}")


def _rows(x: IntArray) -> IntArray:
    return x.reshape(-1, x.shape[-1]).astype(np.int64)


def _channel(segment: Segment, linear: Any, j: int) -> _Channel:
    params = linear.params
    x, acc = _rows(segment.reference[linear.inputs[0]]), _rows(segment.reference[linear.name])
    weight = np.asarray(params["weight"][j], np.int64)
    return _Channel(j, weight, int(params["bias"][j]), x, acc[:, j])


def _single(segment: Segment, linear: Any, j: int, device: IntArray) -> Iterator[str]:
    """Single parameters behind a requantization that give the device's column."""
    node = segment.nodes[-1]
    p = {key: np.atleast_1d(np.asarray(node.params[key], np.int64)) for key in ("m", "e")}
    m, e = (int(p[key][j if len(p[key]) > 1 else 0]) for key in ("m", "e"))
    acc = _rows(segment.reference[node.inputs[0]])[:, j]
    wrong = np.flatnonzero(device != _rows(segment.expected)[:, j])
    some = np.unique(np.concatenate([wrong[:SAMPLE], np.arange(min(SAMPLE, len(acc)))]))

    def fits(changed: IntArray, m: int, e: int) -> bool:
        return np.array_equal(_requantized(segment, changed[some], m, e), device[some]) and np.array_equal(
            _requantized(segment, changed, m, e), device
        )

    for other in (j - 1, j + 1):
        if len(p["m"]) > 1 and 0 <= other < len(p["m"]):
            theirs = {"multiplier": (int(p["m"][other]), e), "shift": (m, int(p["e"][other]))}
            theirs["multiplier and shift"] = theirs["multiplier"][0], theirs["shift"][1]
            yield from (
                f"the {what} of channel {other} in channel {j}" for what, (a, b) in theirs.items() if fits(acc, a, b)
            )
    for bit in range(31):
        if fits(acc, m ^ 1 << bit, e):
            yield _parameter("m", [j], m, m ^ 1 << bit)
    for bit in range(6):
        if 1 <= e ^ 1 << bit <= 62 and fits(acc, m, e ^ 1 << bit):
            yield _parameter("e", [j], e, e ^ 1 << bit)
    if linear is None:
        return
    channel, where = _channel(segment, linear, j), f" at {linear.name}"
    biases = [*(_flipped(channel.bias, bit, 32) for bit in range(32)), 0, *map(int, linear.params["bias"])]
    for bias in dict.fromkeys(biases):
        if bias != channel.bias and fits(acc + (bias - channel.bias), m, e):
            yield _parameter("bias", [j], channel.bias, bias) + where
    flipped = [np.array([_flipped(int(w), bit, 8) for w in channel.weight]) for bit in range(8)]
    for values in [*flipped, *(np.full(len(channel.weight), value) for value in (0, *range(-128, 128)))]:
        tried = acc[some, None] + channel.x[some] * (values - channel.weight)
        alike = (_requantized(segment, tried, m, e) == device[some, None]).all(axis=0)
        for i in np.flatnonzero(alike):
            if fits(acc + channel.x[:, i] * int(values[i] - channel.weight[i]), m, e):
                yield _parameter("weight", [j, int(i)], int(channel.weight[i]), int(values[i])) + where


def _requantized(segment: Segment, acc: IntArray, m: int, e: int) -> IntArray:
    node, op = segment.nodes[-1], REGISTRY["requant"]
    params = {"m": np.array([m]), "e": np.array([e]), "b": node.params["b"]}
    out = op.intermediates([acc.reshape(-1, 1)], params, segment.graph.dialect)["out"]
    return np.asarray(out).reshape(acc.shape)


def _flipped(value: int, bit: int, bits: int) -> int:
    """A value of `bits` bits in two's complement with one bit flipped."""
    raw = value & (1 << bits) - 1 ^ 1 << bit
    return raw - (1 << bits) if raw >> bits - 1 else raw


def _parameter(name: str, index: list[int], right: int, wrong: int) -> str:
    """A parameter that is wrong, and its bit where it is one."""
    changed = (right ^ wrong) & 0xFFFFFFFF
    bit = f" (bit {changed.bit_length() - 1})" if changed.bit_count() == 1 else ""
    return f"{name}{index} = {wrong} instead of {right}{bit}"
