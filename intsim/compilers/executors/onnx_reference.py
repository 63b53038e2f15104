"""ONNX's own reference evaluator: operators in NumPy, one after the other. Slow, and the closest to the standard."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import numpy as np

from ...arith import AnyArray
from . import Compiled

REQUIRES = "onnx"


def version() -> str:
    """Of the installed package."""
    return metadata.version("onnx")


def compiled(path: Path) -> Compiled:
    """An evaluator."""
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(str(path))

    def run(inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        with np.errstate(all="ignore"):
            return dict(zip(evaluator.output_names, evaluator.run(None, dict(inputs)), strict=True))

    return run
