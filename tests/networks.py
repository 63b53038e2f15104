"""Small networks for tests: a Segmenter and classifiers of a few thousand parameters, and the shifted windows of a Swin."""

from __future__ import annotations

import numpy as np

from intsim import dialects
from intsim.engine.graph import Graph, Node, constant_node, input_node
from intsim.quantization import quantize
from intsim.quantization.synth import random_picture, random_weights

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

TINY_DEIT = {
    "kind": "deit",
    "name": "tiny DeiT",
    "img_size": [16, 24],
    "patch_size": 8,
    "embed_dim": 32,
    "depth": 2,
    "num_heads": 2,
    "num_classes": 7,
}
# Grids of 12 x 12 and 6 x 6 in windows of 3 x 3, shifted by 1, and a grid of 3 x 3 in one window.
TINY_SWIN = {
    "kind": "swin",
    "name": "tiny Swin",
    "img_size": [24, 24],
    "patch_size": 2,
    "embed_dim": 16,
    "depths": [2, 2, 1],
    "num_heads": [1, 2, 4],
    "window_size": 3,
    "num_classes": 7,
}


def tiny_classifier(config: dict, dialect: dialects.Dialect = dialects.ISEGMENTER, **changes: object) -> Graph:
    """A random classifier of a few thousand parameters."""
    config = config | changes
    return quantize(random_weights(config, 3), config, [random_picture(config, 4)], dialect, "random")


def tiny_graph(dialect: dialects.Dialect = dialects.ISEGMENTER, **changes: object) -> Graph:
    """A random Segmenter of a few thousand parameters."""
    config = TINY | changes
    return quantize(random_weights(config, 3), config, [random_picture(config, 4)], dialect, "random")


def window_graph(dialect: dialects.Dialect = dialects.ISEGMENTER) -> tuple[Graph, np.ndarray]:
    """Each operator of Swin's shifted windows, on pixels as tokens: i8 [8, 12, 3], windows of 4 x 4; and a picture."""
    rng = np.random.default_rng(2)
    halves = {"ma": 2**30, "ea": 31, "mc": 3 * 2**29, "ec": 30}
    nodes = [
        input_node("image", 8, 12, 1.0),
        Node("lut", "input_lut", ("image",), {"table": np.tile(np.arange(-128, 128), (3, 1))}),
        constant_node("table", rng.integers(-128, 128, (49, 3)).astype(np.int8), 1.0),
        Node("rolled", "roll", ("lut",), {"rows": -2, "columns": -2}),
        Node("cut", "windows", ("rolled",), {"size": 4}),
        Node("q", "heads", ("cut",), {"heads": 3}),
        Node("straight", "windows", ("lut",), {"size": 4}),
        Node("k", "heads", ("straight",), {"heads": 3}),
        Node("product", "matmul", ("q", "k"), {"transpose_b": 1}),
        Node("logits", "requant", ("product",), {"m": 2**30, "e": 38, "b": 8}),
        Node("bias", "relative_positions", ("table",), {"size": 4}),
        Node("biased", "residual_add", ("logits", "bias"), {**halves, "b": 8}),
        Node(
            "softmax", "masked_shiftmax", ("biased",), {"regions": rng.integers(0, 3, (6, 16)), "x0": -9, "n": 12, "b": 16}
        ),
        Node("mixed", "matmul", ("softmax", "q"), {"transpose_b": 0}),
        Node("context", "requant", ("mixed",), {"m": 2**30, "e": 45, "b": 16}),
        Node("joined", "merge_heads", ("context",), {}),
        Node("back", "merge_windows", ("joined",), {"height": 8}),
        Node("unrolled", "roll", ("back",), {"rows": 2, "columns": 2}),
        Node("merged", "merge_patches", ("unrolled",), {}),
        Node("listed", "tokens", ("merged",), {}),
        Node("pooled", "mean", ("listed",), {}),
    ]
    return Graph(nodes, dialect), rng.integers(0, 256, (8, 12, 3)).astype(np.uint8)
