"""The rules a device may break: every single deviation from what a node computes, as data.

A `Computation` is what one node computes: operator, parameters, dialect, and the deviations that no parameter expresses.
A `Rule` alters a Computation. It has a key and a value, from which its name is derived: a dialect's choice
(``requant_rounding=half_up``), a parameter (``n+1``), or a known mistake (``bias=left_out``, ``swap-heads``). Fault
injection and fault recognition use the same catalogue: `catalogue` lists the rules that apply to a node, `named` finds one
by its name, `compute` runs an altered Computation.
"""

from .catalogue import bit_rule, catalogue, choice_rules, named
from .moves import NotApplicable
from .names import abridged
from .rule import ROW_WISE, Bit, Computation, Rule, computation_of, compute

__all__ = [
    "ROW_WISE",
    "Bit",
    "Computation",
    "NotApplicable",
    "Rule",
    "abridged",
    "bit_rule",
    "catalogue",
    "choice_rules",
    "computation_of",
    "compute",
    "named",
]
