"""Quantization recipes: each choice has the documented effect, verified by independent computation."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import save_file

import intsim
from intsim import dialects
from intsim.engine.graph import Graph
from intsim.errors import IntsimError
from intsim.nets.real import RealGraph, RealNode
from intsim.nets.segmenter import SegmenterConfig, segmenter
from intsim.quantization import Recipe, calibrated, class_gain, integer_form, lowered, quantize_weights
from intsim.quantization.fold import fold_norms
from intsim.quantization.observers import MANTISSA_BITS, Magnitudes
from intsim.quantization.recipe import WIDTHS, Observer, observers_of
from intsim.quantization.sensitivity import agreement, sensitivity
from intsim.quantization.synth import random_picture, random_weights

from networks import TINY

Cli = Callable[..., tuple[int, str, str]]
L2 = TINY | {"l2_norm": True}


def quantized(config: dict[str, Any] = TINY, recipe: Recipe | None = None, **changes: NDArray) -> Graph:
    """The tiny Segmenter quantized by a recipe."""
    weights = random_weights(config, 3) | {name.replace("__", "."): value for name, value in changes.items()}
    return quantize_weights(weights, config, [random_picture(config, 4)], dialects.ISEGMENTER, "random", recipe)


def values_of(net: RealGraph, picture: NDArray) -> dict[str, NDArray]:
    """Every real tensor."""
    values: dict[str, NDArray] = {}
    net.run(picture, lambda node, inputs, value: values.__setitem__(node.name, value))
    return values


def write_checkpoint() -> None:
    """A random checkpoint of the tiny Segmenter, c.safetensors, and its configuration, c.json."""
    save_file({name: value.astype(np.float32) for name, value in random_weights(TINY, 3).items()}, "c.safetensors")
    Path("c.json").write_text(json.dumps(TINY))


# --- observers ---------------------------------------------------------------------------------------------------------


def magnitudes(*parts: NDArray) -> Magnitudes:
    seen = Magnitudes()
    for part in parts:
        assert seen.add(part, counting=True)
    return seen


DATA = {
    "normal": np.random.default_rng(0).standard_normal(20_000),
    "long tails": np.random.default_rng(1).standard_t(2, 20_000),
    "tiny": np.random.default_rng(2).standard_normal(20_000) * 1e-12,
    "one sided": np.abs(np.random.default_rng(3).standard_normal(20_000)),
    "mostly zero": np.where(np.arange(20_000) % 50, 0.0, 3.0),
    "one value": np.array([0.3]),
}


@pytest.mark.parametrize("x", DATA.values(), ids=DATA)
@pytest.mark.parametrize("top", [127, 32767])
def test_the_mse_observer_is_as_good_as_brute_force(x: NDArray, top: int) -> None:
    """The actual squared error at its clipping point is within 2 percent of the best of 400 candidates."""

    def error(clip: float) -> float:
        step = clip / top
        return float(((np.minimum(np.rint(np.abs(x) / step), top) * step - np.abs(x)) ** 2).sum())

    largest = float(np.abs(x).max())
    best = min(error(clip) for clip in np.linspace(0.05, 1, 400) * largest)
    found = magnitudes(*np.array_split(x, 3) if len(x) > 2 else [x]).clip(Observer("mse"), top)
    assert 0 < found <= largest
    assert error(found) <= best * 1.02 + 1e-9 * largest**2 * len(x) / top**2


@pytest.mark.parametrize("x", DATA.values(), ids=DATA)
@pytest.mark.parametrize("percent", [50, 90, 99.9, 99.99, 100])
def test_the_percentile_observer(x: NDArray, percent: float) -> None:
    """At least `percent` of the magnitudes are within it, and no narrower bin would suffice."""
    found = magnitudes(x).clip(Observer("percentile", percent), 127)
    share = np.mean(np.abs(x) <= found) * 100
    assert share >= percent - 1e-9
    if np.quantile(np.abs(x), percent / 100) == 0:
        assert found == np.abs(x).max(), "a percentile of 0 does not define a range"
        return
    narrower = found * (1 - 2.0 ** (1 - MANTISSA_BITS))
    assert np.mean(np.abs(x) <= narrower) * 100 < percent or np.quantile(np.abs(x), percent / 100) > narrower


def test_min_max_is_the_largest_magnitude() -> None:
    assert magnitudes(np.array([1.0, -7.5]), np.array([3.0])).clip(Observer(), 127) == 7.5


def test_values_that_are_not_finite_are_reported() -> None:
    for bad in (np.nan, np.inf, -np.inf):
        assert not Magnitudes().add(np.array([0.0, bad, 1.0]), counting=True)


@given(st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=40))
def test_every_value_is_counted_in_its_bin(values: list[float]) -> None:
    x = np.array(values)
    seen = magnitudes(x)
    edges = seen.edges()
    assert seen.counts.sum() == len(x)
    for low, high, count in zip(edges, edges[1:], seen.counts, strict=False):
        if count:
            assert ((np.abs(x) >= low) & (np.abs(x) < high)).sum() == count


def test_observers_are_chosen_by_name_then_by_width() -> None:
    general, by_glob = observers_of(["mse", "*.logits=percentile:99.9", "*.residual?=mse"])
    recipe = Recipe(general, by_glob)
    assert str(recipe.observer_of("encoder.blocks.0.attn.logits", "logits", 8)) == "percentile:99.9"
    assert str(recipe.observer_of("encoder.blocks.0.attn.qkv", "activation", 8)) == "mse"
    assert str(recipe.observer_of("encoder.embedded", "residual", 16)) == "minmax", (
        "wide tensors have room for their extremes"
    )
    assert str(recipe.observer_of("encoder.blocks.0.residual1", "residual", 16)) == "mse"


def test_an_observer_changes_the_scales_it_names_and_no_other() -> None:
    plain, named = quantized(), quantized(recipe=Recipe(observers={"*.qkv": Observer("percentile", 90)}))
    for name in plain.by_name:
        differs = plain.scales[name] is not None and not np.array_equal(plain.scales[name], named.scales[name])
        if name.endswith(".qkv.requant"):
            assert named.scales[name] < plain.scales[name]  # type: ignore[operator]
        elif plain.by_name[name].op in ("requant", "residual_add", "constant", "shiftmax"):
            assert not differs, name


# --- widths, clamps, folding -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", WIDTHS)
def test_widths(kind: str) -> None:
    bits = 6
    graph = quantized(recipe=Recipe(widths={kind: bits}))
    if kind == "weight":
        for node in graph.nodes:
            if node.op == "linear":
                assert np.abs(np.asarray(node.params["weight"])).max() == 31
        return
    widths = {node.name: node.params["b"] for node in graph.nodes if node.op in ("requant", "residual_add")}
    usual = {node.name: node.params["b"] for node in quantized().nodes if node.op in ("requant", "residual_add")}
    changed = {name for name in widths if widths[name] != usual[name]}
    examples = {
        "logits": {"encoder.blocks.0.attn.logits.requant", "decoder.blocks.0.attn.logits.requant"},
        "activation": {"encoder.blocks.0.attn.qkv.requant", "encoder.norm.requant", "encoder.blocks.1.mlp.act.requant"},
        "residual": {"encoder.embedded", "encoder.blocks.0.attn.proj.requant", "decoder.proj_dec.requant"},
        "masks": {"decoder.masks.requant", "decoder.mask_norm.requant"},
    }
    assert examples[kind] <= changed
    assert {widths[name] for name in changed} == {bits}
    assert sum(map(len, (set(examples[k]) & changed for k in examples if k != kind))) == 0


def test_the_clamp_may_be_fixed_or_off() -> None:
    for lam, expected in ((40, 40), ("off", 128)):
        graph = quantized(recipe=Recipe(lam=lam))
        assert {node.params["lam"] for node in graph.nodes if node.op == "lambda_shiftgelu"} == {expected}


def test_folding_is_exact_in_real_numbers() -> None:
    for config in (TINY, TINY | {"decoder": {"name": "linear"}}):
        net = segmenter(SegmenterConfig.of(config), random_weights(config, 3))
        folded = fold_norms(net)
        picture = random_picture(config, 4)
        before, after = values_of(net, picture), values_of(folded, picture)
        norms = [node for node in folded.nodes if node.op == "layernorm"]
        plain = [node.name for node in norms if (node.params["gamma"] == 1).all() and (node.params["beta"] == 0).all()]
        assert len(plain) == len(norms) - ("decoder.mask_norm" in before), "no linear layer follows the mask norm"
        for name, value in before.items():
            if name not in plain and not name.endswith("tokens") and name != "labels":
                np.testing.assert_allclose(after[name], value, atol=1e-10, err_msg=name)


def test_folding_leaves_one_multiplier_per_norm() -> None:
    graph = quantized(recipe=Recipe(fold_norm=True, equalize=0.0))
    for node in graph.nodes:
        if node.op == "layernorm" and node.name != "decoder.mask_norm":
            assert np.ndim(graph.by_name[f"{node.name}.requant"].params["m"]) == 0
            assert not np.asarray(node.params["bias"]).any()
    picture = random_picture(TINY, 4)
    real = segmenter(SegmenterConfig.of(TINY), random_weights(TINY, 3)).run(picture)
    assert (intsim.run(graph, picture) == real).mean() > 0.9


def test_a_gamma_of_zero_is_folded_away() -> None:
    gamma = np.ones(32)
    gamma[5] = 0
    zero = {"encoder__blocks__0__norm1__weight": gamma}
    with pytest.raises(IntsimError, match=r"norm1: gamma of channel 5 is 0.*fold the norm into the next linear layer"):
        quantized(**zero)
    quantized(recipe=Recipe(fold_norm=True), **zero)
    tiny = {"encoder__blocks__0__norm1__weight": np.where(gamma == 0, 1e-12, 1.0)}
    with pytest.raises(IntsimError, match=r"norm1: beta / gamma of channel 5 is .* outside i32"):
        quantized(**tiny)
    quantized(recipe=Recipe(fold_norm=True), **tiny)


@pytest.mark.parametrize("size", [0.0, 1e-40, 1e-12, 1e-6])
def test_a_dead_channel_keeps_its_bias(size: float) -> None:
    """Trained networks have channels with weights near 0 and a bias that is not."""
    weights = random_weights(TINY, 3)
    weight, bias = weights["encoder.blocks.0.mlp.fc1.weight"], weights["encoder.blocks.0.mlp.fc1.bias"]
    weight[7] *= size
    bias[7] = -0.7
    graph = quantized(encoder__blocks__0__mlp__fc1__weight=weight, encoder__blocks__0__mlp__fc1__bias=bias)
    seen: dict[str, NDArray] = {}
    intsim.run(graph, random_picture(TINY, 5), seen.__setitem__)
    name = "encoder.blocks.0.mlp.fc1.requant"
    np.testing.assert_allclose(seen[name][:, 7] * graph.scales[name], -0.7, atol=graph.scales[name])  # type: ignore[arg-type]
    others = np.delete(np.asarray(graph.by_name["encoder.blocks.0.mlp.fc1"].params["weight"]), 7, 0)
    assert (np.abs(others.astype(int)).max(axis=1) == 127).all()


def test_a_small_gamma_is_refused_with_advice() -> None:
    for gamma in (1e-12, 1e-9):
        with pytest.raises(IntsimError, match=r"^encoder\.norm: .*fold the norm into"):
            quantized(encoder__norm__weight=np.where(np.arange(32) == 3, gamma, 1.0))
    with pytest.raises(IntsimError, match=r"^encoder\.norm: channel 3: dyadic: .*too far apart; fold the norm"):
        quantized(encoder__norm__weight=np.where(np.arange(32) == 3, 1e-12, 1.0), encoder__norm__bias=np.zeros(32))


# --- the class norm ----------------------------------------------------------------------------------------------------


def test_the_patch_norm_cancels_in_the_mask_norm() -> None:
    """Exactly, without the layer norm's epsilon, which integers do not have."""
    rng = np.random.default_rng(0)
    masks, norms = rng.standard_normal((50, 7)), rng.uniform(0.1, 30, (50, 1))

    def layernorm(x: NDArray) -> NDArray:
        centred = x - x.mean(axis=-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True))

    np.testing.assert_allclose(layernorm(masks / norms), layernorm(masks), atol=1e-12)


def test_the_gain_of_a_class_is_its_mean_inverse_norm() -> None:
    net = segmenter(SegmenterConfig.of(L2), random_weights(L2, 3))
    pictures = [random_picture(L2, seed) for seed in (4, 5, 6)]
    norms = [np.linalg.norm(values_of(net, p)["decoder.proj_classes"], axis=-1) for p in pictures]
    np.testing.assert_allclose(class_gain(net, pictures), np.mean([1 / n for n in norms], axis=0), rtol=1e-12)


def test_the_class_norm_is_in_the_multipliers() -> None:
    """Of the masks' requantization: m * 2**-e of each class against that of class 0 is the ratio of their gains."""
    weights = random_weights(L2, 3)
    gain = class_gain(segmenter(SegmenterConfig.of(L2), weights), [random_picture(L2, 4)])
    for recipe in (None, Recipe(class_norm="calibrated")):
        requant = quantized(L2, recipe).by_name["decoder.masks.requant"]
        factor = np.asarray(requant.params["m"]) * 2.0 ** -np.asarray(requant.params["e"])
        np.testing.assert_allclose(factor / factor[0], gain / gain[0], rtol=1e-6)
    without = quantized(L2, Recipe(class_norm="none"))
    assert without.content_hash == quantized(TINY).content_hash
    assert np.ndim(without.by_name["decoder.masks.requant"].params["m"]) == 0


def test_a_class_norm_is_the_same_in_both_implementations() -> None:
    graph, picture = quantized(L2), random_picture(L2, 9)
    np.testing.assert_array_equal(intsim.run(graph, picture), intsim.run(graph, picture, face="ref"))


def test_the_class_gain_approximates_the_published_network() -> None:
    """With long class features, the layer norm of the masks is that of the published network."""
    weights = random_weights(L2, 3)
    weights["decoder.cls_emb"] = weights["decoder.cls_emb"] * 30
    picture = random_picture(L2, 4)
    published = segmenter(SegmenterConfig.of(L2), weights)
    gain = class_gain(published, [picture])
    held = segmenter(SegmenterConfig.of(L2), weights, class_gain=gain)
    np.testing.assert_allclose(
        values_of(held, picture)["decoder.mask_norm"], values_of(published, picture)["decoder.mask_norm"], atol=1e-2
    )


def test_there_must_be_a_class_norm_to_calibrate() -> None:
    for config in (TINY, L2 | {"decoder": {"name": "linear"}}):
        with pytest.raises(IntsimError, match="class norm: this network has none"):
            quantized(config, Recipe(class_norm="calibrated"))
    quantized(L2 | {"decoder": {"name": "linear"}})


# --- provenance and refused options ------------------------------------------------------------------------------------


def test_a_model_records_its_recipe() -> None:
    assert quantized().provenance["recipe"] == Recipe().record()
    recipe = Recipe(
        Observer("mse"), {"*.qkv": Observer("percentile", 99)}, {"residual": 8}, lam=50, fold_norm=True, gelu="published"
    )
    assert quantized(recipe=recipe).provenance["recipe"] == {
        "observer": "mse",
        "observers": {"*.qkv": "percentile:99"},
        "widths": {"weight": 8, "activation": 8, "logits": 16, "residual": 8, "masks": 16},
        "logits_range": "softmax",
        "logits_scale": "tensor",
        "gelu": "published",
        "correct_bias": True,
        "equalize": 0.5,
        "lam": 50,
        "class_norm": None,
        "fold_norm": True,
    }


BAD = {
    "--observer max": "observer 'max' is not one of minmax, mse, or percentile:P",
    "--observer percentile:101": "observer 'percentile:101' is not one of",
    "--observer percentile:": "observer 'percentile:' is not one of",
    "--observer '*.nothing=mse'": "observer for '*.nothing': no node has a matching name; 'intsim inspect'",
    "--bits residual": "width 'residual': expected KIND=BITS, as in residual=8",
    "--bits residual=x": "expected KIND=BITS",
    "--bits weights=8": "no kind of tensor 'weights'; the kinds are weight, activation, logits, residual, masks",
    "--bits activation=9": "activation tensors have 2 to 8 bits, not 9",
    "--bits weight=1": "weight tensors have 2 to 8 bits, not 1",
    "--bits residual=17": "residual tensors have 2 to 16 bits, not 17",
    "--lam 0": "lam is search, off, or a whole number from 1 to 128, not 0",
    "--lam 129": "lam is search, off, or a whole number from 1 to 128, not 129",
    "--lam on": "lam is search, off, or a whole number from 1 to 128, not 'on'",
    "--lam 40 --dialect ivit": "lam 40: the GELU of dialect ivit, shiftgelu, has no clamp",
    "--class-norm calibrated": "class norm: this network has none to calibrate",
    "--class-norm maybe": "'maybe' is not one of 'calibrated', 'none'",
    "--size 40": "picture.png: is 40 x 24 pixels; this model takes 40 x 40",
    "--size 40y24": "--size '40y24': WIDTHxHEIGHT is expected, as in 640x480",
    "--size 0x24": "--size '0x24': WIDTHxHEIGHT is expected",
    "--report r.txt": "r.txt: a report is written as .html, .svg, .json",
    "--report q.h5": "q.h5: a report is written as",
    "--report no/r.html": "no/r.html: its folder no does not exist",
    "--report-on picture.png": "--report-on goes with --report",
    "--report r.html --report-on nothing.png": "nothing.png: no such file",
}


@pytest.mark.parametrize(("options", "words"), BAD.items(), ids=BAD)
def test_bad_options(options: str, words: str, cli: Cli) -> None:
    write_checkpoint()
    before = sorted(path.name for path in Path().iterdir())
    code, out, err = cli(f"quantize c.safetensors --config c.json --calibrate picture.png {options} -o q.h5")
    assert (code, out) == (2, ""), err
    assert words in err
    assert len(err.splitlines()) == 1
    assert sorted(path.name for path in Path().iterdir()) == before


def test_inputs_are_never_overwritten(cli: Cli) -> None:
    """Checkpoint, pictures, and the configuration, named or found next to the checkpoint."""
    write_checkpoint()
    before = {path.name: path.read_bytes() for path in Path().iterdir()}
    for target in ("c.safetensors", "c.json", "picture.png"):
        for line in (f"-o {target}", f"-o {target} --config c.json"):
            code, _, err = cli(f"quantize c.safetensors --calibrate picture.png {line}")
            assert (code, err) == (2, f"intsim: {target}: is an input of this command; write to another file\n")
    assert {path.name: path.read_bytes() for path in Path().iterdir()} == before


def test_model_and_report_are_both_written_or_neither(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    write_checkpoint()
    free = SimpleNamespace(free=1000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: free)
    code, out, err = cli("quantize c.safetensors --calibrate picture.png --report r.html -o q.h5")
    assert (code, out) == (2, "")
    assert "q.h5: needs at least" in err
    assert "bytes, but only 1,000 are free; nothing was changed" in err
    assert not Path("q.h5").exists()
    assert not Path("r.html").exists()
    free.free = 10**12
    assert cli("quantize c.safetensors --calibrate picture.png --report r.html -o q.h5")[0] == 0


# --- sensitivity -------------------------------------------------------------------------------------------------------


def decibels(real: NDArray, integers: NDArray, scale: Any) -> float:
    return 10 * math.log10((real**2).sum() / ((real - integers * scale) ** 2).sum())


def test_sensitivity_against_observed_tensors() -> None:
    """Running ratios from two ordinary runs; the noise of one operator from that operator alone."""
    weights, pictures = random_weights(TINY, 3), [random_picture(TINY, 4), random_picture(TINY, 5)]
    recipe = Recipe(Observer("percentile", 99.0))
    net = integer_form(weights, TINY, pictures[:1], recipe)
    graph = lowered(net, calibrated(net, pictures[:1], dialects.RTL, recipe), dialects.RTL, TINY, pictures[:1], "x")
    table = {noise.name: noise for noise in sensitivity(net, graph, pictures)}
    moved = {op.approximates for op in intsim.ops.REGISTRY.values() if op.moves} | {"argmax", "input"}
    assert list(table) == [node.name for node in net.nodes if node.op not in moved]
    reals = [values_of(net, picture) for picture in pictures]
    seen: list[dict[str, NDArray]] = [{}, {}]
    for values, picture in zip(seen, pictures, strict=True):
        intsim.run(graph, picture, values.__setitem__)
    for name, noise in table.items():
        end = f"{name}.requant" if f"{name}.requant" in graph.by_name else name
        real = np.stack([values[name] for values in reals])
        integers = np.stack([values[end] for values in seen]).astype(np.float64)
        if noise.sqnr is not None:
            assert noise.sqnr == pytest.approx(decibels(real, integers, graph.scales[end]), abs=1e-6), name
        limit = (graph.tensors[end].fmt.hi + 0.5) * graph.scales[end]  # type: ignore[operator]
        low = (graph.tensors[end].fmt.lo - 0.5) * graph.scales[end]  # type: ignore[operator]
        assert noise.clipped == pytest.approx(((real > limit) | (real < low)).mean())
    add = "encoder.blocks.0.residual1"
    node = graph.by_name[add]
    arms = []
    for name, source in zip(net_inputs(net, add), node.inputs, strict=True):
        real, scale, fmt = np.stack([v[name] for v in reals]), graph.scales[source], graph.tensors[source].fmt
        arms.append(np.clip(np.rint(real / scale), fmt.lo, fmt.hi).astype(int))
    out = intsim.ops.residual_add(*arms, **node.params, dialect=dialects.RTL)
    expected = decibels(np.stack([v[add] for v in reals]), out.astype(np.float64), graph.scales[add])
    assert table[add].own == pytest.approx(expected, abs=1e-6)
    assert table[add].own > table[add].sqnr  # type: ignore[operator]


def test_sensitivity_shows_the_effect_of_the_class_norm() -> None:
    """Without it the masks' norm differs from the trained network's, although each operation is as exact as with it."""
    weights, picture = random_weights(L2, 3), random_picture(L2, 4)
    weights["decoder.proj_classes"] *= np.exp(2 * np.random.default_rng(0).standard_normal(32))
    found = {}
    for norm in ("calibrated", "none"):
        recipe = Recipe(class_norm=norm)
        net = integer_form(weights, L2, [picture], recipe)
        graph = lowered(net, calibrated(net, [picture], dialects.RTL, recipe), dialects.RTL, L2, [picture], "x")
        table = {n.name: n for n in sensitivity(net, graph, [picture], segmenter(SegmenterConfig.of(L2), weights))}
        assert "decoder.cosines" not in table
        found[norm] = table["decoder.mask_norm"]
        published = values_of(segmenter(SegmenterConfig.of(L2), weights), picture)["decoder.mask_norm"]
        seen: dict[str, NDArray] = {}
        intsim.run(graph, picture, seen.__setitem__)
        expected = decibels(
            published, seen["decoder.mask_norm.requant"].astype(float), graph.scales["decoder.mask_norm.requant"]
        )
        assert found[norm].sqnr == pytest.approx(expected, abs=1e-6)
    assert found["calibrated"].sqnr > found["none"].sqnr  # type: ignore[operator]
    assert abs(found["calibrated"].own - found["none"].own) < 6  # type: ignore[operator]


def test_agreement_is_with_the_network_as_it_was_trained() -> None:
    weights, picture = random_weights(L2, 3), random_picture(L2, 4)
    weights["decoder.proj_classes"] *= np.exp(3 * np.random.default_rng(0).standard_normal(32))
    recipe = Recipe(class_norm="none")
    net, trained = integer_form(weights, L2, [picture], recipe), segmenter(SegmenterConfig.of(L2), weights)
    statistics = calibrated(net, [picture], dialects.RTL, recipe)
    graph = lowered(net, statistics, dialects.RTL, L2, [picture], "x")
    labels = intsim.run(graph, picture)
    assert agreement(trained, statistics, graph, [picture]) == (labels == trained.run(picture)).mean()
    assert agreement(net, statistics, graph, [picture]) == (labels == net.run(picture)).mean()
    assert (trained.run(picture) != net.run(picture)).any(), "the class norm must matter here"


def net_inputs(net: RealGraph, name: str) -> tuple[str, ...]:
    found: RealNode = next(node for node in net.nodes if node.name == name)
    return found.inputs


def test_a_report_next_to_the_model(cli: Cli) -> None:
    write_checkpoint()
    assert cli("quantize c.safetensors --calibrate picture.png --report -o q.h5")[0] == 0
    assert "Sensitivity of each layer" in Path("q_report.html").read_text()


@pytest.mark.parametrize("suffix", ["html", "svg", "json"])
def test_reports(suffix: str, cli: Cli) -> None:
    write_checkpoint()
    line = f"quantize c.safetensors --calibrate picture.png --observer percentile:99 -o q.h5 --report r.{suffix}"
    code, out, err = cli(line)
    assert code == 0, err
    assert f"report: r.{suffix}; " in out
    lowest = [float(line.split()[0]) for line in out.splitlines() if " dB  " in line]
    assert len(lowest) == 5
    assert lowest == sorted(lowest)
    assert "labels as in the float network on " in out
    text = Path(f"r.{suffix}").read_text()
    for name in ("encoder.blocks.1.attn.softmax", "decoder.mask_norm"):
        assert name in text
    if suffix == "json":
        record = json.loads(text)
        assert lowest[0] == round(min(t["own_sqnr_db"] for t in record["tensors"] if t["own_sqnr_db"] is not None), 1)
        assert record["model_sha256"] == intsim.load("q.h5").content_hash
        assert {"name", "op", "format", "sqnr_db", "own_sqnr_db", "clipped"} == record["tensors"][0].keys()
    again = Path(f"r.{suffix}").read_bytes()
    cli(line)
    assert Path(f"r.{suffix}").read_bytes() == again, "the same command gives the same report"
