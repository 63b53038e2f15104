"""Mutants that no input can distinguish from the reference, as data, each with the reason.

They are listed with every score and not counted in it. tests/test_conformance.py searches for inputs that prove one wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from ..arith import ExpSum, Overflow
from ..dialects import Dialect


@dataclass(frozen=True)
class Equivalent:
    """Mutants by a rule's key and its values (None: every value), in dialects with certain choices.

    `where` maps a choice to the values, separated by ``|``, with which the mutants are equivalent.
    """

    ops: tuple[str, ...]
    key: str
    values: Collection[int | str] | None
    why: str
    where: Mapping[str, str] = field(default_factory=dict)

    def covers(self, op: str, dialect: Dialect, key: str, value: int | str | None) -> bool:
        """Whether this mutant is one of them."""
        if op not in self.ops or key != self.key or not (self.values is None or value in self.values):
            return False
        return all(str(getattr(dialect, choice)) in values.split("|") for choice, values in self.where.items())


_SOFTMAXES, _GELUS = ("shiftmax", "masked_shiftmax"), ("shiftgelu", "lambda_shiftgelu")
_NOT_WRAPPED = (Overflow.EXACT, Overflow.FORBID)
EQUIVALENTS = (
    Equivalent(_SOFTMAXES, "quotient", None, "t <= 0 and x0 < 0, so no quotient is negative and both roundings are one."),
    Equivalent(
        (*_SOFTMAXES, *_GELUS),
        "sum_saturates",
        (31,),
        "The sum saturates at 2**31 - 1 in any case.",
        {"exp_sum": "saturate"},
    ),
    *(
        Equivalent(
            _GELUS,
            key,
            values,
            "Either exponential is below 2**30, half of a wrapped 32-bit number, so the sum is below 2**31 in any case.",
            {"half_bit": "kept", "overflow": "wrap32"},
        )
        for key, values in (("exp_sum", tuple(ExpSum)), ("sum_bits", (31,)), ("sum_saturates", (31,)))
    ),
    Equivalent(
        ("shift_exp",),
        "overflow",
        _NOT_WRAPPED,
        "Called alone shift_exp gives whole numbers, which have no i32 to overflow.",
        {"overflow": "exact|forbid"},
    ),
    Equivalent(
        _SOFTMAXES,
        "overflow",
        _NOT_WRAPPED,
        "Both refuse an exponential past i32 and a probability past b bits, and nothing else can pass 32 bits.",
        {"overflow": "exact|forbid"},
    ),
    Equivalent(
        ("layernorm",),
        "variance_bits",
        range(32, 41),
        "The variance has 32 bits in any case.",
        {"variance": "wrap32|wrap16"},
    ),
    Equivalent(
        ("layernorm",),
        "sum_bits",
        range(16, 32),
        "The sum has 16 bits in any case.",
        {"variance": "wrap16"},
    ),
    Equivalent(
        ("layernorm",),
        "centred_bits",
        (16,),
        "The differences have 16 bits in any case.",
        {"variance": "wrap16"},
    ),
    Equivalent(
        ("requant", "residual_add"),
        "rounding",
        ("twice",),
        "Floor of a floor, and truncation of a truncation, is the same as once.",
        {"requant_rounding": "floor|trunc"},
    ),
    Equivalent(
        ("requant", "residual_add"),
        "shifted_first",
        (1, 2, 4, 8, 16),
        "Floor of a floor is the same as once.",
        {"requant_rounding": "floor"},
    ),
)


def reason(op: str, dialect: Dialect, key: str, value: int | str | None) -> str:
    """Why no input distinguishes a mutant from the reference; "" where it is not known to be equivalent."""
    return next((entry.why for entry in EQUIVALENTS if entry.covers(op, dialect, key, value)), "")
