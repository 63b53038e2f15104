"""intsim: the reference machine for integer-only vision transformers.

``load`` a model file, ``run`` it on a picture, write a ``golden`` file of every tensor in between, ``diff`` a device's dump
with it. ``quantize`` makes a model from a checkpoint, ``synth`` one with random weights, a ``Builder`` any graph of
operators. Operators are in ``intsim.ops``, their primitives in ``intsim.arith``, the disputed choices in
``intsim.dialects``. Nothing heavy is imported before it is used. The logger ``intsim`` has what happens unasked:
that computing is slow without Numba is a warning, which Python shows; a damaged cache that is made anew is at level INFO.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import NUMERICS, __version__

if TYPE_CHECKING:
    from .debugging.core import diff
    from .debugging.result import Diff
    from .engine.builder import Builder
    from .engine.graph import Graph, Node
    from .engine.interpreter import run
    from .errors import (
        AlreadyQuantized,
        BoundError,
        CheckpointNotFound,
        ConfigurationNotFound,
        FileError,
        GraphError,
        IntsimError,
        ModelMismatch,
        ModelNotFound,
        PicturesMissing,
        UnknownNode,
    )
    from .measurement.evaluation import Evaluation
    from .measurement.labelled import evaluate
    from .quantization.pipeline import Quantized, quantize, synth
    from .quantization.recipe import Recipe
    from .storage.golden_file import golden
    from .storage.model_file import load, save
    from .storage.pictures import read_picture
    from .testbench.writing import Exported, export
    from .tracing.core import Trace, trace

_HOMES = {
    "Builder": "engine.builder",
    "diff": "debugging.core",
    "Diff": "debugging.result",
    "Graph": "engine.graph",
    "Node": "engine.graph",
    "run": "engine.interpreter",
    "AlreadyQuantized": "errors",
    "BoundError": "errors",
    "CheckpointNotFound": "errors",
    "ConfigurationNotFound": "errors",
    "FileError": "errors",
    "GraphError": "errors",
    "IntsimError": "errors",
    "ModelMismatch": "errors",
    "ModelNotFound": "errors",
    "PicturesMissing": "errors",
    "UnknownNode": "errors",
    "Evaluation": "measurement.evaluation",
    "evaluate": "measurement.labelled",
    "Quantized": "quantization.pipeline",
    "quantize": "quantization.pipeline",
    "synth": "quantization.pipeline",
    "Recipe": "quantization.recipe",
    "golden": "storage.golden_file",
    "load": "storage.model_file",
    "save": "storage.model_file",
    "read_picture": "storage.pictures",
    "Exported": "testbench.writing",
    "export": "testbench.writing",
    "Trace": "tracing.core",
    "trace": "tracing.core",
}

__all__ = [
    "NUMERICS",
    "AlreadyQuantized",
    "BoundError",
    "Builder",
    "CheckpointNotFound",
    "ConfigurationNotFound",
    "Diff",
    "Evaluation",
    "Exported",
    "FileError",
    "Graph",
    "GraphError",
    "IntsimError",
    "ModelMismatch",
    "ModelNotFound",
    "Node",
    "PicturesMissing",
    "Quantized",
    "Recipe",
    "Trace",
    "UnknownNode",
    "__version__",
    "diff",
    "evaluate",
    "export",
    "golden",
    "load",
    "quantize",
    "read_picture",
    "run",
    "save",
    "synth",
    "trace",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'intsim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
