"""The first version: `check_op` finds its mistake, a golden file of one picture does not."""

from team_shiftmax import first_shiftmax

from intsim.testing import check_op


def test_first_shiftmax():
    check_op("shiftmax", first_shiftmax, dialect="rtl", n=15, b=16)


def test_on_one_picture(golden):
    """The golden file does not show the mistake: every row of its logits has an element above 0."""
    for node in golden.nodes("shiftmax"):
        (x,) = golden.inputs(node)
        golden.check(node, first_shiftmax(x, **golden.params(node)))
