"""Hypothesis strategies for integer arithmetic: ends, ties and degenerate rows come more often than chance would have them.

>>> from hypothesis import given
>>> from intsim.testing import strategies
>>> @given(strategies.arguments("requant", "rtl"))
... def test_mine(call):
...     assert (call.apply(mine) == call.due).all()
"""

from .arguments import arguments
from .graphs import graphs
from .values import dialects, integers, multipliers, rows, tensors

__all__ = ["arguments", "dialects", "graphs", "integers", "multipliers", "rows", "tensors"]
