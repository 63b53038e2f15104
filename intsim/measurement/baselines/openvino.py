"""OpenVINO on the CPU: the float32 model, bfloat16 where the processor has it, and int8 as NNCF quantizes transformers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ...arith import AnyArray
from ...kernels.threads import available
from ...nets.real import RealGraph
from ..benchmark import Runner
from .expected import Expected, quiet, require_scores
from .onnx_model import onnx_model

FLOAT32, BFLOAT16, INT8 = "openvino_float32", "openvino_bfloat16", "openvino_int8"
TELEMETRY = "openvino_telemetry"


@contextmanager
def _nothing_sent() -> Iterator[None]:
    """Both packages report every import and every quantization to their makers, unless this module of theirs is missing."""
    before = sys.modules.get(TELEMETRY)
    sys.modules[TELEMETRY] = None  # type: ignore[assignment]  # which makes an import of it fail
    try:
        yield
    finally:
        del sys.modules[TELEMETRY]
        if before is not None:
            sys.modules[TELEMETRY] = before


with _nothing_sent():
    import nncf
    import openvino as ov


def baselines(
    net: RealGraph, image: AnyArray, reference: Expected, folder: Path, threads: int | None = None
) -> dict[str, Runner]:
    """Runners by name: the network in float32, in bfloat16 where the processor has it, and in int8 by NNCF's post-training
    quantization for transformers, with activation ranges calibrated on `image`.

    What was tried on DeiT-S, Swin-T and Segmenter S/16 with OpenVINO 2026.4.1 and NNCF 3.4.0, on a processor with AVX-512
    VNNI and BF16, and compared by processor time in one thread:

    - `read_model`, not `convert_model`, which fuses attention before it is quantized, so that its second product stays in
      floating point: int8 takes 2 to 8 % less, float32 1 to 2 %.
    - bfloat16, OpenVINO's default where there is any, for what int8 leaves in floating point: up to 4 % less than float32.
    - NNCF's defaults for transformers. Symmetric activations take up to 2 % less; without SmoothQuant DeiT-S takes 3 % less,
      Swin-T 4 % more.
    - ENABLE_CPU_PINNING, TBB_PARTITIONER and ENABLE_HYPER_THREADING, in two threads and by time: no difference
      beyond the noise of a busy machine.

    All products are in int8 but one: NNCF takes what lies between the last layer with weights and an argmax for the
    processing of results, and leaves it in floating point. In a mask decoder that is the product of patches and classes,
    below 1 % of the network. Threads are pinned to processors only while a model runs, and spin for about a millisecond
    afterwards.

    Raises IntsimError where the float32 model's scores are not those of the network in float64, the `reference`.
    """
    threads, core = threads or available(), ov.Core()
    path = folder / "openvino.onnx"
    onnx.save(onnx_model(net, reference.scores.shape), path)
    require_scores("OpenVINO", _runner(compiled(core.read_model(path), "f32", threads))(image), reference)
    onnx.save(onnx_model(net), path)
    model = core.read_model(path)
    brief = "bf16" if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"
    models = {FLOAT32: (model, "f32"), INT8: (quantized(model, image), brief)}
    if brief == "bf16":
        models[BFLOAT16] = (model, brief)
    return {name: _runner(compiled(*models[name], threads)) for name in (FLOAT32, BFLOAT16, INT8) if name in models}


def quantized(model: Any, image: AnyArray) -> Any:
    """A model in int8, with ranges of activations calibrated on one picture."""
    with quiet():
        return nncf.quantize(model, nncf.Dataset([image]), model_type=nncf.ModelType.TRANSFORMER, subset_size=1)


def compiled(model: Any, precision: str, threads: int) -> Any:
    """A model compiled for one picture at a time; `precision` is that of what is not quantized: f32 or bf16."""
    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
    }
    return ov.Core().compile_model(model, "CPU", settings)


def _runner(model: Any) -> Runner:
    request = model.create_infer_request()
    return lambda image: np.array(request.infer({0: image}, share_inputs=True)[0])
