"""Several nodes computed as one step, with a bit-identical result. One file per pattern; `PATTERNS` lists them.

A pattern takes one node and determines which of the following nodes can be part of the same step: the values between them
must neither be used by other nodes nor be observed. It prepares constants (packed weights, tables) once per graph.
"""

from __future__ import annotations

from . import attention, gelu, heads, labels, layernorm, moves, pixels, product, window_attention
from .step import Links, Pattern, Step

__all__ = ["PATTERNS", "Links", "Step"]

PATTERNS: tuple[Pattern, ...] = (
    heads.match,
    attention.match,
    window_attention.match,
    pixels.match,
    product.match,
    layernorm.match,
    gelu.match,
    labels.match,
    moves.match,
)
