"""Train quantized networks and measure them: the tables and curves of docs/training.md.

    python tools/training.py widths | clamp | cost
    python tools/training.py real --checkpoint linear_224.safetensors --camvid CamVid

`widths` quantizes the shipped network at four pairs of widths, with and without training; `clamp` trains the long-tailed
network with plain ShiftGELU and with lambda-ShiftGELU, from several seeds; `cost` compares a training step with that of the
float network; `real` trains the head, or the last blocks, of a network that tools/real_segmenter.py wrote. Curves go to the
folder of ``--out``, by default build/training. Needs torch.
"""

from __future__ import annotations

import csv
import json
import statistics
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

import intsim
from intsim.dialects import DIALECTS
from intsim.engine.graph import Graph
from intsim.measurement.evaluation import Confusion
from intsim.qat import Prepared, RealNetwork, prepare
from intsim.qat.data import batch, shares
from intsim.qat.training import CURVES, Row, Schedule, cross_entropy, train
from intsim.quantization import Recipe

from accuracy import WEIGHTS, calibration, checkpoint, integer_miou, long_tailed, miou, real_miou, table, unseen
from scenes import CLASSES, TRAIN_SEED, render

OUT = Path(__file__).resolve().parent.parent / "build" / "training"
PLAIN = replace(DIALECTS["isegmenter"], name="plain ShiftGELU", gelu="shiftgelu")
PAIRS = ((8, 8), (6, 6), (4, 8), (4, 4))


class Scenes:
    """Rendered scenes, mirrored by chance."""

    def __init__(self, count: int) -> None:
        found = [render(TRAIN_SEED + i) for i in range(count)]
        self.pictures, self.labels = (np.stack(part) for part in zip(*found, strict=True))

    def __len__(self) -> int:
        return len(self.pictures)

    def example(self, index: int, chance: np.random.Generator) -> tuple[NDArray, NDArray]:
        picture, labels = self.pictures[index], self.labels[index].astype(np.int16)
        if chance.random() < 0.5:
            picture, labels = picture[:, ::-1], labels[:, ::-1]
        return np.ascontiguousarray(picture), shares(labels, 8, len(CLASSES))


@cache
def scenes(count: int) -> Scenes:
    """The first training scenes."""
    return Scenes(count)


def labelled(graph: Graph, seen: Any) -> float:
    """The mean IoU of an integer network."""
    return miou(lambda picture: intsim.run(graph, picture), seen)


def prepared(recipe: Recipe, path: Path = WEIGHTS / "scenes.safetensors", **how: Any) -> Prepared:
    """The network of a checkpoint, quantized with the calibration picture of the shipped model."""
    return prepare(path, calibration(1), recipe=recipe, **how)


def shown(row: Row) -> None:
    """A line now and then."""
    if row.step % 50 == 0:
        print(f"  step {row.step:4d}  loss {row.loss:.4f}  {row.seconds:.0f} s", flush=True)


@click.group()
def main() -> None:
    """Train quantized networks and measure them."""


steps_option = click.option("--steps", default=400, show_default=True)
scenes_option = click.option("--scenes", "count", default=500, show_default=True, help="Unseen scenes that are measured.")
out_option = click.option("--out", type=click.Path(path_type=Path), default=OUT)


@main.command()
@steps_option
@scenes_option
@out_option
@click.option("--training-scenes", default=4000, show_default=True)
@click.option("--power-of-two", is_flag=True)
@click.option("--only", default="", help="One pair of widths, as in 4/4.")
def widths(steps: int, count: int, out: Path, training_scenes: int, power_of_two: bool, only: str) -> None:
    """The shipped network at four pairs of widths."""
    weights, config = checkpoint("scenes")
    seen = unseen(count)
    exact = real_miou(weights, config, seen)
    rows: list[list[Any]] = []
    for weight, activation in PAIRS:
        if only not in ("", f"{weight}/{activation}"):
            continue
        recipe = Recipe(widths={"weight": weight, "activation": activation})
        plain = integer_miou(weights, config, seen, recipe=recipe)
        found = prepared(recipe, power_of_two=power_of_two)
        schedule = Schedule(steps=steps, rate=RATES[weight, activation])
        begun = time.perf_counter()
        folder = out / f"w{weight}a{activation}"
        path = train(found.network, found.teacher, scenes(training_scenes), schedule, folder, progress=shown)
        seconds = time.perf_counter() - begun
        trained = labelled(intsim.load(path), seen)
        lost = exact - plain
        back = f"{(trained - plain) / lost:.0%}" if lost > 0.002 else ""
        rows.append([f"{weight}/{activation}", exact, plain, trained, back, f"{seconds / 60:.1f} min"])
    table(["weights/activations", "float", "ptq", f"{steps} steps of qat", "of the loss returned", "took"], rows)


RATES = {(8, 8): 5e-5, (6, 6): 1e-4, (4, 8): 1e-4, (4, 4): 3e-4}  # by widths


@main.command()
@click.option("--steps", default=150, show_default=True)
@scenes_option
@out_option
@click.option("--seeds", default=3, show_default=True)
@click.option("--training-scenes", default=4000, show_default=True)
def clamp(steps: int, count: int, out: Path, seeds: int, training_scenes: int) -> None:
    """The long-tailed network with plain ShiftGELU and with lambda-ShiftGELU."""
    from safetensors.numpy import save_file

    weights, config = checkpoint("scenes")
    tailed, seen = long_tailed(weights, config), unseen(count)
    out.mkdir(parents=True, exist_ok=True)
    path = out / "long_tail.safetensors"
    save_file({name: np.ascontiguousarray(value, np.float32) for name, value in tailed.items()}, path)
    rows: list[list[Any]] = []
    for name, dialect in (("ShiftGELU", PLAIN), ("lambda-ShiftGELU", DIALECTS["isegmenter"])):
        for seed in range(seeds):
            found = prepared(Recipe(), path, config=config, dialect=dialect)
            before = labelled(found.network.graph(), seen)
            schedule = Schedule(steps=steps, rate=1e-4, seed=seed)
            folder = out / f"{name}-{seed}"
            model = train(found.network, found.teacher, scenes(training_scenes), schedule, folder, progress=shown)
            losses = [float(row["loss"]) for row in csv.DictReader((folder / CURVES).open(encoding="utf-8"))]
            tail = losses[-max(1, steps // 5) :]
            rows.append(
                [
                    f"{name}, seed {seed}",
                    before,
                    labelled(intsim.load(model), seen),
                    statistics.mean(tail),
                    max(losses[20:] or losses),
                ]
            )
    print(f"float: {real_miou(tailed, config, seen):.4f}")
    table(["network", "ptq", f"{steps} steps of qat", "last loss", "largest loss"], rows)


@main.command()
@click.option("--batch", "size", default=16, show_default=True)
@click.option("--repeats", default=5, show_default=True)
@click.option("--device", default="cpu", show_default=True)
def cost(size: int, repeats: int, device: str) -> None:
    """A training step of integers beside one of the float network, in turns."""
    found = prepared(Recipe())
    images, targets = (x.to(device) for x in batch(scenes(size), 0, size, 0))
    assert found.teacher is not None
    networks: dict[str, torch.nn.Module] = {
        "float": RealNetwork(found.teacher.net),
        "integers by the kernels": found.network,
        "integers by torch": prepared(Recipe(), kernels=False).network,
    }
    times: dict[str, list[float]] = {name: [] for name in networks}
    for network in networks.values():
        network.to(device).train()
        stepped(network, images, targets)  # compiles, traces
    for _ in range(repeats):
        for name, network in networks.items():
            begun = time.perf_counter()
            stepped(network, images, targets)
            times[name].append(time.perf_counter() - begun)
    middle = {name: statistics.median(each) for name, each in times.items()}
    rows = [[name, f"{value:.2f} s", f"{value / middle['float']:.2f}"] for name, value in middle.items()]
    table([f"a step of {size} pictures, {device}", "median", "x float"], rows)


def stepped(network: torch.nn.Module, images: torch.Tensor, targets: torch.Tensor) -> None:
    """Forward, backward, and a step so small that nothing changes much."""
    loss = cross_entropy(network(images), targets)
    for parameter in network.parameters():
        parameter.grad = None
    loss.backward()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.grad is not None:
                parameter -= 1e-7 * parameter.grad
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@main.command()
@out_option
@click.argument("target", type=click.Path(path_type=Path))
def curves(out: Path, target: Path) -> None:
    """Draw the curves of `clamp` in the folder --out as one picture, TARGET (SVG)."""
    from drawing import Panel, figure, numbers

    panel = Panel(
        (0, 1),
        (0, 1),
        "step",
        "loss, running mean of 10",
        {},
        numbers(0, 0.2, 0.4, 0.6, 0.8, 1.0),
        "The long-tailed network, three seeds each",
        520,
        260,
    )
    longest, highest = 1, 1.0
    lines = []
    for name, kind in (("ShiftGELU", "b"), ("lambda-ShiftGELU", "a")):
        for path in sorted(out.glob(f"{name}-*/{CURVES}")):
            losses = [float(row["loss"]) for row in csv.DictReader(path.open(encoding="utf-8"))]
            smooth = np.convolve(losses, np.full(10, 0.1), "valid")
            lines.append((kind, [(i + 5.0, float(value)) for i, value in enumerate(smooth)]))
            longest = max(longest, len(losses))
    panel.x, panel.y = (0, longest), (0, highest)
    panel.x_ticks = numbers(*range(0, longest + 1, max(20, longest // 6)))
    for kind, points in lines:
        panel.line(points, kind)
    panel.label(longest * 0.6, 0.42, "plain ShiftGELU", "b")
    panel.label(longest * 0.6, 0.12, "with the clamp lambda", "a")
    target.write_text(figure("Loss of training with plain and with lambda-ShiftGELU", panel), encoding="utf-8")


LEARN = {"head": ("decoder.*",), "last": ("decoder.*", "encoder.norm.*", "encoder.blocks.1[01].*"), "all": ("*",)}


@main.command()
@click.option(
    "--checkpoint", "path", required=True, type=click.Path(path_type=Path), help="As tools/real_segmenter.py wrote it."
)
@click.option("--camvid", required=True, type=click.Path(path_type=Path), help="The folder CamVid.")
@click.option(
    "--learn",
    type=click.Choice(list(LEARN)),
    default="head",
    show_default=True,
    help="The head; the last two blocks, too; or all.",
)
@click.option("--recipe", "name", default="default", show_default=True)
@click.option("--bits", default="", help="Widths of weights and activations, as in 4/8.")
@click.option("--steps", default=100, show_default=True)
@click.option("--batch", "size", default=4, show_default=True)
@click.option("--rate", default=1e-5, show_default=True)
@click.option("--test", "count", default=233, show_default=True, help="Pictures that are measured.")
@out_option
def real(
    path: Path, camvid: Path, learn: str, name: str, bits: str, steps: int, size: int, rate: float, count: int, out: Path
) -> None:
    """A real encoder on CamVid, taught by its float network alone."""
    from argparse import Namespace

    from real_segmenter import CLASSES as NUMBER
    from real_segmenter import PATCH, labels_of, masks_of, pairs, scores, upsampled

    from intsim.quantization.recipe_file import recipe_named

    config = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    given = Namespace(camvid=camvid, size=config["image_size"][0], test=count, windows=False)
    recipe = recipe_named(name)
    if bits:
        recipe = recipe.with_choices({"widths": dict(zip(("weight", "activation"), map(int, bits.split("/")), strict=True))})
    found = prepare(path, [next(pairs(given, "val"))[0]], config=config, recipe=recipe)
    weights = {key: torch.from_numpy(value) for key, value in load_file(path).items()}
    tests = list(pairs(given, "test"))

    def measured(score: Any) -> float:
        confusion = Confusion(NUMBER)
        for picture, labels in tests:
            confusion.add(np.where(labels < NUMBER, labels.astype(np.int64), -1), labels_of(given, picture, score))
        return confusion.miou

    with torch.no_grad():
        exact = measured(lambda part: upsampled(scores(weights, part)))
    plain = found.network.graph()
    before = measured(lambda part: masks_of(plain, part))
    schedule = Schedule(
        steps=steps, batch=size, rate=rate, step_rate=100 * rate, labels=0.0, distance="error", learn=LEARN[learn]
    )
    examples = Camvid(list(pairs(given, "train")), PATCH, NUMBER)
    folder = out / f"{path.stem}-{name}-{bits.replace('/', '-')}{learn}"
    model = intsim.load(train(found.network, found.teacher, examples, schedule, folder, progress=shown))
    after = measured(lambda part: masks_of(model, part))
    table(
        ["network", "float", "ptq", f"{steps} steps of qat", "difference"],
        [[f"{path.stem}, {name} {bits}, {learn}".replace("  ", " "), exact, before, after, f"{after - exact:+.4f}"]],
    )


class Camvid:
    """CamVid's training pictures, mirrored by chance."""

    def __init__(self, found: list[tuple[NDArray, NDArray]], patch: int, classes: int) -> None:
        self.found, self.patch, self.classes = found, patch, classes

    def __len__(self) -> int:
        return len(self.found)

    def example(self, index: int, chance: np.random.Generator) -> tuple[NDArray, NDArray]:
        picture, labels = self.found[index]
        labels = np.where(labels < self.classes, labels.astype(np.int16), -1)
        if chance.random() < 0.5:
            picture, labels = picture[:, ::-1], labels[:, ::-1]
        return np.ascontiguousarray(picture), shares(labels, self.patch, self.classes)


if __name__ == "__main__":
    main()
