"""Mutants that no input whatever can tell from the reference, as data, each with the reason.

They are listed with every score and not counted in it. tests/test_conformance.py searches for inputs that prove one wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from ..dialects import Dialect


@dataclass(frozen=True)
class Equivalent:
    """Mutants by a pattern of their names, in dialects with certain choices (a choice's values separated by ``|``)."""

    ops: tuple[str, ...]
    name: str
    why: str
    where: Mapping[str, str] = field(default_factory=dict)

    def covers(self, op: str, dialect: Dialect, name: str) -> bool:
        """Whether it speaks of this mutant."""
        if op not in self.ops or not fnmatchcase(name, self.name):
            return False
        return all(str(getattr(dialect, key)) in values.split("|") for key, values in self.where.items())


_SOFTMAXES = ("shiftmax", "masked_shiftmax")
_SUMS = (*_SOFTMAXES, "shiftgelu", "lambda_shiftgelu")
EQUIVALENTS = (
    Equivalent(_SOFTMAXES, "quotient=*", "t <= 0 and x0 < 0, so no quotient is negative and both roundings are one."),
    Equivalent(_SUMS, "sum_saturates=31", "The sum saturates at 2**31 - 1 in any case.", {"exp_sum": "saturate"}),
    *(
        Equivalent(
            ("shiftgelu", "lambda_shiftgelu"),
            name,
            "Either exponential is below 2**30, half of a wrapped 32-bit number, so the sum is below 2**31 in any case.",
            {"half_bit": "kept", "overflow": "wrap32"},
        )
        for name in ("exp_sum=*", "sum_bits=31", "sum_saturates=31")
    ),
    Equivalent(
        ("shift_exp",),
        "overflow=[ef]*",
        "Called alone shift_exp gives whole numbers, which have no i32 to overflow.",
        {"overflow": "exact|forbid"},
    ),
    Equivalent(
        _SOFTMAXES,
        "overflow=[ef]*",
        "Both refuse an exponential past i32 and a probability past b bits, and nothing else can pass 32 bits.",
        {"overflow": "exact|forbid"},
    ),
    Equivalent(
        ("layernorm",),
        "variance_bits=3[2-9]",
        "The variance has 32 bits in any case.",
        {"variance": "wrap32"},
    ),
    Equivalent(("layernorm",), "variance_bits=40", "The variance has 32 bits in any case.", {"variance": "wrap32"}),
    Equivalent(
        ("requant",),
        "rounding=twice",
        "Floor of a floor, and truncation of a truncation, is the same as once.",
        {"requant_rounding": "floor|trunc"},
    ),
)


def reason(op: str, dialect: Dialect, name: str) -> str:
    """Why no input tells a mutant from the reference; "" where none is known."""
    return next((entry.why for entry in EQUIVALENTS if entry.covers(op, dialect, name)), "")
