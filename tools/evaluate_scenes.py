"""Evaluate the shipped models on unseen scenes: float with bilinear and nearest upsampling, and integer.

    python tools/evaluate_scenes.py

writes weights/evaluation.json. The float model is a torch implementation, independent of intsim's real-valued graph;
the difference between the two is measured as well. Needs the `train` extra.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from safetensors.torch import load_file
from torch.nn import functional as F

import intsim
from intsim.measurement.evaluation import Confusion
from intsim.nets.segmenter import SCORES, SegmenterConfig, segmenter
from intsim.quantization import read_checkpoint, read_config

from scenes import CLASSES, EVAL_SEED, render
from segmenter_torch import Segmenter, normalize
from train_scenes import PATCH

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
CROSS_CHECKED = 5  # pictures on which the two real-valued implementations are compared


def float_model(config: dict) -> Segmenter:
    """The torch Segmenter with the shipped weights."""
    size = (config["image_size"][0], config["image_size"][1])
    dimensions = (config[key] for key in ("patch_size", "d_model", "n_heads", "n_layers", "n_cls"))
    model = Segmenter(size, *dimensions, config["decoder"]["n_layers"])
    model.load_state_dict(load_file(WEIGHTS / "scenes.safetensors"))
    return model.eval()


@click.command()
@click.option("--scenes", "count", default=200, show_default=True, help="Number of unseen scenes.")
def main(count: int) -> None:
    config = read_config(WEIGHTS / "scenes.json")
    model = float_model(config)
    graph = intsim.load(WEIGHTS / "scenes.h5")
    real = segmenter(SegmenterConfig.of(config), read_checkpoint(WEIGHTS / "scenes.safetensors", config)[0])
    names = ("float_bilinear", "float_nearest", "integer")
    counts = {name: Confusion(len(CLASSES)) for name in names}
    largest, agreeing = 0.0, 0
    start = time.perf_counter()
    for i in track(range(count), "evaluating"):
        image, labels = render(EVAL_SEED + i)
        with torch.no_grad():
            scores = model(normalize(torch.from_numpy(image).permute(2, 0, 1)[None]))
        smooth = F.interpolate(scores, labels.shape, mode="bilinear", align_corners=False)
        predicted = {
            "float_bilinear": smooth.argmax(1)[0].numpy(),
            "float_nearest": scores.argmax(1)[0].numpy().repeat(PATCH, 0).repeat(PATCH, 1),
            "integer": intsim.run(graph, image),
        }
        for name, value in predicted.items():
            counts[name].add(labels.astype(np.int16), value)
        agreeing += int((predicted["integer"] == predicted["float_nearest"]).sum())
        if i < CROSS_CHECKED:
            largest = max(largest, _difference(real, image, scores))
    iou = {name: np.array(value.iou) for name, value in counts.items()}
    report = {
        "scenes": count,
        "seeds": [EVAL_SEED, EVAL_SEED + count - 1],
        "seconds": round(time.perf_counter() - start, 1),
        "miou": {name: round(float(value.mean()), 4) for name, value in iou.items()},
        "class_iou": {n: dict(zip(CLASSES, (round(float(x), 4) for x in v), strict=True)) for n, v in iou.items()},
        "integer_equals_float_nearest": round(agreeing / (count * config["image_size"][0] * config["image_size"][1]), 4),
        "largest_difference_torch_to_real_graph": float(f"{largest:.2g}"),
    }
    (WEIGHTS / "evaluation.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


def _difference(real, image: NDArray, scores: torch.Tensor) -> float:  # type: ignore[no-untyped-def]
    """The largest difference between torch's scores and those of intsim's real-valued graph."""
    grid = real.tensors(image, [SCORES])[SCORES]
    return float(np.abs(grid - scores[0].permute(1, 2, 0).numpy()).max())


if __name__ == "__main__":
    main()
