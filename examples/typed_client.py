"""What a client's type checker sees of intsim: `make lint` checks it with ``mypy --strict``, and it runs."""

from __future__ import annotations

from typing import assert_type

import numpy as np

import intsim
from intsim import ops, resources
from intsim.arith import I8, IntArray, signed
from intsim.dialects import Dialect
from intsim.testing import CheckedOperator, check_operator

graph = intsim.load(resources.model())
assert_type(graph, intsim.Graph)
image = intsim.read_picture(resources.picture(), 128, 128)
assert_type(image, IntArray)
labels = intsim.run(graph, image)
assert_type(labels, IntArray)
assert_type(ops.shiftmax([[0, 20, 40]], x0=-20, n=15, b=16, dialect="rtl"), IntArray)
assert_type(ops.argmax.ref([[3, 7, 7]]), IntArray)
assert_type(intsim.synth("seg-t16-mask@32", classes=3), intsim.Graph)
assert_type(intsim.trace(resources.golden_file(), "encoder.blocks.0.norm1", [3, 17]).value, int)
assert_type(intsim.diff(resources.golden_file(), resources.golden_file()), intsim.Diff)


def portion(x: IntArray, b: int, dialect: Dialect | None = None) -> dict[str, IntArray]:
    """portion(x, b): an operator of the client's own."""
    total = np.maximum(x, 0).sum(axis=-1, keepdims=True) + 1
    return {"total": total, "out": (np.maximum(x, 0) << (b - 1)) // total}


own = ops.Op(
    name="client_portion",
    steps=portion,
    inputs={"x": I8},
    params={"b": ops.Param.integer(2, 16)},
    result=lambda params: signed(int(params["b"])),
)
assert_type(own([[1, 2, 4]], b=8), IntArray)
assert_type(check_operator(own, examples=5, vectors=False), CheckedOperator)
