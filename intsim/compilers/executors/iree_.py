"""IREE: imported to MLIR, compiled by LLVM for this machine's CPU."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
import onnx

from ...arith import AnyArray
from ...errors import IntsimError
from . import Compiled

REQUIRES = "iree-base-compiler iree-base-runtime onnx"
TARGET = {
    "iree-hal-target-device": "local",
    "iree-hal-local-target-device-backends": "llvm-cpu",
    "iree-llvmcpu-target-cpu": "host",
}


def version() -> str:
    """Of the installed package."""
    metadata.version("iree-base-runtime")
    return metadata.version("iree-base-compiler")


def compiled(path: Path) -> Compiled:
    """The main function of a compiled module."""
    model = onnx.load(str(path))
    outputs = [value.name for value in model.graph.output]
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [value.name for value in model.graph.input if value.name not in stored]
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder) / "model.mlir"
        _call("iree-import-onnx", str(path), "-o", str(module))
        main = compiled_module(module)

    def run(given: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        return dict(zip(outputs, main([given[name] for name in inputs]), strict=True))

    return run


def compiled_module(module: Path, **options: str) -> Callable[[Sequence[AnyArray]], list[AnyArray]]:
    """The main function of a file of MLIR, compiled with further options."""
    import iree.runtime

    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "model.vmfb"
        given = TARGET | {key.replace("_", "-"): value for key, value in options.items()}
        _call("iree-compile", str(module), "-o", str(binary), *(f"--{key}={value}" for key, value in given.items()))
        machine = iree.runtime.load_vm_flatbuffer(binary.read_bytes(), driver="local-task")
    main = next(n for n in machine.vm_module.function_names if not n.startswith("__") and "async" not in n)

    def run(arguments: Sequence[AnyArray]) -> list[AnyArray]:
        results = machine[main](*arguments)
        return [np.asarray(x.to_host()) for x in (results if isinstance(results, tuple | list) else [results])]

    return run


def _call(tool: str, *arguments: str) -> None:
    """One of IREE's commands; IntsimError with its own first error where it fails."""
    beside = Path(sys.executable).with_name(tool)
    command = str(beside) if beside.exists() else shutil.which(tool) or tool
    done = subprocess.run([command, *arguments], capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error:" in line] or done.stderr.splitlines()[-1:]
        raise IntsimError(f"{tool}: {lines[0].strip() if lines else f'exit code {done.returncode}'}")
