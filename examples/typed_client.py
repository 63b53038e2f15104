"""What a client's type checker sees of intsim: `make lint` checks it with ``mypy --strict``, and the tests run it.

Functions stand for calls that need files of their own; every public name of intsim and intsim.testing occurs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

import numpy as np

import intsim
from intsim import ops, resources
from intsim.arith import I8, IntArray, signed
from intsim.dialects import Dialect
from intsim.testing import (
    Call,
    CheckedDialect,
    CheckedOperator,
    Counterexample,
    Difference,
    Proof,
    Undecided,
    check_op,
    check_operator,
    prove_op,
    strategies,
)

assert_type(intsim.__version__, str)
assert_type(intsim.NUMERICS, str)
graph = intsim.load(resources.model())
assert_type(graph, intsim.Graph)
assert_type(graph.by_name["encoder.blocks.0.norm1"], intsim.Node)
image = intsim.read_picture(resources.picture(), 128, 128)
assert_type(image, IntArray)
labels = intsim.run(graph, image)
assert_type(labels, IntArray)
assert_type(ops.shiftmax([[0, 20, 40]], x0=-20, n=15, b=16, dialect="rtl"), IntArray)
assert_type(ops.argmax.ref([[3, 7, 7]]), IntArray)
assert_type(intsim.synth("seg-t16-mask@32", classes=3), intsim.Graph)
assert_type(intsim.diff(resources.golden_file(), resources.golden_file()), intsim.Diff)
trace = intsim.trace(resources.golden_file(), "encoder.blocks.0.norm1", [3, 17])
assert_type(trace, intsim.Trace)
assert_type(trace.value, int)


def quantize(checkpoint: Path, pictures: list[Path]) -> Path:
    """A model file next to a checkpoint; every way in which that fails has a class of its own."""
    target = checkpoint.with_suffix(".h5")
    try:
        made = intsim.quantize(checkpoint, pictures, recipe=intsim.Recipe(), dialect="rtl")
    except (intsim.CheckpointNotFound, intsim.ConfigurationNotFound, intsim.AlreadyQuantized, intsim.PicturesMissing):
        raise
    assert_type(made, intsim.Quantized)
    assert_type(made.graph, intsim.Graph)
    intsim.save(made.graph, target)
    return target


def measure(folder: Path, target: Path) -> str:
    """What a golden file of the first picture hashes to, after the model was evaluated and exported."""
    assert_type(intsim.evaluate(folder, graph), intsim.Evaluation)
    digest = intsim.golden(graph, image, target, level="full")
    assert_type(digest, str)
    assert_type(intsim.export(target, folder, layers=["*softmax"], formats=["npz"]), intsim.Exported)
    return digest


def said(error: intsim.IntsimError) -> str:
    """An error by its class, with the facts it carries."""
    match error:
        case intsim.UnknownNode():
            return assert_type(error.name, str)
        case intsim.ModelMismatch() | intsim.ModelNotFound():
            return str(assert_type(error.golden, Path))
        case intsim.BoundError() | intsim.GraphError() | intsim.FileError():
            return str(error)
    return str(error)


def judge(function: Any) -> Proof | Call | None:
    """A proof that a function is shiftmax, or the call on which it is not."""
    try:
        assert_type(check_op("shiftmax", function, dialect="rtl", n=15, b=16), None)
        return assert_type(prove_op("shiftmax", function, dialect="rtl"), Proof)
    except Counterexample as error:
        return assert_type(error.call, Call | None)
    except (Difference, Undecided):
        return None


rows = strategies.rows("i8")


def portion(x: IntArray, b: int, dialect: Dialect | None = None) -> dict[str, IntArray]:
    """portion(x, b): an operator of the client's own."""
    total = np.maximum(x, 0).sum(axis=-1, keepdims=True) + 1
    return {"total": total, "out": (np.maximum(x, 0) << (b - 1)) // total}


own = ops.Op(
    name="client_portion",
    steps=portion,
    inputs={"x": I8},
    params={"b": ops.Param.integer(2, 16)},
    result=lambda params: signed(int(params["b"]) + 1),
)
assert_type(own([[1, 2, 4]], b=8), IntArray)
checked = check_operator(own, examples=5, vectors=False)
assert_type(checked, CheckedOperator)
assert_type(checked.dialects, tuple[CheckedDialect, ...])

net = intsim.Builder("rtl")
x = net.input("x", "i8", (2, 4))
net.client_portion(x, b=8, name="portion")
assert_type(net.graph(), intsim.Graph)
