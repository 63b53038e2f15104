"""Folding: the affine part of a layer norm moves into the linear layers after it, exactly.

``W (gamma * x + beta) + b = (W * gamma) x + (W beta + b)``. The layer norm then has one scale for all channels,
so that its requantization has one multiplier, and no division by a gamma that is tiny or 0 remains.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..nets.real import RealGraph, RealNode

WHOLE = ("slice", "roll", "windows", "grid", "tokens")  # data movements that keep the channels of a token together


def fold_norms(net: RealGraph) -> RealGraph:
    """`net` with every layer norm folded whose output only linear layers use, directly or moved as whole tokens."""
    changed: dict[str, RealNode] = {}
    behind = behind_norms(net)
    for node in net.nodes:
        if node.name in behind:
            gamma, beta = (np.asarray(node.params[key], np.float64) for key in ("gamma", "beta"))
            plain = {"gamma": np.ones_like(gamma), "beta": np.zeros_like(beta)}
            changed[node.name] = replace(node, params={**node.params, **plain})
            for user in behind[node.name]:
                weight = np.asarray(user.params["weight"], np.float64)
                affine = {"weight": weight * gamma, "bias": weight @ beta + user.params["bias"]}
                changed[user.name] = replace(user, params={**user.params, **affine})
    return RealGraph(changed.get(node.name, node) for node in net.nodes)


def behind_norms(net: RealGraph) -> dict[str, list[RealNode]]:
    """The linear layers behind every layer norm whose output only they use, directly or moved as whole tokens."""
    users: dict[str, list[RealNode]] = {node.name: [] for node in net.nodes}
    for node in net.nodes:
        for name in node.inputs:
            users[name].append(node)

    def consumers(name: str) -> list[RealNode]:
        result = []
        for user in users[name]:
            result += consumers(user.name) if user.op in WHOLE and user.params.get("axis") != -1 else [user]
        return result

    found = {node.name: consumers(node.name) for node in net.nodes if node.op == "layernorm"}
    return {name: linears for name, linears in found.items() if linears and all(user.op == "linear" for user in linears)}
