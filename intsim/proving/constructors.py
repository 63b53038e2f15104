"""While a function is traced, NumPy's functions that make an array of anything pass arrays without values.

``np.asarray(x)`` asks `x` for its values, and NumPy has no protocol by which `x` may answer with something else. So these
four functions are replaced for as long as one function is traced, in one thread at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any

import numpy as np

NAMES = ("array", "asarray", "asanyarray", "ascontiguousarray")
_LOCK = RLock()


@contextmanager
def constructors(convert: Callable[[Any, Any, bool], Any]) -> Iterator[None]:
    """A context in which ``convert(value, dtype, copies)`` makes arrays; where it returns None, NumPy does."""
    with _LOCK:
        own = {name: getattr(np, name) for name in NAMES}

        def replaced(name: str) -> Callable[..., Any]:
            def made(value: Any, dtype: Any = None, *args: Any, **options: Any) -> Any:
                found = convert(value, dtype, name == "array")
                return own[name](value, dtype, *args, **options) if found is None else found

            return made

        try:
            for name in NAMES:
                setattr(np, name, replaced(name))
            yield
        finally:
            for name, function in own.items():
                setattr(np, name, function)
