"""Checkpoints of Hugging Face transformers, written here under their names; `make torch` compares with their own classes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save_file

import intsim
from intsim.errors import FileError
from intsim.nets.networks import built
from intsim.nets.positions import BICUBIC, BILINEAR, SMOOTH, resized_positions
from intsim.quantization import Checkpoint
from intsim.quantization.pipeline import configuration_of
from intsim.quantization.synth import random_picture, random_weights

from networks import TINY, TINY_DEIT, TINY_SWIN

Cli = Callable[..., tuple[int, str, str]]
Weights = dict[str, NDArray]

VIT = {**TINY_DEIT, "kind": "vit", "normalization": "vit"}
DINO = {**VIT, "registers": 3, "pooling": "token_and_mean", "normalization": "deit"}
NETWORKS: dict[str, dict[str, Any]] = {
    "vit": {**VIT, "norm_eps": 1e-12},
    "deit": {**TINY_DEIT, "distilled": True, "head_dist": False, "norm_eps": 1e-12},
    "deit with teacher": {**TINY_DEIT, "distilled": True, "norm_eps": 1e-12},
    "swin": {**TINY_SWIN, "norm_eps": 1e-5},
    "dinov2": {**DINO, "registers": 0},
    "dinov2_with_registers": DINO,
}


def table_of(name: str, config: dict[str, Any]) -> dict[str, Any]:
    """The config.json that transformers would have written."""
    table: dict[str, Any] = {
        "architectures": [f"{name.title()}ForImageClassification"],
        "model_type": name.partition(" ")[0],
        "image_size": config["img_size"],
        "patch_size": config["patch_size"],
        "num_channels": 3,
        "hidden_act": "gelu",
        "qkv_bias": True,
        "id2label": {str(i): f"LABEL_{i}" for i in range(config["num_classes"])},
    }
    if name == "swin":
        table |= {key: config[key] for key in ("embed_dim", "depths", "num_heads", "window_size")}
        return table | {"mlp_ratio": 4.0, "use_absolute_embeddings": False, "layer_norm_eps": 1e-5}
    table |= {"hidden_size": config["embed_dim"], "num_hidden_layers": config["depth"]}
    table |= {"num_attention_heads": config["num_heads"], "layer_norm_eps": config.get("norm_eps", 1e-6)}
    if name.startswith("dinov2"):
        return table | {"mlp_ratio": 4, "use_swiglu_ffn": False, "num_register_tokens": config["registers"]}
    return table | {"intermediate_size": 4 * config["embed_dim"]}


def theirs(name: str, weights: Weights) -> Weights:
    """Our tensors under the names that ``save_pretrained`` writes, queries, keys and values apart."""
    kind = name.partition(" ")[0]
    out: Weights = {}
    for ours, value in weights.items():
        if ours.startswith("head"):
            first = "cls_" if "head_dist.weight" in weights else ""
            out[ours.replace("head_dist.", "distillation_classifier.").replace("head.", f"{first}classifier.")] = value
            continue
        text = ours
        for pattern, put in (
            (r"^cls_token", "embeddings.cls_token"),
            (r"^dist_token", "embeddings.distillation_token"),
            (r"^reg_token", "embeddings.register_tokens"),
            (r"^pos_embed", "embeddings.position_embeddings"),
            (r"^patch_embed\.proj", "embeddings.patch_embeddings.projection"),
            (r"^patch_embed\.norm", "embeddings.norm"),
            (r"^norm\.", "layernorm."),
            (r"^blocks\.", "encoder.layer."),
            (r"^layers\.", "encoder.layers."),
            (r"\.attn\.proj\.", ".attention.output.dense."),
            (r"\.attn\.relative", ".attention.self.relative"),
        ):
            text = re.sub(pattern, put, text)
        if not kind.startswith("dinov2"):
            text = re.sub(r"(\.\d+)\.norm1\.", r"\1.layernorm_before.", text)
            text = re.sub(r"(\.\d+)\.norm2\.", r"\1.layernorm_after.", text)
            text = text.replace(".mlp.fc1.", ".intermediate.dense.").replace(".mlp.fc2.", ".output.dense.")
        text = f"{kind}.{text}"
        if ".attn.qkv." in text:
            inner = "self" if kind == "swin" else "attention"
            for part, rows in zip(("query", "key", "value"), np.split(value, 3), strict=True):
                out[text.replace(".attn.qkv.", f".attention.{inner}.{part}.")] = rows
        else:
            out[text] = value
    return out


def saved(name: str, folder: Path, weights: Weights, shards: int = 1, **changes: Any) -> Path:
    """A folder as ``save_pretrained`` leaves it."""
    folder.mkdir(parents=True)
    tensors = {key: np.ascontiguousarray(value, dtype=np.float32) for key, value in theirs(name, weights).items()}
    if shards == 1:
        save_file(tensors, folder / "model.safetensors")
    else:
        names = {key: f"model-{i % shards + 1:05}-of-{shards:05}.safetensors" for i, key in enumerate(tensors)}
        for file in set(names.values()):
            save_file({key: value for key, value in tensors.items() if names[key] == file}, folder / file)
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    (folder / "config.json").write_text(json.dumps(table_of(name, NETWORKS[name]) | changes))
    return folder


def weights_of(name: str) -> Weights:
    return {key: value.astype(np.float32) for key, value in random_weights(NETWORKS[name], 3).items()}


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_folder_is_the_same_network(name: str, shards: int, tmp_path: Path) -> None:
    weights = weights_of(name)
    checkpoint = Checkpoint.open(saved(name, tmp_path / "net", weights, shards))
    config, origin = configuration_of(checkpoint, None, None, None)
    assert "config.json" in origin
    picture = random_picture(NETWORKS[name], 5)
    expected = built(NETWORKS[name], weights).run(picture)
    np.testing.assert_allclose(built(config, checkpoint.weights(config)).run(picture), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "swin"])
def test_an_encoder_alone_gives_features(name: str, cli: Cli) -> None:
    """All tokens behind the last layer norm, from transformers and from timm; what has no meaning is left out."""
    whole, picture = weights_of(name), random_picture(NETWORKS[name], 5)
    weights = {key: value for key, value in whole.items() if not key.startswith("head")}
    folder = saved(name, Path("net"), weights, architectures=["AnyModel"])
    result = intsim.quantize(folder, [picture], report=True)
    features = built(NETWORKS[name], whole).tensors(picture, ["norm"])["norm"]
    found = intsim.run(result.graph, picture) * result.graph.scales["norm.requant"]
    assert found.shape == features.shape
    noise = 10 * np.log10((features**2).sum() / ((found - features) ** 2).sum())
    assert result.features == pytest.approx(noise)
    assert noise > 20
    assert (result.agreement, result.classifies) == (None, False)
    assert all(trial.agreement is None for trial in result.choices)
    assert "no classifier: the model gives features" in " ".join(result.remarks)

    save_file(weights, "timm.safetensors")
    config = {**NETWORKS[name], "num_classes": 0}
    graph = intsim.quantize("timm.safetensors", [picture], config=config).graph
    assert graph.content_hash == result.graph.content_hash
    Path("timm.json").write_text(json.dumps(config))
    Image.fromarray(picture).save("p.png")
    code, out, _ = cli("quantize timm.safetensors --calibrate p.png -o m.h5 --report r.json --search 1")
    assert code == 0
    assert re.search(r"signal to noise of the features on the calibration pictures: \d\d\.\d dB", out)
    assert "labels" not in out
    assert all(choice["agreement"] is None for choice in json.loads(Path("r.json").read_text())["choices"])
    assert cli("golden p.png -m m.h5 -o g.h5")[0] == 0
    code, _, err = cli("run p.png -m m.h5")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "does not give labels; 'intsim golden' runs it" in err


@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_quantized_at_first_try(name: str, tmp_path: Path) -> None:
    folder = saved(name, tmp_path / "net", weights_of(name))
    result = intsim.quantize(folder, [random_picture(NETWORKS[name], 5)])
    assert result.agreement == 1
    assert "names: those of Hugging Face transformers" in result.remarks[0]
    logits = intsim.run(result.graph, random_picture(NETWORKS[name], 6))
    assert logits.size == NETWORKS[name]["num_classes"]


def test_names_since_version_5(tmp_path: Path) -> None:
    """Modules are called otherwise since then; files that were not written by save_pretrained have these names."""
    weights = weights_of("vit")
    folder = saved("vit", tmp_path / "net", weights)
    renamed = {}
    for key, value in theirs("vit", weights).items():
        text = key.replace("vit.encoder.layer.", "vit.layers.").replace(".attention.output.dense.", ".attention.o_proj.")
        text = re.sub(r"attention\.attention\.(.)\w+\.", r"attention.\1_proj.", text)
        text = text.replace(".intermediate.dense.", ".mlp.fc1.").replace(".output.dense.", ".mlp.fc2.")
        renamed[text] = np.ascontiguousarray(value)
    assert "vit.layers.0.attention.q_proj.weight" in renamed
    save_file(renamed, folder / "model.safetensors")
    checkpoint = Checkpoint.open(folder)
    for key, value in checkpoint.weights(NETWORKS["vit"]).items():
        np.testing.assert_array_equal(value, weights[key])


def test_layer_scale_is_folded_exactly(tmp_path: Path) -> None:
    """x + scale * (W x + b) is x + (scale * W) x + scale * b; in timm's names, too."""
    weights, rng = weights_of("dinov2"), np.random.default_rng(1)
    scales = {f"blocks.{i}.ls{k}.gamma": rng.normal(0.5, 0.2, 32).astype(np.float32) for i in (0, 1) for k in (1, 2)}
    folded = dict(weights)
    for key, scale in scales.items():
        layer = key.replace("ls1.gamma", "attn.proj").replace("ls2.gamma", "mlp.fc2")
        folded[f"{layer}.weight"] = weights[f"{layer}.weight"] * scale[:, None].astype(np.float64)
        folded[f"{layer}.bias"] = weights[f"{layer}.bias"] * scale.astype(np.float64)
    folder = saved("dinov2", tmp_path / "net", weights)
    at = (r"blocks\.(\d)\.ls(\d)\.gamma", r"dinov2.encoder.layer.\1.layer_scale\2.lambda1")
    tensors = {key: np.ascontiguousarray(value) for key, value in theirs("dinov2", weights).items()}
    tensors |= {re.sub(*at, key): value for key, value in scales.items()}
    save_file(tensors, folder / "model.safetensors")
    save_file({**weights, **scales}, tmp_path / "timm.safetensors")
    for path in (folder, tmp_path / "timm.safetensors"):
        checkpoint = Checkpoint.open(path)
        assert any("LayerScale: 4 of them folded" in remark for remark in checkpoint.remarks)
        for key, value in checkpoint.weights(NETWORKS["dinov2"]).items():
            np.testing.assert_array_equal(value, folded[key])


def test_preprocessing_and_classes_come_from_the_folder(tmp_path: Path) -> None:
    names = {str(i): f"class {i}" for i in range(7)}
    folder = saved("vit", tmp_path / "net", weights_of("vit"), id2label=names)
    (folder / "preprocessor_config.json").write_text('{"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.5, 0.4]}')
    config, origin = configuration_of(Checkpoint.open(folder), None, None, None)
    assert config["normalization"] == {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.5, 0.4]}
    assert config["class_names"] == list(names.values())
    assert origin.endswith("config.json and preprocessor_config.json")


def test_what_timm_says_of_its_network(tmp_path: Path) -> None:
    """The normalization is not guessed where timm's config.json stands beside the weights."""
    config = {**TINY_DEIT, "img_size": [24, 24]}
    save_file({k: v.astype(np.float32) for k, v in random_weights(config, 3).items()}, tmp_path / "model.safetensors")
    table = {"architecture": "vit_tiny", "pretrained_cfg": {"input_size": [3, 24, 24], "mean": [0.5] * 3, "std": [0.5] * 3}}
    (tmp_path / "config.json").write_text(json.dumps(table | {"model_args": {"num_heads": 2}}))
    for path in (tmp_path, tmp_path / "model.safetensors"):
        config, origin = configuration_of(Checkpoint.open(path), None, None, None)
        assert (config["num_heads"], config["img_size"]) == (2, [24, 24])
        assert config["normalization"] == {"mean": [0.5] * 3, "std": [0.5] * 3}
        assert "assumed: kind deit, GELU" in origin
    (tmp_path / "config.json").write_text(json.dumps(table | {"model_args": {"act_layer": "relu"}}))
    with pytest.raises(FileError, match="model_args has act_layer = 'relu'; only timm's default is supported"):
        configuration_of(Checkpoint.open(tmp_path), None, None, None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: (f / "config.json").unlink(), "no config.json beside it"),
        (lambda f: put(f, model_type="beit"), "model_type 'beit' is not one of vit, deit, swin, dinov2"),
        (lambda f: put(f, model_type=None), "model_type None is not one of"),
        (lambda f: put(f, hidden_act="relu"), "hidden_act is 'relu'; supported is 'gelu'"),
        (lambda f: put(f, hidden_size=48), "config.json: tensor|embed_dim is 32 in the checkpoint and 48"),
        (lambda f: put(f, hidden_size="wide"), "hidden_size 'wide' and intermediate_size 128 are not two whole numbers"),
        (lambda f: put(f, num_attention_heads=5), "embed_dim 32 is not a multiple of num_heads 5"),
        (lambda f: put(f, num_hidden_layers=None), "does not give depth"),
        (lambda f: put(f, num_hidden_layers=3), "tensor blocks.2|is missing; the configuration requires it"),
        (lambda f: (f / "config.json").write_text("{"), "config.json: not valid JSON"),
        (lambda f: (f / "config.json").write_text("[]"), "config.json: not a table of keys and values"),
        (lambda f: (f / "model.safetensors").unlink(), "is a folder without model.safetensors"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\0" * 99), "not a safetensors file"),
        (lambda f: index(f, {"a": "model-2.safetensors"}), "model-2.safetensors: no such file, though"),
        (lambda f: index(f, {"a": "../model.safetensors"}), "lists ../model.safetensors, which is outside its folder"),
        (lambda f: index(f, {}), "lists no shards under weight_map"),
        (lambda f: put(f, layer_norm_eps=None), "norm_eps"),
        (lambda f: preprocessor(f, do_rescale=False), "preprocessor_config.json: pixels are not rescaled to 0..1"),
        (lambda f: preprocessor(f, rescale_factor=0.5), "preprocessor_config.json: pixels are not rescaled to 0..1"),
        (
            lambda f: preprocessor(f, image_mean=[0.5], image_std=[0.5]),
            "preprocessor_config.json: configuration: normalization",
        ),
        (lambda f: index(f, None), "lists no shards under weight_map"),
        (lambda f: without(f, "key.weight"), "has no key beside it"),
        (lambda f: without(f, "classifier"), "whose classifier.weight is missing; the checkpoint is not complete"),
        (
            lambda f: with_more(f, "vit.decoder.weight"),
            "decoder.weight is not part of the configured network",
        ),
        (lambda f: without(f, "layernorm.bias"), "norm.bias is missing"),
    ],
)
def test_folders_that_cannot_be_read(change: Callable[[Path], object], said: str, cli: Cli) -> None:
    """One line, exit code 2, nothing written."""
    change(saved("vit", Path("net"), weights_of("vit")))
    code, out, err = cli("quantize net --calibrate picture.png --resize -o made.h5")
    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    assert re.search(said, err), err
    assert not Path("made.h5").exists()


def put(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def index(folder: Path, weights: Any) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weights}))


def preprocessor(folder: Path, **settings: Any) -> None:
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))


def test_what_is_said_of_a_folder(tmp_path: Path) -> None:
    """Pixels that are not normalised are taken so; what is set is not called assumed, and resized positions are named."""
    folder = saved("vit", tmp_path / "net", weights_of("vit"))
    preprocessor(folder, do_normalize=False)
    config, origin = configuration_of(Checkpoint.open(folder), None, None, None)
    assert config["normalization"] == {"mean": [0.0] * 3, "std": [1.0] * 3}
    (folder / "preprocessor_config.json").unlink()
    for given in (None, {"normalization": "deit"}):
        _, origin = configuration_of(Checkpoint.open(folder), None, None, None, given)
        assert ("assumed" in origin) == (given is None)
    rows, columns = (side // NETWORKS["vit"]["patch_size"] for side in NETWORKS["vit"]["img_size"])
    size = (NETWORKS["vit"]["img_size"][0], 2 * NETWORKS["vit"]["img_size"][1])
    picture = random_picture({**NETWORKS["vit"], "img_size": list(size)}, 5)
    remarks = intsim.quantize(folder, [picture], size=size).remarks
    assert f"position embeddings: those of {rows} x {columns} patches, resized to {rows} x {2 * columns}" in remarks
    assert "position" not in " ".join(intsim.quantize(folder, [random_picture(NETWORKS["vit"], 5)]).remarks)


@pytest.mark.parametrize("target", ["net/model.safetensors", "net/config.json", "net/preprocessor_config.json", "r.toml"])
def test_nothing_that_is_read_is_replaced(target: str, cli: Cli) -> None:
    saved("vit", Path("net"), weights_of("vit"))
    preprocessor(Path("net"), image_mean=[0.5] * 3, image_std=[0.5] * 3)
    Path("r.toml").write_text("equalize = 0.3\n")
    Image.fromarray(random_picture(NETWORKS["vit"], 5)).save("p.png")
    before = Path(target).read_bytes()
    code, _, err = cli(f"quantize net --calibrate p.png --recipe r.toml -o {target}")
    assert (code, "is an input of this command" in err) == (2, True)
    code, _, err = cli(f"quantize net/model.safetensors --calibrate p.png --recipe r.toml -o {target}")
    assert (code, "is an input of this command" in err) == (2, True)
    assert Path(target).read_bytes() == before


def without(folder: Path, part: str) -> None:
    tensors = theirs("vit", weights_of("vit"))
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items() if part not in k}, folder / "model.safetensors")


def with_more(folder: Path, name: str) -> None:
    tensors = {key: np.ascontiguousarray(value) for key, value in theirs("vit", weights_of("vit")).items()}
    save_file({**tensors, name: np.zeros(3, np.float32)}, folder / "model.safetensors")


def test_a_scale_without_its_layer(tmp_path: Path) -> None:
    weights = weights_of("dinov2")
    scale = np.ones(32, np.float32)
    save_file(
        {**{k: v for k, v in weights.items() if "0.mlp.fc2" not in k}, "blocks.0.ls2.gamma": scale},
        tmp_path / "a.safetensors",
    )
    with pytest.raises(FileError, match=r"LayerScale of a layer that is missing, blocks\.0\.mlp\.fc2\.weight"):
        Checkpoint.open(tmp_path / "a.safetensors")
    save_file({**weights, "blocks.0.ls2.gamma": scale[:5]}, tmp_path / "b.safetensors")
    with pytest.raises(FileError, match=r"blocks\.0\.ls2\.gamma is \[5\], and its layer"):
        Checkpoint.open(tmp_path / "b.safetensors")


@pytest.mark.parametrize("part", ["blocks.0.ls2.gamma", "blocks.0.mlp.fc2.weight"])
def test_a_scale_or_its_layer_of_integers(part: str, tmp_path: Path) -> None:
    tensors = {**weights_of("dinov2"), "blocks.0.ls2.gamma": np.ones(32, np.float32)}
    save_file({**tensors, part: tensors[part].astype(np.int32)}, tmp_path / "a.safetensors")
    with pytest.raises(FileError, match=r"is I32; expected F64, F32, F16 or BF16"):
        Checkpoint.open(tmp_path / "a.safetensors").weights(NETWORKS["dinov2"])


@pytest.mark.parametrize("where", [".", "./", "/"])
def test_a_folder_that_is_no_checkpoint(where: str, cli: Cli) -> None:
    code, _, err = cli(f"quantize {where} --calibrate picture.png --resize -o made.h5")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "is a folder without model.safetensors" in err


# --- position embeddings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [BILINEAR, BICUBIC, SMOOTH])
def test_resizing_keeps_what_is_constant_and_what_is_the_same(how: str) -> None:
    x = np.random.default_rng(1).normal(size=(1, 1 + 20, 6))
    np.testing.assert_array_equal(resized_positions(x, 1, (4, 5), (4, 5), how), x)
    flat = np.full((1, 1 + 20, 6), 2.5)
    np.testing.assert_allclose(resized_positions(flat, 1, (4, 5), (7, 3), how), np.full((1, 1 + 21, 6), 2.5), rtol=1e-12)
    np.testing.assert_array_equal(resized_positions(x, 1, (4, 5), (7, 3), how)[:, 0], x[:, 0])


def test_every_owner_resizes_in_its_own_way(tmp_path: Path) -> None:
    """transformers bicubically, timm with antialiasing, the original Segmenter bilinearly."""
    weights = weights_of("vit")
    save_file(weights, tmp_path / "timm.safetensors")
    larger = {**NETWORKS["vit"], "img_size": [32, 32], "trained_size": [16, 24]}
    for path, how in ((saved("vit", tmp_path / "net", weights), BICUBIC), (tmp_path / "timm.safetensors", SMOOTH)):
        taken = Checkpoint.open(path).weights(larger)["pos_embed"]
        np.testing.assert_array_equal(taken, resized_positions(weights["pos_embed"], 1, (2, 3), (4, 4), how))


def test_a_segmenter_compares_the_number_of_tokens_alone(tmp_path: Path) -> None:
    """As many tokens in another arrangement keep their embeddings, as in both published implementations."""
    weights = {k: v.astype(np.float32) for k, v in random_weights(TINY, 3).items()}
    save_file(weights, tmp_path / "seg.safetensors")
    turned = {**TINY, "image_size": [40, 24], "trained_size": [24, 40]}
    taken = Checkpoint.open(tmp_path / "seg.safetensors").weights(turned)["encoder.pos_embed"]
    np.testing.assert_array_equal(taken, weights["encoder.pos_embed"])


def test_a_shift_of_one_side_alone_is_refused(tmp_path: Path) -> None:
    """timm's Swin since 0.9 shifts each side by itself; where one window covers one side, the original shifts neither."""
    config = {**TINY_SWIN, "img_size": [6, 12], "depths": [2], "num_heads": [1], "window_size": 3}
    weights = {re.sub(r"^head\.", "head.fc.", k): v.astype(np.float32) for k, v in random_weights(config, 3).items()}
    save_file(weights, tmp_path / "swin.safetensors")
    with pytest.raises(FileError, match="shifts 3 x 6 tokens along one side alone, where a window of 3 covers the other"):
        Checkpoint.open(tmp_path / "swin.safetensors").weights(config)
