"""The team's approximation: by how much it leaves the reference, what holds for every row, and how near it is to softmax."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from table_shiftmax import table_shiftmax

from intsim import ops
from intsim.testing import check_op, strategies


def test_every_bit():
    check_op("shiftmax", table_shiftmax, dialect="rtl", n=15, b=16)


def test_within_2_percent_of_one():
    check_op("shiftmax", table_shiftmax, dialect="rtl", x0=-20, n=15, b=16, columns=64, tolerance=int(0.02 * 2**15))


def test_at_any_scale():
    check_op("shiftmax", table_shiftmax, dialect="rtl", n=15, b=16, tolerance=int(0.02 * 2**15))


@given(strategies.tensors("i8"), st.integers(-60, -1))
def test_a_row_is_a_distribution(x, x0):
    p = table_shiftmax(x, x0, n=15, b=16)
    assert p.min() >= 0
    assert p.sum(axis=-1).max() <= 2**15


@given(strategies.tensors("i8"), st.integers(-60, -1))
def test_a_larger_logit_is_not_less_probable(x, x0):
    order = np.argsort(x, axis=-1)
    p = np.take_along_axis(table_shiftmax(x, x0, n=15, b=16), order, axis=-1)
    assert (np.diff(p, axis=-1) >= 0).all()


def test_nearer_to_softmax_than_the_reference():
    x = np.random.default_rng(0).integers(-60, 61, (1000, 64))
    real = ops.shiftmax.real(x / 20)
    ours = np.abs(table_shiftmax(x, x0=-20, n=15, b=16) / 2**15 - real).max()
    reference = np.abs(ops.shiftmax(x, x0=-20, n=15, b=16, dialect="rtl") / 2**15 - real).max()
    assert ours < reference, f"{ours:.4f}, the reference {reference:.4f}"
