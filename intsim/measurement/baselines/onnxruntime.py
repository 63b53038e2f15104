"""onnxruntime on the CPU: the float32 model, and its two kinds of int8 quantization (dynamic and static)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static

from ...arith import AnyArray
from ...kernels.threads import available
from ...nets.real import RealGraph
from ..benchmark import Runner
from .expected import Expected, quiet, require_scores
from .onnx_model import onnx_model

FLOAT32, DYNAMIC, STATIC = "onnxruntime_float32", "onnxruntime_int8_dynamic", "onnxruntime_int8_static"


def baselines(
    net: RealGraph, image: AnyArray, reference: Expected, folder: Path, threads: int | None = None
) -> dict[str, Runner]:
    """Runners by name: the network in float32, and in int8 with dynamic activation ranges or ranges calibrated on `image`.

    Of onnxruntime's int8 settings these are the fastest we found: signed weights, unsigned activations (the operands of
    VNNI), and in the static model only the products, without quantize and dequantize pairs around other operators.
    Raises IntsimError where the float32 model's scores are not those of the network in float64, the `reference`.
    """
    threads = threads or available()
    scores = folder / "scores.onnx"
    onnx.save(onnx_model(net, reference.scores.shape), scores)
    require_scores("onnxruntime", _runner(scores, threads)(image), reference)
    paths = {name: folder / f"{name}.onnx" for name in (FLOAT32, DYNAMIC, STATIC)}
    onnx.save(onnx_model(net), paths[FLOAT32])
    with quiet():
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
    return {name: _runner(path, threads) for name, path in paths.items()}


class _OnePicture:
    """The calibration data of static quantization: one picture (a `CalibrationDataReader`)."""

    def __init__(self, feed: dict[str, AnyArray]) -> None:
        self.feeds: Iterator[dict[str, AnyArray]] = iter([feed])

    def get_next(self) -> Any:
        return next(self.feeds, None)


def _runner(path: Path, threads: int) -> Runner:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda image: np.asarray(session.run(None, {name: image})[0])
