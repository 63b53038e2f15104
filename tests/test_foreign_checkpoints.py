"""Checkpoints as trainers write them: several sets of weights, prefixes, other precisions, other networks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

import intsim
from intsim.errors import FileError
from intsim.quantization import Checkpoint, read_checkpoint
from intsim.quantization.naming import MMSEGMENTATION, ORIGINAL, TIMM
from intsim.quantization.synth import random_weights
from intsim.quantization.weight_sets import chosen, without_prefix

from networks import TINY

Cli = Callable[..., tuple[int, str, str]]
Weights = dict[str, NDArray]
HERE = Path("here")


def float32(seed: int = 3) -> Weights:
    return {name: value.astype(np.float32) for name, value in random_weights(TINY, seed).items()}


def numpy_file(weights: Weights, path: Path) -> Path:
    np.savez(path.with_suffix(".npz"), **weights)  # type: ignore[arg-type]
    return path.with_suffix(".npz")


def safetensors_file(weights: Weights, path: Path) -> Path:
    save_file(weights, path.with_suffix(".safetensors"))
    return path.with_suffix(".safetensors")


# --- one of several sets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (["model", "model_ema"], "model"),
        (["model_ema", "model"], "model"),
        (["state_dict_ema", "state_dict"], "state_dict"),
        (["ema_state_dict", "state_dict"], "state_dict"),
        (["model_ema.module", "model.module"], "model.module"),
        (["ema", "net"], "net"),
        (["averaged", "weights"], "weights"),
        (["ema"], "ema"),
        (["something", "swa_model"], "something"),
        (["module", "model"], "model"),
    ],
)
def test_the_networks_own_set_is_taken_and_the_others_are_named(names: list[str], taken: str) -> None:
    sets = {name: {"blocks.0.norm1.weight": name} for name in names}
    found = chosen(HERE, sets)
    assert (found.name, found.tensors) == (taken, {"blocks.0.norm1.weight": taken})
    assert set(found.others) == set(names) - {taken}
    assert bool(found.remarks()) is (len(names) > 1)
    for name in names:
        assert chosen(HERE, sets, name.split(".")[0]).name.split(".")[0] == name.split(".")[0]
        assert chosen(HERE, sets, name).name == name
    with pytest.raises(FileError, match=r"here: has no weights called 'average'; it has"):
        chosen(HERE, sets, "average")


@pytest.mark.parametrize("write", [numpy_file, safetensors_file])
def test_two_sets_in_a_flat_file(write: Callable[[Weights, Path], Path], tmp_path: Path) -> None:
    own, average = float32(3), float32(4)
    both = {f"model.{name}": v for name, v in own.items()} | {f"model_ema.{name}": v for name, v in average.items()}
    path = write(both, tmp_path / "both")
    opened = Checkpoint.open(path)
    assert opened.remarks == ("weights: under model; left out: model_ema",)
    for weights, expected in ((None, own), ("model", own), ("model_ema", average)):
        read, _ = read_checkpoint(path, TINY, weights)
        for name, value in expected.items():
            np.testing.assert_array_equal(read[name], value, err_msg=name)
    with pytest.raises(FileError, match="has no weights called 'swa'; it has model, model_ema"):
        Checkpoint.open(path, "swa")


@pytest.mark.parametrize(
    ("own", "average", "counter"),
    [("model.", "ema.module.", "ema.n_averaged"), ("", "ema_", "ema_updates"), ("net.", "model_ema.", "model_ema.updates")],
)
def test_an_average_and_its_counter_in_a_flat_file(own: str, average: str, counter: str, tmp_path: Path) -> None:
    both = {f"{own}{name}": v for name, v in float32(3).items()} | {f"{average}{name}": v for name, v in float32(4).items()}
    path = safetensors_file(both | {counter: np.ones(1, np.float32)}, tmp_path / "both")
    wanted = average.rstrip("._")
    assert Checkpoint.open(path).remarks[0].endswith(f"left out: {wanted}")
    for weights, expected in ((None, float32(3)), (wanted, float32(4))):
        read, _ = read_checkpoint(path, TINY, weights)
        for name, value in expected.items():
            np.testing.assert_array_equal(read[name], value, err_msg=name)


def test_the_other_set_is_quantized_and_measured(cli: Cli, tmp_path: Path) -> None:
    """What was named is recorded, so that `eval` compares with the same weights."""
    both = {f"model.{n}": v for n, v in float32(3).items()} | {f"model_ema.{n}": v for n, v in float32(4).items()}
    safetensors_file(both, tmp_path / "both")
    (tmp_path / "both.json").write_text(json.dumps(TINY))
    safetensors_file(float32(4), tmp_path / "average")
    (tmp_path / "average.json").write_text(json.dumps(TINY))
    code, out, err = cli("quantize both.safetensors --calibrate picture.png -o own.h5")
    assert code == 0, err
    assert "weights: under model; left out: model_ema; --weights takes another" in out
    assert cli("quantize both.safetensors --weights model_ema --calibrate picture.png -o ema.h5")[0] == 0
    assert cli("quantize average.safetensors --calibrate picture.png -o average.h5")[0] == 0
    own, ema, average = (intsim.load(f"{name}.h5") for name in ("own", "ema", "average"))
    assert ema.content_hash == average.content_hash != own.content_hash
    assert ema.provenance["weights"] == "model_ema"
    assert "weights" not in own.provenance
    code, _, err = cli("quantize both.safetensors --weights ema --calibrate picture.png -o x.h5")
    assert (code, err) == (2, "intsim: both.safetensors: has no weights called 'ema'; it has model, model_ema\n")


# --- prefixes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "backbone.", "module._orig_mod.", "model.module."])
@pytest.mark.parametrize("write", [numpy_file, safetensors_file])
def test_a_prefix_of_all_names_is_taken_off(prefix: str, write: Callable[[Weights, Path], Path], tmp_path: Path) -> None:
    weights = float32()
    path = write({f"{prefix}{name}": value for name, value in weights.items()}, tmp_path / "c")
    opened = Checkpoint.open(path)
    assert opened.tensors.keys() == weights.keys()
    assert opened.remarks == (f"names: without the prefix {prefix} of every tensor",)


def test_parts_of_a_network_are_no_prefix() -> None:
    for names in (["encoder.a", "encoder.b"], ["blocks.0.a", "blocks.1.b"], ["module.a", "b"], ["module"], []):
        tensors = dict.fromkeys(names, 0)
        assert without_prefix(tensors) == (tensors, "")


# --- precisions -------------------------------------------------------------------------------------------------------


def test_bfloat16_is_the_upper_half_of_float32(tmp_path: Path) -> None:
    """Written by hand: NumPy has no such type."""
    weights = {name: (value.view(np.uint32) >> 16 << 16).view(np.float32) for name, value in float32().items()}
    halves = {name: (value.view(np.uint32) >> 16).astype("<u2") for name, value in weights.items()}
    path = safetensors_file(halves, tmp_path / "c")
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    path.write_bytes(
        content[:8] + content[8 : 8 + size].replace(b'"U16"', b'"BF16"')[:size].ljust(size) + content[8 + size :]
    )
    header = content[8 : 8 + size].replace(b'"U16"', b'"BF16"')
    path.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + size :])
    read, _ = read_checkpoint(path, TINY)
    for name, value in weights.items():
        np.testing.assert_array_equal(read[name], value, err_msg=name)
        assert read[name].dtype == np.float32


# --- other networks ---------------------------------------------------------------------------------------------------

BLOCK = [
    "norm1.weight",
    "norm1.bias",
    "attn.qkv.weight",
    "attn.proj.weight",
    "norm2.weight",
    "mlp.fc1.weight",
    "mlp.fc2.bias",
]
TIMM_BODY = ["cls_token", "pos_embed", "patch_embed.proj.weight", *(f"blocks.0.{name}" for name in BLOCK), "norm.weight"]
MMSEG_BLOCK = [
    "ln1.weight",
    "attn.attn.in_proj_weight",
    "attn.attn.out_proj.bias",
    "ffn.layers.0.0.weight",
    "ffn.layers.1.bias",
]
MMSEG_BODY = ["cls_token", "pos_embed", "patch_embed.projection.weight", *(f"layers.0.{name}" for name in MMSEG_BLOCK)]
TORCHVISION = [
    "class_token",
    "conv_proj.weight",
    "encoder.pos_embedding",
    *(f"encoder.layers.encoder_layer_{i}.{part}" for i in (0, 11) for part in ("ln_1.weight", "mlp.0.weight")),
    "encoder.layers.encoder_layer_0.self_attention.in_proj_weight",
    "encoder.ln.bias",
    "heads.head.weight",
]
OTHERS: dict[str, tuple[list[str], str]] = {
    "torchvision": (TORCHVISION, "is a ViT of torchvision; supported are"),
    "torchvision, a Swin": (
        ["features.0.0.weight", "features.1.0.attn.qkv.weight", "features.2.reduction.weight", "features.7.1.mlp.0.weight"]
        + [f"features.{i}.{j}.norm1.weight" for i in (1, 3, 5) for j in (0, 1)]
        + ["norm.weight", "head.weight"],
        "is a Swin of torchvision",
    ),
    "transformers, a SegFormer": (
        ["segformer.encoder.block.0.0.attention.self.query.weight", "decode_head.linear_c.0.proj.weight"],
        "is a SegFormer of Hugging Face transformers",
    ),
    "a masked autoencoder": (
        [*TIMM_BODY, "mask_token", "decoder_embed.weight", "decoder_blocks.0.norm1.weight", "decoder_pred.bias"],
        "is a masked autoencoder",
    ),
    "CLIP": (["visual.proj", "visual.transformer.resblocks.0.ln_1.weight", "token_embedding.weight"], "is CLIP"),
    "a ResNet": (["conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight", "fc.bias"], "is a ResNet"),
    "another decoder": (
        [*(f"backbone.{name}" for name in ("conv1.weight", "layer1.0.conv1.weight")), "decode_head.conv_seg.weight"],
        "is another network of mmsegmentation",
    ),
    "the backbone of mmsegmentation": (
        MMSEG_BODY,
        "is the backbone of a Segmenter of mmsegmentation; its decode_head... is missing",
    ),
    "the same with its prefix": (
        [f"backbone.{name}" for name in MMSEG_BODY],
        "is the backbone of a Segmenter of mmsegmentation; its decode_head... is missing",
    ),
    "a decoder alone": (
        ["decode_head.cls_emb", "decode_head.classes_proj.weight", "decode_head.layers.0.ln1.weight"],
        "is a Segmenter of mmsegmentation without its backbone: backbone... is missing",
    ),
    "the encoder of a Segmenter": (
        [f"encoder.{name}" for name in TIMM_BODY],
        "is a Segmenter of the original implementation without its decoder: decoder... is missing",
    ),
    "a Swin without its classifier": (
        ["patch_embed.proj.weight", "patch_embed.norm.weight", "layers.0.blocks.0.norm1.weight", "norm.weight"],
        "is a Swin without its classifier, head.weight",
    ),
    "nothing known": (["a.b", "c.d"], "not a supported network: its 2 tensors, such as a.b,"),
}


@pytest.mark.parametrize(("names", "words"), OTHERS.values(), ids=OTHERS)
def test_a_network_is_called_what_it_is(names: list[str], words: str, tmp_path: Path) -> None:
    path = safetensors_file({name: np.zeros(1, np.float32) for name in names}, tmp_path / "c")
    with pytest.raises(FileError) as refused:
        Checkpoint.open(path)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "configuration" not in str(refused.value), "no configuration would help"


@pytest.mark.parametrize(
    ("names", "naming"),
    [
        ([*TIMM_BODY, "head.weight"], TIMM),
        ([*TIMM_BODY, "dist_token", "head.weight", "head_dist.weight"], TIMM),
        ([f"encoder.{name}" for name in TIMM_BODY] + ["decoder.cls_emb", "decoder.blocks.0.norm1.weight"], ORIGINAL),
        ([f"encoder.{name}" for name in TIMM_BODY] + ["decoder.head.weight"], ORIGINAL),
        ([f"backbone.{name}" for name in MMSEG_BODY] + ["decode_head.cls_emb"], MMSEGMENTATION),
        ([f"backbone.{name}" for name in MMSEG_BODY] + ["decode_head.conv_seg.weight"], MMSEGMENTATION),
    ],
)
def test_supported_networks_are_recognised(names: list[str], naming: object, tmp_path: Path) -> None:
    path = safetensors_file({name: np.zeros(1, np.float32) for name in names}, tmp_path / "c")
    assert Checkpoint.open(path).naming is naming
