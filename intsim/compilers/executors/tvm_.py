"""TVM: Relax's ONNX frontend, compiled by LLVM for this machine."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from ...arith import AnyArray
from . import Compiled

REQUIRES = "apache-tvm onnx"


def version() -> str:
    """Of the installed package."""
    return metadata.version("apache-tvm")


def compiled(path: Path) -> Compiled:
    """A virtual machine's main function."""
    import onnx
    import tvm
    from tvm import relax
    from tvm.relax.frontend.onnx import from_onnx

    model = onnx.load(str(path))
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [value.name for value in model.graph.input if value.name not in stored]
    outputs = [value.name for value in model.graph.output]
    module = from_onnx(model, keep_params_in_input=False)
    module = relax.transform.LegalizeOps()(relax.transform.DecomposeOpsForInference()(module))
    machine: Any = relax.VirtualMachine(tvm.compile(module, target="llvm"), tvm.cpu())

    def run(given: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        results = machine["main"](*(tvm.runtime.tensor(np.ascontiguousarray(given[name])) for name in inputs))
        results = [results] if hasattr(results, "numpy") else list(results)
        return {name: np.asarray(result.numpy()) for name, result in zip(outputs, results, strict=True)}

    return run
