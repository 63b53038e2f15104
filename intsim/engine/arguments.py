"""What a caller of the builder may write for parameters and constants: lists, arrays, and what has a default."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arith import I8, I16, I32, Format, IntArray, integers
from ..ops import REGISTRY

CONSTANT_FORMATS = {fmt.name: fmt for fmt in (I8, I16, I32)}


def defaults(op: str) -> dict[str, Any]:
    """The parameters that a call of the operator may leave out, with what they then are."""
    if op not in REGISTRY:
        return {}
    operator = REGISTRY[op]
    known = operator.signature.parameters
    return {key: known[key].default for key in operator.params if known[key].default is not inspect.Parameter.empty}


def arrays(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters with lists as arrays."""
    found = dict(params)
    for key, value in params.items():
        if isinstance(value, (list, tuple)):
            try:
                np.asarray(value)
            except ValueError:
                raise ValueError(f"{key}: its rows differ in length") from None
            found[key] = integers(value, key)
    return found


def in_format(value: ArrayLike, fmt: str | Format | None) -> IntArray:
    """A constant in a format, by default an array's own, or the narrowest that holds a list."""
    array = integers(value, "value")
    if array.size == 0:
        raise ValueError("a constant has at least one element")
    lo, hi = int(array.min()), int(array.max())
    if fmt is None:
        own = getattr(value, "dtype", None)
        known = [f for f in CONSTANT_FORMATS.values() if f.dtype == own] or list(CONSTANT_FORMATS.values())
        found = next((f for f in known if f.holds(lo, hi)), I32)
    elif str(fmt) in CONSTANT_FORMATS:
        found = CONSTANT_FORMATS[str(fmt)]
    else:
        raise ValueError(f"{str(fmt)!r} is not a format of a constant; those are {', '.join(CONSTANT_FORMATS)}")
    if not found.holds(lo, hi):
        raise ValueError(f"its values {lo} to {hi} are outside {found} [{found.lo}, {found.hi}]")
    return array.astype(found.dtype)
