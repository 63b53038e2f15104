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
from intsim.kernels import isa
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


@pytest.mark.kernels
@pytest.mark.parametrize("variant", isa.available(), ids=str)
@settings(deadline=None, max_examples=15)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_a_product_takes_its_rows_in_the_order_of_moves(variant: isa.Isa, data: st.DataObject, seed: int) -> None:
    """Moves of whole rows before a linear layer and behind it, where the residual sum follows, are part of its step."""
    rng, size = np.random.default_rng(seed), data.draw(st.sampled_from([1, 2, 4]))
    rows, columns = (size * data.draw(st.integers(1, 5)) for _ in range(2))
    channels, wide = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 70))
    net = intsim.Builder("isegmenter")
    x = net.input("x", "i8", (rows, columns, channels), scale=0.1)
    other = net.input("other", "i8", (rows, columns, wide), scale=0.1)
    y = net.roll(x, rows=data.draw(st.integers(-9, 9)), columns=data.draw(st.integers(-9, 9)))
    y = net.windows(y, size=size)
    y = net.linear(y, weight=rng.integers(-128, 128, (wide, channels)), bias=rng.integers(-99, 99, wide))
    y = net.requant(y, m=1518500249, e=40, b=8)
    y = net.merge_windows(y, height=rows)
    if data.draw(st.booleans()):
        y = net.roll(y, rows=1, columns=2)
    net.residual_add(y, other, ma=1 << 30, ea=30, mc=1518500249, ec=31, b=8)
    graph = net.graph()
    inputs = {"x": rng.integers(-128, 128, (rows, columns, channels), np.int8)}
    inputs["other"] = rng.integers(-128, 128, (rows, columns, wide), np.int8)
    with isa.using(variant):
        (step,) = (step for step in fused(graph, ()).nodes if len(step.nodes) > 1)
        assert len(step.nodes) >= 6
        assert step.compute([inputs[name] for name in step.inputs]) is not None
        expected = run(graph, inputs, face="ref")
        for threads in (1, 2, 5):
            np.testing.assert_array_equal(run(graph, inputs, threads=threads), expected)


@pytest.mark.kernels
@settings(deadline=None, max_examples=40)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_pixels_are_looked_up_where_patches_need_them(data: st.DataObject, seed: int) -> None:
    """Sides that are no multiple of the patch, and patches larger than the picture, are filled with zeros."""
    rng, shape = np.random.default_rng(seed), data.draw(st.tuples(*[st.integers(1, 20)] * 2, st.sampled_from([1, 3])))
    net = intsim.Builder("isegmenter")
    table = rng.integers(-128, 128, (shape[2], 256))
    net.patches(net.input_lut(net.input("x", "u8", shape), table=table), size=data.draw(st.integers(1, 9)))
    graph, picture = net.graph(), rng.integers(0, 256, shape, np.uint8)
    assert [node.op for node in fused(graph, ()).nodes[-1].nodes] == ["input_lut", "patches"]
    expected = run(graph, {"x": picture}, face="ref")
    for threads in (1, 3):
        np.testing.assert_array_equal(run(graph, {"x": picture}, threads=threads), expected)


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
