"""Executors: one file each compiles an ONNX model with one runtime, and runs it.

A module has ``REQUIRES`` (what pip installs), ``version()`` of the runtime, and ``compiled(path)``: a function from inputs
by name to outputs by name. Another package adds its own by an entry point of the group ``intsim.executors`` that names such
a module.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
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
        found = point.load()
    try:
        found.version()
    except ImportError as error:
        raise IntsimError(f"{name} is not installed: pip install {found.REQUIRES} ({error})") from None
    executor: Executor = found
    return executor
