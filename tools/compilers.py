"""The first table of docs/compilers.md: every tensor of whole networks, in every runtime that is installed.

    python tools/compilers.py [RUNTIME ...]

Runtimes: those of intsim.compilers.executors. Each runs in a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import intsim
from intsim.compilers.execution import execute
from intsim.compilers.executors import executor, names
from intsim.compilers.onnx_model import onnx_model, save_onnx
from intsim.compilers.tosa_model import TosaModel
from intsim.compilers.tosa_reference import REQUIRES, installed, run_reference
from intsim.engine.graph import Graph
from intsim.engine.interpreter import run
from intsim.errors import IntsimError

ROOT = Path(__file__).parent.parent
SCENES = ROOT / "examples" / "scenes"
WIDTHS = {"openvino": (64, 24)}  # it computes integers in float32


def networks() -> Iterator[tuple[str, Graph]]:
    """The networks, by name."""
    yield "the shipped model, isegmenter", intsim.load(ROOT / "weights" / "scenes.h5")
    for dialect in ("ivit", "ivit-tvm", "rtl"):
        source, config = (ROOT / "weights" / f"scenes.{suffix}" for suffix in ("safetensors", "json"))
        made = intsim.quantize(source, [SCENES / "calibration.png"], config=config, dialect=dialect)
        yield f"the same checkpoint, {dialect}", made.graph
    for name in ("deit", "swin", "segmenter"):
        for dialect in ("ivit", "ivit-tvm"):
            yield (
                f"I-ViT's {name} recording, {dialect}",
                intsim.quantize(ROOT / "golden" / f"ivit-{name}-mini.npz", dialect=dialect).graph,
            )


def main() -> None:
    """The table, or with --one the row of one runtime."""
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2])
        return
    for runtime in sys.argv[1:] or names():
        try:
            version = executor(runtime).version()
        except IntsimError as error:
            print(f"skipped: {error}")
            continue
        print(f"{runtime} {version}", flush=True)
        subprocess.run([sys.executable, __file__, "--one", runtime], check=False)
    if not sys.argv[1:]:
        print("TOSA's reference model" if installed() else f"skipped: pip install {REQUIRES}", flush=True)
        for name, graph in networks() if installed() else ():
            picture, due = computed(graph)
            told(name, due, run_reference(TosaModel(graph), {**due, graph.input.name: picture}))


def one(runtime: str) -> None:
    """Every network in one runtime."""
    for name, graph in networks():
        picture, due = computed(graph)
        for width in WIDTHS.get(runtime, (64,)):
            label = name if width == 64 else f"{name}, width {width}"
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "net.onnx"
                save_onnx(onnx_model(graph, ["*"], inline=True, width=width), path)
                try:
                    found = execute(path, picture, runtime).tensors
                except IntsimError as error:
                    print(f"  {label}: {error}", flush=True)
                    continue
            del found[graph.input.name]
            told(label, due, found)


def computed(graph: Graph) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A random picture, and every tensor of a run."""
    height, width, _ = graph.tensors[graph.input.name].shape
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    due: dict[str, np.ndarray] = {}
    run(graph, picture, lambda node, value: due.__setitem__(node, value.copy()))
    return picture, due


def told(name: str, due: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> None:
    """Print how many tensors differ."""
    wrong = [node for node, value in found.items() if not np.array_equal(value, due[node])]
    said = "all exact" if not wrong else f"{len(wrong)} differ, first {wrong[0]}"
    print(f"  {name}: {len(found)} tensors, {said}", flush=True)


if __name__ == "__main__":
    main()
