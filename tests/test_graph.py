"""The graph: the checks and proofs when it is constructed, and its execution by the interpreter."""

from __future__ import annotations

import dataclasses
import os
import threading
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import intsim
from intsim import dialects
from intsim.arith import I8, I16, I32, I64, signed
from intsim.engine.graph import CONSTANT, Graph, Node, constant_node, input_node
from intsim.errors import BoundError, GraphError, IntsimError
from intsim.ops import REGISTRY, TensorBound

from networks import TINY, tiny_graph, window_graph


def changed(graph: Graph, name: str, **params: Any) -> list[Node]:
    """The nodes of `graph`, with some parameters of one node replaced."""
    return [dataclasses.replace(n, params={**n.params, **params}) if n.name == name else n for n in graph.nodes]


def test_every_tensor_has_the_declared_shape_format_and_bounds(graph: Graph, image: np.ndarray) -> None:
    seen = []

    def observe(name: str, value: np.ndarray) -> None:
        tensor = graph.tensors[name]
        assert value.shape == tensor.shape
        assert value.dtype == tensor.fmt.dtype
        assert tensor.lo <= value.min() <= value.max() <= tensor.hi
        seen.append(name)

    intsim.run(graph, image, observe)
    assert seen == [node.name for node in graph.nodes]


@pytest.mark.parametrize("dialect", dialects.DIALECTS.values(), ids=str)
def test_reference_and_fast_agree_on_every_node(dialect: dialects.Dialect, image: np.ndarray) -> None:
    graph = tiny_graph(dialect)
    reference: dict[str, np.ndarray] = {}
    intsim.run(graph, image, reference.__setitem__, face="ref")

    def observe(name: str, value: np.ndarray) -> None:
        np.testing.assert_array_equal(value, reference[name], err_msg=name)
        assert value.dtype == reference[name].dtype, name

    intsim.run(graph, image, observe)


def test_concurrent_runs_with_different_threads_agree(graph: Graph, image: np.ndarray) -> None:
    expected = intsim.run(graph, image, threads=1)
    results: list[np.ndarray] = []
    callers = [
        threading.Thread(target=lambda t=t: results.append(intsim.run(graph, image, threads=t)))  # type: ignore[misc]
        for t in (1, 2, 3, None)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(results) == 4
    assert all((result == expected).all() for result in results)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_starts_its_own_threads(graph: Graph, image: np.ndarray) -> None:
    expected = intsim.run(graph, image, threads=2)
    with get_context("fork").Pool(1) as pool:
        child = pool.apply_async(intsim.run, (graph, image), {"threads": 2})
        np.testing.assert_array_equal(child.get(timeout=60), expected)


def test_tensors_are_released_after_their_last_use(graph: Graph) -> None:
    order = {node.name: i for i, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        for name in graph.released[node.name]:
            users = [other.name for other in graph.nodes if name in other.inputs]
            assert max((order[user] for user in users), default=order[name]) == order[node.name]
    assert sorted(n for names in graph.released.values() for n in names) == sorted(set(order) - {graph.output.name})


def test_a_bias_that_could_overflow_is_refused_with_node_and_bounds(graph: Graph) -> None:
    name = "encoder.blocks.1.mlp.fc1"
    bias = np.zeros(128, np.int32)
    bias[7] = 2**31 - 1
    with pytest.raises(BoundError, match=rf"^{name}: linear may reach \[-\d+, 2147\d+\], outside i32"):
        Graph(changed(graph, name, bias=bias), graph.dialect)


def test_overflow_of_a_layernorm_bias_follows_the_dialect(graph: Graph) -> None:
    name = "encoder.norm"
    bias = np.full(32, 2**31 - 1, np.int32)
    nodes = [node for node in changed(graph, name, bias=bias) if node.name != "unused"]
    with pytest.raises(BoundError, match=f"^{name}: layernorm may reach"):
        Graph(nodes, dialects.ISEGMENTER)
    exact = Graph(nodes, dialects.ISEGMENTER.replace(overflow="exact"))
    assert str(exact.tensors[name].fmt) == "i64"
    wrapped = Graph(nodes, dialects.ISEGMENTER.replace(overflow="wrap32"))
    assert wrapped.tensors[name].fmt is I32


def test_exact_values_beyond_32_bits_are_computed(graph: Graph, image: np.ndarray) -> None:
    nodes = changed(graph, "encoder.norm", bias=np.full(32, 2**31 - 1, np.int32))
    exact = Graph(nodes, dialects.ISEGMENTER.replace(overflow="exact"))
    values: dict[str, np.ndarray] = {}
    labels = intsim.run(exact, image, values.__setitem__)
    assert values["encoder.norm"].dtype == np.int64
    assert values["encoder.norm"].max() > I32.hi
    np.testing.assert_array_equal(labels, intsim.run(exact, image, face="ref"))


def matmul_graph(depth: int) -> list[Node]:
    """The nodes of a product of two constants, with `depth` terms per sum."""
    a, b = np.full((1, depth), 32767, np.int16), np.full((depth, 1), 127, np.int8)
    return [
        input_node("image", 1, 1, 1.0),
        constant_node("a", a, 1.0),
        constant_node("b", b, 1.0),
        Node("product", "matmul", ("a", "b"), {"transpose_b": 0}),
    ]


def test_the_longest_provable_matmul_is_accepted_and_one_more_term_refused() -> None:
    longest = (2**31 - 1) // (32767 * 127)
    assert Graph(matmul_graph(longest), dialects.RTL).tensors["product"].hi == longest * 32767 * 127
    with pytest.raises(BoundError, match="product: matmul may reach"):
        Graph(matmul_graph(longest + 1), dialects.RTL)


def test_the_sum_of_probabilities_bounds_long_attention_rows() -> None:
    """By their range alone, 1025 probabilities times 128 could exceed i32; the bound of their sum excludes it."""
    p = REGISTRY["shiftmax"].output([TensorBound.full((1025, 1025), I8)], {"x0": -20, "n": 15, "b": 16}, dialects.ISEGMENTER)
    out = REGISTRY["matmul"].output([p, TensorBound.full((1025, 64), I8)], {"transpose_b": 0}, None)
    assert I32.hi < 1025 * 32767 * 128
    assert out.fits


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_bounds_hold_for_extreme_inputs(data: st.DataObject) -> None:
    """Every operator that computes bounds, on values at the ends of its input formats."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    n = data.draw(st.integers(1, 40))
    dialect = data.draw(st.sampled_from(list(dialects.DIALECTS.values())))

    def extreme(lo: int, hi: int, shape: tuple[int, ...]) -> np.ndarray:
        return rng.choice(np.array([lo, lo + 1, -1, 0, 1, hi - 1, hi], np.int64), shape)

    x0 = data.draw(st.integers(-255, -1))
    cases: list[tuple[str, list[np.ndarray], dict[str, Any]]] = [
        (
            "linear",
            [extreme(-128, 127, (3, n))],
            {"weight": extreme(-128, 127, (4, n)), "bias": extreme(-(2**20), 2**20, (4,))},
        ),
        ("layernorm", [extreme(-32768, 32767, (3, n))], {"bias": extreme(-(2**20), 2**20, (n,))}),
        ("requant", [extreme(-(2**31), 2**31 - 1, (3, n))], {"m": extreme(-(2**31), 2**31 - 1, (n,)), "e": 31, "b": 16}),
        ("shiftmax", [extreme(-128, 127, (3, n))], {"x0": x0, "n": 15, "b": 16}),
        ("shiftgelu", [extreme(-128, 127, (3, n))], {"x0": x0, "n": 22, "b": 8}),
        ("mean", [extreme(-32768, 32767, (n, 3))], {}),
        (
            "masked_shiftmax",
            [extreme(-128, 127, (2, 2, n, n))],
            {"regions": extreme(-128, 127, (2, n)), "x0": x0, "n": 15, "b": 16},
        ),
        (
            "residual_add",
            [extreme(-(2**31), 2**31 - 1, (3, 2, n)), extreme(-(2**31), 2**31 - 1, (2, n))],
            {"ma": extreme(-(2**31), 2**31 - 1, (n,)), "ea": 31, "mc": 2**30, "ec": 40, "b": 32},
        ),
    ]
    for name, arrays, raw in cases:
        op = REGISTRY[name]
        params = {k: op.checked_param(k, v) for k, v in raw.items()}
        formats = {"layernorm": I16, "requant": I32, "mean": I16, "residual_add": I32}
        tensors = [TensorBound.full(a.shape, formats.get(name, I8)) for a in arrays]
        declared = op.output(tensors, params, dialect)
        if name in ("shiftmax", "masked_shiftmax", "shiftgelu") and dialect.exp_sum == "wrap32":
            continue  # a wrapped sum may be 0, which is an error at run time
        out = op.compute("fast", arrays, params, dialect, declared)
        settled = declared.settled(dialect.overflow)
        assert settled.lo <= int(out.min()), (name, dialect.name)
        assert int(out.max()) <= settled.hi, (name, dialect.name)
        if declared.row_sum is not None:
            assert int(np.abs(out.astype(np.int64)).sum(axis=-1).max()) <= declared.row_sum


@pytest.mark.parametrize("rounding", ["floor", "trunc", "half_up", "half_even", "half_away"])
def test_a_mean_keeps_the_bounds_of_its_tokens(rounding: str) -> None:
    """With any rounding, a mean stays within the bounds of its tokens and reaches both."""
    op, dialect = REGISTRY["mean"], dialects.RTL.replace(mean_rounding=rounding)
    declared = op.output([TensorBound((3, 2), I16, -7, 5)], {}, dialect)
    assert (declared.shape, declared.fmt, declared.lo, declared.hi) == ((2,), I16, -7, 5)
    for tokens in ([-7, -7, -6], [-7, -7, -7], [5, 5, 4], [5, 5, 5]):
        out = op.compute("fast", [np.array([tokens, tokens], np.int16).T], {}, dialect, declared)
        assert -7 <= int(out.min()) <= int(out.max()) <= 5
    for size, fits in ((1, True), (65536, True), (65537, False), (0, False)):
        if fits:
            assert op.output([TensorBound.full((size, 2), I16)], {}, dialect).fits
        else:
            with pytest.raises(ValueError, match=f"{size} tokens; mean takes 1 to"):
                op.output([TensorBound.full((size, 2), I16)], {}, dialect)


def test_masked_shiftmax_has_the_bounds_of_shiftmax() -> None:
    """Masked tokens contribute to the sum of a row, too, so the bounds are those of shiftmax."""
    params = {"regions": np.zeros((4, 49), np.int8), "x0": -20, "n": 15, "b": 16}
    p = REGISTRY["masked_shiftmax"].output([TensorBound.full((4, 3, 49, 49), I8)], params, dialects.ISEGMENTER)
    plain = {key: value for key, value in params.items() if key != "regions"}
    assert p == REGISTRY["shiftmax"].output([TensorBound.full((4, 3, 49, 49), I8)], plain, dialects.ISEGMENTER)
    assert (p.lo, p.hi, p.row_sum) == (0, 32767, 32767)
    with pytest.raises(ValueError, match="past i32; lower n"):
        REGISTRY["masked_shiftmax"].output(
            [TensorBound.full((4, 3, 49, 49), I8)], params | {"x0": -4096, "n": 19}, dialects.RTL
        )


def test_windows_that_do_not_fit_name_their_node() -> None:
    graph, _ = window_graph()
    for name, change, message in (
        ("softmax", {"regions": np.zeros((6, 15), np.int8)}, r"softmax: regions are \[6, 15\], expected \[6, 16\]"),
        ("cut", {"size": 5}, "cut: 8 x 12 does not divide into windows of 5 x 5"),
        ("back", {"height": 16}, "back: 6 windows of 4 x 4 do not fill 16 rows"),
        ("bias", {"size": 3}, "bias: windows of 3 x 3 have 25 displacements, the table 49"),
    ):
        with pytest.raises(GraphError, match=f"^{message}"):
            Graph(changed(graph, name, **change), graph.dialect)


def test_an_exact_product_with_a_wrapped_sum_may_reach_the_lowest_value() -> None:
    op, dialect = REGISTRY["shiftmax"], dialects.IVIT.replace(exp_sum="wrap32")
    params = {"x0": -1000, "n": 20, "b": 3}
    declared = op.output([TensorBound.full((3,), I8)], params, dialect)
    out = op.compute("fast", [np.zeros(3, np.int8)], params, dialect, declared)
    assert out.tolist() == [-4, -4, -4]
    assert declared.lo <= -4


def test_bounds_include_padding() -> None:
    """Pixels are never 0, padding is: the bias fits i32 with the sums of pixels, but not with those of padding."""
    weight = np.full((1, 12), 127, np.int8)
    weight[0, [0, 4, 8]] = -128
    nodes = [
        input_node("image", 1, 1, 1.0),
        Node("lut", "input_lut", ("image",), {"table": np.full((3, 256), 100, np.int8)}),
        Node("patches", "patches", ("lut",), {"size": 2}),
        Node("linear", "linear", ("patches",), {"weight": weight, "bias": np.array([-(2**31)], np.int32)}),
    ]
    with pytest.raises(BoundError, match="linear: linear may reach"):
        Graph(nodes, dialects.ISEGMENTER)


@pytest.mark.parametrize("face", ["fast", "ref"])
def test_concat_of_different_formats_does_not_wrap(face: str) -> None:
    op = REGISTRY["concat"]
    call = op.ref if face == "ref" else op
    for pair in (
        [np.array([[200]], np.uint8), np.array([[-1]], np.int8)],
        [np.array([[-1]], np.int8), np.array([[200]], np.uint8)],
    ):
        with pytest.raises(ValueError, match="is outside"):
            call(*pair, axis=-1)


def test_residual_arms_that_could_exceed_64_bits_are_refused() -> None:
    arm = TensorBound((1, 1), I64, -(2**63 - 1), 2**63 - 1)
    params = {"ma": 1, "ea": 1, "mc": 1, "ec": 1, "b": 16}
    with pytest.raises(ValueError, match="may pass 64 bits"):
        REGISTRY["residual_add"].output([arm, arm], params, dialects.RTL.replace(overflow="exact"))


def broken(graph: Graph, **change: Any) -> list[Node]:
    """The nodes of `graph`, with some fields of the fourth one replaced."""
    return [dataclasses.replace(n, **change) if i == 3 else n for i, n in enumerate(graph.nodes)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "bad name"}, "not a node name"),
        ({"name": "image"}, "duplicate node name"),
        ({"inputs": ("labels",)}, "'labels' is not an earlier node"),
        ({"op": "linaer"}, "no operator 'linaer'"),
        ({"inputs": ("encoder.patches", "image")}, "takes 1 inputs, the node has 2"),
        ({"inputs": ("image",)}, "takes i8, but image is u8"),
        ({"params": {}}, "parameter 'weight' is missing"),
    ],
)
def test_a_malformed_graph_names_its_node(graph: Graph, change: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphError, match=message) as caught:
        Graph(broken(graph, **change), graph.dialect)
    assert change.get("name", "encoder.patch_embed.proj") in str(caught.value)


def test_parameters_are_checked_like_arguments(graph: Graph) -> None:
    node = graph.by_name["encoder.patch_embed.proj"]
    cases: list[tuple[dict[str, Any], str]] = [
        ({"weight": node.params["weight"].astype(float)}, "weight: expected integers, got float64"),  # type: ignore[union-attr]
        ({"weight": node.params["weight"][:, :-1]}, "takes 191"),  # type: ignore[index]
        ({"weight": np.full((32, 192), 128)}, r"weight\[0, 0\] = 128 is outside i8"),
        ({"bias": np.zeros(3, np.int32)}, "bias has 3 values for 32"),
        ({"spare": 1}, "no parameter 'spare'"),
    ]
    for params, message in cases:
        with pytest.raises(GraphError, match=message):
            Graph(changed(graph, node.name, **params), graph.dialect)


def test_a_picture_of_another_size_or_type_is_refused(graph: Graph, image: np.ndarray) -> None:
    with pytest.raises(IntsimError, match="takes 24 x 40 x 3"):
        intsim.run(graph, image[:-1])
    with pytest.raises(IntsimError, match="uint8 pixels, not float64"):
        intsim.run(graph, image / 255)


def test_content_hash_depends_on_every_number(graph: Graph) -> None:
    assert tiny_graph().content_hash == graph.content_hash
    different = [
        Graph(changed(graph, "encoder.patch_embed.proj.requant", b=15), graph.dialect),
        Graph(list(graph.nodes), graph.dialect.replace(requant_rounding="half_up")),
        Graph(changed(graph, "encoder.norm", bias=np.zeros(32, np.int32)), graph.dialect),
    ]
    assert len({g.content_hash for g in (graph, *different)}) == 4


def test_requantization_matches_the_scales(graph: Graph) -> None:
    """The multiplier of every requant equals the ratio of its scales."""
    for node in graph.nodes:
        if node.op == "requant":
            ratio = np.asarray(graph.scales[node.inputs[0]]) / graph.scales[node.name]
            m, e = (np.asarray(node.params[k], np.float64) for k in ("m", "e"))
            # only the multiplier of the logits includes the attention factor head_dim**-0.5
            gain = 16**-0.5 if node.name.endswith("logits.requant") else 1.0
            if node.name.endswith("mlp.act.requant"):  # fitted to what the GELU sees
                gain = float(m * 2.0**-e / ratio)
                assert 0.95 < gain < 1.1
            np.testing.assert_allclose(m * 2.0**-e, ratio * gain, rtol=1e-9, err_msg=node.name)
    assert all(graph.scales[n.name] is not None for n in graph.nodes if n.op != "argmax")


def test_formats_by_width() -> None:
    assert [signed(b).dtype.name for b in (2, 8, 9, 16, 17, 32, 33)] == [
        "int8",
        "int8",
        "int16",
        "int16",
        "int32",
        "int32",
        "int64",
    ]
    assert CONSTANT not in REGISTRY
    assert TINY["n_cls"] == 5
