"""Dumped tensors of another shape than their node's, put in order: transposed, flattened, or padded at a pitch.

Where the golden file has the tensor, the layout is the one that turns the golden values into the device's. Where none does
(the node, or one before it, is wrong as well), the shape tells what it can: all axes reversed, flattened, other axes of
length 1. Then isolation judges the tensor like any other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..arith import IntArray
from ..errors import FileError
from ..rules.diagnosis import Diagnosis, diagnose
from ..storage.golden_file import GoldenFile
from .dumps import Dump, DumpedTensor, Expected

MOST_PADDING = 8  # times the elements of a node that its padded tensor may have


def straightened(
    reference: GoldenFile, dump: Dump, nodes: Mapping[str, Expected | None]
) -> tuple[Dump, dict[str, Diagnosis]]:
    """The dump with every tensor of another shape put in order where that is possible, and how it was stored, by name."""
    tensors, found = dict(dump.tensors), {}
    unexplained: dict[str, tuple[IntArray, tuple[int, ...]]] = {}
    for name, item in dump.tensors.items():
        expected = nodes.get(name)
        values = _values(item, math.prod(expected.shape)) if expected is not None and item.shape != expected.shape else None
        if expected is None or values is None:
            continue
        golden = reference.tensors.get(name)
        right = golden.values[()] if golden is not None and golden.values is not None else None
        diagnosis = diagnose(right, values, expected.fmt) if right is not None else None
        if right is not None and diagnosis is not None:
            tensors[name], found[name] = _holding(item, right), diagnosis
        else:
            unexplained[name] = values, expected.shape
    fortran = any("Fortran" in diagnosis.says for diagnosis in found.values())
    for name, (values, shape) in unexplained.items():
        if guess := _by_shape(values, shape, fortran):
            tensors[name], found[name] = _holding(dump.tensors[name], guess[0]), guess[1]
    return replace(dump, tensors=tensors), found


def _values(item: DumpedTensor, size: int) -> IntArray | None:
    """The integers of a tensor whose node has `size` elements; None where they cannot be read, or are too many."""
    if item.problem or item.values is None or item.dtype.kind not in "iu" or math.prod(item.shape) > MOST_PADDING * size:
        return None
    try:
        return np.asarray(item.values()[()])
    except FileError:
        return None  # the comparison reports it


def _holding(item: DumpedTensor, values: IntArray) -> DumpedTensor:
    return replace(item, shape=values.shape, dtype=values.dtype, values=lambda: values)


def _by_shape(values: IntArray, shape: tuple[int, ...], fortran: bool) -> tuple[IntArray, Diagnosis] | None:
    """The tensor of a node of `shape`, and how it was stored, as far as the shapes tell; None where they do not.

    `fortran`: other tensors of the dump have their axes reversed.
    """
    backwards, size = tuple(reversed(range(len(shape)))), math.prod(shape)
    if values.shape == shape[::-1]:
        says = f"its shape is that of the node with all axes reversed, and it was judged in their order {list(backwards)}"
        return values.transpose(), Diagnosis(f"axes {list(backwards)}", says, f"axes = {list(backwards)}")
    if values.size != size:
        return None
    if values.ndim == 1 and fortran:
        says = "it is flat, and was judged with all axes reversed, like other tensors of this dump"
        keys = f"shape = {list(shape[::-1])}\naxes = {list(backwards)}"
        return values.reshape(shape[::-1]).transpose(), Diagnosis("flat", says, keys)
    if values.ndim == 1 or [n for n in values.shape if n > 1] == [n for n in shape if n > 1]:
        says = f"its shape is {list(values.shape)}, and it was judged in the order of its elements"
        return values.reshape(shape), Diagnosis("reshape", says, f"shape = {list(shape)}")
    return None
