"""Simulate every node of block 0 that a unit here computes, in Icarus Verilog, and compare with intsim's golden file.

    python examples/rtl/simulate.py [-o FOLDER] [--unit NAME]...

quantizes the shipped checkpoint in the dialect rtl, makes a golden file, exports inputs and constants of the nodes,
simulates each node with and without pauses on both sides of its stream, imports the dumps and compares them. It also
simulates two devices with intentional faults, which `intsim diff --isolated` must name. intsim is used through its command
line only.

Needs iverilog and cocotb. Exit code 1 if any result is not the expected one.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

try:
    from device import HERE, KINDS, WIDTHS, Device, simulate
except ModuleNotFoundError as missing:
    sys.stderr.write(f"{missing.name} is not installed; try: pip install cocotb\n")
    sys.exit(2)

ROOT = HERE.parent.parent
BLOCK = "encoder.blocks.0."
INTSIM = [sys.executable, "-c", "from intsim.cli.main import main; main(prog_name='intsim')"]
console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)


@dataclass(frozen=True)
class Job:
    """One node to simulate; `name` is the node's name, or that of the faulty device that replaces it."""

    name: str
    node: str
    source: str  # the input tensor
    widths: tuple[int, int]  # bits per element of the input and of the output
    shape: tuple[int, ...]
    device: Device
    rule: str = ""  # its intentional fault


def intsim(*words: object, expect: tuple[int, ...] = (0,)) -> str:
    """The output of an intsim command; SystemExit if it fails."""
    done = subprocess.run([*INTSIM, *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode not in expect:
        raise SystemExit(f"intsim {words[0]} failed with exit code {done.returncode}\n{done.stderr}")
    return done.stdout


def layout(bits: int) -> str:
    """The name of the layout with eight elements per beat."""
    return f"i{bits}x8"


def plan(model: Path, packages: Path, units: list[str]) -> list[Job]:
    """The jobs of the nodes of the block that the units compute."""
    nodes = {node["name"]: node for node in json.loads(intsim("inspect", "-m", model, "--json"))["nodes"]}
    jobs = []
    for name, node in nodes.items():
        if not name.startswith(BLOCK) or node["op"] not in units:
            continue
        source = node["inputs"][0]
        widths = (int(nodes[source]["format"][1:]), int(node["format"][1:]))
        if widths[0] != WIDTHS[node["op"]]:
            raise SystemExit(f"{name}: {node['op']} takes i{WIDTHS[node['op']]}, not {nodes[source]['format']}")
        package = packages / f"{name.replace('.', '_')}_pkg.sv"
        jobs.append(Job(name, name, source, widths, tuple(node["shape"]), Device(node["op"], package)))
    return jobs


def faulty(jobs: list[Job]) -> list[Job]:
    """The jobs of the devices with intentional faults, with the rule that `intsim diff` must name."""
    result = []
    for job in jobs:
        if job.node == f"{BLOCK}mlp.act.requant":
            device = replace(job.device, replaced=("round_shift.sv",))
            result.append(replace(job, name="wrong/round_shift.sv", device=device, rule="requant_rounding=trunc"))
        if job.node == f"{BLOCK}attn.softmax":
            short = (HERE / "wrong" / "short_sum.sv").read_text()
            bits = re.search(r"SUM_BITS = (\d+)", short)
            if bits is None:
                raise SystemExit("wrong/short_sum.sv does not set SUM_BITS")
            device = replace(job.device, extra_tops=("short_sum",))
            result.append(replace(job, name="wrong/short_sum.sv", device=device, rule=f"sum_bits={bits[1]}"))
    return result


class Bench:
    """The output folder: model, golden file, exports and dumps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.model, self.golden = self.folder / "rtl.h5", self.folder / "golden.h5"

    def quantize(self) -> None:
        """Make the model in the dialect rtl."""
        weights = ROOT / "weights" / "scenes.safetensors"
        picture = ROOT / "examples" / "scenes" / "calibration.png"
        words = ("--config", weights.with_suffix(".json"), "--calibrate", picture, "--dialect", "rtl", "-o", self.model)
        intsim("quantize", weights, *words)

    def export(self, jobs: list[Job]) -> None:
        """Make the golden file, and export inputs, expected outputs and constants of the nodes."""
        names = sorted({name for job in jobs for name in (job.node, job.source)})
        picture = ROOT / "examples" / "scenes" / "scene_00.png"
        layers = [word for name in names for word in ("--layers", name)]
        intsim("golden", picture, "-m", self.model, "--level", "full", *layers, "-o", self.golden)
        layers = [word for job in jobs for word in ("--layers", job.node)]
        intsim("export", self.golden, "-m", self.model, *layers, "--package", "sv", "-o", self.folder / "packages")
        for bits in (8, 16, 32):
            ends = [(job.source, job.widths[0]) for job in jobs] + [(job.node, job.widths[1]) for job in jobs]
            layers = [word for name in sorted({n for n, b in ends if b == bits}) for word in ("--layers", name)]
            if layers:
                words = (*layers, "--format", "hex", "--layout", HERE / "layouts" / f"{layout(bits)}.toml")
                intsim("export", self.golden, *words, "-o", self.folder / layout(bits))

    def simulate(self, job: Job) -> dict[str, int]:
        """Simulate a device; its dump is in dut/. Returns its cycles."""
        in_layout, out_layout = (layout(bits) for bits in job.widths)
        beats = self.folder / in_layout / f"{job.source}.hex"
        name = f"{out_layout}/{job.node}.hex"
        kinds = KINDS[:1] if job.rule else KINDS
        work, reference = self.folder / "build" / job.name, None if job.rule else (self.model, job.node)
        return simulate(job.device, beats, self.dumps(job), name, work, kinds, reference)

    def dumps(self, job: Job) -> Path:
        """The folder of a device's dump; all correct devices share one."""
        return self.folder / "dut" / (job.name if job.rule else "right")

    def compare(self, dump: Path) -> dict[str, Any]:
        """The report of `intsim diff --isolated` on the dump, as JSON; if they differ, its text is written to diff.txt."""
        tensors: dict[str, Any] = {}
        for part in sorted(path for path in dump.iterdir() if path.is_dir()):
            file = dump / f"{part.name}.npz"
            intsim("import", part, "--manifest", self.folder / part.name / "manifest.json", "-o", file)
            with np.load(file) as loaded:
                tensors.update(loaded)
        np.savez(dump / "dut.npz", **tensors)
        words = ("diff", self.golden, dump / "dut.npz", "-m", self.model, "--isolated")
        report: dict[str, Any] = json.loads(intsim(*words, "--json", expect=(0, 1)))
        if not report["identical"]:
            intsim(*words, "-o", dump / "diff.txt", expect=(0, 1))
        return report


def results(jobs: list[Job], cycles: dict[str, dict[str, int]], reports: dict[str, dict[str, Any]]) -> tuple[Table, bool]:
    """A table with one row per node, and whether all are identical."""
    table = Table("node", "unit", "rows", "cycles", "an element", "cycles, stalled", "an element", "result", box=None)
    for column in table.columns[2:7]:
        column.justify = "right"
    correct = True
    for job in jobs:
        differing = {}
        for kind in KINDS:
            (node,) = (node for node in reports[kind]["nodes"] if node["name"] == job.node)
            differing[kind] = node["differing"]
        elements = math.prod(job.shape)
        numbers = [f for kind in KINDS for f in (f"{cycles[job.name][kind]:,}", f"{cycles[job.name][kind] / elements:.2f}")]
        identical = all(count == 0 for count in differing.values())
        result = "bit-exact" if identical else f"differs: {differing['flowing']}, stalled {differing['stalled']}"
        table.add_row(job.name, job.device.unit, f"{elements // job.shape[-1]:,} x {job.shape[-1]}", *numbers, result)
        correct &= identical
    return table, correct


def main() -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("out/rtl"), help="folder [out/rtl]")
    parser.add_argument("--unit", action="append", choices=list(WIDTHS), help="only this unit; may be repeated")
    options = parser.parse_args()
    if shutil.which("iverilog") is None:
        parser.error("iverilog is not on the path; Debian and Ubuntu have it in the package iverilog")

    bench = Bench(options.output)
    shutil.rmtree(bench.folder / "dut", ignore_errors=True)
    bench.folder.mkdir(parents=True, exist_ok=True)
    bench.quantize()
    jobs = plan(bench.model, bench.folder / "packages", options.unit or list(WIDTHS))
    flawed = faulty(jobs)
    bench.export(jobs)
    console.print(f"simulating {len(jobs)} nodes, and {len(flawed)} devices that are wrong on purpose, in {options.output}")
    every = sorted(  # slow ones first
        [*jobs, *flawed], key=lambda job: -math.prod(job.shape) * (job.device.unit != "requant")
    )
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            cycles = dict(zip((job.name for job in every), pool.map(bench.simulate, every), strict=True))
        except RuntimeError as error:
            raise SystemExit(str(error)) from None

    table, correct = results(jobs, cycles, {kind: bench.compare(bench.folder / "dut" / "right" / kind) for kind in KINDS})
    console.print(table)
    for job in flawed:
        report = bench.compare(bench.dumps(job) / "flowing")
        explanations = report["explanations"]
        correct &= [(explanation["name"], explanation["rule"]) for explanation in explanations] == [(job.node, job.rule)]
        console.print(f"\n{job.name} on {job.node}, where {job.rule} is expected; intsim diff --isolated says:")
        for explanation in explanations or [{"rule": "no rule", "sentence": "nothing is explained"}]:
            others = [other["rule"] for other in explanation.get("equivalent") or []]
            more = [f"and {len(others) - 2} more"] if len(others) > 2 else []
            also = f" (also {', '.join([*others[:2], *more])})" if others else ""
            console.print(f"  {explanation['rule']}: {explanation['sentence']}{also}", soft_wrap=True)
    console.print("\nall as expected" if correct else "\nNOT as expected")
    return 0 if correct else 1


if __name__ == "__main__":
    sys.exit(main())
