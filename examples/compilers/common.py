"""What a runtime makes of one ONNX model: printed beside what is due. No part of intsim is needed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx

PACKAGES = {"onnxruntime": "onnxruntime", "openvino": "openvino", "iree": "iree-base-compiler"}
HEAD = '<ir_version: 10, opset_import: ["" : 18]>\n'


def show(runtime: str, graph: str, due: np.ndarray, **inputs: np.ndarray) -> bool:
    """Run a graph in ONNX's text form, print what comes out, and return whether it is what is due."""
    model = onnx.parser.parse_model(HEAD + graph)
    onnx.checker.check_model(model, full_check=True)
    try:
        found = {"onnxruntime": onnxruntime, "openvino": openvino, "iree": iree}[runtime](model, inputs)
    except ImportError as error:
        print(f"skipped: {error.name} is not installed")
        return True
    except subprocess.CalledProcessError as error:
        print(f"{runtime} refuses: {error.stderr.splitlines()[0]}")
        return False
    if found.dtype != due.dtype and found.itemsize == due.itemsize:
        found = found.view(due.dtype)  # some runtimes return unsigned tensors as signed ones
    exact = np.array_equal(found, due)
    operators = ", ".join(dict.fromkeys(node.op_type for node in model.graph.node))
    print(f"{runtime} {version(PACKAGES[runtime])}, {operators}: {'exact' if exact else 'differs'}")
    print(f"  found {found.ravel().tolist()}\n  due   {due.ravel().tolist()}")
    return exact


def onnxruntime(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """On the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def openvino(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """On the CPU."""
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        onnx.save(model, f"{folder}/model.onnx")
        compiled = openvino.Core().compile_model(f"{folder}/model.onnx", "CPU")
    return np.array(compiled(inputs)[0])


def iree(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Compiled by LLVM for this machine."""
    import iree.runtime

    tools = Path(sys.executable).parent
    with tempfile.TemporaryDirectory() as folder:
        onnx.save(model, f"{folder}/model.onnx")
        target = ["--iree-hal-target-device=local", "--iree-hal-local-target-device-backends=llvm-cpu"]
        for command in (
            [tools / "iree-import-onnx", f"{folder}/model.onnx", "-o", f"{folder}/model.mlir"],
            [tools / "iree-compile", f"{folder}/model.mlir", "-o", f"{folder}/model.vmfb", *target],
        ):
            subprocess.run(command, check=True, capture_output=True, text=True)
        machine = iree.runtime.load_vm_flatbuffer_file(f"{folder}/model.vmfb", driver="local-task")
    (name,) = (n for n in machine.vm_module.function_names if not n.startswith("__") and "async" not in n)
    return np.asarray(machine[name](*inputs.values()).to_host())
