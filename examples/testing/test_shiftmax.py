"""The team's shiftmax: compared with the reference, checked on a golden file, and by the team's own property test."""

from hypothesis import given
from hypothesis import strategies as st
from team_shiftmax import shiftmax

from intsim.testing import check_op, strategies


def test_any_arguments():
    check_op("shiftmax", shiftmax, dialect="rtl")


def test_as_the_device_is_configured():
    check_op("shiftmax", shiftmax, dialect="rtl", n=15, b=16, columns=197, examples=100)


def test_refusals():
    check_op("shiftmax", refusing, dialect="rtl", refusals=True)


def refusing(x, x0, n, b):
    if -x0 << n >= 2**31:
        raise ValueError(f"x0 = {x0} and n = {n} exceed 32 bits")
    return shiftmax(x, x0, n, b)


def test_every_softmax_of_the_network(golden):
    for node in golden.nodes("shiftmax"):
        (x,) = golden.inputs(node)
        golden.check(node, shiftmax(x, **golden.params(node)))


@given(strategies.tensors("i8"), st.integers(-60, -1))
def test_a_row_is_a_distribution_in_any_order(x, x0):
    p = shiftmax(x, x0, n=12, b=16)
    assert p.min() >= 0
    assert p.sum(axis=-1).max() <= 2**15
    assert (shiftmax(x[:, ::-1], x0, n=12, b=16) == p[:, ::-1]).all()
