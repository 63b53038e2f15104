"""How fast a model runs: checked first, then timed; alone, or run after run beside onnxruntime.

Times on a shared machine wander, so what is compared is compared in one process, one run of each in turn, and told as a
ratio of medians. Each run comes after a quarter of a second of the same work that is not counted.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..arith import AnyArray
from ..engine.classes import classifies, order
from ..engine.graph import CONSTANT, INPUT, Graph, Node, operator
from ..engine.interpreter import computed, run, walk
from ..engine.plan import fused
from ..errors import IntsimError
from ..kernels.isa import Isa, chosen, processor, using
from ..kernels.threads import available, limited_to

Runner = Callable[[AnyArray], AnyArray]
OURS = "intsim"
SETTLING = 0.25  # seconds


@dataclass(frozen=True)
class Times:
    """Milliseconds of every run."""

    ms: tuple[float, ...]

    @property
    def median(self) -> float:
        return float(np.median(self.ms))

    @property
    def quartiles(self) -> tuple[float, float]:
        """Where the middle half of the runs begins and ends."""
        low, high = np.percentile(self.ms, [25, 75])
        return float(low), float(high)


@dataclass(frozen=True)
class Benchmark:
    """What was measured. `by_operator` gives milliseconds a run by the operators computed together, joined by ``+``."""

    name: str
    isa: Isa
    cpu: str
    threads: int
    macs: int
    times: Times
    by_operator: dict[str, float]
    peak_mb: float
    baselines: Mapping[str, Times] = field(default_factory=dict)
    agreement: Mapping[str, float] = field(default_factory=dict)  # share of labels that the real-valued network gives, too

    @property
    def ratios(self) -> dict[str, float]:
        """The baselines' medians over ours."""
        return {name: times.median / self.times.median for name, times in self.baselines.items()}

    def record(self) -> dict[str, Any]:
        """As plain data, for machines."""
        return {
            "model": self.name,
            "isa": str(self.isa),
            "cpu": self.cpu,
            "threads": self.threads,
            "runs": len(self.times.ms),
            "gmacs": self.macs / 1e9,
            "median_ms": self.times.median,
            "min_ms": min(self.times.ms),
            "quartiles_ms": list(self.times.quartiles),
            "gmacs_per_s": self.macs / self.times.median / 1e6,
            "peak_mb": self.peak_mb,
            "by_operator": self.by_operator,
            "rivals_ms": {name: times.median for name, times in self.baselines.items()},
            "labels_agreeing": dict(self.agreement),
            "ratios": self.ratios,
        }


def benchmark(
    name: str,
    graph: Graph,
    image: AnyArray,
    runs: int,
    threads: int | None = None,
    baselines: Mapping[str, Runner] | None = None,
    expected: AnyArray | None = None,
    progress: Callable[[str], None] = lambda doing: None,
) -> Benchmark:
    """Check, then time, `graph` on `image`, in turn with `baselines`; `expected` is what the real-valued network gives.

    IntsimError where the fused run and the plain kernels, node by node, differ: then there is nothing to time.
    """
    baselines = baselines or {}
    progress("checking the result")
    labels = checked_labels(graph, image, threads)
    agreement = {}
    if expected is not None:
        top = _top if classifies(graph) else np.asarray  # of a classifier the one label that follows from its logits
        agreement = {OURS: _agreeing(np.asarray(order(graph, labels)[0]) if classifies(graph) else labels, top(expected))}
        agreement |= {baseline: _agreeing(top(runner(image)), top(expected)) for baseline, runner in baselines.items()}
    runners: dict[str, Runner] = {OURS: partial(run, graph, threads=threads), **baselines}
    times: dict[str, list[float]] = {runner: [] for runner in runners}
    for turn in range(runs):
        progress(f"run {turn + 1} of {runs}")
        for runner, work in runners.items():
            if baselines:
                _settle(partial(work, image))
            times[runner].append(_timed(partial(work, image)))
    progress("timing the operators")
    return Benchmark(
        name=name,
        isa=chosen(),
        cpu=processor(),
        threads=threads or available(),
        macs=macs(graph),
        times=Times(tuple(times.pop(OURS))),
        by_operator=by_operator(graph, image, max(runs // 2, 1), threads),
        peak_mb=peak_megabytes(graph, image, threads),
        baselines={baseline: Times(tuple(ms)) for baseline, ms in times.items()},
        agreement=agreement,
    )


def checked_labels(graph: Graph, image: AnyArray, threads: int | None = None) -> AnyArray:
    """The output, the same by the plan of an unobserved run and by the plain kernels node by node, or an IntsimError."""
    fast = run(graph, image, threads=threads)
    with using(Isa.GENERIC):
        plain = run(graph, image, lambda name, value: None, threads=threads)
    if not np.array_equal(fast, plain):
        raise IntsimError(
            f"{int(np.count_nonzero(fast != plain))} of {fast.size} outputs differ between the {chosen()} kernels and the "
            "plain ones: this build of intsim does not compute what it should; please report it"
        )
    return fast


def macs(graph: Graph) -> int:
    """Multiplications with an addition in the graph's linear layers and matrix products."""
    total = 0
    for node in graph.nodes:
        if node.op in ("linear", "matmul"):
            depth = graph.tensors[node.inputs[0]].shape[-1]
            total += int(np.prod(graph.tensors[node.name].shape)) * depth
    return total


def by_operator(graph: Graph, image: AnyArray, runs: int, threads: int | None = None) -> dict[str, float]:
    """Milliseconds of one run by what is computed together: each step's median over `runs`, the slowest kind first."""
    plan = fused(graph, ())
    seen: dict[str, list[float]] = {step.name: [] for step in plan.nodes}

    def visit(step: Any, inputs: list[AnyArray]) -> AnyArray:
        begun = time.perf_counter()
        value = computed(graph, step, inputs, image)
        seen[step.name].append(1e3 * (time.perf_counter() - begun))
        return value

    with limited_to(threads):
        for _ in range(runs):
            walk(plan, visit)
    kinds: dict[str, float] = {}
    for step in plan.nodes:
        kind = "+".join(_computing(step.nodes) or [part.op for part in step.nodes])
        kinds[kind] = kinds.get(kind, 0.0) + float(np.median(seen[step.name]))
    return dict(sorted(kinds.items(), key=lambda item: -item[1]))


def _computing(nodes: Sequence[Node]) -> list[str]:
    """The operators of a step that do more than move values."""
    return [node.op for node in nodes if node.op not in (INPUT, CONSTANT) and not operator(node).moves]


def peak_megabytes(graph: Graph, image: AnyArray, threads: int | None = None) -> float:
    """The most memory a fresh process holds that loads the model and runs it twice, in MB (10**6 bytes)."""
    from ..storage.model_file import save

    with tempfile.TemporaryDirectory() as folder:
        model, picture = Path(folder, "model.h5"), Path(folder, "picture.npy")
        save(graph, model)
        np.save(picture, image)
        command = [sys.executable, "-m", __name__, str(model), str(picture), str(threads or 0)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise IntsimError(f"the run that measures memory failed: {done.stderr.strip().splitlines()[-1:]}")
    return float(json.loads(done.stdout))


def _settle(work: Callable[[], object]) -> None:
    """Runs that are not counted: the one before left its data in the caches, and threads that spin a while."""
    end = time.perf_counter() + SETTLING
    while time.perf_counter() < end:
        work()


def _top(logits: AnyArray) -> AnyArray:
    return np.asarray(np.argmax(logits))


def _agreeing(labels: AnyArray, expected: AnyArray) -> float:
    return float(np.mean(labels == expected))


def _timed(work: Callable[[], object]) -> float:
    """Milliseconds of one call."""
    begun = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - begun)


def _peak_bytes() -> int:
    """The most memory this process has held; where the system is not Linux, its parent's share may be in it."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _measure(model: str, picture: str, threads: str) -> None:
    """What the fresh process does: load, run twice, tell its peak."""
    from ..storage.model_file import load

    graph, image = load(model), np.load(picture)
    for _ in range(2):
        run(graph, image, threads=int(threads) or None)
    sys.stdout.write(json.dumps(_peak_bytes() / 1e6))


if __name__ == "__main__":
    _measure(*sys.argv[1:])
