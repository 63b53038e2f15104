"""Networks as integer-only ONNX: the time of the export, nodes, size, and a run in onnxruntime beside intsim's own.

    python bench/onnx_export.py [PRESET ...]

The output of both is compared before anything is timed; times are medians, in turn in one process. Needs onnxruntime.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime

import intsim
from intsim.compilers.onnx_model import onnx_model
from intsim.quantization.synth import random_picture

PRESETS = ("deit-t@224", "seg-s16-mask@512")
RUNS = 3


def main() -> None:
    """Print a few lines per network."""
    for preset in sys.argv[1:] or PRESETS:
        graph = intsim.synth(preset)
        picture = random_picture(dict(graph.config), 1)
        start = time.perf_counter()
        functions, inlined = onnx_model(graph), onnx_model(graph, inline=True)
        seconds = time.perf_counter() - start
        session = onnxruntime.InferenceSession(inlined.SerializeToString(), providers=["CPUExecutionProvider"])
        given = {session.get_inputs()[0].name: picture}

        def elsewhere(session: Any = session, given: Any = given) -> Any:
            return session.run(None, given)[0]

        def here(graph: Any = graph, picture: Any = picture) -> Any:
            return intsim.run(graph, picture)

        if not np.array_equal(elsewhere(), here()):
            sys.exit(f"{preset}: onnxruntime computes something else")
        theirs, ours = medians(elsewhere, here)
        print(f"{preset}: both files in {seconds:.1f} s")
        print(f"  functions   {len(functions.graph.node):,} nodes, {len(functions.functions)} functions")
        print(f"  inlined     {len(inlined.graph.node):,} operators, {inlined.ByteSize() / 1e6:.1f} MB")
        print(f"  onnxruntime {theirs:.2f} s a picture, {theirs / ours:.0f} times intsim's", flush=True)


def medians(*calls: Callable[[], Any]) -> list[float]:
    """The median time of each call, in turn."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(RUNS):
        for own, call in zip(times, calls, strict=True):
            start = time.perf_counter()
            call()
            own.append(time.perf_counter() - start)
    return [statistics.median(own) for own in times]


if __name__ == "__main__":
    main()
