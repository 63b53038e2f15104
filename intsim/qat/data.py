"""Labelled pictures for training: batches that follow from the seed and the number of the step alone.

Pictures of other sizes than the network's are enlarged in proportion where they are smaller, and cut at a random place where
they are larger; every other one is mirrored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..arith import AnyArray
from ..errors import FileError
from ..measurement.evaluation import PICTURES, samples
from ..storage.pictures import read_labels, read_picture

CLASS_FOLDERS = "expected a folder for each class, with its pictures"


class Examples(Protocol):
    """Pictures with what is to be learned of them."""

    def __len__(self) -> int: ...

    def example(self, index: int, chance: np.random.Generator) -> tuple[AnyArray, AnyArray]:
        """A picture u8 [H, W, 3] and the shares of the classes [.., K] that are right for it; all 0 where none is."""
        ...


@dataclass(frozen=True)
class LabelledPixels:
    """Pictures with label maps, for a network that gives scores of patches.

    The shares of a patch are those of the classes of its pixels: with them the cross-entropy of the scores is the mean of
    that of all pixels, enlarged by their nearest neighbours.
    """

    pictures: Sequence[tuple[Path, Path]]
    size: tuple[int, int]
    patch: int
    classes: int
    ignore: int | None = None

    @classmethod
    def of(
        cls, folder: str | Path, size: tuple[int, int], patch: int, classes: int, ignore: int | None = None
    ) -> LabelledPixels:
        """The pictures of a folder as `intsim.evaluate` takes it; FileError where it has none."""
        found = [(sample.picture, sample.labels) for sample in samples(Path(folder))]
        return cls(found, size, patch, classes, ignore)

    def __len__(self) -> int:
        return len(self.pictures)

    def example(self, index: int, chance: np.random.Generator) -> tuple[AnyArray, AnyArray]:
        picture, labels = self.pictures[index]
        pixels, classes = read_picture(picture), read_labels(labels, self.classes, self.ignore)
        if pixels.shape[:2] != classes.shape:
            raise FileError(f"{labels}: its size is not that of {picture}")
        pixels, classes = fitted(pixels, classes, self.size, chance)
        return pixels, shares(classes, self.patch, self.classes)


@dataclass(frozen=True)
class ClassifiedPictures:
    """Pictures in a folder for each class."""

    pictures: Sequence[tuple[Path, int]]
    size: tuple[int, int]
    classes: int

    @classmethod
    def of(cls, folder: str | Path, size: tuple[int, int], classes: int) -> ClassifiedPictures:
        """The pictures of ``folder/CLASS/``, classes in the order of their names; FileError where they are not as many."""
        root = Path(folder)
        folders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
        if len(folders) != classes:
            raise FileError(f"{root}: has {len(folders)} folders, the network {classes} classes; {CLASS_FOLDERS}")
        found = [
            (path, number)
            for number, own in enumerate(folders)
            for path in sorted(own.rglob("*"))
            if path.suffix.lower() in PICTURES
        ]
        if not found:
            raise FileError(f"{root}: contains no picture; {CLASS_FOLDERS}")
        return cls(found, size, classes)

    def __len__(self) -> int:
        return len(self.pictures)

    def example(self, index: int, chance: np.random.Generator) -> tuple[AnyArray, AnyArray]:
        path, number = self.pictures[index]
        pixels, _ = fitted(read_picture(path), None, self.size, chance)
        return pixels, np.eye(self.classes, dtype=np.float32)[number]


def batch(examples: Examples, step: int, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """The pictures u8 [size, H, W, 3] and targets [size, .., K] of a step; every picture comes once an epoch."""
    pictures, targets = [], []
    orders: dict[int, AnyArray] = {}
    for place in range(step * size, (step + 1) * size):
        epoch, position = divmod(place, len(examples))
        if epoch not in orders:
            orders[epoch] = np.random.default_rng([seed, epoch]).permutation(len(examples))
        index = int(orders[epoch][position])
        picture, target = examples.example(index, np.random.default_rng([seed, place, 1]))
        pictures.append(picture)
        targets.append(target)
    return torch.from_numpy(np.stack(pictures)), torch.from_numpy(np.stack(targets))


def fitted(
    pixels: AnyArray, labels: AnyArray | None, size: tuple[int, int], chance: np.random.Generator
) -> tuple[AnyArray, AnyArray]:
    """A picture and its labels [H, W] at a size: enlarged, cut and mirrored by chance."""
    labels = np.zeros(pixels.shape[:2], np.int16) if labels is None else labels
    factor = max(wanted / given for wanted, given in zip(size, labels.shape, strict=True))
    if factor > 1:
        height, width = (max(s, round(side * factor)) for s, side in zip(size, labels.shape, strict=True))
        pixels = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))
        labels = np.asarray(Image.fromarray(labels.astype(np.int32)).resize((width, height), Image.Resampling.NEAREST))
    top, left = (int(chance.integers(side - wanted + 1)) for side, wanted in zip(labels.shape, size, strict=True))
    area = (slice(top, top + size[0]), slice(left, left + size[1]))
    pixels, labels = pixels[area], labels[area]
    if chance.random() < 0.5:
        pixels, labels = pixels[:, ::-1], labels[:, ::-1]
    return np.ascontiguousarray(pixels), np.ascontiguousarray(labels)


def shares(labels: AnyArray, patch: int, classes: int) -> AnyArray:
    """The shares of the classes in every patch, float32 [h, w, K], from labels [H, W] in which -1 is no class.

    Patches at the lower and the right end may be cut.
    """
    grid = [-(-side // patch) for side in labels.shape]
    rows, columns = (np.arange(side) // patch for side in labels.shape)
    cell = rows[:, None] * grid[1] + columns
    known = labels >= 0
    counts = np.bincount(cell[known] * classes + labels[known], minlength=grid[0] * grid[1] * classes)
    pixels = np.bincount(cell.ravel(), minlength=grid[0] * grid[1])
    return (counts.reshape(*grid, classes) / pixels.reshape(*grid, 1)).astype(np.float32)
