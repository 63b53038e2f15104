"""Equalization: factors between layers that change nothing in real numbers, and give every channel its share of eight bits.

A tensor has one scale, so that one channel with a long tail leaves few steps to all others. Where a linear layer follows, a
channel may be divided by a factor and the weights that it meets multiplied by it (Nagel et al. 2019, Xiao et al. 2023):

    layer norm -> linear     gamma and beta of a channel divided, its column of weights multiplied
    values -> proj           a row of the values' weights and its bias divided, a column of proj multiplied
    queries and keys         a channel of the queries multiplied, the same channel of the keys divided

The factor of a channel with the largest magnitude x before weights of the largest magnitude w is ``x**a / w**(1 - a)``: with
a of 1 all channels become alike, with 0 all weights. Queries and keys meet each other, and are made equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..arith import AnyArray
from ..nets.real import RealGraph, RealNode
from .fold import behind_norms

SMALLEST = 1e-6  # of the largest magnitude of a tensor: smaller channels have the factor of one of that size
QKV, PROJ = ".attn.qkv", ".attn.proj"


def equalized(net: RealGraph, pictures: Sequence[AnyArray], strength: float) -> RealGraph:
    """`net` with the same output, its channels made more alike by `strength` (0 to 1) as they are on `pictures`."""
    norms = behind_norms(net)
    layers = [node.name for node in net.nodes if node.name.endswith(QKV)]
    ranges = _ranges(net, pictures, {*norms, *layers})
    changed: dict[str, RealNode] = {}

    def node(name: str) -> RealNode:
        return changed.get(name) or next(node for node in net.nodes if node.name == name)

    if not all(np.isfinite(largest).all() for largest in ranges.values()):
        return net  # calibration names the tensor
    for name, users in norms.items():
        weights = np.max([np.abs(user.params["weight"]).max(axis=0) for user in users], axis=0)
        factor = _factor(ranges[name], weights, strength)
        changed[name] = _scaled(node(name), gamma=1 / factor, beta=1 / factor)
        for user in users:
            changed[user.name] = _scaled(node(user.name), weight=factor)
    for name in layers:
        proj = node(f"{name.removesuffix(QKV)}{PROJ}")
        queries, keys, values = np.split(ranges[name], 3)
        balance = np.sqrt(_held(keys) / _held(queries))
        towards = _factor(values, np.abs(proj.params["weight"]).max(axis=0), strength)
        towards *= (values / towards).max() / np.sqrt(queries * keys).max()  # the values reach as far as queries and keys
        by = np.concatenate([balance, 1 / balance, 1 / towards])
        changed[name] = _scaled(node(name), weight=by[:, None], bias=by)
        changed[proj.name] = _scaled(proj, weight=towards)
    return RealGraph(changed.get(node.name, node) for node in net.nodes)


def _ranges(net: RealGraph, pictures: Iterable[AnyArray], names: set[str]) -> dict[str, AnyArray]:
    """The largest magnitude of every channel of the named tensors."""
    ranges: dict[str, AnyArray] = {}

    def record(node: RealNode, inputs: list[AnyArray], value: AnyArray) -> None:
        if node.name in names:
            largest = np.abs(value).reshape(-1, value.shape[-1]).max(axis=0)
            ranges[node.name] = np.maximum(ranges.get(node.name, 0), largest)

    for picture in pictures:
        net.run(picture, record)
    return ranges


def _held(largest: AnyArray) -> AnyArray:
    """Magnitudes of channels, none so small that its factor would have no use."""
    return np.maximum(largest, max(float(largest.max()) * SMALLEST, np.finfo(np.float64).tiny))


def _factor(before: AnyArray, weights: AnyArray, strength: float) -> AnyArray:
    """The factors of channels, 1 in the geometric mean."""
    factor = _held(before) ** strength / _held(weights) ** (1 - strength)
    return np.asarray(factor / np.exp(np.log(factor).mean()))


def _scaled(node: RealNode, **factors: AnyArray) -> RealNode:
    """A node with parameters multiplied."""
    params: Mapping[str, AnyArray] = {k: np.asarray(node.params[k], np.float64) * factor for k, factor in factors.items()}
    return replace(node, params={**node.params, **params})
