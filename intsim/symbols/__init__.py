"""Operators as expressions: the reference run on symbols writes the equation down.

`trace` calls an operator's ``steps``, the equation itself, with symbols in place of arrays. What comes back is an expression
graph over a small closed set of integer operations (`operations`), each with its shape and proven bounds (`expression`), the
named steps kept. It can be evaluated (`evaluate`), and printed in other languages: whatever is derived from an equation is
derived from here.
"""

from .evaluate import evaluate
from .expression import Expression
from .operations import OPERATIONS
from .trace import NotTraceable, Traced, trace

__all__ = ["OPERATIONS", "Expression", "NotTraceable", "Traced", "evaluate", "trace"]
