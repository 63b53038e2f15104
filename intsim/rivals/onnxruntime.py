"""onnxruntime on the CPU: the float32 model, and the two ways it makes an int8 one of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

from ..errors import IntsimError
from ..kernels.threads import available
from ..nets.real import RealGraph
from .onnx_model import onnx_model

Runner = Callable[[NDArray], NDArray]

FLOAT32, DYNAMIC, STATIC = "onnxruntime_float32", "onnxruntime_int8_dynamic", "onnxruntime_int8_static"
VERSION = ort.__version__
SAME = 0.999  # of the labels; float32 and float64 may part where two classes are as good as equal


def rivals(net: RealGraph, image: NDArray, expected: NDArray, folder: Path, threads: int | None = None) -> dict[str, Runner]:
    """By name: the network in float32, and in int8 with activations quantized as they come or calibrated on `image`.

    Of onnxruntime's int8 settings these are the fastest we found: signed weights, unsigned activations (what VNNI
    multiplies), and of the static one only the products, without quantize and dequantize pairs around other operators.
    IntsimError where the float32 model does not give `expected`, the labels of the network in float64.
    """
    paths = {name: folder / f"{name}.onnx" for name in (FLOAT32, DYNAMIC, STATIC)}
    onnx.save(onnx_model(net), paths[FLOAT32])
    agreeing = float(np.mean(_runner(paths[FLOAT32], threads or available())(image) == expected))
    if agreeing < SAME:
        raise IntsimError(f"only {agreeing:.2%} of onnxruntime's float32 labels are the network's; there is nothing to time")
    with _quiet():
        quantize_dynamic(paths[FLOAT32], paths[DYNAMIC], weight_type=QuantType.QInt8)
        quantize_static(
            paths[FLOAT32],
            paths[STATIC],
            _OnePicture({net.nodes[0].name: image}),
            op_types_to_quantize=["MatMul"],
            quant_format=QuantFormat.QOperator,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    return {name: _runner(path, threads or available()) for name, path in paths.items()}


class _OnePicture(CalibrationDataReader):
    """What static quantization calibrates on."""

    def __init__(self, feed: dict[str, NDArray]) -> None:
        self.feeds: Iterator[dict[str, NDArray]] = iter([feed])

    def get_next(self) -> Any:
        return next(self.feeds, None)


def _runner(path: Path, threads: int) -> Runner:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda image: np.asarray(session.run(None, {name: image})[0])


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice onnxruntime's quantizer gives to the log."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
