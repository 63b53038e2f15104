"""ViT, DeiT and Swin: real-valued graphs against plain loops, integer graphs against those, and the commands."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

import intsim
from intsim import dialects
from intsim.engine.classes import classifies, order, ranking
from intsim.engine.graph import Graph, Node, input_node
from intsim.engine.plan import fused
from intsim.errors import ConfigurationNotFound, FileError, GraphError, IntsimError
from intsim.kernels import isa
from intsim.nets.networks import built, dimensions_of, parameters_of
from intsim.nets.swin import regions
from intsim.quantization import Checkpoint, Recipe, quantize_weights
from intsim.quantization.configuration import settings_of
from intsim.quantization.fold import fold_norms
from intsim.quantization.recipe import Observer
from intsim.quantization.synth import preset, random_picture, random_weights
from intsim.storage.golden_file import open_golden

from networks import TINY_DEIT, TINY_SWIN, tiny_classifier

DISTILLED = TINY_DEIT | {"distilled": True}
NETWORKS = {
    "deit": TINY_DEIT | {"qkv_bias": False},
    "distilled": DISTILLED,
    "mean": TINY_DEIT | {"pooling": "mean"},
    "mean, registers": TINY_DEIT | {"pooling": "mean", "registers": 2, "embed_class": False},
    "mean, no class": TINY_DEIT | {"pooling": "mean", "class_token": False, "fc_norm": False},
    "no class position": TINY_DEIT | {"embed_class": False, "registers": 3},
    "swin": TINY_SWIN,
    # 8 x 16 tokens in windows of 4, shifted, then 4 x 8, whose windows the original does not shift.
    "wide swin": TINY_SWIN
    | {"img_size": [16, 32], "depths": [2, 2], "num_heads": [1, 2], "window_size": 4, "mlp_ratio": 2.5},
    "one window": TINY_SWIN
    | {"img_size": [16, 16], "depths": [2, 2], "num_heads": [1, 2], "window_size": 9, "qkv_bias": False},
}
every_network = pytest.mark.parametrize("config", NETWORKS.values(), ids=NETWORKS)
Cli = Callable[[str], tuple[int, str, str]]

# --- the networks of the papers, in loops ------------------------------------------------------------------------------


def layer_norm(x: np.ndarray, w: dict[str, np.ndarray], name: str, eps: float) -> np.ndarray:
    out = []
    for row in x:
        centred = row - row.mean()
        out.append(centred / math.sqrt((centred**2).mean() + eps) * w[f"{name}.weight"] + w[f"{name}.bias"])
    return np.array(out)


def dense(x: np.ndarray, w: dict[str, np.ndarray], name: str) -> np.ndarray:
    return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0)


def gelu(x: np.ndarray) -> np.ndarray:
    return np.vectorize(lambda v: 0.5 * v * (1 + math.erf(v / math.sqrt(2))))(x)


def attention(
    x: np.ndarray, w: dict[str, np.ndarray], name: str, heads: int, bias: Any = None, seen: Any = None
) -> np.ndarray:
    """Attention among the rows of `x`; `bias(h, i, j)` is added to the logits, `seen(i, j)` is whether i sees j."""
    tokens, channels = x.shape
    qkv = dense(x, w, f"{name}.qkv").reshape(tokens, 3, heads, channels // heads)
    out = np.zeros((tokens, heads, channels // heads))
    for h in range(heads):
        q, k, v = (qkv[:, i, h] for i in range(3))
        for i in range(tokens):
            logits = [
                float(q[i] @ k[j]) / math.sqrt(channels // heads) + (bias(h, i, j) if bias else 0) for j in range(tokens)
            ]
            shares = [math.exp(s) if seen is None or seen(i, j) else 0.0 for j, s in enumerate(logits)]
            out[i, h] = sum(p * value for p, value in zip(shares, v, strict=True)) / sum(shares)
    return dense(out.reshape(tokens, channels), w, f"{name}.proj")


def mlp(x: np.ndarray, w: dict[str, np.ndarray], name: str) -> np.ndarray:
    return dense(gelu(dense(x, w, f"{name}.fc1")), w, f"{name}.fc2")


def embed(picture: np.ndarray, w: dict[str, np.ndarray], patch: int) -> dict[tuple[int, int], np.ndarray]:
    """The embedded patches by row and column."""
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    x = (picture / 255 - mean) / std
    kernel = w["patch_embed.proj.weight"]
    cells = {}
    for r in range(len(x) // patch):
        for c in range(x.shape[1] // patch):
            square = x[r * patch : (r + 1) * patch, c * patch : (c + 1) * patch]
            cells[r, c] = np.array([(k * square.transpose(2, 0, 1)).sum() for k in kernel]) + w["patch_embed.proj.bias"]
    return cells


def vit_by_loops(config: dict[str, Any], w: dict[str, np.ndarray], picture: np.ndarray) -> np.ndarray:
    extra = [w["cls_token"][0, 0]] if config.get("class_token", True) else []
    extra += [w["dist_token"][0, 0]] if config.get("distilled") else []
    patches, positions = list(embed(picture, w, config["patch_size"]).values()), list(w["pos_embed"][0])
    if extra and config.get("embed_class", True):
        extra = [token + positions.pop(0) for token in extra]
    patches = [patch + position for patch, position in zip(patches, positions, strict=True)]
    before = [*extra, *(w["reg_token"][0] if config.get("registers") else [])]
    x = np.array([*before, *patches])
    for i in range(config["depth"]):
        b = f"blocks.{i}"
        x = x + attention(layer_norm(x, w, f"{b}.norm1", 1e-6), w, f"{b}.attn", config["num_heads"])
        x = x + mlp(layer_norm(x, w, f"{b}.norm2", 1e-6), w, f"{b}.mlp")
    if config.get("pooling") == "mean":
        if not config.get("fc_norm", True):
            return dense(layer_norm(x, w, "norm", 1e-6)[len(before) :].mean(axis=0), w, "head")
        return dense(layer_norm(x[len(before) :].mean(axis=0)[None], w, "fc_norm", 1e-6)[0], w, "head")
    x = layer_norm(x, w, "norm", 1e-6)
    logits = dense(x[0], w, "head")
    return (logits + dense(x[1], w, "head_dist")) / 2 if config.get("distilled") else logits


def swin_by_loops(config: dict[str, Any], w: dict[str, np.ndarray], picture: np.ndarray) -> np.ndarray:
    """Windows by token positions: tokens of a shifted window attend to those that are adjacent in the picture."""
    cells = embed(picture, w, config["patch_size"])
    flat = layer_norm(np.array(list(cells.values())), w, "patch_embed.norm", 1e-5)
    cells = dict(zip(cells, flat, strict=True))
    for i, (depth, heads) in enumerate(zip(config["depths"], config["num_heads"], strict=True)):
        height, width = (max(place[axis] for place in cells) + 1 for axis in (0, 1))
        window = min(config["window_size"], height, width)
        for j in range(depth):
            b = f"layers.{i}.blocks.{j}"
            shift = window // 2 if j % 2 and min(height, width) > window else 0
            cells = window_block(cells, w, b, heads, (height, width), window, shift)
        if i + 1 < len(config["depths"]):
            cells = merged(cells, w, f"layers.{i}.downsample")
    x = layer_norm(np.array(list(cells.values())), w, "norm", 1e-5)
    return dense(x.mean(axis=0), w, "head")


def window_block(
    cells: dict[tuple[int, int], np.ndarray],
    w: dict[str, np.ndarray],
    b: str,
    heads: int,
    sides: tuple[int, int],
    window: int,
    shift: int,
) -> dict[tuple[int, int], np.ndarray]:
    normed = dict(zip(cells, layer_norm(np.array(list(cells.values())), w, f"{b}.norm1", 1e-5), strict=True))
    table, attended = w[f"{b}.attn.relative_position_bias_table"], {}
    for top in range(0, sides[0], window):
        for left in range(0, sides[1], window):
            places = [(top + r, left + c) for r in range(window) for c in range(window)]  # on the shifted grid
            origins = [((r + shift) % sides[0], (c + shift) % sides[1]) for r, c in places]  # in the picture

            def bias(h: int, i: int, j: int) -> float:
                down, right = i // window - j // window, i % window - j % window
                return float(table[(down + window - 1) * (2 * window - 1) + right + window - 1, h])

            def seen(i: int, j: int, origins: Any = origins) -> bool:
                # On each axis both tokens were rolled over the edge, or neither was.
                return all((origins[i][axis] < shift) == (origins[j][axis] < shift) for axis in (0, 1))

            rows = attention(
                np.array([normed[place] for place in origins]), w, f"{b}.attn", heads, bias, seen if shift else None
            )
            attended |= dict(zip(origins, rows, strict=True))
    x = np.array([cells[place] + attended[place] for place in cells])
    x = x + mlp(layer_norm(x, w, f"{b}.norm2", 1e-5), w, f"{b}.mlp")
    return dict(zip(cells, x, strict=True))


def merged(
    cells: dict[tuple[int, int], np.ndarray], w: dict[str, np.ndarray], name: str
) -> dict[tuple[int, int], np.ndarray]:
    places = [(r, c) for r, c in cells if r % 2 == 0 and c % 2 == 0]
    joined = [np.concatenate([cells[r, c], cells[r + 1, c], cells[r, c + 1], cells[r + 1, c + 1]]) for r, c in places]
    x = dense(layer_norm(np.array(joined), w, f"{name}.norm", 1e-5), w, f"{name}.reduction")
    return {(r // 2, c // 2): row for (r, c), row in zip(places, x, strict=True)}


@every_network
def test_real_valued_graphs_equal_loops(config: dict[str, Any]) -> None:
    weights, picture = random_weights(config, 3), random_picture(config, 5)
    weights = {name: -value if name.endswith("norm1.weight") else value for name, value in weights.items()}
    loops = swin_by_loops if config["kind"] == "swin" else vit_by_loops
    expected = loops(config, weights, picture)
    np.testing.assert_allclose(built(config, weights).run(picture).ravel(), expected, rtol=1e-9, atol=1e-11)


@every_network
@pytest.mark.parametrize("dialect", dialects.DIALECTS.values(), ids=str)
def test_all_ways_to_compute_give_one_result(config: dict[str, Any], dialect: dialects.Dialect) -> None:
    graph, picture = tiny_classifier(config, dialect), random_picture(config, 5)
    expected = {}
    intsim.run(graph, picture, lambda name, value: expected.setdefault(name, np.array(value)), face="ref")
    for variant in isa.available():
        with isa.using(variant):
            seen: dict[str, np.ndarray] = {}
            intsim.run(graph, picture, lambda name, value, seen=seen: seen.setdefault(name, np.array(value)))
            for name, value in seen.items():
                np.testing.assert_array_equal(value, expected[name], err_msg=f"{name}, {variant}")
                assert value.dtype == expected[name].dtype, name
            for threads in (1, 3):
                np.testing.assert_array_equal(intsim.run(graph, picture, threads=threads), expected[graph.output.name])


@every_network
def test_integers_approximate_the_real_numbers(config: dict[str, Any]) -> None:
    if config.get("window_size") == 9:  # 64 tokens share 128 steps of 8-bit probabilities, each of them floored
        config = config | {"window_size": 4}
    weights, picture = random_weights(config, 3), random_picture(config, 4)
    graph = tiny_classifier(config)
    expected = built(config, weights).run(picture).ravel()
    got = intsim.run(graph, picture).ravel() * graph.scales[graph.output.name]
    assert np.abs(got - expected).max() < 0.1 * np.abs(expected).max()
    assert order(graph, intsim.run(graph, picture))[0] == int(np.argmax(expected))


@pytest.mark.parametrize(("window", "side"), [(3, 12), (8, 16), (12, 24)], ids=["9 tokens", "64", "144"])
def test_windows_of_any_size_are_one_step(window: int, side: int) -> None:
    config = TINY_SWIN | {"img_size": [2 * side] * 2, "depths": [2], "num_heads": [2], "window_size": window}
    for dialect in dialects.DIALECTS.values():
        graph, picture = tiny_classifier(config, dialect), random_picture(config, 6)
        kinds = {"+".join(node.op for node in step.nodes) for step in fused(graph, ()).nodes}
        start = "heads+slice+slice+slice+matmul+requant+constant+relative_positions+residual_add"
        assert {f"{start}+{op}+matmul+requant+merge_heads" for op in ("shiftmax", "masked_shiftmax")} <= kinds
        np.testing.assert_array_equal(intsim.run(graph, picture), intsim.run(graph, picture, face="ref"))


@pytest.mark.parametrize("bits", [4, 6])
def test_narrow_activations_saturate_at_their_own_width(bits: int) -> None:
    """Also in fused window attention, whose logits are stored as i8 at any width."""
    recipe = Recipe(observers={"*.attn.*": Observer.of("percentile:50")}, widths={"activation": bits, "logits": bits})
    picture = random_picture(TINY_SWIN, 4)
    graph = quantize_weights(random_weights(TINY_SWIN, 3), TINY_SWIN, [picture], dialects.ISEGMENTER, "random", recipe)
    expected: dict[str, np.ndarray] = {}
    intsim.run(graph, picture, lambda name, value: expected.setdefault(name, np.array(value)), face="ref")
    contexts = [name for name in expected if name.endswith("attn.context.requant")]
    seen: dict[str, np.ndarray] = {}
    intsim.run(graph, picture, lambda name, value: seen.setdefault(name, np.array(value)), nodes=contexts)
    for name in contexts:
        np.testing.assert_array_equal(seen[name], expected[name], err_msg=name)
    tops = [int(expected[name.replace("context.requant", "biased")].max()) for name in contexts]
    assert max(tops) == 2 ** (bits - 1) - 1, "otherwise the test is void"


@pytest.mark.parametrize("block", [0, 1], ids=["plain", "masked"])
def test_a_refused_row_is_named_in_a_fused_step(block: int) -> None:
    """Four equal exponentials of 2**30 wrap to a sum of 0."""
    config = TINY_SWIN | {"window_size": 2, "img_size": 16, "depths": [2], "num_heads": [1]}
    graph = tiny_classifier(config, dialects.IVIT_TVM)
    attn, nodes = f"layers.0.blocks.{block}.attn", []
    for node in graph.nodes:
        params = dict(node.params)
        if node.name == f"{attn}.softmax":
            params |= {"x0": -1, "n": 30}
            params |= {"regions": np.zeros_like(params["regions"])} if block else {}
        elif node.name.startswith(f"{attn}.relative_position_bias_table"):
            params["value"] = np.zeros_like(params["value"])
        elif node.name == f"{attn}.qkv":
            params |= {key: np.zeros_like(params[key]) for key in ("weight", "bias")}
        nodes.append(replace(node, params=params))
    broken = Graph(nodes, dialects.IVIT_TVM)
    steps = [[node.name for node in step.nodes] for step in fused(broken, ()).nodes]
    assert any({f"{attn}.logits", f"{attn}.softmax", f"{attn}.merged"} <= set(step) for step in steps), "one step"
    with pytest.raises(
        GraphError, match=rf"{attn}\.softmax: .*shiftmax: the exponentials of row \[0, 0, 0\] wrap to a sum of 0"
    ):
        intsim.run(broken, random_picture(config, 1))


def test_an_observed_bias_is_materialised() -> None:
    graph, picture = tiny_classifier(TINY_SWIN), random_picture(TINY_SWIN, 5)
    bias, seen = "layers.0.blocks.1.attn.relative_position_bias", {}
    logits = intsim.run(graph, picture, seen.__setitem__, nodes=[bias])
    assert seen[bias].shape == (1, 9, 9)
    np.testing.assert_array_equal(logits, intsim.run(graph, picture, face="ref"))
    assert bias in [step.name for step in fused(graph, {bias}).nodes]


def test_regions_of_a_shifted_grid() -> None:
    found = regions((6, 6), 3, 1).reshape(2, 2, 3, 3)
    assert (found[0, 0] == found[0, 0, 0, 0]).all(), "the first window has one region"
    assert [len(np.unique(part)) for part in found.reshape(4, 9)] == [1, 2, 2, 4]


def test_norms_are_folded_through_windows() -> None:
    net = fold_norms(built(TINY_SWIN, random_weights(TINY_SWIN, 3)))
    folded = {node.name for node in net.nodes if node.op == "layernorm" and (node.params["gamma"] == 1).all()}
    others = {node.name for node in net.nodes if node.op == "layernorm"} - folded
    assert others == {"patch_embed.norm", "norm"}, "one feeds the residual stream, one a mean"
    picture = random_picture(TINY_SWIN, 5)
    np.testing.assert_allclose(net.run(picture), built(TINY_SWIN, random_weights(TINY_SWIN, 3)).run(picture), rtol=1e-9)


def test_a_dead_class_costs_the_others_no_precision() -> None:
    """The mean of two heads has one scale for all classes, at which none can saturate."""
    weights, picture = random_weights(DISTILLED, 3), random_picture(DISTILLED, 4)
    for head in ("head", "head_dist"):
        weights[f"{head}.weight"][0] = 0
        weights[f"{head}.bias"][:] = 0
    graph = quantize_weights(weights, DISTILLED, [picture], dialects.ISEGMENTER, "random")
    expected, logits = built(DISTILLED, weights).run(picture).ravel(), intsim.run(graph, picture).ravel()
    sums, arms = np.zeros(7), graph.by_name["logits"].params
    for arm, head in (("a", "head"), ("c", "head_dist")):
        params = graph.by_name[head].params
        reach = np.abs(np.asarray(params["weight"], np.int64)).sum(axis=1) * 128 + np.abs(params["bias"])
        sums += reach * arms[f"m{arm}"] * 2.0 ** -np.asarray(arms[f"e{arm}"], np.float64)
    assert 2**30 < sums.max() < 2**31, "no class can saturate, and less than one bit is unused"
    assert logits[0] == 0
    assert np.abs(logits * graph.scales["logits"] - expected).max() < 0.1 * np.abs(expected).max()


# --- configurations and checkpoints ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (TINY_DEIT | {"kind": "beit"}, "kind 'beit' is not one of segmenter, vit, deit, swin"),
        (TINY_DEIT | {"img_size": 20}, "img_size 20 x 20 is not a multiple of patch_size 8"),
        (TINY_DEIT | {"num_heads": 3}, "embed_dim 32 is not a multiple of num_heads 3"),
        (TINY_DEIT | {"distilled": 1}, "distilled is true or false, not 1"),
        (TINY_DEIT | {"in_chans": 1}, "in_chans 1; pictures have 3 channels"),
        (TINY_DEIT | {"colour": "red"}, "unknown key 'colour'"),
        (TINY_DEIT | {"depth": 0}, "depth must be a positive whole number, not 0"),
        ({k: v for k, v in TINY_DEIT.items() if k != "depth"}, "'depth' is missing"),
        (TINY_SWIN | {"img_size": 36}, "18 x 18 patches are not a multiple of 4, which 3 stages need"),
        (TINY_SWIN | {"img_size": 32}, "stage 0 has 16 x 16 tokens, which windows of 3 do not divide"),
        (TINY_SWIN | {"num_heads": [1, 2]}, "3 depths and 2 num_heads; each needs one number per stage"),
        (TINY_SWIN | {"num_heads": [1, 2, 5]}, "64 channels of stage 2 do not split into 5 heads"),
        (TINY_SWIN | {"depths": 2}, "depths is a list with one number per stage, not 2"),
        (TINY_SWIN | {"ape": True}, "patch_norm must be true and ape false"),
        (TINY_SWIN | {"patch_norm": "no"}, "patch_norm is true or false, not 'no'"),
        (TINY_DEIT | {"qk_scale": 0.5}, "qk_scale 0.5; only networks with its default are supported"),
        (TINY_DEIT | {"norm_layer": "rms"}, "norm_layer 'rms'; only networks with its default"),
        (TINY_DEIT | {"kind": "vit", "distilled": True}, "distilled is for kind deit, not vit"),
        (TINY_DEIT | {"mlp_ratio": "four"}, "mlp_ratio must be a number up to 64, such as 4, not 'four'"),
        (
            TINY_DEIT | {"embed_dim": 8000, "patch_size": 16384, "img_size": 16384, "num_heads": 8},
            "a model has 1,000,000,000",
        ),
        ({k: v for k, v in TINY_DEIT.items() if k != "kind"}, "'kind' is missing: vit, deit or swin"),
    ],
)
def test_bad_configurations(config: dict[str, Any], words: str) -> None:
    with pytest.raises(IntsimError) as error:
        dimensions_of(config)
    assert words in str(error.value)


def saved(
    config: dict[str, Any], path: Path, rename: Callable[[str], str] = str, **more: np.ndarray
) -> dict[str, np.ndarray]:
    """A random float32 checkpoint with timm's names."""
    weights = {name: value.astype(np.float32) for name, value in random_weights(config, 3).items()}
    save_file({rename(name): np.ascontiguousarray(value) for name, value in {**weights, **more}.items()}, path)
    return weights


def since_09(name: str) -> str:
    """The name of a tensor in timm 0.9."""
    if name.startswith("layers.") and ".downsample." in name:
        _, stage, rest = name.split(".", 2)
        return f"layers.{int(stage) + 1}.{rest}"
    return name.replace("head.", "head.fc.")


def test_old_and_new_names_of_timm_are_equivalent(tmp_path: Path) -> None:
    window = {"layers.0.blocks.1.attn_mask": np.zeros((16, 9, 9), np.float32)}
    weights = saved(TINY_SWIN, tmp_path / "old.safetensors", **window)
    saved(TINY_SWIN, tmp_path / "new.safetensors", since_09)
    for name in ("old", "new"):
        read = Checkpoint.open(tmp_path / f"{name}.safetensors").weights(TINY_SWIN)
        assert read.keys() == parameters_of(TINY_SWIN).keys()
        assert all((read[key] == weights[key]).all() for key in weights)


def test_dimensions_are_inferred_from_shapes(tmp_path: Path) -> None:
    deit = {**TINY_DEIT, "img_size": [24, 24], "embed_dim": 192, "num_heads": 3, "distilled": True}
    other = TINY_SWIN | {"img_size": [48, 48]}  # determined by its masks alone
    masks = {"layers.0.blocks.1.attn_mask": np.zeros((64, 9, 9), np.float32)}
    for config, more in ((deit, {}), (deit | {"qkv_bias": False}, {}), (TINY_SWIN | {"mlp_ratio": 2.5}, {}), (other, masks)):
        for rename in (str, since_09):
            path = tmp_path / "c.safetensors"
            saved(config, path, rename, **more)
            inferred = Checkpoint.open(path).own_config({"normalization": "deit", "num_heads": 3})
            assert inferred is not None
            found, origin = inferred
            assert "assumed: " in origin
            assert ("img_size" in origin) == (config["kind"] == "swin" and not more)
            assert {k: v for k, v in found.items() if k in config and k != "name"} == {
                k: v for k, v in config.items() if k != "name"
            }
    weights = {name: value.astype(np.float32) for name, value in random_weights(deit, 3).items()}
    del weights["patch_embed.proj.weight"]
    save_file(weights, tmp_path / "part.safetensors")
    with pytest.raises(
        FileError, match=r"tensor patch_embed\.proj\.weight is missing, without which it is no whole network"
    ):
        Checkpoint.open(tmp_path / "part.safetensors").own_config()


def test_heads_that_no_shape_tells_are_not_guessed(tmp_path: Path, cli: Cli) -> None:
    """A network 64 channels wide can have 1, 2 or 4 heads, one of a published width others than the published; only
    networks narrower than a published head have one. The same with the normalization, of which timm has two.
    """
    for width, heads in ((16, 1), (48, 1)):
        saved(
            {**TINY_DEIT, "img_size": [16, 16], "depth": 1, "embed_dim": width, "num_heads": heads},
            tmp_path / "c.safetensors",
        )
        inferred = Checkpoint.open(tmp_path / "c.safetensors").own_config()
        assert inferred is not None
        assert (inferred[0]["num_heads"], f"num_heads {heads}" in inferred[1]) == (heads, True)
    config = {**TINY_DEIT, "img_size": [16, 16], "embed_dim": 64, "num_heads": 4}
    saved(config, Path("c.safetensors"))
    Image.fromarray(random_picture(config, 4)).save("p.png")
    code, _, err = cli("quantize c.safetensors --calibrate p.png -o c.h5")
    assert (code, len(err.splitlines()), Path("c.h5").exists()) == (2, 1, False)
    assert "no shape tells its normalization (vit: mean" in err
    assert "and num_heads (published at this width: none)" in err
    assert "--config, --model, and --set KEY=VALUE" in err
    code, _, err = cli("quantize c.safetensors --set normalization=deit --calibrate p.png -o c.h5")
    assert code == 2
    assert "no shape tells its num_heads" in err
    Path("given.json").write_text(json.dumps(config | {"normalization": "deit"}))
    assert cli("quantize c.safetensors --config given.json --calibrate p.png -o c.h5")[0] == 0
    code, out, _ = cli("quantize c.safetensors --set normalization=deit --set num_heads=4 --calibrate p.png -o d.h5")
    assert code == 0
    assert "assumed: kind deit, GELU; set: normalization, num_heads" in out
    assert intsim.load("c.h5").content_hash == intsim.load("d.h5").content_hash
    norm = '{"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.2, 0.2]}'
    (Path("given.json")).write_text(json.dumps(config | {"normalization": json.loads(norm)}))
    graphs = [
        intsim.quantize("c.safetensors", [Path("p.png")], **options).graph
        for options in (
            {"config": "given.json"},
            {"config": config, "settings": {"normalization": json.loads(norm)}},
            {"settings": settings_of([f"normalization={norm}", "num_heads=4"])},
        )
    ]
    assert len({graph.content_hash for graph in graphs}) == 1
    for words, message in {
        "--set num_heads=5 --set normalization=vit": "embed_dim 64 is not a multiple of num_heads 5",
        "--set heads=4 --set normalization=vit --set num_heads=4": "unknown key 'heads'",
        "--set normalization --set num_heads=4": "setting 'normalization': expected KEY=VALUE",
        "--set normalization=imagenet --set num_heads=4": "normalization",
    }.items():
        code, _, err = cli(f"quantize c.safetensors --calibrate p.png -o e.h5 {words}")
        assert (code, len(err.splitlines()), Path("e.h5").exists()) == (2, 1, False)
        assert message in err


def test_timms_own_configuration_tells_normalization(tmp_path: Path) -> None:
    """And with it the heads, which are those published for the architecture that it names."""
    config = {**TINY_DEIT, "img_size": [16, 16], "depth": 1, "embed_dim": 192, "num_heads": 3}
    saved(config, tmp_path / "model.safetensors")
    published = {"mean": [0.5] * 3, "std": [0.5] * 3, "input_size": [3, 16, 16]}
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "vit_tiny", "pretrained_cfg": published}))
    inferred = Checkpoint.open(tmp_path / "model.safetensors").own_config()
    assert inferred is not None
    assert (inferred[0]["num_heads"], inferred[0]["normalization"]["std"]) == (3, [0.5] * 3)
    del published["mean"]
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "vit_tiny", "pretrained_cfg": published}))
    with pytest.raises(ConfigurationNotFound, match=r"no shape tells its normalization \(vit.*\), and its"):
        Checkpoint.open(tmp_path / "model.safetensors").own_config()


@every_network
def test_quantize_run_and_debug(config: dict[str, Any], cli: Cli) -> None:
    """All commands, from a float checkpoint to the rule that a device breaks."""
    saved(config, Path("c.safetensors"))
    Path("c.json").write_text(json.dumps(config | {"class_names": [f"k{i}" for i in range(7)]}))
    Image.fromarray(random_picture(config, 4)).save("p.png")
    code, out, err = cli("quantize c.safetensors --calibrate p.png -o c.h5 --report c.json.html")
    assert (code, err) == (0, "")
    assert "top class as in the float network on " in out
    code, out, _ = cli("run p.png -m c.h5")
    graph, logits = intsim.load("c.h5"), intsim.run(intsim.load("c.h5"), random_picture(config, 4))
    first = ranking(graph, logits, 1)[0]
    assert code == 0
    assert out.splitlines()[0] == f"p.png: {first.name}"
    code, out, _ = cli("run p.png -m c.h5 --json --top 3")
    assert [c["index"] for c in json.loads(out)["classes"]] == order(graph, logits)[:3]
    assert cli("golden p.png -m c.h5 -o g.h5")[0] == 0
    with open_golden("g.h5") as golden:
        assert golden.tensors[graph.output.name].values is not None, "every golden file contains the logits"
    softmax = next(
        n.name
        for n in graph.nodes
        if n.op == ("masked_shiftmax" if "swin" in config["name"].lower() and config["img_size"] != [16, 16] else "shiftmax")
    )
    assert cli(f"synth-fault g.h5 -m c.h5 --node {softmax} --rule half_bit=dropped -o dut.h5")[0] == 0
    code, out, _ = cli("diff g.h5 dut.h5 -m c.h5 --isolated")
    assert code == 1
    assert "half_bit `dropped` instead of `kept`" in out
    assert softmax in out
    code, out, _ = cli(f"trace g.h5 -m c.h5 {graph.output.name} --at " + ",".join(["0"] * (logits.ndim - 1) + ["2"]))
    assert code == 0
    assert cli("inspect -m c.h5")[0] == 0
    code, _, err = cli("run p.png -m c.h5 -o labels.png")
    assert code == 2
    assert "the model is a classifier" in err
    assert cli("demo -m c.h5 -o shown")[0] == 2
    assert not Path("shown").exists()
    assert cli("synth -m c.h5 -o c.h5")[0] == 2
    assert "the model labels pixels" in cli("run picture.png --top 3")[2]
    code, _, err = cli("run picture.png -m c.h5")
    assert code == 2
    assert f"this model takes {config['img_size'][1]} x {config['img_size'][0]} (width x height)" in err


# --- classes -----------------------------------------------------------------------------------------------------------


def logits_graph(scales: list[float]) -> Graph:
    """A graph whose outputs are logits with these scales (None: without scales)."""
    weight = np.ones((len(scales), 3), np.int8)
    nodes = [
        input_node("image", 1, 1, 1 / 255),
        Node("table", "input_lut", ("image",), {"table": np.zeros((3, 256), np.int8)}, 1.0),
        Node("flat", "tokens", ("table",)),
        Node(
            "head",
            "linear",
            ("flat",),
            {"weight": weight, "bias": np.zeros(len(scales), np.int32)},
            scales={"weight": np.array(scales) if scales[0] is not None else None},
        ),
    ]
    return Graph(nodes, dialects.RTL)


def test_classes_are_ordered_by_exact_products() -> None:
    # 3 * 0.1 is 0.30000000000000004 in floating point; the true product of 3 and the float 0.1 lies between the others.
    scales = [0.1, 0.30000000000000004, 0.3, 0.1]
    graph, logits = logits_graph(scales), np.array([[3, 1, 1, 3]])
    exact = [q * Fraction(s) for q, s in zip(logits[0].tolist(), scales, strict=True)]
    assert order(graph, logits) == sorted(range(4), key=lambda i: (-exact[i], i))
    assert order(graph, logits) == [1, 0, 3, 2]
    shares = [ranked.probability for ranked in ranking(graph, logits, 9)]
    assert math.isclose(sum(shares), 1)


def test_classifiers_are_recognised() -> None:
    assert classifies(tiny_classifier(TINY_SWIN))
    assert not classifies(intsim.load(Path(__file__).parent.parent / "weights" / "scenes.h5"))
    assert not classifies(logits_graph([None, None, None]))  # type: ignore[list-item]  # without scales there is no order


# --- presets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parameters"),
    [  # millions, as published, position biases and tables included
        ("deit-t@224", 5.7),
        ("deit-s@224", 22.1),
        ("deit-b@224", 86.6),
        ("deit-t-distilled@224", 5.9),
        ("vit-b32@224", 88.2),
        ("vit-l16@224", 304.3),
        ("swin-t@224", 28.3),
        ("swin-s@224", 49.6),
        ("swin-b@224", 87.8),
        ("swin-b@384", 87.9),
    ],
)
def test_presets_have_the_published_number_of_parameters(name: str, parameters: float) -> None:
    count = sum(math.prod(shape) for shape in parameters_of(preset(name)).values())
    assert round(count / 1e6, 1) == parameters


@pytest.mark.parametrize(
    "name", ["swin-l@224", "deit-l@224", "deit-s-mask@224", "seg-s@512", "vit-b-distilled@224", "beit-b@224", "deit-s"]
)
def test_unknown_presets(name: str) -> None:
    with pytest.raises(IntsimError, match="is not a preset"):
        preset(name)


def test_a_checkpoint_of_an_unsupported_network(tmp_path: Path) -> None:
    save_file({"conv1.weight": np.zeros((3, 3), np.float32)}, tmp_path / "r.safetensors")
    with pytest.raises(FileError, match=r"is a ResNet; supported are a Segmenter"):
        Checkpoint.open(tmp_path / "r.safetensors")


def test_an_assumed_size_is_reported(cli: Cli) -> None:
    saved(TINY_SWIN, Path("c.safetensors"))
    Image.fromarray(random_picture(TINY_SWIN | {"img_size": [48, 48]}, 4)).save("p.png")
    code, _, err = cli("quantize c.safetensors --calibrate p.png -o c.h5")
    assert code == 2
    assert "this model takes 24 x 24 (width x height) only" in err
    assert "that size is a guess, give another" in err
    code, out, _ = cli("quantize c.safetensors --calibrate p.png -o c.h5 --size 48")
    assert code == 0
    assert "assumed: kind swin (normalization as trained on ImageNet), GELU\n" in out


DEFAULTS = {"pooling": "token", "registers": 0, "class_token": True, "embed_class": True}


@pytest.mark.parametrize("name", ["mean", "mean, registers", "mean, no class", "no class position", "mean behind a norm"])
def test_what_names_and_shapes_tell_of_a_vit(name: str, tmp_path: Path) -> None:
    """Registers, tokens without a position, the norm behind the mean; a mean behind the norm needs config.json."""
    others = {"mean behind a norm": TINY_DEIT | {"pooling": "mean", "fc_norm": False}}
    config = {**(NETWORKS | others)[name], "img_size": [16, 16], "num_heads": 1, "kind": "deit"}
    weights = random_weights(config, 3)
    save_file({key: value.astype(np.float32) for key, value in weights.items()}, tmp_path / "c.safetensors")
    if name == "mean behind a norm":
        published = {"input_size": [3, 16, 16]}
        (tmp_path / "config.json").write_text(json.dumps({"global_pool": "avg", "pretrained_cfg": published}))
    opened = Checkpoint.open(tmp_path / "c.safetensors")
    own = opened.own_config()
    assert own is not None
    found = own[0]
    for key, default in DEFAULTS.items():
        assert found.get(key, default) == config.get(key, default), key
    picture = random_picture(config, 5)
    same = built(found, opened.weights(found)).run(picture).ravel()
    np.testing.assert_allclose(same, vit_by_loops(config, weights, picture), rtol=1e-4, atol=1e-5)
    wide = intsim.quantize(tmp_path / "c.safetensors", [random_picture(config | {"img_size": [24, 16]}, 5)], size=(24, 16))
    assert wide.agreement == 1.0


WRONG_VITS = {
    "pooling": ({"pooling": "max"}, "pooling 'max' is not one of token, token_and_mean, mean"),
    "no class token": ({"class_token": False}, "without a class token, pooling is mean, not token"),
    "norm": ({"fc_norm": True}, "fc_norm is the norm behind pooling mean, not token"),
    "distilled": ({"distilled": True, "embed_class": False}, "a distilled network has both tokens with positions"),
    "flag": ({"class_token": 1}, "class_token is true or false, not 1"),
}


@pytest.mark.parametrize("name", WRONG_VITS)
def test_vits_that_are_refused(name: str) -> None:
    changes, message = WRONG_VITS[name]
    with pytest.raises(IntsimError, match=message):
        dimensions_of(TINY_DEIT | changes)


def test_a_pooling_that_timm_alone_has_is_refused(tmp_path: Path) -> None:
    config = TINY_DEIT | {"img_size": [16, 16], "num_heads": 1}
    save_file({k: v.astype(np.float32) for k, v in random_weights(config, 3).items()}, tmp_path / "c.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"model_args": {"global_pool": "map"}, "pretrained_cfg": {}}))
    with pytest.raises(FileError, match="global_pool is 'map'; supported are token, avg"):
        intsim.quantize(tmp_path / "c.safetensors", [random_picture(config, 5)])
