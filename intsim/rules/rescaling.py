"""Rules of the multipliers and shifts of a node: other widths, other multipliers, and the rescaling of other stacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..arith import Rounding, Scale
from ..engine.graph import Node, NodeContext
from ..ops.requant import SHIFT
from .other_stacks import FLOAT_ROUNDINGS, REGISTER, InFloat32, OnCommonScale, in_float32, narrower
from .rule import Alteration, Rule, deviate, deviation

MULTIPLIERS = (("m", "e"), ("ma", "ea"), ("mc", "ec"))
NARROWEST = 8  # bits of a multiplier
NARROWER = (8,)  # bits of an output that saturates too early
# The roundings of every factor of a sum on a common scale: at once, or in two steps.
COMMON_SCALE_ROUNDINGS = {"": (Rounding.HALF_UP, None), ":gemmlowp": (Rounding.HALF_UP, Rounding.HALF_AWAY)}
COMMON_SHIFTS = (20, 15, 12)  # of the arms of a sum on a common scale: for int8, and two for int16
CHANNEL_TILES = (4, 8, 16, 32, 64, 128)


def other_stacks(graph: NodeContext, node: Node) -> Iterator[Rule]:
    """Rescaling in float32 or on a common scale, and saturation to a narrower width than the output's."""
    for width in (width for width in NARROWER if width < node.params["b"]):
        for how in ("signed", "symmetric", "wrap"):
            yield deviation("saturation", f"{how}:{width}", f"both ends of {node.params['b']} bits")
    key, plain = ("requant", "product") if node.op == "requant" else ("residual", "divided")
    for form, rescaling in _float32(graph, node).items():
        name = "float32" if form == plain else f"float32:{form}"
        for rounding in FLOAT_ROUNDINGS:
            suffix = "" if rounding == rescaling.rounding else f":{rounding}"
            yield Rule(key, name + suffix, deviate(key, replace(rescaling, rounding=rounding)), "integers")
    if node.op == "residual_add":
        arms, out = _scales_of(graph, node)
        widest = max(graph.tensors[name].fmt.bits for name in node.inputs)
        shifts = range(REGISTER - widest + 1)
        for left in dict.fromkeys([*(left for left in COMMON_SHIFTS if left in shifts), *reversed(shifts)]):
            for suffix, roundings in COMMON_SCALE_ROUNDINGS.items():
                summed = deviate(key, OnCommonScale((arms[0], arms[1]), out, left, roundings))
                yield Rule(key, f"common_scale:{left}{suffix}", summed, "each arm by itself")


def _float32(graph: NodeContext, node: Node) -> dict[str, InFloat32]:
    """The forms of a node's rescaling in float32 by name, each computation once."""
    arms, out = _scales_of(graph, node)
    by_multiplier = tuple(np.asarray(_real(*pair), np.float32) for pair in _pairs(node).values())
    forms: dict[tuple[bytes | bool, ...], tuple[str, InFloat32]] = {}
    for name, form in (*in_float32(arms, out, _parts(graph, node)), ("multiplier", InFloat32(by_multiplier))):
        forms.setdefault(form.identity(), (name, form))
    return dict(forms.values())


def _scales_of(graph: NodeContext, node: Node) -> tuple[tuple[Scale, ...], Scale]:
    """The scales of a node's inputs and of its output; those that its multipliers express where the graph has none."""
    arms, out = [graph.scales[name] for name in node.inputs], graph.scales[node.name]
    if out is not None and all(scale is not None for scale in arms):
        return tuple(scale for scale in arms if scale is not None), out
    return tuple(_real(*pair) for pair in _pairs(node).values()), 1.0


def _pairs(node: Node) -> dict[tuple[str, str], list[Any]]:
    """The multipliers and shifts of a node by their keys."""
    return {pair: [node.params[key] for key in pair] for pair in MULTIPLIERS if pair[0] in node.params}


def _real(m: Any, e: Any) -> Scale:
    """The factor that a multiplier and a shift stand for."""
    factor = np.asarray(m, np.float64) * 2.0 ** -np.asarray(e, np.float64)
    return factor if factor.ndim else float(factor)


def _parts(graph: NodeContext, node: Node) -> tuple[Scale, Scale] | None:
    """The two scales whose product is that of an accumulator: of an activation, and of the weights or the other factor."""
    before = next((other for other in graph.nodes if other.name == node.inputs[0]), None)
    if len(node.inputs) > 1 or before is None or before.op not in ("linear", "matmul"):
        return None
    first, product = graph.scales[before.inputs[0]], graph.scales[before.name]
    return None if first is None or product is None else (first, product / first)


def multipliers(graph: NodeContext, node: Node) -> Iterator[Rule]:
    """A wrong multiplier: too few bits, one for all channels, or that of another channel, tile or layer."""
    for pair, own in _pairs(node).items():
        arm = f"_{pair[0][1:]}" if len(pair[0]) > 1 else ""
        for bits in range(NARROWEST, REGISTER):
            for suffix, rounded in (("", False), (":rounded", True)):
                m, e = narrower(own[0], own[1], bits, rounded)
                if rounded and int(np.min(e)) < SHIFT.fmt.lo:
                    continue
                values = [_like(before, after) for before, after in zip(own, (m, e), strict=True)]
                name: int | str = f"{bits}{suffix}" if suffix else bits
                yield Rule(f"multiplier{arm}_bits", name, _set_pair(pair, values), "32")
        for origin, instead, values in _other_multipliers(graph, node, pair):
            yield Rule(f"multiplier{arm}", origin, _set_pair(pair, values), instead)


def _like(value: Any, other: Any) -> Any:
    return int(other) if not isinstance(value, np.ndarray) else np.asarray(other, value.dtype)


def _set_pair(pair: tuple[str, str], values: Sequence[Any]) -> Alteration:
    return lambda computation: computation.with_params(**dict(zip(pair, values, strict=True)))


def _other_multipliers(graph: NodeContext, node: Node, pair: tuple[str, str]) -> Iterator[tuple[str, str, list[Any]]]:
    """Where another multiplier and shift come from, what is right instead, and their values."""
    own = [node.params[key] for key in pair]
    if isinstance(own[0], np.ndarray):
        m, e = (np.asarray(v) for v in own)
        factors = np.abs(_real(m, e))  # only to find the largest
        for origin, channel in (("per_tensor", int(np.argmax(factors))), ("per_tensor_first", 0)):
            yield origin, "per channel", [int(v[channel]) for v in (m, e)]
        yield "previous_channel", "its own", [np.roll(v, 1) for v in (m, e)]
        for tile in CHANNEL_TILES:
            if tile < len(m):
                yield f"previous_tile:{tile}", "its own", [np.concatenate([v[:tile], v[:-tile]]) for v in (m, e)]
    before = [n for n in graph.nodes[: graph.nodes.index(node)] if n.op == node.op]
    if before:
        theirs = [before[-1].params[key] for key in pair]
        if np.ndim(theirs[0]) == 0 or np.shape(theirs[0]) == graph.tensors[node.name].shape[-1:]:
            yield "previous_layer", "its own", theirs
    if node.op == "residual_add" and pair[0] == "ma":
        yield "the_other_arms", "per channel", [node.params["mc"], node.params["ec"]]
