"""Checkpoints in every file format and naming that is read without torch; tests/test_torch.py covers the rest."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

import intsim
from intsim import dialects
from intsim.errors import FileError, IntsimError
from intsim.nets.positions import bilinear, resized_positions
from intsim.nets.segmenter import SegmenterConfig, parameters
from intsim.quantization import Checkpoint, at_size, config_beside, quantize_weights, read_checkpoint, read_config
from intsim.quantization.naming import MMSEGMENTATION
from intsim.quantization.synth import random_picture, random_weights

from networks import TINY

Cli = Callable[..., tuple[int, str, str]]
Weights = dict[str, NDArray]

# Names in mmsegmentation's files, written out by hand.
PAIRS = {
    "encoder.patch_embed.proj.weight": "backbone.patch_embed.projection.weight",
    "encoder.cls_token": "backbone.cls_token",
    "encoder.pos_embed": "backbone.pos_embed",
    "encoder.blocks.11.norm1.weight": "backbone.layers.11.ln1.weight",
    "encoder.blocks.0.attn.qkv.weight": "backbone.layers.0.attn.attn.in_proj_weight",
    "encoder.blocks.0.attn.qkv.bias": "backbone.layers.0.attn.attn.in_proj_bias",
    "encoder.blocks.0.attn.proj.weight": "backbone.layers.0.attn.attn.out_proj.weight",
    "encoder.blocks.0.norm2.bias": "backbone.layers.0.ln2.bias",
    "encoder.blocks.0.mlp.fc1.weight": "backbone.layers.0.ffn.layers.0.0.weight",
    "encoder.blocks.0.mlp.fc2.bias": "backbone.layers.0.ffn.layers.1.bias",
    "encoder.norm.weight": "backbone.ln1.weight",
    "decoder.proj_dec.bias": "decode_head.dec_proj.bias",
    "decoder.cls_emb": "decode_head.cls_emb",
    "decoder.blocks.1.attn.qkv.weight": "decode_head.layers.1.attn.attn.in_proj_weight",
    "decoder.blocks.1.mlp.fc2.weight": "decode_head.layers.1.ffn.layers.1.weight",
    "decoder.decoder_norm.weight": "decode_head.decoder_norm.weight",
    "decoder.mask_norm.bias": "decode_head.mask_norm.bias",
    "decoder.proj_patch": "decode_head.patch_proj.weight",
    "decoder.proj_classes": "decode_head.classes_proj.weight",
    "decoder.head.weight": "decode_head.conv_seg.weight",
}


def float32(config: dict[str, Any] = TINY, seed: int = 3) -> Weights:
    """Random float32 weights, as in a checkpoint."""
    return {name: value.astype(np.float32) for name, value in random_weights(config, seed).items()}


def as_mmsegmentation(weights: Weights) -> Weights:
    """The same weights with mmsegmentation's names and layouts."""
    renamed = {}
    for name, value in weights.items():
        if name in ("decoder.proj_patch", "decoder.proj_classes"):
            value = value.T
        if name == "decoder.head.weight":
            value = value[:, :, None, None]
        renamed[MMSEGMENTATION.theirs(name)] = np.ascontiguousarray(value)
    return renamed


def test_mmsegmentation_names() -> None:
    for ours, theirs in PAIRS.items():
        assert MMSEGMENTATION.theirs(ours) == theirs


@pytest.mark.parametrize(
    "decoder", [{"name": "mask_transformer", "n_layers": 1}, {"name": "linear"}], ids=["mask", "linear"]
)
@pytest.mark.parametrize("names", [lambda w: w, as_mmsegmentation], ids=["original", "mmsegmentation"])
@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_every_container_and_naming_gives_the_same_tensors(
    suffix: str, names: Callable[[Weights], Weights], decoder: dict[str, Any], tmp_path: Path
) -> None:
    config = TINY | {"decoder": decoder}
    weights, path = float32(config), tmp_path / f"c{suffix}"
    stored = names(weights)
    if suffix == ".npz":
        np.savez(path, **stored)  # type: ignore[arg-type]
    else:
        save_file(stored, path)
    read, _ = read_checkpoint(path, config)
    assert read.keys() == weights.keys()
    for name, value in weights.items():
        np.testing.assert_array_equal(read[name], value, err_msg=name)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_precisions(dtype: type, tmp_path: Path) -> None:
    weights = {name: value.astype(dtype) for name, value in float32().items()}
    save_file(weights, tmp_path / "c.safetensors")
    read, _ = read_checkpoint(tmp_path / "c.safetensors", TINY)
    for name, value in weights.items():
        np.testing.assert_array_equal(read[name], value, err_msg=name)
        assert read[name].dtype == (np.float64 if dtype is np.float64 else np.float32)


def test_a_classification_head_is_ignored(tmp_path: Path) -> None:
    weights = float32()
    extra = {"encoder.head.weight": np.zeros((10, 32), np.float32), "encoder.head.bias": np.zeros(10, np.float32)}
    save_file(weights | extra, tmp_path / "c.safetensors")
    assert read_checkpoint(tmp_path / "c.safetensors", TINY)[0].keys() == weights.keys()


def test_mmsegmentation_dimensions_are_inferred_from_shapes(tmp_path: Path) -> None:
    config = {
        **TINY,
        "image_size": [32, 32],
        "d_model": 192,
        "n_heads": 3,
        "decoder": {"name": "mask_transformer", "n_layers": 3},
    }
    path = tmp_path / "upper.npz"
    np.savez(path, **as_mmsegmentation(float32(config)))  # type: ignore[arg-type]
    inferred = Checkpoint.open(path).own_config()
    assert inferred is not None
    found, origin = inferred
    assert origin == "inferred from the shapes; assumed: n_heads 3, normalization vit"
    assert found == config | {"name": "upper", "l2_norm": True, "encoder_norm_eps": 1e-6}
    np.savez(path, **float32())  # type: ignore[arg-type]
    assert Checkpoint.open(path).own_config() is None, "shapes determine neither heads nor normalization"


def test_mmsegmentation_always_normalises(cli: Cli) -> None:
    """L2 norms are the default for mmsegmentation's checkpoints: they were trained with them."""
    np.savez("c.npz", **as_mmsegmentation(float32()))  # type: ignore[arg-type]
    Path("c.json").write_text(json.dumps(TINY))
    code, out, err = cli("quantize c.npz --calibrate picture.png -o q.h5")
    assert code == 0, err
    assert "calibrated on 1 picture(s), L2 class norm folded in" in out
    config = intsim.load("q.h5").config
    assert (config["l2_norm"], config["encoder_norm_eps"]) == (True, 1e-6)
    Path("c.json").write_text(json.dumps(TINY | {"l2_norm": False}))
    assert "folded" not in cli("quantize c.npz --calibrate picture.png -o q.h5")[1]
    assert intsim.load("q.h5").config["l2_norm"] is False


def test_the_configuration_next_to_a_checkpoint(tmp_path: Path) -> None:
    checkpoint = tmp_path / "net.safetensors"
    assert config_beside(checkpoint) is None
    (tmp_path / "variant.yml").touch()
    assert config_beside(checkpoint) == tmp_path / "variant.yml"
    (tmp_path / "net.json").touch()
    assert config_beside(checkpoint) == tmp_path / "net.json"


def test_yaml_accepts_the_tuples_of_published_files_and_no_code(tmp_path: Path) -> None:
    path = tmp_path / "variant.yml"
    text = "net_kwargs:\n" + "".join(f"  {key}: {json.dumps(value)}\n" for key, value in TINY.items() if key != "image_size")
    path.write_text(f"{text}  image_size: !!python/tuple\n  - 24\n  - 40\n")
    assert SegmenterConfig.of(read_config(path)).grid == (3, 5)
    for tag in ("!!python/object/apply:os.system ['true']", "!!python/name:os.system", "!!python/tuple [1"):
        path.write_text(f"{text}  image_size: {tag}\n")
        with pytest.raises(FileError, match=r"variant\.yml: not plain YAML data"):
            read_config(path)


def test_published_decoders_have_64_channels_per_head(tmp_path: Path) -> None:
    """Regardless of the encoder, as in the original. All published sizes have 64 in both."""
    path = tmp_path / "variant.json"
    for width, heads, expected in ((192, 3, 3), (128, 4, 2), (32, 2, 2)):
        path.write_text(json.dumps({"net_kwargs": TINY | {"d_model": width, "n_heads": heads}}))
        dimensions = SegmenterConfig.of(read_config(path))
        assert (dimensions.n_heads, dimensions.decoder_heads) == (heads, expected)
    assert SegmenterConfig.of(TINY | {"d_model": 128, "n_heads": 4}).decoder_heads == 4
    with pytest.raises(IntsimError, match="d_model 32 is not a multiple of decoder_heads 3"):
        SegmenterConfig.of(TINY | {"decoder": {"name": "mask_transformer", "n_heads": 3}})


def test_the_origin_of_the_configuration_is_reported(cli: Cli) -> None:
    """Assumptions, such as the number of heads, are reported, and no other network's configuration is used."""
    np.savez("m.npz", **as_mmsegmentation(float32({**TINY, "image_size": [32, 32]})))  # type: ignore[arg-type]
    out = cli("quantize m.npz --calibrate picture.png --resize -o q.h5")[1]
    assert "configuration: inferred from the shapes; assumed: n_heads 1, normalization vit\n" in out
    save_file(float32(), "c.safetensors")
    code, _, err = cli("quantize c.safetensors --calibrate picture.png -o n.h5")
    assert code == 2
    assert "c.safetensors: its configuration is not next to it, as c.json or variant.yml; give it, or a model" in err
    assert cli("quantize c.safetensors -m model.h5 --calibrate picture.png -o q.h5")[1].endswith("that of model.h5\n")
    Path("c.json").write_text(json.dumps(TINY))
    assert cli("quantize c.safetensors --calibrate picture.png -o q.h5")[1].endswith("configuration: c.json\n")
    np.savez("m.npz", **as_mmsegmentation(float32()))  # type: ignore[arg-type]
    assert (
        "its 15 position embeddings do not form a square, and its configuration is not next to it, as m.json"
        in cli("quantize m.npz picture.png -o n.h5")[2]
    )


def test_contradictions_in_a_configuration() -> None:
    with pytest.raises(IntsimError, match="n_cls is 5, and 9 in the decoder"):
        SegmenterConfig.of(TINY | {"decoder": {"name": "linear", "n_cls": 9}})
    with pytest.raises(IntsimError, match="window_stride 25 leaves gaps"):
        SegmenterConfig.of(TINY | {"window_stride": 25})


# --- sizes -------------------------------------------------------------------------------------------------------------


def test_bilinear_by_hand() -> None:
    np.testing.assert_array_equal(bilinear(2, 4), [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    np.testing.assert_array_equal(bilinear(4, 2), [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])
    np.testing.assert_array_equal(bilinear(3, 3), np.eye(3))
    np.testing.assert_array_equal(bilinear(1, 3), np.ones((3, 1)))
    for size, wanted in [(14, 32), (24, 32), (32, 14), (5, 7)]:
        np.testing.assert_allclose(bilinear(size, wanted).sum(axis=1), 1)


def test_the_extra_tokens_keep_their_positions() -> None:
    value = np.arange(2 + 6).reshape(1, 8, 1).astype(np.float64)
    new = resized_positions(value, 2, (2, 3), (4, 3))
    np.testing.assert_array_equal(new[0, :2], value[0, :2])
    np.testing.assert_allclose(new[0, 2:].reshape(4, 3), bilinear(2, 4) @ value[0, 2:].reshape(2, 3))


def test_one_checkpoint_gives_models_for_several_sizes(cli: Cli) -> None:
    save_file(float32(), "c.safetensors")
    Path("c.json").write_text(json.dumps(TINY))
    for size, expected in {"40x24": (24, 40), "64x32": (32, 64), "16": (16, 16), "37x21": (21, 37)}.items():
        code, _, err = cli(f"quantize c.safetensors --calibrate picture.png --resize --size {size} -o q.h5")
        assert code == 0, err
        graph = intsim.load("q.h5")
        assert graph.tensors["labels"].shape == expected
        assert graph.config["trained_size"] == [24, 40]
    same = quantize_weights(float32(), TINY, [random_picture(TINY, 5)], dialects.ISEGMENTER, "x")
    cli("quantize c.safetensors --calibrate picture.png --size 40x24 -o q.h5")
    assert intsim.load("q.h5").content_hash == same.content_hash


def test_position_embeddings_are_resized_from_the_trained_grid(tmp_path: Path) -> None:
    """Unchanged where their number fits; else from the configured trained size, or from a square."""
    path = tmp_path / "c.safetensors"
    square = {**TINY, "image_size": [32, 32]}
    save_file(float32(square), path)
    assert read_checkpoint(path, TINY)[0]["encoder.pos_embed"].shape == (1, 16, 32)
    oblong = {**TINY, "image_size": [64, 8]}  # 8 patches, as 2 x 4
    save_file(float32({**TINY, "image_size": [16, 32]}), path)
    plain = read_checkpoint(path, oblong)[0]["encoder.pos_embed"]
    kept = read_checkpoint(path, oblong | {"trained_size": [16, 32]})[0]["encoder.pos_embed"]
    np.testing.assert_array_equal(plain, kept)  # as the original does: the number of tokens is compared, not the sides
    with pytest.raises(FileError, match=r"8 position embeddings fit neither the 3 x 5 patches.* trained_size"):
        read_checkpoint(path, TINY)
    with pytest.raises(FileError, match=r"9 position embeddings; expected 1 and those of the 3 x 3 patches"):
        read_checkpoint(path, TINY | {"trained_size": 24})


def test_at_size_keeps_the_trained_size() -> None:
    once = at_size(TINY, 64, 48)
    twice = at_size(once, 16, 16)
    assert (once["image_size"], twice["image_size"]) == ([64, 48], [16, 16])
    assert twice["trained_size"] == TINY["image_size"]
    with pytest.raises(IntsimError, match="width must be a positive whole number, not 0"):
        at_size(TINY, 16, 0)


# --- refused checkpoints -----------------------------------------------------------------------------------------------


def changed(**tensors: NDArray | None) -> Weights:
    """A checkpoint with tensors (dots as __) replaced, or removed where None."""
    weights = float32() | {name.replace("__", "."): value for name, value in tensors.items()}  # type: ignore[operator]
    return {name: value for name, value in weights.items() if value is not None}


ZEROS = np.zeros(32, np.float32)
REFUSED: dict[str, tuple[Weights, str]] = {
    "another architecture": (
        {"layer1.0.conv1.weight": ZEROS},
        "is a ResNet; supported are a Segmenter",
    ),
    "no tensor": ({}, "not a supported network: its 0 tensors"),
    "another encoder": (
        {"encoder.layers.0.weight": ZEROS},
        "not a supported network: its 1 tensors, such as encoder.layers.0.weight,",
    ),
    "another mmsegmentation": (
        {"backbone.conv1.weight": ZEROS, "decode_head.conv_seg.weight": ZEROS},
        "is another network of mmsegmentation; supported are a Segmenter",
    ),
    "classes": (
        changed(decoder__cls_emb=np.zeros((1, 9, 32), np.float32)),
        "cls_emb is [1, 9, 32], the configuration requires",
    ),
    "classes, why": (
        changed(decoder__cls_emb=np.zeros((1, 9, 32), np.float32)),
        "n_cls is 9 in the checkpoint and 5 in the configuration",
    ),
    "axes": (changed(encoder__cls_token=ZEROS), "encoder.cls_token is [32], the configuration requires [1, 1, 32]"),
    "positions without an axis": (changed(encoder__pos_embed=ZEROS), "encoder.pos_embed is [32]"),
    "positions of another width": (
        changed(encoder__pos_embed=np.zeros((1, 16, 8), np.float32)),
        "d_model is 8 in the checkpoint and 32",
    ),
    "no position": (changed(encoder__pos_embed=np.zeros((1, 1, 32), np.float32)), "0 position embeddings fit neither"),
    "deeper": (changed(encoder__blocks__2__norm1__bias=ZEROS), "encoder.blocks.2.norm1.bias is not part"),
    "distilled": (changed(encoder__dist_token=np.zeros((1, 1, 32), np.float32)), "encoder.dist_token is not part"),
    "shallower": (changed(encoder__blocks__1__norm1__bias=None), "tensor encoder.blocks.1.norm1.bias is missing"),
    "integers": (
        changed(encoder__norm__bias=np.zeros(32, np.int32)),
        "encoder.norm.bias is I32; expected F64, F32, F16 or BF16",
    ),
}


@pytest.mark.parametrize(("stored", "words"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_refused(suffix: str, stored: Weights, words: str, cli: Cli) -> None:
    """One line that names file and tensor, exit code 2, and no output."""
    if suffix == ".npz":
        np.savez("c.npz", **stored)  # type: ignore[arg-type]
        words = words.replace("I32;", "int32;")
    else:
        save_file(stored, "c.safetensors")
    Path("c.json").write_text(json.dumps(TINY))
    code, out, err = cli(f"quantize c{suffix} --calibrate picture.png -o q.h5")
    assert (code, out) == (2, "")
    assert words in err
    assert err.startswith(f"intsim: c{suffix}: ")
    assert len(err.splitlines()) == 1
    assert not Path("q.h5").exists()


def test_damaged_npz_files(cli: Cli) -> None:
    Path("c.json").write_text(json.dumps(TINY))
    np.savez("c.npz", **changed())  # type: ignore[arg-type]
    whole = Path("c.npz").read_bytes()
    objects = np.array([{}, []], object)
    with zipfile.ZipFile("lying.npz", "w") as archive:  # with correct checksums
        for name, value in changed().items():
            member = io.BytesIO()
            np.save(member, value)
            archive.writestr(f"{name}.npy", member.getvalue().replace(b"(1, 5, 32)", b"(9, 5, 32)"))
    with zipfile.ZipFile("garbled.npz", "w") as archive:  # NumPy's own reader fails on such a header
        garbled = member.getvalue().replace(b"(32, 32)", b"(\xed\xe8\xd2\xa9, ").replace(b"(32,)", b"(\xed\xe8, ")
        archive.writestr("encoder.x.npy", garbled)
    for content, words in (
        (Path("garbled.npz").read_bytes(), "encoder.x: not a readable .npy"),
        (whole[: len(whole) // 2], "not a readable .npz file"),
        (b"", "not a readable .npz file"),
        (whole.replace(b"(1, 5, 32)", b"(9, 5, 32)"), "decoder.cls_emb: it is damaged"),
        (Path("lying.npz").read_bytes(), "decoder.cls_emb: it declares 5760 bytes and contains fewer"),
        (objects, "encoder.x: it contains Python objects, which are never loaded"),
    ):
        if isinstance(content, bytes):
            Path("c.npz").write_bytes(content)
        else:
            np.savez("c.npz", **{"encoder.x": content})  # type: ignore[arg-type]
        code, _, err = cli("quantize c.npz --calibrate picture.png -o q.h5")
        assert code == 2
        assert words in err, err
        assert len(err.splitlines()) == 1


def test_pytorch_files_without_torch(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    Path("c.pth").write_bytes(b"PK")
    Path("c.json").write_text(json.dumps(TINY))
    code, _, err = cli("quantize c.pth --calibrate picture.png -o q.h5")
    assert code == 2
    assert err == (
        "intsim: c.pth: PyTorch files need torch: pip install 'intsim[torch]', or save the state dict as safetensors\n"
    )


def test_parameters_lists_every_tensor_of_a_checkpoint() -> None:
    """A checkpoint without any one of them is refused by name."""
    assert set(parameters(SegmenterConfig.of(TINY))) == set(float32())
