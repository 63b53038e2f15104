"""rowsoft(x i8, b): powers of two of a row, as portions of their sum: one division per element, no table."""

import numpy as np

from intsim.arith import I8, round_shift, signed
from intsim.ops import Op, Param


def steps(x, b, dialect):
    """The equation, every intermediate by name, in the order in which it is computed; the last one is the result.

    octave = round((max(x) - x) / 8, R)             R = requant_rounding
    out    = min(2**(20 - octave) * 2**(b-1) // sum(2**(20 - octave)), 2**(b-1) - 1)
    """
    top = x.max(axis=-1, keepdims=True)
    octave = round_shift(top - x, 3, dialect.requant_rounding)
    exp = (1 << 20) >> np.minimum(octave, 20)
    total = exp.sum(axis=-1, keepdims=True)
    out = np.minimum((exp << (b - 1)) // total, (1 << (b - 1)) - 1)
    return {"max": top, "octave": octave, "exp": exp, "sum": total, "out": out}


def real(x):
    """Softmax over the last axis, in real numbers."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


OP = Op(
    name="rowsoft",
    steps=steps,
    inputs={"x": I8},  # the format of every input
    params={"b": Param.integer(2, 16)},  # the range of every parameter
    result=lambda params: signed(params["b"]),  # the format of the result
    choices=("requant_rounding",),  # what its steps read of the dialect
    scale=lambda inputs, node: 2.0 ** (1 - node.params["b"]),
    real=real,
    approximates="softmax",
)
