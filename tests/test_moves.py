"""Operators that only move values, one after the other: the fused step copies what the separate operators do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import intsim
from intsim.engine.fused import moves
from intsim.engine.interpreter import run
from intsim.engine.plan import fused
from intsim.kernels.moves import NOTHING, move_pieces

from networks import tiny_graph

FORMATS = {"i8": np.int8, "i16": np.int16, "i32": np.int32}


def moved(net: intsim.Builder, x: intsim.Tensor, draw: st.DataObject) -> intsim.Tensor:
    """One more operator that fits the shape."""
    shape = x.shape
    ops = ["slice", "heads"]
    if len(shape) == 3:
        ops += ["roll", "windows", "patches", "upsample_nearest"]
        ops += ["merge_patches"] if shape[0] % 2 == 0 and shape[1] % 2 == 0 else []
    op = draw.draw(st.sampled_from(ops))
    if op == "slice":
        axis = draw.draw(st.integers(-len(shape), -1))
        start = draw.draw(st.integers(0, shape[axis] - 1))
        return net.slice(x, axis=axis, start=start, stop=draw.draw(st.integers(start + 1, shape[axis])))
    if op == "heads":
        return net.heads(x, heads=draw.draw(st.sampled_from([n for n in (1, 2, 4) if shape[-1] % n == 0])))
    if op == "roll":
        return net.roll(x, rows=draw.draw(st.integers(-9, 9)), columns=draw.draw(st.integers(-9, 9)))
    if op == "windows":
        return net.windows(x, size=draw.draw(st.sampled_from([n for n in (1, 2, 3) if shape[0] % n == 0 == shape[1] % n])))
    if op == "patches":
        return net.patches(x, size=draw.draw(st.integers(1, 4)))
    if op == "upsample_nearest":
        return net.upsample_nearest(x, factor=draw.draw(st.integers(1, 2)))
    return net.merge_patches(x)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_any_chain_equals_the_separate_operators(data: st.DataObject, seed: int) -> None:
    side = st.integers(1, 3).map(lambda n: 4 * n)
    shape = data.draw(st.tuples(side, side, st.sampled_from([1, 2, 8, 12])))
    fmt = data.draw(st.sampled_from(sorted(FORMATS)))
    net = intsim.Builder("isegmenter")
    x = net.input("x", fmt, shape, scale=0.1)
    for _ in range(data.draw(st.integers(1, 4))):
        x = moved(net, x, data)
    graph = net.graph()
    value = np.random.default_rng(seed).integers(-128, 128, shape).astype(FORMATS[fmt])
    expected = run(graph, {"x": value}, face="ref")
    for threads in (1, 2, 5):
        result = run(graph, {"x": value}, threads=threads)
        assert result.shape == expected.shape
        assert result.tolist() == expected.tolist()


def test_windows_of_a_rolled_grid_are_one_copy_of_rows() -> None:
    net = intsim.Builder("isegmenter")
    x = net.input("x", "i8", (12, 12, 24), scale=0.1)
    net.windows(net.roll(x, rows=-2, columns=-2), size=4)
    graph = net.graph()
    step = fused(graph, ()).nodes[-1]
    assert [node.op for node in step.nodes] == ["roll", "windows"]
    index = moves.pieces(step.nodes, (12, 12, 24))
    assert len(index) == 12 * 12 // 2  # a row of a window is four tokens, of which some are split after two
    assert sorted(index) == list(range(len(index)))


def test_a_large_tensor_and_the_labels_of_pixels_are_left_to_others() -> None:
    net = intsim.Builder("isegmenter")
    net.windows(net.input("x", "i8", (2048, 2, 1024), scale=0.1), size=2)
    assert fused(net.graph(), ()).nodes[-1].compute([np.zeros((2048, 2, 1024), np.int8)]) is None
    steps = fused(tiny_graph(), ()).nodes
    assert [node.op for node in steps[-1].nodes] == ["upsample_nearest", "argmax"]


@pytest.mark.parametrize("shape", [(10, 3), (1, 40)])
def test_a_part_that_lies_as_it_is_stays_a_view(shape: tuple[int, int]) -> None:
    net = intsim.Builder("isegmenter")
    net.slice(net.input("x", "i32", shape, scale=0.1), axis=-2, start=0, stop=1)
    assert fused(net.graph(), ()).nodes[-1].compute([np.zeros(shape, np.int32)]) is None


@pytest.mark.parametrize("size", [1, 2, 3, 4, 8, 12, 40])
@pytest.mark.parametrize("dtype", FORMATS.values())
def test_pieces_of_any_size(size: int, dtype: type) -> None:
    rng = np.random.default_rng(size)
    x = rng.integers(-128, 128, (30, size)).astype(dtype)
    index = rng.integers(-1, 30, 77)
    out = np.empty((77, size), dtype)
    move_pieces(x, index, size, out)
    expected = [[0] * size if i == NOTHING else x[i].tolist() for i in index]
    assert out.tolist() == expected
