"""Checkpoints in ONNX files, made here as exporters write them; `make torch` reads what PyTorch's exporters write."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import intsim
from intsim.errors import FileError
from intsim.quantization import Checkpoint
from intsim.quantization.onnx_weights import exported_weights
from intsim.quantization.synth import random_picture, random_weights

from networks import TINY, TINY_DEIT

Cli = Callable[..., tuple[int, str, str]]
Weights = dict[str, NDArray]
Change = Callable[[list[Any], list[Any]], None]


def as_exported(weights: Weights, how: str, fold: tuple[str, ...] = ()) -> tuple[list[Any], list[Any]]:
    """Nodes and initializers of a network as exporters write them: linear layers as products with anonymous, transposed
    weights. `how` is where their names are: in ``biases``, in the nodes' ``names``, or in ``scopes``. `fold` are tokens and
    positions that were computed ahead.
    """
    nodes, stored = [helper.make_node("Erf", ["x"], ["erf"])], []
    for number, (name, value) in enumerate(weights.items()):
        own = name if name not in fold else f"onnx::Concat_{number}"
        if name.endswith(".weight") and value.ndim == 2 and not name.startswith("head."):
            module, own = name.removesuffix(".weight"), f"onnx::MatMul_{number}"
            title = "/" + module.replace(".", "/") + "/MatMul" if how == "names" else f"node_{number}"
            node = helper.make_node("MatMul", ["x", own], [f"y{number}"], name=title.replace("/blocks/", "/blocks."))
            if how == "scopes":
                entry = node.metadata_props.add()
                entry.key, entry.value = "pkg.torch.onnx.name_scopes", repr(["", module, "linear"])
            nodes.append(node)
            if how == "biases" and f"{module}.bias" in weights:
                nodes.append(helper.make_node("Add", [f"{module}.bias", f"y{number}"], [f"z{number}"]))
            value = np.ascontiguousarray(value.T)
        stored.append(numpy_helper.from_array(value.astype(np.float32), own))
    tokens = [tensor.name for tensor in stored if tensor.name.startswith("onnx::Concat")]
    if "pos_embed" in fold:
        first, rest = (weights["pos_embed"][:, part].astype(np.float32) for part in (slice(1), slice(1, None)))
        stored = [tensor for tensor in stored if tensor.name not in tokens]
        stored += [numpy_helper.from_array(first, "onnx::Concat_p"), numpy_helper.from_array(rest, "onnx::Reshape_p")]
        nodes.append(helper.make_node("Reshape", ["onnx::Reshape_p", "shape"], ["grid"]))
        nodes.append(helper.make_node("Concat", ["onnx::Concat_p", "resized"], ["places"], axis=1))
    elif tokens:
        nodes.append(helper.make_node("Concat", [*tokens, "patches"], ["tokens"], axis=1))
    stored += [numpy_helper.from_array(np.array([3, 4]), "val_4"), numpy_helper.from_array(np.float32(2), "blocks/scale")]
    return nodes, stored


def written(path: Path, parts: tuple[list[Any], list[Any]]) -> Path:
    """An ONNX file of nodes and initializers."""
    output = helper.make_tensor_value_info("erf", TensorProto.FLOAT, None)
    picture = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    onnx.save(helper.make_model(helper.make_graph(parts[0], "net", [picture], [output], parts[1])), path)
    return path


WAYS: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
    "biases": (TINY_DEIT, "biases", ()),
    "names of nodes": (TINY_DEIT, "names", ()),
    "scopes": (TINY_DEIT, "scopes", ()),
    "class token ahead": (TINY_DEIT, "biases", ("cls_token",)),
    "two tokens ahead": ({**TINY_DEIT, "distilled": True}, "biases", ("cls_token", "dist_token")),
    "positions resized in the graph": (TINY_DEIT, "biases", ("pos_embed",)),
    "a Segmenter": (TINY | {"decoder": {"name": "linear"}}, "scopes", ()),
}


@pytest.mark.parametrize(("config", "how", "fold"), WAYS.values(), ids=WAYS)
def test_exported_weights_have_their_names(config: dict[str, Any], how: str, fold: tuple[str, ...], tmp_path: Path) -> None:
    weights = random_weights(config, 3)
    path = written(tmp_path / "net.onnx", as_exported(weights, how, fold))
    found = Checkpoint.open(path).weights(config)
    assert found.keys() == weights.keys()
    for name, value in weights.items():
        assert (found[name] == value.astype(np.float32)).all(), name


def test_a_pooler_is_not_read(tmp_path: Path) -> None:
    """Its tanh is no activation of the network."""
    weights = random_weights(TINY_DEIT, 3)
    nodes, stored = as_exported(weights, "biases")
    nodes.append(helper.make_node("Tanh", ["x"], ["pooled"]))
    found = Checkpoint.open(written(tmp_path / "net.onnx", (nodes, stored))).weights(TINY_DEIT)
    assert found.keys() == weights.keys()


def test_a_model_from_an_onnx_file(cli: Cli) -> None:
    """The same model as from safetensors: content hash for content hash."""
    weights, picture = random_weights(TINY_DEIT, 3), random_picture(TINY_DEIT, 4)
    written(Path("net.onnx"), as_exported(weights, "biases"))
    graph = intsim.quantize("net.onnx", [picture], config=TINY_DEIT).graph
    from safetensors.numpy import save_file

    save_file({name: value.astype(np.float32) for name, value in weights.items()}, "net.safetensors")
    assert intsim.quantize("net.safetensors", [picture], config=TINY_DEIT).graph.content_hash == graph.content_hash


def test_values_beside_the_file(tmp_path: Path) -> None:
    """External data is read from the folder of the file, and from nowhere else."""
    weights = random_weights(TINY_DEIT, 3)
    nodes, stored = as_exported(weights, "biases")
    model = onnx.load(written(tmp_path / "net.onnx", (nodes, stored)))
    onnx.save(model, tmp_path / "net.onnx", save_as_external_data=True, location="net.bin", size_threshold=16)
    found = Checkpoint.open(tmp_path / "net.onnx").weights(TINY_DEIT)
    assert all((found[name] == value.astype(np.float32)).all() for name, value in weights.items())
    name = "blocks.0.mlp.fc2.weight"

    def refused() -> str:
        with pytest.raises(FileError) as error:
            exported_weights(tmp_path / "net.onnx")[name].read()
        return str(error.value)

    (tmp_path / "net.bin").write_bytes((tmp_path / "net.bin").read_bytes()[:64])
    assert "net.bin is too short for" in refused()
    (tmp_path / "net.bin").unlink()
    assert "its values are in net.bin, which is not there" in refused()
    model = onnx.load(tmp_path / "net.onnx", load_external_data=False)
    (tmp_path / "inner").mkdir()
    (tmp_path / "secret").write_bytes(bytes(1 << 20))
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../secret"
    (tmp_path / "inner" / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(FileError, match=r"'\.\./secret', outside the folder of the file"):
        exported_weights(tmp_path / "inner" / "net.onnx")[name].read()


def _relu(nodes: list[Any], stored: list[Any]) -> None:
    nodes[0] = helper.make_node("Relu", ["x"], ["erf"])


def _tanh(nodes: list[Any], stored: list[Any]) -> None:
    nodes[0] = helper.make_node("Gelu", ["x"], ["erf"], approximate="tanh")


def _quantized(nodes: list[Any], stored: list[Any]) -> None:
    nodes.append(helper.make_node("DequantizeLinear", ["q", "s"], ["d"]))


def _anonymous(nodes: list[Any], stored: list[Any]) -> None:
    for node in nodes:
        node.name = ""
        if node.op_type == "Add":
            node.input[0] = "lost"


def _short(nodes: list[Any], stored: list[Any]) -> None:
    tensor = next(tensor for tensor in stored if tensor.name == "norm.bias")
    tensor.raw_data = tensor.raw_data[:5]


def _two_activations(nodes: list[Any], stored: list[Any]) -> None:
    added = next(node for node in nodes if node.input[0] == "blocks.0.mlp.fc1.bias")
    nodes.append(helper.make_node("Mul", [added.output[0], "x"], ["cubed"]))
    nodes.append(helper.make_node("Tanh", ["cubed"], ["tanh"]))


def _sigmoid(nodes: list[Any], stored: list[Any]) -> None:
    nodes.append(helper.make_node("Sigmoid", ["x"], ["s"]))


def _one_name(nodes: list[Any], stored: list[Any]) -> None:
    stored.append(stored[0])


def _unknown_type(nodes: list[Any], stored: list[Any]) -> None:
    next(tensor for tensor in stored if tensor.name == "norm.bias").data_type = 99


def _negative(nodes: list[Any], stored: list[Any]) -> None:
    next(tensor for tensor in stored if tensor.name == "norm.bias").dims[0] = -4


def _empty(nodes: list[Any], stored: list[Any]) -> None:
    nodes.clear()


BAD: dict[str, tuple[Change, str]] = {
    "another activation": (_relu, "its activation is Relu; supported is the exact GELU"),
    "GELU by tanh": (_tanh, "its activation is GELU by tanh; supported is the exact GELU"),
    "two activations": (_two_activations, "its activation is GELU by tanh, or tanh, behind blocks.0.mlp.fc1"),
    "a sigmoid anywhere": (_sigmoid, "its activation is Sigmoid; supported is the exact GELU"),
    "two of one name": (_one_name, "two of its tensors have one name"),
    "an unknown type": (_unknown_type, "tensor norm.bias has the type 99, which ONNX does not have"),
    "a negative side": (_negative, "tensor norm.bias has the shape [-4]"),
    "quantized": (_quantized, "is quantized, it has DequantizeLinear; expected the float network"),
    "no names": (_anonymous, "tensor blocks.0.attn.qkv.weight is missing"),
    "too few values": (_short, "tensor norm.bias cannot be read"),
    "no graph": (_empty, "not an ONNX file, or one without a graph"),
}


@pytest.mark.parametrize(("change", "words"), BAD.values(), ids=BAD)
def test_what_an_onnx_file_cannot_be(change: Change, words: str, cli: Cli) -> None:
    """One line, exit code 2, nothing written."""
    parts = as_exported(random_weights(TINY_DEIT, 3), "biases")
    change(*parts)
    written(Path("net.onnx"), parts)
    Path("net.json").write_text(json.dumps(TINY_DEIT))
    refused(cli, words)


@pytest.mark.parametrize("content", [b"", b"\0" * 50, b"not a file of ONNX at all", b"\x08\x07\x3a\xff\xff\xff\xff\x0f"])
def test_no_onnx_file(content: bytes, cli: Cli) -> None:
    Path("net.onnx").write_bytes(content)
    Path("net.json").write_text(json.dumps(TINY_DEIT))
    refused(cli, "not an ONNX file, or")


def refused(cli: Cli, words: str) -> None:
    from PIL import Image

    Image.fromarray(random_picture(TINY_DEIT, 4)).save("p.png")
    code, _, err = cli("quantize net.onnx --calibrate p.png -o m.h5")
    assert code == 2
    assert words in err
    assert len(err.strip().splitlines()) == 1
    assert not Path("m.h5").exists()
