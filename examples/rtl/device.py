"""One node as a device in Icarus Verilog: compile it with the constants of its package, and run bench.py on it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

HERE = Path(__file__).resolve().parent
WIDTHS = {"requant": 32, "shiftmax": 8, "lambda_shiftgelu": 8, "layernorm": 16}  # bits of an element that goes in

KINDS = ("flowing", "stalled")


@dataclass(frozen=True)
class Device:
    """What to build: a unit, the package of its node, and what is wrong with it on purpose."""

    unit: str
    package: Path
    replaced: Sequence[str] = ()  # files in wrong/ in place of the parts of the same name
    beside: Sequence[str] = ()  # further tops in wrong/

    def sources(self) -> list[Path]:
        """The package, the parts, the unit, and the node around it."""
        parts = {path.name: path for path in sorted((HERE / "parts").glob("*.sv"))}
        parts |= {name: HERE / "wrong" / name for name in self.replaced}
        tops = [HERE / "nodes" / f"{self.unit}_node.sv", *(HERE / "wrong" / f"{top}.sv" for top in self.beside)]
        return [self.package, *parts.values(), HERE / f"{self.unit}.sv", *tops]


def simulate(device: Device, beats: Path, dump: Path, name: str, work: Path, kinds: Sequence[str] = KINDS) -> dict[str, int]:
    """Send `beats` through the device; what comes out is dump/flowing/name, and dump/stalled/name where both sides pause.

    Returns the cycles each took. RuntimeError where the compiler warns or the bench fails; the logs are in `work`.
    """
    work.mkdir(parents=True, exist_ok=True)
    runner = get_runner("icarus")
    runner.log.setLevel(logging.WARNING)
    try:
        runner.build(
            sources=device.sources(),
            hdl_toplevel=f"{device.unit}_node",
            defines={"NODE_PKG": device.package.stem},
            build_args=["-Wall", *(word for top in device.beside for word in ("-s", top))],
            timescale=("1ns", "1ps"),
            always=True,
            build_dir=work,
            log_file=work / "build.log",
        )
        failed = ""
    except RuntimeError as error:
        failed = f"{error}\n"
    if said := failed + (work / "build.log").read_text().strip():
        raise RuntimeError(f"{name}: the compiler says:\n{said}")
    try:
        results = runner.test(
            test_module="bench",
            hdl_toplevel=f"{device.unit}_node",
            plusargs=[f"+beats={beats.resolve()}", f"+dump={dump.resolve()}", f"+name={name}"],
            testcase=[*kinds, "interrupted"] if "stalled" in kinds else kinds,
            extra_env={"PYTHONPATH": str(HERE), "NO_COLOR": "1"},
            build_dir=work,
            test_dir=work,
            log_file=work / "bench.log",
        )
        ran, failed = get_results(results)
    except SystemExit:  # so the runner leaves where the simulator fails; within pytest also where a bench fails
        ran, failed = 0, 0
    if failed or not ran:
        errors = [line.strip() for line in (work / "bench.log").read_text().splitlines() if "Error" in line]
        raise RuntimeError(f"{name}: the bench failed: {'; '.join(errors[:3])} ({work / 'bench.log'})")
    return {kind: int((work / f"{kind}.cycles").read_text()) for kind in kinds}
