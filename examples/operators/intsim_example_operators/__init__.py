"""Operators of published integer transformers, each in a file of its own: its equation, its formats, its source.

Importing this package registers them with intsim; its entry point lets intsim import it when one of them is named.
"""

from . import (
    deeploy_gelu,
    deeploy_layernorm,
    heatvit_gelu,
    heatvit_softmax,
    ibert_gelu,
    ibert_layernorm,
    ibert_softmax,
    ita_softmax,
    ita_streaming_softmax,
    log_int_softmax,
    requant_add,
)

__all__ = [
    "deeploy_gelu",
    "deeploy_layernorm",
    "heatvit_gelu",
    "heatvit_softmax",
    "ibert_gelu",
    "ibert_layernorm",
    "ibert_softmax",
    "ita_softmax",
    "ita_streaming_softmax",
    "log_int_softmax",
    "requant_add",
]
