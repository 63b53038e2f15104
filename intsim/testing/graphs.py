"""The strategy `graphs`: whole random networks of valid nodes, with any multipliers and without calibration."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dialects import Dialect, resolve
from ..engine.graph import Graph, Node, constant_node, input_node
from ..errors import GraphError
from ._hypothesis import reject, st
from .values import dialects

CLASSES, SIDE = 5, 4
ATTEMPTS = 10  # to generate a graph proved free of overflow; most need one


class _Builder:
    """The nodes generated so far; every method appends some and returns the name of the last."""

    def __init__(self, draw: st.DrawFn, scale: int) -> None:
        self.draw, self.scale = draw, scale
        self.nodes: list[Node] = []
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def add(self, op: str, *inputs: str, **params: Any) -> str:
        name = f"n{len(self.nodes)}_{op}"
        self.nodes.append(Node(name, op, inputs, params))
        return name

    def multiplier(self, columns: int, typical: int) -> dict[str, Any]:
        """One multiplier and shift, or one per channel; some negative, some that saturate every value or round it to 0."""
        size = self.draw(st.sampled_from([None, columns]))
        m = self.rng.integers(-(2**31), 2**31, size)
        e = np.clip(typical + self.rng.integers(-3, 4, size), 1, 62)
        return {"m": int(m), "e": int(e)} if size is None else {"m": m.astype(np.int32), "e": e.astype(np.int8)}

    def requant(self, x: str, columns: int, typical: int, b: int) -> str:
        return self.add("requant", x, **self.multiplier(columns, typical), b=b)

    def arms(self, columns: int) -> dict[str, Any]:
        """Both multipliers of a residual_add."""
        return {f"{key}{arm}": value for arm in "ac" for key, value in self.multiplier(columns, 31).items()}

    def linear(self, x: str, depth: int, columns: int, b: int) -> str:
        weight = self.rng.integers(-128, 128, (columns, depth)).astype(np.int8)
        bias = self.rng.integers(-(2**20), 2**20, columns).astype(np.int32)
        x = self.add("linear", x, weight=weight, bias=bias)
        return self.requant(x, columns, 38 if b <= 8 else 31, b)

    def layernorm(self, x: str, columns: int) -> str:
        bias = self.rng.integers(-(2**29), 2**29, columns).astype(np.int32)
        return self.requant(self.add("layernorm", x, bias=bias), columns, 54, 8)

    def attention(self, x: str, width: int) -> str:
        heads = self.draw(st.sampled_from([1, 2]))
        q, k, v = self.qkv(x, width, heads)
        logits = self.add("matmul", q, k, transpose_b=1)
        tokens = (SIDE * self.scale) ** 2
        x0, n, b = -self.draw(st.integers(1, 60)), self.draw(st.integers(1, 15)), self.draw(st.sampled_from([8, 16]))
        logits = self.requant(logits, tokens, 46 - b, b)
        p = self.add("shiftmax", logits, x0=x0, n=n, b=self.draw(st.sampled_from([8, 13, 16])))
        return self.context(p, v, width, heads)

    def qkv(self, x: str, width: int, heads: int) -> list[str]:
        """Queries, keys and values, each split into heads."""
        x = self.add("heads", self.linear(x, width, 3 * width, 8), heads=3 * heads)
        return [self.add("slice", x, axis=-3, start=i * heads, stop=(i + 1) * heads) for i in range(3)]

    def context(self, p: str, v: str, width: int, heads: int) -> str:
        """Probabilities times values, the heads merged and projected."""
        context = self.requant(self.add("matmul", p, v, transpose_b=0), width // heads, 44, 8)
        return self.linear(self.add("merge_heads", context), width, width, 16)

    def window_attention(self, x: str, width: int) -> str:
        """Attention within shifted windows, with a relative position bias and masks of any regions."""
        side, heads, size = SIDE * self.scale, self.draw(st.sampled_from([1, 2])), self.draw(st.sampled_from([2, 4]))
        shift, tokens, windows = self.draw(st.integers(0, size - 1)), size * size, (side // size) ** 2
        x = self.add("roll", self.add("grid", x, height=side), rows=-shift, columns=-shift)
        q, k, v = self.qkv(self.add("windows", x, size=size), width, heads)
        table = f"n{len(self.nodes)}_table"
        values = self.rng.integers(-128, 128, ((2 * size - 1) ** 2, heads)).astype(np.int8)
        self.nodes.append(constant_node(table, values, 1.0))
        bits = self.draw(st.sampled_from([8, 16]))
        logits = self.requant(self.add("matmul", q, k, transpose_b=1), tokens, 46 - bits, bits)
        arms = self.arms(tokens)
        logits = self.add("residual_add", logits, self.add("relative_positions", table, size=size), **arms, b=bits)
        regions = self.rng.integers(0, self.draw(st.integers(1, 3)), (windows, tokens)).astype(np.int8)
        x0, n = -self.draw(st.integers(1, 60)), self.draw(st.integers(1, 15))
        p = self.add("masked_shiftmax", logits, regions=regions, x0=x0, n=n, b=self.draw(st.sampled_from([8, 13, 16])))
        x = self.add("merge_windows", self.context(p, v, width, heads), height=side)
        return self.add("tokens", self.add("roll", x, rows=shift, columns=shift))

    def mlp(self, x: str, width: int) -> str:
        hidden = self.draw(st.integers(1, 70))
        x = self.linear(x, width, hidden, 8)
        params = {"x0": -self.draw(st.integers(1, 40)), "n": self.draw(st.integers(1, 23)), "b": 8}
        if self.draw(st.booleans()):
            x = self.add("shiftgelu", x, **params)
        else:
            x = self.add("lambda_shiftgelu", x, **params, lam=self.draw(st.integers(0, 140)))
        return self.linear(self.requant(x, hidden, 38, 8), hidden, width, 16)

    def residual(self, a: str, c: str, width: int) -> str:
        arms = self.arms(width)
        a, c = self.draw(st.permutations([a, c]))
        return self.add("residual_add", a, c, **arms, b=self.draw(st.sampled_from([16, 16, 8])))


def graphs(dialect: Dialect | str | None = None) -> st.SearchStrategy[Graph]:
    """Small random transformers, proved free of overflow, whose output is labels: in `dialect`, or in any dialect.

    The picture is the node ``image``; its shape is ``graph.tensors["image"].shape``.
    """
    return _graphs(dialects() if dialect is None else st.just(resolve(dialect)))


@st.composite
def _graphs(draw: st.DrawFn, allowed: st.SearchStrategy[Dialect]) -> Graph:
    dialect = draw(allowed)
    for _ in range(ATTEMPTS):
        try:
            return Graph(_nodes(draw), dialect)
        except GraphError:  # not proved free of overflow; try another
            continue
    return reject()


def _nodes(draw: st.DrawFn) -> list[Node]:
    b = _Builder(draw, draw(st.sampled_from([1, 2, 3])))
    patch, width = 2, 2 * draw(st.integers(1, 36))
    side = SIDE * b.scale * patch
    b.nodes.append(input_node("image", side, side, 1 / 255))
    table = b.rng.integers(-128, 128, (3, 256)).astype(np.int8)
    x = b.add("patches", b.add("input_lut", "image", table=table), size=patch)
    x = b.linear(x, 3 * patch * patch, width, 16)
    tokens = (SIDE * b.scale) ** 2
    b.nodes.append(constant_node("position", b.rng.integers(-(2**15), 2**15, (tokens, width)).astype(np.int16), 1.0))
    x = b.residual(x, "position", width)
    for part in draw(st.lists(st.sampled_from([b.attention, b.mlp, b.window_attention]), min_size=1, max_size=3)):
        x = b.residual(part(b.layernorm(x, width), width), x, width)
    x = b.linear(b.layernorm(x, width), width, CLASSES, 16)
    x = b.add("upsample_nearest", b.add("grid", x, height=SIDE * b.scale), factor=patch)
    if draw(st.booleans()):
        x = b.add("slice", x, axis=-2, start=0, stop=side - 1)
    b.add("argmax", x)
    return b.nodes
