"""What an argument of an operator cannot be called: words of the languages in which operators are written."""

from __future__ import annotations

C = """
    auto break case char const continue default do double else enum extern float for goto if inline int
    long register restrict return short signed sizeof static struct switch typedef union unsigned void
    volatile while
"""
JAVASCRIPT = """
    await catch class debugger delete export extends finally function import in instanceof let new null
    super this throw try typeof var with yield true false
"""
OWN = "out steps given opened closed"  # of the functions that are written

WORDS = frozenset(f"{C} {JAVASCRIPT} {OWN}".split())
