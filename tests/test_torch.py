"""Against torch: the real-valued graphs of every published size, and PyTorch's checkpoint files. `make torch` runs them."""

from __future__ import annotations

import argparse
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="torch is not installed: `make torch` runs these")

import yaml
from safetensors.torch import save_file
from torch.nn import functional as F

import intsim
from intsim import dialects
from intsim.errors import FileError
from intsim.nets.positions import resized_positions
from intsim.nets.segmenter import SCORES, SegmenterConfig, segmenter
from intsim.quantization import Checkpoint, read_checkpoint, read_config
from intsim.quantization.ivit import import_checkpoint
from intsim.quantization.synth import SIZES, preset, random_picture

import mmsegmentation_torch
import segmenter_torch
from networks import TINY

Config = dict[str, Any]


def scores_of(config: Config, weights: dict[str, NDArray], picture: NDArray) -> NDArray:
    """The scores [h, w, classes] of our real-valued graph as it was trained."""
    return segmenter(SegmenterConfig.of(config), weights).tensors(picture, [SCORES])[SCORES]


def pixels(picture: NDArray, config: Config) -> torch.Tensor:
    """A picture as torch takes it, normalised."""
    c = SegmenterConfig.of(config)
    normalised = (torch.from_numpy(picture).double() / 255 - torch.tensor(c.mean)) / torch.tensor(c.std)
    return normalised.permute(2, 0, 1)[None].float()


def original(config: Config) -> torch.nn.Module:
    """The original Segmenter of a configuration, with random weights."""
    c = SegmenterConfig.of(config)
    model = segmenter_torch.Segmenter(
        (c.height, c.width),
        c.patch,
        c.d_model,
        c.n_heads,
        c.n_layers,
        c.n_cls,
        c.decoder_layers or None,
        l2_norm=c.l2_norm,
        distilled=c.extra_tokens == 2,
    )
    mmsegmentation_torch.randomise(model, 1)
    return model.eval()


PUBLISHED = [
    (size, patch, decoder)
    for size, patch in [("t", 16), ("s", 16), ("b", 16), ("l", 16), ("b", 8), ("s", 32), ("b", 32), ("l", 32)]
    for decoder in ("mask", "linear")
]


@pytest.mark.parametrize(("size", "patch", "decoder"), PUBLISHED)
def test_every_published_size_agrees_with_torch(size: str, patch: int, decoder: str) -> None:
    """Rectangular, L2 norm as published, random weights: every score within 1e-4."""
    config = preset(f"seg-{size}{patch}-{decoder}@{3 * patch}x{2 * patch}", classes=19) | {"l2_norm": True}
    model, picture = original(config), random_picture(config, 2)
    assert SIZES[size][0] == config["d_model"]
    with torch.no_grad():
        expected = model(pixels(picture, config))[0].permute(1, 2, 0).numpy()
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    np.testing.assert_allclose(scores_of(config, weights, picture), expected, rtol=0, atol=1e-4)
    assert expected.std() > 0.1, "equal scores would prove nothing"


@pytest.mark.parametrize("size", ["t", "s", "b"])
@pytest.mark.parametrize("decoder", ["mask", "linear"])
def test_distilled_encoders_agree_with_torch(size: str, decoder: str) -> None:
    config = preset(f"seg-{size}16-{decoder}@32x48", classes=7)
    config |= {"l2_norm": True, "distilled": True, "normalization": "deit"}
    model, picture = original(config), random_picture(config, 2)
    with torch.no_grad():
        expected = model(pixels(picture, config))[0].permute(1, 2, 0).numpy()
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    np.testing.assert_allclose(scores_of(config, weights, picture), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("decoder_layers", [2, 0])
@pytest.mark.parametrize("size", ["t", "s"])
def test_mmsegmentation_agrees_with_torch(size: str, decoder_layers: int, tmp_path: Path) -> None:
    """From its checkpoint file, by its names, with the configuration inferred from its shapes."""
    width, heads, layers = SIZES[size]
    model = mmsegmentation_torch.Segmenter(4, 16, width, heads, layers, 150, decoder_layers).eval()
    mmsegmentation_torch.randomise(model, 3)
    path = tmp_path / "segmenter.pth"
    torch.save({"meta": {"CLASSES": ["wall"] * 150}, "state_dict": model.state_dict()}, path)
    inferred = Checkpoint.open(path).own_config()
    assert inferred is not None
    config = inferred[0]
    assert (config["image_size"], config["n_cls"], config["n_layers"]) == ([32, 32], 150, layers)
    picture = random_picture(config, 2)
    with torch.no_grad():
        expected = model(pixels(picture, config))[0].numpy()
    found = scores_of(config, read_checkpoint(path, config)[0], picture)
    np.testing.assert_allclose(found.reshape(4, 150), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("extra", [1, 2])
@pytest.mark.parametrize(("old", "new"), [((4, 4), (7, 9)), ((5, 3), (2, 2)), ((24, 24), (32, 32)), ((3, 1), (1, 6))])
def test_positions_are_resized_as_published(extra: int, old: tuple[int, int], new: tuple[int, int]) -> None:
    value = torch.randn(1, extra + old[0] * old[1], 8, dtype=torch.float64)
    grid = value[:, extra:].reshape(1, *old, 8).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=new, mode="bilinear").permute(0, 2, 3, 1).reshape(1, -1, 8)
    expected = torch.cat([value[:, :extra], grid], 1).numpy()
    np.testing.assert_allclose(resized_positions(value.numpy(), extra, old, new), expected, rtol=0, atol=1e-12)


# --- checkpoint.pth and variant.yml ------------------------------------------------------------------------------------


def published(folder: Path, config: Config) -> Path:
    """The files that the original implementation writes in training: checkpoint.pth, and variant.yml with its tuples."""
    model = original(config | {"l2_norm": True})
    torch.save({"model": model.state_dict(), "optimizer": {"state": {}}, "n_cls": 5, "epoch": 63}, folder / "checkpoint.pth")
    net = {key: value for key, value in config.items() if key != "name"}
    net |= {
        "image_size": tuple(config["image_size"]),
        "backbone": "vit_tiny_patch16_384",
        "dropout": 0.0,
        "distilled": False,
    }
    net |= {"drop_path_rate": 0.1, "decoder": {**config["decoder"], "drop_path_rate": 0.0, "dropout": 0.1, "n_cls": 5}}
    (folder / "variant.yml").write_text(
        yaml.dump({"net_kwargs": net, "inference_kwargs": {"window_size": 24, "window_stride": 16}})
    )
    assert "!!python/tuple" in (folder / "variant.yml").read_text(), "as the original writes it"
    return folder / "checkpoint.pth"


def test_a_published_checkpoint_is_read_with_its_variant(tmp_path: Path) -> None:
    path = published(tmp_path, TINY)
    config = read_config(tmp_path / "variant.yml")
    assert (config["l2_norm"], config["window_stride"]) == (True, 16)
    weights, sha256 = read_checkpoint(path, config)
    state = torch.load(path, weights_only=True)["model"]
    for name, value in weights.items():
        np.testing.assert_array_equal(value, state[name].numpy(), err_msg=name)
    assert len(weights) == len(state)
    assert len(sha256) == 64


def test_quantize_finds_the_variant_next_to_a_checkpoint(tmp_path: Path, cli: Any) -> None:
    published(Path(), TINY)
    code, _, err = cli("quantize checkpoint.pth --calibrate picture.png -o q.h5")
    assert code == 0, err
    graph = intsim.load("q.h5")
    assert graph.config["l2_norm"] is True
    masks = graph.by_name["decoder.masks.requant"]
    assert np.shape(masks.params["m"]) == (5,), "the class norm is in the multiplier of each class"


@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: {"state_dict": s}, lambda s: {f"module.{k}": v for k, v in s.items()}]
)
def test_state_dicts_are_found(wrap: Any, tmp_path: Path) -> None:
    state = original(TINY).state_dict()
    torch.save(wrap(state), tmp_path / "c.pt")
    assert len(read_checkpoint(tmp_path / "c.pt", TINY)[0]) == len(state)


class Plain:
    """A class that torch does not know."""


@pytest.mark.parametrize(
    ("wrap", "taken", "others"),
    [
        (lambda own, ema: {"model": own, "model_ema": ema, "epoch": 3}, "model", "model_ema"),
        (lambda own, ema: {"state_dict_ema": ema, "state_dict": own}, "state_dict", "state_dict_ema"),
        (lambda own, ema: {"module": own, "ema": {"module": ema}}, "module", "ema.module"),
        (lambda own, ema: {"state_dict": {"model": own}, "ema_state_dict": ema}, "state_dict.model", "ema_state_dict"),
        (lambda own, ema: {"net": own, "optimizer": {"state": {0: {"exp_avg": ema["decoder.cls_emb"]}}}}, "net", ""),
        (lambda own, ema: {"ema": own, "args": argparse.Namespace(lr=0.1, out=[1, "x"])}, "ema", ""),
        (lambda own, ema: {"model": {f"_orig_mod.module.{k}": v for k, v in own.items()}}, "model", ""),
    ],
    ids=range(7),
)
def test_weights_as_trainers_keep_them(wrap: Any, taken: str, others: str, tmp_path: Path) -> None:
    own, ema = original(TINY).state_dict(), {k: v + 1 for k, v in original(TINY).state_dict().items()}
    torch.save(wrap(own, ema), tmp_path / "c.pth")
    weights = read_checkpoint(tmp_path / "c.pth", TINY)[0]
    for name, value in own.items():
        np.testing.assert_array_equal(weights[name], value.numpy(), err_msg=name)
    said = Checkpoint.open(tmp_path / "c.pth").remarks
    assert [f"weights: under {taken}; left out: {others}"] * bool(others) == [s for s in said if s.startswith("weights")]
    assert read_checkpoint(tmp_path / "c.pth", TINY, taken)[0].keys() == weights.keys()
    if others:
        assert np.any(read_checkpoint(tmp_path / "c.pth", TINY, others)[0]["decoder.cls_emb"] != weights["decoder.cls_emb"])


def test_only_plain_classes_are_read_beside_the_weights(tmp_path: Path) -> None:
    torch.save({"model": original(TINY).state_dict(), "args": Plain()}, tmp_path / "c.pth")
    with pytest.raises(FileError, match="refused, it would call"):
        read_checkpoint(tmp_path / "c.pth", TINY)


def test_bfloat16_in_either_container_gives_one_model(tmp_path: Path) -> None:
    state = {name: value.bfloat16() for name, value in original(TINY).state_dict().items()}
    torch.save(state, tmp_path / "c.pth")
    save_file(state, tmp_path / "c.safetensors")
    one, two = (read_checkpoint(tmp_path / name, TINY)[0] for name in ("c.pth", "c.safetensors"))
    assert one.keys() == two.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(two[name], value, err_msg=name)


def test_half_precision_is_read(tmp_path: Path) -> None:
    state = {name: value.bfloat16() for name, value in original(TINY).state_dict().items()}
    torch.save(state, tmp_path / "c.pt")
    weights = read_checkpoint(tmp_path / "c.pt", TINY)[0]
    np.testing.assert_array_equal(weights["decoder.cls_emb"], state["decoder.cls_emb"].float().numpy())


class Bomb:
    """The content of a malicious pickle: a call."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("exploded"),)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_that_would_execute_code_is_refused(legacy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"model": {"a": Bomb()}}, "c.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(FileError, match=r"^c\.pth: refused, it would call \w[\w.]*; only tensors are read"):
        read_checkpoint("c.pth", TINY)
    Path("c.pth").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(FileError, match=r"^c\.pth: "):
        read_checkpoint("c.pth", TINY)
    assert not Path("exploded").exists()


def test_members_that_inflate_are_refused_before_torch_reads_them(tmp_path: Path) -> None:
    """torch inflates members that are compressed, which it never writes, whole."""
    torch.save({"a": torch.zeros(300 << 20, dtype=torch.uint8)}, tmp_path / "whole.pth")
    with (
        zipfile.ZipFile(tmp_path / "whole.pth") as whole,
        zipfile.ZipFile(tmp_path / "c.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for info in whole.infolist():
            packed.writestr(info.filename, whole.read(info))
    (tmp_path / "whole.pth").unlink()
    with pytest.raises(FileError, match=r"c\.pth: its members would become 314,\d{3},\d{3} bytes, more than a file of "):
        read_checkpoint(tmp_path / "c.pth", TINY)


def test_tensors_that_repeat_one_number_are_refused(tmp_path: Path) -> None:
    """A number and strides of 0 are a tensor of any size."""
    state = {name: value.new_zeros(1).expand(1 << 14, 1 << 14) for name, value in original(TINY).state_dict().items()}
    torch.save(state, tmp_path / "c.pth")
    with pytest.raises(FileError, match=r"c\.pth: its tensors would become [\d,]+ bytes"):
        read_checkpoint(tmp_path / "c.pth", TINY)


def test_an_archive_that_python_cannot_list_is_not_given_to_torch(tmp_path: Path) -> None:
    path = published(tmp_path, TINY)
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 6] = 127  # needs version 12.7 of the format
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"not a PyTorch checkpoint, or a truncated one \(zip file version 12\.7\)"):
        read_checkpoint(path, TINY)


def test_bad_pytorch_files_are_one_line_each(cli: Any) -> None:
    path = published(Path(), TINY)
    whole = path.read_bytes()
    state = original(TINY).state_dict()
    cases: list[tuple[str, Any]] = [
        ("not a PyTorch checkpoint, or a truncated one", whole[: len(whole) // 2]),
        ("not a PyTorch checkpoint, or a truncated one", whole[:1000]),
        ("not a PyTorch checkpoint, or a truncated one", b""),
        ("not a PyTorch checkpoint, or a truncated one", b"hello\n" * 40),
        ("contains no state dict", [1, 2, 3]),
        ("contains no state dict", {"model": {}}),
        (
            "is a ResNet; supported are a Segmenter",
            {"layer1.0.conv1.weight": torch.zeros(3)},
        ),
        (
            "not a supported network: its 1 tensors, such as encoder.layers.0.weight,",
            {"encoder.layers.0.weight": torch.zeros(3)},
        ),
        ("tensor decoder.cls_emb is missing", {k: v for k, v in state.items() if k != "decoder.cls_emb"}),
        ("tensor encoder.cls_token is int64", state | {"encoder.cls_token": torch.zeros(1, 1, 32, dtype=torch.int64)}),
        ("tensor encoder.cls_token is [1, 32]", state | {"encoder.cls_token": torch.zeros(1, 32)}),
        ("tensor encoder.cls_token is sparse", state | {"encoder.cls_token": torch.zeros(1, 1, 32).to_sparse()}),
        ("tensor encoder.cls_token is without values", state | {"encoder.cls_token": torch.zeros(1, 1, 32, device="meta")}),
        ("n_cls is 9 in the checkpoint and 5 in the configuration", state | {"decoder.cls_emb": torch.zeros(1, 9, 32)}),
        ("tensor encoder.blocks.7.norm1.bias is not part", state | {"encoder.blocks.7.norm1.bias": torch.zeros(32)}),
    ]
    for words, content in cases:
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        code, out, err = cli("quantize checkpoint.pth --calibrate picture.png -o q.h5")
        assert code == 2, (words, out)
        assert words in err
        assert len(err.splitlines()) == 1
        assert err.startswith("intsim: checkpoint.pth: ")
        assert not Path("q.h5").exists()


@pytest.mark.parametrize("wrapped", ["", "model", "state_dict"])
def test_an_ivit_pytorch_file_equals_its_recording(wrapped: str, tmp_path: Path) -> None:
    """A quantization-aware state dict as torch saves it, also of a distributed training (``module.``)."""
    recording = Path(__file__).parent.parent / "golden" / "ivit-swin-mini.npz"
    with np.load(recording) as archive:
        state = {name.removeprefix("state/"): archive[name] for name in archive.files if name.startswith("state/")}
    tensors = {f"module.{name}" if wrapped else name: torch.from_numpy(value.copy()) for name, value in state.items()}
    path = tmp_path / "swin_qat.pth"
    torch.save({wrapped: tensors} if wrapped else tensors, path)
    own = Checkpoint.open(recording).own_config()
    assert own is not None
    expected = import_checkpoint(Checkpoint.open(recording), own[0], dialects.IVIT)
    assert import_checkpoint(Checkpoint.open(path), own[0], dialects.IVIT).content_hash == expected.content_hash
