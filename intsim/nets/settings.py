"""Checks of the plain data of a configuration; errors name the wrong key."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from ..errors import IntsimError

NORMALIZATIONS = {
    "vit": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "deit": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
LARGEST_MODEL = 10**9  # parameters; ViT-L has 3e8
LARGEST = 1 << 16  # of any dimension: a larger one is a typing error and would exhaust memory


def check_keys(given: Mapping[str, Any], required: Collection[str], optional: Collection[str]) -> None:
    """Refuse unknown and missing keys."""
    for key in given:
        if key not in required and key not in optional:
            raise IntsimError(f"configuration: unknown key {key!r}; the keys are {', '.join([*required, *optional])}")
    for key in required:
        if key not in given:
            raise IntsimError(f"configuration: {key!r} is missing; the keys are {', '.join(required)}")


def check_whole(numbers: Mapping[str, Any], may_be_zero: bool = False) -> None:
    """Refuse values that are not whole numbers of at least 1 (or 0)."""
    what = "0 or a positive whole number" if may_be_zero else "a positive whole number"
    for key, value in numbers.items():
        if not isinstance(value, int) or isinstance(value, bool) or not (0 if may_be_zero else 1) <= value <= LARGEST:
            raise IntsimError(f"configuration: {key} must be {what}, not {value!r}; {LARGEST} at most")


def check_flags(given: Mapping[str, Any], *keys: str) -> None:
    """Refuse values that are neither true nor false."""
    for key in keys:
        if not isinstance(given.get(key, False), bool):
            raise IntsimError(f"configuration: {key} is true or false, not {given[key]!r}")


def check_size(parameters: int) -> None:
    """Refuse a model with more than `LARGEST_MODEL` parameters."""
    if parameters > LARGEST_MODEL:
        raise IntsimError(f"configuration: {parameters:,} parameters; a model has {LARGEST_MODEL:,} at most")


def epsilon(given: Mapping[str, Any], key: str, default: float) -> float:
    """The number that a layer norm adds to the variance."""
    eps = given.get(key, default)
    if not isinstance(eps, float) or not 0 < eps < 1:
        raise IntsimError(f"configuration: {key} is a number between 0 and 1, such as 1e-6 (in YAML 1.0e-6), not {eps!r}")
    return eps


def sides(key: str, size: Any) -> tuple[Any, Any]:
    """Height and width, from a pair or from one number for both; not yet checked."""
    if isinstance(size, (list, tuple)) and len(size) != 2:
        raise IntsimError(f"configuration: {key} is [height, width] or one number, not {size!r}")
    height, width = size if isinstance(size, (list, tuple)) else (size, size)
    return height, width


def normalization(given: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the three channels, by name or explicit."""
    if isinstance(given, str) and given in NORMALIZATIONS:
        return NORMALIZATIONS[given]
    try:
        if not all(isinstance(given[key], (list, tuple)) for key in ("mean", "std")):
            raise TypeError
        mean, std = (tuple(float(v) for v in given[key]) for key in ("mean", "std"))
        if len(mean) == len(std) == 3 and min(std) > 0 and all(map(math.isfinite, mean + std)):
            return mean, std
    except (TypeError, KeyError, ValueError):
        pass
    names = ", ".join(NORMALIZATIONS)
    raise IntsimError(f'configuration: normalization {given!r} is not one of {names}, {{"mean": [r,g,b], "std": [r,g,b]}}')
