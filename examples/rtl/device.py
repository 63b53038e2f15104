"""One node as a device in Icarus Verilog: compiles it with the constants of its package, and runs bench.py on it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

HERE = Path(__file__).resolve().parent
WIDTHS = {"requant": 32, "shiftmax": 16, "lambda_shiftgelu": 8, "layernorm": 16}  # bits per input element

KINDS = ("flowing", "stalled")


@dataclass(frozen=True)
class Device:
    """What to build: a unit, the package of its node, and intentional faults."""

    unit: str
    package: Path
    replaced: Sequence[str] = ()  # files in wrong/ that replace the parts of the same name
    extra_tops: Sequence[str] = ()  # additional top modules in wrong/

    def sources(self) -> list[Path]:
        """The package, the parts, the unit, and the node wrapper."""
        parts = {path.name: path for path in sorted((HERE / "parts").glob("*.sv"))}
        parts |= {name: HERE / "wrong" / name for name in self.replaced}
        tops = [HERE / "nodes" / f"{self.unit}_node.sv", *(HERE / "wrong" / f"{top}.sv" for top in self.extra_tops)]
        return [self.package, *parts.values(), HERE / f"{self.unit}.sv", *tops]


def simulate(
    device: Device,
    beats: Path,
    dump: Path,
    name: str,
    work: Path,
    kinds: Sequence[str] = KINDS,
    reference: tuple[Path, str] | None = None,
) -> dict[str, int]:
    """Stream `beats` through the device; the output is dump/flowing/name, and dump/stalled/name with pauses on both sides.

    With a `reference`, a model and the name of a node, every row is compared inside the simulation, too.
    Returns the cycles of each. RuntimeError if the compiler warns or the bench fails; the logs are in `work`.
    """
    work.mkdir(parents=True, exist_ok=True)
    beside = [] if reference is None else [f"+model={reference[0].resolve()}", f"+node={reference[1]}"]
    runner = get_runner("icarus")
    runner.log.setLevel(logging.WARNING)
    try:
        runner.build(
            sources=device.sources(),
            hdl_toplevel=f"{device.unit}_node",
            defines={"NODE_PKG": device.package.stem},
            build_args=["-Wall", *(word for top in device.extra_tops for word in ("-s", top))],
            timescale=("1ns", "1ps"),
            always=True,
            build_dir=work,
            log_file=work / "build.log",
        )
        failure = ""
    except RuntimeError as error:
        failure = f"{error}\n"
    if log := failure + (work / "build.log").read_text().strip():
        raise RuntimeError(f"{name}: the compiler reports:\n{log}")
    try:
        results = runner.test(
            test_module="bench",
            hdl_toplevel=f"{device.unit}_node",
            plusargs=[f"+beats={beats.resolve()}", f"+dump={dump.resolve()}", f"+name={name}", *beside],
            testcase=[*kinds, "interrupted"] if "stalled" in kinds else kinds,
            extra_env={"PYTHONPATH": str(HERE), "NO_COLOR": "1"},
            build_dir=work,
            test_dir=work,
            log_file=work / "bench.log",
        )
        ran, failed = get_results(results)
    except SystemExit:  # the runner exits if the simulator fails; within pytest, also if a bench fails
        ran, failed = 0, 0
    if failed or not ran:
        errors = [line.strip() for line in (work / "bench.log").read_text().splitlines() if "Error" in line]
        raise RuntimeError(f"{name}: the bench failed: {'; '.join(errors[:3])} ({work / 'bench.log'})")
    return {kind: int((work / f"{kind}.cycles").read_text()) for kind in kinds}
