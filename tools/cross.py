"""The C reference on other machines: every conformance vector, and a network, by compilers and processors.

    python tools/cross.py [FOLDER]

Compiles with gcc and clang at -O0 (address and undefined-behaviour sanitizers), -O2 and -O3, and for 64-bit arm, 32-bit arm
and big-endian s390x, whose programs run in qemu-user. What is not installed is skipped, and said. Exit code 1 if a vector or
a network's checksum differs.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import intsim
from intsim.languages.reference import write_reference

ROOT = Path(__file__).parent.parent
SANITIZED = "-fsanitize=address,undefined -fno-sanitize-recover"


@dataclass(frozen=True)
class Machine:
    """A compiler, its options, and what runs its programs."""

    name: str
    compiler: str
    flags: str
    runner: str = ""

    @property
    def missing(self) -> str:
        """What of it is not installed."""
        found = next((tool for tool in (self.compiler, self.runner) if tool and shutil.which(tool) is None), "")
        if found:
            return found
        command = [self.compiler, *self.flags.split(), "-x", "c", "-", "-o", "/dev/null"]
        tried = subprocess.run(command, input="int main(void) { return 0; }", capture_output=True, text=True)
        return f"what {self.compiler} links for {self.flags}" if tried.returncode else ""


def machines() -> list[Machine]:
    """All of them."""
    native = [
        Machine(f"{compiler} {level}", compiler, f"{level} {SANITIZED if level == '-O0' else ''}".strip())
        for compiler in ("gcc", "clang")
        for level in ("-O0", "-O2", "-O3")
    ]
    others = {"aarch64": "aarch64-linux-gnu", "arm": "arm-linux-gnueabihf", "s390x": "s390x-linux-gnu"}
    cross = [Machine(f"{name} (qemu)", f"{triple}-gcc", "-O2 -static", f"qemu-{name}") for name, triple in others.items()]
    return native + cross


def main() -> None:
    """A line a machine."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "cross")
    folder.mkdir(parents=True, exist_ok=True)
    write_reference("c", folder / "ops")
    due = {}
    graph = intsim.load(ROOT / "weights" / "scenes.h5")
    picture = intsim.read_picture(ROOT / "examples" / "scenes" / "scene_00.png")
    for image in (False, True):
        name = f"network_{'image' if image else 'arrays'}"
        write_reference("c", folder / name, graph, image=image)
        (folder / "image.raw").write_bytes(picture.tobytes())
        due[name] = checksum(intsim.run(graph, picture))
    wrong = 0
    for machine in machines():
        if machine.missing:
            print(f"{machine.name}: skipped, {machine.missing} is not installed", flush=True)
            continue
        passed, failed = vectors(machine, folder / "ops")
        networks = {name: network(machine, folder / name) == value for name, value in due.items()}
        wrong += failed + (not passed) + sum(not equal for equal in networks.values())
        said = ", ".join(
            f"{name.replace('_', ' of ')} {'exact' if equal else 'differs'}" for name, equal in networks.items()
        )
        print(f"{machine.name}: {passed:,} vectors passed, {failed} failed; {said}", flush=True)
    sys.exit(wrong > 0)


def made(machine: Machine, folder: Path, target: str) -> str:
    """What make says."""
    flags = f"CFLAGS={machine.flags} -Werror"
    subprocess.run(["make", "-s", "clean"], cwd=folder, check=True)
    command = ["make", "-s", "-k", target, f"CC={machine.compiler}", flags, f"RUN={machine.runner}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout[-800:] + done.stderr[-800:], flush=True)
    return done.stdout


def vectors(machine: Machine, folder: Path) -> tuple[int, int]:
    """How many passed and failed."""
    found = re.findall(r"^\w+: (\d+) passed, (\d+) failed$", made(machine, folder, "test"), re.MULTILINE)
    return sum(int(p) for p, _ in found), sum(int(f) for _, f in found)


def network(machine: Machine, folder: Path) -> str:
    """The checksum of a network's results."""
    made(machine, folder, "run")
    command = [*([machine.runner] if machine.runner else []), "./run", "../image.raw"]
    if not (folder / "run").exists():
        return "not built"
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.stdout.strip().rpartition(" ")[2]


def checksum(results: np.ndarray) -> str:
    """As run.c computes it."""
    total = 0
    for value in results.ravel().tolist():
        total = ((total ^ (value & 0xFFFFFFFF)) * 16777619) & 0xFFFFFFFF
    return f"{total:08x}"


if __name__ == "__main__":
    main()
