"""Conformance vectors: cases an implementation of one operator must answer as the reference does, and how good they are.

`generate` makes them, `check` holds a device's answers against the reference, `score` says how many wrong implementations
they tell from a right one. The page is docs/vectors.md, the format docs/vectors-v1.schema.json.
"""

from .checker import Failure, Report, check
from .document import INVALID, Case, Document, checked, parse
from .generator import VECTOR_LEVELS, generate
from .mutation import Mutant, mutants
from .scoring import Score, score

__all__ = [
    "INVALID",
    "VECTOR_LEVELS",
    "Case",
    "Document",
    "Failure",
    "Mutant",
    "Report",
    "Score",
    "check",
    "checked",
    "generate",
    "mutants",
    "parse",
    "score",
]
