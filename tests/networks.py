"""A Segmenter of a few thousand parameters, for tests that need a whole network."""

from __future__ import annotations

from intsim import dialects
from intsim.graph import Graph
from intsim.quantize import quantize
from intsim.quantize.synth import random_picture, random_weights

TINY = {
    "name": "tiny",
    "image_size": [24, 40],
    "patch_size": 8,
    "d_model": 32,
    "n_heads": 2,
    "n_layers": 2,
    "n_cls": 5,
    "decoder": {"name": "mask_transformer", "n_layers": 1},
    "normalization": "vit",
}


def tiny_graph(dialect: dialects.Dialect = dialects.ISEGMENTER, **changes: object) -> Graph:
    """A random Segmenter of a few thousand parameters."""
    config = TINY | changes
    return quantize(random_weights(config, 3), config, [random_picture(config, 4)], dialect, "random")
