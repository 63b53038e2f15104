"""Conformance vectors: cases that an implementation of one operator must answer like the reference.

`generate` generates them, `check` compares a device's answers with the reference, `score` counts the wrong implementations
that they detect. The page is docs/vectors.md, the format docs/vectors-v1.schema.json.
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
