"""What a device supports: ``8,16`` or ``-64..-1`` by parameter or input, as text that a document of vectors keeps."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..errors import IntsimError
from ..ops import REGISTRY

PART = re.compile(r"(-?\d{1,19})(?:\.\.(-?\d{1,19}))?")

Domain = Mapping[str, str]  # the values of each parameter or input that is restricted


def supports(op: str, domain: Domain) -> Callable[[Mapping[str, Any]], bool]:
    """Whether a case's arguments are within a domain: every element of every restricted parameter or input.

    Raises IntsimError for a name that the operator does not have, or values that are none.
    """
    ranges = {key: _ranges(op, key, text) for key, text in domain.items()}

    def within(args: Mapping[str, Any]) -> bool:
        return all(_inside(np.asarray(args[key]), parts) for key, parts in ranges.items() if key in args)

    return within


def _ranges(op: str, key: str, text: str) -> list[tuple[int, int]]:
    names = [*([] if REGISTRY[op].variadic else REGISTRY[op].inputs), *REGISTRY[op].params]
    if key not in names:
        raise IntsimError(f"{op} has no input or parameter {key!r}; it has {', '.join(names) or 'none'}")
    parts = [PART.fullmatch(part.strip()) for part in text.split(",")]
    found = [(int(part[1]), int(part[2] or part[1])) for part in parts if part is not None]
    if len(found) < len(parts) or any(low > high for low, high in found):
        raise IntsimError(f"{key}={text!r}: numbers and ranges are expected, as in {key}=8,16 or {key}=-64..-1")
    return found


def _inside(values: np.ndarray[Any, Any], parts: list[tuple[int, int]]) -> bool:
    inside = np.zeros(values.shape, bool)
    for low, high in parts:
        inside |= (values >= low) & (values <= high)
    return bool(inside.all())
