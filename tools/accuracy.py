"""Measure the accuracy of each choice of quantization on scenes used neither for training nor for calibration.

    python tools/accuracy.py calibration | long-tail | class-norm | choices

prints one table of docs/accuracy.md; `make accuracy` prints them all. `make-long-tail FILE` writes the network with long
tails. Only intsim is needed: float results are those of its real-valued graph, which tests compare with torch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

import intsim
from intsim import dialects
from intsim.measurement.evaluation import Confusion
from intsim.nets.real import LAYER_NORM_EPS, RealGraph
from intsim.nets.segmenter import SCORES, SegmenterConfig, segmenter
from intsim.quantization import Recipe, class_gain, quantize_weights, read_checkpoint, read_config
from intsim.quantization.recipe import CALIBRATED, NONE, PUBLISHED, Observer

from scenes import CALIBRATION_SEED, CLASSES, EVAL_SEED, render

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
OBSERVERS = ("minmax", "percentile:99.99", "percentile:99.9", "mse")
TAIL_FACTOR, TAIL_CHANNELS = 4, 8

Weights = dict[str, NDArray]
Scenes = list[tuple[NDArray, NDArray]]


@cache
def checkpoint(name: str) -> tuple[Weights, dict[str, Any]]:
    """The weights and the configuration of a checkpoint in weights/."""
    config = read_config(WEIGHTS / f"{name}.json")
    return read_checkpoint(WEIGHTS / f"{name}.safetensors", config)[0], config


@cache
def calibration(count: int) -> list[NDArray]:
    """Calibration pictures; the first is examples/scenes/calibration.png."""
    return [render(CALIBRATION_SEED + i)[0] for i in range(count)]


def unseen(count: int) -> Scenes:
    """Unseen pictures with their labels."""
    return [render(EVAL_SEED + i) for i in range(count)]


def miou(label: Callable[[NDArray], NDArray], scenes: Scenes) -> float:
    """The mean IoU of a function from pictures to labels."""
    confusion = Confusion(len(CLASSES))
    for picture, labels in scenes:
        confusion.add(labels.astype(np.int16), label(picture))
    return confusion.miou


def real_miou(weights: Weights, config: dict[str, Any], scenes: Scenes) -> float:
    """The mean IoU of the real-valued network, upsampled like the integer one."""
    return miou(segmenter(SegmenterConfig.of(config), weights).run, scenes)


def integer_miou(
    weights: Weights, config: dict[str, Any], scenes: Scenes, pictures: int = 1, recipe: Recipe | None = None
) -> float:
    """The mean IoU of the integer network quantized by a recipe."""
    graph = quantize_weights(weights, config, calibration(pictures), dialects.ISEGMENTER, "measured here", recipe)
    return miou(lambda picture: intsim.run(graph, picture), scenes)


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table: the first column left-aligned, the others right-aligned, floats with four digits."""
    cells = [list(heads), *([f"{v:.4f}" if isinstance(v, float) else str(v) for v in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
    for row in cells:
        first, *rest = zip(row, widths, strict=True)
        print("  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]))


@click.group()
def main() -> None:
    """Measure the accuracy of choices of quantization."""


scenes_option = click.option("--scenes", default=500, show_default=True, help="Number of unseen scenes.")


@main.command("calibration")
@scenes_option
def by_calibration(scenes: int) -> None:
    """Calibration pictures, observers, the clamp of the GELUs, the width of the residual stream."""
    weights, config = checkpoint("scenes")
    seen = unseen(scenes)
    print(f"float, nearest upsampling: mIoU {real_miou(weights, config, seen):.4f}; {scenes} scenes")
    heads = ["pictures, observer", "lam, residual 16", "no lam, 16", "lam, residual 8", "no lam, 8"]
    rows = []
    for pictures in (1, 4):
        for observer in OBSERVERS:
            row: list[Any] = [f"{pictures:2d}  {observer}"]
            for residual in (16, 8):
                for lam in ("search", "off"):
                    recipe = Recipe(observer=Observer.of(observer), lam=lam, widths={"residual": residual})
                    row.append(integer_miou(weights, config, seen, pictures, recipe))
            rows.append(row)
    table(heads, rows)


@main.command("long-tail")
@scenes_option
def by_tail(scenes: int) -> None:
    """The effect of the clamp on a network with long tails before its GELUs."""
    weights, config = checkpoint("scenes")
    seen = unseen(scenes)
    tailed = long_tailed(weights, config)
    rows = []
    for name, each in (("as trained", weights), ("long tails", tailed)):
        row: list[Any] = [name, real_miou(each, config, seen)]
        row += [integer_miou(each, config, seen, recipe=Recipe(lam=lam)) for lam in ("search", "off")]
        rows.append(row)
    for observer in OBSERVERS[1:]:
        row = [f"long tails, {observer}", ""]
        for lam in ("search", "off"):
            row.append(integer_miou(tailed, config, seen, recipe=Recipe(observer=Observer.of(observer), lam=lam)))
        rows.append(row)
    table(["model", "float", "lam searched", "no lam"], rows)


@main.command("make-long-tail")
@click.argument("target", type=click.Path(path_type=Path))
def make_long_tail(target: Path) -> None:
    """Write the network with long tails to TARGET (safetensors), and its configuration next to it."""
    weights, config = checkpoint("scenes")
    tailed = long_tailed(weights, config)
    save_file({name: np.ascontiguousarray(value, np.float32) for name, value in tailed.items()}, target)
    target.with_suffix(".json").write_text(json.dumps({**config, "name": "scenes-long-tail"}, indent=2) + "\n")


def long_tailed(weights: Weights, config: dict[str, Any]) -> Weights:
    """The shipped network with long tails before its GELUs; its results are nearly the same.

    In every MLP, the inputs of the 8 hidden channels with the largest inputs are multiplied by 4 (rows of fc1) and their
    outputs by 1/4 (columns of fc2): far from 0, GELU is the identity or 0, and both commute with scaling.
    """
    net = segmenter(SegmenterConfig.of(config), weights)
    names = [node.name for node in net.nodes if node.name.endswith(".fc1")]
    seen = [net.tensors(picture, names) for picture in calibration(4)]
    changed = dict(weights)
    for fc1 in names:
        fc2 = fc1.replace("fc1", "fc2")
        largest = np.argsort(-np.concatenate([values[fc1] for values in seen]).max(axis=0))[:TAIL_CHANNELS]
        gain = np.ones(len(weights[f"{fc1}.bias"]))
        gain[largest] = TAIL_FACTOR
        changed[f"{fc1}.weight"] = weights[f"{fc1}.weight"] * gain[:, None]
        changed[f"{fc1}.bias"] = weights[f"{fc1}.bias"] * gain
        changed[f"{fc2}.weight"] = weights[f"{fc2}.weight"] / gain
    return changed


@main.command("class-norm")
@scenes_option
def by_class_norm(scenes: int) -> None:
    """The L2 norms of a network trained with them; then with class features of more different lengths."""
    weights, config = checkpoint("scenes_l2")
    seen = unseen(scenes)
    dimensions = SegmenterConfig.of(config)
    published = segmenter(dimensions, weights)
    for eps in (LAYER_NORM_EPS, 0.0):
        largest, different = 0.0, 0
        for picture, _ in seen[:20]:
            without = segmenter(dimensions, weights, class_gain=class_gain(published, [picture]))
            (ours, our_labels), (theirs, their_labels) = (scores(with_eps(n, eps), picture) for n in (without, published))
            largest = max(largest, float(np.abs(ours - theirs).max()))
            different += int((our_labels != their_labels).sum())
        few = len(seen[:20])
        print(f"patch norm left out, eps {eps:g}: scores differ by {largest:.1e}, {different} labels of {few} scenes differ")
    gains = class_gain(published, calibration(1))
    print("class gains from one picture: " + ", ".join(f"{gain:.3f}" for gain in gains))
    rows: list[list[Any]] = [["float, as trained", miou(published.run, seen)]]
    fixed = segmenter(dimensions, weights, class_gain=gains)
    rows.append(["float, calibrated with 1 picture", miou(fixed.run, seen)])
    rows.append(["float, no norm", miou(segmenter(dimensions, weights, class_gain=1.0).run, seen)])
    for count in (1, 4, 16):
        rows.append([f"integer, calibrated with {count}", integer_miou(weights, config, seen, count)])
    rows.append(["integer, none", integer_miou(weights, config, seen, recipe=Recipe(class_norm="none"))])
    table(["class norm", "mIoU"], rows)
    print()
    rows = [stretched(spread, weights, config, seen[:100]) for spread in (0, 2, 3)]
    table(["class features", "gains over their mean", "labels as float, calibrated", "none"], rows)


def stretched(spread: float, weights: Weights, config: dict[str, Any], scenes: Scenes) -> list[Any]:
    """The share of labels on which the integer and the published network agree if the class features differ more in length:
    the channels of their projection are multiplied by random factors.
    """
    factors = np.exp(spread * np.random.default_rng(0).standard_normal(config["d_model"]))
    changed = weights | {"decoder.proj_classes": weights["decoder.proj_classes"] * factors}
    published = segmenter(SegmenterConfig.of(config), changed)
    gains = class_gain(published, calibration(1))
    gains /= gains.mean()
    real = [published.run(picture) for picture, _ in scenes]
    row: list[Any] = [f"stretched by exp({spread} N(0,1))", f"{gains.min():.2f} to {gains.max():.2f}"]
    for norm in (CALIBRATED, NONE):
        graph = quantize_weights(
            changed, config, calibration(1), dialects.ISEGMENTER, "measured here", Recipe(class_norm=norm)
        )
        equal = [(intsim.run(graph, p) == labels).mean() for (p, _), labels in zip(scenes, real, strict=True)]
        row.append(float(np.mean(equal)))
    return row


def with_eps(net: RealGraph, eps: float) -> RealGraph:
    """The network with another epsilon in its mask norm; an integer layer norm has no epsilon."""
    return RealGraph(
        replace(node, params={**node.params, "eps": eps}) if node.name == "decoder.mask_norm" else node for node in net.nodes
    )


def scores(net: RealGraph, picture: NDArray) -> tuple[NDArray, NDArray]:
    """The scores [h, w, classes] of a picture, and its labels."""
    seen = net.tensors(picture, [SCORES, "labels"])
    return seen[SCORES], seen["labels"]


@main.command("choices")
@scenes_option
def by_choice(scenes: int) -> None:
    """Other choices, one at a time, with one calibration picture."""
    weights, config = checkpoint("scenes")
    seen = unseen(scenes)
    choices = {
        "default": Recipe(),
        "--recipe published": PUBLISHED,
        "--choose equalize=0": Recipe(equalize=0.0),
        "--choose correct_bias=false": Recipe(correct_bias=False),
        "--choose gelu=published": Recipe(gelu="published"),
        "--bits logits=8": Recipe(widths={"logits": 8}),
        "--bits logits=8 --choose logits_range=observed": Recipe(widths={"logits": 8}, logits_range="observed"),
        "--fold-norm": Recipe(fold_norm=True),
        "--lam 64": Recipe(lam=64),
        "--bits masks=8": Recipe(widths={"masks": 8}),
        "--bits weight=6": Recipe(widths={"weight": 6}),
        "--bits weight=4": Recipe(widths={"weight": 4}),
        "--bits activation=7": Recipe(widths={"activation": 7}),
        "--bits activation=6": Recipe(widths={"activation": 6}),
        "--observer '*.logits=percentile:99.9'": Recipe(observers={"*.logits": Observer.of("percentile:99.9")}),
    }
    rows = [[name, integer_miou(weights, config, seen, recipe=recipe)] for name, recipe in choices.items()]
    for name in dialects.DIALECTS:
        graph = quantize_weights(weights, config, calibration(1), dialects.DIALECTS[name], "measured here")
        rows.append([f"--dialect {name}", miou(lambda picture, graph=graph: intsim.run(graph, picture), seen)])
    table(["choice", "mIoU"], rows)


if __name__ == "__main__":
    main()
