"""How far a network is from the limits of the processor, by kind of step: its integer units, and its memory.

    python bench/limits.py [NETWORK ...] [--runs N] [--threads N] [--json]

NETWORK is a preset of `intsim bench`, such as seg-s16-mask@512. The rate of the units is that of the best of some products
that do nothing else; the rate of the memory that of a copy of 256 MiB, reading and writing. The limit of a step is the
larger of its products at the one rate and its inputs, weights and output at the other; steps whose data stay in a cache can
pass the second. The results of the steps are compared with those of separate operators before anything is timed.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

from intsim.arith import IntArray
from intsim.cli.bench import random_network
from intsim.engine.fused import Step
from intsim.engine.graph import Graph, Node
from intsim.engine.interpreter import computed, run, walk
from intsim.engine.plan import fused
from intsim.kernels import gemm, isa
from intsim.kernels.moves import move_pieces
from intsim.kernels.threads import available, limited_to

NETWORKS = ["seg-s16-mask@512", "seg-b16-mask@512", "deit-s@224", "swin-t@224"]
SHAPES = [(1536, 2048, 64), (1536, 1024, 256), (3072, 3072, 128)]  # rows, depth, columns
COPIED = 256 << 20  # bytes


def best(work: Callable[[], object], trials: int = 20) -> float:
    """The shortest time in seconds."""
    times = []
    for _ in range(trials):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def unit_rate() -> float:
    """Products of bytes per second."""
    rng = np.random.default_rng(0)
    found = []
    for rows, depth, columns in SHAPES:
        left, right = (rng.integers(-128, 128, (1, n, depth)).astype(np.int8) for n in (rows, columns))
        packed, out = gemm.pack(right, left.dtype), np.empty((1, rows, columns), np.int32)
        gemm.packed_product(left, packed, out)
        if not np.array_equal(out[0, :4], left[0, :4].astype(np.int64) @ right[0].T.astype(np.int64)):
            raise SystemExit("the product is wrong; not timed")
        found.append(
            rows * depth * columns / best(lambda left=left, packed=packed, out=out: gemm.packed_product(left, packed, out))
        )
    return max(found)


def memory_rate() -> float:
    """Bytes per second, read and written."""
    source, target = (np.zeros(COPIED, np.uint8) for _ in range(2))
    pieces = np.arange(COPIED >> 12)
    return 2 * COPIED / best(lambda: move_pieces(source, pieces, 1 << 12, target), 5)


def kind_of(step: Step) -> str:
    """The kind of step, by its operators."""
    ops = [node.op for node in step.nodes]
    if "matmul" in ops and ({"shiftmax", "masked_shiftmax"} & set(ops)):
        return "attention"
    if {"linear", "matmul"} & set(ops):
        return "products and sums" if "residual_add" in ops else "products"
    if ops[0] == "layernorm":
        return "layer norm"
    return "GELU" if any("gelu" in op for op in ops) else "the rest"


def products(graph: Graph, node: Node) -> int:
    """Multiplications of a node."""
    shape = graph.tensors[node.name].shape
    if node.op == "linear":
        return math.prod(shape) * np.asarray(node.params["weight"]).shape[1]
    return math.prod(shape) * graph.tensors[node.inputs[0]].shape[-1] if node.op == "matmul" else 0


def moved(graph: Graph, step: Step) -> int:
    """Bytes of a step's inputs, weights and output."""
    names = [*step.inputs, step.name]
    arrays = sum(math.prod(graph.tensors[name].shape) * graph.tensors[name].fmt.dtype.itemsize for name in names)
    return arrays + sum(np.asarray(node.params["weight"]).size for node in step.nodes if node.op == "linear")


def measured(network: str, runs: int, units: float, memory: float) -> list[dict[str, Any]]:
    """One record per kind of step, the last of the whole network."""
    graph, _, image = random_network(network, "isegmenter")
    plan, names = fused(graph, ()), {graph.nodes[0].name: image}
    expected = {}
    run(graph, image, observe=lambda name, value: expected.__setitem__(name, value.copy()))
    times: dict[str, list[list[float]]] = defaultdict(list)

    def check(step: Step, sources: list[IntArray]) -> IntArray:
        value = computed(graph, step, sources, names)
        if not np.array_equal(value, expected[step.name]):
            raise SystemExit(f"{step.name}: fused and separate operators differ; not timed")
        return value

    walk(plan, check)
    expected.clear()
    for _ in range(runs):
        spent: dict[str, float] = defaultdict(float)

        def visit(step: Step, sources: list[IntArray], spent: dict[str, float] = spent) -> IntArray:
            start = time.perf_counter()
            value = computed(graph, step, sources, names)
            spent[kind_of(step)] += time.perf_counter() - start
            return value

        walk(plan, visit)
        for kind, seconds in spent.items():
            times[kind].append([seconds])
    records = []
    for kind, spent_in in times.items():
        steps = [step for step in plan.nodes if kind_of(step) == kind]
        work = [(sum(products(graph, node) for node in step.nodes), moved(graph, step)) for step in steps]
        limit = sum(max(macs / units, size / memory) for macs, size in work)
        record = {"network": network, "kind": kind, "steps": len(steps), "macs": sum(m for m, _ in work)}
        record |= {"bytes": sum(size for _, size in work), "limit_s": limit}
        records.append(record | {"seconds": statistics.median(seconds for (seconds,) in spent_in)})
    records.sort(key=lambda record: -float(record["seconds"]))
    total = {key: sum(record[key] for record in records) for key in ("steps", "macs", "bytes", "limit_s", "seconds")}
    return [*records, {"network": network, "kind": "together", **total}]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"presets  [default: {' '.join(NETWORKS)}]")
    parser.add_argument(
        "--runs", type=int, default=20, help="runs of each network, of which medians are printed  [default: 20]"
    )
    parser.add_argument("--threads", type=int, help="threads  [default: one per processor]")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    options = parser.parse_args()
    records = []
    with limited_to(options.threads):
        units, memory = unit_rate(), memory_rate()
        for network in options.networks or NETWORKS:
            records += measured(network, options.runs, units, memory)
    if options.json:
        print(json.dumps({"gmacs_per_s": units / 1e9, "gbytes_per_s": memory / 1e9, "records": records}, indent=2))
        return 0
    threads = options.threads or available()
    print(f"{isa.chosen()}, {threads} threads: {units / 1e9:.0f} GMAC/s, {memory / 1e9:.1f} GB/s")
    for record in records:
        if record is records[0] or record["network"] != records[records.index(record) - 1]["network"]:
            print(f"\n{record['network']:<20} steps    GMAC      MB   limit ms   takes ms   share")
        milli = [1e3 * record[key] for key in ("limit_s", "seconds")]
        sizes = f"{record['steps']:>6} {record['macs'] / 1e9:>7.2f} {record['bytes'] / 1e6:>7.1f}"
        print(f"  {record['kind']:<18} {sizes} {milli[0]:>10.2f} {milli[1]:>10.2f} {milli[0] / milli[1]:>7.0%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
