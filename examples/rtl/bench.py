"""The bench that runs inside the simulator: beats of a file into a device, what comes out into another.

Both files are of the kind $readmemh reads: one beat a line, its hexadecimal digits. The simulator is given +beats=FILE,
+dump=FOLDER and +name=NAME: the tests flowing and stalled write FOLDER/TEST/NAME, and the cycles they took to TEST.cycles
where they run.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, First, RisingEdge, Timer
from cocotb.utils import get_sim_time

PERIOD = 10  # ns
PATIENCE = 10_000  # cycles in which something must move
SEED = 2026


class Stalls:
    """When a side of the stream pauses: never, or now and then for a while, by chance from a fixed seed.

    Some pauses are longer than any unit takes for a beat, so that the device has to wait as well.
    """

    RUNS, PAUSES = (1, 1, 2, 4, 16), (1, 1, 2, 3, 24)  # cycles

    def __init__(self, seed: int | None) -> None:
        self.chance = None if seed is None else random.Random(seed)
        self.pausing, self.left = False, 0

    def pause(self) -> bool:
        """Whether to pause in the next cycle."""
        if self.chance is None:
            return False
        if self.left == 0:
            self.pausing = not self.pausing
            self.left = self.chance.choice(self.PAUSES if self.pausing else self.RUNS)
        self.left -= 1
        return self.pausing


async def reset(dut: Any) -> None:
    """Two cycles of synchronous reset."""
    dut.rst.value, dut.in_valid.value, dut.out_ready.value = 1, 0, 0
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0


async def stream(dut: Any, beats: list[int], in_stalls: Stalls, out_stalls: Stalls) -> list[str]:
    """All beats into the device, and as many out of it, as binary digits; the protocol is checked on the way.

    One coroutine does both sides: it wakes once a cycle, and not at all while neither side can move.
    """
    edge, accepts, gives = RisingEdge(dut.clk), RisingEdge(dut.in_ready), RisingEdge(dut.out_valid)
    taken: list[str] = []
    sent, offering, ready, held = 0, False, False, ""
    while len(taken) < len(beats):
        await edge
        accepted = offering and bool(dut.in_ready.value)  # a ValueError where it is X or Z
        valid = bool(dut.out_valid.value)
        data = str(dut.out_data.value) if valid else ""
        assert not held or data == held, f"beat {len(taken)} was withdrawn or changed before it was taken"
        held = "" if ready else data
        if valid and ready:
            taken.append(data)
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
            moved = await First(gives, accepts, patience := Timer(PATIENCE * PERIOD, "ns"))
            assert moved is not patience, f"nothing moves: {sent} beats went in, {len(taken)} came out"
    return taken


async def run(dut: Any, kind: str) -> None:
    """The whole file through the device after a reset, and nothing behind it."""
    options = cocotb.plusargs
    beats = [int(line, 16) for line in Path(str(options["beats"])).read_text().split()]
    Clock(dut.clk, PERIOD, "ns", impl="gpi").start()
    await reset(dut)
    start = get_sim_time("ns")
    taken = await stream(dut, beats, *(Stalls(SEED + side if kind == "stalled" else None) for side in range(2)))
    cycles = round((get_sim_time("ns") - start) / PERIOD)
    dut.out_ready.value, dut.in_valid.value = 1, 0
    await RisingEdge(dut.clk)
    quiet = ClockCycles(dut.clk, 200)
    assert await First(quiet, RisingEdge(dut.out_valid)) is quiet, "a beat too many came out"

    dump = Path(str(options["dump"])) / kind / str(options["name"])
    dump.parent.mkdir(parents=True, exist_ok=True)
    digits = len(dut.out_data) // 4
    assert not any(set(bits) - {"0", "1"} for bits in taken), "an output bit is X or Z"
    lines = [f"{int(bits, 2):0{digits}x}\n" for bits in taken]
    dump.write_text("".join(lines))
    Path(f"{kind}.cycles").write_text(f"{cycles}\n")


@cocotb.test()
async def flowing(dut: Any) -> None:
    """Neither side ever pauses."""
    await run(dut, "flowing")


@cocotb.test()
async def interrupted(dut: Any) -> None:
    """A few beats at random, then a reset in the middle: what follows must not show it."""
    Clock(dut.clk, PERIOD, "ns", impl="gpi").start()
    await reset(dut)
    dut.in_valid.value, dut.out_ready.value = 1, 1
    chance = random.Random(SEED)
    for _ in range(chance.randrange(20, 60)):
        dut.in_data.value = chance.getrandbits(len(dut.in_data))
        await RisingEdge(dut.clk)


@cocotb.test()
async def stalled(dut: Any) -> None:
    """Both sides pause now and then, at random."""
    await run(dut, "stalled")
