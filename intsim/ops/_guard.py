"""Functions of other packages, as operators call them: what they raise by mistake is one line that names file and line."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from ..dialects import CHOICES
from ..errors import IntsimError, printable
from ..symbols import NotTraceable

F = TypeVar("F", bound=Callable[..., Any])


def guarded(function: F, operator: str, what: str) -> F:
    """`function`, the `what` of an operator, with its mistakes as IntsimErrors. A ValueError of its own is a refusal."""

    @wraps(function)
    def called(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except (ValueError, NotTraceable):
            raise
        except Exception as error:
            raise IntsimError(f"{operator}: {_mistake(function, what, error)}") from error

    guard: Any = called
    return guard  # type: ignore[no-any-return]


def _mistake(function: Callable[..., Any], what: str, error: Exception) -> str:
    """What was raised, where in the function's file, and the way out where it is known."""
    file = function.__code__.co_filename if hasattr(function, "__code__") else ""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    where = f" ({Path(file).name}, line {lines[-1]})" if lines else ""
    text = printable(str(error)).splitlines()[0] if str(error) else "no message"
    way_out = ""
    if isinstance(error, AttributeError) and error.name in CHOICES:
        way_out = f"; add {error.name!r} to its choices="
    return f"its function {what} raises {type(error).__name__}: {text}{where}{way_out}"
