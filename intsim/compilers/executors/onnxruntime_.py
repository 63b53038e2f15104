"""onnxruntime, on the CPU, with all of its graph optimizations."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from ...arith import AnyArray
from . import Compiled

REQUIRES = "onnxruntime"


def version() -> str:
    """Of the installed package."""
    return metadata.version("onnxruntime")


def compiled(path: Path) -> Compiled:
    """A session."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]

    def run(inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        return dict(zip(outputs, session.run(outputs, dict(inputs)), strict=True))

    return run
