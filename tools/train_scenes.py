"""Train the shipped segmenter on procedural street scenes and evaluate it.

    python tools/train_scenes.py

writes weights/scenes.safetensors, weights/scenes.json, weights/training.json and
examples/scenes/.  Needs torch, numpy, Pillow and safetensors.

The model computes one score vector per patch.  Under nearest upsampling the mean
cross-entropy over all pixels equals the cross-entropy of the patch scores against
the histogram of labels in each patch, so training never upsamples.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import PIL
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from scenes import (
    CALIBRATION_SEED,
    CLASSES,
    EVAL_SCENES,
    EVAL_SEED,
    EXAMPLE_SEED,
    EXAMPLES,
    PALETTE,
    TRAIN_SCENES,
    TRAIN_SEED,
    render,
)
from segmenter_torch import Segmenter, normalize

SIZE = 128
PATCH = 8
CONFIG = {
    "name": "scenes",
    "image_size": [SIZE, SIZE],
    "patch_size": PATCH,
    "d_model": 128,
    "n_heads": 4,
    "n_layers": 4,
    "n_cls": len(CLASSES),
    "decoder": {"name": "mask_transformer", "n_layers": 1},
    "normalization": "vit",
    "class_names": list(CLASSES),
    "palette": [list(color) for color in PALETTE],
}

BATCH = 16
PEAK_LR = 1e-3
WEIGHT_DECAY = 0.05
WARM_UP = 300


def render_all(first: int, count: int, workers: int) -> tuple[Tensor, Tensor]:
    """Scenes first .. first + count - 1: pictures [n, 3, H, W] and labels [n, H, W], both uint8."""
    with ProcessPoolExecutor(workers) as pool:
        scenes = list(pool.map(render, range(first, first + count), chunksize=64))
    images = torch.from_numpy(np.stack([image for image, _ in scenes]))
    labels = torch.from_numpy(np.stack([label for _, label in scenes]))
    return images.permute(0, 3, 1, 2).contiguous(), labels


def patch_shares(labels: Tensor) -> Tensor:
    """Share of each class in each patch: [n, H, W] to [n, n_cls, H / P, W / P]."""
    return torch.stack([F.avg_pool2d((labels == k).float(), PATCH) for k in range(len(CLASSES))], dim=1)


def augment(images: Tensor, shares: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mirror half of the batch; vary the gain and offset of each colour slightly."""
    n = len(images)
    mirrored = torch.rand(n, generator=generator) < 0.5
    images, shares = (torch.where(mirrored.view(-1, 1, 1, 1), x.flip(-1), x) for x in (images, shares))
    gain = 1 + 0.08 * torch.randn(n, 1, 1, 1, generator=generator) + 0.04 * torch.randn(n, 3, 1, 1, generator=generator)
    offset = 0.05 * torch.randn(n, 1, 1, 1, generator=generator)
    return (images * gain + offset).clamp(-1, 1), shares


def parameter_groups(model: nn.Module) -> list[dict]:
    """Weight decay for matrices only: not for biases, norms and learned tokens."""
    decayed, free = [], []
    for name, parameter in model.named_parameters():
        token = name.endswith(("cls_token", "pos_embed", "cls_emb"))
        (free if parameter.ndim < 2 or token else decayed).append(parameter)
    return [
        {"params": decayed, "weight_decay": WEIGHT_DECAY},
        {"params": free, "weight_decay": 0.0},
    ]


def learning_rate(step: int, steps: int) -> float:
    """The factor on the peak learning rate: linear warm-up, then a cosine to zero."""
    warm_up = min(WARM_UP, max(1, steps // 10))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def train(model: nn.Module, images: Tensor, shares: Tensor, steps: int, seed: int, peak_lr: float = PEAK_LR) -> None:
    """AdamW with bfloat16 products; the parameters themselves stay float32."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(parameter_groups(model), lr=peak_lr, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate(step, steps))
    per_epoch = len(images) // BATCH
    total, start = 0.0, time.perf_counter()
    for step in range(steps):
        if step % per_epoch == 0:
            order = torch.randperm(len(images), generator=generator)
        batch = order[step % per_epoch * BATCH :][:BATCH]
        x, target = augment(normalize(images[batch]), shares[batch], generator)
        with torch.autocast("cpu", torch.bfloat16):
            scores = model(x)
        loss = F.cross_entropy(scores.float(), target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        total += loss.item()
        done = step % per_epoch + 1
        if done == per_epoch or step == steps - 1:
            seconds = time.perf_counter() - start
            print(
                f"epoch {step // per_epoch + 1:2d}  step {step + 1:5d}/{steps}  loss {total / done:.4f}  {seconds:5.0f} s",
                flush=True,
            )
            total = 0.0


def class_iou(predicted: Tensor, labels: Tensor) -> Tensor:
    """Intersection over union of each class, both accumulated over all pictures."""
    n = len(CLASSES)
    counts = torch.bincount(labels.flatten().long() * n + predicted.flatten().long(), minlength=n * n)
    confusion = counts.reshape(n, n).double()
    both = confusion.diagonal()
    return both / (confusion.sum(0) + confusion.sum(1) - both)


@torch.no_grad()
def evaluate(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """IoU per class in float32, for nearest and bilinear upsampling.

    "patch_oracle" is the majority label of every patch: the score of a perfect patch map.
    """
    scores = torch.cat([model(normalize(chunk)) for chunk in images.split(50)])
    size = (SIZE, SIZE)
    smooth = F.interpolate(scores, size, mode="bilinear", align_corners=False)
    maps = {
        "nearest": F.interpolate(scores, size, mode="nearest").argmax(1),
        "bilinear": smooth.argmax(1),
        "patch_oracle": F.interpolate(patch_shares(labels), size, mode="nearest").argmax(1),
    }
    return {name: class_iou(predicted, labels) for name, predicted in maps.items()}


def norm_health(model: nn.Module) -> dict[str, float]:
    """Largest |beta / gamma| relative to sqrt(n), and smallest |gamma|, over all layer norms."""
    worst, smallest = 0.0, math.inf
    for name, module in model.named_modules():
        if not isinstance(module, nn.LayerNorm):
            continue
        gamma, beta = module.weight.detach().abs(), module.bias.detach().abs()
        limit = math.sqrt(gamma.numel())
        ratio, low = float((beta / gamma).max()), float(gamma.min())
        verdict = "ok" if ratio < limit and low >= 0.02 else "BAD"
        print(f"{name:28s} max |beta/gamma| {ratio:6.3f} of {limit:6.3f}   min |gamma| {low:.3f}   {verdict}")
        worst, smallest = max(worst, ratio / limit), min(smallest, low)
    return {"worst_ratio_to_limit": worst, "smallest_gamma": smallest}


def write_examples(folder: Path) -> None:
    """Write the calibration picture and the example pictures, each with its labels."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {"calibration": CALIBRATION_SEED} | {f"scene_{i:02d}": EXAMPLE_SEED + i for i in range(EXAMPLES)}
    for name, seed in names.items():
        write_scene(folder, name, seed)


def write_scene(folder: Path, name: str, seed: int) -> None:
    """Write a picture, and its labels next to it."""
    image, labels = render(seed)
    Image.fromarray(image).save(folder / f"{name}.png", optimize=True)
    indexed = Image.fromarray(labels)
    indexed.putpalette([value for color in PALETTE for value in color])
    indexed.save(folder / f"{name}_labels.png", optimize=True)


def main() -> None:
    root = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=7000, help="optimizer steps")
    parser.add_argument("--seed", type=int, default=0, help="initialisation, order and augmentation")
    parser.add_argument("--out", type=Path, default=root, help="folder in which weights/ and examples/ are written")
    parser.add_argument("--threads", type=int, default=2, help="number of torch threads and of rendering processes")
    args = parser.parse_args()

    start = time.perf_counter()
    images, labels = render_all(TRAIN_SEED, TRAIN_SCENES, args.threads)
    shares = patch_shares(labels)
    rendering = time.perf_counter() - start
    print(f"rendered {TRAIN_SCENES} scenes in {rendering:.0f} s")

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    decoder_layers = CONFIG["decoder"]["n_layers"]
    model = Segmenter(
        (SIZE, SIZE),
        PATCH,
        CONFIG["d_model"],
        CONFIG["n_heads"],
        CONFIG["n_layers"],
        CONFIG["n_cls"],
        decoder_layers,
    )
    start = time.perf_counter()
    train(model, images, shares, args.steps, args.seed)
    training = time.perf_counter() - start

    model.eval()
    iou = evaluate(model, *render_all(EVAL_SEED, EVAL_SCENES, args.threads))
    health = norm_health(model)
    report = {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": args.steps,
        "batch": BATCH,
        "optimizer": {
            "name": "AdamW",
            "peak_lr": PEAK_LR,
            "weight_decay": WEIGHT_DECAY,
            "betas": [0.9, 0.98],
        },
        "precision": "bfloat16 autocast, float32 parameters; evaluated in float32",
        "threads": args.threads,
        "seconds": {"rendering": round(rendering, 1), "training": round(training, 1)},
        "seeds": {
            "model": args.seed,
            "train": [TRAIN_SEED, TRAIN_SEED + TRAIN_SCENES - 1],
            "evaluation": [EVAL_SEED, EVAL_SEED + EVAL_SCENES - 1],
            "calibration": CALIBRATION_SEED,
            "examples": [EXAMPLE_SEED, EXAMPLE_SEED + EXAMPLES - 1],
        },
        "miou": {name: round(float(values.mean()), 4) for name, values in iou.items()},
        "class_iou": {
            name: {c: round(float(v), 4) for c, v in zip(CLASSES, values, strict=True)} for name, values in iou.items()
        },
        "layer_norms": {name: round(value, 4) for name, value in health.items()},
    }
    weights = args.out / "weights"
    weights.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, weights / "scenes.safetensors")
    (weights / "scenes.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    (weights / "training.json").write_text(json.dumps(report, indent=2) + "\n")
    write_examples(args.out / "examples" / "scenes")
    for name, value in report["miou"].items():
        print(f"mIoU {name:12s} {value:.4f}")


if __name__ == "__main__":
    main()
