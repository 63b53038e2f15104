"""Fine-tune the shipped checkpoint with the L2 normalisation of published Segmenters.

    python tools/train_l2.py

writes weights/scenes_l2.safetensors (float16) and weights/scenes_l2.json. The effect of `--class-norm` is measured on it,
see docs/accuracy.md. Needs the `train` extra.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from scenes import EVAL_SCENES, EVAL_SEED, TRAIN_SCENES, TRAIN_SEED
from segmenter_torch import Segmenter
from train_scenes import CONFIG, PATCH, SIZE, evaluate, patch_shares, render_all, train

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
PEAK_LR = 3e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=750, help="optimizer steps")
    parser.add_argument("--threads", type=int, default=2, help="number of torch threads and of rendering processes")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    dimensions = (CONFIG[key] for key in ("d_model", "n_heads", "n_layers", "n_cls"))
    model = Segmenter((SIZE, SIZE), PATCH, *dimensions, CONFIG["decoder"]["n_layers"], l2_norm=True)
    model.load_state_dict(load_file(WEIGHTS / "scenes.safetensors"))
    unseen = render_all(EVAL_SEED, EVAL_SCENES, args.threads)
    before = float(evaluate(model.eval(), *unseen)["nearest"].mean())
    images, labels = render_all(TRAIN_SEED, TRAIN_SCENES, args.threads)
    train(model.train(), images, patch_shares(labels), args.steps, seed=1, peak_lr=PEAK_LR)
    model.half().float()  # evaluated with the precision of the file
    after = float(evaluate(model.eval(), *unseen)["nearest"].mean())
    print(f"mIoU with L2 norm, nearest: {before:.4f} before, {after:.4f} after {args.steps} steps")

    save_file({k: v.half().contiguous() for k, v in model.state_dict().items()}, WEIGHTS / "scenes_l2.safetensors")
    config = {**CONFIG, "name": "scenes-l2", "l2_norm": True}
    (WEIGHTS / "scenes_l2.json").write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    main()
