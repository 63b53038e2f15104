"""Hypothesis strategies for integer arithmetic; ends of formats, ties and degenerate rows are more frequent than by chance.

>>> from hypothesis import given
>>> from intsim.testing import strategies
>>> @given(strategies.arguments("requant", "rtl"))
... def test_mine(call):
...     assert (call.apply(mine) == call.expected).all()
"""

from .arguments import arguments
from .graphs import graphs
from .values import dialects, integers, multipliers, rows, tensors

__all__ = ["arguments", "dialects", "graphs", "integers", "multipliers", "rows", "tensors"]
