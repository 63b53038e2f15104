"""A network with rowsoft, written to model.h5: patches of 16 x 16 of a picture, projected to 10 logits each."""

import numpy as np

import intsim
from intsim.dialects import RTL
from intsim.engine.graph import Graph, Node, input_node
from intsim.plugins import load

load("examples/own_operator/rowsoft.py")

draw = np.random.default_rng(1)
weight = draw.integers(-128, 128, (10, 768)).astype(np.int8)
nodes = [
    input_node("image", 128, 128, 1.0),
    Node("pixels", "input_lut", ("image",), {"table": np.tile(np.arange(-128, 128, dtype=np.int8), (3, 1))}),
    Node("patches", "patches", ("pixels",), {"size": 16}),
    Node("projected", "linear", ("patches",), {"weight": weight, "bias": np.zeros(10, np.int32)}),
    Node("logits", "requant", ("projected",), {"m": 2**30, "e": 42, "b": 8}),
    Node("softmax", "rowsoft", ("logits",), {"b": 16}),
]
intsim.save(Graph(nodes, RTL), "model.h5")
