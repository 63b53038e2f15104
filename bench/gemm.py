"""Check the integer matrix product, then time it in turn with NumPy's float32 product of the same shape.

    python bench/gemm.py [--isa NAME] [--rounds N] [--json]

Shapes are those of Segmenter S/16 and B/16 at 512x512: 1025 tokens; `p.v` is the product of 16-bit probabilities and values
of one head. Weights are packed beforehand, as in a run. In each round, each side warms up for a while (the threads of the
other still spin after their work), then runs ten timed calls. Reported are medians, and their ratio to 440 GMAC/s, the
speed of a kernel written by hand for the same instructions on an earlier machine with two cores.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from intsim.arith.jit import HAS_COMPILER
from intsim.kernels import gemm, isa

TOKENS = 1025
SHAPES = [
    ("S qkv", np.int8, 384, 1152),
    ("S proj", np.int8, 384, 384),
    ("S fc1", np.int8, 384, 1536),
    ("S fc2", np.int8, 1536, 384),
    ("B qkv", np.int8, 768, 2304),
    ("B proj", np.int8, 768, 768),
    ("B fc1", np.int8, 768, 3072),
    ("B fc2", np.int8, 3072, 768),
    ("p.v", np.int16, 1025, 64),
]
REFERENCE = 440.0
WARM_UP, COUNTED = 0.25, 10  # seconds, calls


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def warmed_up(work: Callable[[], object]) -> list[float]:
    """The times of a few calls in seconds, after a warm-up."""
    end = time.perf_counter() + WARM_UP
    while time.perf_counter() < end:
        work()
    return [seconds(work) for _ in range(COUNTED)]


def measured(variant: isa.Isa, rounds: int) -> list[dict[str, object]]:
    """One record per shape: GMAC/s of the integer product and of NumPy's float32 product."""
    rng = np.random.default_rng(0)
    records: list[dict[str, object]] = []
    for name, dtype, depth, columns in SHAPES:
        largest = 127 if dtype == np.int8 else 32767 // 64
        left = rng.integers(-largest, largest + 1, (1, TOKENS, depth)).astype(dtype)
        right = rng.integers(-127, 128, (1, columns, depth)).astype(np.int8)
        out = np.empty((1, TOKENS, columns), np.int32)
        with isa.using(variant):
            packed = gemm.pack(right, left.dtype)
            gemm.packed_product(left, packed, out)
            exact = left[0].astype(np.float64) @ right[0].T.astype(np.float64)  # below 2**53, so exact in float64
            if not np.array_equal(out[0], exact):
                raise SystemExit(f"{variant} {name}: the product is wrong; not timed")
            a, b = left[0].astype(np.float32), right[0].T.astype(np.float32)
            sides = (partial(gemm.packed_product, left, packed, out), partial(np.matmul, a, b))
            times: tuple[list[float], list[float]] = ([], [])
            for _ in range(rounds):
                for side, work in zip(times, sides, strict=True):
                    side += warmed_up(work)
        giga = TOKENS * depth * columns / 1e9
        ours, theirs = (giga / statistics.median(side) for side in times)
        shape = f"{TOKENS} x {depth} x {columns}"
        records.append({"isa": str(variant), "name": name, "shape": shape, "gmacs_per_s": ours, "float32": theirs})
    return records


def main() -> None:
    if not HAS_COMPILER:
        sys.exit("this measures compiled kernels, and needs Numba")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isa", choices=[str(v) for v in isa.available()], help="one variant  [default: all]")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    variants = [isa.Isa(options.isa)] if options.isa else list(isa.available())
    records = [record for variant in variants for record in measured(variant, options.rounds)]
    if options.json:
        print(json.dumps(records, indent=2))
        return
    print(f"{'variant':<8} {'layer':<7} {'rows x depth x columns':<22} {'GMAC/s':>7} {'of 440':>7} {'over float32':>13}")
    for r in records:
        speed, ratio = float(r["gmacs_per_s"]), float(r["gmacs_per_s"]) / float(r["float32"])  # type: ignore[arg-type]
        print(f"{r['isa']:<8} {r['name']:<7} {r['shape']:<22} {speed:>7.0f} {speed / REFERENCE:>7.0%} {ratio:>13.2f}")


if __name__ == "__main__":
    main()
