"""Values that are right, but of another place: constants where nothing was written, rows and tiles that repeat others.

The wrong part of a tensor is looked at as a whole: is it one number, is it the part before it, is it another tensor of the
network (a buffer that was read a step early or never written)?
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ..arith import AnyArray, IntArray
from .compare import axis_names
from .region import Region, along

FEWEST = 4  # elements that must be one number
EVIDENCE, DISTINCT = 16, 3  # elements that must have moved, and values among them: fewer could be chance


@dataclass(frozen=True)
class Movement:
    """What the wrong part of a tensor holds instead of its own values: a `name` as of a rule, and a sentence."""

    name: str
    says: str


def constant(expected: IntArray, device: IntArray, region: Region) -> Movement | None:
    """The wrong part holds one number, where the reference has several."""
    part, due = region.of(device), region.of(expected)
    value = part.reshape(-1)[0]
    if part.size < FEWEST or (part != value).any() or (due == due.reshape(-1)[0]).all():
        return None
    region = region.widened(lambda wider: bool((wider.of(device) == value).all()))
    where = "every element" if region.whole else f"every element of {region}"
    cause = ", as where nothing was written" if value == 0 else ""
    return Movement(f"constant:{int(value)}", f"{where} is {int(value)}{cause}")


def repeated(expected: IntArray, device: IntArray, region: Region) -> Movement | None:
    """The wrong part repeats values of the same tensor that belong at another place along one axis."""
    names = axis_names(expected.shape)
    for axis, at in reversed(list(enumerate(region.places))):
        if at is None or expected.shape[axis] < 2:
            continue
        others = Region(region.shape, tuple(None if i == axis else _range(p) for i, p in enumerate(region.places)))
        right = np.moveaxis(others.of(expected), axis, 0)
        wrong = np.moveaxis(others.of(device), axis, 0)[list(at)]
        if _could_be_chance(wrong) or not (right != right[:1]).any():
            continue
        if found := _sources(right, wrong, at):
            length = expected.shape[axis]
            theirs = found if len(set(found)) > 1 else found[:1]
            there = (
                along(names[axis], tuple(theirs), length)
                if list(theirs) == sorted(theirs)
                else f"{names[axis]}s {_order(theirs)}"
            )
            here, distance = along(names[axis], at, length), found[0] - at[0]
            equal = f"{'equals' if len(at) == 1 else 'equal'} {there}"
            if len(at) > abs(distance) and all(f - a == distance for f, a in zip(found, at, strict=True)):
                count = "" if abs(distance) == 1 else f" {abs(distance)}"
                side = "before" if distance < 0 else "after"
                equal = f"hold the values of the {names[axis]}{count} {side} their own"
            within = "" if all(p is None for p in others.places) else f", in {others}"
            return Movement(f"repeated-{names[axis]}", f"{here} {equal}{within}")
    return None


def _could_be_chance(values: AnyArray) -> bool:
    return values.size < EVIDENCE or len(np.unique(values)) < DISTINCT


def _range(at: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """The places as one range, if they nearly are one: the others are right by chance."""
    if at is None or 2 * len(at) < at[-1] - at[0] + 1:
        return at
    return tuple(range(at[0], at[-1] + 1))


def _order(places: list[int]) -> str:
    return str(places) if len(places) <= 8 else f"[{', '.join(map(str, places[:8]))}, ...]"


def _sources(right: AnyArray, wrong: AnyArray, at: tuple[int, ...]) -> list[int] | None:
    """The place of every wrong slice among the right ones, at one distance if that is possible; None where one has none."""
    first = [k for k in range(len(right)) if np.array_equal(right[k], wrong[0])]
    for k in sorted(first, key=lambda k: abs(k - at[0])):
        moved = [place + k - at[0] for place in at]
        if all(0 <= m < len(right) and np.array_equal(right[m], wrong[i]) for i, m in enumerate(moved)):
            return moved
    if not first:
        return None
    if (wrong == wrong[:1]).all():  # all of them repeat one: the nearest before, if there is one
        nearest = min(first, key=lambda k: (k > at[0], abs(k - at[0])))
        return [nearest] * len(at)
    places: dict[bytes, int] = {}
    for k in range(len(right)):
        places.setdefault(np.ascontiguousarray(right[k]).tobytes(), k)
    found = [places.get(np.ascontiguousarray(part.astype(right.dtype)).tobytes()) for part in wrong]
    return None if None in found else [place for place in found if place is not None]


def of_another(device: IntArray, region: Region, others: Iterable[tuple[str, IntArray]]) -> Iterator[Movement]:
    """The wrong part holds the values of another tensor of the same shape, of `others`, each with its name."""
    part = region.of(device)
    if _could_be_chance(part):
        return
    for name, values in others:
        if values.shape == device.shape and np.array_equal(region.of(values), part):
            where = "it" if region.whole else str(region)
            yield Movement(f"values-of:{name}", f"{where} holds the values of {name}")
