"""intsim: the reference machine for integer-only vision transformers.

``load`` a model file, ``run`` it on a picture, write a ``golden`` file of every tensor in between. Operators are in
``intsim.ops``, their primitives in ``intsim.arith``, the disputed choices in ``intsim.dialects``. Nothing heavy is
imported before it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .engine.graph import Graph, Node
    from .engine.interpreter import run
    from .errors import BoundError, FileError, GraphError, IntsimError
    from .storage.golden_file import golden
    from .storage.model_file import load, save

_HOMES = {
    "load": "storage.model_file",
    "save": "storage.model_file",
    "run": "engine.interpreter",
    "golden": "storage.golden_file",
    "Graph": "engine.graph",
    "Node": "engine.graph",
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
