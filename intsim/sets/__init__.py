"""Golden sets: the golden files of many pictures with an index, made, verified, merged and compared in parallel."""

from .comparing import SetDiff, compare_sets
from .index import Entry, SetIndex, merge, read_index
from .making import Made, golden_set, picture_files
from .verifying import Fault, verify

__all__ = [
    "Entry",
    "Fault",
    "Made",
    "SetDiff",
    "SetIndex",
    "compare_sets",
    "golden_set",
    "merge",
    "picture_files",
    "read_index",
    "verify",
]
