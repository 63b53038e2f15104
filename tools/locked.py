"""Requirements with hashes for the README's two commands: what `make demo` and `make test` install, wheel by wheel.

python tools/locked.py            writes locked/core.txt and locked/test.txt, by constraints.txt
python tools/locked.py --covers   exit code 0 where these fit this Python: CPython on Linux, x86_64, glibc 2.28

pip says which wheels it would take on every Python and for old and new systems; the files have the hashes of all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "locked"
PYTHONS = ("3.11", "3.12", "3.13")
OLDEST = (2, 28)  # glibc that all packages have wheels for
GLIBC = ("2_17", "2_27", "2_28"), ("2_17", "2_27", "2_28", "2_31", "2_34", "2_35")  # wheels that it runs, and a new one
EXTRAS = {"core": [], "test": ["test"]}
ELSEWHERE = "sys_platform == 'emscripten'"
EDITABLE = "editables"  # which the build backend asks for when it installs a checkout
HEADER = """\
# Written by tools/locked.py: CPython {} on Linux x86_64 with glibc 2.28 or newer.
# Elsewhere constraints.txt is used, without hashes."""


def covers() -> bool:
    """Whether the files fit the Python that runs this."""
    return (
        sys.implementation.name == "cpython"
        and "{}.{}".format(*sys.version_info) in PYTHONS
        and (sys.platform, platform.machine(), platform.libc_ver()[0]) == ("linux", "x86_64", "glibc")
        and tuple(map(int, platform.libc_ver()[1].split(".")[:2])) >= OLDEST
    )


def requirements(extras: list[str]) -> list[str]:
    """What pyproject.toml asks for on Linux, with the build backend."""
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = tables["project"]
    chosen = [line for line in project["dependencies"] if ELSEWHERE not in line]
    return [
        *chosen,
        *(line for e in extras for line in project["optional-dependencies"][e]),
        *tables["build-system"]["requires"],
    ]


def taken(asked: list[str], python: str, glibc: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """Version and hash of each wheel that pip would install, by name."""
    tags = [f"manylinux_{version}_x86_64" for version in glibc] + ["manylinux2014_x86_64", "linux_x86_64"]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--dry-run"),
                *("--ignore-installed", "--only-binary=:all:", "--target", folder, "--report", str(report)),
                *("--python-version", python, "--constraint", str(ROOT / "constraints.txt")),
                *(word for tag in tags for word in ("--platform", tag)),
                *(*asked, EDITABLE),
            ],
            check=True,
            env={**os.environ, "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""},  # no wheels of this machine
        )
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
    return {
        item["metadata"]["name"]: (item["metadata"]["version"], item["download_info"]["archive_info"]["hashes"]["sha256"])
        for item in found
    }


def locked(extras: list[str]) -> str:
    """The text of a file. The packages must be the same in every environment: a ValueError names what is not."""
    asked = requirements(extras)
    all_taken = [taken(asked, python, glibc) for python in PYTHONS for glibc in GLIBC]
    versions = {name: version for one in all_taken for name, (version, _) in one.items()}
    lines = [HEADER.format(", ".join(PYTHONS))]
    for name, version in sorted(versions.items(), key=lambda item: item[0].lower()):
        if any(one.get(name, ("", ""))[0] != version for one in all_taken):
            raise ValueError(f"{name} {version} is not in every environment")
        hashes = sorted({one[name][1] for one in all_taken})
        lines.append(" \\\n    ".join([f"{name}=={version}", *(f"--hash=sha256:{sha256}" for sha256 in hashes)]))
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the files, or say whether they fit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--covers", action="store_true", help="only say, by the exit code, whether they fit this Python")
    if parser.parse_args().covers:
        sys.exit(not covers())
    FOLDER.mkdir(exist_ok=True)
    for name, extras in EXTRAS.items():
        (FOLDER / f"{name}.txt").write_text(locked(extras), encoding="utf-8")


if __name__ == "__main__":
    main()
