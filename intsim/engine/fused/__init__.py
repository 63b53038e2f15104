"""Several nodes computed as one step, bit for bit as one by one. One file a pattern; `PATTERNS` lists them.

A pattern looks at one node and says which of the nodes after it can go into one step: those whose values nobody else needs
and nobody wants to see. What it needs for that (packed weights, tables) it prepares once a graph.
"""

from __future__ import annotations

from . import attention, gelu, heads, labels, layernorm, product, window_attention
from .step import Links, Pattern, Step

__all__ = ["PATTERNS", "Links", "Step"]

PATTERNS: tuple[Pattern, ...] = (
    heads.match,
    attention.match,
    window_attention.match,
    product.match,
    layernorm.match,
    gelu.match,
    labels.match,
)
