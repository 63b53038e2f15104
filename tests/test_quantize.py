"""Quantization: the integer network approximates the real one, and calibration chooses what it documents."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import intsim
from intsim import dialects, ops
from intsim.engine.graph import Graph
from intsim.nets.segmenter import SegmenterConfig, parameters, segmenter
from intsim.quantization import Recipe, integer_form, quantize_weights
from intsim.quantization.calibrate import calibrate
from intsim.quantization.fitting import GeluInputs
from intsim.quantization.recipe import PUBLISHED
from intsim.quantization.synth import preset, random_picture, random_weights

from networks import TINY, tiny_graph


def real_values(config: dict[str, Any], picture: np.ndarray, lowered: bool = False) -> dict[str, np.ndarray]:
    """Every tensor of the real-valued network on a picture; of the one that was `lowered`, with equalized channels."""
    net = segmenter(SegmenterConfig.of(config), random_weights(config, 3))
    if lowered:
        net = integer_form(random_weights(config, 3), config, [picture], Recipe())
    values: dict[str, np.ndarray] = {}
    net.run(picture, lambda node, inputs, value: values.__setitem__(node.name, value))
    return values


@pytest.mark.parametrize("decoder", ["mask_transformer", "linear"])
@pytest.mark.parametrize("dialect", [dialects.ISEGMENTER, dialects.IVIT, dialects.RTL], ids=str)
def test_integers_times_scales_approximate_the_reals(decoder: str, dialect: dialects.Dialect) -> None:
    """On the calibration picture itself every requantized tensor is close to its real counterpart."""
    config = TINY | {"decoder": decoder}
    graph = tiny_graph(dialect, decoder=decoder)
    picture = random_picture(config, 4)
    reals = real_values(config, picture, lowered=True)
    compared = 0

    def observe(name: str, value: np.ndarray) -> None:
        nonlocal compared
        real = reals.get(name.removesuffix(".requant"))
        if real is None or graph.tensors[name].fmt.dtype.itemsize > 2 or graph.scales[name] is None or name == "image":
            return
        compared += 1
        noise = np.sqrt(np.mean((value * graph.scales[name] - real) ** 2) / np.mean(real**2))
        assert noise < 0.2, f"{name}: noise to signal {noise:.3f}"

    intsim.run(graph, picture, observe)
    assert compared > 30


def test_the_real_network_is_the_published_formula() -> None:
    """The first block's attention, written out in the published implementation's steps."""
    weights = random_weights(TINY, 3)
    values = real_values(TINY, random_picture(TINY, 4))
    x, prefix = values["encoder.embedded"], "encoder.blocks.0"
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    y = (x - mean) / np.sqrt(variance + 1e-5) * weights[f"{prefix}.norm1.weight"] + weights[f"{prefix}.norm1.bias"]
    qkv = y @ weights[f"{prefix}.attn.qkv.weight"].T + weights[f"{prefix}.attn.qkv.bias"]
    tokens = len(x)
    q, k, v = qkv.reshape(tokens, 3, 2, 16).transpose(1, 2, 0, 3)
    logits = np.einsum("htd,hsd->hts", q, k) / 4
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    out = np.einsum("hts,hsd->thd", p, v).reshape(tokens, 32)
    out = out @ weights[f"{prefix}.attn.proj.weight"].T + weights[f"{prefix}.attn.proj.bias"]
    np.testing.assert_allclose(values[f"{prefix}.residual1"], x + out, atol=1e-9)


def test_patches_match_a_convolution() -> None:
    weights = random_weights(TINY, 3)
    picture = random_picture(TINY, 4)
    values = real_values(TINY, picture)
    pixels = (picture / 255 - 0.5) / 0.5
    kernel = weights["encoder.patch_embed.proj.weight"]
    for row in range(3):
        for column in range(5):
            patch = pixels[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8]
            expected = np.einsum("dcyx,yxc->d", kernel, patch) + weights["encoder.patch_embed.proj.bias"]
            np.testing.assert_allclose(values["encoder.patch_embed.proj"][row * 5 + column], expected, atol=1e-9)


def test_a_padded_picture_is_cropped_again() -> None:
    graph = tiny_graph(image_size=[21, 35])
    names = [node.name for node in graph.nodes]
    assert names[-3:] == ["decoder.crop_rows", "decoder.crop_columns", "labels"]
    assert graph.tensors["labels"].shape == (21, 35)
    assert intsim.run(graph, random_picture(TINY | {"image_size": [21, 35]}, 1)).shape == (21, 35)


def test_a_distilled_encoder_drops_both_tokens() -> None:
    graph = tiny_graph(distilled=True)
    assert graph.tensors["encoder.tokens"].shape == (17, 32)
    assert graph.by_name["encoder.patch_tokens"].params["start"] == 2
    assert "encoder.dist_token" in parameters(SegmenterConfig.of(TINY | {"distilled": True}))


@pytest.mark.parametrize("dialect", dialects.DIALECTS.values(), ids=str)
def test_a_graph_uses_its_dialect(dialect: dialects.Dialect) -> None:
    graph = tiny_graph(dialect)
    by_op = {node.op: node for node in graph.nodes}
    assert str(dialect.gelu) in by_op
    assert ("lam" in by_op[str(dialect.gelu)].params) == (dialect.gelu == "lambda_shiftgelu")
    assert by_op["shiftmax"].params["b"] == dialect.softmax_bits
    scale = graph.scales[by_op["shiftmax"].inputs[0]]
    assert isinstance(scale, float)
    assert by_op["shiftmax"].params == dialects.softmax_parameters(
        scale, graph.tensors[by_op["shiftmax"].name].shape[-1], dialect
    )


def test_calibration_takes_the_largest_of_all_pictures() -> None:
    net = segmenter(SegmenterConfig.of(TINY), random_weights(TINY, 3))
    pictures = [random_picture(TINY, seed) for seed in (1, 2, 3)]
    each = [calibrate(net, [p], dialects.IVIT).largest for p in pictures]
    together = calibrate(net, pictures, dialects.IVIT).largest
    for name, value in together.items():
        assert value == max(single[name] for single in each), name


def test_weights_have_one_scale_per_channel_and_use_the_whole_range(graph: Graph) -> None:
    for node in graph.nodes:
        if node.op == "linear":
            weight = np.asarray(node.params["weight"]).astype(int)
            assert (np.abs(weight).max(axis=1) == 127).all(), node.name
            assert np.shape(node.scales["weight"]) == (len(weight),)


def test_the_clamp_is_optimal() -> None:
    """Against brute force: the squared error of every clamp, computed on the data."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 48))
    x[5, 3] = x[40, 7] = 14.0  # long tails: plain ShiftGELU fails on their rows
    scale = 14.0 / 127
    true = ops.shiftgelu.real(x)  # type: ignore[misc]
    seen = GeluInputs(scale)
    seen.add(x, true)
    found = seen.best(dialects.ISEGMENTER, PUBLISHED).params["lam"]
    params = dialects.gelu_parameters(scale, dialects.ISEGMENTER)
    q = np.clip(np.rint(x / scale), -128, 127).astype(int)

    def error(lam: int) -> float:
        out = ops.lambda_shiftgelu(q, **params, lam=lam, dialect=dialects.ISEGMENTER) * scale / 128
        return float(((out - true) ** 2).sum())

    errors = {lam: error(lam) for lam in range(1, 129)}
    assert errors[found] == pytest.approx(min(errors.values()), rel=1e-9)
    assert errors[found] < errors[128] / 4, "clamping must help rows with long tails"


def test_quantization_is_repeatable() -> None:
    weights, picture = random_weights(TINY, 3), random_picture(TINY, 4)
    hashes = {quantize_weights(weights, TINY, [picture], dialects.RTL, "x").content_hash for _ in range(2)}
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("name", "size", "tokens"),
    [
        ("seg-s16-mask@512", [512, 512], 1025),
        ("seg-b8-linear@640x480", [480, 640], 4801),
        ("seg-l32-mask@100", [100, 100], 17),
    ],
)
def test_presets(name: str, size: list[int], tokens: int) -> None:
    config = preset(name)
    assert config["image_size"] == size
    assert parameters(SegmenterConfig.of(config))["encoder.pos_embed"][1] == tokens
