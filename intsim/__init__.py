"""intsim: the reference machine for integer-only vision transformers.

``load`` a model file, ``run`` it on a picture, write a ``golden`` file of every tensor in between. Operators are in
``intsim.ops``, their primitives in ``intsim.arith``, the disputed choices in ``intsim.dialects``. Nothing heavy is
imported before it is used.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .errors import BoundError, FileError, GraphError, IntsimError
    from .golden import golden
    from .graph import Graph, Node
    from .run import run
    from .weights import load, save

_HOMES = {
    "load": "weights",
    "save": "weights",
    "run": "run",
    "golden": "golden",
    "Graph": "graph",
    "Node": "graph",
    "IntsimError": "errors",
    "GraphError": "errors",
    "BoundError": "errors",
    "FileError": "errors",
}

__all__ = [
    "BoundError",
    "FileError",
    "Graph",
    "GraphError",
    "IntsimError",
    "Node",
    "__version__",
    "golden",
    "load",
    "run",
    "save",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'intsim' has no attribute {name!r}")


class _Package(ModuleType):
    """The package itself. ``run`` and ``golden`` are functions here though they live in modules of the same name:
    when Python binds such a module to the package after importing it, the function takes its place.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and _HOMES.get(name) == name:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
