"""OpenVINO, on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import numpy as np

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

    def run(inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        results = model(dict(inputs), share_outputs=False)
        return {output.get_any_name(): np.array(results[output]) for output in model.outputs}

    return run
