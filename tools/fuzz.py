"""Damage files of every kind and run the commands on them: no crash, no hang, no memory without bound, one line on refusal.

    python tools/fuzz.py [--cases N] [--first N] [--seconds S] [--seed K] [--workers N] [--keep FOLDER]

Workers run the commands in their own process, one case after the other; a case that ends its worker, by a crash or by
taking too long, is known by its number. What fails is kept in FOLDER with the command that fails on it.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from intsim.cli.main import main as intsim_command

from fuzz_files import COMMANDS, NODE, PYTORCH, seeds

PROCESSOR_SECONDS, WALL_SECONDS, MEMORY = 5, 120, 1 << 30
BEGUN_WITH = 0  # bytes of memory that a worker has from its parent, which is large where this is run among tests
MEMORY_FOLDER = Path("/dev/shm")  # files in memory, where the system has such a folder
RENEWED = 2000  # cases, after which a worker is replaced by a new process
LONG = [b"9" * 5000, b"1e999999", b"-", b"\x00", b"\xff\xff\xff\xff", b"[" * 5000, b"inf", b"18446744073709551616"]

# Files whose commands take a few milliseconds are drawn so much more often than the others.
QUICK, OFTEN = {"tb/manifest.json", f"dut/{NODE}.hex", "layout.toml", "dialect.toml", "config.json"}, 20
DRAWN = [file for file in COMMANDS for _ in range(OFTEN if file in QUICK else 1)]


# --- damage -----------------------------------------------------------------------------------------------------------


def _flip(content: bytearray, draw: random.Random) -> None:
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)


def _extreme(content: bytearray, draw: random.Random) -> None:
    content[draw.randrange(len(content))] = draw.choice((0, 1, 0x7F, 0x80, 0xFF))


def _cut(content: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(content))
    del content[start : start + draw.choice((1, 4, 8, 64, len(content)))]


def _repeat(content: bytearray, draw: random.Random) -> None:
    start, size = draw.randrange(len(content)), draw.choice((1, 4, 8, 64))
    content[start:start] = content[start : start + size]


def _swap(content: bytearray, draw: random.Random) -> None:
    size = draw.choice((1, 4, 8, 16))
    a, b = (draw.randrange(max(len(content) - size, 1)) for _ in range(2))
    content[a : a + size], content[b : b + size] = content[b : b + size], content[a : a + size]


def _long(content: bytearray, draw: random.Random) -> None:
    """A number, or any place, replaced by something without end."""
    numbers = [match.span() for match in re.finditer(rb"\d+", bytes(content[:20000]))]
    start, stop = draw.choice(numbers) if numbers and draw.random() < 0.7 else [draw.randrange(len(content))] * 2
    content[start:stop] = draw.choice(LONG)


MUTATORS: list[Callable[[bytearray, random.Random], None]] = [_flip, _flip, _flip, _extreme, _cut, _repeat, _swap, _long]


def damaged(whole: bytes, draw: random.Random) -> bytes:
    """The content of a file with one to three damages."""
    content = bytearray(whole)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        if content:
            draw.choice(MUTATORS)(content, draw)
    return bytes(content)


# --- cases ------------------------------------------------------------------------------------------------------------


class Cases:
    """The cases of one seed, by number, over copies of the same whole files. A case is the same whoever runs it."""

    def __init__(self, seed: int, whole: Path) -> None:
        self.seed, self.whole = seed, whole
        self.content = {file: (whole / file).read_bytes() for file in COMMANDS if (whole / file).exists()}

    def left_out(self, number: int) -> bool:
        """Whether the file of a case cannot be made here."""
        return random.Random(f"{self.seed}:{number}").choice(DRAWN) not in self.content

    def case(self, number: int) -> tuple[str, bytes, str]:
        """The file that is damaged, its content, and the command that reads it."""
        draw = random.Random(f"{self.seed}:{number}")
        file = draw.choice(DRAWN)
        command = draw.choice(COMMANDS[file])
        return file, damaged(self.content[file], draw), command

    def run(self, number: int, folder: Path) -> str:
        """What is wrong with the end of a case in a copy of the whole files; "" where nothing is, or it is left out."""
        if self.left_out(number):
            return ""
        file, content, command = self.case(number)
        (folder / file).write_bytes(content)
        problem = outcome(command, folder)
        (folder / file).write_bytes(self.content[file])
        return problem


def outcome(command: str, folder: Path, limited: bool = True) -> str:
    """What is wrong with a command's end; "" where it ended as it should. A process over its time is killed by a signal."""
    os.chdir(folder)
    os.ftruncate(2, 0)
    os.lseek(2, 0, os.SEEK_SET)
    signal.setitimer(signal.ITIMER_PROF, PROCESSOR_SECONDS if limited else 0)
    signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)
    code = 70
    try:
        intsim_command.main(args=command.split(), prog_name="intsim")
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:  # noqa: BLE001  reported as a failure by its exit code
        pass
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    sys.stderr.flush()
    text = os.pread(2, 1 << 20, 0).decode(errors="replace")
    if code not in (0, 1, 2):
        return f"exit code {code}: {text[-300:]}"
    if (used := _most_memory()) > max(MEMORY, 2 * BEGUN_WITH):
        return f"{used >> 20:,} MB of memory"
    lines = [line for line in text.splitlines() if "Compiling integer kernels" not in line]
    if code == 2 and len([line for line in lines if line.startswith("intsim: ")]) > 1:
        return f"more than one line: {text[:300]}"
    if left := [path.name for path in folder.rglob("*.part")]:
        return f"left behind: {left[0]}"
    return ""


def _most_memory() -> int:
    """The most bytes that this process had in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# --- workers ----------------------------------------------------------------------------------------------------------


class Worker:
    """A process that runs every n-th case, one after the other, and is renewed from time to time and where it ends early."""

    def __init__(self, cases: Cases, numbers: range, until: float, folder: Path) -> None:
        self.cases, self.until, self.folder = cases, until, folder
        self.remaining = numbers
        self.current = mmap.mmap(-1, 8)  # the case being run; the parent reads it after a crash
        self.said = folder.with_name(f"{folder.name}.said")
        self.failures = folder.with_name(f"{folder.name}.failures")
        self.failures.touch()
        self.process = 0
        self.start()

    def start(self) -> None:
        """Run the next cases in a new process."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.cases.whole, self.folder)
        self._at(self.remaining.start)
        self.process = os.fork()
        if self.process == 0:
            global BEGUN_WITH
            BEGUN_WITH = _most_memory()
            _redirect(self.said)
            self._work()
            os._exit(0)

    def _work(self) -> None:
        for number in self.remaining[:RENEWED]:
            if time.monotonic() > self.until:
                break
            self._at(number)
            if problem := self.cases.run(number, self.folder):
                with self.failures.open("a") as file:
                    file.write(json.dumps([number, problem]) + "\n")
                self._at(number + self.remaining.step)
                break  # what went wrong here must not meet the next case
            self._at(number + self.remaining.step)

    def _at(self, number: int) -> None:
        self.current[:] = number.to_bytes(8, "little")

    def ended(self, status: int) -> bool:
        """Whether nothing is left to do after the process ended with `status`; else a new one goes on."""
        number = int.from_bytes(self.current[:], "little")
        if os.WIFSIGNALED(status) or os.WEXITSTATUS(status):
            names: dict[int, str] = {
                signal.SIGPROF: f"over {PROCESSOR_SECONDS} s of processor time",
                signal.SIGALRM: "it waits for ever",
            }
            by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            with self.failures.open("a") as file:
                file.write(json.dumps([number, names.get(by, f"killed by signal {by}")]) + "\n")
            number += self.remaining.step
        self.remaining = range(number, self.remaining.stop, self.remaining.step)
        if not self.remaining or time.monotonic() > self.until:
            return True
        self.start()
        return False


def _redirect(said: Path) -> None:
    """Let this process print to nowhere, and its errors to the file `said`."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(said, os.O_RDWR | os.O_CREAT | os.O_TRUNC), 2)
    sys.stdout, sys.stderr = (os.fdopen(handle, "w", closefd=False) for handle in (1, 2))


def run(cases: Cases, numbers: range, seconds: float, workers: int, folder: Path) -> tuple[int, list[tuple[int, str]]]:
    """The number of cases tried within `seconds`, and what failed: the case's number and the problem."""
    until = time.monotonic() + seconds
    parts = (numbers[first::workers] for first in range(workers))
    team = [Worker(cases, part, until, folder / f"work{k}") for k, part in enumerate(parts) if part]
    running = {worker.process: worker for worker in team}
    while running:
        process, status = os.wait()
        worker = running.pop(process)
        if not worker.ended(status):
            running[worker.process] = worker
    lines = [line for worker in team for line in worker.failures.read_text().splitlines()]
    return len(numbers) - sum(len(worker.remaining) for worker in team), [tuple(json.loads(line)) for line in lines]


def whole_files_do(whole: Path, folder: Path) -> None:
    """Every command on whole files, in a process of its own; ClickException where one fails."""
    for command in sorted({command for file in COMMANDS if (whole / file).exists() for command in COMMANDS[file]}):
        work, said = folder / "work", folder / "said"
        shutil.copytree(whole, work)
        child = os.fork()
        if child == 0:
            _redirect(said)
            os._exit(bool(outcome(command, work, limited=False)))  # kernels may have to be compiled
        if os.waitpid(child, 0)[1]:
            raise click.ClickException(f"{command} on whole files: {said.read_text()[-300:]}")
        shutil.rmtree(work)


@click.command()
@click.option("--cases", "count", default=100_000, show_default=True)
@click.option("--first", default=0, show_default=True, help="Number of the first case: one case again with --cases 1.")
@click.option("--seconds", default=3600.0, show_default=True, help="Stop after so long.")
@click.option("--seed", default=0, show_default=True)
@click.option("--workers", default=os.cpu_count() or 1, show_default="one a processor")
@click.option("--keep", type=click.Path(path_type=Path), default=Path("out/fuzz"), show_default=True)
def main(count: int, first: int, seconds: float, seed: int, workers: int, keep: Path) -> int:
    """Damage files of every kind and run the commands on them."""
    begun = time.monotonic()
    os.environ["NUMBA_NUM_THREADS"] = "1"  # the workers share the processors
    with tempfile.TemporaryDirectory(prefix="intsim-fuzz-", dir=MEMORY_FOLDER if MEMORY_FOLDER.is_dir() else None) as name:
        whole = Path(name) / "whole"
        whole.mkdir()
        seeds(whole)
        whole_files_do(whole, Path(name))
        cases = Cases(seed, whole)
        tried, failures = run(cases, range(first, first + count), seconds, workers, Path(name))
    for number, problem in sorted(failures):
        file, content, command = cases.case(number)
        keep.mkdir(parents=True, exist_ok=True)
        kept = keep / f"{seed}-{number}-{Path(file).name}"
        kept.write_bytes(content)
        click.echo(f"{kept}: {command}: {problem}")
    took = time.monotonic() - begun
    left_out = sum(map(cases.left_out, range(first, first + tried)))
    if left_out:
        click.echo(f"{left_out:,} cases of {PYTORCH} left out: torch is not installed (pip install 'intsim[torch]')")
    done, kinds = tried - left_out, len(cases.content)
    click.echo(f"{done:,} cases of {kinds} kinds of files in {took:,.0f} s: {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(standalone_mode=False))
