"""Executors: one file each compiles an ONNX model with one runtime, and runs it.

A module has ``REQUIRES`` (what pip installs), ``version()`` of the runtime, and ``compiled(path)``: a function from inputs
by name to outputs by name. Another package adds its own by an entry point of the group ``intsim.executors`` that names such
a module.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol

from ...arith import AnyArray
from ...errors import IntsimError

GROUP = "intsim.executors"
OWN = {
    "onnxruntime": "onnxruntime_",
    "onnx": "onnx_reference",
    "openvino": "openvino_",
    "tvm": "tvm_",
    "iree": "iree_",
}
Compiled = Callable[[Mapping[str, AnyArray]], dict[str, AnyArray]]


class Executor(Protocol):
    """A module of this folder, or of another package."""

    REQUIRES: str

    def version(self) -> str:
        """The runtime's version, without importing it: some do not stand each other in one process. Raises ImportError where
        it is not installed.
        """
        ...

    def compiled(self, path: Path) -> Compiled:
        """A model, ready to run."""
        ...


def names() -> list[str]:
    """All executors, those of other packages last."""
    return [*OWN, *(point.name for point in entry_points(group=GROUP) if point.name not in OWN)]


def executor(name: str) -> Executor:
    """The executor of a name; IntsimError where there is none, or its runtime is not installed."""
    if name in OWN:
        found: Any = importlib.import_module(f"{__name__}.{OWN[name]}")
    else:
        point = next((point for point in entry_points(group=GROUP) if point.name == name), None)
        if point is None:
            raise IntsimError(f"there is no executor {name!r}; there are: {', '.join(names())}")
        found = _loaded(point)
    try:
        found.version()
    except ImportError as error:
        raise IntsimError(f"{name} is not installed: pip install {found.REQUIRES} ({error})") from None
    except (Exception, SystemExit) as error:  # noqa: BLE001  of another package, of any kind
        raise IntsimError(f"executor {name}: its version() fails: {last_line(error)}") from None
    executor: Executor = found
    return executor


def _loaded(point: EntryPoint) -> Any:
    """A module of another package."""
    try:
        found = point.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001  of another package, of any kind
        raise IntsimError(f"executor {point.name}: {point.value} cannot be loaded: {last_line(error)}") from None
    missing = [key for key in ("REQUIRES", "version", "compiled") if not hasattr(found, key)]
    if missing:
        raise IntsimError(f"executor {point.name}: {point.value} has no {missing[0]}; see intsim.compilers.executors")
    return found


def last_line(error: BaseException) -> str:
    """What an error says at its end: its last line with a letter in it, or its kind."""
    lines = [line.strip() for line in str(error).splitlines() if any(letter.isalpha() for letter in line)]
    return lines[-1][:300] if lines else f"{type(error).__name__} {error}".strip()
