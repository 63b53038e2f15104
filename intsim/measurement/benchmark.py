"""The speed of a model: results are checked, then timed; alone, or alternating with other runtimes.

Times on a shared machine vary, so comparisons run in one process, one run of each in turn, and are reported as ratios of
medians. Each timed run follows a quarter of a second of untimed runs of the same work.
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
from ..arith.jit import processor, require_compiler
from ..engine.classes import classifies, order
from ..engine.graph import CONSTANT, INPUT, Graph, Node, operator
from ..engine.inputs import Inputs, checked_inputs
from ..engine.interpreter import computed, run, walk
from ..engine.plan import fused
from ..errors import IntsimError
from ..kernels.isa import Isa, chosen, using
from ..kernels.threads import available, limited_to

Runner = Callable[[Any], AnyArray]  # from inputs to an output
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
        """The first and the third quartile."""
        low, high = np.percentile(self.ms, [25, 75])
        return float(low), float(high)


@dataclass(frozen=True)
class Benchmark:
    """The measurements. `by_operator` is milliseconds per run by the operators computed together, joined by ``+``."""

    name: str
    isa: Isa
    cpu: str
    threads: int
    macs: int
    times: Times
    by_operator: dict[str, float]
    peak_mb: float
    baselines: Mapping[str, Times] = field(default_factory=dict)
    agreement: Mapping[str, float] = field(default_factory=dict)  # share of labels equal to the real-valued network's

    @property
    def ratios(self) -> dict[str, float]:
        """The baselines' medians over ours."""
        return {name: times.median / self.times.median for name, times in self.baselines.items()}

    def record(self) -> dict[str, Any]:
        """As plain data."""
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
    inputs: Inputs,
    runs: int,
    threads: int | None = None,
    baselines: Mapping[str, Runner] | None = None,
    expected: AnyArray | None = None,
    progress: Callable[[str], None] = lambda doing: None,
) -> Benchmark:
    """Check, then time, `graph` on `inputs`, in turn with `baselines`; `expected` is the output of the real-valued network.

    Raises IntsimError where the results of the fused run and of the plain kernels, node by node, differ, and where there
    are no kernels.
    """
    require_compiler("measuring speed")
    baselines = baselines or {}
    progress("checking the result")
    labels = checked_labels(graph, inputs, threads)
    agreement = {}
    if expected is not None:
        top = _top if classifies(graph) else np.asarray  # of a classifier the one label from its logits
        agreement = {OURS: _agreeing(np.asarray(order(graph, labels)[0]) if classifies(graph) else labels, top(expected))}
        agreement |= {baseline: _agreeing(top(runner(inputs)), top(expected)) for baseline, runner in baselines.items()}
    runners: dict[str, Runner] = {OURS: partial(run, graph, threads=threads), **baselines}
    times: dict[str, list[float]] = {runner: [] for runner in runners}
    for turn in range(runs):
        progress(f"run {turn + 1} of {runs}")
        for runner, work in runners.items():
            if baselines:
                _settle(partial(work, inputs))
            times[runner].append(_timed(partial(work, inputs)))
    progress("timing the operators")
    return Benchmark(
        name=name,
        isa=chosen(),
        cpu=processor(),
        threads=threads or available(),
        macs=macs(graph),
        times=Times(tuple(times.pop(OURS))),
        by_operator=by_operator(graph, inputs, max(runs // 2, 1), threads),
        peak_mb=peak_megabytes(graph, inputs, threads),
        baselines={baseline: Times(tuple(ms)) for baseline, ms in times.items()},
        agreement=agreement,
    )


def checked_labels(graph: Graph, inputs: Inputs, threads: int | None = None) -> AnyArray:
    """The output of an unobserved run; IntsimError where it differs from that of the plain kernels node by node."""
    fast = run(graph, inputs, threads=threads)
    with using(Isa.GENERIC):
        plain = run(graph, inputs, lambda name, value: None, threads=threads)
    if not np.array_equal(fast, plain):
        raise IntsimError(
            f"{int(np.count_nonzero(fast != plain))} of {fast.size} outputs differ between the {chosen()} kernels and the "
            "plain ones: this build of intsim computes wrong results; please report it"
        )
    return fast


def macs(graph: Graph) -> int:
    """The number of multiply-accumulate operations in linear layers and matrix products."""
    total = 0
    for node in graph.nodes:
        if node.op in ("linear", "matmul"):
            depth = graph.tensors[node.inputs[0]].shape[-1]
            total += int(np.prod(graph.tensors[node.name].shape)) * depth
    return total


def by_operator(graph: Graph, inputs: Inputs, runs: int, threads: int | None = None) -> dict[str, float]:
    """Milliseconds per run by the operators computed together: each step's median over `runs`, the slowest kind first."""
    plan, given = fused(graph, ()), checked_inputs(graph, inputs)
    seen: dict[str, list[float]] = {step.name: [] for step in plan.nodes}

    def visit(step: Any, sources: list[AnyArray]) -> AnyArray:
        start = time.perf_counter()
        value = computed(graph, step, sources, given)
        seen[step.name].append(1e3 * (time.perf_counter() - start))
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
    """The operators of a step that are not data movements."""
    return [node.op for node in nodes if node.op not in (INPUT, CONSTANT) and not operator(node).moves]


def peak_megabytes(graph: Graph, inputs: Inputs, threads: int | None = None) -> float:
    """The peak memory of a fresh process that loads the model and runs it twice, in MB (10**6 bytes)."""
    from ..storage.model_file import save

    with tempfile.TemporaryDirectory() as folder:
        model, values = Path(folder, "model.h5"), Path(folder, "inputs.npz")
        save(graph, model)
        np.savez(values, *checked_inputs(graph, inputs).values())  # in the order of the graph's inputs
        command = [sys.executable, "-m", __name__, str(model), str(values), str(threads or 0)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise IntsimError(f"the process that measures memory failed: {done.stderr.strip().splitlines()[-1:]}")
    return float(json.loads(done.stdout))


def _settle(work: Callable[[], object]) -> None:
    """Untimed runs: the previous work leaves its data in the caches, and threads that spin for a while."""
    end = time.perf_counter() + SETTLING
    while time.perf_counter() < end:
        work()


def _top(logits: AnyArray) -> AnyArray:
    return np.asarray(np.argmax(logits))


def _agreeing(labels: AnyArray, expected: AnyArray) -> float:
    return float(np.mean(labels == expected))


def _timed(work: Callable[[], object]) -> float:
    """Milliseconds of one call."""
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


def _peak_bytes() -> int:
    """The peak memory of this process; where the system is not Linux, it may include the parent's share."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _measure(model: str, values: str, threads: str) -> None:
    """The work of the fresh process: load, run twice, print the peak."""
    from ..storage.model_file import load

    graph = load(model)
    with np.load(values) as arrays:
        inputs = dict(zip((node.name for node in graph.inputs), arrays.values(), strict=True))
    for _ in range(2):
        run(graph, inputs, threads=int(threads) or None)
    sys.stdout.write(json.dumps(_peak_bytes() / 1e6))


if __name__ == "__main__":
    _measure(*sys.argv[1:])
