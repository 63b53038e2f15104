"""What the default recipe adds to the published one: each choice has the stated effect, and real statistics need them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import save_file

import intsim
from intsim import dialects, ops
from intsim.arith import I8, I16
from intsim.engine.graph import Graph
from intsim.engine.interpreter import run
from intsim.errors import FileError, IntsimError
from intsim.kernels.logits import bytes_of_rows
from intsim.nets.networks import built
from intsim.quantization import Recipe, calibrated, integer_form, quantize_weights
from intsim.quantization.equalization import equalized
from intsim.quantization.fitting import GeluInputs
from intsim.quantization.observers import channel_ranges
from intsim.quantization.recipe import PUBLISHED, RECIPES, Observer, choices_of, from_table
from intsim.quantization.recipe_file import recipe_named
from intsim.quantization.sensitivity import Noise, sensitivity
from intsim.quantization.softmax_range import SoftmaxInputs, softmax_scale, steps_in_one
from intsim.quantization.synth import random_picture, random_weights
from intsim.quantization.trials import Judge, Trial, bought, mirrored, number_of_trials, reversions, search

from checking import searching
from networks import TINY, TINY_DEIT, TINY_SWIN

Cli = Callable[..., tuple[int, str, str]]
REAL = json.loads((Path(__file__).parent / "data" / "real_statistics.json").read_text())
NETWORKS = {"segmenter": TINY, "l2": TINY | {"l2_norm": True}, "deit": TINY_DEIT, "swin": TINY_SWIN}


def made(config: dict[str, Any], recipe: Recipe | None = None, dialect: str = "isegmenter", seed: int = 3) -> Graph:
    """A random network quantized by a recipe."""
    weights, picture = random_weights(config, seed), random_picture(config, 4)
    return quantize_weights(weights, config, [picture], dialects.DIALECTS[dialect], "random", recipe)


# --- logits -----------------------------------------------------------------------------------------------------------


@searching
@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=80), st.integers(-300, 300))
def test_bytes_of_a_row_keep_differences_up_to_255(values: list[int], near: int) -> None:
    """Of i16, and of i16 close together."""
    for row in (np.array(values), np.array(values) % 600 + near):
        x = row.astype(np.int16)[None]
        out = np.empty(x.shape, np.int8)
        bytes_of_rows(x, 1, x.shape[1], out)
        assert (127 - out.astype(int) == np.minimum(row.max() - row, 255)).all()


@pytest.mark.parametrize("dialect", dialects.DIALECTS)
@pytest.mark.parametrize("op", ["shiftmax", "masked_shiftmax"])
@pytest.mark.parametrize(("x0", "n"), [(-24, 15), (-25, 15), (-107, 13), (-1, 1), (-3, 12), (-20000, 0)])
def test_wide_logits_by_every_way(dialect: str, op: str, x0: int, n: int) -> None:
    """The fast implementation equals the reference, and bytes give what the same numbers as i16 give."""
    draw = np.random.default_rng(-x0)
    regions = draw.integers(0, 2, (3, 130)).astype(np.int8)
    regions[0] = 4
    for reach in (32768, 600, 128):
        x = draw.integers(-reach, reach, (3, 2, 130, 130)).astype(np.int16)
        arguments = (x, regions) if op == "masked_shiftmax" else (x,)
        operator = getattr(ops, op)
        try:
            expected = operator.ref(*arguments, x0=x0, n=n, b=16, dialect=dialect)
        except ValueError as error:
            with pytest.raises(ValueError, match=str(error)[:20].replace("(", r"\(")):
                operator(*arguments, x0=x0, n=n, b=16, dialect=dialect)
            continue
        assert (operator(*arguments, x0=x0, n=n, b=16, dialect=dialect) == expected).all()
        if reach == 128:
            narrow = (x.astype(np.int8), *arguments[1:])
            assert (operator(*narrow, x0=x0, n=n, b=16, dialect=dialect) == expected).all()


@pytest.mark.parametrize("dialect", dialects.DIALECTS)
def test_the_scale_of_wide_logits(dialect: str) -> None:
    """The finest at which the exponential is at its floor 255 below the maximum, or a coarser one that the range needs."""
    rules = dialects.DIALECTS[dialect]
    for tokens in (1, 197, 1025, 4097):
        steps = steps_in_one(tokens, rules)

        def falls(scale: float, tokens: int = tokens) -> bool:
            params = dialects.softmax_parameters(scale, tokens, rules)
            e = ops.shift_exp.ref([-255, -256, -32768], x0=params["x0"], n=params["n"], dialect=rules)
            return len(set(e.tolist())) == 1

        assert falls(1 / steps)
        assert not falls(1 / (steps + 1)) or steps == 255
        assert softmax_scale(10.0, I16, tokens, rules) == 1 / steps
        assert softmax_scale(1e6, I16, tokens, rules) == 1e6 / 32767
    assert steps_in_one(1025, dialects.ISEGMENTER) == 24


def test_the_scale_of_narrow_logits_is_the_best_that_is_tried() -> None:
    draw = np.random.default_rng(0)
    x = draw.standard_normal((2, 40, 33)) * 12
    inputs = SoftmaxInputs(float(np.abs(x).max()), I8, 33, dialects.ISEGMENTER)
    inputs.add(x)
    exact = np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)

    def error(scale: float) -> float:
        q = np.clip(np.rint(x / scale), -128, 127).astype(int)
        p = ops.shiftmax.ref(q, **dialects.softmax_parameters(scale, 33, dialects.ISEGMENTER), dialect="isegmenter") / 2**15
        return float(((p - exact) ** 2).sum())

    best = inputs.best()
    assert error(best) == pytest.approx(inputs.errors[best])
    assert error(best) <= min(error(1 / k) for k in range(1, 25)) + 1e-12
    assert error(best) < error(1 / 24), "nothing is clipped, so that the range is no matter"


@pytest.mark.parametrize("config", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("bits", [8, 16])
def test_fused_attention_with_logits_of_either_width(config: dict[str, Any], bits: int) -> None:
    """Attention computed together is what the operators give one by one."""
    graph = made(config, Recipe(widths={"logits": bits}))
    picture = random_picture(config, 9)
    softmaxes = [node for node in graph.nodes if "shiftmax" in node.op]
    assert {graph.tensors[node.inputs[0]].fmt.bits for node in softmaxes} == {bits}
    assert (run(graph, picture) == run(graph, picture, face="ref")).all()


@pytest.mark.parametrize("config", NETWORKS.values(), ids=NETWORKS)
def test_attention_by_heads_is_the_same_network(config: dict[str, Any]) -> None:
    """In real numbers, and in integers where all heads have one scale; with 8 bits each has a scale and an x0 of its own."""
    weights, picture = random_weights(config, 3), random_picture(config, 4)
    whole = integer_form(weights, config, [picture], Recipe())
    split = integer_form(weights, config, [picture], Recipe(logits_scale="head"))
    joined = {node.name for node in whole.nodes if node.name.endswith(".context")}
    for name, value in whole.tensors(picture, joined).items():
        np.testing.assert_allclose(split.tensors(picture, [name])[name], value, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(split.run(picture), whole.run(picture))

    one_scale = Recipe()  # of 16-bit logits: what softmax needs, whatever the head
    by_heads = made(config, one_scale.replaced(logits_scale="head"))
    other = random_picture(config, 9)
    for face in ("fast", "ref"):
        if config is not TINY_SWIN:  # before their bias is added, its logits have scales by their range
            assert (run(by_heads, other, face=face) == run(made(config, one_scale), other)).all()

    narrow = made(config, Recipe(widths={"logits": 8}, logits_scale="head"))
    assert (run(narrow, other) == run(narrow, other, face="ref")).all()
    softmaxes = [node for node in narrow.nodes if "shiftmax" in node.op]
    assert len(softmaxes) == sum(shape[-3] for name, shape in whole.shapes().items() if name.endswith(".softmax"))
    assert len({node.params["x0"] for node in softmaxes}) > 1


# --- GELU -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["isegmenter", "ivit"])
@pytest.mark.parametrize("scale", [0.011, 0.05, 0.132, 0.6])
def test_a_fitted_gelu_is_never_worse_than_the_published_one(dialect: str, scale: float) -> None:
    """Its squared error, computed anew, at most that of the published slope; its gain is the best."""
    rules, draw = dialects.DIALECTS[dialect], np.random.default_rng(5)
    x = np.clip(draw.standard_normal((200, 64)) * 22, -128, 127).round() * scale
    exact = np.asarray(ops.REGISTRY["shiftgelu"].real(x))
    inputs = GeluInputs(scale)
    inputs.add(x, exact)

    def error(recipe: Recipe, gain: float | None = None) -> float:
        gelu = inputs.best(rules, recipe)
        q = np.rint(x / scale).astype(int)
        out = getattr(ops, str(rules.gelu)).ref(q, **gelu.params, dialect=dialect) * scale * 2.0 ** -(gelu.params["b"] - 1)
        return float(((out * (gelu.gain if gain is None else gain) - exact) ** 2).sum())

    fitted, published = error(Recipe()), error(Recipe(gelu="published"))
    assert fitted <= published
    assert fitted <= min(error(Recipe(), inputs.best(rules, Recipe()).gain * by) for by in (0.995, 1.005))
    assert inputs.best(rules, Recipe(gelu="published", lam="off")).params == {
        **dialects.gelu_parameters(scale, rules),
        **({"lam": 128} if dialect == "isegmenter" else {}),
    }
    assert inputs.best(rules, Recipe(gelu="published")).gain == 1.0


# --- biases, channels, weights ------------------------------------------------------------------------------------------


def accumulators(graph: Graph, net: Any, picture: NDArray) -> dict[str, tuple[NDArray, NDArray]]:
    """Of every linear layer, the accumulators as the graph runs and the real values."""
    linears = [node.name for node in net.nodes if node.op == "linear"]
    seen: dict[str, NDArray] = {}
    run(graph, picture, seen.__setitem__, nodes=linears)
    real = net.tensors(picture, linears)
    return {name: (seen[name] * np.asarray(graph.scales[name]), real[name]) for name in linears}


LARGER = {
    "segmenter": TINY | {"image_size": [48, 64]},
    "l2": TINY | {"image_size": [48, 64], "l2_norm": True},
    "deit": TINY_DEIT | {"img_size": [64, 48]},
    "swin": TINY_SWIN,
}


@pytest.mark.parametrize("config", LARGER.values(), ids=LARGER)
def test_corrected_biases_give_every_channel_its_mean(config: dict[str, Any]) -> None:
    """On the calibration picture the mean error of a channel is at most half a step; where few rows are seen, it is left."""
    weights, picture = random_weights(config, 3), random_picture(config, 4)
    for recipe, exact in ((Recipe(), True), (Recipe(correct_bias=False), False)):
        graph = quantize_weights(weights, config, [picture], dialects.ISEGMENTER, "random", recipe)
        net = integer_form(weights, config, [picture], recipe)
        worst = 0.0
        for name, (found, real) in accumulators(graph, net, picture).items():
            rows = real.reshape(-1, real.shape[-1]).shape[0]
            if rows < 32:
                continue
            error = (found - real).reshape(rows, -1).mean(axis=0) / np.asarray(graph.scales[name])
            worst = max(worst, float(np.abs(error).max()))
        assert (worst <= 0.5 + 1e-6) == exact


@pytest.mark.parametrize("config", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_equalizing_changes_nothing_in_real_numbers(config: dict[str, Any], strength: float) -> None:
    """The output is the same; the channels behind layer norms are more alike."""
    weights, picture = random_weights(config, 3), random_picture(config, 4)
    net = integer_form(weights, config, [picture], PUBLISHED)
    equal = equalized(net, [picture], strength)
    norms = [node.name for node in net.nodes if node.name.endswith("norm1")]
    last = net.nodes[-1].name if net.classifies else "decoder.grid"
    before, after = (graph.tensors(picture, [last, *norms]) for graph in (net, equal))
    assert np.abs(before[last] - after[last]).max() < 1e-9 * max(1, np.abs(before[last]).max())

    def spread(x: NDArray) -> float:
        largest = np.abs(x).reshape(-1, x.shape[-1]).max(axis=0)
        return float(np.log(largest).std())

    assert all(spread(after[name]) < spread(before[name]) + 1e-9 for name in norms) or strength < 1
    assert any(not np.array_equal(before[name], after[name]) for name in norms)


@pytest.mark.parametrize("observer", ["mse", "percentile:90", "minmax"])
def test_ranges_of_weights_by_channel(observer: str) -> None:
    weight = np.random.default_rng(1).standard_t(3, (9, 200))
    weight[4] = 0
    found = channel_ranges(weight, Observer.of(observer), 127)
    assert found.shape == (9,)
    assert found[4] == 0
    largest = np.abs(weight).max(axis=1)
    assert (found <= largest).all()
    for row, clip in zip(np.delete(weight, 4, 0), np.delete(found, 4), strict=True):
        if observer == "minmax":
            assert clip == np.abs(row).max()
        elif observer == "mse":
            errors = [
                ((np.clip(np.rint(row / s), -127, 127) * s - row) ** 2).sum() for s in (clip / 127, np.abs(row).max() / 127)
            ]
            assert errors[0] <= errors[1]
        else:
            assert np.mean(np.abs(row) <= clip) >= 0.9


# --- recipes ------------------------------------------------------------------------------------------------------------


def test_a_recipe_survives_its_record() -> None:
    recipe = Recipe(
        Observer.of("mse"), {"weight": Observer.of("percentile:99.9")}, {"residual": 12}, equalize=0.25, gelu="published"
    )
    assert from_table(json.loads(json.dumps(recipe.record()))) == recipe
    assert from_table({}) == Recipe()
    assert made(TINY, recipe).provenance["recipe"] == recipe.record()
    assert PUBLISHED.departures() == {
        "widths": {"weight": 8, "activation": 8, "logits": 8, "residual": 16, "masks": 16},
        "logits_range": "observed",
        "gelu": "published",
        "correct_bias": False,
        "equalize": 0.0,
    }


def test_recipes_by_name_file_and_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert recipe_named("published") is RECIPES["published"]
    Path("r.toml").write_text('gelu = "published"\n[widths]\nlogits = 8\n')
    Path("r.json").write_text('{"gelu": "published", "widths": {"logits": 8}}')
    expected = Recipe(gelu="published", widths={"logits": 8})
    assert recipe_named("r.toml") == recipe_named("r.json") == expected
    intsim.save(made(TINY, expected), "m.h5")
    assert recipe_named("m.h5") == expected


WRONG = {
    "nothing": "is not one of default, published, nor a .toml, .json or .h5 file",
    "missing.toml": "missing.toml: no such file",
    "bad.toml": "bad.toml: not a TOML file",
    "list.json": "list.json: expected a table of choices",
    "key.toml": "key.toml: recipe: unknown key 'gelus'; the keys are observer",
    "value.toml": "value.toml: gelu is fitted or published, not 7",
    "strength.toml": "strength.toml: equalize is a number from 0 (off) to 1, not 2",
    "widths.toml": "widths.toml: recipe: widths is a table, not 8",
    "bits.toml": "bits.toml: logits tensors have 2 to 16 bits, not True",
    "observer.toml": "observer.toml: recipe: observer is text, not 3",
}
CONTENT = {
    "bad.toml": "gelu = =",
    "list.json": "[]",
    "key.toml": 'gelus = "fitted"',
    "value.toml": "gelu = 7",
    "strength.toml": "equalize = 2",
    "widths.toml": "widths = 8",
    "bits.toml": "[widths]\nlogits = true",
    "observer.toml": "observer = 3",
}


@pytest.mark.parametrize("name", WRONG)
def test_recipes_that_are_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if name in CONTENT:
        Path(name).write_text(CONTENT[name])
    with pytest.raises((FileError, IntsimError)) as caught:
        recipe_named(name)
    assert WRONG[name] in str(caught.value)


def test_choices_on_the_command_line() -> None:
    assert choices_of(["correct_bias=false", "equalize=0.3", "gelu=published", "lam=64"]) == {
        "correct_bias": False,
        "equalize": 0.3,
        "gelu": "published",
        "lam": 64,
    }
    assert choices_of(["correct_bias=False"]) == {"correct_bias": False}
    for text in ("gelu", "=1", "other=2"):
        with pytest.raises(IntsimError, match="the keys are"):
            choices_of([text])
    with pytest.raises(IntsimError, match="widths are chosen apart, as KIND=BITS"):
        choices_of(["widths=8"])


# --- what choices buy -----------------------------------------------------------------------------------------------------


def test_what_each_choice_buys() -> None:
    """One row for the recipe, one for each choice taken back, one for the published recipe."""
    weights, picture = random_weights(TINY, 3), random_picture(TINY, 4)
    recipe = Recipe(observers={"weight": Observer.of("mse")})

    def build(recipe: Recipe) -> Graph:
        return quantize_weights(weights, TINY, [picture], dialects.ISEGMENTER, "random", recipe)

    trials = bought(Judge(weights, TINY, [picture]), build, recipe, build(recipe))
    names = ["logits", "gelu", "correct_bias", "equalize", "observer of weight"]
    assert [trial.choice for trial in trials] == ["this recipe", *(f"without {n}" for n in names), "published recipe"]
    assert trials[-1].recipe == PUBLISHED
    assert all(trial.sqnr is not None and 0 <= trial.agreement <= 1 for trial in trials)
    assert reversions(PUBLISHED) == {}


def test_a_choice_that_a_network_needs_does_not_stop_the_report() -> None:
    """A gamma of 0 has to be folded: the recipes that do not fold it are named as not possible."""
    weights, picture = random_weights(TINY, 3), random_picture(TINY, 4)
    weights["encoder.blocks.0.norm1.weight"] = np.where(np.arange(32) == 5, 0.0, 1.0)
    recipe = Recipe(fold_norm=True)

    def build(recipe: Recipe) -> Graph:
        return quantize_weights(weights, TINY, [picture], dialects.ISEGMENTER, "random", recipe)

    trials = bought(Judge(weights, TINY, [picture]), build, recipe, build(recipe))
    assert {t.choice for t in trials} >= {"without fold_norm: not possible", "published recipe: not possible"}


def test_judging_follows_its_definition() -> None:
    """The ratio of scores without their mean over classes, and the share of places with the same label."""
    weights, pictures = random_weights(TINY, 3), [random_picture(TINY, seed) for seed in (4, 5)]
    graph = made(TINY)
    trial = Judge(weights, TINY, pictures).trial("x", Recipe(), graph)
    signal = noise = same = 0.0
    for picture in pictures:
        exact = built(TINY, weights).tensors(picture, ["decoder.grid"])["decoder.grid"]
        seen: dict[str, NDArray] = {}
        run(graph, picture, seen.__setitem__, nodes=["decoder.grid"])
        found = seen["decoder.grid"] * graph.scales["decoder.grid"]
        a, b = (x - x.mean(axis=-1, keepdims=True) for x in (exact, found))
        signal, noise = signal + (a**2).sum(), noise + ((a - b) ** 2).sum()
        same += (a.argmax(-1) == b.argmax(-1)).mean() / 2
    assert trial.sqnr == pytest.approx(10 * np.log10(signal / noise))
    assert trial.agreement == pytest.approx(same)


@pytest.mark.parametrize("config", [TINY, TINY_DEIT], ids=["segmenter", "deit"])
def test_a_search_keeps_the_best_and_is_repeatable(config: dict[str, Any]) -> None:
    weights, picture = random_weights(config, 3), random_picture(config, 4)
    judge = Judge(weights, config, mirrored([picture]))

    def build(recipe: Recipe) -> Graph:
        return quantize_weights(weights, config, [picture], dialects.ISEGMENTER, "random", recipe)

    def found() -> list[Trial]:
        return search(judge, build, PUBLISHED, frozenset({"observer", "observers"}))

    first, second = found(), found()
    assert first == second
    assert first[0].quality == max(trial.quality for trial in first)
    assert len(first) <= number_of_trials(frozenset({"observer", "observers"}))
    assert all(trial.recipe.observers == {} for trial in first)
    assert [trial.choice for trial in search(judge, build, PUBLISHED, seconds=0)] == ["as given"]
    again = judge.trial("again", first[0].recipe, build(first[0].recipe))
    assert again.sqnr == first[0].sqnr


def test_search_and_report_on_the_command_line(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe that is found is stored in the model, and makes the same model again."""
    monkeypatch.chdir(tmp_path)
    save_file({name: value.astype(np.float32) for name, value in random_weights(TINY, 3).items()}, "c.safetensors")
    Path("c.json").write_text(json.dumps(TINY))
    np.save("p.npy", random_picture(TINY, 4))
    from PIL import Image

    Image.fromarray(random_picture(TINY, 4)).save("p.png")
    code, out, err = cli(
        "quantize c.safetensors --calibrate p.png --search 300 --choose gelu=published --report r.json -o m.h5"
    )
    assert (code, err) == (0, "")
    assert "searched " in out
    assert "published recipe" in out
    recipe = intsim.load("m.h5").provenance["recipe"]
    assert recipe["gelu"] == "published", "what was chosen is not searched"
    record = json.loads(Path("r.json").read_text())
    assert record["choices"][0]["choice"] == "this recipe"
    assert {"sqnr_db", "agreement"} <= record["choices"][0].keys()
    code, _, err = cli("quantize c.safetensors --calibrate p.png --recipe m.h5 -o n.h5")
    assert (code, err) == (0, "")
    assert intsim.load("n.h5").content_hash == intsim.load("m.h5").content_hash
    for words, message in {
        "--search 0": "--search takes a number of seconds above 0",
        "--search x": "--search takes a number of seconds above 0",
        "--recipe other": "recipe 'other' is not one of",
        "--choose gelu=sharp": "gelu is fitted or published, not sharp",
        "--choose equalise=1": "the keys are",
        "--choose observer=mse": "observer is chosen apart",
        "--choose widths=8": "widths are chosen apart, as KIND=BITS",
        "--lam off --choose lam=64": "lam is chosen twice",
        "--fold-norm --choose fold_norm=false": "fold_norm is chosen twice",
    }.items():
        code, out, err = cli(f"quantize c.safetensors --calibrate p.png {words} -o k.h5")
        assert code == 2
        assert message in err
        assert not Path("k.h5").exists()


# --- real statistics ----------------------------------------------------------------------------------------------------


def like_the_real_one(seed: int) -> tuple[dict[str, Any], dict[str, NDArray], NDArray]:
    """A small Segmenter with the spreads of a real encoder's first four blocks: heads whose logits differ by a factor of 40,
    channels behind layer norms with tails. Its configuration, weights and a picture.
    """
    config = TINY | {"image_size": [96, 96], "d_model": 96, "n_heads": 6, "n_layers": 4, "decoder": "linear"}
    weights, picture = random_weights(config, seed), random_picture(config, seed)
    draw = np.random.default_rng(seed)
    for i, block in enumerate(REAL["blocks"][:4]):
        name = f"encoder.blocks.{i}"
        for norm in ("norm1", "norm2"):
            spread = np.interp(draw.random(96), [0, 0.25, 0.5, 0.75, 1], block[norm])
            spread[0] = block[norm][-1]
            weights[f"{name}.{norm}.weight"] = spread / 3
        for layer, wanted in ((f"{name}.mlp.fc1", block["fc1"][-1]), (f"{name}.attn.logits", None)):
            net = built(config, weights)
            found = np.abs(net.tensors(picture, [layer])[layer])
            if wanted is not None:
                for part in ("weight", "bias"):
                    weights[f"{layer}.{part}"] = weights[f"{layer}.{part}"] * (wanted / found.max())
            else:
                by = np.sqrt(np.array(block["logits"]) / found.max(axis=(1, 2))).repeat(16)
                for part in ("weight", "bias"):
                    qkv = weights[f"{name}.attn.qkv.{part}"].copy()
                    scale = np.concatenate([by, by, np.ones(96)])
                    weights[f"{name}.attn.qkv.{part}"] = (qkv.T * scale).T
    return config, weights, picture


@pytest.mark.parametrize("seed", [0, 1])
def test_real_statistics_need_the_choices(seed: int) -> None:
    """Heads and channels as unequal as in a real encoder: the noise that each layer adds by itself, on another picture."""
    config, weights, picture = like_the_real_one(seed)

    measured: list[tuple[Recipe, list[Noise]]] = []

    def own(recipe: Recipe, part: str) -> NDArray:
        """The ratios in decibels of one kind of tensor, by block."""
        noise = next((noise for known, noise in measured if known == recipe), None)
        if noise is None:
            graph = quantize_weights(weights, config, [picture], dialects.ISEGMENTER, "random", recipe)
            net = integer_form(weights, config, [picture], recipe)
            noise = sensitivity(net, graph, [random_picture(config, seed + 50)])
            measured.append((recipe, noise))
        return np.array([n.own for n in noise if n.name.startswith("encoder.blocks") and n.name.endswith(part)])

    default, narrow = Recipe(), Recipe(widths={"logits": 8}, logits_range="observed")
    assert own(default, "attn.softmax").min() > 30
    assert own(narrow, "attn.softmax").max() < 20, "one scale of 8 bits for all heads"
    by_heads = own(narrow.replaced(logits_scale="head", logits_range="softmax"), "softmax").reshape(4, 6)
    pooled = -10 * np.log10(np.mean(10 ** (-by_heads / 10), axis=1))
    assert pooled[3] > own(narrow.replaced(logits_range="softmax"), "attn.softmax")[3] + 6, "8 bits for each head"
    assert (own(default, "mlp.act") > own(default.replaced(gelu="published"), "mlp.act") + 0.5).all()
    assert own(default, "attn.qkv").mean() > own(default.replaced(equalize=0.0), "attn.qkv").mean() + 1


def test_calibration_of_fitted_networks_is_deterministic() -> None:
    net = integer_form(random_weights(TINY, 3), TINY, [random_picture(TINY, 4)], Recipe())
    first, second = (calibrated(net, [random_picture(TINY, 4)], dialects.RTL, Recipe()) for _ in range(2))
    assert (first.gelus, first.scales, first.largest) == (second.gelus, second.scales, second.largest)
