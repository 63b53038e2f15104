"""Pictures of any size by sliding windows, as in the original Segmenter, merged in integers.

The original averages the scores of all windows that contain a pixel. All classes of a pixel have the same number of windows,
so that means compare as sums do: ``s_a / n > s_b / n`` exactly when ``s_a > s_b``. The label of a pixel is the class with
the largest sum of i16 masks, the lowest index on ties, as in argmax.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from PIL import Image

from ..arith import I16, I32, AnyArray, IntArray
from ..engine.graph import Graph
from ..engine.inputs import require_picture
from ..engine.interpreter import run
from ..errors import IntsimError

Size = tuple[int, int]  # height, width


@dataclass(frozen=True)
class Merged:
    """Scores summed over all windows: `sums` [H, W, classes], and the number of windows per pixel, `counts` [H, W]."""

    sums: AnyArray
    counts: AnyArray

    @property
    def labels(self) -> IntArray:
        """The class with the largest mean score of every pixel, [H, W]."""
        labels: IntArray = self.sums.argmax(axis=-1)
        return labels


def anchors(length: int, window: int, stride: int) -> list[int]:
    """The starts of windows along a side of `length`: every `stride`, the last one flush with the end."""
    return [*range(0, length - window, stride), length - window]


def merge(picture: AnyArray, window: Size, stride: Size, scores: Callable[[AnyArray], AnyArray]) -> Merged:
    """Run `scores` (u8 [h, w, 3] to [h, w, classes], integers or reals) on every window of a picture and sum them.

    Sums of i16 are i32 where the overlap permits it, i64 otherwise. Raises IntsimError where the picture is smaller than a
    window, or where the stride is larger than a window, which would skip pixels.
    """
    if stride[0] > window[0] or stride[1] > window[1] or min(stride) < 1:
        raise IntsimError(
            f"a stride of {stride[1]} x {stride[0]} does not fit windows of {window[1]} x {window[0]} (width x height): it "
            "must be from 1 to the window's size"
        )
    if picture.shape[0] < window[0] or picture.shape[1] < window[1]:
        raise IntsimError(
            f"the picture is {picture.shape[1]} x {picture.shape[0]}, smaller than a window of {window[1]} x {window[0]}"
        )
    counts = np.zeros(picture.shape[:2], np.int32)
    sums: AnyArray | None = None
    places = (anchors(size, w, s) for size, w, s in zip(picture.shape, window, stride, strict=False))
    for top, left in product(*places):
        area = (slice(top, top + window[0]), slice(left, left + window[1]))
        seen = scores(np.ascontiguousarray(picture[area]))
        if sums is None:
            sums = np.zeros((*picture.shape[:2], seen.shape[-1]), _wide(seen.dtype, window, stride))
        sums[area] += seen
        counts[area] += 1
    assert sums is not None
    return Merged(sums, counts)


def _wide(dtype: np.dtype[Any], window: Size, stride: Size) -> type:
    """A type that can represent the sum over all windows that contain a pixel."""
    if dtype.kind == "f":
        return np.float64
    most = np.prod([-(-w // s) + 1 for w, s in zip(window, stride, strict=True)], dtype=object)  # one more at the end
    return np.int32 if dtype.itemsize <= 2 and most * -I16.lo <= I32.hi else np.int64


def fitted(picture: AnyArray, window: Size) -> AnyArray:
    """The picture, enlarged (bilinear, its proportions kept) where a side is smaller than that of a window."""
    height, width = picture.shape[:2]
    if height >= window[0] and width >= window[1]:
        return picture
    by = max(window[0] / height, window[1] / width)
    size = (max(window[1], int(width * by)), max(window[0], int(height * by)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR), np.uint8)


def labels_at(labels: IntArray, size: Size) -> IntArray:
    """Labels of an enlarged picture at its own size, nearest-neighbour."""
    rows, columns = (np.arange(new, dtype=np.int64) * old // new for old, new in zip(labels.shape, size, strict=True))
    resized: IntArray = labels[rows[:, None], columns]
    return resized


def trained_stride(graph: Graph) -> Size | None:
    """The distance between windows with which the network was trained; None where its configuration has none."""
    stride = graph.config.get("window_stride")
    return (stride, stride) if isinstance(stride, int) and not isinstance(stride, bool) and stride > 0 else None


def label(graph: Graph, picture: AnyArray, stride: Size | None = None, threads: int | None = None) -> AnyArray:
    """The labels [H, W] of a picture of any size (u8 [H, W, 3]) by windows of the graph's own size, in integers.

    `stride` is the distance between windows (height, width), by default a window's size.
    """
    require_picture(graph, "labelling by windows")
    height, width, _ = graph.tensors[graph.input.name].shape
    fit = fitted(picture, (height, width))
    if fit.shape[:2] == (height, width):
        return labels_at(run(graph, fit, threads=threads), picture.shape[:2])

    def masks(image: AnyArray) -> AnyArray:
        seen: dict[str, AnyArray] = {}
        before = graph.output.inputs[0]
        run(graph, image, seen.__setitem__, nodes=[before], threads=threads)
        return seen[before]

    merged = merge(fit, (height, width), stride or (height, width), masks)
    return labels_at(merged.labels, picture.shape[:2])
