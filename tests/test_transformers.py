"""Against Hugging Face transformers' own classes and ``save_pretrained``. `make torch` runs them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="torch is not installed: `make torch` runs these")
transformers = pytest.importorskip("transformers", reason="transformers is not installed: `make torch` runs these")

import intsim
from intsim.nets.networks import built, dimensions_of
from intsim.nets.settings import normalization
from intsim.quantization import Checkpoint
from intsim.quantization.pipeline import configuration_of

ViT = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 96,
    "image_size": 32,
    "patch_size": 8,
    "num_labels": 5,
}
DINO = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "mlp_ratio": 2,
    "image_size": 28,
    "patch_size": 7,
    "num_labels": 5,
}
SWIN = {
    "embed_dim": 16,
    "depths": [2, 2],
    "num_heads": [1, 2],
    "window_size": 3,
    "image_size": 48,
    "patch_size": 4,
    "num_labels": 5,
}
CLASSES: dict[str, tuple[str, dict[str, Any]]] = {
    "ViTForImageClassification": ("ViTConfig", ViT),
    "DeiTForImageClassification": ("DeiTConfig", ViT),
    "DeiTForImageClassificationWithTeacher": ("DeiTConfig", ViT),
    "SwinForImageClassification": ("SwinConfig", SWIN),
    "Dinov2ForImageClassification": ("Dinov2Config", DINO),
    "Dinov2WithRegistersForImageClassification": ("Dinov2WithRegistersConfig", DINO),
    "Dinov2Model": ("Dinov2Config", DINO),
    "Dinov2WithRegistersModel": ("Dinov2WithRegistersConfig", DINO),
    "ViTModel": ("ViTConfig", ViT),
    "DeiTModel": ("DeiTConfig", ViT),
}


def network(name: str) -> Any:
    """A network of transformers with random weights of a useful size."""
    torch.manual_seed(0)
    config, settings = CLASSES[name]
    net = getattr(transformers, name)(getattr(transformers, config)(**settings)).eval()
    for key, value in net.named_parameters():
        mean = 1.0 if "norm" in key and key.endswith("weight") else 0.5 if "layer_scale" in key else 0.0
        torch.nn.init.normal_(value, mean, 0.1)
    return net


def logits(net: Any, picture: NDArray, config: dict[str, Any], **options: Any) -> NDArray:
    mean, std = (torch.tensor(part, dtype=torch.float64) for part in normalization(config["normalization"]))
    pixels = (torch.from_numpy(picture).double() / 255 - mean) / std
    with torch.no_grad():
        output = net.double()(pixels.permute(2, 0, 1)[None], **options)
    found: NDArray = (output.logits if "logits" in output else output.last_hidden_state)[0].numpy()
    return found


def picture_of(config: dict[str, Any]) -> NDArray:
    size = dimensions_of(config)
    return np.random.default_rng(1).integers(0, 256, (size.height, size.width, 3)).astype(np.uint8)


@pytest.mark.parametrize("shards", ["50GB", "60KB"])
@pytest.mark.parametrize("name", CLASSES)
def test_what_save_pretrained_writes(name: str, shards: str, tmp_path: Path) -> None:
    """The folder is imported at first try, and the scores, or an encoder's features, are those of transformers."""
    net = network(name)
    net.save_pretrained(tmp_path / "net", max_shard_size=shards)
    checkpoint = Checkpoint.open(tmp_path / "net")
    assert (len(checkpoint.files) > 1) == (shards == "60KB")
    config, _ = configuration_of(checkpoint, None, None, None)
    picture = picture_of(config)
    due = logits(net, picture, config)
    ours = built(config, checkpoint.weights(config)).run(picture)
    np.testing.assert_allclose(ours.reshape(due.shape), due, atol=1e-6)
    result = intsim.quantize(tmp_path / "net", [picture])
    found = intsim.run(result.graph, picture)
    assert found.size == due.size
    if name.endswith("Model"):
        assert result.agreement is None
        assert result.features is not None
        assert result.features > 20
        np.testing.assert_allclose(found * result.graph.scales[result.graph.output.name], due, atol=0.5)


@pytest.mark.parametrize("name", ["ViTForImageClassification", "Dinov2ForImageClassification"])
def test_another_size(name: str, tmp_path: Path) -> None:
    """Position embeddings are resized as transformers does it, to larger and to smaller grids."""
    net = network(name)  # with a square picture, as their own resizing requires
    net.save_pretrained(tmp_path / "net")
    checkpoint = Checkpoint.open(tmp_path / "net")
    patch = net.config.patch_size
    for rows, columns in ((3, 9), (7, 5)):
        config, _ = configuration_of(checkpoint, None, None, (rows * patch, columns * patch))
        picture = picture_of(config)
        ours = built(config, checkpoint.weights(config)).run(picture).reshape(-1)
        options = {} if name.startswith("Dino") else {"interpolate_pos_encoding": True}
        np.testing.assert_allclose(ours, logits(net, picture, config, **options), atol=1e-6)


@pytest.mark.parametrize("dynamo", [False, True], ids=["script", "dynamo"])
@pytest.mark.parametrize("name", [name for name in CLASSES if not name.startswith("Swin")])
def test_exported_networks(name: str, dynamo: bool, tmp_path: Path) -> None:
    """The weights in what PyTorch's two exporters write are those of the network; a Swin's bias tables are not in there."""
    pytest.importorskip("onnxscript", reason="onnxscript is not installed: `make torch` runs these")
    if "Registers" in name and not dynamo:
        pytest.skip("PyTorch's script exporter does not export it: upsampling with antialiasing")
    net = network(name)
    net.save_pretrained(tmp_path / "net")
    config, _ = configuration_of(Checkpoint.open(tmp_path / "net"), None, None, None)
    size = dimensions_of(config)
    file = tmp_path / "net" / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (torch.zeros(1, 3, size.height, size.width),), str(file), dynamo=dynamo, external_data=False)
    expected = Checkpoint.open(tmp_path / "net").weights(config)
    (tmp_path / "net" / "model.safetensors").unlink()
    for place in (file, tmp_path / "net"):
        checkpoint = Checkpoint.open(place)
        assert configuration_of(checkpoint, None, None, None)[0] == config
        found = checkpoint.weights(config)
        assert found.keys() == expected.keys()
        assert all((found[key] == value).all() for key, value in expected.items())
