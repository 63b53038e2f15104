"""The quality of a model on labelled pictures: mean IoU and pixel accuracy, of integers and of the real-valued network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..arith import AnyArray
from ..engine.graph import Graph
from ..engine.interpreter import Progress
from ..errors import FileError
from ..nets.positions import bilinear
from ..nets.real import RealGraph
from ..nets.segmenter import SCORES, SegmenterConfig
from ..storage.pictures import read_labels, read_picture
from .windows import Size, fitted, label, labels_at, merge

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm")
MARK = "_labels"  # ends the name of a label map in the folder of its picture
FOLDERS = ("labels", "annotations")  # of label maps for the pictures in images/
ARRANGEMENT = f"expected NAME.png with NAME{MARK}.png next to it, or images/NAME.jpg with labels/NAME.png"
INTEGER, NEAREST, BILINEAR = "int", "float", "float_bilinear"


@dataclass(frozen=True)
class Sample:
    """A picture and its label map."""

    picture: Path
    labels: Path


def samples(folder: Path) -> list[Sample]:
    """The labelled pictures in a folder, by name: ``images/`` and ``labels/`` (or ``annotations/``), or in one folder.

    Raises FileError where there is none, or where a picture has no labels or labels have no picture.
    """
    if not folder.is_dir():
        raise FileError(f"{folder}: {'is not a folder' if folder.exists() else 'no such folder'}; {ARRANGEMENT}")
    if (folder / "images").is_dir():
        label_folders = [folder / name for name in FOLDERS if (folder / name).is_dir()]
        if len(label_folders) != 1:
            has = "both labels/ and" if label_folders else "neither labels/ nor"
            raise FileError(f"{folder}: has images/ and {has} annotations/; {ARRANGEMENT}")
        if stray := next((path for path in sorted(folder.iterdir()) if _is_picture(path)), None):
            raise FileError(f"{stray}: is next to images/, not in it; {ARRANGEMENT}")
        pictures, maps = (
            _by_stem(folder / "images"),
            {k.removesuffix(MARK): v for k, v in _by_stem(label_folders[0]).items()},
        )
    else:
        found = _by_stem(folder)
        maps = {stem.removesuffix(MARK): path for stem, path in found.items() if stem.endswith(MARK)}
        pictures = {stem: path for stem, path in found.items() if not stem.endswith(MARK)}
    if not pictures:
        raise FileError(f"{folder}: contains no picture; {ARRANGEMENT}")
    for stem, path in pictures.items():
        if stem not in maps:
            raise FileError(f"{path}: has no label map; {ARRANGEMENT}")
    for stem, path in maps.items():
        if stem not in pictures:
            raise FileError(f"{path}: labels without a picture; {ARRANGEMENT}")
    return [Sample(path, maps[stem]) for stem, path in pictures.items()]


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURES and not path.name.startswith(".") and path.is_file()


def _by_stem(folder: Path) -> dict[str, Path]:
    """The picture files in a folder and its subfolders by name without suffix, sorted."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if _is_picture(path):
            stem = path.relative_to(folder).with_suffix("").as_posix()
            if stem in found:
                raise FileError(f"{path}: has the same name as {found[stem].name}; remove one of them")
            found[stem] = path
    return found


class Confusion:
    """Counts [true class, predicted class] over pixels."""

    def __init__(self, classes: int) -> None:
        self.counts = np.zeros((classes, classes), np.int64)

    def add(self, labels: AnyArray, predicted: AnyArray) -> None:
        """Count the pixels of a picture; labels below 0 are ignored."""
        known = labels >= 0
        cells = labels[known].astype(np.int64) * len(self.counts) + predicted[known]
        self.counts += np.bincount(cells.astype(np.intp), minlength=self.counts.size).reshape(self.counts.shape)

    @property
    def iou(self) -> list[float | None]:
        """Intersection over union of each class; None for a class that is neither present nor predicted."""
        both = self.counts.diagonal()
        union = self.counts.sum(0) + self.counts.sum(1) - both
        return [int(b) / int(u) if u else None for b, u in zip(both, union, strict=True)]

    @property
    def miou(self) -> float:
        """The mean IoU over the classes that have one."""
        known = [value for value in self.iou if value is not None]
        return sum(known) / len(known)

    @property
    def pixel_accuracy(self) -> float:
        """The share of labelled pixels with the correct class."""
        return int(self.counts.trace()) / int(self.counts.sum())


@dataclass
class Evaluation:
    """The measurements: a confusion matrix for the integers and, where available, for the real-valued network.

    `agreement` is the share of all pixels with the same label in integers and in real numbers (nearest upsampling).
    `shifted` counts the labelled pixels whose class would be right if all labels were one lower, as they are, or one higher.
    """

    classes: Sequence[str]
    confusions: dict[str, Confusion]
    images: int = 0
    pixels: int = 0
    alike: int = field(default=0, repr=False)
    shifted: dict[int, int] = field(default_factory=lambda: dict.fromkeys((-1, 0, 1), 0), repr=False)

    def add(self, other: Evaluation) -> None:
        """Add the counts of other pictures."""
        for name, confusion in other.confusions.items():
            self.confusions.setdefault(name, Confusion(len(self.classes))).counts += confusion.counts
        for shift in self.shifted:
            self.shifted[shift] += other.shifted[shift]
        self.images, self.pixels, self.alike = (
            self.images + other.images,
            self.pixels + other.pixels,
            self.alike + other.alike,
        )

    @property
    def agreement(self) -> float | None:
        return self.alike / self.pixels if NEAREST in self.confusions else None

    @property
    def misnumbered(self) -> int:
        """1 or -1 where the label maps seem to number classes so much too low or too high, otherwise 0.

        Their labels then agree with the predicted ones far better shifted than as they are.
        """
        best = max(self.shifted, key=lambda shift: self.shifted[shift])
        return best if self.shifted_accuracy(best) > max(2 * self.shifted_accuracy(0), 0.5) else 0

    def shifted_accuracy(self, shift: int) -> float:
        """The pixel accuracy of the integers if all labels were higher by `shift`."""
        return self.shifted[shift] / int(self.confusions[INTEGER].counts.sum())

    def record(self) -> dict[str, Any]:
        """As plain data; what was not measured is None."""
        record: dict[str, Any] = {"images": self.images}
        for name in (NEAREST, INTEGER, BILINEAR):
            confusion = self.confusions.get(name)
            record[f"miou_{name}"] = confusion.miou if confusion else None
            record[f"pixel_accuracy_{name}"] = confusion.pixel_accuracy if confusion else None
        record["agreement"] = self.agreement
        record["labels_misnumbered"] = self.misnumbered
        ious = {name: confusion.iou for name, confusion in self.confusions.items()}
        pixels = self.confusions[INTEGER].counts.sum(1)
        record["per_class"] = [
            {"index": i, "name": name, "pixels": int(pixels[i])}
            | {f"iou_{key}": ious[key][i] if key in ious else None for key in (NEAREST, INTEGER, BILINEAR)}
            for i, name in enumerate(self.classes)
        ]
        return record


def require_classes(result: Evaluation, found: Sequence[Sample]) -> None:
    """FileError where no pixel of the label maps has a class."""
    if result.confusions[INTEGER].counts.sum() == 0:
        raise FileError(f"{found[0].labels.parent}: no pixel of the label maps has a class; all of them are ignored")


def counted(
    graph: Graph,
    found: Sequence[Sample],
    classes: Sequence[str],
    net: RealGraph | None = None,
    stride: Size | None = None,
    ignore: int | None = None,
    zero_is_none: bool = False,
    progress: Progress = lambda name: None,
    threads: int | None = None,
) -> Evaluation:
    """Label every picture with `graph` and, where given, with the real-valued `net` it was quantized from, and count; the
    pictures may be a part of those that are measured.

    Pictures of another size use sliding windows, `stride` (height, width) apart. Raises FileError naming a picture or a
    label map that cannot be used. `progress(name)` is called after each picture.
    """
    result = Evaluation(classes, {})
    for sample in found:
        picture, labels = read_picture(sample.picture), read_labels(sample.labels, len(classes), ignore, zero_is_none)
        if labels.shape != picture.shape[:2]:
            size, expected = (f"{shape[1]} x {shape[0]}" for shape in (labels.shape, picture.shape))
            raise FileError(f"{sample.labels}: is {size} pixels, its picture {expected} (width x height)")
        predicted = {INTEGER: label(graph, picture, stride, threads)}
        if net is not None:
            predicted |= _real_labels(net, SegmenterConfig.of(graph.config), picture, stride)
            result.alike += int((predicted[INTEGER] == predicted[NEAREST]).sum())
        known = labels >= 0
        for shift in result.shifted:
            result.shifted[shift] += int(np.count_nonzero(labels[known] + shift == predicted[INTEGER][known]))
        for name, value in predicted.items():
            result.confusions.setdefault(name, Confusion(len(classes))).add(labels, value)
        result.images += 1
        result.pixels += labels.size
        progress(sample.picture.name)
    return result


def _real_labels(net: RealGraph, config: SegmenterConfig, picture: AnyArray, stride: Size | None) -> dict[str, AnyArray]:
    """The real-valued network's labels, with nearest upsampling as in integers and bilinear as published."""
    window = (config.height, config.width)
    fit = fitted(picture, window)
    if fit.shape[:2] == window:  # avoids sums of scores, which are large
        found = {name: scores.argmax(axis=-1) for name, scores in _upsampled(net, config, fit)}
    else:
        joined = merge(
            fit, window, stride or window, lambda image: np.concatenate([s for _, s in _upsampled(net, config, image)], -1)
        )
        halves = np.split(joined.sums, 2, axis=-1)
        found = {name: half.argmax(axis=-1) for name, half in zip((NEAREST, BILINEAR), halves, strict=True)}
    return {name: labels_at(labels, picture.shape[:2]) for name, labels in found.items()}


def _upsampled(net: RealGraph, config: SegmenterConfig, image: AnyArray) -> Iterator[tuple[str, AnyArray]]:
    """Scores [H, W, classes] of one window, with both kinds of upsampling."""
    grid, p = net.tensors(image, [SCORES])[SCORES], config.patch
    yield NEAREST, grid.repeat(p, axis=0).repeat(p, axis=1)[: config.height, : config.width]
    rows, columns = (bilinear(size, size * p) for size in grid.shape[:2])
    smooth = np.tensordot(columns, np.tensordot(rows, grid, (1, 0)), (1, 1)).transpose(1, 0, 2)
    yield BILINEAR, smooth[: config.height, : config.width]
