"""Evaluation: windows merged in integers, measures counted by hand, all arrangements of folders, and refused input."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save_file

import intsim
from intsim import resources
from intsim.engine.graph import Graph
from intsim.errors import IntsimError
from intsim.measurement.evaluation import Confusion, samples
from intsim.measurement.windows import anchors, fitted, label, labels_at, merge
from intsim.nets.segmenter import SCORES, SegmenterConfig, segmenter
from intsim.quantization import at_size, read_checkpoint
from intsim.quantization.synth import random_picture, random_weights

from networks import TINY, tiny_graph

Cli = Callable[..., tuple[int, str, str]]


# --- windows -----------------------------------------------------------------------------------------------------------


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 70))
def test_windows_cover_a_side_as_published(extra: int, window: int, stride: int) -> None:
    """Every `stride` while a window fits, and one flush with the end."""
    length = window + extra - 1
    found = anchors(length, window, stride)
    assert found == [a for a in range(0, length, stride) if a < length - window] + [length - window]
    assert found == sorted(set(found))
    if stride <= window:
        assert {i for a in found for i in range(a, a + window)} == set(range(length))


@pytest.mark.parametrize("stride", [(24, 40), (12, 20), (7, 11), (24, 13)])
def test_windows_are_merged_exactly(stride: tuple[int, int], graph: Graph) -> None:
    """Against means as fractions of Python integers; ties go to the lowest class."""
    picture = np.random.default_rng(1).integers(0, 256, (37, 61, 3), np.uint8)
    before = graph.output.inputs[0]
    total = [[[0] * 5 for _ in range(61)] for _ in range(37)]
    count = [[0] * 61 for _ in range(37)]
    for top in [*range(0, 13, stride[0]), 13]:
        for left in [*range(0, 21, stride[1]), 21]:
            seen: dict[str, NDArray] = {}
            intsim.run(graph, np.ascontiguousarray(picture[top : top + 24, left : left + 40]), seen.__setitem__, face="ref")
            for y in range(24):
                for x in range(40):
                    count[top + y][left + x] += 1
                    for k, value in enumerate(seen[before][y, x].tolist()):
                        total[top + y][left + x][k] += value
    found = label(graph, picture, stride)
    assert found.shape == (37, 61)
    for y in range(37):
        for x in range(61):
            means = [Fraction(value, count[y][x]) for value in total[y][x]]
            assert found[y, x] == means.index(max(means)), (y, x)


def test_one_window_is_an_ordinary_run(graph: Graph, image: NDArray) -> None:
    np.testing.assert_array_equal(label(graph, image), intsim.run(graph, image))


def test_sums_do_not_overflow() -> None:
    """A stride of 1 puts a pixel into as many windows as a window has pixels: i32 could not represent every sum."""
    picture = np.zeros((20, 20, 3), np.uint8)

    def extreme(window: NDArray) -> NDArray:
        return np.full((*window.shape[:2], 2), [-32768, 32767], np.int16)

    sparse = merge(picture, (10, 10), (10, 10), extreme)
    dense = merge(picture, (10, 10), (1, 1), extreme)
    assert (sparse.sums.dtype, dense.sums.dtype) == (np.int32, np.int32)
    assert dense.counts.max() == 100
    assert (dense.sums[..., 0] == -32768 * dense.counts).all()
    wide = merge(np.zeros((300, 300, 3), np.uint8), (299, 299), (1, 1), extreme)
    assert wide.sums.dtype == np.int64
    assert (wide.sums[..., 1] == 32767 * wide.counts.astype(np.int64)).all()


def test_small_pictures_are_enlarged_in_proportion() -> None:
    assert fitted(np.zeros((24, 40, 3), np.uint8), (24, 40)).shape == (24, 40, 3)
    assert fitted(np.zeros((12, 40, 3), np.uint8), (24, 40)).shape == (24, 80, 3)
    assert fitted(np.zeros((48, 10, 3), np.uint8), (24, 40)).shape == (192, 40, 3)
    with pytest.raises(IntsimError, match="the picture is 40 x 12, smaller than a window of 40 x 24"):
        merge(np.zeros((12, 40, 3), np.uint8), (24, 40), (24, 40), lambda window: window)


def test_labels_return_to_the_size_of_the_picture(graph: Graph) -> None:
    labels = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(labels_at(labels, (6, 8)), labels.repeat(2, 0).repeat(2, 1))
    np.testing.assert_array_equal(labels_at(labels, (3, 4)), labels)
    assert label(graph, np.zeros((5, 7, 3), np.uint8)).shape == (5, 7)


# --- measures ----------------------------------------------------------------------------------------------------------


def test_measures_counted_by_hand() -> None:
    confusion = Confusion(4)
    confusion.add(np.array([[0, 0, 1], [1, 2, -1]]), np.array([[0, 1, 1], [1, 0, 3]]))
    # class 0: true 2, predicted 2, both 1; class 1: true 2, predicted 3, both 2; class 2: true 1, predicted 0; class 3: none
    assert confusion.iou == [1 / 3, 2 / 3, 0.0, None]
    assert confusion.miou == pytest.approx(1 / 3)
    assert confusion.pixel_accuracy == 3 / 5


def folder_of(cli: Cli, config: dict[str, Any] = TINY, sizes: tuple[tuple[int, int], ...] = ((24, 40), (24, 40))) -> None:
    """A checkpoint, its model, and a folder of random pictures whose labels are the model's own, a quarter of them wrong."""
    save_file({n: v.astype(np.float32) for n, v in random_weights(config, 3).items()}, "c.safetensors")
    Path("c.json").write_text(json.dumps(config))
    code, _, err = cli("quantize c.safetensors --calibrate picture.png -o q.h5")
    assert code == 0, err
    graph = intsim.load("q.h5")
    Path("data").mkdir()
    rng = np.random.default_rng(0)
    for i, size in enumerate(sizes):
        picture = rng.integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(picture).save(f"data/p{i}.png")
        labels = label(graph, picture).astype(np.uint8)
        labels[: size[0] // 4] = (labels[: size[0] // 4] + 1) % 5
        Image.fromarray(labels).save(f"data/p{i}_labels.png")


def evaluated(cli: Cli, line: str) -> dict[str, Any]:
    code, out, err = cli(line)
    assert code == 0, err
    return json.loads(out)


def test_eval_reports_integers_and_real_numbers(cli: Cli) -> None:
    folder_of(cli)
    found = evaluated(cli, "eval data -m q.h5 --json")
    assert found["images"] == 2
    assert found["pixel_accuracy_int"] == 0.75
    net, graph = segmenter(SegmenterConfig.of(TINY), read_checkpoint("c.safetensors", TINY)[0]), intsim.load("q.h5")
    confusion, alike = Confusion(5), []
    for i in (0, 1):
        picture = np.asarray(Image.open(f"data/p{i}.png"))
        real = net.run(picture)
        confusion.add(np.asarray(Image.open(f"data/p{i}_labels.png")).astype(int), real)
        alike.append((real == intsim.run(graph, picture)).mean())
    assert (found["miou_float"], found["pixel_accuracy_float"]) == (confusion.miou, confusion.pixel_accuracy)
    assert found["agreement"] == pytest.approx(np.mean(alike))
    assert {"miou_float", "miou_int", "miou_float_bilinear", "per_class", "model_sha256"} <= found.keys()
    assert [row["name"] for row in found["per_class"]] == [f"class {i}" for i in range(5)]
    assert sum(row["pixels"] for row in found["per_class"]) == 2 * 24 * 40
    known = [row["iou_int"] for row in found["per_class"] if row["iou_int"] is not None]
    assert found["miou_int"] == pytest.approx(sum(known) / len(known))
    _, table, _ = cli("eval data -m q.h5")
    for words in ("mean IoU", "pixel accuracy", "float, nearest", f"{found['miou_int']:.4f}", "2 picture(s), 1,920 pixels"):
        assert words in table


def test_eval_of_any_size(cli: Cli) -> None:
    """Larger pictures by windows, a smaller one enlarged; three quarters of the labels are those of the integers."""
    folder_of(cli, sizes=((48, 52), (24, 100), (12, 40)))
    found = evaluated(cli, "eval data -m q.h5 --json")
    assert found["pixel_accuracy_int"] == 0.75
    assert found["miou_float"] is not None
    dense = evaluated(cli, "eval data -m q.h5 --json --stride 20x12")
    assert dense["pixel_accuracy_int"] != 0.75
    assert evaluated(cli, "eval data -m q.h5 --json --threads 1") == found


def test_the_stride_of_a_published_configuration(cli: Cli) -> None:
    folder_of(cli, TINY | {"window_stride": 12}, sizes=((48, 52),))
    trained = evaluated(cli, "eval data -m q.h5 --json --integers")
    assert trained == evaluated(cli, "eval data -m q.h5 --json --integers --stride 12")
    assert trained != evaluated(cli, "eval data -m q.h5 --json --integers --stride 40x24")
    assert "window_stride" not in at_size(TINY | {"window_stride": 12}, 16, 16)


def test_eval_of_the_integers_alone(cli: Cli) -> None:
    folder_of(cli)
    shutil.move("c.safetensors", "elsewhere.safetensors")
    Path("away").mkdir()
    shutil.move("elsewhere.safetensors", "away/c.safetensors")
    code, _, err = cli("eval data -m q.h5 --json")
    assert code == 2
    assert "its checkpoint (" in err
    assert "is not next to it; name it with --checkpoint, or measure the integers alone with --integers" in err
    alone = evaluated(cli, "eval data -m q.h5 --json --integers")
    named = evaluated(cli, "eval data -m q.h5 --json --checkpoint away/c.safetensors")
    assert alone["miou_float"] is None
    assert alone["miou_int"] == named["miou_int"]
    assert named["miou_float"] is not None
    assert "float" not in cli("eval data -m q.h5 --integers")[1]


def test_eval_with_pixels_that_have_no_class(cli: Cli) -> None:
    folder_of(cli)
    for path in Path("data").glob("*_labels.png"):
        labels = np.asarray(Image.open(path)).copy()
        labels[: len(labels) // 4] = 255  # the wrong ones
        Image.fromarray(labels).save(path)
    assert evaluated(cli, "eval data -m q.h5 --json --ignore 255")["pixel_accuracy_int"] == 1.0
    for path in Path("data").glob("*_labels.png"):
        labels = np.asarray(Image.open(path)).astype(np.int64) + 1
        Image.fromarray(np.where(labels == 256, 0, labels).astype(np.uint16)).save(path)
    assert evaluated(cli, "eval data -m q.h5 --json --reduce-zero-label")["pixel_accuracy_int"] == 1.0


def test_folders_of_images_and_labels(cli: Cli) -> None:
    folder_of(cli)
    side_by_side = evaluated(cli, "eval data -m q.h5 --json")
    for name in ("labels", "annotations"):
        for i in (0, 1):
            for part in ("images", name):
                Path(f"{name}_set/{part}/city").mkdir(parents=True, exist_ok=True)
            shutil.copy(f"data/p{i}.png", f"{name}_set/images/city/p{i}.png")
            shutil.copy(f"data/p{i}_labels.png", f"{name}_set/{name}/city/p{i}.png")
        assert evaluated(cli, f"eval {name}_set -m q.h5 --json") == side_by_side
    assert [s.picture.name for s in samples(Path("labels_set"))] == ["p0.png", "p1.png"]


def test_real_windows_are_merged_as_integers_are(cli: Cli) -> None:
    """`eval` counts the labels from mean real-valued scores, computed here; both kinds of upsampling."""
    folder_of(cli, sizes=((30, 50),))
    net = segmenter(SegmenterConfig.of(TINY), read_checkpoint("c.safetensors", TINY)[0])
    picture, labels = np.asarray(Image.open("data/p0.png")), np.asarray(Image.open("data/p0_labels.png")).astype(int)
    sums, counts = np.zeros((2, 30, 50, 5)), np.zeros((30, 50, 1))
    for top in (0, 6):
        for left in (0, 10):
            grid = net.tensors(picture[top : top + 24, left : left + 40], [SCORES])[SCORES]
            area = (slice(top, top + 24), slice(left, left + 40))
            sums[0][area] += grid.repeat(8, 0).repeat(8, 1)
            for y in range(24):  # bilinear, by its definition: between centres of patches, clamped at the borders
                for x in range(40):
                    down, right = max((y + 0.5) / 8 - 0.5, 0), max((x + 0.5) / 8 - 0.5, 0)
                    y0, x0 = int(down), int(right)
                    y1, x1 = min(y0 + 1, 2), min(x0 + 1, 4)
                    v, u = down - y0, right - x0
                    upper = grid[y0, x0] * (1 - u) + grid[y0, x1] * u
                    lower = grid[y1, x0] * (1 - u) + grid[y1, x1] * u
                    sums[1][top + y, left + x] += upper * (1 - v) + lower * v
            counts[area] += 1
    found = evaluated(cli, "eval data -m q.h5 --json --stride 10x6")
    for name, total in zip(("float", "float_bilinear"), sums, strict=True):
        confusion = Confusion(5)
        confusion.add(labels, (total / counts).argmax(-1))
        assert found[f"miou_{name}"] == pytest.approx(confusion.miou), name


def test_the_shipped_examples(cli: Cli) -> None:
    found = evaluated(cli, f"eval {resources.picture().parent} --json")
    assert found["images"] == 7
    assert abs(found["miou_int"] - found["miou_float"]) < 0.01
    assert found["miou_float_bilinear"] > found["miou_float"]


# --- refused input -----------------------------------------------------------------------------------------------------


def no_labels() -> None:
    Path("data/p1_labels.png").unlink()


def no_picture() -> None:
    Path("data/p1.png").unlink()


def empty() -> None:
    shutil.rmtree("data")
    Path("data").mkdir()


def gone() -> None:
    shutil.rmtree("data")


def a_file() -> None:
    shutil.rmtree("data")
    Path("data").touch()


def text() -> None:
    Path("data/p1.png").write_text("hello")


def cut() -> None:
    whole = Path("data/p1_labels.png").read_bytes()
    Path("data/p1_labels.png").write_bytes(whole[: len(whole) // 2])


def twice() -> None:
    shutil.copy("data/p1.png", "data/p1.bmp")


def folders(*names: str) -> None:
    for name in names:
        Path(f"data/{name}").mkdir()


def lossy() -> None:
    Path("data/p1_labels.png").unlink()
    Image.fromarray(np.zeros((24, 40), np.uint8)).save("data/p1_labels.jpg")


def from_one() -> None:
    for i in (0, 1):
        labels = np.asarray(Image.open(f"data/p{i}_labels.png")) + 1
        Image.fromarray(labels).save(f"data/p{i}_labels.png")


def relabelled(*values: int) -> None:
    labels = np.asarray(Image.open("data/p1_labels.png")).copy()
    labels[3, 7 : 7 + len(values)] = values
    Image.fromarray(labels).save("data/p1_labels.png")


def coloured() -> None:
    Image.fromarray(np.zeros((24, 40, 3), np.uint8)).save("data/p1_labels.png")


def smaller() -> None:
    Image.fromarray(np.zeros((24, 39), np.uint8)).save("data/p1_labels.png")


def all_ignored() -> None:
    for i in (0, 1):
        Image.fromarray(np.full((24, 40), 9, np.uint8)).save(f"data/p{i}_labels.png")


def another_checkpoint() -> None:
    save_file({n: v.astype(np.float32) for n, v in random_weights(TINY, 8).items()}, "c.safetensors")


def large() -> None:
    Image.fromarray(np.zeros((60, 90, 3), np.uint8)).save("data/p1.png")
    Image.fromarray(np.zeros((60, 90), np.uint8)).save("data/p1_labels.png")


def accumulators() -> None:
    graph = tiny_graph()
    intsim.save(Graph(list(graph.nodes[:-1]), graph.dialect, graph.config, graph.provenance), "q.h5")


def test_labels_that_count_from_one_are_noticed(cli: Cli) -> None:
    """The labels are the predicted ones plus 1: taken as they are, the measure warns."""
    folder_of(cli)
    graph = intsim.load("q.h5")
    for i in (0, 1):
        labels = intsim.run(graph, np.asarray(Image.open(f"data/p{i}.png"))).astype(np.uint8)
        Image.fromarray(labels + 1).save(f"data/p{i}_labels.png")
    highest = max(int(np.asarray(Image.open(f"data/p{i}_labels.png")).max()) for i in (0, 1))
    options = f"--ignore {highest}" if highest == 5 else ""
    code, out, err = cli(f"eval data -m q.h5 --integers --json {options}")
    assert code == 0, err
    assert "if all labels were one lower; --reduce-zero-label may be missing" in err
    assert json.loads(out)["labels_misnumbered"] == -1
    code, out, err = cli("eval data -m q.h5 --integers --json --reduce-zero-label")
    assert (code, err, json.loads(out)["labels_misnumbered"]) == (0, "", 0)
    assert json.loads(out)["miou_int"] == 1
    for i in (0, 1):
        labels = np.asarray(Image.open(f"data/p{i}_labels.png"))
        Image.fromarray(labels - 1).save(f"data/p{i}_labels.png")
    code, out, err = cli("eval data -m q.h5 --integers --json --reduce-zero-label")
    assert "one higher; --reduce-zero-label may be wrong here" in err


REFUSED: dict[str, tuple[Callable[[], None], str, str]] = {
    "no labels": (no_labels, "", "data/p1.png: has no label map; expected NAME.png with NAME_labels.png next to it"),
    "no picture": (no_picture, "", "data/p1_labels.png: labels without a picture"),
    "empty": (empty, "", "data: contains no picture; expected NAME.png"),
    "gone": (gone, "", "data: no such folder"),
    "a file": (a_file, "", "data: is not a folder"),
    "text": (text, "", "data/p1.png: not a picture"),
    "cut": (cut, "", "data/p1_labels.png: not a readable picture"),
    "twice": (twice, "", "data/p1.png: has the same name as p1.bmp"),
    "images only": (lambda: folders("images"), "", "data: has images/ and neither labels/ nor annotations/"),
    "both kinds": (
        lambda: folders("images", "labels", "annotations"),
        "",
        "data: has images/ and both labels/ and annotations/",
    ),
    "beside images": (lambda: folders("images", "labels"), "", "data/p0.png: is next to images/, not in it"),
    "lossy": (lossy, "", "data/p1_labels.jpg: is a JPEG, which does not preserve label values; expected a PNG"),
    "from 1": (from_one, "", "is outside the 5 classes of the model; --reduce-zero-label if classes count from 1"),
    "output is a picture": (lambda: None, "-o data/p0.png", "data/p0.png: is an input of this command"),
    "output is a label map": (lambda: None, "-o data/p0_labels.png", "data/p0_labels.png: is an input of this command"),
    "outside": (
        lambda: relabelled(6),
        "",
        "data/p1_labels.png: label 6 at row 3, column 7 is outside the 5 classes of the model; --ignore 6",
    ),
    "steps": (
        lambda: relabelled(60, 120, 180),
        "",
        "label 60 at row 3, column 7 is outside the 5 classes of the model, and so are 120, 180; a pixel's value must",
    ),
    "255": (lambda: relabelled(255), "", "label 255 at row 3, column 7 is outside the 5 classes"),
    "outside, from 1": (lambda: relabelled(6), "--reduce-zero-label", "label 6 at row 3, column 7 is outside the 5 classes"),
    "coloured": (coloured, "", "data/p1_labels.png: has 3 channels; a label map has one"),
    "of another size": (smaller, "", "data/p1_labels.png: is 39 x 24 pixels, its picture 40 x 24"),
    "all ignored": (all_ignored, "--ignore 9", "no pixel of the label maps has a class"),
    "another checkpoint": (another_checkpoint, "", "its checkpoint ("),
    "another checkpoint, named": (
        another_checkpoint,
        "--checkpoint c.safetensors",
        "c.safetensors: is not the checkpoint that",
    ),
    "no checkpoint": (lambda: None, "--checkpoint no.safetensors", "no.safetensors: no such file"),
    "both": (lambda: None, "--integers --checkpoint c.safetensors", "--integers measures without the checkpoint"),
    "stride": (lambda: None, "--stride 20y12", "--stride '20y12': WIDTHxHEIGHT is expected"),
    "stride of 0": (lambda: None, "--stride 0", "--stride '0': WIDTHxHEIGHT is expected"),
    "stride beyond a window": (large, "--stride 41x24", "a stride of 41 x 24 does not fit windows of 40 x 24"),
    "output": (lambda: None, "-o no/e.json", "no/e.json: its folder no does not exist"),
    "no labels at the end": (accumulators, "", "its last node decoder.upsample does not give labels"),
}


@pytest.mark.parametrize(("spoil", "options", "words"), REFUSED.values(), ids=REFUSED)
def test_refused(spoil: Callable[[], None], options: str, words: str, cli: Cli) -> None:
    folder_of(cli)
    spoil()
    before = sorted(str(path) for path in Path().rglob("*"))
    code, out, err = cli(f"eval data -m q.h5 {options}")
    assert (code, out) == (2, ""), err
    assert words in err
    assert len(err.splitlines()) == 1
    assert sorted(str(path) for path in Path().rglob("*")) == before


def test_pictures_of_other_kinds(cli: Cli) -> None:
    """Grey, palette and transparent pictures are read as in `run`; hidden files are ignored."""
    folder_of(cli)
    Image.fromarray(random_picture(TINY, 5)).convert("L").save("data/p0.png")
    Path("data/.hidden.png").write_text("hello")
    Path("data/folder.png").mkdir()
    assert evaluated(cli, "eval data -m q.h5 --json --integers")["images"] == 2
