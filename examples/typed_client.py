"""What a client's type checker sees of intsim: `make lint` checks it with ``mypy --strict``, and it runs."""

from __future__ import annotations

from typing import assert_type

import intsim
from intsim import ops, resources
from intsim.arith import IntArray

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
