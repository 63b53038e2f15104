"""Comparison by blocks, and the layout faults it recognises."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intsim.arith import I8, I16, I32, U8, Format
from intsim.debugging import compare as comparing
from intsim.debugging.compare import Comparison, axis_names, compare, sha256_of
from intsim.engine.graph import digest
from intsim.rules.diagnosis import diagnose
from intsim.rules.layout_faults import LAYOUT_FAULTS


@settings(derandomize=True, deadline=None, max_examples=150)
@given(data=st.data())
def test_statistics_equal_those_of_a_plain_loop(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=3)))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    a = rng.integers(-128, 128, shape).astype(np.int8)
    reach = data.draw(st.sampled_from([1, 9, 200]))
    b = np.clip(a + rng.integers(-reach, reach + 1, shape) * (rng.random(shape) < 0.4), -128, 127).astype(np.int8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparing, "BLOCK_BYTES", data.draw(st.sampled_from([1, 16, 1 << 20])))
        found = compare(a, b, I8)
    errors = {index: int(b[index]) - int(a[index]) for index in np.ndindex(shape) if a[index] != b[index]}
    assert found.differing == len(errors)
    assert found.total == a.size
    assert found.sha256 == digest(a)
    if not errors:
        assert found.first is None
        return
    first = min(errors)
    assert found.first is not None
    assert (found.first.index, found.first.golden, found.first.dut) == (list(first), int(a[first]), int(b[first]))
    assert (found.lowest, found.highest) == (min(errors.values()), max(errors.values()))
    assert found.mean_of_differing == pytest.approx(sum(errors.values()) / len(errors))
    assert found.mean == pytest.approx(sum(errors.values()) / a.size)
    for part in found.histogram:
        assert part.count == sum(part.lo <= error <= part.hi for error in errors.values())
    assert sum(part.count for part in found.histogram) == len(errors)
    for axis, counts in enumerate(found.by_axis):
        expected = Counter(index[axis] for index in errors)
        assert counts.tolist() == [expected[i] for i in range(shape[axis])]
    assert found.heat is not None
    if len(shape) == 3 and shape[-1] == 3:
        return  # a picture: its heat map sums over the channels
    rows, columns = (1, 1, *shape)[-2:]
    assert found.heat.shape == (rows, columns), "small tensors have one cell per place"
    for row, column in np.ndindex(rows, columns):
        here = [i for i in errors if i[-1] == column and (len(i) < 2 or i[-2] == row)]
        assert found.heat[row, column] * a.size == pytest.approx(len(here) * rows * columns)


def test_one_sided_errors_are_recognised() -> None:
    a = np.zeros((4, 4), np.int16)
    b = a.copy()
    b[1, :2] = 1
    assert compare(a, b, I16).one_sided
    b[2, 0] = -1
    assert not compare(a, b, I16).one_sided
    b[...] = a
    b[3, 3] = 5
    assert not compare(a, b, I16).one_sided, "one element is not enough"


def test_values_outside_the_format_are_reported() -> None:
    a = np.zeros(4, np.int8)
    found = compare(a, np.array([0, 0, 200, 0], np.int64), I8)
    assert found.sha256 == digest(a)
    assert found.first is not None
    assert found.first.hexadecimal(200) == "outside i8"
    assert sha256_of(np.array([300]), U8) == ""


def test_the_heat_map_stays_small() -> None:
    a = np.zeros((3, 500, 700), np.int8)
    b = a.copy()
    b[1, 499, 699] = 1
    heat = compare(a, b, I8).heat
    assert heat is not None
    assert heat.shape == (96, 96)
    assert np.flatnonzero(heat).tolist() == [96 * 96 - 1]
    assert 0 < heat[-1, -1] <= 1
    assert compare(a, a + np.int8(1), I8).heat == pytest.approx(1)


def test_memory_does_not_grow_with_the_tensor() -> None:
    class Endless:
        """A tensor of any number of rows, computed on access."""

        dtype = np.dtype(np.int8)

        def __init__(self, rows: int) -> None:
            self.shape = (rows, 1 << 14)

        def __getitem__(self, part: slice) -> Any:
            return np.zeros((min(part.stop, self.shape[0]) - part.start, self.shape[1]), np.int8)

    peaks = []
    for rows in (1 << 10, 1 << 13):
        tracemalloc.start()
        assert compare(Endless(rows), Endless(rows), I8).differing == 0
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_axis_names() -> None:
    assert axis_names((4, 5, 6)) == ["head", "row", "column"]
    assert axis_names((4, 5)) == ["row", "column"]
    assert axis_names((8, 8, 3)) == ["row", "column", "channel"]
    assert axis_names((2, 3, 4, 5)) == ["axis 0", "head", "row", "column"]


# --- layout -----------------------------------------------------------------------------------------------------------


def tensor(shape: tuple[int, ...], fmt: Format = I16) -> np.ndarray:
    """Random values of a format."""
    return np.random.default_rng(7).integers(fmt.lo, fmt.hi, shape, endpoint=True).astype(fmt.dtype)


def tiles(x: np.ndarray, t: int, c: int) -> np.ndarray:
    rows, columns = x.shape[-2:]
    return x.reshape(-1, rows // t, t, columns // c, c).swapaxes(2, 3).reshape(x.shape)


FAULTS = {
    "swap-heads": lambda x: x[[1, 0, 2, 3]],
    "swap-heads:1,3": lambda x: x[[0, 3, 2, 1]],
    "reverse-heads": lambda x: x[::-1],
    "reverse-tokens": lambda x: x[:, ::-1],
    "reverse-columns": lambda x: x[..., ::-1],
    "transpose": lambda x: x.swapaxes(-1, -2).reshape(x.shape),
    "axes [1, 0, 2]": lambda x: x.transpose(1, 0, 2).reshape(x.shape),
    "axes [2, 0, 1]": lambda x: x.transpose(2, 0, 1).reshape(x.shape),
    "interleave-columns:4": lambda x: x.reshape(4, 8, 4, 6).swapaxes(-1, -2).reshape(x.shape),
    "interleave-rows:2": lambda x: x[:, [0, 4, 1, 5, 2, 6, 3, 7]],
    "blocks-columns:8": lambda x: x[..., [*range(16, 24), *range(8, 16), *range(8)]],
    "roll-rows:1": lambda x: np.roll(x, 1, axis=1),
    "roll-rows:-2": lambda x: np.roll(x, -2, axis=1),
    "shift-row": lambda x: LAYOUT_FAULTS["shift-row"](x, I16),
    "tiled:2x4": lambda x: tiles(x, 2, 4),
    "tiled:4x8": lambda x: tiles(x, 4, 8),
    "reverse-beats": lambda x: x.reshape(-1, 4)[:, ::-1].reshape(x.shape),
    "reverse-beats:16": lambda x: x.reshape(-1, 16)[:, ::-1].reshape(x.shape),
    "roll:1": lambda x: np.roll(x.reshape(-1), 1).reshape(x.shape),
    "byte-swap": lambda x: x.byteswap(),
    "nibble-swap": lambda x: LAYOUT_FAULTS["nibble-swap"](x, I16),
    "unsigned": lambda x: x.astype(np.uint16),
    "offset-binary": lambda x: x ^ np.int16(-(2**15)),
    "order-heads": lambda x: x[[1, 2, 0, 3]],
}


@pytest.mark.parametrize("name", FAULTS)
def test_layout_faults_are_named(name: str) -> None:
    x = tensor((4, 8, 24))
    found = diagnose(x, np.ascontiguousarray(FAULTS[name](x)), I16)
    assert found is not None
    assert found.name == name


def test_reshaped_tensors_are_recognised() -> None:
    x = tensor((6, 10))
    assert diagnose(x, x.reshape(10, 6), I16).name == "reshape"
    assert diagnose(x, np.ascontiguousarray(x.T), I16).name == "transpose"
    assert diagnose(x, x.reshape(-1)[:-1], I16) is None


def test_no_layout_fault_is_found_where_none_fits() -> None:
    x = tensor((4, 8, 24))
    other = x.copy()
    other[0, 0, 0] += 1
    assert diagnose(x, other, I16) is None
    shuffled = np.random.default_rng(1).permutation(x.reshape(-1)).reshape(x.shape)
    assert diagnose(x, shuffled, I16) is None
    assert diagnose(tensor((3, 3), I32), tensor((3, 3), I32) + 1, I32) is None


@pytest.mark.parametrize("name", LAYOUT_FAULTS)
def test_applied_layout_faults_are_found(name: str) -> None:
    x = tensor((4, 8, 8))
    changed = LAYOUT_FAULTS[name](x.astype(np.int64), I16)
    found = diagnose(x, changed, I16)
    assert found is not None
    assert found.name == name


def test_comparisons_are_plain_data() -> None:
    a, b = tensor((4, 8)), tensor((4, 8)) + 0
    b[1] += 1
    found: Comparison = compare(a, b, I16)
    record = found.record()
    assert record["worst"]["row"] == [[1, 8]]
    assert record["histogram"] == [{"lo": 1, "hi": 1, "count": 8}]
