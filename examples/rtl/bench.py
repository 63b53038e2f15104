"""The bench inside the simulator: streams beats from a file into a device, and writes the device's output to another file.

Both files have one beat per line in hexadecimal, as $readmemh reads them. The simulator gets +beats=FILE, +dump=FOLDER and
+name=NAME: the tests flowing and stalled write FOLDER/TEST/NAME, and the number of cycles to TEST.cycles in the working
folder. With +model=FILE and +node=NAME the reference runs beside the device, and every row is compared as it comes out.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, First, RisingEdge, Timer
from cocotb.utils import get_sim_time

from intsim.testing.cocotb import Scoreboard

PERIOD = 10  # ns
TIMEOUT = 10_000  # cycles within which a beat must move
SEED = 2026


class Stalls:
    """When one side of the stream pauses: never, or at random from a fixed seed.

    Some pauses are longer than any unit takes for a beat, so that the device has to wait, too.
    """

    RUNS, PAUSES = (1, 1, 2, 4, 16), (1, 1, 2, 3, 24)  # cycles

    def __init__(self, seed: int | None) -> None:
        self.rng = None if seed is None else random.Random(seed)
        self.pausing, self.left = False, 0

    def pause(self) -> bool:
        """Whether to pause in the next cycle."""
        if self.rng is None:
            return False
        if self.left == 0:
            self.pausing = not self.pausing
            self.left = self.rng.choice(self.PAUSES if self.pausing else self.RUNS)
        self.left -= 1
        return self.pausing


async def reset(dut: Any) -> None:
    """Two cycles of synchronous reset."""
    dut.rst.value, dut.in_valid.value, dut.out_ready.value = 1, 0, 0
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0


class Rows:
    """The reference beside the device: rows of beats, each compared as soon as its last beat has come out."""

    LANES = 8

    def __init__(self, dut: Any, model: str, node: str, beats: list[int]) -> None:
        self.board = Scoreboard.of(model, node)
        self.columns = int(self.board.columns or 1)
        self.beats = -(-self.columns // self.LANES)  # of a row
        self.widths = [len(data) // self.LANES for data in (dut.in_data, dut.out_data)]
        for start in range(0, len(beats), self.beats):
            self.board.sent(self.row(beats[start : start + self.beats], self.widths[0]))
        self.taken: list[int] = []

    def row(self, beats: list[int], bits: int) -> list[int]:
        """The elements of a row's beats; element 0 is in the lowest bits, and the last beat is padded."""
        words = [beat >> bits * lane & (1 << bits) - 1 for beat in beats for lane in range(self.LANES)]
        return [word - (word >> bits - 1 << bits) for word in words[: self.columns]]

    def take(self, bits: str) -> None:
        """A beat has come out."""
        self.taken.append(int(bits, 2))
        if len(self.taken) == self.beats:
            self.board.received(self.row(self.taken, self.widths[1]))
            self.taken.clear()


async def stream(dut: Any, beats: list[int], in_stalls: Stalls, out_stalls: Stalls, rows: Rows | None = None) -> list[str]:
    """Send all beats into the device and receive as many, as binary digits; the protocol is checked in every cycle.

    One coroutine drives both sides: it wakes once per cycle, and not at all while neither side can move.
    """
    edge, in_ready_rises, out_valid_rises = RisingEdge(dut.clk), RisingEdge(dut.in_ready), RisingEdge(dut.out_valid)
    taken: list[str] = []
    sent, offering, ready, held = 0, False, False, ""
    while len(taken) < len(beats):
        await edge
        accepted = offering and bool(dut.in_ready.value)  # a ValueError if it is X or Z
        valid = bool(dut.out_valid.value)
        data = str(dut.out_data.value) if valid else ""
        assert not held or data == held, f"beat {len(taken)} was withdrawn or changed before it was taken"
        held = "" if ready else data
        if valid and ready:
            taken.append(data)
            if rows is not None:
                rows.take(data)
        if accepted:
            sent, offering = sent + 1, False

        if not offering:
            offering = sent < len(beats) and not in_stalls.pause()
            if offering:
                dut.in_data.value = beats[sent]
            if offering or accepted:
                dut.in_valid.value = int(offering)
        if ready == (pause := out_stalls.pause()):
            ready = not pause
            dut.out_ready.value = int(ready)

        blocked = not accepted and dut.in_ready.value == 0 if offering else sent == len(beats)
        if blocked and not valid:
            first = await First(out_valid_rises, in_ready_rises, timeout := Timer(TIMEOUT * PERIOD, "ns"))
            assert first is not timeout, f"nothing moves: {sent} beats went in, {len(taken)} came out"
    return taken


async def run(dut: Any, kind: str) -> None:
    """Stream the whole file through the device after a reset; no further beat may come out."""
    options = cocotb.plusargs
    beats = [int(line, 16) for line in Path(str(options["beats"])).read_text().split()]
    Clock(dut.clk, PERIOD, "ns", impl="gpi").start()
    await reset(dut)
    start = get_sim_time("ns")
    beside = "model" in options and kind == "flowing"  # the other one is compared behind the simulation
    rows = Rows(dut, str(options["model"]), str(options["node"]), beats) if beside else None
    taken = await stream(dut, beats, *(Stalls(SEED + side if kind == "stalled" else None) for side in range(2)), rows)
    if rows is not None:
        rows.board.finished()
    cycles = round((get_sim_time("ns") - start) / PERIOD)
    dut.out_ready.value, dut.in_valid.value = 1, 0
    await RisingEdge(dut.clk)
    quiet = ClockCycles(dut.clk, 200)
    assert await First(quiet, RisingEdge(dut.out_valid)) is quiet, "one beat too many came out"

    dump = Path(str(options["dump"])) / kind / str(options["name"])
    dump.parent.mkdir(parents=True, exist_ok=True)
    digits = len(dut.out_data) // 4
    assert not any(set(bits) - {"0", "1"} for bits in taken), "an output bit is X or Z"
    lines = [f"{int(bits, 2):0{digits}x}\n" for bits in taken]
    dump.write_text("".join(lines))
    Path(f"{kind}.cycles").write_text(f"{cycles}\n")


@cocotb.test()
async def flowing(dut: Any) -> None:
    """Neither side pauses."""
    await run(dut, "flowing")


@cocotb.test()
async def interrupted(dut: Any) -> None:
    """A few random beats, interrupted: the next test starts with a reset, and its output must not be affected."""
    Clock(dut.clk, PERIOD, "ns", impl="gpi").start()
    await reset(dut)
    dut.in_valid.value, dut.out_ready.value = 1, 1
    rng = random.Random(SEED)
    for _ in range(rng.randrange(20, 60)):
        dut.in_data.value = rng.getrandbits(len(dut.in_data))
        await RisingEdge(dut.clk)


@cocotb.test()
async def stalled(dut: Any) -> None:
    """Both sides pause at random."""
    await run(dut, "stalled")
