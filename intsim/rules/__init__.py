"""The rules a device may have broken: every single departure from what a node should compute, as data.

A `Work` is what one node computes: operator, parameters, dialect, and the departures no parameter expresses (`twists`).
A `Rule` alters a Work and has a name: a dialect's key and value (``requant_rounding=half_up``), a parameter
(``n+1``), or a known mistake (``bias=left_out``, ``swap-heads``). The same catalogue serves to inject a fault and to
recognise one: `catalogue` lists the rules that can matter at a node, `named` finds one, `compute` runs an altered Work.
"""

from .catalogue import bit_rule, catalogue, named
from .rule import ROW_WISE, Bit, Rule, Work, compute, work_of

__all__ = ["ROW_WISE", "Bit", "Rule", "Work", "bit_rule", "catalogue", "compute", "named", "work_of"]
