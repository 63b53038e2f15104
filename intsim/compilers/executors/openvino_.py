"""OpenVINO, on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import numpy as np
import onnx

from ...arith import AnyArray
from . import Compiled

REQUIRES = "openvino"


def version() -> str:
    """Of the installed package."""
    return metadata.version("openvino")


def compiled(path: Path) -> Compiled:
    """A compiled model."""
    import openvino

    model = openvino.Core().compile_model(openvino.Core().read_model(path), "CPU")
    names = [value.name for value in onnx.load(str(path)).graph.output]  # it may have further names for them

    def run(inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        results = model(dict(inputs), share_outputs=False)
        return {name: np.array(results[output]) for name, output in zip(names, model.outputs, strict=True)}

    return run
