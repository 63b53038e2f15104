"""The time of the default recipe's models beside those of the published recipe, which have logits of 8 bits.

    python bench/recipes.py [PRESET ...]

Both run in turn in one process, on the same random weights; printed are the medians and the median of the ratios.
"""

from __future__ import annotations

import statistics
import sys
import time

import intsim
from intsim.dialects import ISEGMENTER
from intsim.quantization import quantize_weights
from intsim.quantization.recipe import RECIPES
from intsim.quantization.synth import preset, random_picture, random_weights

RUNS = 21


def main() -> None:
    """Print one line per preset."""
    for name in sys.argv[1:] or ["seg-s16-mask@512", "seg-b16-mask@512"]:
        config = preset(name, None)
        weights, picture = random_weights(config, 0), random_picture(config, 0)
        graphs = [quantize_weights(weights, config, [picture], ISEGMENTER, "random", recipe) for recipe in RECIPES.values()]
        for graph in graphs:
            intsim.run(graph, picture)
        times = [[seconds(graph, picture) for graph in graphs] for _ in range(RUNS)]
        medians = [statistics.median(column) for column in zip(*times, strict=True)]
        ratio = statistics.median(ours / theirs for ours, theirs in times)
        shown = ", ".join(f"{recipe} {1e3 * median:.1f} ms" for recipe, median in zip(RECIPES, medians, strict=True))
        print(f"{name}: {shown}, ratio {ratio:.3f}")


def seconds(graph: intsim.Graph, picture: object) -> float:
    """The time of one run."""
    begun = time.perf_counter()
    intsim.run(graph, picture)  # type: ignore[arg-type]
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
