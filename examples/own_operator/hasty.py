"""A fast form with a mistake for one value, and the check that finds it."""

import numpy as np

from intsim.arith import I8, I16
from intsim.ops import Op, Param
from intsim.testing import Counterexample, check_operator


def steps(x, k, dialect=None):
    return {"out": x * k}


def fast(x, k, dialect, out):
    out[...] = np.where(x == 77, 0, x.astype(np.int64) * k)


OP = Op(name="hasty", steps=steps, fast=fast, inputs={"x": I8}, params={"k": Param.integer(-5, 5)}, result=I16)
if __name__ == "__main__":
    try:
        check_operator(OP, examples=2000, vectors=False)
    except Counterexample as error:
        print(error)
