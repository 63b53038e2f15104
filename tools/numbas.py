"""Run tests with every minor release of Numba from the lower bound on, each in an environment of its own.

    python tools/numbas.py build/numbas PYTEST-ARGUMENT ...

Of each the last release is installed, of the lowest the bound itself; llvmlite and NumPy are those that it takes. Prints how
the tests ended; exit code 1 where they failed.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from lowest import lowest
from pythons import ROOT, tested

OWN = ("numba", "llvmlite", "numpy")  # whose versions belong together


def releases(pins: list[str]) -> list[str]:
    """The lower bound, every minor release after it, and the pinned version."""
    bound = lowest([])["numba"]
    pinned = next(pin.removeprefix("numba==") for pin in pins if pin.startswith("numba=="))
    first, last = (int(version.split(".")[1]) for version in (bound, pinned))
    return [bound, *(f"0.{minor}.*" for minor in range(first + 1, last)), pinned]


def main() -> None:
    """Test with each release, and say how it ended."""
    folder, arguments = Path(sys.argv[1]), sys.argv[2:]
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    others = [pin for pin in pins if re.split("[=<>]", pin)[0] not in OWN]
    folder.mkdir(parents=True, exist_ok=True)
    ends = {}
    for release in releases(pins):
        constraints = folder / "constraints.txt"
        constraints.write_text("\n".join([*others, f"numba=={release}"]) + "\n", encoding="utf-8")
        ends[release] = tested(Path(sys.executable), folder / "venv", arguments, constraints)
        print(f"Numba {release}: {ends[release]}", flush=True)
    print("\n" + "\n".join(f"Numba {release}: {end}" for release, end in ends.items()))
    sys.exit(any(end.startswith("FAILED") for end in ends.values()))


if __name__ == "__main__":
    main()
