"""Dialects: every choice on which implementations of the same paper differ, as data.

The built-in dialects:

    ivit        published PyTorch code, exact
    ivit-tvm    its deployment graph, in the types that it has in TVM
    isegmenter  the default of intsim
    rtl         common in hardware

`load` reads another one from a TOML file, which must contain every key of `CHOICES`.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .arith import (
    Choice,
    Division,
    ExpSum,
    Gelu,
    HalfBit,
    Overflow,
    Rounding,
    Sqrt,
    Variance,
    X0Rounding,
)
from .errors import IntsimError

AUTO = "auto"
SOFTMAX_N_MAX, GELU_N_MAX = 15, 23
GELU_SLOPE = 1.702  # gelu(x) ~ x * sigmoid(1.702 x)

CHOICES: dict[str, type[Choice] | tuple[int | str, ...]] = {
    "requant_rounding": Rounding,
    "mean_rounding": Rounding,
    "sqrt": Sqrt,
    "variance": Variance,
    "layernorm_half": Division,
    "quotient": Division,
    "half_bit": HalfBit,
    "x0_rounding": X0Rounding,
    "exp_sum": ExpSum,
    "overflow": Overflow,
    "softmax_n": (AUTO, *range(1, 31)),
    "softmax_bits": tuple(range(2, 17)),
    "gelu_n": (AUTO, *range(1, 31)),
    "gelu_bits": tuple(range(2, 17)),
    "gelu": Gelu,
}


@dataclass(frozen=True)
class Dialect:
    """One complete set of choices; `CHOICES` has the allowed values of each key.

    requant_rounding: R, how requant and residual_add round after their shift
    mean_rounding: M, how layernorm and mean round a mean
    sqrt: S, the square root of layernorm: ``newton10``, ten Newton steps from ``2**16``, or ``floor``, the true integer root
    variance: layernorm's sum of squares: ``exact``; ``wrap32``, modulo ``2**32``; ``wrap16``: and sum and differences in i16
    layernorm_half: the quotient ``y * f / 2`` of layernorm
    quotient: the quotient ``t / x0`` of shift_exp
    half_bit: the half bit of shift_exp: ``kept`` until after the shift, or ``dropped``: ``((r >> 1) - x0) << (n - q)``
    x0_rounding: the x0 of a scale s: ``floor``, floor(-1/s), or ``trunc``, trunc(-1/s - 1)
    exp_sum: a sum of exponentials above ``2**31 - 1``: ``saturate``, or ``wrap32``, two's-complement i32
    overflow: other i32 intermediates: ``exact``, 64 bits proved enough; ``wrap32``; or ``forbid``, proved at load
    softmax_n: the precision n of shiftmax; ``auto`` is the largest n <= 15 with ``tokens * -x0 * 2**n < 2**31``
    softmax_bits: the output width b of shiftmax
    gelu_n: the precision n of the GELU; ``auto`` is the largest n <= 23 with ``-x0 * 2**n < 2**31``
    gelu_bits: the width b of the sigmoid of the GELU
    gelu: the operator that computes GELU
    """

    name: str
    requant_rounding: Rounding
    mean_rounding: Rounding
    sqrt: Sqrt
    variance: Variance
    layernorm_half: Division
    quotient: Division
    half_bit: HalfBit
    x0_rounding: X0Rounding
    exp_sum: ExpSum
    overflow: Overflow
    softmax_n: int | str
    softmax_bits: int
    gelu_n: int | str
    gelu_bits: int
    gelu: Gelu

    def __post_init__(self) -> None:
        for key, allowed in CHOICES.items():
            object.__setattr__(self, key, _allowed(key, getattr(self, key), allowed))

    def choices(self) -> dict[str, int | str]:
        """Every choice by its key, as plain strings and integers."""
        return {key: v if isinstance(v := getattr(self, key), int) else str(v) for key in CHOICES}

    def replace(self, **choices: Any) -> Dialect:
        """The same dialect with some choices changed."""
        return dataclasses.replace(self, **choices)


def _allowed(key: str, value: Any, allowed: type[Choice] | tuple[int | str, ...]) -> Any:
    values: list[Any] = list(allowed)
    if isinstance(value, bool) or value not in values:
        numbers = [v for v in values if isinstance(v, int)]
        names = [str(v) for v in values if not isinstance(v, int)]
        listed = names + ([f"{numbers[0]} to {numbers[-1]}"] if numbers else [])
        raise IntsimError(f"{key} = {value!r} is not one of: {', '.join(listed)}")
    return values[values.index(value)]


def from_choices(choices: dict[str, Any], name: str) -> Dialect:
    """A dialect from its keys and values; an unknown, missing or invalid one is an IntsimError with the allowed ones."""
    if unknown := [key for key in choices if key not in CHOICES]:
        raise IntsimError(f"dialect {name}: unknown choice {unknown[0]!r}; the choices are: {', '.join(CHOICES)}")
    if missing := [key for key in CHOICES if key not in choices]:
        allowed = CHOICES[missing[0]]
        listed = ", ".join(str(v) for v in allowed)
        raise IntsimError(f"dialect {name}: missing choice {missing[0]!r}; it is one of: {listed}")
    try:
        return Dialect(name=name, **choices)
    except IntsimError as error:
        raise IntsimError(f"dialect {name}: {error}") from None


def load(path: str | Path) -> Dialect:
    """A dialect from a TOML file with every key of `CHOICES` and optionally ``name`` (default: the stem of the file)."""
    if Path(path).exists() and not Path(path).is_file():
        raise IntsimError(f"{path}: is not a regular file; expected a dialect, TOML")
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise IntsimError(f"{path}: not a TOML file ({error})") from None
    try:
        return from_choices({k: v for k, v in table.items() if k != "name"}, str(table.get("name", Path(path).stem)))
    except IntsimError as error:
        raise IntsimError(f"{path}: {error}") from None


def resolve(dialect: Dialect | str) -> Dialect:
    """The dialect itself, or the built-in one of that name."""
    if isinstance(dialect, Dialect):
        return dialect
    if dialect in DIALECTS:
        return DIALECTS[dialect]
    raise IntsimError(f"{dialect!r} is not a dialect: {', '.join(DIALECTS)}, or load a TOML file")


def exponential_x0(scale: float, dialect: Dialect) -> int:
    """x0, the integer that represents -1 at `scale`: ``floor(-1/s)``, or ``trunc(-1/s - 1)``; at most -1."""
    rounded = math.floor(-1 / scale) if dialect.x0_rounding is X0Rounding.FLOOR else math.trunc(-1 / scale - 1)
    return min(rounded, -1)


def softmax_parameters(scale: float, tokens: int, dialect: Dialect) -> dict[str, int]:
    """x0, n and b of shiftmax over rows of `tokens` logits at `scale`.

    ``softmax_n = "auto"`` is the largest n up to 15 at which a row's sum cannot pass 2**31: ``tokens * -x0 * 2**n < 2**31``.
    """
    x0 = exponential_x0(scale, dialect)
    n = _largest_n(SOFTMAX_N_MAX, tokens * -x0, "softmax") if dialect.softmax_n == AUTO else int(dialect.softmax_n)
    return {"x0": x0, "n": n, "b": dialect.softmax_bits}


def gelu_parameters(scale: float, dialect: Dialect) -> dict[str, int]:
    """x0, n and b of the GELU operator on inputs at `scale`.

    ``gelu_n = "auto"`` is the largest n up to 23 at which one exponential fits: ``-x0 * 2**n < 2**31``.
    """
    return gelu_of_x0(exponential_x0(GELU_SLOPE * scale, dialect), dialect)


def gelu_of_x0(x0: int, dialect: Dialect) -> dict[str, int]:
    """x0, n and b of the GELU operator for an x0, which sets the slope of its sigmoid."""
    n = _largest_n(GELU_N_MAX, -x0, "gelu") if dialect.gelu_n == AUTO else int(dialect.gelu_n)
    return {"x0": x0, "n": n, "b": dialect.gelu_bits}


def _largest_n(limit: int, magnitude: int, name: str) -> int:
    for n in range(limit, 0, -1):
        if magnitude << n < 2**31:
            return n
    raise IntsimError(f"{name}: no n fits, {magnitude} * 2 passes 2**31; the scale is too fine for so many tokens")


_PUBLISHED: dict[str, Any] = {
    "requant_rounding": "half_even",
    "mean_rounding": "half_even",
    "sqrt": "newton10",
    "variance": "exact",
    "layernorm_half": "floor",
    "quotient": "floor",
    "half_bit": "kept",
    "x0_rounding": "floor",
    "exp_sum": "saturate",
    "overflow": "exact",
    "softmax_n": 15,
    "softmax_bits": 16,
    "gelu_n": 23,
    "gelu_bits": 8,
    "gelu": "shiftgelu",
}
_DEPLOYED: dict[str, Any] = {
    "requant_rounding": "half_up",
    "mean_rounding": "trunc",
    "sqrt": "newton10",
    "variance": "wrap16",
    "layernorm_half": "trunc",
    "quotient": "trunc",
    "half_bit": "dropped",
    "x0_rounding": "trunc",
    "exp_sum": "wrap32",
    "overflow": "wrap32",
    "softmax_n": 16,
    "softmax_bits": 8,
    "gelu_n": 23,
    "gelu_bits": 8,
    "gelu": "shiftgelu",
}
_BOUNDED = {"overflow": "forbid", "softmax_n": AUTO, "gelu_n": AUTO, "gelu": "lambda_shiftgelu"}
_HARDWARE = {"requant_rounding": "half_up", "mean_rounding": "half_up", "sqrt": "floor"}

IVIT = from_choices(_PUBLISHED, "ivit")
IVIT_TVM = from_choices(_DEPLOYED, "ivit-tvm")
ISEGMENTER = from_choices(_PUBLISHED | _BOUNDED, "isegmenter")
RTL = from_choices(_PUBLISHED | _BOUNDED | _HARDWARE, "rtl")
DIALECTS = {dialect.name: dialect for dialect in (IVIT, IVIT_TVM, ISEGMENTER, RTL)}
